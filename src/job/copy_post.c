/*
 * After the rows: sequences, what was set aside, the verdict and the report.
 */
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "job/copy_parts.h"
#include "pg/catalog.h"
#include "pg/ledger_status.h"

#define SEQUENCES_PER_STATEMENT 500

/* ---- sequences ---- */

static void
put_setval(struct ph_buf *sql, const struct ph_sequence_state *sequence)
{
    struct ph_buf name;

    ph_buf_init(&name, 1024);
    ph_buf_put_qualified(&name, sequence->schema, sequence->name);
    ph_buf_puts(sql, "pg_catalog.setval(");
    ph_buf_put_literal(sql, ph_buf_text(&name));
    ph_buf_printf(sql, ", %lld, %s)", (long long)sequence->last_value,
                  sequence->is_called ? "true" : "false");
    ph_buf_free(&name);
}

/* Sequences are outside transactions on both sides: read when the rows are in, set, done. */
static ph_code
set_sequences(struct ph_job *job, struct ph_error *err)
{
    struct ph_catalog *source = &job->source_catalog;
    struct ph_buf sql;
    uint32_t in_statement = 0;
    ph_code rc = PH_OK;

    PH_TRY(ph_conn_exec(job->source_control, "BEGIN READ ONLY", err));
    rc = ph_catalog_read_sequences(job->source_control, source, err);
    (void)ph_conn_exec(job->source_control, "ROLLBACK", NULL);
    PH_TRY(rc);
    ph_buf_init(&sql, (size_t)16 << 20);
    for (uint32_t i = 0; rc == PH_OK && i < source->n_sequences; i++) {
        const struct ph_sequence_state *sequence = &source->sequences[i];
        bool wanted =
            sequence->can_read && ph_selection_has_oid(&job->selection, source, sequence->oid) &&
            ph_catalog_rel_named(&job->target_catalog, sequence->schema, sequence->name) != NULL;
        if (wanted) {
            ph_buf_puts(&sql, in_statement == 0 ? "SELECT " : ", ");
            put_setval(&sql, sequence);
            in_statement++;
        }
        if (in_statement == SEQUENCES_PER_STATEMENT ||
            (i + 1 == source->n_sequences && in_statement > 0)) {
            rc = ph_buf_ok(&sql) ? ph_conn_exec(job->target_control, ph_buf_text(&sql), err)
                                 : PH_FAIL(err, PH_E_MEMORY, "out of memory");
            ph_buf_clear(&sql);
            in_statement = 0;
        }
    }
    ph_buf_free(&sql);
    return rc;
}

ph_code
ph_copy_post_phase(struct ph_job *job, struct ph_error *err)
{
    uint32_t restored;

    if (!job->options->schema_only)
        PH_TRY(set_sequences(job, err));
    PH_FAILPOINT(before_restore);
    PH_TRY(ph_ledger_restore_all(job->target_control, job->options->name, &restored, err));
    return ph_ledger_set_phase(job->target_control, &job->ledger, PH_PHASE_VERIFY, err);
}

/* ---- the verdict ---- */

static uint32_t
count_tables(const struct ph_job *job, bool verified)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < job->plan.n_tables; i++)
        n += job->table_states[i].verified == verified;
    return n;
}

/*
 * The last commit is a synchronous one: it makes all earlier, asynchronous ones durable before
 * anybody is told that the copy is finished.
 */
ph_code
ph_copy_proof_phase(struct ph_job *job, struct ph_error *err)
{
    const char *verdict = "not proven";

    PH_TRY(ph_job_load_plan(job, err));
    if (job->options->verify == PH_VERIFY_DIGEST)
        verdict = count_tables(job, false) == 0 ? "proven" : "different";
    PH_TRY(ph_conn_exec(job->target_control, "SET synchronous_commit = on", err));
    PH_TRY(ph_ledger_set_verdict(job->target_control, &job->ledger, verdict, err));
    PH_FAILPOINT(after_verdict);
    ph_job_release_epoch(job);
    return PH_OK;
}

