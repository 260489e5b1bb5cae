/*
 * A table of the plan whose rows take a route of the job's rules: what the route says, in the
 * plan's words. For the planner, and for the plan that is read back from the ledger.
 */
#ifndef PH_JOB_PLAN_ROUTE_H
#define PH_JOB_PLAN_ROUTE_H

#include "base/error.h"
#include "model/plan.h"
#include "rules/ruleset.h"

/* Target, columns, conditions and inputs, in `arena`. Key, format and the rest are not touched. */
ph_code ph_plan_set_route(struct ph_table_plan *table, const struct ph_rules_in_use *rules,
                          const struct ph_route *route, struct ph_arena *arena,
                          struct ph_error *err) PH_MUST_CHECK;

/*
 * With a program everything is binary: table->format and remap are set. PH_E_TYPES names a column
 * whose values only text can carry.
 */
ph_code ph_plan_set_program_format(struct ph_table_plan *table, const struct ph_catalog *source,
                                   const struct ph_catalog *target, struct ph_arena *arena,
                                   struct ph_error *err) PH_MUST_CHECK;

/*
 * Whether the source's server can count the rows that arrive. How many are made of one, go to
 * quarantine, or stay out as the target preserves them is known only row by row.
 */
bool ph_plan_rows_can_be_counted(const struct ph_table_plan *table);

/* Whether both fill the same columns of their target. */
bool ph_plan_fills_alike(const struct ph_table_plan *a, const struct ph_table_plan *b);

#endif
