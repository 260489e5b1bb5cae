/*
 * The snapshot of the copy (DESIGN D5, the part that concerns a copy without a stream).
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "job/job.h"
#include "pg/catalog.h"
#include "pg/holder.h"
#include "pg/snapshot.h"

static ph_code
try_epoch(struct ph_job *job, const struct ph_ledger_epoch *epoch, bool *lives,
          struct ph_error *err)
{
    job->epoch.number = epoch->number;
    snprintf(job->epoch.snapshot_id, sizeof job->epoch.snapshot_id, "%s", epoch->snapshot_id);
    ph_code rc = ph_snapshot_import(job->source_control, job->epoch.snapshot_id, err);
    if (rc == PH_E_CONNECT || rc == PH_E_STOPPED)
        return rc;
    *lives = rc == PH_OK;
    return ph_conn_exec(job->source_control, "ROLLBACK", err);
}

static ph_code
start_epoch(struct ph_job *job, uint32_t number, struct ph_error *err)
{
    struct ph_holder_params params = {
        .source = &job->source,
        .job = job->options->name,
        .dir = job->options->dir,
        .hold_seconds = job->options->hold_seconds,
    };
    struct ph_held_snapshot held;

    PH_TRY(ph_holder_start(&params, &held, err));
    struct ph_ledger_epoch epoch = {
        .number = number,
        .holder_backend = held.backend_pid,
        .holder_pid = held.process_pid,
    };
    snprintf(epoch.snapshot_id, sizeof epoch.snapshot_id, "%s", held.snapshot_id);
    snprintf(epoch.pg_snapshot, sizeof epoch.pg_snapshot, "%s", held.pg_snapshot);
    PH_TRY(ph_ledger_add_epoch(job->target_control, job->options->name, &epoch, err));
    job->epoch.number = number;
    snprintf(job->epoch.snapshot_id, sizeof job->epoch.snapshot_id, "%s", held.snapshot_id);
    return PH_OK;
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
    if (lives)
        return PH_OK;
    if (found) {
        ph_log(
            PH_LOG_WARN, "snapshot.lost",
            "the snapshot of the copy is gone; a new one is taken, unfinished tables start again");
        PH_TRY(ph_ledger_lose_epochs(job->target_control, job->options->name, err));
    }
    return start_epoch(job, found ? last.number + 1 : 1, err);
}

void
ph_job_release_epoch(struct ph_job *job)
{
    (void)ph_holder_stop(job->options->dir, NULL);
}

ph_code
ph_job_read_source_catalog(struct ph_job *job, struct ph_error *err)
{
    ph_catalog_reset(&job->source_catalog);
    PH_TRY(ph_snapshot_import(job->source_control, job->epoch.snapshot_id, err));
    ph_code rc = ph_catalog_read(job->source_control, &job->source_catalog, err);
    ph_code end = ph_conn_exec(job->source_control, rc == PH_OK ? "COMMIT" : "ROLLBACK",
                               rc == PH_OK ? err : NULL);
    return rc != PH_OK ? rc : end;
}

ph_code
ph_job_read_target_catalog(struct ph_job *job, struct ph_error *err)
{
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
    PH_TRY(ph_conn_exec(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ", err));
    ph_code rc = ph_catalog_read(conn, catalog, err);
    (void)ph_conn_exec(conn, "ROLLBACK", NULL);
    return rc;
}

ph_code
ph_job_read_catalogs_now(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(read_now(job->source_control, &job->source_catalog, err));
    /* without --data-only the tables are made as on the source: there is nothing to compare */
    return job->options->data_only ? read_now(job->target_control, &job->target_catalog, err)
                                   : PH_OK;
}

/* Was part of the table copied under another snapshot than the present one? */
static bool
must_restart(const struct ph_job *job, const struct ph_table_plan *table)
{
    bool has_old = false;
    bool has_todo = false;

    for (uint32_t i = 0; i < table->n_chunks; i++) {
        const struct ph_chunk_state *state = &job->chunk_states[table->first_chunk + i];
        has_todo |= !state->done;
        has_old |= state->done && state->epoch != job->epoch.number;
    }
    return has_old && has_todo;
}

/* Empty the target table and take its receipts back, in one transaction. */
static ph_code
restart_table(struct ph_job *job, const struct ph_table_plan *table, struct ph_error *err)
{
    struct ph_conn *conn = job->target_control;
    struct ph_buf sql;

    ph_buf_init(&sql, 4096);
    /* a table that foreign keys point to cannot be truncated alone; its children have no rows yet
     */
    ph_buf_puts(&sql, table->ordered_by_fk ? "DELETE FROM " : "TRUNCATE ");
    ph_buf_put_qualified(&sql, table->target->schema, table->target->name);
    PH_TRY(ph_conn_exec(conn, "BEGIN", err));
    ph_code rc = ph_conn_exec(conn, ph_buf_text(&sql), err);
    ph_buf_free(&sql);
    if (rc == PH_OK)
        rc = ph_ledger_reset_table(conn, job->options->name, table->index, err);
    if (rc == PH_OK)
        rc = ph_conn_exec(conn, "COMMIT", err);
    else
        (void)ph_conn_exec(conn, "ROLLBACK", NULL);
    for (uint32_t i = 0; rc == PH_OK && i < table->n_chunks; i++)
        job->chunk_states[table->first_chunk + i] = (struct ph_chunk_state){0};
    return rc;
}

/* Several source tables may go into one target (other partitioning): they start again together. */
static void
spread_over_targets(const struct ph_job *job, bool *again)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        for (uint32_t k = 0; again[i] && k < job->plan.n_tables; k++)
            again[k] |= job->plan.tables[k].target == job->plan.tables[i].target;
    }
}

ph_code
ph_job_restart_unfinished(struct ph_job *job, struct ph_error *err)
{
    bool *again = PH_ARENA_ARRAY(&job->arena, bool, job->plan.n_tables + 1u);

    if (again == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < job->plan.n_tables; i++)
        again[i] = must_restart(job, &job->plan.tables[i]);
    spread_over_targets(job, again);
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (again[i])
            PH_TRY(restart_table(job, &job->plan.tables[i], err));
    }
    return PH_OK;
}
