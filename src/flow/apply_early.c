#include "flow/apply_early.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "model/xid_set.h"

/* Savepoints at a time; with more, the later half becomes one and new ones come more rarely. */
#define MOST_POINTS 32u
#define FIRST_SPACING 1000u /* changes between them, from then on */
/* A subtransaction begins a part of its own, to be gone back to, in this share of a full one. */
#define SUB_SHARE 16u
/* It is not worth it when so many changes were for nothing, and more than were not. */
#define WASTE UINT64_C(500000)
/* It waits for a lock of others. */
#define LOCK_MS 2000
/* When the applier's other session has waited so long, it is asked for what. */
#define ASK_MS 1000
#define MOST_ASKED 60u /* whatever the answers were */
#define BLOCK_START_BYTES 6u
#define XID_AT 1u
#define XID_END 5u
#define SCRATCH_LIMIT ((size_t)1 << 30)

/* Where the target can be taken back to. */
struct point {
    struct ph_spool_mark mark; /* the first message that is not applied there */
    uint32_t name;
    uint32_t newest;  /* no change before it is of a later subtransaction */
    uint64_t renamed; /* as early.renamed then */
    uint64_t changes;
};

/* What there is of the transaction at hand; all of it goes with it. */
struct reading {
    struct ph_spool_stream *stream;
    struct ph_pgoutput *decoder;
    struct ph_apply_tables tables;
    struct ph_fold *fold; /* changes that were not sent */
    struct ph_stream_event event;
    struct ph_xid_set aborted; /* subtransactions */
    uint32_t newest;           /* latest (sub)transaction of any change taken */
    uint64_t renamed;          /* announcements that took the place of others */
    struct point part;         /* before the fold's changes; its name is not used */
    struct point points[MOST_POINTS];
    uint32_t n_points;
    uint32_t named;       /* points so far */
    uint64_t spacing;     /* between points, in changes */
    uint64_t changes;     /* sent, and not taken back */
    uint64_t wasted;      /* taken back */
    uint32_t back_to_xid; /* what is of this one or later has to go; 0: nothing has */
};

struct ph_early {
    struct ph_applier *applier;
    struct ph_apply_target target;
    bool is_connected;
    char pids[2][16]; /* of the sessions of the groups and of this; as the server says them */
    struct ph_buf scratch;
    struct ph_xid_set given_up; /* of this connection: they are applied at their commit */
    uint32_t xid;               /* whose blocks are looked at; 0: none */
    uint64_t session;
    uint64_t waiting;            /* blocks of it that were not read */
    struct ph_spool_place place; /* of the last of them */
    bool is_reading;
    bool is_open;     /* its transaction on the target is */
    bool has_yielded; /* and was rolled back: a group waited for it */
    bool has_failed;  /* the applier, whose error it is */
    uint32_t asked;   /* while the same group was under way */
    uint64_t asked_group;
    struct reading reading;
};

/* ---- making and ending ---- */

struct ph_early *
ph_early_new(struct ph_applier *applier)
{
    struct ph_early *early = calloc(1, sizeof *early);

    if (early == NULL)
        return NULL;
    early->applier = applier;
    ph_buf_init(&early->scratch, SCRATCH_LIMIT);
    return early;
}

static void
disconnect(struct ph_early *early)
{
    if (early->is_connected)
        ph_apply_target_free(&early->target);
    early->is_connected = false;
}

/* Its transaction on the target as if it had not been. */
static void
roll_back(struct ph_early *early)
{
    struct ph_apply_refusal refusal;
    struct ph_error ignored; /* whatever was under way is void */
    bool refused;

    ph_error_reset(&ignored);
    ph_code rc = ph_apply_check(&early->target, &refused, &refusal, &ignored);
    (void)rc;
    if (ph_apply_rollback(&early->target, &ignored) != PH_OK)
        disconnect(early);
}

static void
end_reading(struct ph_early *early)
{
    struct reading *reading = &early->reading;

    if (early->is_reading) {
        ph_spool_stream_close(reading->stream);
        ph_pgoutput_free(reading->decoder);
        ph_apply_tables_free(&reading->tables);
        ph_fold_free(reading->fold);
        ph_xid_set_clear(&reading->aborted);
    }
    *reading = (struct reading){0};
    early->is_reading = false;
}

