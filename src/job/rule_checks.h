/*
 * The job file's `checks:`: counts per combination of values, orphans, tables that should have as
 * many rows as another, duplicates. Those of the target are asked when the rows are in, and what
 * they find stands in the report; those of the source before anything is written.
 */
#ifndef PH_JOB_RULE_CHECKS_H
#define PH_JOB_RULE_CHECKS_H

#include "base/error.h"
#include "job/options.h"
#include "job/report.h"
#include "model/catalog.h"
#include "model/finding.h"
#include "pg/conn.h"
#include "rules/job_rules.h"
#include "rules/ruleset.h"

enum ph_rule_checks_when {
    PH_CHECKS_FOR_GOOD,
    PH_CHECKS_BEFORE_STREAM, /* what is asked again at its end is told, and fails nothing */
    PH_CHECKS_AFTER_STREAM   /* only that is asked: the source is somewhere else by now */
};

struct ph_rule_checks_params {
    const struct ph_options *options;
    enum ph_side side; /* the checks that are asked: those on the source or on the target */
    enum ph_rule_checks_when when;
    struct ph_conn *source; /* both in transactions whose snapshots count; after a stream NULL */
    struct ph_conn *target; /* not needed for those on the source */
    const struct ph_catalog *catalog;    /* of that side */
    const struct ph_rules_in_use *rules; /* with checks on the source: what may not be told */
    struct ph_report *report;            /* where findings go; NULL: to `findings` */
    struct ph_findings *findings;
    /* whether the source's snapshot is that of all rows which a check is about; NULL: it is */
    bool (*is_of_one_snapshot)(const void *arg, const struct ph_rule_check *check);
    const void *arg;
};

/* Whether it is about the target alone, and so about the end of a stream too. */
bool ph_rule_check_is_of_end(const struct ph_rule_check *check);

/*
 * *n_failed: checks that failed and are said to fail the job. PH_E_RULES: a check names what is not
 * there; connecting to another database may fail as it does.
 */
ph_code ph_rule_checks_run(const struct ph_rule_checks_params *params, uint32_t *n_failed,
                           struct ph_error *err) PH_MUST_CHECK;

#endif
