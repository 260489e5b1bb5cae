/*
 * Epochs of a job that applies a stream (docs/decisions/0010-epochs.md): each has L and must fit
 * S0, the snapshot that the slot exported, and whatever ran before the publication had all tables
 * must be over in them. The rule they are for is in model/epoch_filter.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/stop.h"
#include "job/epoch_parts.h"
#include "model/epoch_filter.h"
#include "pg/ledger_follow.h"
#include "pg/ledger_join.h"

#define SNAPSHOT_LIMIT ((size_t)64 << 20)
#define RANGES_LIMIT ((size_t)64 << 20)
#define LOOK_EVERY_MS 100u
#define TELL_AFTER_S 2.0
#define GIVE_UP_AFTER_S 600.0

static ph_code
read_snapshot(struct ph_conn *conn, struct ph_arena *arena, const char **text, struct ph_error *err)
{
    struct ph_result *r;

    PH_TRY(ph_conn_query(conn, "SELECT pg_catalog.pg_current_snapshot()", 0, NULL, &r, err));
    *text = ph_arena_strdup(arena, ph_result_text(r, 0, 0));
    ph_result_free(r);
    return *text != NULL ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

/* All of it, however long the list of transactions is. */
static ph_code
read_whole_snapshot(struct ph_job *job, struct ph_arena *arena, const char **text,
                    struct ph_error *err)
{
    PH_TRY(ph_epoch_begin_under(job, err));
    ph_code rc = read_snapshot(job->source_control, arena, text, err);
    ph_code end = ph_conn_exec(job->source_control, rc == PH_OK ? "COMMIT" : "ROLLBACK",
                               rc == PH_OK ? err : NULL);
    return rc != PH_OK ? rc : end;
}

/* ---- the first one ---- */

static ph_code
record_first(struct ph_job *job, const struct ph_ledger_epoch *epoch, ph_lsn slot_lsn,
             bool *in_doubt, struct ph_error *err)
{
    struct ph_conn *conn = job->target_control;

    *in_doubt = false;
    PH_TRY(ph_conn_exec(conn, "BEGIN", err));
    ph_code rc = ph_ledger_add_epoch(conn, job->options->name, epoch, err);
    if (rc == PH_OK)
        rc = ph_ledger_follow_is_made(conn, job->options->name, epoch->snapshot, slot_lsn, err);
    PH_FAILPOINT(before_first_epoch_commit);
    if (rc == PH_OK) {
        rc = ph_conn_exec(conn, "COMMIT", err);
        *in_doubt = rc != PH_OK && !ph_conn_is_alive(conn);
        return rc;
    }
    (void)ph_conn_exec(conn, "ROLLBACK", NULL);
    return rc;
}

ph_code
ph_job_first_epoch(struct ph_job *job, const char *slot_snapshot, ph_lsn slot_lsn, bool *in_doubt,
                   struct ph_error *err)
{
    struct ph_ledger_epoch epoch;
    struct ph_arena arena;

    *in_doubt = false;
    ph_arena_init(&arena, SNAPSHOT_LIMIT);
    ph_code rc = ph_epoch_hold(job, 1, slot_snapshot, &epoch, err);
    if (rc == PH_OK)
        rc = read_whole_snapshot(job, &arena, &epoch.snapshot, err);
    if (rc == PH_OK)
        rc = record_first(job, &epoch, slot_lsn, in_doubt, err);
    ph_arena_reset(&arena);
    return rc;
}

/* ---- later ones ---- */

/* A transaction that keeps snapshots from being epochs. */
struct obstacle {
    uint64_t xid; /* 0: there is none */
    bool is_late; /* it ran before the publication had all tables, and still does */
};

/* Whoever it is: a process, of any database, or a prepared transaction. */
static void
name_transaction(struct ph_job *job, uint64_t xid, char *out, size_t size)
{
    struct ph_result *r;
    char text[24];

    snprintf(text, sizeof text, "%u", (unsigned)(xid & UINT32_MAX));
    snprintf(out, size, "transaction %s", text);
    const char *params[] = {text};
    if (ph_conn_query(job->source_control,
                      "SELECT format('process %s, waits for %s', pid, coalesce(wait_event,"
                      " 'nothing')) FROM pg_catalog.pg_stat_activity WHERE"
                      " backend_xid = $1::pg_catalog.xid UNION ALL SELECT format('prepared as %s,"
                      " in database %s', gid, database) FROM pg_catalog.pg_prepared_xacts WHERE"
                      " transaction = $1::pg_catalog.xid",
                      1, params, &r, NULL) != PH_OK)
        return;
    if (ph_result_rows(r) > 0)
        snprintf(out, size, "transaction %s (%s)", text, ph_result_text(r, 0, 0));
    ph_result_free(r);
}