/* The transaction at hand is none any more. */
static void
leave(struct ph_early *early)
{
    if (early->is_open)
        ph_apply_mind(&early->applier->target, 0, NULL, NULL);
    if (early->is_open && !early->has_yielded && early->is_connected)
        roll_back(early);
    end_reading(early);
    early->is_open = false;
    early->has_yielded = false;
    early->xid = 0;
    early->waiting = 0;
}

static void
give_up(struct ph_early *early, const char *why)
{
    struct ph_applier *applier = early->applier;

    ph_log(PH_LOG_DEBUG, "early.left", "transaction %u is applied at its commit: %s", early->xid,
           why);
    /* without memory for it, it may be tried again */
    (void)ph_xid_set_add(&early->given_up, early->xid);
    if (early->is_open) {
        pthread_mutex_lock(&applier->lock);
        applier->look.early_left++;
        pthread_mutex_unlock(&applier->lock);
    }
    leave(early);
}

void
ph_early_free(struct ph_early *early)
{
    if (early == NULL)
        return;
    end_reading(early);
    disconnect(early);
    ph_xid_set_clear(&early->given_up);
    ph_buf_free(&early->scratch);
    free(early);
}

static bool
is_everybodys(ph_code rc)
{
    return rc == PH_E_STOPPED || rc == PH_E_MEMORY || rc == PH_E_DISK || rc == PH_E_SPOOL_DAMAGED ||
           rc == PH_E_POSITION;
}

/*
 * What becomes of a failure: what concerns the changes or this session alone ends only the early
 * way, and when it was no fault of that it comes again at the commit.
 */
static ph_code
take_failure(struct ph_early *early, ph_code rc, const struct ph_error *why, struct ph_error *err)
{
    if (rc == PH_OK)
        return PH_OK;
    if (early->has_failed || is_everybodys(rc)) {
        *err = *why;
        return rc;
    }
    give_up(early, why->message);
    return PH_OK;
}

/* ---- the sessions ---- */

/* Whether the applier's session waits for this one. */
static bool
is_in_the_way(struct ph_early *early)
{
    const char *const params[] = {early->pids[1], early->pids[0]};
    struct ph_result *result;

    if (ph_conn_query(early->target.conn,
                      "SELECT $1::int = ANY (pg_catalog.pg_blocking_pids($2::int))", 2, params,
                      &result, NULL) != PH_OK)
        return true;
    bool is = ph_result_rows(result) == 1 && ph_result_bool(result, 0, 0);
    ph_result_free(result);
    return is;
}

/*
 * The applier's session has been waiting for an answer. When it is for a lock of this one, it would
 * wait for ever: one thread works with both.
 */
static void
yield_if_in_the_way(void *arg)
{
    struct ph_early *early = arg;
    struct ph_apply_refusal refusal;
    struct ph_error ignored;
    bool refused;

    if (early->has_yielded)
        return;
    if (early->asked_group != early->applier->look.groups)
        early->asked = 0;
    early->asked_group = early->applier->look.groups;
    ph_error_reset(&ignored);
    ph_code rc = ph_apply_check(&early->target, &refused, &refusal, &ignored);
    if (rc == PH_OK && !refused && ++early->asked < MOST_ASKED && !is_in_the_way(early))
        return;
    early->has_yielded = true;
    roll_back(early);
}

static ph_code
connect_session(struct ph_early *early, struct ph_error *err)
{
    const struct ph_applier_params *params = &early->applier->params;
    static const char pid_sql[] = "SELECT pg_catalog.pg_backend_pid()";

    if (early->is_connected)
        return PH_OK;
    ph_code rc = ph_apply_target_open(&early->target, params->target, "apply early", params->job,
                                      params->session_sql, 0, err);
    early->is_connected = true;
    if (rc == PH_OK)
        rc = ph_conn_value(early->target.conn, pid_sql, early->pids[1], sizeof early->pids[1], err);
    if (rc == PH_OK)
        rc = ph_conn_value(early->applier->target.conn, pid_sql, early->pids[0],
                           sizeof early->pids[0], err);
    if (rc != PH_OK)
        disconnect(early);
    return rc;
}

/* What was sent so far went through, or this is why not. */
static ph_code
check(struct ph_early *early, struct ph_error *err)
{
    struct ph_apply_refusal refusal;
    bool refused;

    PH_TRY(ph_apply_check(&early->target, &refused, &refusal, err));
    if (!refused)
        return PH_OK;
    return refusal.is_miss ? PH_FAIL(err, PH_E_CONFLICT, "rows that it changes are not there")
                           : err->code;
}

