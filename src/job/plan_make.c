/* The rules and the plan of a job, for the copy and for `pghaul plan`. */
#include <stdio.h>

#include "job/copy_parts.h"
#include "job/planner.h"
#include "rules/ruleset.h"

static struct ph_rules_params
rules_params(struct ph_job *job)
{
    bool has_target = job->target_catalog.version_num != 0;

    return (struct ph_rules_params){
        .options = job->options,
        .source = &job->source_catalog,
        .target = has_target ? &job->target_catalog : NULL,
        .selection = job->join.all != NULL ? job->join.all : &job->selection,
        .conn = has_target ? job->target_control : job->source_control,
        .follows = job->options->follow,
        .keys_come_later = !job->options->data_only,
        .preserving = {.target = &job->target,
                       .catalog = &job->target_catalog,
                       .job = job->options->name},
    };
}

ph_code
ph_job_make_rules(struct ph_job *job, struct ph_error *err)
{
    struct ph_rules_made former = job->rules;
    struct ph_rules_params params = rules_params(job);

    params.former = &former;
    ph_code rc = ph_rules_make(&params, &job->rules, err);
    ph_rules_free(&former);
    return rc;
}

ph_code
ph_job_rules_are_laxer(struct ph_job *job, bool *are_laxer, struct ph_error *err)
{
    const struct ph_rules_params params = rules_params(job);

    return ph_rules_are_laxer(&params, &job->rules, job->ledger.rules, are_laxer, err);
}

ph_code
ph_copy_make_plan(struct ph_job *job, struct ph_error *err)
{
    const struct ph_options *o = job->options;
    bool has_target = job->target_catalog.version_num != 0;
    /* with a schema that is there already, its keys stay enforced unless we may switch that off */
    bool enforced = o->data_only && !job->target_catalog.can_set_replica_role;
    struct ph_planner_params params = {
        .source = &job->source_catalog,
        .target = has_target ? &job->target_catalog : NULL,
        .selection = &job->selection,
        .source_conn = job->source_control,
        .split_bytes = o->split_bytes,
        .split_by = o->split_by,
        .jobs = job->jobs,
        .order = enforced ? PH_ORDER_BY_FK : PH_ORDER_BY_SIZE,
        .freeze = o->data_only ? PH_FREEZE_NEVER : PH_FREEZE_WHERE_SAFE,
    };

    PH_TRY(ph_job_make_rules(job, err));
    params.rules = &job->rules.in_use;
    snprintf(job->ledger.rules, sizeof job->ledger.rules, "%s",
             job->rules.set == NULL ? "" : ph_ruleset_fingerprint(job->rules.set));
    snprintf(job->ledger.rule_marks, sizeof job->ledger.rule_marks, "%s", job->rules.marks);
    PH_TRY(ph_conn_exec(job->source_control, "BEGIN READ ONLY", err));
    ph_code rc = ph_planner_make(&params, &job->arena, &job->plan, err);
    (void)ph_conn_exec(job->source_control, "ROLLBACK", NULL);
    if (o->schema_only) {
        job->plan.n_tables = job->plan.n_chunks = job->plan.n_lots = 0;
        job->plan.bytes = job->plan.rows = 0;
    }
    return rc;
}
