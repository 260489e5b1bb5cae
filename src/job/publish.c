#include "job/publish.h"

#include <stddef.h>
#include <stdlib.h>

#include "model/identity.h"

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
add(struct ph_publish_list *list, const struct ph_rel *rel)
{
    for (uint32_t i = 0; rel->kind == PH_REL_PARTITIONED && i < list->n; i++) {
        if (list->rels[i] == rel)
            return;
    }
    list->rels[list->n++] = rel;
}

ph_code
ph_publish_list_make(const struct ph_catalog *catalog, const struct ph_plan *plan,
                     struct ph_arena *arena, struct ph_publish_list *out, struct ph_error *err)
{
    struct copied copied = {PH_ARENA_ARRAY(arena, ph_oid, plan->n_tables + 1u), plan->n_tables};

    *out = (struct ph_publish_list){
        .rels = PH_ARENA_ARRAY(arena, const struct ph_rel *, plan->n_tables + 1u)};
    if (copied.oids == NULL || out->rels == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < plan->n_tables; i++)
        copied.oids[i] = plan->tables[i].source->oid;
    qsort(copied.oids, copied.n, sizeof *copied.oids, compare_oids);
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        const struct ph_rel *rel = plan->tables[i].source;
        if (!ph_publish_can(&plan->tables[i]) || !ph_plan_is_first_of_source(plan, i))
            continue;
        out->with_generated |= ph_rel_identity_needs_generated(rel, catalog->version_num);
        const struct ph_rel *root =
            rel->is_partition ? ph_catalog_rel(catalog, rel->root_oid) : NULL;
        add(out, root != NULL && is_whole(catalog, &copied, root->oid) ? root : rel);
    }
    return PH_OK;
}
