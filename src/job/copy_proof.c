/*
 * The end of the proof: tables whose read-back differed are read down to the rows, and what is not
 * rows (sequences, large objects, the schema) is compared. Then the verdict is written.
 */
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/stop.h"
#include "job/copy_parts.h"
#include "job/join.h"
#include "job/publish.h"
#include "job/rows.h"
#include "job/verify.h"
#include "pg/catalog.h"
#include "pg/ledger_finding.h"
#include "pg/ledger_quarantine.h"
#include "pg/snapshot.h"

/* ---- rows ---- */

static bool
differs(const struct ph_job *job, uint32_t table)
{
    return job->table_states[table].read_back && !job->table_states[table].verified;
}

/* Nothing less is called proven. */
static bool
is_every_table_equal(const struct ph_job *job)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (!job->table_states[i].verified)
            return false;
    }
    return true;
}

/* All tables of the plan with the target of table `first`, which is the first of them. */
static uint32_t
gather(const struct ph_job *job, uint32_t first, const struct ph_table_plan **out)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (job->plan.tables[i].target != job->plan.tables[first].target)
            continue;
        if (i < first)
            return 0;
        out[n++] = job->proof_plans[i] != NULL ? job->proof_plans[i] : &job->plan.tables[i];
    }
    return n;
}

static ph_code
name_rows(struct ph_job *job, uint32_t first, struct ph_error *err)
{
    const struct ph_table_plan **tables =
        PH_ARENA_ARRAY(&job->arena, const struct ph_table_plan *, job->plan.n_tables);
    uint64_t n;

    if (tables == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    struct ph_verify_rows_params params = {
        .options = job->options,
        .source = job->source_control,
        .target = job->target_control,
        .tables = tables,
        .n_tables = gather(job, first, tables),
        .report = &job->run->report,
    };
    return params.n_tables == 0 ? PH_OK : ph_verify_table_rows(&params, &n, err);
}

/* Under another snapshot than its rows were read, a table would differ in what was written since.
 */
static bool
is_of_this_snapshot(const struct ph_job *job, const struct ph_table_plan *table)
{
    for (uint32_t i = table->first_chunk; i < table->first_chunk + table->n_chunks; i++) {
        if (job->chunk_states[i].epoch != job->epoch.number)
            return false;
    }
    return true;
}

/*
 * A lost snapshot leaves the tables different without names: the digests have said so. So does a
 * stream that has brought several snapshots together: no snapshot is what the target has by now.
 */
static ph_code
name_all_rows(struct ph_job *job, uint32_t *n_different, struct ph_error *err)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++)
        *n_different += differs(job, i);
    if (*n_different == 0 || (job->follows && job->epoch.number > 1))
        return PH_OK;
    PH_TRY(ph_snapshot_import(job->source_control, job->epoch.snapshot_id, err));
    ph_code rc = ph_conn_exec(job->target_control, "BEGIN ISOLATION LEVEL REPEATABLE READ", err);
    for (uint32_t i = 0; rc == PH_OK && i < job->plan.n_tables; i++) {
        if (differs(job, i) && is_of_this_snapshot(job, &job->plan.tables[i]))
            rc = name_rows(job, i, err);
    }
    (void)ph_conn_exec(job->source_control, "ROLLBACK", NULL);
    (void)ph_conn_exec(job->target_control, "ROLLBACK", NULL);
    return rc;
}

/* ---- the rest ---- */

/* What the job had was the same once; the source's indexes may have changed since. */
static bool
has_proven_schema(const struct ph_job *job)
{
    return job->join.is_under_way && strcmp(job->ledger.verdict, "different") != 0;
}

/*
 * The source may be written to: large objects and definitions are compared as the job's snapshot
 * has them, and sequences, which no snapshot holds, with the values that they were set to.
 */
