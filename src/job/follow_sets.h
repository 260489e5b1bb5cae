/*
 * Which tables may be applied apart from each other, and by whom. Pure.
 *
 * Together stay tables that foreign keys of the target join, by whatever way, partitions of one
 * table on either side, what inherits from one another, and all whose rows go to the same table.
 */
#ifndef PH_JOB_FOLLOW_SETS_H
#define PH_JOB_FOLLOW_SETS_H

#include <stdint.h>

#include "base/error.h"
#include "model/catalog.h"
#include "model/plan.h"

struct ph_inherits {
    ph_oid child;
    ph_oid parent;
};

struct ph_follow_sets_params {
    const struct ph_plan *plan;
    const struct ph_catalog *target;
    const struct ph_inherits *inherits; /* of the target */
    uint32_t n_inherits;
    uint32_t most; /* workers, at least 1 */
};

/*
 * worker_of[i], of plan->n_tables: the number of the worker that applies the plan's i-th table,
 * from 1 to *n_workers; sets are dealt out so that each has about as many bytes. PH_E_MEMORY.
 */
ph_code ph_follow_sets_deal(const struct ph_follow_sets_params *params, uint32_t *worker_of,
                            uint32_t *n_workers, struct ph_error *err) PH_MUST_CHECK;

#endif
