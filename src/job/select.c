/*
 * Each list of patterns becomes a mark per relation; marks go down from partitioned tables to their
 * partitions and from tables to the sequences they own; then in without out is what is selected.
 * A pattern has to match something itself: a typing error must never mean "less data, exit 0".
 */
#include "job/select.h"

#include <string.h>

#include "job/pattern.h"

struct selecting {
    const struct ph_catalog *catalog;
    struct ph_arena *arena;
    struct ph_error *err;
    struct ph_selection *out;
    bool *excluded_schemas;
    bool *included;
    bool *excluded;
    bool may_miss; /* a pattern may match nothing */
};

static ph_code
matched_nothing(const struct selecting *selecting, const char *option, const char *text)
{
    if (selecting->may_miss)
        return PH_OK;
    PH_FAIL(selecting->err, PH_E_SELECTION, "--%s %s matches nothing on the source", option, text);
    ph_error_object(selecting->err, "--%s %s", option, text);
    return PH_E_SELECTION;
}

static ph_code
mark_schemas(const struct selecting *selecting, const char *option,
             const struct ph_string_list *patterns, bool *marks)
{
    for (uint32_t i = 0; i < patterns->n; i++) {
        struct ph_pattern pattern;
        bool found = false;
        PH_TRY(ph_pattern_parse_schema(selecting->arena, patterns->items[i], &pattern,
                                       selecting->err));
        for (uint32_t s = 0; s < selecting->catalog->n_schemas; s++) {
            if (!ph_pattern_matches(pattern.name, selecting->catalog->schemas[s]))
                continue;
            marks[s] = true;
            found = true;
        }
        if (!found)
            PH_TRY(matched_nothing(selecting, option, patterns->items[i]));
    }
    return PH_OK;
}

static ph_code
mark_rels(const struct selecting *selecting, const char *option,
          const struct ph_string_list *patterns, bool *marks)
{
    for (uint32_t i = 0; i < patterns->n; i++) {
        struct ph_pattern pattern;
        bool found = false;
        PH_TRY(
            ph_pattern_parse_table(selecting->arena, patterns->items[i], &pattern, selecting->err));
        for (uint32_t r = 0; r < selecting->catalog->n_rels; r++) {
            const struct ph_rel *rel = &selecting->catalog->rels[r];
            if ((pattern.schema != NULL && !ph_pattern_matches(pattern.schema, rel->schema)) ||
                !ph_pattern_matches(pattern.name, rel->name))
                continue;
            marks[r] = true;
            found = true;
        }
        if (!found)
            PH_TRY(matched_nothing(selecting, option, patterns->items[i]));
    }
    return PH_OK;
}

static bool
schema_is_marked(const struct ph_catalog *catalog, const bool *marks, const char *schema)
{
    for (uint32_t s = 0; s < catalog->n_schemas; s++) {
        if (marks[s] && strcmp(catalog->schemas[s], schema) == 0)
            return true;
    }
    return false;
}

static bool
is_marked(const struct ph_catalog *catalog, const bool *marks, ph_oid oid)
{
    const struct ph_rel *rel = ph_catalog_rel(catalog, oid);

    return rel != NULL && marks[rel - catalog->rels];
}

/* A partition is marked when it or any table above it is. */
static void
mark_partitions(const struct ph_catalog *catalog, bool *marks)
{
    for (uint32_t r = 0; r < catalog->n_rels; r++) {
        const struct ph_rel *at = &catalog->rels[r];
        while (!marks[r] && at != NULL && at->is_partition) {
            marks[r] = is_marked(catalog, marks, at->parent_oid);
            at = ph_catalog_rel(catalog, at->parent_oid);
        }
    }
}

static void
mark_owned_sequences(const struct ph_catalog *catalog, bool *marks)
{
    for (uint32_t i = 0; i < catalog->n_sequences; i++) {
        const struct ph_sequence_state *sequence = &catalog->sequences[i];
        const struct ph_rel *rel = ph_catalog_rel(catalog, sequence->oid);
        if (rel != NULL && sequence->owned_by != 0 && is_marked(catalog, marks, sequence->owned_by))
            marks[rel - catalog->rels] = true;
    }
}

static void
combine(struct selecting *selecting)
{
    const struct ph_catalog *catalog = selecting->catalog;
    struct ph_selection *out = selecting->out;

    mark_partitions(catalog, selecting->included);
    mark_partitions(catalog, selecting->excluded);
    mark_owned_sequences(catalog, selecting->included);
    mark_owned_sequences(catalog, selecting->excluded);
    for (uint32_t r = 0; r < catalog->n_rels; r++) {
        const struct ph_rel *rel = &catalog->rels[r];
        if (!selecting->included[r] || selecting->excluded[r] ||
            (rel->extension != NULL && !rel->is_config))
            continue;
        out->rels[r] = true;
        out->n_rels++;
        if (rel->kind == PH_REL_TABLE)
            out->n_tables++;
    }
}