static ph_code
compare_rest(struct ph_job *job, uint32_t *n_different, struct ph_error *err)
{
    struct ph_selection fresh;
    struct ph_selection all = job->selection;
    struct ph_verify_rest_params params = {
        .options = job->options,
        .source = job->source_control,
        .target = job->target_control,
        .source_catalog = &job->source_catalog,
        .target_catalog = &job->target_catalog,
        .selection = &all,
        .ruleset = job->rules.set,
        .report = &job->run->report,
        .is_one_database = job->is_one_database,
        /* as of another snapshot, and mended at the end of the follow */
        .leaves_objects = job->follows && job->epoch.number > 1,
    };
    uint32_t n = 0;
    ph_code rc = PH_OK;

    /* its large objects were compared, and may have changed since */
    all.whole_database &= !(job->join.is_under_way && job->join.before.whole_database);

    if (!job->options->schema_only && !job->sequences_set)
        PH_TRY(ph_copy_set_sequences(job, err));
    PH_TRY(ph_snapshot_import(job->source_control, job->epoch.snapshot_id, err));
    rc = ph_conn_exec(job->target_control, "BEGIN ISOLATION LEVEL REPEATABLE READ", err);
    if (rc == PH_OK && !job->options->schema_only)
        rc = ph_catalog_read_sequences(job->target_control, &job->target_catalog, err);
    if (rc == PH_OK && !job->options->schema_only)
        rc = ph_verify_rest(&params, &n, err);
    *n_different += n;
    n = 0;
    if (rc == PH_OK && has_proven_schema(job)) {
        rc = ph_join_select_new(job, &fresh, err);
        params.selection = &fresh;
    }
    if (rc == PH_OK && !job->options->data_only)
        rc = ph_verify_schema(&params, &n, err);
    (void)ph_conn_exec(job->source_control, "ROLLBACK", NULL);
    (void)ph_conn_exec(job->target_control, "ROLLBACK", NULL);
    *n_different += n;
    return rc;
}

/* ---- the verdict ---- */

/* A warning for each table that has rows there. */
static ph_code
tell_quarantine(struct ph_job *job, uint64_t *n, struct ph_error *err)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        uint64_t rows = 0;
        for (uint32_t c = 0; c < table->n_chunks; c++)
            rows += job->chunk_states[table->first_chunk + c].quarantined;
        if (rows > 0)
            ph_report_add_finding(&job->run->report, PH_FINDING_WARNING, "quarantine",
                                  table->route_name,
                                  "%llu rows stayed behind: see table "
                                  "pghaul.quarantine on the target",
                                  (unsigned long long)rows);
    }
    return ph_ledger_quarantined(job->target_control, job->options->name, n, err);
}

ph_code
ph_copy_tell_orphans(struct ph_job *job, enum ph_orphans_told_of of, struct ph_error *err)
{
    struct ph_ledger_orphans_told *told;
    uint32_t n;

    PH_TRY(ph_ledger_load_orphans(job->target_control, job->options->name, of, &job->arena, &told,
                                  &n, err));
    for (uint32_t i = 0; i < n; i++) {
        const char *route =
            told[i].table < job->plan.n_tables ? job->plan.tables[told[i].table].route_name : NULL;
        ph_report_add_finding(
            &job->run->report, PH_FINDING_WARNING, "lookup", route != NULL ? route : "",
            "%s: %llu %s found nothing in %s: %s", told[i].column, (unsigned long long)told[i].rows,
            of == PH_ORPHANS_OF_COPY ? "rows" : "changes", told[i].lookup, told[i].values);
    }
    return PH_OK;
}

static void
tell_column(struct ph_job *job, const struct ph_table_plan *table, const char *column)
{
    char label[160];

    ph_plan_table_label(table, label, sizeof label);
    ph_report_add_finding(&job->run->report, PH_FINDING_WARNING, PH_COPY_BARE_COLUMN, label,
                          "column %s was added on the source after the table was copied: it was "
                          "neither copied nor compared; to have it --restart --yes, into an empty "
                          "target",
                          column);
}

/*
 * A later snapshot has columns that the rows of a finished table came without. Changes of a stream
 * bring them, or it finds out. Returns how many were told.
 */
static uint32_t
tell_bare_columns(struct ph_job *job)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        const struct ph_column *column;
        uint32_t at = 0;
        if (job->follows && ph_publish_can(table))
            continue;
        while ((column = ph_job_next_lacking(table, &at)) != NULL) {
            tell_column(job, table, column->name);
            n++;
        }
    }
    return n;
}

static ph_code
find_verdict(struct ph_job *job, const char **verdict, struct ph_error *err)
{
    uint32_t n_bare = tell_bare_columns(job);
    uint32_t n_different = 0;
    uint64_t quarantined;

    *verdict = "not proven";
    PH_TRY(ph_copy_run_checks(job, &n_different, err));
    PH_TRY(tell_quarantine(job, &quarantined, err));
    PH_TRY(ph_copy_tell_orphans(job, PH_ORPHANS_OF_COPY, err));
    PH_TRY(ph_copy_tell_preserved(job, err));
    if (job->options->verify == PH_VERIFY_NONE) {
        *verdict = n_different > 0 ? "different" : quarantined > 0 ? "quarantined" : *verdict;
        return PH_OK;
    }
    PH_TRY(name_all_rows(job, &n_different, err));
    PH_TRY(ph_stop_check(err));
    PH_TRY(compare_rest(job, &n_different, err));
    if (n_different > 0)
        *verdict = "different";
    else if (quarantined > 0)
        *verdict = "quarantined";
    else if (job->options->verify == PH_VERIFY_DIGEST && n_bare == 0 && is_every_table_equal(job))
        *verdict = "proven";
    return PH_OK;
}