/* ---- savepoints ---- */

static bool
is_later(uint32_t xid, uint32_t than)
{
    return (int32_t)(xid - than) > 0;
}

static ph_code
send_savepoint(struct ph_early *early, const char *command, uint32_t name, struct ph_error *err)
{
    char sql[64];

    snprintf(sql, sizeof sql, "%s SAVEPOINT pghaul_early_%u", command, name);
    return ph_apply_send_plain(&early->target, sql, err);
}

/*
 * Only where a subtransaction begins in the part that goes out next: what is older cannot be rolled
 * back any more without one of the points before.
 */
static bool
wants_point(const struct reading *reading)
{
    if (reading->n_points == 0)
        return true;
    return is_later(reading->newest, reading->part.newest) &&
           reading->changes - reading->points[reading->n_points - 1].changes >= reading->spacing;
}

static ph_code
put_point(struct ph_early *early, struct ph_error *err)
{
    struct reading *reading = &early->reading;

    if (reading->n_points == MOST_POINTS) {
        reading->n_points /= 2;
        reading->spacing = reading->spacing == 0 ? FIRST_SPACING : reading->spacing * 2;
        PH_TRY(send_savepoint(early, "RELEASE", reading->points[reading->n_points].name, err));
    }
    struct point *point = &reading->points[reading->n_points++];
    *point = reading->part;
    point->name = reading->named++;
    return send_savepoint(early, "", point->name, err);
}

/* ---- going back ---- */

/* All that was taken since `point`, sent or not, is to be read again. */
static void
read_again(struct ph_early *early, const struct point *point)
{
    struct reading *reading = &early->reading;

    reading->wasted += reading->changes - point->changes + ph_fold_changes(reading->fold);
    reading->changes = point->changes;
    reading->newest = point->newest;
    reading->part = *point;
    ph_fold_clear(reading->fold);
    ph_spool_stream_back(reading->stream, &point->mark);
    early->waiting++;
    if (reading->renamed != point->renamed)
        give_up(early, "a table has changed since the savepoint");
    else if (reading->wasted > WASTE && reading->wasted > reading->changes)
        give_up(early, "too much of it is rolled back");
}

static ph_code
back_to_point(struct ph_early *early, const struct point *point, struct ph_error *err)
{
    PH_TRY(check(early, err));
    PH_TRY(send_savepoint(early, "ROLLBACK TO", point->name, err));
    return check(early, err);
}

/* Without the subtransactions that were rolled back since; at once, because of their locks. */
static ph_code
go_back(struct ph_early *early, struct ph_error *err)
{
    struct reading *reading = &early->reading;
    uint32_t xid = reading->back_to_xid;
    struct ph_error why;

    reading->back_to_xid = 0;
    if (is_later(xid, reading->part.newest)) {
        read_again(early, &reading->part);
        return PH_OK;
    }
    while (reading->n_points > 1 && !is_later(xid, reading->points[reading->n_points - 1].newest))
        reading->n_points--;
    ph_error_reset(&why);
    ph_code rc = back_to_point(early, &reading->points[reading->n_points - 1], &why);
    if (rc == PH_OK)
        read_again(early, &reading->points[reading->n_points - 1]);
    return take_failure(early, rc, &why, err);
}

/* A subtransaction was rolled back. Several are so at once, when one had others. */
static ph_code
take_abort(struct ph_early *early, struct ph_span message, struct ph_error *err)
{
    struct reading *reading = &early->reading;
    struct ph_stream_head head;

    PH_TRY(ph_pgoutput_peek(message, PH_OUTSIDE_BLOCK, &head, err));
    if (ph_xid_set_has(&reading->aborted, head.xid))
        return PH_OK;
    if (!ph_xid_set_add(&reading->aborted, head.xid))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (is_later(head.xid, reading->newest))
        return PH_OK;
    if (reading->back_to_xid == 0 || is_later(reading->back_to_xid, head.xid))
        reading->back_to_xid = head.xid;
    return PH_OK;
}

/* ---- parts ---- */

