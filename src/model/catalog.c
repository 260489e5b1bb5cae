/* Look-ups in a catalog. Arrays are ordered by oid when it is read, so oids are found by halves. */
#include "model/catalog.h"

#include <stddef.h>
#include <string.h>

const struct ph_rel *
ph_catalog_rel(const struct ph_catalog *catalog, ph_oid oid)
{
    uint32_t lo = 0;
    uint32_t hi = catalog->n_rels;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (catalog->rels[mid].oid < oid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < catalog->n_rels && catalog->rels[lo].oid == oid ? &catalog->rels[lo] : NULL;
}

const struct ph_type *
ph_catalog_type(const struct ph_catalog *catalog, ph_oid oid)
{
    uint32_t lo = 0;
    uint32_t hi = catalog->n_types;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (catalog->types[mid].oid < oid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < catalog->n_types && catalog->types[lo].oid == oid ? &catalog->types[lo] : NULL;
}

const struct ph_rel *
ph_catalog_rel_named(const struct ph_catalog *catalog, const char *schema, const char *name)
{
    for (uint32_t i = 0; i < catalog->n_rels; i++) {
        const struct ph_rel *rel = &catalog->rels[i];
        if (strcmp(rel->name, name) == 0 && strcmp(rel->schema, schema) == 0)
            return rel;
    }
    return NULL;
}

const struct ph_column *
ph_rel_column_named(const struct ph_rel *rel, const char *name)
{
    for (uint32_t i = 0; i < rel->n_columns; i++) {
        if (strcmp(rel->columns[i].name, name) == 0)
            return &rel->columns[i];
    }
    return NULL;
}

const struct ph_column *
ph_rel_column_at(const struct ph_rel *rel, int16_t attnum)
{
    for (uint32_t i = 0; i < rel->n_columns; i++) {
        if (rel->columns[i].attnum == attnum)
            return &rel->columns[i];
    }
    return NULL;
}

bool
ph_catalog_is_within(const struct ph_catalog *catalog, ph_oid oid, ph_oid root)
{
    const struct ph_rel *rel = ph_catalog_rel(catalog, oid);

    while (rel != NULL && rel->oid != root)
        rel = rel->is_partition ? ph_catalog_rel(catalog, rel->parent_oid) : NULL;
    return rel != NULL;
}

bool
ph_catalog_is_own_key(const struct ph_catalog *catalog, const struct ph_foreign_key *key)
{
    const struct ph_rel *from = ph_catalog_rel(catalog, key->rel_oid);
    const struct ph_rel *to = ph_catalog_rel(catalog, key->ref_oid);

    return key->enforced && from != NULL && to != NULL && from->root_oid == to->root_oid;
}

bool
ph_catalog_is_related(const struct ph_catalog *catalog, const struct ph_rel *a,
                      const struct ph_rel *b)
{
    return a == b ||
           (a->root_oid == b->root_oid && (ph_catalog_is_within(catalog, a->oid, b->oid) ||
                                           ph_catalog_is_within(catalog, b->oid, a->oid)));
}

const struct ph_rel *
ph_catalog_tree_next(const struct ph_catalog *catalog, const struct ph_rel *top, uint32_t *at)
{
    if (top->kind != PH_REL_PARTITIONED)
        return (*at)++ == 0 ? top : NULL;
    while (*at < catalog->n_rels) {
        const struct ph_rel *rel = &catalog->rels[(*at)++];
        if (rel->root_oid == top->root_oid && ph_catalog_is_within(catalog, rel->oid, top->oid))
            return rel;
    }
    return NULL;
}

void
ph_catalog_reset(struct ph_catalog *catalog)
{
    ph_arena_reset(&catalog->arena);
    *catalog = (struct ph_catalog){.arena = catalog->arena};
}
