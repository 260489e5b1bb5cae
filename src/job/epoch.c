/*
 * The snapshot of the copy (docs/decisions/0010-epochs.md); what a stream asks of it besides is in
 * epoch_stream.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "job/epoch_parts.h"
#include "job/join.h"
#include "pg/catalog.h"
#include "pg/holder.h"
#include "pg/ledger_lookup.h"
#include "pg/snapshot.h"
#include "rules/lookup.h"

#define SQL_LIMIT ((size_t)64 << 20)

ph_code
ph_epoch_begin_under(struct ph_job *job, struct ph_error *err)
{
    ph_code rc = ph_snapshot_import(job->source_control, job->epoch.snapshot_id, err);

    if (rc == PH_OK)
        rc = ph_snapshot_check(job->source_control, &job->epoch.mark, err);
    if (rc != PH_OK)
        (void)ph_conn_exec(job->source_control, "ROLLBACK", NULL);
    return rc;
}

/* In the past already when it was resumed late. */
static uint64_t
end_of_epoch(const struct ph_ledger_epoch *epoch, uint64_t age_seconds)
{
    double left = (double)age_seconds - epoch->age_s;

    return ph_clock_ns() + (left > 0 ? (uint64_t)(left * 1e9) : 0);
}

static void
use_epoch(struct ph_job *job, const struct ph_ledger_epoch *epoch)
{
    job->epoch.number = epoch->number;
    job->epoch.mark = epoch->mark;
    snprintf(job->epoch.snapshot_id, sizeof job->epoch.snapshot_id, "%s", epoch->snapshot_id);
    job->epoch_ends_ns = 0;
    if (job->follows && job->options->snapshot_age_seconds > 0)
        job->epoch_ends_ns = end_of_epoch(epoch, job->options->snapshot_age_seconds);
}

static ph_code
try_epoch(struct ph_job *job, const struct ph_ledger_epoch *epoch, bool *lives,
          struct ph_error *err)
{
    use_epoch(job, epoch);
    ph_code rc = ph_epoch_begin_under(job, err);
    *lives = rc == PH_OK;
    if (rc == PH_OK)
        return ph_conn_exec(job->source_control, "COMMIT", err);
    return rc == PH_E_SNAPSHOT_LOST ? PH_OK : rc;
}

ph_code
ph_epoch_hold(struct ph_job *job, uint32_t number, const char *snapshot_id,
              struct ph_ledger_epoch *epoch, struct ph_error *err)
{
    struct ph_holder_params params = {
        .source = &job->source,
        .job = job->options->name,
        .dir = job->options->dir,
        .hold_seconds = job->options->hold_seconds,
        .use = job->follows ? PH_HOLD_FOR_STREAM : PH_HOLD_FOR_COPY,
        .snapshot_id = snapshot_id,
        .flusher = job->source_control,
    };
    struct ph_held_snapshot held;

    /* one that a killed run started and did not note would live as long as there is a mover */
    PH_TRY(ph_holder_stop(job->options->dir, err));
    PH_TRY(ph_holder_start(&params, &held, err));
    PH_FAILPOINT(after_holder_start);
    *epoch = (struct ph_ledger_epoch){
        .number = number,
        .mark = held.mark,
        .holder_pid = held.process_pid,
        .lsn = held.lsn,
    };
    snprintf(epoch->snapshot_id, sizeof epoch->snapshot_id, "%s", held.snapshot_id);
    use_epoch(job, epoch);
    return PH_OK;
}

static ph_code
start_epoch(struct ph_job *job, uint32_t number, struct ph_error *err)
{
    struct ph_ledger_epoch epoch;

    if (job->follows && number == 1)
        return PH_FAIL(err, PH_E_INTERNAL, "the slot's snapshot is not the first epoch");
    if (job->follows)
        return ph_epoch_start_later(job, number, err);
    PH_TRY(ph_epoch_hold(job, number, NULL, &epoch, err));
    return ph_ledger_add_epoch(job->target_control, job->options->name, &epoch, err);
}

ph_code
ph_job_check_epoch(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(ph_epoch_begin_under(job, err));
    return ph_conn_exec(job->source_control, "COMMIT", err);
}

