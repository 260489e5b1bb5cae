/*
 * Making durable. A segment is synced with fdatasync, and the directory before the first time that
 * anything of the segment counts. Segments are synced in order, so that the durable place is one
 * place.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "spool/internal.h"

void
ph_spool_poison(struct ph_spool *spool)
{
    struct ph_spool_place end = spool->durable_place;

    if (spool->poisoned)
        return;
    spool->poisoned = true;
    /*
     * Best effort: the next run must not take for durable what the kernel may have dropped, and a
     * sync of the same file would tell it nothing.
     */
    for (size_t i = spool->n_segments; i > 0; i--) {
        struct ph_segment *segment = &spool->segments[i - 1];

        if (segment->number < end.segment)
            break;
        if (segment->number > end.segment)
            ph_spool_unlink(spool->dir_fd, segment->number);
        else if (segment->fd >= 0 && segment->size > segment->synced)
            (void)!ftruncate(segment->fd, (off_t)segment->synced);
    }
    (void)fsync(spool->dir_fd);
    pthread_cond_broadcast(&spool->changed);
}

static struct ph_segment *
first_to_sync(struct ph_spool *spool)
{
    size_t i = spool->n_segments;

    /* The unsynced ones are the last ones. */
    while (i > 0 && (spool->segments[i - 1].synced < spool->segments[i - 1].size ||
                     !spool->segments[i - 1].in_directory))
        i--;
    return i < spool->n_segments ? &spool->segments[i] : NULL;
}

static ph_code
poison_with(struct ph_spool *spool, const char *what, struct ph_error *err)
{
    ph_code rc = PH_FAIL(err, PH_E_DISK,
                         "cannot sync %s in %s: %s; what was not durable will be received again",
                         what, spool->dir, strerror(errno));

    pthread_mutex_lock(&spool->lock);
    ph_spool_poison(spool);
    pthread_mutex_unlock(&spool->lock);
    return rc;
}

static ph_code
sync_files(struct ph_spool *spool, const struct ph_segment *segment, struct ph_error *err)
{
    int rc = fdatasync(segment->fd);

    if (rc == 0 && PH_FAILPOINT_ERROR(spool_sync)) {
        errno = EIO;
        rc = -1;
    }
    if (rc != 0)
        return poison_with(spool, "the spool", err);
    if (!segment->in_directory && fsync(spool->dir_fd) != 0)
        return poison_with(spool, "the spool's directory", err);
    PH_FAILPOINT(spool_synced);
    return PH_OK;
}

/* The segment as it was before the sync is durable; `reached` is W at that time, if it was the
 * last. */
static void
note_synced(struct ph_spool *spool, const struct ph_segment *done, ph_lsn reached)
{
    struct ph_segment *segment = ph_spool_find_segment(spool, done->number);

    segment->in_directory = true;
    segment->synced = done->size;
    spool->durable_place = (struct ph_spool_place){done->number, done->size};
    if (reached > spool->durable)
        spool->durable = reached;
    if (segment->synced == segment->size && segment != ph_spool_last_segment(spool)) {
        close(segment->fd);
        segment->fd = -1;
    }
}

/* One segment, the first that needs it; *more false: none did. */
static ph_code
sync_one(struct ph_spool *spool, uint64_t up_to, bool *more, struct ph_error *err)
{
    pthread_mutex_lock(&spool->lock);
    ph_code rc = ph_spool_check_poison(spool, err);
    const struct ph_segment *first = first_to_sync(spool);
    *more = rc == PH_OK && first != NULL && first->number <= up_to;
    struct ph_segment segment = {0};
    ph_lsn reached = 0;
    if (*more) {
        segment = *first;
        /* The next segment begins where this one ended. */
        reached = first == ph_spool_last_segment(spool) ? spool->written : first[1].begin;
    }
    pthread_mutex_unlock(&spool->lock);
    if (!*more)
        return rc;
    PH_TRY(sync_files(spool, &segment, err));
    pthread_mutex_lock(&spool->lock);
    rc = ph_spool_check_poison(spool, err);
    if (rc == PH_OK)
        note_synced(spool, &segment, reached);
    pthread_mutex_unlock(&spool->lock);
    return rc;
}

ph_code
ph_spool_sync_all(struct ph_spool *spool, struct ph_error *err)
{
    ph_code rc = PH_OK;
    bool more = true;

    pthread_mutex_lock(&spool->sync_lock);
    pthread_mutex_lock(&spool->lock);
    uint64_t up_to = ph_spool_last_segment(spool)->number;
    pthread_mutex_unlock(&spool->lock);
    /* The last one is synced once: a writer that goes on must not keep us here. */
    for (bool last = false; rc == PH_OK && more && !last;) {
        pthread_mutex_lock(&spool->lock);
        const struct ph_segment *next = first_to_sync(spool);
        last = next != NULL && next->number == up_to;
        pthread_mutex_unlock(&spool->lock);
        rc = sync_one(spool, up_to, &more, err);
    }
    pthread_mutex_unlock(&spool->sync_lock);
    return rc;
}

ph_code
ph_spool_sync(struct ph_spool *spool, uint32_t wait_ms, struct ph_error *err)
{
    uint64_t deadline = ph_clock_ns() + (uint64_t)wait_ms * 1000000;

    pthread_mutex_lock(&spool->lock);
    bool waiting = wait_ms > 0;
    while (waiting && !spool->poisoned && first_to_sync(spool) == NULL)
        waiting = ph_spool_wait(spool, deadline);
    pthread_mutex_unlock(&spool->lock);
    return ph_spool_sync_all(spool, err);
}
