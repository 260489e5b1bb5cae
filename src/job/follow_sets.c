#include "job/follow_sets.h"

#include <stdlib.h>

#define NO_REL UINT32_MAX
#define TABLE_BYTES                                                                                \
    8192 /* that every table counts for, also one that was empty when it was copied */

struct set { /* by its first relation */
    uint32_t rel;
    uint64_t bytes;
};

struct sets {
    const struct ph_follow_sets_params *params;
    uint32_t *up;      /* by relation of the target: another one of its set, or itself */
    uint64_t *bytes;   /* by first relation of a set: of the plan's tables in it */
    uint32_t *workers; /* likewise */
    struct set *list;  /* those that have tables of the plan */
    uint32_t n;
    uint64_t *load; /* by worker, from 0 */
};

static uint32_t
number_of(const struct ph_catalog *catalog, ph_oid oid)
{
    const struct ph_rel *rel = ph_catalog_rel(catalog, oid);

    return rel != NULL ? (uint32_t)(rel - catalog->rels) : NO_REL;
}

static uint32_t
first_of(const struct sets *sets, uint32_t rel)
{
    while (sets->up[rel] != rel) {
        sets->up[rel] = sets->up[sets->up[rel]];
        rel = sets->up[rel];
    }
    return rel;
}

/* The set of a table of the plan. */
static uint32_t
set_of(const struct sets *sets, const struct ph_table_plan *table)
{
    return first_of(sets, number_of(sets->params->target, table->target->oid));
}

static void
join(struct sets *sets, ph_oid one, ph_oid other)
{
    uint32_t a = number_of(sets->params->target, one);
    uint32_t b = number_of(sets->params->target, other);

    if (a == NO_REL || b == NO_REL)
        return;
    a = first_of(sets, a);
    b = first_of(sets, b);
    sets->up[a < b ? b : a] = a < b ? a : b;
}

/* ---- what belongs together ---- */

static int
compare_roots(const void *left, const void *right)
{
    const struct ph_table_plan *a = *(const struct ph_table_plan *const *)left;
    const struct ph_table_plan *b = *(const struct ph_table_plan *const *)right;

    return a->source->root_oid < b->source->root_oid ? -1
                                                     : a->source->root_oid > b->source->root_oid;
}

/* What the source calls one table may be several here, and rows go from one to another. */
static ph_code
join_roots_of_source(struct sets *sets, struct ph_error *err)
{
    const struct ph_plan *plan = sets->params->plan;
    const struct ph_table_plan **tables = calloc((size_t)plan->n_tables + 1, sizeof *tables);

    if (tables == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < plan->n_tables; i++)
        tables[i] = &plan->tables[i];
    qsort(tables, plan->n_tables, sizeof *tables, compare_roots);
    for (uint32_t i = 1; i < plan->n_tables; i++) {
        if (tables[i]->source->root_oid == tables[i - 1]->source->root_oid)
            join(sets, tables[i]->target->oid, tables[i - 1]->target->oid);
    }
    free(tables);
    return PH_OK;
}

static ph_code
join_all(struct sets *sets, struct ph_error *err)
{
    const struct ph_catalog *target = sets->params->target;

    for (uint32_t i = 0; i < target->n_rels; i++)
        sets->up[i] = i;
    for (uint32_t i = 0; i < target->n_rels; i++) {
        if (target->rels[i].is_partition)
            join(sets, target->rels[i].oid, target->rels[i].root_oid);
    }
    for (uint32_t i = 0; i < target->n_foreign_keys; i++)
        join(sets, target->foreign_keys[i].rel_oid, target->foreign_keys[i].ref_oid);
    for (uint32_t i = 0; i < sets->params->n_inherits; i++)
        join(sets, sets->params->inherits[i].child, sets->params->inherits[i].parent);
    return join_roots_of_source(sets, err);
}

/* ---- who gets which ---- */

static int
compare_sets(const void *left, const void *right)
{
    const struct set *a = left;
    const struct set *b = right;

    if (a->bytes != b->bytes)
        return a->bytes > b->bytes ? -1 : 1;
    return a->rel < b->rel ? -1 : a->rel > b->rel;
}

static void
list_sets(struct sets *sets)
{
    const struct ph_plan *plan = sets->params->plan;

    for (uint32_t i = 0; i < plan->n_tables; i++) {
        uint32_t rel = set_of(sets, &plan->tables[i]);
        if (sets->bytes[rel] == 0)
            sets->list[sets->n++].rel = rel;
        sets->bytes[rel] += plan->tables[i].bytes + TABLE_BYTES;
    }
    for (uint32_t i = 0; i < sets->n; i++)
        sets->list[i].bytes = sets->bytes[sets->list[i].rel];
    qsort(sets->list, sets->n, sizeof *sets->list, compare_sets);
}

/* Largest first, each to who has least. */
static uint32_t
deal(struct sets *sets)
{
    uint32_t n_workers = sets->n < sets->params->most ? sets->n : sets->params->most;

    for (uint32_t i = 0; i < sets->n; i++) {
        uint32_t least = 0;
        for (uint32_t j = 1; j < n_workers; j++)
            least = sets->load[j] < sets->load[least] ? j : least;
        sets->load[least] += sets->list[i].bytes;
        sets->workers[sets->list[i].rel] = least + 1;
    }
    return n_workers;
}

static ph_code
deal_out(struct sets *sets, uint32_t *worker_of, uint32_t *n_workers, struct ph_error *err)
{
    const struct ph_plan *plan = sets->params->plan;

    PH_TRY(join_all(sets, err));
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        if (number_of(sets->params->target, plan->tables[i].target->oid) == NO_REL)
            return PH_FAIL(err, PH_E_INTERNAL, "a table of the plan that the target has not");
    }
    list_sets(sets);
    *n_workers = deal(sets);
    for (uint32_t i = 0; i < plan->n_tables; i++)
        worker_of[i] = sets->workers[set_of(sets, &plan->tables[i])];
    return PH_OK;
}

ph_code
ph_follow_sets_deal(const struct ph_follow_sets_params *params, uint32_t *worker_of,
                    uint32_t *n_workers, struct ph_error *err)
{
    size_t n_rels = (size_t)params->target->n_rels + 1;
    struct sets sets = {
        .params = params,
        .up = calloc(n_rels, sizeof *sets.up),
        .bytes = calloc(n_rels, sizeof *sets.bytes),
        .workers = calloc(n_rels, sizeof *sets.workers),
        .list = calloc((size_t)params->plan->n_tables + 1, sizeof *sets.list),
        .load = calloc((size_t)params->most + 1, sizeof *sets.load),
    };
    ph_code rc = sets.up != NULL && sets.bytes != NULL && sets.workers != NULL &&
                         sets.list != NULL && sets.load != NULL
                     ? deal_out(&sets, worker_of, n_workers, err)
                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");

    free(sets.up);
    free(sets.bytes);
    free(sets.workers);
    free(sets.list);
    free(sets.load);
    return rc;
}
