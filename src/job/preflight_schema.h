/* What of the schema can be known to fail, or to come out different, before anything is written. */
#ifndef PH_JOB_PREFLIGHT_SCHEMA_H
#define PH_JOB_PREFLIGHT_SCHEMA_H

#include <stdbool.h>

#include "base/error.h"
#include "job/options.h"
#include "model/finding.h"
#include "pg/conn.h"

struct ph_preflight_schema {
    struct ph_conn *source;
    struct ph_conn *target;
    const struct ph_options *options;
    bool whole_database; /* no selection */
};

/*
 * Owners that the target's role cannot give objects to, other versions of extensions, locale, what
 * only a superuser can make, what is left out.
 * Adds findings; an error is only what keeps from looking.
 */
ph_code ph_preflight_schema_check(const struct ph_preflight_schema *preflight,
                                  struct ph_findings *findings, struct ph_error *err);

#endif