static ph_code
open_transaction(struct ph_early *early, struct ph_error *err)
{
    PH_TRY(connect_session(early, err));
    early->is_open = true;
    ph_apply_mind(&early->applier->target, ASK_MS, yield_if_in_the_way, early);
    return ph_apply_begin_beside(&early->target, LOCK_MS, err);
}

static ph_code
send_now(struct ph_early *early, struct ph_error *err)
{
    struct reading *reading = &early->reading;

    if (early->is_open)
        PH_TRY(check(early, err));
    else
        PH_TRY(open_transaction(early, err));
    if (wants_point(reading))
        PH_TRY(put_point(early, err));
    PH_TRY(ph_apply_send(&early->target, reading->fold, NULL, err));
    PH_TRY(ph_apply_go(&early->target, err));
    reading->changes += ph_fold_changes(reading->fold);
    reading->part.newest = reading->newest;
    ph_fold_clear(reading->fold);
    PH_FAILPOINT(after_early_part);
    return PH_OK;
}

static void
take_yield(struct ph_early *early)
{
    if (early->has_yielded)
        give_up(early, "another transaction waited for a lock of it");
}

/* What was committed before is applied, all of it. */
static ph_code
settle(struct ph_early *early, struct ph_error *err)
{
    ph_code rc = ph_applier_settle(early->applier, err);

    early->has_failed |= rc != PH_OK;
    if (rc == PH_OK)
        take_yield(early);
    return rc;
}

/* After all that was committed before. When it goes wrong there is nothing at hand any more. */
static ph_code
send_part(struct ph_early *early, struct ph_error *err)
{
    struct ph_error why;

    if (ph_fold_is_empty(early->reading.fold))
        return PH_OK;
    ph_code rc = settle(early, err);
    if (rc != PH_OK || early->xid == 0)
        return rc;
    ph_error_reset(&why);
    return take_failure(early, send_now(early, &why), &why, err);
}

/* The part that begins with the message given last. */
static void
begin_part(struct reading *reading)
{
    reading->part = (struct point){.mark = ph_spool_stream_mark(reading->stream),
                                   .newest = reading->newest,
                                   .renamed = reading->renamed,
                                   .changes = reading->changes};
}

/* ---- messages ---- */

static ph_code
decode(struct ph_early *early, struct ph_span message, struct ph_error *err)
{
    struct reading *reading = &early->reading;

    return ph_pgoutput_decode(reading->decoder, message, 0, &reading->event, err);
}

/* Kept as it is outside of blocks; here all is inside of one. */
static ph_code
take_definition(struct ph_early *early, struct ph_span message, struct ph_error *err)
{
    struct reading *reading = &early->reading;
    struct ph_stream_head head;
    uint8_t raw[XID_END - XID_AT];

    PH_TRY(ph_pgoutput_peek(message, PH_OUTSIDE_BLOCK, &head, err));
    ph_store_u32(raw, early->xid);
    ph_buf_clear(&early->scratch);
    ph_buf_append(&early->scratch, message.data, XID_AT);
    ph_buf_append(&early->scratch, raw, sizeof raw);
    ph_buf_append(&early->scratch, message.data + XID_AT, message.len - XID_AT);
    if (!ph_buf_ok(&early->scratch))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    const struct ph_stream_rel *before = ph_pgoutput_rel(reading->decoder, head.relid);
    PH_TRY(decode(early, (struct ph_span){early->scratch.data, early->scratch.len}, err));
    const struct ph_stream_rel *after = ph_pgoutput_rel(reading->decoder, head.relid);
    reading->renamed += before != NULL && before != after;
    return PH_OK;
}

/* Whether the change goes behind those that are gathered, or is the first of a part. */
static bool
begins_part(const struct ph_early *early, const struct ph_apply_table *table)
{
    const struct reading *reading = &early->reading;
    uint32_t xid = reading->event.head.xid;

    if (ph_fold_is_full(reading->fold) || !ph_fold_takes(reading->fold, table))
        return true;
    return is_later(xid, reading->newest) &&
           ph_fold_bytes(reading->fold) >= early->applier->params.group_bytes / SUB_SHARE;
}

