#include "flow/apply_tables.h"

#include <stdlib.h>

#include "base/log.h"

#define ARENA_LIMIT ((size_t)256 << 20)

struct ph_apply_place {
    ph_oid oid;
    const struct ph_table_plan *plan;
    const struct ph_stream_rel *rel; /* that `made` was made of; NULL: none yet */
    const struct ph_apply_table *made;
};

static int
compare_places(const void *left, const void *right)
{
    const struct ph_apply_place *a = left;
    const struct ph_apply_place *b = right;

    return a->oid < b->oid ? -1 : a->oid > b->oid;
}

/* `to` NULL: they are only counted. */
static uint32_t
put_tree(const struct ph_catalog *catalog, const struct ph_table_plan *table,
         struct ph_apply_place *to)
{
    const struct ph_rel *rel;
    uint32_t n = 0;

    for (uint32_t at = 0; (rel = ph_catalog_tree_next(catalog, table->source, &at)) != NULL; n++) {
        if (to != NULL)
            to[n] = (struct ph_apply_place){.oid = rel->oid, .plan = table};
    }
    return n;
}

ph_code
ph_apply_tables_init(struct ph_apply_tables *tables, const struct ph_apply_tables_params *params,
                     struct ph_error *err)
{
    const struct ph_plan *plan = params->plan;
    uint32_t n = 0;

    *tables = (struct ph_apply_tables){.params = *params};
    ph_arena_init(&tables->arena, ARENA_LIMIT);
    for (uint32_t i = 0; i < plan->n_tables; i++)
        n += put_tree(params->source, &plan->tables[i], NULL);
    tables->places = calloc((size_t)n + 1, sizeof *tables->places);
    if (tables->places == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < plan->n_tables; i++)
        tables->n_places +=
            put_tree(params->source, &plan->tables[i], tables->places + tables->n_places);
    qsort(tables->places, tables->n_places, sizeof *tables->places, compare_places);
    return PH_OK;
}

void
ph_apply_tables_free(struct ph_apply_tables *tables)
{
    ph_arena_reset(&tables->arena);
    free(tables->places);
    tables->places = NULL;
}

static void
warn_of_scans(const struct ph_apply_table *table)
{
    if (table->n_keys > 0 && !table->has_index)
        ph_log(PH_LOG_WARN, "table.unindexed",
               "table %s: no index on its key on the target, so every group of changes reads all "
               "of it",
               table->label);
}

ph_code
ph_apply_tables_find(struct ph_apply_tables *tables, const struct ph_stream_rel *rel,
                     const struct ph_apply_table **out, struct ph_error *err)
{
    const struct ph_apply_tables_params *params = &tables->params;
    struct ph_apply_place key = {.oid = rel->oid};
    struct ph_apply_place *place =
        bsearch(&key, tables->places, tables->n_places, sizeof *tables->places, compare_places);

    *out = NULL;
    if (place == NULL)
        return PH_OK;
    if (place->rel != rel) {
        struct ph_apply_table_params made = {
            .index = (uint32_t)(place - tables->places),
            .plan = place->plan,
            .rel = rel,
            .source = params->source,
            .target = params->target,
            .stream = params->stream,
            .enforces_keys = params->enforces_keys,
        };
        PH_TRY(ph_apply_table_build(&made, &tables->arena, &place->made, err));
        place->rel = rel;
        warn_of_scans(place->made);
    }
    *out = place->made;
    return PH_OK;
}
