/*
 * From two catalogs and the selection to the plan. Nothing is written to either server.
 *
 * - Tables and columns are matched by name. The target may have its columns in another order, and
 *   more of them when they may stay empty; a column of the source that the target lacks is an
 * error. What the target generates is left to it.
 * - A partition goes into the target's partition of the same name when everything about its place
 * is the same on both sides, else into the target's root, which routes the rows. Several tables of
 * the plan then share one `target`: they have the same columns, key, format and number of buckets,
 * so that the sums of their digests compare with that target read once.
 * - A table that rules say something of has a table of the plan for each of its routes.
 * - `level` and `group` follow the enforced foreign keys of both sides, a partitioned table
 * counting as one; they decide the order only with PH_ORDER_BY_FK.
 */
#ifndef PH_JOB_PLANNER_H
#define PH_JOB_PLANNER_H

#include "base/error.h"
#include "job/select.h"
#include "model/catalog.h"
#include "model/plan.h"
#include "pg/conn.h"

enum ph_plan_order {
    PH_ORDER_BY_SIZE, /* largest first */
    PH_ORDER_BY_FK    /* foreign keys are enforced while loading: parents first, then by size */
};

enum ph_plan_freeze {
    PH_FREEZE_NEVER,
    PH_FREEZE_WHERE_SAFE /* pghaul truncates each table in the transaction that loads it */
};

struct ph_rules_in_use; /* rules/ruleset.h */

struct ph_planner_params {
    const struct ph_catalog *source;
    const struct ph_catalog *target; /* with its tables; NULL: they will be made as on the source */
    const struct ph_selection *selection;
    const struct ph_rules_in_use
        *rules;                  /* of these catalogs; NULL, or an empty one: rows go as they are */
    struct ph_conn *source_conn; /* for histograms; NULL: no key ranges */
    uint64_t split_bytes;
    enum ph_split_by split_by;
    uint32_t jobs; /* at least 1 */
    enum ph_plan_order order;
    enum ph_plan_freeze freeze;
};

/*
 * All of `out` lives in `arena`, refers to both catalogs and must not outlive them. Errors that
 * concern tables name all of them as far as the message has room: PH_E_RIGHTS, PH_E_RLS (rows would
 * be hidden), PH_E_TYPES (the target does not fit); PH_E_MEMORY.
 */
ph_code ph_planner_make(const struct ph_planner_params *params, struct ph_arena *arena,
                        struct ph_plan *out, struct ph_error *err);
/*
 * Whether ranges of the column can be read without reading all of the table: it leads a unique
 * index, and literals of its type compare as the values do in every locale.
 */
bool ph_planner_is_range_column(const struct ph_catalog *catalog, const struct ph_rel *rel,
                                const struct ph_column *column);

#endif