static void
tell_who(struct ph_job *job, const struct obstacle *obstacle)
{
    char who[300];

    name_transaction(job, obstacle->xid, who, sizeof who);
    ph_log(PH_LOG_WARN, "epoch.waits", "%s: %s %s", job->source.label, who,
           obstacle->is_late
               ? "began before the tables were published: their copy waits for its end"
               : "is committed in the WAL but not visible yet; a new snapshot must wait for it");
}

static ph_code
gave_up(struct ph_job *job, const struct obstacle *obstacle, struct ph_error *err)
{
    char who[300];

    name_transaction(job, obstacle->xid, who, sizeof who);
    PH_FAIL(err, PH_E_EPOCH, "%s %s", who,
            obstacle->is_late ? "began before the tables were published and has not ended"
                              : "was committed before the slot began and is not visible yet");
    ph_error_object(err, "%s", job->source.label);
    if (obstacle->is_late)
        ph_error_hint(err, "end it, then give the same command again: what it wrote is in no "
                           "stream and, until it ends, in no snapshot");
    return PH_E_EPOCH;
}

/* Whether the text's snapshot can be an epoch. */
static ph_code
look_at_snapshot(const struct ph_job *job, struct ph_arena *arena, const char *text,
                 const struct ph_xid_snapshot *first, struct obstacle *obstacle,
                 struct ph_error *err)
{
    struct ph_xid_snapshot now;

    *obstacle = (struct obstacle){0};
    PH_TRY(ph_xid_snapshot_parse(arena, text, &now, err));
    if (ph_xid_snapshot_is_admissible(&now, first, &obstacle->xid) &&
        !ph_xid_snapshot_is_after(&now, job->stream.published))
        *obstacle = (struct obstacle){.xid = now.xmin, .is_late = true};
    return PH_OK;
}

static ph_code
look_now(struct ph_job *job, const struct ph_xid_snapshot *first, struct obstacle *obstacle,
         struct ph_error *err)
{
    struct ph_arena arena;
    const char *text;

    ph_arena_init(&arena, SNAPSHOT_LIMIT);
    ph_code rc = read_snapshot(job->source_control, &arena, &text, err);
    if (rc == PH_OK)
        rc = look_at_snapshot(job, &arena, text, first, obstacle, err);
    ph_arena_reset(&arena);
    return rc;
}

/*
 * Once a snapshot fits all later ones do: what the slot's sees had all begun before it, and what is
 * over stays so.
 */
static ph_code
wait_until_fit(struct ph_job *job, const struct ph_xid_snapshot *first, struct ph_error *err)
{
    uint64_t start = ph_clock_ns();
    uint64_t told = 0;

    for (;;) {
        struct obstacle obstacle;
        PH_TRY(look_now(job, first, &obstacle, err));
        if (obstacle.xid == 0)
            return PH_OK;
        double waited = ph_clock_seconds_since(start);
        if (waited > GIVE_UP_AFTER_S)
            return gave_up(job, &obstacle, err);
        if (waited > TELL_AFTER_S && obstacle.xid != told) {
            tell_who(job, &obstacle);
            told = obstacle.xid;
        }
        if (ph_stop_wait_ms(LOOK_EVERY_MS))
            return ph_stop_check(err);
    }
}

static ph_code
load_first(struct ph_job *job, struct ph_arena *arena, struct ph_xid_snapshot *first,
           struct ph_error *err)
{
    const char *text;

    PH_TRY(ph_ledger_load_s0(job->target_control, job->options->name, arena, &text, err));
    return ph_xid_snapshot_parse(arena, text, first, err);
}

static ph_code
start_later(struct ph_job *job, uint32_t number, struct ph_arena *arena, struct ph_error *err)
{
    struct ph_xid_snapshot first;
    struct ph_ledger_epoch epoch;
    struct obstacle obstacle;

    PH_TRY(load_first(job, arena, &first, err));
    PH_TRY(wait_until_fit(job, &first, err));
    PH_TRY(ph_epoch_hold(job, number, NULL, &epoch, err));
    PH_TRY(read_whole_snapshot(job, arena, &epoch.snapshot, err));
    PH_TRY(look_at_snapshot(job, arena, epoch.snapshot, &first, &obstacle, err));
    if (obstacle.xid != 0)
        return gave_up(job, &obstacle, err);
    return ph_ledger_add_epoch(job->target_control, job->options->name, &epoch, err);
}

ph_code
ph_epoch_start_later(struct ph_job *job, uint32_t number, struct ph_error *err)
{
    struct ph_arena arena;

    ph_arena_init(&arena, SNAPSHOT_LIMIT);
    ph_code rc = start_later(job, number, &arena, err);
    ph_arena_reset(&arena);
    return rc;
}

/*
 * Rolled back, so that it waits for no standby. No snapshot's xmax would do, see
 * ph_xid_snapshot_is_after.
 */
