/*
 * The beginning of a session: who the server is, what its slot says, from where to stream. The
 * server itself refuses nothing of what matters here: a start before the slot's position, or after
 * what was received, leaves transactions out without a word.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "flow/receiver_parts.h"
#include "pg/slot.h"
#include "spool/start.h"

#define MS UINT64_C(1000000)
#define STATUS_EVERY_NS (10000 * MS)
#define STATUSES_PER_LIMIT 4
/* A walsender whose client is gone ends after its wal_sender_timeout, 60 s unless changed. */
#define TAKEN_PATIENCE_NS (90000 * MS)

/* A database takes its slots with it; but who answers may be the wrong server for a moment. */
#define MISSING_PATIENCE_NS (10000 * MS)

static const char in_use_state[] = "55006";
static const char no_database_state[] = "3D000";

static ph_code
check_system(const struct ph_receiver *receiver, const struct ph_replication_system *system,
             struct ph_error *err)
{
    const char *wanted = receiver->params.system_id;

    if (strcmp(system->system_id, wanted) == 0)
        return PH_OK;
    PH_FAIL(err, PH_E_GAP, "the source is system %s, the job was begun on system %s",
            system->system_id, wanted);
    ph_error_hint(err, "give --source as it was when the job began");
    return PH_E_GAP;
}

static ph_code
other_timeline(const struct ph_receiver *receiver, uint32_t known, const char *why,
               struct ph_error *err)
{
    return PH_FAIL(err, PH_E_GAP, "the source is on timeline %u, the stream was on %u, %s",
                   (unsigned)receiver->frame.timeline, (unsigned)known, why);
}

/*
 * Another timeline is that of a standby that was promoted: it is the same stream when the server
 * had kept the slot there in step, and all that we have happened before the ways parted. That goes
 * for the copy, too: its snapshots see what was not sent to any standby yet.
 */
static ph_code
check_timeline(struct ph_receiver *receiver, const struct ph_slot *slot, struct ph_error *err)
{
    struct ph_spool_session last;
    uint32_t known = receiver->params.timeline;
    ph_lsn end;

    if (ph_spool_last_session(receiver->params.spool, &last))
        known = last.timeline;
    if (receiver->frame.timeline == known)
        return PH_OK;
    if (!slot->is_synced)
        return other_timeline(receiver, known, "and the slot was not synchronised to it", err);
    PH_TRY(
        ph_replication_timeline_end(receiver->session, receiver->frame.timeline, known, &end, err));
    if (end == 0)
        return other_timeline(receiver, known, "which it does not come from", err);
    if (receiver->frame.start > end)
        return other_timeline(receiver, known, "of which we have more than it has", err);
    if (atomic_load(&receiver->copy_seen) > end)
        return other_timeline(receiver, known, "of which the copy has seen more than it has", err);
    receiver->frame.timeline_switch = end;
    return PH_OK;
}

static bool
is_invalid(const struct ph_slot *slot)
{
    return slot->restart_lsn == 0 || strcmp(slot->wal_status, "lost") == 0 ||
           slot->is_conflicting || slot->invalidation[0] != '\0';
}

/* Ours of before, whose end the server has not noticed; it may have ended by itself by now. */
static void
end_former_session(struct ph_conn *conn, int pid)
{
    (void)ph_conn_execf(conn, NULL, "SELECT pg_catalog.pg_terminate_backend(%d)", pid);
}

static ph_code
slot_is_taken(struct ph_receiver *receiver, struct ph_conn *conn, const struct ph_slot *slot,
              struct ph_error *err)
{
    if (receiver->taken_since_ns == 0)
        receiver->taken_since_ns = ph_clock_ns();
    if (slot->active_pid != 0 && slot->active_pid == receiver->backend_pid)
        end_former_session(conn, slot->active_pid);
    PH_FAIL(err, PH_E_NOT_READY, "the slot is being read by process %d of the server",
            slot->active_pid);
    snprintf(err->sqlstate, sizeof err->sqlstate, "%s", in_use_state);
    ph_error_hint(err, "end that process (SELECT pg_terminate_backend(%d)) or wait for it",
                  slot->active_pid);
    return PH_E_NOT_READY;
}