static ph_code
take_change(struct ph_early *early, struct ph_span message, struct ph_error *err)
{
    struct reading *reading = &early->reading;
    const struct ph_stream_event *event = &reading->event;
    const struct ph_apply_table *table;

    PH_TRY(decode(early, message, err));
    if (ph_xid_set_has(&reading->aborted, event->head.xid))
        return PH_OK;
    if (event->change.kind == PH_CHANGE_TRUNCATE)
        return PH_FAIL(err, PH_E_UNSUPPORTED, "it truncates a table");
    if (event->rel == NULL)
        return PH_FAIL(err, PH_E_PROTOCOL, "a change of a table that was not announced");
    PH_TRY(ph_apply_tables_find(&reading->tables, event->rel, &table, err));
    if (table == NULL)
        return PH_OK;
    if (begins_part(early, table))
        PH_TRY(send_part(early, err));
    if (early->xid == 0)
        return PH_OK;
    if (ph_fold_is_empty(reading->fold))
        begin_part(reading);
    PH_TRY(ph_fold_add(reading->fold, table, &event->change, err));
    if (is_later(event->head.xid, reading->newest))
        reading->newest = event->head.xid;
    return PH_OK;
}

static ph_code
take_message(struct ph_early *early, const struct ph_spool_item *item, struct ph_error *err)
{
    uint8_t type = item->bytes.len > 0 ? item->bytes.data[0] : 0;

    if (item->kind == PH_SPOOL_SCHEMA)
        return take_definition(early, item->bytes, err);
    switch (type) {
    case 'I':
    case 'U':
    case 'D':
    case 'T':
        return take_change(early, item->bytes, err);
    default: /* where blocks begin and end; logical messages */
        return PH_OK;
    }
}

static bool
is_abort(const struct ph_spool_item *item)
{
    return item->kind != PH_SPOOL_SCHEMA && item->bytes.len > 0 && item->bytes.data[0] == 'A';
}

/* All that lies before `until`. Failures of the changes end the early way. */
static ph_code
read_on(struct ph_early *early, struct ph_spool_place until, struct ph_error *err)
{
    struct reading *reading = &early->reading;
    enum ph_spool_fate fate;
    bool more = true;

    PH_TRY(ph_spool_stream_extend(reading->stream, until, &fate, err));
    if (fate == PH_FATE_VOID) {
        give_up(early, "it was rolled back");
        return PH_OK;
    }
    while (more && early->xid != 0) {
        struct ph_spool_item item;
        struct ph_error why;
        ph_code rc;
        ph_error_reset(&why);
        PH_TRY(ph_spool_stream_next(reading->stream, &item, &more, err));
        if (more && is_abort(&item))
            rc = take_abort(early, item.bytes, &why);
        else if (reading->back_to_xid != 0)
            rc = go_back(early, &why);
        else
            rc = more ? take_message(early, &item, &why) : PH_OK;
        PH_TRY(take_failure(early, rc, &why, err));
    }
    return PH_OK;
}

/* ---- a transaction ---- */

static ph_code
enter_block(struct ph_early *early, struct ph_error *err)
{
    uint8_t start[BLOCK_START_BYTES] = {'S'};

    ph_store_u32(start + 1, early->xid);
    start[5] = 1;
    return decode(early, (struct ph_span){start, sizeof start}, err);
}