ph_code
ph_copy_verdict(struct ph_job *job, struct ph_error *err)
{
    if (strcmp(job->ledger.verdict, "different") != 0)
        return PH_OK;
    PH_FAIL(err, PH_E_DIFFERENT, "the target differs from the source");
    ph_error_object(err, "job %s", job->options->name);
    return PH_E_DIFFERENT;
}

/* ---- the report ---- */

static enum ph_table_verdict
verdict_of(const struct ph_job *job, uint32_t index)
{
    const struct ph_table_plan *table = &job->plan.tables[index];
    const struct ph_table_state *state = &job->table_states[index];

    for (uint32_t i = 0; i < table->n_chunks; i++) {
        if (!job->chunk_states[table->first_chunk + i].done)
            return PH_TABLE_UNFINISHED;
    }
    if (state->verified)
        return PH_TABLE_EQUAL;
    return state->read_back ? PH_TABLE_DIFFERENT : PH_TABLE_COPIED;
}

static void
report_table(struct ph_job *job, uint32_t index)
{
    const struct ph_table_plan *table = &job->plan.tables[index];
    const struct ph_table_state *state = &job->table_states[index];
    char label[160];

    ph_plan_table_label(table, label, sizeof label);
    struct ph_report_table *row = ph_report_add_table(&job->run->report, label);
    for (uint32_t i = 0; i < table->n_chunks; i++) {
        const struct ph_chunk_state *chunk = &job->chunk_states[table->first_chunk + i];
        if (!chunk->done)
            continue;
        row->rows_source += chunk->rows;
        row->bytes += chunk->bytes;
        row->seconds += chunk->seconds;
    }
    row->rows_target = state->read_back ? state->target_digest.rows : row->rows_source;
    row->has_source_digest = row->has_target_digest = state->read_back;
    row->source_digest = state->source_digest;
    row->target_digest = state->target_digest;
    row->verdict = verdict_of(job, index);
}

static void
end_report(struct ph_job *job, ph_code rc, const struct ph_error *err)
{
    struct ph_report *report = &job->run->report;

    if (rc == PH_OK && job->was_done)
        ph_log(PH_LOG_INFO, "job.done",
               "an earlier run finished this job; to copy again: --restart --yes, into an empty "
               "target");
    if (rc == PH_OK && strcmp(job->ledger.verdict, "proven") == 0)
        ph_report_end(report, PH_VERDICT_PROVEN,
                      "proven: every row of %u tables was compared and is equal", report->n_tables);
    else if (rc == PH_OK)
        ph_report_end(report, PH_VERDICT_NOT_PROVEN,
                      "not proven: the copy is finished, rows were not compared");
    else if (rc == PH_E_DIFFERENT)
        ph_report_end(report, PH_VERDICT_DIFFERENT, "different: %u tables differ",
                      count_tables(job, false));
    else if (ph_code_class(rc) == PH_CLASS_STOPPED || ph_code_class(rc) == PH_CLASS_AWAY)
        ph_report_end(report, PH_VERDICT_STOPPED, "stopped: the same command goes on");
    else
        ph_report_end(report, PH_VERDICT_FAILED, "failed: %s", err->message);
}

/* A job that was finished before this run: what the ledger kept of it. */
static void
report_from_ledger(struct ph_job *job)
{
    struct ph_table_status *tables;
    uint32_t n;

    if (ph_ledger_tables(job->target_control, job->options->name, &job->arena, &tables, &n, NULL) !=
        PH_OK)
        return;
    for (uint32_t i = 0; i < n; i++) {
        struct ph_report_table *row = ph_report_add_table(&job->run->report, tables[i].table);
        row->rows_source = row->rows_target = tables[i].rows_done;
        row->bytes = tables[i].bytes_done;
        row->seconds = tables[i].seconds;
        row->verdict = tables[i].verified ? PH_TABLE_EQUAL : PH_TABLE_COPIED;
        row->note = "by an earlier run";
    }
}

void
ph_copy_fill_report(struct ph_job *job, ph_code rc, const struct ph_error *err)
{
    if (job->chunk_states != NULL && job->table_states != NULL) {
        for (uint32_t i = 0; i < job->plan.n_tables; i++)
            report_table(job, i);
    } else if (job->was_done && job->target_control != NULL) {
        report_from_ledger(job);
    }
    end_report(job, rc, err);
}