/* The target crashed after the rows were in: unlogged tables are empty, and loaded again. */
static ph_code
check_unlogged(struct ph_job *job, struct ph_error *err)
{
    bool alive;

    PH_TRY(ph_ledger_is_alive(job->target_control, job->options->name, &alive, err));
    if (alive)
        return PH_OK;
    PH_TRY(ph_ledger_set_phase(job->target_control, &job->ledger, PH_PHASE_ROWS, err));
    return PH_FAIL(err, PH_E_CONNECT,
                   "the target has crashed: what it keeps without a log is loaded again");
}

/* A run that comes later has only the ledger to tell them from. */
static ph_code
keep_findings(struct ph_job *job, struct ph_error *err)
{
    const struct ph_report *report = &job->run->report;
    struct ph_ledger_finding *kept =
        PH_ARENA_ARRAY(&job->arena, struct ph_ledger_finding, (size_t)report->n_findings + 1);

    if (kept == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < report->n_findings; i++) {
        const struct ph_report_finding *finding = &report->findings[i];
        kept[i] = (struct ph_ledger_finding){finding->severity, finding->kind, finding->object,
                                             finding->text};
    }
    return ph_ledger_save_findings(job->target_control, job->options->name, kept,
                                   report->n_findings, err);
}

static ph_code
write_verdict(struct ph_job *job, const char *verdict, struct ph_error *err)
{
    struct ph_conn *conn = job->target_control;

    PH_TRY(ph_conn_exec(conn, "BEGIN", err));
    ph_code rc = ph_ledger_set_verdict(conn, &job->ledger, verdict,
                                       job->follows ? PH_PHASE_FOLLOW : PH_PHASE_DONE, err);
    if (rc == PH_OK)
        rc = keep_findings(job, err);
    if (rc == PH_OK)
        rc = ph_copy_drop_preserved(job, err);
    if (rc == PH_OK && job->join.is_under_way)
        rc = ph_join_end(job, err);
    PH_FAILPOINT(before_verdict_commit);
    if (rc == PH_OK)
        return ph_conn_exec(conn, "COMMIT", err);
    (void)ph_conn_leave_transaction(conn, NULL);
    return rc;
}

/* An earlier run did not want its tables read back, and this one wants a proof. */
static ph_code
read_back_the_rest(struct ph_job *job, struct ph_error *err)
{
    /* with a stream, changes may have been applied since */
    if (job->options->verify == PH_VERIFY_NONE || job->follows)
        return PH_OK;
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (!job->table_states[i].read_back)
            return ph_rows_run(job, NULL, err);
    }
    return PH_OK;
}

/*
 * The last commit is a synchronous one, as all of this session are: it makes earlier, asynchronous
 * ones of the others durable before anybody is told that the copy is finished.
 */
ph_code
ph_copy_proof_phase(struct ph_job *job, struct ph_error *err)
{
    const char *verdict;

    PH_TRY(ph_job_load_plan(job, err));
    PH_TRY(check_unlogged(job, err));
    PH_TRY(ph_job_plan_proof(job, err));
    PH_TRY(read_back_the_rest(job, err));
    PH_TRY(find_verdict(job, &verdict, err));
    PH_TRY(write_verdict(job, verdict, err));
    PH_FAILPOINT(after_verdict);
    ph_job_release_epoch(job);
    return PH_OK;
}

ph_code
ph_copy_tell_kept(struct ph_job *job, struct ph_error *err)
{
    struct ph_ledger_finding *findings;
    uint32_t n;

    PH_TRY(ph_ledger_load_findings(job->target_control, job->options->name, &job->arena, &findings,
                                   &n, err));
    for (uint32_t i = 0; i < n; i++)
        ph_report_add_finding(&job->run->report, findings[i].severity, findings[i].kind,
                              findings[i].object, "%s", findings[i].text);
    return PH_OK;
}

ph_code
ph_copy_verdict(struct ph_job *job, struct ph_error *err)
{
    if (strcmp(job->ledger.verdict, "quarantined") == 0) {
        PH_FAIL(err, PH_E_QUARANTINE, "rows are in quarantine; all others were compared");
        ph_error_object(err, "job %s", job->options->name);
        return PH_E_QUARANTINE;
    }
    if (strcmp(job->ledger.verdict, "different") != 0)
        return PH_OK;
    if (job->followed.conflicts > 0)
        PH_FAIL(err, PH_E_DIFFERENT, "changes of the stream were left out or put over other rows");
    else
        PH_FAIL(err, PH_E_DIFFERENT, "the target differs from the source");
    ph_error_object(err, "job %s", job->options->name);
    return PH_E_DIFFERENT;
}
