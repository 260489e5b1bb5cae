/*
 * After the rows: sequences, what was set aside, and the report.
 */
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/human.h"
#include "base/log.h"
#include "job/copy_parts.h"
#include "job/target_views.h"
#include "pg/catalog.h"
#include "pg/large_object.h"
#include "pg/ledger_status.h"
#include "pg/sequence.h"
#include "pg/snapshot.h"

static bool
is_wanted_sequence(void *arg, const struct ph_sequence_state *sequence)
{
    const struct ph_job *job = arg;

    if (job->is_one_database) /* they would be set back under the application's hands */
        return false;
    return ph_selection_has_oid(&job->selection, &job->source_catalog, sequence->oid) &&
           ph_catalog_rel_named(&job->target_catalog, sequence->schema, sequence->name) != NULL;
}

/* Sequences are outside transactions on both sides: read when the rows are in, set, done. */
ph_code
ph_copy_set_sequences(struct ph_job *job, struct ph_error *err)
{
    struct ph_sequences sequences = {
        .source = &job->source_catalog, .arg = job, .wanted = is_wanted_sequence};
    uint32_t n;

    PH_TRY(ph_conn_exec(job->source_control, "BEGIN READ ONLY", err));
    ph_code rc = ph_catalog_read_sequences(job->source_control, &job->source_catalog, err);
    (void)ph_conn_exec(job->source_control, "ROLLBACK", NULL);
    PH_TRY(rc);
    PH_TRY(ph_sequences_set(job->target_control, &sequences, &n, err));
    job->sequences_set = true;
    return PH_OK;
}

struct ph_large_objects
ph_copy_large_objects_of(const struct ph_job *job)
{
    const struct ph_options *o = job->options;

    return (struct ph_large_objects){
        .source = job->source_control,
        .target = job->target_control,
        .no_owner = o->no_owner,
        .no_acl = o->no_acl,
        .no_comments = o->no_comments,
    };
}

/*
 * Whether all that the target has are the job's: it had none when the first were to come. The
 * ledger has that as a step, since the source may have had none before the first run.
 */
static ph_code
are_objects_ours(struct ph_job *job, bool *are, struct ph_error *err)
{
    static const char step[] = "large objects";
    const char *name = job->options->name;
    const char *const *steps;
    uint32_t n_steps;
    uint64_t n;

    PH_TRY(ph_ledger_load_steps(job->target_control, name, &job->arena, &steps, &n_steps, err));
    *are = false;
    for (uint32_t i = 0; i < n_steps; i++)
        *are |= strcmp(steps[i], step) == 0;
    if (*are || job->source_catalog.large_objects == 0)
        return PH_OK;
    PH_TRY(ph_large_objects_count(job->target_control, &n, err));
    *are = n == 0;
    return *are ? ph_ledger_step_done(job->target_control, name, step, 0, err) : PH_OK;
}

/* What an earlier snapshot had and this one has not goes, too, unless the target is in use. */
static ph_code
mend_large_objects(struct ph_job *job, enum ph_alone alone, struct ph_error *err)
{
    uint32_t only;
    uint64_t n;

    PH_TRY(ph_copy_mend_large_objects(job, alone, &n, &only, err));
    if (only > 0 && alone == PH_ALONE_GOES)
        ph_log(PH_LOG_INFO, "objects.removed",
               "%u large objects were copied under an earlier snapshot and are removed: this one "
               "does not have them",
               only);
    return PH_OK;
}

/*
 * They belong to no table, so they go with a whole database only. What is there already is kept,
 * unless it may be of a snapshot that was lost.
 */
static ph_code
copy_large_objects(struct ph_job *job, struct ph_error *err)
{
    const struct ph_large_objects objects = ph_copy_large_objects_of(job);
    uint64_t bytes;
    uint64_t n;
    bool are_ours;

    if (!job->selection.whole_database || job->is_one_database)
        return PH_OK;
    PH_TRY(are_objects_ours(job, &are_ours, err));
    enum ph_alone alone = are_ours && !job->follows ? PH_ALONE_GOES : PH_ALONE_STAYS;
    if (job->source_catalog.large_objects == 0 && alone == PH_ALONE_STAYS)
        return PH_OK;
    PH_TRY(ph_snapshot_import(job->source_control, job->epoch.snapshot_id, err));
    ph_code rc = ph_snapshot_check(job->source_control, &job->epoch.mark, err);
    if (rc == PH_OK && job->epoch.number > 1)
        rc = mend_large_objects(job, alone, err);
    else if (rc == PH_OK)
        rc = ph_large_objects_copy(&objects, &n, &bytes, err);
    (void)ph_conn_exec(job->source_control, "ROLLBACK", NULL);
    return rc;
}