ph_code
ph_job_ensure_epoch(struct ph_job *job, struct ph_error *err)
{
    struct ph_ledger_epoch last = {0};
    bool found;
    bool lives = false;

    PH_TRY(ph_ledger_last_epoch(job->target_control, job->options->name, &last, &found, err));
    if (found && !last.lost)
        PH_TRY(try_epoch(job, &last, &lives, err));
    job->epoch_inherited = lives;
    if (lives)
        return PH_OK;
    if (found && !last.lost) {
        ph_log(
            PH_LOG_WARN, "snapshot.lost",
            "the snapshot of the copy is gone; a new one is taken, unfinished tables start again, "
            "but for those that are named to go on");
        PH_TRY(ph_ledger_lose_epochs(job->target_control, job->options->name, err));
    }
    /* large objects are of the lost one, and compared under the new one */
    if (found && !job->follows && job->ledger.phase == PH_PHASE_VERIFY)
        PH_TRY(ph_ledger_set_phase(job->target_control, &job->ledger, PH_PHASE_POST, err));
    return start_epoch(job, found ? last.number + 1 : 1, err);
}

static ph_code
constants_changed(const struct ph_job *job, struct ph_error *err)
{
    PH_FAIL(err, PH_E_LOOKUP,
            "a table that values are looked up in is declared constant and has changed since the "
            "job began");
    ph_error_object(err, "job %s", job->options->name);
    ph_error_hint(err, "%s",
                  "put its rows back as they were and give the same command again, or begin anew "
                  "with --restart --yes");
    return PH_E_LOOKUP;
}

static ph_code
compare_lookups(struct ph_job *job, const char *now, struct ph_error *err)
{
    struct ph_conn *conn = job->target_control;
    const char *name = job->options->name;
    const char *then;
    const char *last;

    PH_TRY(
        ph_ledger_load_lookups(conn, name, job->epoch.number, &job->plan_arena, &then, &last, err));
    if (!ph_lookups_same(last, now, PH_LOOKUPS_CONSTANT))
        return constants_changed(job, err);
    if (job->ledger.phase != PH_PHASE_ROWS || strcmp(then, now) == 0)
        return PH_OK;
    if (then[0] == '\0')
        return ph_ledger_save_lookups(conn, name, job->epoch.number, now, err);
    return PH_FAIL(err, PH_E_SNAPSHOT_LOST,
                   "a table that values are looked up in has changed since the rows were begun, or "
                   "is too large to be compared: unfinished tables are copied again");
}

ph_code
ph_job_check_lookups(struct ph_job *job, struct ph_error *err)
{
    struct ph_buf now;

    if (job->rules.lookups == NULL)
        return PH_OK;
    ph_buf_init(&now, SQL_LIMIT);
    ph_lookups_digest(job->rules.lookups, &now);
    ph_code rc = ph_buf_ok(&now) ? compare_lookups(job, ph_buf_text(&now), err)
                                 : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&now);
    return rc;
}

/* The holder may belong to another directory or host: its session is ended as well. */
void
ph_job_release_epoch(struct ph_job *job)
{
    struct ph_ledger_epoch last;
    bool found = false;

    (void)ph_holder_stop(job->options->dir, NULL);
    if (ph_ledger_last_epoch(job->target_control, job->options->name, &last, &found, NULL) !=
            PH_OK ||
        !found)
        return;
    (void)ph_conn_execf(job->source_control, NULL,
                        "SELECT pg_catalog.pg_terminate_backend(pid) FROM"
                        " pg_catalog.pg_stat_activity WHERE pid = %d AND"
                        " (pg_catalog.date_part('epoch', backend_start) * 1000000)::bigint = %lld",
                        last.mark.backend_pid, (long long)last.mark.backend_start);
}

ph_code
ph_job_read_source_catalog(struct ph_job *job, struct ph_error *err)
{
    ph_job_forget_receipts(job);
    ph_catalog_reset(&job->source_catalog);
    PH_TRY(ph_epoch_begin_under(job, err));
    ph_code rc = ph_catalog_read(job->source_control, &job->source_catalog, err);
    ph_code end = ph_conn_exec(job->source_control, rc == PH_OK ? "COMMIT" : "ROLLBACK",
                               rc == PH_OK ? err : NULL);
    return rc != PH_OK ? rc : end;
}

ph_code
ph_job_read_target_catalog(struct ph_job *job, struct ph_error *err)
{
    ph_job_forget_receipts(job);
    ph_catalog_reset(&job->target_catalog);
    PH_TRY(ph_conn_exec(job->target_control, "BEGIN", err));
    ph_code rc = ph_catalog_read(job->target_control, &job->target_catalog, err);
    ph_code end = ph_conn_exec(job->target_control, rc == PH_OK ? "COMMIT" : "ROLLBACK",
                               rc == PH_OK ? err : NULL);
    return rc != PH_OK ? rc : end;
}

