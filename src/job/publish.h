/*
 * Which tables a job's stream brings: those of the plan whose changes a server can stream. Made
 * once from plan and catalog, for preflight, publication and apply alike.
 */
#ifndef PH_JOB_PUBLISH_H
#define PH_JOB_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/catalog.h"
#include "model/plan.h"

struct ph_publish_list {
    /*
     * What the publication names. A partitioned table of which every part is copied stands for them
     * all, so that a partition that is made later is not missed; otherwise each part by itself.
     * Published without publish_via_partition_root: changes come by the parts' OIDs, TRUNCATE of
     * a single part among them.
     */
    const struct ph_rel **rels;
    uint32_t n;
    /* Beside `rels`: what the publication leaves the table's other rows out by; NULL: none are. A
     * part with one is named beside its partitioned table. */
    const char **filters;
    bool with_generated; /* see ph_publication_params */
};

/* Whether changes of a plan's table can be streamed at all, whatever its replica identity. */
bool ph_publish_can(const struct ph_table_plan *table);

/* The list lives in `arena`, its relations in `catalog`. `version` is the source's. */
ph_code ph_publish_list_make(const struct ph_catalog *catalog, const struct ph_plan *plan,
                             struct ph_arena *arena, struct ph_publish_list *out,
                             struct ph_error *err);

#endif
