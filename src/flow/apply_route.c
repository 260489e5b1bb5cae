#include "flow/apply_route.h"

#include <string.h>

struct route_key {
    const struct ph_table_plan *table;
    const struct ph_stream_rel *rel;
    bool *columns;  /* of the plan */
    bool *identity; /* of the announced columns: which of them are told by those taken so far */
    bool is_there;
};

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory for a route in the stream");
}

static ph_code
needs_full(const struct ph_table_plan *table, const char *why, struct ph_error *err)
{
    const struct ph_rel *source = table->source;

    PH_FAIL(err, PH_E_IDENTITY, "%s", why);
    ph_error_object(err, "%s", table->route->name);
    ph_error_hint(err, "run on the source: ALTER TABLE \"%s\".\"%s\" REPLICA IDENTITY FULL",
                  source->schema, source->name);
    return PH_E_IDENTITY;
}

/* ---- what of a row the stream tells ---- */

static const struct ph_stream_column *
announced(const struct ph_stream_rel *rel, const char *name)
{
    for (uint32_t i = 0; i < rel->n_columns; i++) {
        if (strcmp(rel->columns[i].name, name) == 0)
            return &rel->columns[i];
    }
    return NULL;
}

static bool
is_in_identity(const struct ph_stream_rel *rel, const struct ph_column *column)
{
    const struct ph_stream_column *found = column == NULL ? NULL : announced(rel, column->name);

    return found != NULL && found->in_key;
}

static uint32_t
count_reads(const struct ph_route *route, uint32_t output)
{
    return route->has_program ? route->outputs[output].n_reads : 1;
}

/* Without a program the columns have no numbers as inputs. */
static const struct ph_column *
read_column(const struct ph_route *route, uint32_t output, uint32_t read)
{
    const struct ph_route_output *made = &route->outputs[output];

    return route->has_program ? route->inputs[made->reads[read]].column : made->source;
}

static bool
has_source_key(const struct ph_route *route, const struct ph_stream_rel *rel)
{
    for (uint32_t i = 0; i < route->n_key_inputs; i++) {
        if (!is_in_identity(rel, route->inputs[route->key_inputs[i]].column))
            return false;
    }
    return route->n_key_inputs > 0;
}

/* Whether the column's old value can be told from the replica identity. */
static bool
is_told(const struct ph_route *route, const struct ph_stream_rel *rel, uint32_t output)
{
    uint32_t n = count_reads(route, output);

    for (uint32_t i = 0; i < n; i++) {
        if (!is_in_identity(rel, read_column(route, output, i)))
            return false;
    }
    return !route->outputs[output].is_keyed || has_source_key(route, rel);
}

/* ---- the key ---- */

static void
take_plan_key(struct route_key *key)
{
    const struct ph_table_plan *table = key->table;
    bool is_full = key->rel->replica_identity == 'f';

    for (uint32_t i = 0; i < table->n_key_fields; i++) {
        if (!is_full && !is_told(table->route, key->rel, table->key_fields[i]))
            return;
    }
    for (uint32_t i = 0; i < table->n_key_fields; i++)
        key->columns[table->key_fields[i]] = true;
    key->is_there = table->n_key_fields > 0;
}

/* One that could be NULL finds nothing. */
static bool
is_constant(const struct ph_route *route, uint32_t output)
{
    const struct ph_route_output *made = &route->outputs[output];

    return count_reads(route, output) == 0 && !made->is_keyed && made->target->not_null;
}

static void
note_told(struct route_key *key, uint32_t output)
{
    const struct ph_route *route = key->table->route;

    for (uint32_t i = 0; i < count_reads(route, output); i++) {
        const struct ph_column *column = read_column(route, output, i);
        key->identity[announced(key->rel, column->name) - key->rel->columns] = true;
    }
}

/*
 * Columns that together are different for different identities. Constants tell the route's rows
 * from others' in the same table.
 */
