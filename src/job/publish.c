#include "job/publish.h"

#include <stddef.h>
#include <stdlib.h>

#include "model/identity.h"
#include "rules/ruleset.h"

#define FILTERS_FROM 150000

bool
ph_publish_can(const struct ph_table_plan *table)
{
    const struct ph_rel *rel = table->source;

    return rel->persistence == 'p' &&
           (rel->kind == PH_REL_TABLE || rel->kind == PH_REL_PARTITIONED) &&
           !ph_plan_is_config(table);
}

static int
compare_oids(const void *a, const void *b)
{
    ph_oid left = *(const ph_oid *)a;
    ph_oid right = *(const ph_oid *)b;

    return (left > right) - (left < right);
}

/* The tables of the plan, to be looked up. */
struct copied {
    ph_oid *oids;
    uint32_t n;
};

static bool
is_copied(const struct copied *copied, ph_oid oid)
{
    return bsearch(&oid, copied->oids, copied->n, sizeof oid, compare_oids) != NULL;
}

/* Parts that hold no rows of their own, or none here, do not count. */
static bool
is_whole(const struct ph_catalog *catalog, const struct copied *copied, ph_oid root)
{
    for (uint32_t i = 0; i < catalog->n_rels; i++) {
        const struct ph_rel *rel = &catalog->rels[i];
        if (rel->root_oid == root && rel->kind == PH_REL_TABLE && !is_copied(copied, rel->oid))
            return false;
    }
    return true;
}

static void
add(struct ph_publish_list *list, const struct ph_rel *rel, const char *filter)
{
    for (uint32_t i = 0; rel->kind == PH_REL_PARTITIONED && i < list->n; i++) {
        if (list->rels[i] == rel)
            return;
    }
    list->filters[list->n] = filter;
    list->rels[list->n++] = rel;
}

/* ---- row filters ---- */

/*
 * What is sent is looked at again here, so it is enough that a row is sent which one of the routes
 * takes: any of their conditions. The server makes an INSERT or DELETE of an UPDATE over the
 * filter's border, as is done here of one over a route's.
 */
static ph_code
find_filter(const struct ph_plan *plan, uint32_t first, struct ph_arena *arena, const char **out,
            struct ph_error *err)
{
    const struct ph_rel *rel = plan->tables[first].source;

    *out = NULL;
    for (uint32_t i = first; i < plan->n_tables; i++) {
        const struct ph_route *route = plan->tables[i].route;
        if (plan->tables[i].source != rel)
            continue;
        if (route == NULL || route->row_filter == NULL) {
            *out = NULL;
            return PH_OK;
        }
        *out = *out == NULL ? route->row_filter
                            : ph_arena_printf(arena, "%s OR %s", *out, route->row_filter);
        if (*out == NULL)
            return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    return PH_OK;
}

static ph_code
add_table(const struct ph_catalog *catalog, const struct copied *copied, const struct ph_plan *plan,
          uint32_t number, struct ph_arena *arena, struct ph_publish_list *out,
          struct ph_error *err)
{
    const struct ph_rel *rel = plan->tables[number].source;
    const struct ph_rel *root = rel->is_partition ? ph_catalog_rel(catalog, rel->root_oid) : NULL;
    const char *filter = NULL;

    if (catalog->version_num >= FILTERS_FROM)
        PH_TRY(find_filter(plan, number, arena, &filter, err));
    bool by_root = root != NULL && is_whole(catalog, copied, root->oid);
    if (by_root)
        add(out, root, NULL);
    if (!by_root || filter != NULL)
        add(out, rel, filter);
    return PH_OK;
}

ph_code
ph_publish_list_make(const struct ph_catalog *catalog, const struct ph_plan *plan,
                     struct ph_arena *arena, struct ph_publish_list *out, struct ph_error *err)
{
    struct copied copied = {PH_ARENA_ARRAY(arena, ph_oid, plan->n_tables + 1u), plan->n_tables};
    size_t room = 2 * (size_t)plan->n_tables + 1;

    *out = (struct ph_publish_list){.rels = PH_ARENA_ARRAY(arena, const struct ph_rel *, room),
                                    .filters = PH_ARENA_ARRAY(arena, const char *, room)};
    if (copied.oids == NULL || out->rels == NULL || out->filters == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < plan->n_tables; i++)
        copied.oids[i] = plan->tables[i].source->oid;
    qsort(copied.oids, copied.n, sizeof *copied.oids, compare_oids);
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        const struct ph_rel *rel = plan->tables[i].source;
        if (!ph_publish_can(&plan->tables[i]) || !ph_plan_is_first_of_source(plan, i))
            continue;
        out->with_generated |= ph_rel_identity_needs_generated(rel, catalog->version_num);
        PH_TRY(add_table(catalog, &copied, plan, i, arena, out, err));
    }
    return PH_OK;
}
