/*
 * From the tables of the stream to the tables of the target: one ph_apply_table for each, made when
 * the stream first says what it looks like, and one more when it says so differently. Announcements
 * are known again by what they say, so that readers of the same stream have the same tables.
 *
 * One thread. Everything refers to the plan and both catalogs, which must outlive it.
 */
#ifndef PH_FLOW_APPLY_TABLES_H
#define PH_FLOW_APPLY_TABLES_H

#include "apply/table.h"
#include "base/arena.h"
#include "model/plan.h"

struct ph_apply_tables_params {
    const struct ph_plan *plan;
    const struct ph_catalog *source;
    const struct ph_catalog *target; /* read when the domains had been made */
    enum ph_format stream;
    bool enforces_keys;
};

struct ph_apply_tables {
    struct ph_apply_tables_params params;
    struct ph_arena arena;
    struct ph_apply_place *places; /* sorted by OID */
    uint32_t n_places;
};

/* PH_E_MEMORY. Free also after a failure. */
ph_code ph_apply_tables_init(struct ph_apply_tables *tables,
                             const struct ph_apply_tables_params *params,
                             struct ph_error *err) PH_MUST_CHECK;
void ph_apply_tables_free(struct ph_apply_tables *tables);

/* The reader that `rel`s came from is gone, and with it their addresses. */
void ph_apply_tables_forget_rels(struct ph_apply_tables *tables);

/* *out NULL: the table is not part of the plan. The errors of ph_apply_table_build. */
ph_code ph_apply_tables_find(struct ph_apply_tables *tables, const struct ph_stream_rel *rel,
                             const struct ph_apply_table **out, struct ph_error *err) PH_MUST_CHECK;

#endif
