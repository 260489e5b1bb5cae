/*
 * From the tables of the stream to the tables of the target: one ph_apply_table for each way that
 * rows take, made when the stream first says what the source's table looks like, and one more when
 * it says so differently. Announcements are known again by what they say, so that readers of the
 * same stream have the same tables.
 *
 * One thread. Everything refers to the plan and both catalogs, which must outlive it.
 */
#ifndef PH_FLOW_APPLY_TABLES_H
#define PH_FLOW_APPLY_TABLES_H

#include "apply/table.h"
#include "base/arena.h"
#include "flow/reshape.h"
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
    struct ph_apply_place *places; /* sorted by OID, those of one in the plan's order */
    uint32_t n_places;
};

/* PH_E_MEMORY. Free also after a failure. */
ph_code ph_apply_tables_init(struct ph_apply_tables *tables,
                             const struct ph_apply_tables_params *params,
                             struct ph_error *err) PH_MUST_CHECK;
void ph_apply_tables_free(struct ph_apply_tables *tables);

/* The reader that `rel`s came from is gone, and with it their addresses. */
void ph_apply_tables_forget_rels(struct ph_apply_tables *tables);

/* A table of the plan whose rows come from a table of the stream. */
struct ph_apply_place;
const struct ph_table_plan *ph_apply_place_plan(const struct ph_apply_place *place);

/*
 * The places that rows of a table of the source go to, several where the job's rules say so: the
 * first of *n, the others follow it (ph_apply_place_next). *n is 0 when it is not part of the plan.
 */
struct ph_apply_place *ph_apply_tables_places(const struct ph_apply_tables *tables, ph_oid oid,
                                              uint32_t *n);
struct ph_apply_place *ph_apply_place_next(struct ph_apply_place *place);

/* `commit` as ph_apply_table_build has it. The errors of that and ph_apply_route_build. */
ph_code ph_apply_tables_find(struct ph_apply_tables *tables, struct ph_apply_place *place,
                             const struct ph_stream_rel *rel, ph_lsn commit,
                             struct ph_routed_table *out, struct ph_error *err) PH_MUST_CHECK;

#endif
