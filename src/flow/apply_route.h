/*
 * A table of the plan whose rows take a route of the job's rules, as the stream's changes are
 * applied to it. With a program in between, what apply gets are rows as the program makes them: so
 * the table is described as if the target itself were announced as the source, with the columns
 * that the route fills.
 *
 * Rows are found by a key that can be told from what the stream says of an old row: the plan's key,
 * when its columns are made of the replica identity alone; else columns that together tell one
 * identity from another. Under FULL all can be computed, and where there is no key rows are found
 * whole.
 *
 * Pure functions; any thread.
 */
#ifndef PH_FLOW_APPLY_ROUTE_H
#define PH_FLOW_APPLY_ROUTE_H

#include "apply/table.h"
#include "rules/ruleset.h"

/*
 * Whether changes of a table that is announced so can go along the route of `table` exactly.
 * PH_E_RULES: not in the stream at all; PH_E_IDENTITY: not without REPLICA IDENTITY FULL, the hint
 * has the statement; PH_E_TYPES: the rules read a column that is not there, or is of another type.
 */
ph_code ph_apply_route_check(const struct ph_table_plan *table, const struct ph_stream_rel *rel,
                             struct ph_error *err) PH_MUST_CHECK;

/*
 * ph_apply_table_build for params->plan, which has a route. *inputs: the field of the stream for
 * each input of the route's program, in `arena`; NULL without one, then changes go as they are. The
 * errors of both.
 */
ph_code ph_apply_route_build(const struct ph_apply_table_params *params, struct ph_arena *arena,
                             const struct ph_apply_table **out, const uint32_t **inputs,
                             struct ph_error *err) PH_MUST_CHECK;

#endif
