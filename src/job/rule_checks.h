/*
 * The job file's `checks:`, asked of both databases when the rows are in: counts per combination of
 * values, orphans, tables that should have as many rows as another, duplicates. What they find
 * stands in the report.
 */
#ifndef PH_JOB_RULE_CHECKS_H
#define PH_JOB_RULE_CHECKS_H

#include "base/error.h"
#include "job/options.h"
#include "job/report.h"
#include "model/catalog.h"
#include "pg/conn.h"

struct ph_rule_checks_params {
    const struct ph_options *options;
    struct ph_conn *source; /* both in transactions whose snapshots count */
    struct ph_conn *target;
    const struct ph_catalog *target_catalog;
    struct ph_report *report;
};

/*
 * *n_failed: checks that failed and are said to fail the job. PH_E_RULES: a check names what is not
 * there; connecting to another database may fail as it does.
 */
ph_code ph_rule_checks_run(const struct ph_rule_checks_params *params, uint32_t *n_failed,
                           struct ph_error *err) PH_MUST_CHECK;

#endif
