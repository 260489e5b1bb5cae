/* Libraries of operators that users bring along. */
#ifndef PH_RULES_LIBRARY_H
#define PH_RULES_LIBRARY_H

#include "base/error.h"
#include "pghaul/rule.h"

struct ph_ruleset;

/*
 * Open one, or find it among those that the set has open; the set closes them. `path` is relative
 * to the job file's folder. PH_E_RULES: no such file, or of another interface; PH_E_COMPILER: it is
 * not safe to load.
 */
ph_code ph_rules_open_library(struct ph_ruleset *set, const char *job_file, const char *path,
                              const struct ph_rule_library **out,
                              struct ph_error *err) PH_MUST_CHECK;

#endif