/* One that has ended in the spool is not worth it. */
static ph_code
begin_reading(struct ph_early *early, struct ph_error *err)
{
    const struct ph_applier_params *params = &early->applier->params;
    struct ph_apply_tables_params tables = params->tables;
    struct reading *reading = &early->reading;
    enum ph_spool_fate fate = PH_FATE_VOID;

    PH_TRY(
        ph_spool_stream_follow(params->spool, early->session, early->xid, &reading->stream, err));
    if (reading->stream != NULL)
        PH_TRY(ph_spool_stream_extend(reading->stream, early->place, &fate, err));
    if (fate != PH_FATE_OPEN) {
        ph_spool_stream_close(reading->stream);
        reading->stream = NULL;
        leave(early);
        return PH_OK;
    }
    early->is_reading = true;
    reading->newest = early->xid;
    reading->decoder = ph_pgoutput_new();
    reading->fold = ph_fold_new(PH_FOLD_NET, params->group_bytes);
    tables.is_second = true;
    PH_TRY(ph_apply_tables_init(&reading->tables, &tables, err));
    if (reading->decoder == NULL || reading->fold == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    return enter_block(early, err);
}

static ph_code
read_blocks(struct ph_early *early, struct ph_error *err)
{
    early->waiting = 0;
    if (!early->is_reading)
        PH_TRY(begin_reading(early, err));
    return early->is_reading ? read_on(early, early->place, err) : PH_OK;
}

static bool
is_it(const struct ph_early *early, const struct ph_txn_event *event)
{
    return early->xid != 0 && early->xid == event->txn.xid && early->session == event->session;
}

ph_code
ph_early_block(struct ph_early *early, const struct ph_txn_event *event, struct ph_error *err)
{
    take_yield(early);
    if (early->xid == 0 && early->applier->params.filter->open_lsn == 0 &&
        !ph_xid_set_has(&early->given_up, event->txn.xid)) {
        early->xid = event->txn.xid;
        early->session = event->session;
    }
    if (!is_it(early, event))
        return PH_OK;
    early->place = event->place;
    early->waiting += event->bytes;
    /* when much else is to do, it begins with what is a part of its own */
    if (early->is_open || early->waiting >= early->applier->params.group_bytes)
        return read_blocks(early, err);
    return PH_OK;
}

ph_code
ph_early_idle(struct ph_early *early, struct ph_error *err)
{
    take_yield(early);
    if (early->waiting > 0)
        PH_TRY(read_blocks(early, err));
    return early->is_reading ? send_part(early, err) : PH_OK;
}

void
ph_early_abort(struct ph_early *early, const struct ph_txn_event *event)
{
    if (is_it(early, event))
        leave(early);
}

void
ph_early_void(struct ph_early *early)
{
    if (early->xid != 0)
        leave(early);
    ph_xid_set_clear(&early->given_up);
}

void
ph_early_give_way(struct ph_early *early)
{
    if (early->is_open)
        give_up(early, "the applier needs the target for itself");
}

/* ---- its commit ---- */

/* *is_sent: the COMMIT; only when the server refuses it, it has not happened for certain. */
static ph_code
commit_now(struct ph_early *early, ph_lsn end, bool *is_sent, struct ph_error *err)
{
    *is_sent = false;
    PH_TRY(check(early, err));
    early->target.applied = early->applier->target.applied;
    PH_TRY(ph_apply_end(&early->target, end, err));
    PH_TRY(check(early, err));
    *is_sent = true;
    PH_TRY(ph_apply_commit(&early->target, err));
    ph_code rc = ph_apply_settle(&early->target, err);
    if (ph_applier_is_refusal(rc)) {
        *is_sent = false;
        disconnect(early);
    }
    return rc;
}

static void
describe(const struct ph_early *early, const struct ph_txn_event *event, struct sent *out)
{
    *out = (struct sent){.is_there = true,
                         .from = early->applier->target.applied,
                         .end = event->end_lsn,
                         .txns = 1,
                         .counted = event->end_lsn > early->applier->params.count_from,
                         .changes = early->reading.changes,
                         .us = event->time_us};
}

static void
note_commit(struct ph_early *early, ph_lsn end)
{
    struct ph_applier *applier = early->applier;

    applier->target.applied = applier->target.durable = end;
    applier->target.made_durable_ns = ph_clock_ns();
    pthread_mutex_lock(&applier->lock);
    applier->look.early++;
    pthread_mutex_unlock(&applier->lock);
}

ph_code
ph_early_commit(struct ph_early *early, const struct ph_txn_event *event, bool *done,
                struct sent *out, struct ph_error *err)
{
    struct ph_error why;
    bool is_sent;

    *done = false;
    if (!is_it(early, event))
        return PH_OK;
    if (!early->is_open ||
        ph_epoch_filter_is_open(early->applier->params.filter, event->txn.commit_lsn)) {
        leave(early);
        return PH_OK;
    }
    /* once more when the last of its messages were those of subtransactions rolled back */
    for (int i = 0; i < 2 && early->is_reading; i++)
        PH_TRY(read_on(early, event->place, err));
    if (early->is_reading)
        PH_TRY(send_part(early, err));
    PH_TRY(settle(early, err));
    if (!early->is_open)
        return PH_OK;
    describe(early, event, out);
    ph_error_reset(&why);
    ph_code rc = commit_now(early, event->end_lsn, &is_sent, &why);
    early->has_failed |= rc != PH_OK && is_sent; /* what became of it the ledger says */
    if (rc != PH_OK)
        return take_failure(early, rc, &why, err);
    *done = true;
    note_commit(early, event->end_lsn);
    early->has_yielded = true; /* nothing to roll back */
    leave(early);
    return PH_OK;
}
