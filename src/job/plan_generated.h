/*
 * Generated columns: the copy leaves them to the target, the proof reads them on both sides.
 * Pure, on immutable catalogs.
 */
#ifndef PH_JOB_PLAN_GENERATED_H
#define PH_JOB_PLAN_GENERATED_H

#include <stdbool.h>

#include "base/error.h"
#include "model/plan.h"

/*
 * Append to `table`'s columns what the target generates and the source has, too; format and OID
 * rewriting are chosen again. *extended false: there is no such column and nothing was changed.
 * PH_E_TYPES, nothing changed: their types do not compare.
 */
ph_code ph_plan_add_generated(struct ph_table_plan *table, const struct ph_catalog *source,
                              const struct ph_catalog *target, struct ph_arena *arena,
                              bool *extended, struct ph_error *err);

#endif