static ph_code
check_slot(struct ph_receiver *receiver, struct ph_conn *conn, const struct ph_slot *slot,
           struct ph_error *err)
{
    if (!slot->is_logical || strcmp(slot->plugin, "pgoutput") != 0 || slot->two_phase ||
        strcmp(slot->database, receiver->frame.database) != 0)
        return PH_FAIL(err, PH_E_NOT_READY, "a slot of another kind or database has this name");
    if (is_invalid(slot))
        return PH_FAIL(err, PH_E_GAP, "the server has invalidated the slot%s%s%s",
                       slot->invalidation[0] != '\0' ? " (" : "", slot->invalidation,
                       slot->invalidation[0] != '\0' ? ")" : "");
    if (slot->is_active)
        return slot_is_taken(receiver, conn, slot, err);
    receiver->taken_since_ns = 0;
    return PH_OK;
}

/*
 * A standby may hold back what is read from a slot that it follows, so that it has no less than its
 * readers; a copy of the slot would go past it.
 */
static void
judge_pieces(struct ph_receiver *receiver, const struct ph_slot *slot)
{
    if (slot->has_failover)
        receiver->no_pieces = true;
}

/* The slot's state, while nobody uses it, and the position that follows from it. */
static ph_code
find_start(struct ph_receiver *receiver, struct ph_conn *conn, struct ph_error *err)
{
    const struct ph_receiver_params *params = &receiver->params;
    struct ph_spool_positions positions;
    struct ph_slot slot;
    bool found;

    PH_TRY(ph_slot_read(conn, params->slot, &slot, &found, err));
    if (!found)
        return PH_FAIL(err, PH_E_GAP, "the slot is gone");
    PH_TRY(check_slot(receiver, conn, &slot, err));
    ph_spool_get_positions(params->spool, &positions);
    PH_TRY(ph_spool_start(&positions, slot.confirmed_flush, atomic_load(&receiver->applied),
                          &receiver->frame.start, err));
    PH_TRY(check_timeline(receiver, &slot, err));
    judge_pieces(receiver, &slot);
    /* The server has that already: never tell it less. */
    if (slot.confirmed_flush > receiver->now.acknowledged)
        receiver->now.acknowledged = slot.confirmed_flush;
    return PH_OK;
}

/* Often enough for the server's own patience, also while it can not ask. */
static ph_code
set_pace(struct ph_receiver *receiver, struct ph_conn *conn, struct ph_error *err)
{
    uint64_t limit_ms = (uint64_t)receiver->params.sender_timeout_ms;
    char setting[32] = "";

    if (limit_ms == 0) {
        PH_TRY(ph_conn_value(conn,
                             "SELECT setting FROM pg_catalog.pg_settings"
                             " WHERE name = 'wal_sender_timeout'",
                             setting, sizeof setting, err));
        limit_ms = strtoull(setting, NULL, 10);
    }
    receiver->status_every_ns = STATUS_EVERY_NS;
    if (limit_ms > 0 && limit_ms * MS / STATUSES_PER_LIMIT < STATUS_EVERY_NS)
        receiver->status_every_ns = limit_ms * MS / STATUSES_PER_LIMIT;
    return PH_OK;
}

ph_code
ph_receiver_find_start(struct ph_receiver *receiver, struct ph_conn *conn, struct ph_error *err)
{
    struct ph_conn *own = NULL;

    if (conn == NULL) {
        PH_TRY(ph_conn_open(receiver->params.source, "slot", &own, err));
        conn = own;
    }
    ph_code rc = find_start(receiver, conn, err);
    if (rc == PH_OK)
        rc = set_pace(receiver, conn, err);
    if (rc == PH_E_GAP || rc == PH_E_NOT_READY)
        ph_error_object(err, "slot %s", receiver->params.slot);
    ph_conn_free(own);
    return rc;
}

/* A source that was put back to an earlier state would leave out what it writes until it is there.
 */
static ph_code
check_source_end(struct ph_receiver *receiver, ph_lsn source_end, struct ph_error *err)
{
    char a[PH_LSN_TEXT];
    char b[PH_LSN_TEXT];

    if (receiver->frame.start > source_end)
        return PH_FAIL(err, PH_E_GAP, "the source ends at %s, the target or the spool has %s",
                       ph_lsn_print(source_end, a), ph_lsn_print(receiver->frame.start, b));
    if (source_end > receiver->now.source_end)
        receiver->now.source_end = source_end;
    return PH_OK;
}

static const char binary_values[] = "binary, ";

bool
ph_receiver_wrote_binary(const struct ph_spool_session *session)
{
    return strncmp(session->options, binary_values, sizeof binary_values - 1) == 0;
}