static void
take_cover(struct route_key *key)
{
    const struct ph_table_plan *table = key->table;
    const struct ph_route *route = table->route;

    for (uint32_t i = 0; i < table->n_columns; i++) {
        if (is_constant(route, i)) {
            key->columns[i] = true;
        } else if (route->outputs[i].is_injective && is_told(route, key->rel, i)) {
            key->columns[i] = true;
            note_told(key, i);
        }
    }
    key->is_there = false;
    for (uint32_t i = 0; i < key->rel->n_columns; i++) {
        if (key->rel->columns[i].in_key && !key->identity[i])
            return;
        key->is_there |= key->rel->columns[i].in_key;
    }
}

/* keys->is_there false: by the whole row, or by an index that is found later. */
static ph_code
find_key(struct route_key *key, struct ph_error *err)
{
    const struct ph_table_plan *table = key->table;

    take_plan_key(key);
    if (key->is_there || key->rel->replica_identity == 'f')
        return PH_OK;
    if (!table->route->makes_rows)
        take_cover(key);
    if (key->is_there)
        return PH_OK;
    return needs_full(table,
                      "rows of the target cannot be found by what the replica identity tells: its "
                      "key is made of other columns",
                      err);
}

/* ---- the check ---- */

static ph_code
is_not_brought(const struct ph_column *column, struct ph_error *err)
{
    if (column->generated == '\0')
        return PH_FAIL(err, PH_E_TYPES, "column %s is no longer on the source", column->name);
    PH_FAIL(err, PH_E_RULES, "a rule reads column %s, which is generated: the stream lacks it",
            column->name);
    ph_error_hint(err, "%s",
                  "make the value of the columns that it is generated from, generate it on the "
                  "target too, or copy without --follow");
    return PH_E_RULES;
}

static ph_code
check_inputs(const struct ph_table_plan *table, const struct ph_stream_rel *rel, uint32_t *fields,
             struct ph_error *err)
{
    const struct ph_route *route = table->route;

    for (uint32_t i = 0; i < route->n_inputs; i++) {
        const struct ph_column *column = route->inputs[i].column;
        if (route->inputs[i].is_looked_up)
            continue;
        if (column == NULL)
            return PH_FAIL(err, PH_E_RULES, "%s reads what only the source can compute",
                           route->name);
        const struct ph_stream_column *found = announced(rel, column->name);
        if (found == NULL)
            return is_not_brought(column, err);
        if (found->type_oid != column->type_oid)
            return PH_FAIL(err, PH_E_TYPES, "column %s has another type on the source now",
                           column->name);
        if (fields != NULL)
            fields[i] = (uint32_t)(found - rel->columns);
    }
    for (uint32_t i = 0; i < rel->n_columns; i++) {
        if (ph_rel_column_named(table->source, rel->columns[i].name) == NULL)
            return PH_FAIL(err, PH_E_TYPES, "the rules do not know column %s of the source",
                           rel->columns[i].name);
    }
    return PH_OK;
}

static ph_code
check_route(const struct ph_table_plan *table, const struct ph_stream_rel *rel,
            struct ph_error *err)
{
    const struct ph_route *route = table->route;
    const char *why = route->no_stream;

    if (why == NULL && route->where != NULL && !route->filters)
        why = "its condition cannot be computed for rows of the stream";
    if (why != NULL) {
        PH_FAIL(err, PH_E_RULES, "it cannot follow: %s", why);
        ph_error_object(err, "%s", route->name);
        if (route->no_stream_cure != NULL)
            ph_error_hint(err, "%s", route->no_stream_cure);
        return PH_E_RULES;
    }
    if (rel->replica_identity == 'f')
        return PH_OK;
    if (route->needs_old_row)
        return needs_full(table, "its rules need the whole old row of an update or delete", err);
    if (route->quarantines && route->has_program)
        return needs_full(
            table, "whether a row is in quarantine can only be told from the whole old row", err);
    if (route->filters && !has_source_key(route, rel))
        return needs_full(table, "its condition is not about the replica identity alone", err);
    return PH_OK;
}

static ph_code
check_all(struct route_key *key, uint32_t *fields, struct ph_error *err)
{
    PH_TRY(check_inputs(key->table, key->rel, fields, err));
    PH_TRY(check_route(key->table, key->rel, err));
    return find_key(key, err);
}

