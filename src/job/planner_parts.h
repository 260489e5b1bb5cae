/* Inside job/planner*.c only: the steps of making a plan and what they share. */
#ifndef PH_JOB_PLANNER_PARTS_H
#define PH_JOB_PLANNER_PARTS_H

#include "base/buf.h"
#include "job/planner.h"

struct ph_planner {
    const struct ph_planner_params *params;
    const struct ph_catalog *source;
    const struct ph_catalog *target; /* the source's when the target has no tables yet */
    struct ph_arena *arena;
    struct ph_plan *plan;
    struct ph_error *err;
    const struct ph_rel **target_by_name; /* ordered by schema and name */
    ph_oid asked_root;                    /* the last one that was asked about, and the answer */
    bool needs_root;
    struct ph_buf problems; /* of tables that do not fit, "; "-separated */
};

static inline ph_code
ph_planner_no_memory(const struct ph_planner *planner)
{
    return PH_FAIL(planner->err, PH_E_MEMORY, "no memory for the plan");
}
/* Begin the next problem: the rest of it is put into planner->problems by the caller. */
void ph_planner_problem(struct ph_planner *planner, const struct ph_rel *rel);

/* planner_match.c: target, columns, key and format of one table. Problems are collected. */
ph_code ph_planner_index_target(struct ph_planner *planner);
ph_code ph_planner_match(struct ph_planner *planner, struct ph_table_plan *table);
/* Tables that share a target must hash alike. */
ph_code ph_planner_align(struct ph_planner *planner);

/* planner_format.c: text where a sample says that it is cheaper than binary. */
ph_code ph_planner_weigh_format(struct ph_planner *planner, struct ph_table_plan *table);

/* planner_order.c: levels and groups; the order of plan->tables. */
ph_code ph_planner_order(struct ph_planner *planner);

/* planner_chunks.c: chunks and lots of tables in their final order; FREEZE. */
ph_code ph_planner_chunks(struct ph_planner *planner);

#endif