static ph_code
read_now(struct ph_conn *conn, struct ph_catalog *catalog, struct ph_error *err)
{
    ph_catalog_reset(catalog);
    return ph_catalog_read_now(conn, catalog, err);
}

ph_code
ph_job_read_catalogs_now(struct ph_job *job, struct ph_error *err)
{
    ph_job_forget_receipts(job);
    PH_TRY(read_now(job->source_control, &job->source_catalog, err));
    /* without --data-only the tables are made as on the source: there is nothing to compare */
    return job->options->data_only ? read_now(job->target_control, &job->target_catalog, err)
                                   : PH_OK;
}

/* A crash of the target has emptied them, whatever their receipts say. */
static bool
is_emptied(const struct ph_job *job, const struct ph_table_plan *table)
{
    for (uint32_t i = 0; i < table->n_chunks; i++) {
        if (job->chunk_states[table->first_chunk + i].done)
            return ph_job_may_lose_rows(job, table);
    }
    return false;
}

/*
 * A table is of one snapshot, unless changes can bring its parts together. Not so when a part of it
 * was copied under another one than the present, or when a session that had been given up still
 * brought in what it had under way.
 */
static bool
must_restart(const struct ph_job *job, const struct ph_table_plan *table)
{
    bool has_todo = ph_job_has_todo(job, table);
    bool is_mixed = false;
    uint32_t seen = 0;

    for (uint32_t i = 0; i < table->n_chunks; i++) {
        const struct ph_chunk_state *state = &job->chunk_states[table->first_chunk + i];
        is_mixed |= state->done && seen != 0 && state->epoch != seen;
        seen = state->done ? state->epoch : seen;
    }
    is_mixed |= has_todo && seen != 0 && seen != job->epoch.number;
    bool is_short = has_todo && seen != 0 && ph_job_lacks_columns(table); /* what is there of it */
    /* one that the job had before others joined has been brought to one moment */
    return is_short ||
           (is_mixed && !job->table_states[table->index].is_past && !ph_epoch_may_mix(job, table));
}

/* By the key itself or by one on a partitioned table above. */
static bool
is_referenced(const struct ph_catalog *catalog, const struct ph_rel *rel)
{
    for (uint32_t i = 0; i < catalog->n_foreign_keys; i++) {
        const struct ph_rel *to = ph_catalog_rel(catalog, catalog->foreign_keys[i].ref_oid);
        if (to != NULL && to->root_oid == rel->root_oid)
            return true;
    }
    return false;
}

/*
 * A table that foreign keys refer to cannot be truncated alone. Its rows are deleted: under replica
 * role nobody asks about them, and where keys are enforced the tables that refer to it are loaded
 * after it and empty.
 */
static void
put_emptying(const struct ph_job *job, const struct ph_table_plan *table, struct ph_buf *sql)
{
    const struct ph_rel *target = table->target;
    bool is_tree = target->kind == PH_REL_PARTITIONED;

    bool is_delete = table->where[PH_TARGET] != NULL || is_referenced(&job->target_catalog, target);
    ph_buf_puts(sql, is_delete ? "DELETE FROM " : "TRUNCATE ");
    ph_buf_puts(sql, is_tree ? "" : "ONLY ");
    ph_buf_put_qualified(sql, target->schema, target->name);
    if (table->where[PH_TARGET] != NULL) /* the others are none of the copy's */
        ph_buf_printf(sql, " %s", table->where[PH_TARGET]);
    ph_buf_puts(sql, "; ");
}

/* Once for all tables of the source that share it; of those beside others, for their rows. */
static bool
is_first_of_target(const struct ph_plan *plan, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++) {
        if (plan->tables[i].target == plan->tables[at].target &&
            plan->tables[i].is_beside == plan->tables[at].is_beside)
            return false;
    }
    return true;
}

/* Children before their parents, where keys are enforced: those have the higher levels. */
static void
put_emptying_all(const struct ph_job *job, const bool *again, struct ph_buf *sql)
{
    if (job->target_catalog.can_set_replica_role)
        ph_buf_puts(sql, "SET LOCAL session_replication_role = replica; ");
    else
        ph_buf_puts(sql, "SET CONSTRAINTS ALL DEFERRED; ");
    for (uint32_t i = job->plan.n_tables; i-- > 0;) {
        if (again[i] && is_first_of_target(&job->plan, i))
            put_emptying(job, &job->plan.tables[i], sql);
    }
}

/*
 * Empty tables of the target and take back the receipts of all that went into them, in one
 * transaction: several source tables may share one (other partitioning), and a receipt must not
 * outlive its rows. The receipts are locked first, so that rows which are just coming in are seen,
 * and deleted, and taken back last, since they tell whose rows those in a shared table are.
 */