ph_code
ph_apply_route_check(const struct ph_table_plan *table, const struct ph_stream_rel *rel,
                     struct ph_error *err)
{
    struct route_key key = {.table = table, .rel = rel};
    struct ph_arena arena;

    ph_arena_init(&arena, (size_t)1 << 20);
    key.columns = PH_ARENA_ARRAY(&arena, bool, (size_t)table->n_columns + 1);
    key.identity = PH_ARENA_ARRAY(&arena, bool, (size_t)rel->n_columns + 1);
    ph_code rc =
        key.columns != NULL && key.identity != NULL ? check_all(&key, NULL, err) : no_memory(err);
    ph_arena_reset(&arena);
    return rc;
}

/* ---- the description ---- */

/* The target's columns that the route fills, announced under their own names. */
static ph_code
make_up(const struct ph_apply_table_params *params, struct ph_arena *arena,
        struct ph_table_plan *plan, struct ph_stream_rel *rel, struct ph_error *err)
{
    uint32_t n = plan->n_columns;
    struct ph_plan_column *columns = PH_ARENA_ARRAY(arena, struct ph_plan_column, (size_t)n + 1);
    struct ph_stream_column *stream = PH_ARENA_ARRAY(arena, struct ph_stream_column, (size_t)n + 1);

    if (columns == NULL || stream == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        const struct ph_column *target = plan->columns[i].target;
        columns[i] = (struct ph_plan_column){.source_name = target->name,
                                             .target_name = target->name,
                                             .source = target,
                                             .target = target};
        stream[i] = (struct ph_stream_column){
            .name = target->name, .type_oid = target->type_oid, .typmod = target->typmod};
    }
    plan->columns = columns;
    plan->source = plan->target;
    *rel = *params->rel;
    rel->replica_identity = 'f';
    rel->columns = stream;
    rel->n_columns = n;
    return PH_OK;
}

static ph_code
build_behind_program(const struct ph_apply_table_params *params, struct ph_arena *arena,
                     const struct ph_apply_table **out, struct ph_error *err)
{
    struct ph_apply_table_params made = *params;
    struct ph_table_plan *plan = PH_ARENA_ARRAY(arena, struct ph_table_plan, 1);
    struct ph_stream_rel rel;

    if (plan == NULL)
        return no_memory(err);
    *plan = *params->plan;
    PH_TRY(make_up(params, arena, plan, &rel, err));
    made.plan = plan;
    made.behind = params->plan;
    made.rel = &rel;
    made.source = params->target;
    made.stream = PH_FORMAT_BINARY;
    return ph_apply_table_build(&made, arena, out, err);
}

ph_code
ph_apply_route_build(const struct ph_apply_table_params *params, struct ph_arena *arena,
                     const struct ph_apply_table **out, const uint32_t **inputs,
                     struct ph_error *err)
{
    const struct ph_table_plan *table = params->plan;
    struct ph_apply_table_params keyed = *params;
    uint32_t *fields = PH_ARENA_ARRAY(arena, uint32_t, (size_t)table->route->n_inputs + 1);
    struct route_key key = {
        .table = table,
        .rel = params->rel,
        .columns = PH_ARENA_ARRAY(arena, bool, (size_t)table->n_columns + 1),
        .identity = PH_ARENA_ARRAY(arena, bool, (size_t)params->rel->n_columns + 1),
    };

    *inputs = NULL;
    if (fields == NULL || key.columns == NULL || key.identity == NULL)
        return no_memory(err);
    PH_TRY(check_all(&key, fields, err));
    keyed.keys = key.is_there ? key.columns : NULL;
    if (table->inputs == NULL)
        return ph_apply_table_build(&keyed, arena, out, err);
    if (params->stream != PH_FORMAT_BINARY)
        return PH_FAIL(err, PH_E_UNSUPPORTED, "rules need a stream in binary: %s",
                       table->route->name);
    *inputs = fields;
    return build_behind_program(&keyed, arena, out, err);
}
