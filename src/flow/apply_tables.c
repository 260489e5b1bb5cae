#include "flow/apply_tables.h"

#include <stdlib.h>
#include <string.h>

#include "apply/late.h"
#include "base/log.h"
#include "flow/apply_route.h"

#define ARENA_LIMIT ((size_t)256 << 20)

/* Of transactions that end in [from, to]: to others, late columns that it lacks mean otherwise. */
struct span {
    ph_lsn from;
    ph_lsn to;
};

struct version {
    struct ph_stream_rel rel; /* a copy */
    struct span span;
    struct ph_routed_table table;
    struct version *older;
};

struct ph_apply_place {
    ph_oid oid;
    const struct ph_table_plan *plan;
    struct version *versions;
    const struct ph_stream_rel *rel; /* that was asked for last; NULL: none yet */
    struct span span;                /* and for whom */
    struct ph_routed_table made;     /* for these */
};

static int
compare_places(const void *left, const void *right)
{
    const struct ph_apply_place *a = left;
    const struct ph_apply_place *b = right;

    if (a->oid != b->oid)
        return a->oid < b->oid ? -1 : 1;
    return a->plan < b->plan ? -1 : a->plan > b->plan;
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

void
ph_apply_tables_forget_rels(struct ph_apply_tables *tables)
{
    for (uint32_t i = 0; i < tables->n_places; i++)
        tables->places[i].rel = NULL;
}

static bool
is_same_column(const struct ph_stream_column *a, const struct ph_stream_column *b)
{
    return strcmp(a->name, b->name) == 0 && a->type_oid == b->type_oid && a->typmod == b->typmod &&
           a->in_key == b->in_key;
}

static bool
is_same_rel(const struct ph_stream_rel *a, const struct ph_stream_rel *b)
{
    if (a->replica_identity != b->replica_identity || a->n_columns != b->n_columns ||
        strcmp(a->schema, b->schema) != 0 || strcmp(a->name, b->name) != 0)
        return false;
    for (uint32_t i = 0; i < a->n_columns; i++) {
        if (!is_same_column(&a->columns[i], &b->columns[i]))
            return false;
    }
    return true;
}

static ph_code
copy_rel(struct ph_arena *arena, const struct ph_stream_rel *rel, struct ph_stream_rel *out,
         struct ph_error *err)
{
    struct ph_stream_column *columns =
        PH_ARENA_ARRAY(arena, struct ph_stream_column, (size_t)rel->n_columns + 1);
    bool ok = columns != NULL;

    *out = *rel;
    out->schema = ph_arena_strdup(arena, rel->schema);
    out->name = ph_arena_strdup(arena, rel->name);
    out->columns = columns;
    for (uint32_t i = 0; ok && i < rel->n_columns; i++) {
        columns[i] = rel->columns[i];
        columns[i].name = ph_arena_strdup(arena, rel->columns[i].name);
        ok = columns[i].name != NULL;
    }
    return ok && out->schema != NULL && out->name != NULL
               ? PH_OK
               : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

/*
 * A table's columns are announced in the order of their numbers. One that stands elsewhere than the
 * catalog has it is not the one of that name which the catalog has, though of its type.
 */
static ph_code
check_order(const struct ph_table_plan *plan, const struct ph_rel *source,
            const struct ph_stream_rel *rel, struct ph_error *err)
{
    int16_t last = 0;

    for (uint32_t i = 0; source != NULL && i < rel->n_columns; i++) {
        const char *name = rel->columns[i].name;
        const struct ph_column *column = ph_rel_column_named(source, name);
        if (column == NULL || !ph_plan_reads(plan, name))
            continue;
        if (column->attnum < last) {
            PH_FAIL(err, PH_E_TYPES,
                    "columns have other places on the source than they had: one was dropped and "
                    "added again, or got the name of another");
            ph_error_object(err, "%s.%s", rel->schema, rel->name);
            return PH_E_TYPES;
        }
        last = column->attnum;
    }
    return PH_OK;
}

static bool
is_within(struct span span, ph_lsn commit)
{
    return commit >= span.from && commit <= span.to;
}

/* Of the transactions for which the same late columns count as still to come. */
static struct span
span_of(const struct ph_table_plan *plan, const struct ph_stream_rel *rel, ph_lsn commit)
{
    struct span span = {0, UINT64_MAX};

    for (uint32_t i = 0; i < plan->n_columns; i++) {
        const struct ph_late *late = plan->columns[i].late;
        if (late == NULL || ph_apply_find_field(rel, plan->columns[i].source_name) != PH_NO_FIELD)
            continue;
        if (late->until < commit && late->until >= span.from)
            span.from = late->until + 1;
        else if (late->until >= commit && late->until < span.to)
            span.to = late->until;
    }
    return span;
}

static ph_code
make_version(struct ph_apply_tables *tables, struct ph_apply_place *place,
             const struct ph_stream_rel *rel, ph_lsn commit, struct version **out,
             struct ph_error *err)
{
    const struct ph_apply_tables_params *params = &tables->params;
    struct version *version = PH_ARENA_ARRAY(&tables->arena, struct version, 1);
    struct ph_apply_table_params made = {
        .index = (uint32_t)(place - tables->places),
        .plan = place->plan,
        .rel = rel,
        .commit = commit,
        .source = params->source,
        .target = params->target,
        .stream = params->stream,
        .enforces_keys = params->enforces_keys,
    };

    if (version == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    PH_TRY(check_order(place->plan, ph_catalog_rel(params->source, rel->oid), rel, err));
    PH_TRY(copy_rel(&tables->arena, rel, &version->rel, err));
    if (place->plan->route == NULL)
        PH_TRY(ph_apply_table_build(&made, &tables->arena, &version->table.table, err));
    else
        PH_TRY(ph_apply_route_build(&made, &tables->arena, &version->table.table,
                                    &version->table.inputs, err));
    if (place->versions == NULL)
        warn_of_scans(version->table.table);
    version->span = span_of(place->plan, rel, commit);
    version->older = place->versions;
    place->versions = version;
    *out = version;
    return PH_OK;
}

const struct ph_table_plan *
ph_apply_place_plan(const struct ph_apply_place *place)
{
    return place->plan;
}

struct ph_apply_place *
ph_apply_tables_places(const struct ph_apply_tables *tables, ph_oid oid, uint32_t *n)
{
    uint32_t from = 0;
    uint32_t to = tables->n_places;

    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (tables->places[middle].oid < oid)
            from = middle + 1;
        else
            to = middle;
    }
    *n = 0;
    while (from + *n < tables->n_places && tables->places[from + *n].oid == oid)
        ++*n;
    return *n == 0 ? NULL : &tables->places[from];
}

struct ph_apply_place *
ph_apply_place_next(struct ph_apply_place *place)
{
    return place + 1;
}

ph_code
ph_apply_tables_find(struct ph_apply_tables *tables, struct ph_apply_place *place,
                     const struct ph_stream_rel *rel, ph_lsn commit, struct ph_routed_table *out,
                     struct ph_error *err)
{
    if (place->rel != rel || !is_within(place->span, commit)) {
        struct version *version = place->versions;
        while (version != NULL &&
               !(is_within(version->span, commit) && is_same_rel(&version->rel, rel)))
            version = version->older;
        if (version == NULL)
            PH_TRY(make_version(tables, place, rel, commit, &version, err));
        place->rel = rel;
        place->span = version->span;
        place->made = version->table;
    }
    *out = place->made;
    return PH_OK;
}