static ph_code
restart_targets(struct ph_job *job, const bool *again, struct ph_error *err)
{
    struct ph_conn *conn = job->target_control;
    struct ph_buf sql;
    ph_code rc = PH_OK;

    ph_buf_init(&sql, SQL_LIMIT);
    put_emptying_all(job, again, &sql);
    PH_TRY(ph_conn_exec(conn, "BEGIN", err));
    for (uint32_t i = 0; rc == PH_OK && i < job->plan.n_tables; i++) {
        if (again[i])
            rc = ph_ledger_lock_table(conn, job->options->name, i, err);
    }
    if (rc == PH_OK)
        rc = ph_buf_ok(&sql) ? ph_conn_exec(conn, ph_buf_text(&sql), err)
                             : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    for (uint32_t i = 0; rc == PH_OK && i < job->plan.n_tables; i++) {
        if (again[i])
            rc = ph_ledger_reset_table(conn, job->options->name, i, err);
    }
    PH_FAILPOINT(after_table_emptied);
    if (rc == PH_OK)
        return ph_conn_exec(conn, "COMMIT", err);
    (void)ph_conn_exec(conn, "ROLLBACK", NULL);
    return rc;
}

/* What the ledger says now, in memory. */
static void
forget_states(struct ph_job *job, struct ph_table_plan *table)
{
    table->freeze = false; /* its TRUNCATE may be impossible by now */
    job->table_states[table->index] = (struct ph_table_state){0};
    for (uint32_t i = 0; i < table->n_chunks; i++)
        job->chunk_states[table->first_chunk + i] = (struct ph_chunk_state){0};
}

/* ---- which of them start again ---- */

struct restart {
    const struct ph_job *job;
    bool *again; /* by table of the plan */
    bool has_spread;
};

enum chunks { ANY_DONE, ANY_OF_NOW, ANY_OF_BEFORE };

static bool
has_chunks(const struct restart *restart, uint32_t at, enum chunks which)
{
    const struct ph_job *job = restart->job;
    const struct ph_table_plan *table = &job->plan.tables[at];

    for (uint32_t i = 0; i < table->n_chunks; i++) {
        const struct ph_chunk_state *state = &job->chunk_states[table->first_chunk + i];
        bool is_of_now = !state->done || state->epoch == job->epoch.number;
        if (which == ANY_DONE ? state->done : is_of_now == (which == ANY_OF_NOW))
            return true;
    }
    return false;
}

/* Of two tables that must be of one snapshot. Keys between old tables and ones that are added to a
 * stream are set aside until it has brought them together. */
static void
bind(struct restart *restart, uint32_t from, uint32_t to)
{
    const struct ph_table_state *states = restart->job->table_states;
    bool *again = restart->again;

    if (again[to] || states[from].is_past != states[to].is_past)
        return;
    if (again[from]
            ? has_chunks(restart, to, ANY_DONE)
            : has_chunks(restart, from, ANY_OF_NOW) && has_chunks(restart, to, ANY_OF_BEFORE))
        again[to] = restart->has_spread = true;
}

static bool
is_of(const struct ph_catalog *catalog, const struct ph_table_plan *table, ph_oid oid)
{
    const struct ph_rel *rel = ph_catalog_rel(catalog, oid);

    return rel != NULL && rel->root_oid == table->target->root_oid;
}

static void
bind_by_key(struct restart *restart, const struct ph_foreign_key *key)
{
    const struct ph_catalog *target = &restart->job->target_catalog;
    const struct ph_plan *plan = &restart->job->plan;

    for (uint32_t i = 0; i < plan->n_tables; i++) {
        if (!is_of(target, &plan->tables[i], key->rel_oid))
            continue;
        for (uint32_t j = 0; j < plan->n_tables; j++) {
            if (!is_of(target, &plan->tables[j], key->ref_oid))
                continue;
            bind(restart, i, j);
            bind(restart, j, i);
        }
    }
}