static void
include_by_schema(struct selecting *selecting, const struct ph_options *options)
{
    const struct ph_catalog *catalog = selecting->catalog;
    struct ph_selection *out = selecting->out;
    bool all = options->schemas.n == 0 && options->tables.n == 0;

    for (uint32_t s = 0; s < catalog->n_schemas; s++) {
        out->schemas[s] = (out->schemas[s] || all) && !selecting->excluded_schemas[s];
        out->n_schemas += out->schemas[s] ? 1 : 0;
    }
    for (uint32_t r = 0; r < catalog->n_rels; r++) {
        const char *schema = catalog->rels[r].schema;
        if (schema_is_marked(catalog, out->schemas, schema))
            selecting->included[r] = true;
        if (schema_is_marked(catalog, selecting->excluded_schemas, schema))
            selecting->excluded[r] = true;
    }
}

static ph_code
make_marks(struct selecting *selecting)
{
    const struct ph_catalog *catalog = selecting->catalog;
    size_t n_rels = (size_t)catalog->n_rels + 1;
    size_t n_schemas = (size_t)catalog->n_schemas + 1;

    selecting->out->rels = PH_ARENA_ARRAY(selecting->arena, bool, n_rels);
    selecting->out->schemas = PH_ARENA_ARRAY(selecting->arena, bool, n_schemas);
    selecting->excluded_schemas = PH_ARENA_ARRAY(selecting->arena, bool, n_schemas);
    selecting->included = PH_ARENA_ARRAY(selecting->arena, bool, n_rels);
    selecting->excluded = PH_ARENA_ARRAY(selecting->arena, bool, n_rels);
    if (selecting->out->rels == NULL || selecting->out->schemas == NULL ||
        selecting->excluded_schemas == NULL || selecting->included == NULL ||
        selecting->excluded == NULL)
        return PH_FAIL(selecting->err, PH_E_MEMORY, "no memory for the selection");
    return PH_OK;
}

static ph_code
select_by(struct selecting *selecting, const struct ph_options *options)
{
    struct ph_selection *out = selecting->out;

    *out = (struct ph_selection){
        .whole_database = options->schemas.n == 0 && options->tables.n == 0 &&
                          options->exclude_schemas.n == 0 && options->excludes.n == 0,
    };
    PH_TRY(make_marks(selecting));
    PH_TRY(mark_schemas(selecting, "schema", &options->schemas, out->schemas));
    PH_TRY(mark_schemas(selecting, "exclude-schema", &options->exclude_schemas,
                        selecting->excluded_schemas));
    PH_TRY(mark_rels(selecting, "table", &options->tables, selecting->included));
    PH_TRY(mark_rels(selecting, "exclude", &options->excludes, selecting->excluded));
    include_by_schema(selecting, options);
    combine(selecting);
    return PH_OK;
}

ph_code
ph_select(const struct ph_catalog *catalog, const struct ph_options *options,
          struct ph_arena *arena, struct ph_selection *out, struct ph_error *err)
{
    struct selecting selecting = {.catalog = catalog, .arena = arena, .err = err, .out = out};

    PH_TRY(select_by(&selecting, options));
    if (out->n_tables == 0 && !out->whole_database)
        return PH_FAIL(err, PH_E_SELECTION, "the selection holds no table");
    return PH_OK;
}

ph_code
ph_select_again(const struct ph_catalog *catalog, const struct ph_options *options,
                struct ph_arena *arena, struct ph_selection *out, struct ph_error *err)
{
    struct selecting selecting = {
        .catalog = catalog, .arena = arena, .err = err, .out = out, .may_miss = true};

    return select_by(&selecting, options);
}

bool
ph_selection_has(const struct ph_selection *selection, const struct ph_catalog *catalog,
                 const struct ph_rel *rel)
{
    return selection->rels[rel - catalog->rels];
}

bool
ph_selection_has_oid(const struct ph_selection *selection, const struct ph_catalog *catalog,
                     ph_oid oid)
{
    return is_marked(catalog, selection->rels, oid);
}

bool
ph_selection_has_schema(const struct ph_selection *selection, const struct ph_catalog *catalog,
                        const char *schema)
{
    for (uint32_t i = 0; i < selection->n_schemas; i++) {
        if (strcmp(catalog->schemas[i], schema) == 0)
            return selection->schemas[i];
    }
    return false;
}