/* What must not change from session to session, and what may. */
static ph_code
describe_stream(struct ph_receiver *receiver, struct ph_error *err)
{
    const struct ph_receiver_params *params = &receiver->params;
    struct ph_spool_session *frame = &receiver->frame;
    size_t len = 0;

    for (uint32_t i = 0; i < params->n_publications && len < sizeof frame->publication; i++)
        len += (size_t)snprintf(frame->publication + len, sizeof frame->publication - len, "%s%s",
                                params->publications[i], i + 1 < params->n_publications ? "," : "");
    if (len < sizeof frame->publication)
        len += (size_t)snprintf(frame->publication + len, sizeof frame->publication - len, " (%s)",
                                params->partitions == PH_PUBLISH_AS_ROOT ? "roots" : "leaves");
    if (len >= sizeof frame->publication)
        return PH_FAIL(err, PH_E_UNSUPPORTED, "the names of the publications are too long");
    snprintf(frame->slot, sizeof frame->slot, "%s", params->slot);
    snprintf(frame->options, sizeof frame->options, "%s%s, %s",
             params->values == PH_STREAM_BINARY ? binary_values : "text, ",
             params->large == PH_STREAM_IN_BLOCKS ? "in blocks" : "whole",
             params->origins == PH_STREAM_OWN_ORIGIN ? "own origin" : "any origin");
    return PH_OK;
}

struct ph_stream_params
ph_receiver_stream_params(const struct ph_receiver *receiver)
{
    const struct ph_receiver_params *params = &receiver->params;

    return (struct ph_stream_params){.slot = params->slot,
                                     .publications = params->publications,
                                     .n_publications = params->n_publications,
                                     .start_lsn = receiver->frame.start,
                                     .values = params->values,
                                     .large = params->large,
                                     .origins = params->origins};
}

ph_code
ph_receiver_begin_stream(struct ph_receiver *receiver, struct ph_error *err)
{
    const struct ph_stream_params stream = ph_receiver_stream_params(receiver);

    PH_TRY(ph_replication_start(receiver->session, &stream, err));
    receiver->backend_pid = ph_replication_backend_pid(receiver->session);
    receiver->intake = (struct ph_intake){.spool = receiver->params.spool,
                                          .start = receiver->frame.start,
                                          .reached = receiver->frame.start};
    return PH_OK;
}

ph_code
ph_receiver_connect(struct ph_receiver *receiver, struct ph_error *err)
{
    const struct ph_replication_params session = {"receiver", receiver->params.sender_timeout_ms};
    struct ph_replication_system system;

    receiver->frame = (struct ph_spool_session){0};
    PH_TRY(ph_replication_open(receiver->params.source, &session, &receiver->session, err));
    receiver->missing_since_ns = 0;
    PH_TRY(ph_replication_identify(receiver->session, &system, err));
    PH_TRY(check_system(receiver, &system, err));
    receiver->frame.system_id = strtoull(system.system_id, NULL, 10);
    receiver->frame.timeline = system.timeline;
    snprintf(receiver->frame.database, sizeof receiver->frame.database, "%s", system.database);
    PH_TRY(describe_stream(receiver, err));
    PH_TRY(ph_receiver_find_start(receiver, NULL, err));
    return check_source_end(receiver, system.flush_lsn, err);
}

/* The server has not the WAL any more that it would need. */
static bool
is_gap(const struct ph_error *err)
{
    return err->code == PH_E_SQL &&
           (strcmp(err->sqlstate, "58P01") == 0 || strcmp(err->sqlstate, "55000") == 0);
}

static bool
is_gone_for_good(struct ph_receiver *receiver, struct ph_error *err)
{
    if (receiver->missing_since_ns == 0)
        receiver->missing_since_ns = ph_clock_ns();
    if (ph_clock_ns() - receiver->missing_since_ns < MISSING_PATIENCE_NS)
        return false;
    err->code = PH_E_GAP;
    ph_error_hint(err, "a database that was dropped took its slot with it: what was committed "
                       "there and is not on the target is lost; if another server answers, give "
                       "--source as it was when the job began");
    return true;
}

bool
ph_receiver_can_heal(struct ph_receiver *receiver, struct ph_error *err)
{
    if (strcmp(err->sqlstate, no_database_state) == 0)
        return !is_gone_for_good(receiver, err);
    receiver->missing_since_ns = 0;
    if (strcmp(err->sqlstate, in_use_state) == 0)
        return receiver->taken_since_ns == 0 ||
               ph_clock_ns() - receiver->taken_since_ns < TAKEN_PATIENCE_NS;
    if (is_gap(err))
        err->code = PH_E_GAP;
    /* 53: no room on the source, no memory, no free walsender */
    return ph_error_is_retryable(err) || strncmp(err->sqlstate, "53", 2) == 0;
}