ph_code
ph_copy_post_phase(struct ph_job *job, struct ph_error *err)
{
    uint32_t restored;

    if (!job->options->schema_only) {
        PH_TRY(copy_large_objects(job, err));
        PH_FAILPOINT(after_large_objects);
        PH_TRY(ph_copy_set_sequences(job, err));
    }
    PH_TRY(ph_copy_apply_database(job, err));
    PH_FAILPOINT(before_restore);
    PH_TRY(ph_ledger_restore_all(job->target_control, job->options->name, &restored, err));
    if (job->options->data_only) { /* else they are steps of the schema */
        PH_TRY(ph_job_load_plan(job, err));
        PH_TRY(ph_target_views_refresh(job, err));
    }
    return ph_ledger_set_phase(job->target_control, &job->ledger, PH_PHASE_VERIFY, err);
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
        return job->options->verify == PH_VERIFY_COUNT ? PH_TABLE_COUNTED : PH_TABLE_EQUAL;
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
        row->rows_left_out += chunk->left_out;
        row->bytes += chunk->bytes;
        row->seconds += chunk->seconds;
    }
    row->rows_target = state->read_back ? state->target_digest.rows : row->rows_source;
    row->has_source_digest = row->has_target_digest =
        state->read_back && job->options->verify == PH_VERIFY_DIGEST;
    row->source_digest = state->source_digest;
    row->target_digest = state->target_digest;
    row->verdict = verdict_of(job, index);
}

/* The snapshot a table was copied under; 0: not yet, or it has no chunks. */
static uint32_t
epoch_of(const struct ph_job *job, const struct ph_table_plan *table)
{
    const struct ph_chunk_state *state = &job->chunk_states[table->first_chunk];

    return table->n_chunks > 0 && state->done ? state->epoch : 0;
}

/*
 * After the holder died: one table is as of one moment, but not all tables as of the same. A stream
 * brings them to one, whether their snapshot was lost, renewed, or that of tables added later.
 */
static void
report_snapshots(struct ph_job *job)
{
    uint32_t last = 0;
    char label[160];

    if (job->follows)
        return;
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        uint32_t epoch = epoch_of(job, &job->plan.tables[i]);
        last = epoch > last ? epoch : last;
    }
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        uint32_t epoch = epoch_of(job, &job->plan.tables[i]);
        if (epoch == 0 || epoch == last)
            continue;
        ph_plan_table_label(&job->plan.tables[i], label, sizeof label);
        ph_report_add_finding(&job->run->report, PH_FINDING_WARNING, "snapshot", label,
                              "copied under snapshot %u, which was lost; later tables are of "
                              "snapshot %u",
                              epoch, last);
    }
}

/* Of a report that is not proven. */
static const char *
were_compared(const struct ph_job *job)
{
    const struct ph_report *report = &job->run->report;

    for (uint32_t i = 0; i < report->n_findings; i++) {
        if (strcmp(report->findings[i].kind, PH_COPY_BARE_COLUMN) == 0)
            return "not copied with all columns: see the warnings";
    }
    return job->options->verify == PH_VERIFY_COUNT ? "only counted" : "not compared";
}

/* What is proven is the copy; the stream is applied whole or not at all. */
static void
end_followed(struct ph_job *job)
{
    struct ph_report *report = &job->run->report;
    bool is_proven = strcmp(job->ledger.verdict, "proven") == 0;
    char lsn[PH_LSN_TEXT];
    char count[PH_HUMAN_SIZE];

    ph_lsn_print(job->followed.applied, lsn);
    ph_human_count(job->followed.transactions, count);
    ph_report_end(report, is_proven ? PH_VERDICT_PROVEN : PH_VERDICT_NOT_PROVEN,
                  "%s %u table%s %s%s; then followed to %s, %s transactions by this run",
                  is_proven ? "proven: every row of" : "not proven: the rows of", report->n_tables,
                  report->n_tables == 1 ? "" : "s",
                  is_proven ? "was compared and is equal" : "were ",
                  is_proven ? "" : were_compared(job), lsn, count);
}

static void
end_report(struct ph_job *job, ph_code rc, const struct ph_error *err)
{
    struct ph_report *report = &job->run->report;

    if (rc == PH_OK && job->was_done)
        ph_log(PH_LOG_INFO, "job.done",
               "an earlier run finished this job; to copy again: --restart --yes, into an empty "
               "target");
    if (rc == PH_OK && job->options->schema_only && strcmp(job->ledger.verdict, "proven") == 0)
        ph_report_end(report, PH_VERDICT_PROVEN,
                      "proven: the schema is the same on both sides; no rows were asked for");
    else if (rc == PH_OK && job->followed.applied != 0)
        end_followed(job);
    else if (rc == PH_OK && strcmp(job->ledger.verdict, "proven") == 0)
        ph_report_end(report, PH_VERDICT_PROVEN,
                      "proven: every row of %u table%s was compared and is equal", report->n_tables,
                      report->n_tables == 1 ? "" : "s");
    else if (rc == PH_OK)
        ph_report_end(report, PH_VERDICT_NOT_PROVEN,
                      "not proven: the copy is finished, rows were %s", were_compared(job));
    else if (rc == PH_E_DIFFERENT || rc == PH_E_QUARANTINE)
        ph_report_end(report, PH_VERDICT_DIFFERENT, "%s: %s",
                      rc == PH_E_DIFFERENT ? "different" : "not all rows arrived", err->message);
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
        row->rows_left_out = tables[i].rows_left_out;
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
        report_snapshots(job);
    } else if (job->was_done && job->target_control != NULL) {
        report_from_ledger(job);
    }
    end_report(job, rc, err);
}
