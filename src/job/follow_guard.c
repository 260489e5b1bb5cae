/*
 * Looking after what a follow leaves on the source and on the local disk: the figures for
 * job/guard.h, and its warnings in the log, when they begin and when they are over. On whichever
 * thread takes the follow's pictures.
 */
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/log.h"
#include "job/follow_parts.h"
#include "pg/slot.h"

#define SLOT_EVERY_S 10.0

/* A source that is away is no reason to stop here: the receiver says so. */
static void
look_at_slot(struct ph_follow *follow, struct ph_conn *source)
{
    struct ph_guard_figures *figures = &follow->figures;
    struct ph_follow_progress *shown = &follow->shown;

    figures->has_slot = source != NULL &&
                        ph_slot_read(source, follow->job->stream.slot, &figures->slot,
                                     &figures->has_slot, NULL) == PH_OK &&
                        figures->has_slot &&
                        ph_slot_read_limits(source, &figures->limits, NULL) == PH_OK;
    pthread_mutex_lock(&follow->lock);
    shown->has_slot = figures->has_slot;
    if (figures->has_slot) {
        snprintf(shown->wal_status, sizeof shown->wal_status, "%s", figures->slot.wal_status);
        shown->kept_wal_bytes = figures->slot.kept_wal_bytes;
        shown->safe_wal_bytes = figures->slot.safe_wal_bytes;
        shown->xmin_age = figures->slot.xmin_age;
        shown->catalog_xmin_age = figures->slot.catalog_xmin_age;
    }
    pthread_mutex_unlock(&follow->lock);
}

static void
look_at_disk(const struct ph_follow *follow, struct ph_guard_figures *figures)
{
    struct statvfs info;

    figures->disk_bytes = 0;
    if (statvfs(follow->spool_dir, &info) != 0)
        return;
    figures->disk_bytes = (uint64_t)info.f_blocks * info.f_frsize;
    figures->disk_free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
}

/* What has begun, or is over; figures that change while it lasts are for status. */
static void
tell(const struct ph_follow *follow, char now[PH_GUARDS][PH_GUARD_TEXT])
{
    for (unsigned i = 0; i < PH_GUARDS; i++) {
        const char *before = follow->shown.warnings[i];
        if (before[0] == '\0' && now[i][0] != '\0')
            ph_log(PH_LOG_WARN, "guard", "%s: %s; pghaul %s", ph_guard_name(i), now[i],
                   ph_guard_action(i));
        else if (before[0] != '\0' && now[i][0] == '\0')
            ph_log(PH_LOG_INFO, "guard.over", "%s: all is well again", ph_guard_name(i));
    }
}

void
ph_follow_guard(struct ph_follow *follow, struct ph_conn *source)
{
    struct ph_guard_figures *figures = &follow->figures;
    char warnings[PH_GUARDS][PH_GUARD_TEXT];
    struct ph_receiver_look receiver;
    struct ph_spool_positions spool;

    if (follow->slot_ns == 0 || ph_clock_seconds_since(follow->slot_ns) >= SLOT_EVERY_S) {
        look_at_slot(follow, source);
        follow->slot_ns = ph_clock_ns();
    }
    look_at_disk(follow, figures);
    ph_spool_get_positions(follow->spool, &spool);
    ph_receiver_look(follow->receiver, &receiver);
    figures->spool_bytes = spool.bytes;
    figures->spool_limit_bytes = follow->job->options->spool_limit_bytes;
    figures->trouble = receiver.state == PH_RECEIVER_PAUSED || receiver.state == PH_RECEIVER_WAITING
                           ? receiver.trouble.message
                           : NULL;
    ph_guard_judge(figures, warnings);
    figures->trouble = NULL;                      /* it was of `receiver` */
    if (receiver.state == PH_RECEIVER_CONNECTING) /* once more: not over yet */
        memcpy(warnings[PH_GUARD_RECEIVER], follow->shown.warnings[PH_GUARD_RECEIVER],
               PH_GUARD_TEXT);
    tell(follow, warnings);
    pthread_mutex_lock(&follow->lock);
    memcpy(follow->shown.warnings, warnings, sizeof warnings);
    pthread_mutex_unlock(&follow->lock);
}
