/*
 * The job file's checks of the target. A copy asks them with its proof. One that follows asks
 * those of the target alone again at its end, since rows have changed since; how many rows the
 * source has is known of the copy's snapshot only, and stays as it was told.
 */
#include <string.h>

#include "job/copy_parts.h"
#include "job/rule_checks.h"
#include "pg/ledger_finding.h"
#include "pg/snapshot.h"

#define KIND "check"

/* ---- whether the source's snapshot is that of the rows ---- */

static bool
is_name(const struct ph_rule_name *name, const char *schema, const char *table)
{
    return strcmp(name->schema, schema) == 0 && strcmp(name->name, table) == 0;
}

static bool
concerns(const struct ph_rule_check *check, const struct ph_table_plan *table)
{
    bool is_one = is_name(&check->table, table->source->schema, table->source->name);

    for (uint32_t i = 0; i < check->n_others; i++)
        is_one |= is_name(&check->others[i], table->target->schema, table->target->name);
    return is_one;
}

/* With a stream, tables of several snapshots have been brought to a later moment by now. */
static bool
is_of_one_snapshot(const void *arg, const struct ph_rule_check *check)
{
    const struct ph_job *job = arg;

    if (job->follows && job->epoch.number > 1)
        return false;
    for (uint32_t i = 0; i < job->plan.n_chunks; i++) {
        const struct ph_table_plan *table = &job->plan.tables[job->plan.chunks[i].table];
        if (job->chunk_states[i].epoch != job->epoch.number && concerns(check, table))
            return false;
    }
    return true;
}

/* ---- with the proof ---- */

ph_code
ph_copy_run_checks(struct ph_job *job, uint32_t *n_different, struct ph_error *err)
{
    struct ph_rule_checks_params params = {
        .options = job->options,
        .side = PH_TARGET,
        .when = job->follows ? PH_CHECKS_BEFORE_STREAM : PH_CHECKS_FOR_GOOD,
        .source = job->source_control,
        .target = job->target_control,
        .catalog = &job->target_catalog,
        .report = &job->run->report,
        .is_of_one_snapshot = is_of_one_snapshot,
        .arg = job,
    };
    uint32_t n = 0;

    if (job->options->rules == NULL || job->options->schema_only)
        return PH_OK;
    PH_TRY(ph_snapshot_import(job->source_control, job->epoch.snapshot_id, err));
    ph_code rc = ph_conn_exec(job->target_control, "BEGIN ISOLATION LEVEL REPEATABLE READ", err);
    if (rc == PH_OK)
        rc = ph_rule_checks_run(&params, &n, err);
    (void)ph_conn_exec(job->source_control, "ROLLBACK", NULL);
    (void)ph_conn_exec(job->target_control, "ROLLBACK", NULL);
    *n_different += n;
    return rc;
}

/* ---- at the end of a stream ---- */

/* Those that are asked again. */
static bool
is_asked_again(const struct ph_job_rules *rules, const char *label)
{
    for (uint32_t i = 0; i < rules->n_checks; i++) {
        const struct ph_rule_check *check = &rules->checks[i];
        if (ph_rule_check_is_of_end(check) && strcmp(check->name, label) == 0)
            return true;
    }
    return false;
}

static void
forget_earlier(const struct ph_job_rules *rules, struct ph_report *report)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < report->n_findings; i++) {
        if (strcmp(report->findings[i].kind, KIND) != 0 ||
            !is_asked_again(rules, report->findings[i].object))
            report->findings[n++] = report->findings[i];
    }
    report->n_findings = n;
}

static ph_code
save(struct ph_job *job, const struct ph_ledger_finding *findings, uint32_t n, struct ph_error *err)
{
    struct ph_conn *conn = job->target_control;

    PH_TRY(ph_conn_exec(conn, "BEGIN", err));
    ph_code rc = ph_ledger_save_findings(conn, job->options->name, findings, n, err);
    if (rc == PH_OK)
        return ph_conn_exec(conn, "COMMIT", err);
    (void)ph_conn_leave_transaction(conn, NULL);
    return rc;
}

/* What the copy's proof has found, with the checks as they are now. */
static ph_code
keep(struct ph_job *job, struct ph_error *err)
{
    const struct ph_report *report = &job->run->report;
    struct ph_ledger_finding *kept;
    struct ph_ledger_finding *all;
    uint32_t n_kept;
    uint32_t n = 0;

    PH_TRY(ph_ledger_load_findings(job->target_control, job->options->name, &job->arena, &kept,
                                   &n_kept, err));
    all = PH_ARENA_ARRAY(&job->arena, struct ph_ledger_finding,
                         (size_t)n_kept + report->n_findings + 1);
    if (all == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < n_kept; i++) {
        if (strcmp(kept[i].kind, KIND) != 0)
            all[n++] = kept[i];
    }
    for (uint32_t i = 0; i < report->n_findings; i++) {
        const struct ph_report_finding *found = &report->findings[i];
        if (strcmp(found->kind, KIND) == 0)
            all[n++] = (struct ph_ledger_finding){found->severity, found->kind, found->object,
                                                  found->text};
    }
    return save(job, all, n, err);
}

ph_code
ph_copy_end_checks(struct ph_job *job, uint32_t *n_different, struct ph_error *err)
{
    struct ph_rule_checks_params params = {
        .options = job->options,
        .side = PH_TARGET,
        .when = PH_CHECKS_AFTER_STREAM,
        .target = job->target_control,
        .catalog = &job->target_catalog,
        .report = &job->run->report,
    };

    *n_different = 0;
    if (job->options->rules == NULL || job->options->rules->n_checks == 0)
        return PH_OK;
    forget_earlier(job->options->rules, params.report);
    PH_TRY(ph_conn_exec(job->target_control, "BEGIN ISOLATION LEVEL REPEATABLE READ", err));
    ph_code rc = ph_rule_checks_run(&params, n_different, err);
    (void)ph_conn_leave_transaction(job->target_control, NULL);
    PH_TRY(rc);
    return keep(job, err);
}