ph_code
ph_job_take_xid(struct ph_job *job, uint64_t *xid, struct ph_error *err)
{
    char text[24];

    PH_TRY(ph_conn_exec(job->source_control, "BEGIN", err));
    ph_code rc = ph_conn_value(job->source_control, "SELECT pg_catalog.pg_current_xact_id()", text,
                               sizeof text, err);
    (void)ph_conn_leave_transaction(job->source_control, NULL);
    *xid = rc == PH_OK ? strtoull(text, NULL, 10) : 0;
    return rc;
}

ph_code
ph_epoch_bar_earlier(struct ph_job *job, struct ph_error *err)
{
    uint64_t xid;

    PH_TRY(ph_job_take_xid(job, &xid, err));
    PH_TRY(ph_ledger_published(job->target_control, job->options->name, xid, err));
    job->stream.published = xid;
    PH_TRY(ph_ledger_lose_epochs(job->target_control, job->options->name, err));
    ph_job_release_epoch(job);
    PH_FAILPOINT(after_epoch_barred);
    return PH_OK;
}

/* ---- what was applied ---- */

/* Up to where all chunks of the table have seen commits; 0: not all are there. */
static ph_lsn
seen_by(const struct ph_job *job, const struct ph_table_plan *table,
        const struct ph_ledger_mark *marks, uint32_t n)
{
    ph_lsn least = table->n_chunks > 0 ? UINT64_MAX : 0;

    for (uint32_t i = table->first_chunk; i < table->first_chunk + table->n_chunks; i++) {
        ph_lsn seen = 0;
        for (uint32_t m = 0; m < n; m++) {
            if (job->chunk_states[i].done && marks[m].number == job->chunk_states[i].epoch)
                seen = marks[m].lsn;
        }
        least = seen < least ? seen : least;
    }
    return least;
}

ph_code
ph_job_settle_changes(struct ph_job *job, struct ph_error *err)
{
    struct ph_ledger_mark *marks;
    struct ph_arena arena;
    ph_lsn applied = 0;
    uint32_t n = 0;

    ph_arena_init(&arena, SNAPSHOT_LIMIT);
    ph_code rc =
        ph_ledger_load_marks(job->target_control, job->options->name, &arena, &marks, &n, err);
    if (rc == PH_OK)
        rc = ph_ledger_read_applied(job->target_control, job->options->name, &applied, err);
    for (uint32_t i = 0; rc == PH_OK && i < job->plan.n_tables; i++) {
        ph_lsn seen = seen_by(job, &job->plan.tables[i], marks, n);
        job->table_states[i].has_changes = seen != 0 && applied > seen;
    }
    ph_arena_reset(&arena);
    return rc;
}

/* ---- for the stream ---- */

/* The stream may call a partitioned table by any of its parts' OIDs, or by its own. */
static ph_code
add_tree(const struct ph_job *job, const struct ph_table_plan *table, uint32_t epoch,
         struct ph_epoch_filter *filter, struct ph_error *err)
{
    const struct ph_catalog *catalog = &job->source_catalog;
    const struct ph_rel *rel;

    for (uint32_t at = 0; (rel = ph_catalog_tree_next(catalog, table->source, &at)) != NULL;)
        PH_TRY(ph_epoch_filter_add_table(filter, rel->oid, table->index, epoch, err));
    return PH_OK;
}

static ph_code
add_table(const struct ph_job *job, const struct ph_table_plan *table,
          struct ph_epoch_filter *filter, struct ph_error *err)
{
    struct ph_epoch_ranges ranges;
    struct ph_arena arena;

    switch (ph_epoch_mix_of(job, table)) {
    case PH_MIX_UNFINISHED:
        return PH_OK;
    case PH_MIX_ONE:
        return add_tree(job, table, job->chunk_states[table->first_chunk].epoch, filter, err);
    case PH_MIX_SEVERAL:
        break;
    }
    ph_arena_init(&arena, RANGES_LIMIT);
    ph_code rc = ph_epoch_ranges_of(job, table, &arena, &ranges, err);
    if (rc == PH_OK) /* it is no partitioned one */
        rc = ph_epoch_filter_add_ranges(filter, table->source->oid, table->index, &ranges, err);
    ph_arena_reset(&arena);
    return rc;
}

ph_code
ph_job_fill_filter(struct ph_job *job, struct ph_epoch_filter *filter, struct ph_error *err)
{
    struct ph_ledger_mark *marks;
    struct ph_arena arena;
    uint32_t n;

    ph_arena_init(&arena, SNAPSHOT_LIMIT);
    ph_code rc =
        ph_ledger_load_marks(job->target_control, job->options->name, &arena, &marks, &n, err);
    for (uint32_t i = 0; rc == PH_OK && i < n; i++)
        rc = ph_epoch_filter_add_epoch(filter, marks[i].number, marks[i].lsn, marks[i].snapshot,
                                       err);
    for (uint32_t i = 0; rc == PH_OK && i < job->plan.n_tables; i++)
        rc = add_table(job, &job->plan.tables[i], filter, err);
    ph_arena_reset(&arena);
    return rc;
}
