/*
 * pghaul's own operators: tables of rows as include/pghaul/rule.h describes them, one file a
 * family. The check of the rules, `rules list` and the documentation read the same tables.
 */
#ifndef PH_RULES_OPS_H
#define PH_RULES_OPS_H

#include "pghaul/rule.h"

struct ph_rule_family {
    const char *name; /* "text", "masks": the heading in lists */
    const struct ph_rule_op *ops;
    uint32_t n_ops;
};

/* All of them, in the order of the documentation; the last has no name. */
extern const struct ph_rule_family ph_rule_families[];

#endif