static void
spread_once(struct restart *restart)
{
    const struct ph_job *job = restart->job;
    const struct ph_plan *plan = &job->plan;
    bool by_keys = plan->n_tables > 0 && plan->tables[0].ordered_by_fk;

    for (uint32_t i = 0; i < plan->n_tables; i++) {
        for (uint32_t j = 0; j < plan->n_tables; j++) {
            bool is_shared = ph_job_share_target(job, &plan->tables[i], &plan->tables[j]);
            bool may_stay = plan->tables[i].is_beside && !plan->tables[j].is_beside;
            if (is_shared && restart->again[i] && !restart->again[j] && !may_stay)
                restart->again[j] = restart->has_spread = true;
            /* keys of a ring may be set aside just now */
            if (i == j)
                continue;
            if (is_shared || (by_keys && plan->tables[i].group == plan->tables[j].group))
                bind(restart, i, j);
        }
    }
    for (uint32_t i = 0; by_keys && i < job->target_catalog.n_foreign_keys; i++) {
        if (job->target_catalog.foreign_keys[i].enforced)
            bind_by_key(restart, &job->target_catalog.foreign_keys[i]);
    }
}

/*
 * What shares a target starts again together: a row may have moved from one to the other between
 * two snapshots, and be there twice, or not at all. (Not so beside tables that a stream has brought
 * on: of what is added to them only its own rows are deleted.) So does what enforced foreign keys
 * bind: a row may refer to one that its table's older snapshot does not have; and while a stream
 * brings the older table up to the younger one, ON DELETE CASCADE would act upon rows that are as
 * of later.
 */
static void
spread(struct restart *restart)
{
    do {
        restart->has_spread = false;
        spread_once(restart);
    } while (restart->has_spread);
}

/* Who starts again is in `again`, and is brought to it. */
static ph_code
restart_all(struct ph_job *job, const bool *again, struct ph_error *err)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (again[i])
            ph_epoch_tell_again(job, &job->plan.tables[i]);
    }
    PH_TRY(restart_targets(job, again, err));
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (again[i])
            forget_states(job, &job->plan.tables[i]);
    }
    return PH_OK;
}

/*
 * Under several epochs changes are applied before this phase ends. A table that was copied whole
 * may have got some, which the stream does not bring again: its new epoch must see all of them.
 */
static ph_code
restart_late(struct ph_job *job, const bool *again, struct ph_error *err)
{
    PH_TRY(ph_epoch_bar_earlier(job, err));
    PH_TRY(restart_all(job, again, err));
    return PH_FAIL(err, PH_E_SNAPSHOT_LOST,
                   "changes were applied to a table that starts again: it needs a new snapshot");
}

ph_code
ph_job_restart_torn(struct ph_job *job, uint32_t table, struct ph_error *err)
{
    struct restart restart = {.job = job,
                              .again = calloc(job->plan.n_tables + 1u, sizeof *restart.again)};

    if (restart.again == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    restart.again[table] = true;
    spread(&restart);
    ph_code rc = restart_late(job, restart.again, err);
    free(restart.again);
    return rc;
}

/* Which ones; *any, and *is_late: one of them may have had changes. */
static ph_code
find_restarts(struct restart *restart, bool *any, bool *is_late, struct ph_error *err)
{
    const struct ph_job *job = restart->job;
    bool alive;

    PH_TRY(ph_ledger_is_alive(job->target_control, job->options->name, &alive, err));
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        restart->again[i] = must_restart(job, table) || (!alive && is_emptied(job, table));
    }
    spread(restart);
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        if (restart->again[i] || ph_job_has_todo(job, table))
            PH_TRY(ph_job_check_columns(job, table, err)); /* before anything is emptied */
        *any |= restart->again[i];
        *is_late |= restart->again[i] && job->follows && job->epoch.number > 1 &&
                    ph_epoch_mix_of(job, table) != PH_MIX_UNFINISHED;
    }
    return PH_OK;
}

static void
tell_who_goes_on(const struct ph_job *job)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        bool has_before = false;
        for (uint32_t n = 0; n < table->n_chunks; n++) {
            const struct ph_chunk_state *state = &job->chunk_states[table->first_chunk + n];
            has_before |= state->done && state->epoch != job->epoch.number;
        }
        if (has_before && ph_job_has_todo(job, table))
            ph_epoch_tell_goes_on(job, table);
    }
}

ph_code
ph_job_restart_unfinished(struct ph_job *job, struct ph_error *err)
{
    struct restart restart = {.job = job,
                              .again = calloc(job->plan.n_tables + 1u, sizeof *restart.again)};
    bool any = false;
    bool is_late = false;

    if (restart.again == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_code rc = find_restarts(&restart, &any, &is_late, err);
    if (rc == PH_OK && any)
        rc = is_late ? restart_late(job, restart.again, err) : restart_all(job, restart.again, err);
    free(restart.again);
    PH_TRY(rc);
    tell_who_goes_on(job);
    return ph_ledger_set_alive(job->target_control, job->options->name, err);
}
