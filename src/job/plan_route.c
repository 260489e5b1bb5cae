#include "job/plan_route.h"

#include <string.h>

#include "flow/preserve_stage.h"
#include "model/type_match.h"
#include "wire/oid_remap.h"

#define INT4_OID 23u

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory for a route");
}

static ph_code
set_columns(struct ph_table_plan *table, const struct ph_route *route, struct ph_arena *arena,
            struct ph_error *err)
{
    struct ph_plan_column *columns =
        PH_ARENA_ARRAY(arena, struct ph_plan_column, (size_t)route->n_outputs + 1);

    if (columns == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < route->n_outputs; i++) {
        const struct ph_route_output *output = &route->outputs[i];
        const struct ph_column *from = output->source != NULL ? output->source : output->target;
        columns[i] = (struct ph_plan_column){
            .source_name = from->name,
            .target_name = output->target->name,
            .source = from,
            .target = output->target,
        };
    }
    table->columns = columns;
    table->n_columns = route->n_outputs;
    return PH_OK;
}

static ph_code
set_inputs(struct ph_table_plan *table, const struct ph_route *route, struct ph_arena *arena,
           struct ph_error *err)
{
    const char **inputs = PH_ARENA_ARRAY(arena, const char *, (size_t)route->n_inputs + 1);

    if (inputs == NULL)
        return no_memory(err);
    table->n_inputs = 0;
    for (uint32_t i = 0; i < route->n_inputs; i++) {
        if (!route->inputs[i].is_looked_up)
            inputs[table->n_inputs++] = route->inputs[i].sql;
    }
    table->inputs = inputs;
    return PH_OK;
}

static const char *
equality_of(const struct ph_rules_in_use *rules, const struct ph_column *column,
            struct ph_arena *arena)
{
    const struct ph_catalog *catalog = rules->preserving->catalog;
    struct ph_buf text;

    ph_buf_init(&text, 1024);
    ph_type_put_equals(ph_type_base(catalog, column->type_oid), &text);
    const char *out = ph_buf_ok(&text) ? ph_arena_strdup(arena, ph_buf_text(&text)) : NULL;
    ph_buf_free(&text);
    return out;
}

static ph_code
set_preserved(struct ph_table_plan *table, struct ph_arena *arena, struct ph_error *err)
{
    const struct ph_route *route = table->route;
    struct ph_preserved *preserved = PH_ARENA_ARRAY(arena, struct ph_preserved, 1);
    const char **equals = PH_ARENA_ARRAY(arena, const char *, (size_t)route->n_preserved_key + 1);

    if (preserved == NULL || equals == NULL)
        return no_memory(err);
    for (uint32_t k = 0; k < route->n_preserved_key; k++) {
        equals[k] =
            equality_of(table->rules, table->columns[route->preserved_key[k]].target, arena);
        if (equals[k] == NULL)
            return no_memory(err);
    }
    *preserved = (struct ph_preserved){.columns = route->preserved,
                                       .n_columns = route->n_preserved,
                                       .key = route->preserved_key,
                                       .n_key = route->n_preserved_key,
                                       .equals = equals,
                                       .rows = route->preserve};
    table->preserved = preserved;
    return PH_OK;
}

ph_code
ph_plan_set_route(struct ph_table_plan *table, const struct ph_rules_in_use *rules,
                  const struct ph_route *route, struct ph_arena *arena, struct ph_error *err)
{
    table->rules = rules;
    table->route = route;
    table->route_name = route->name;
    table->target = route->target;
    table->join = route->join;
    PH_TRY(set_columns(table, route, arena, err));
    if (route->has_program)
        PH_TRY(set_inputs(table, route, arena, err));
    if (route->where != NULL &&
        (table->where[PH_SOURCE] = ph_arena_printf(arena, "WHERE (%s)", route->where)) == NULL)
        return no_memory(err);
    table->preserved = NULL;
    if (route->n_preserved > 0)
        PH_TRY(set_preserved(table, arena, err));
    /* a row for which the condition is NULL is not one that stays */
    if (route->preserve != NULL &&
        (table->where[PH_TARGET] =
             ph_arena_printf(arena, "WHERE ((%s) IS NOT TRUE)", route->preserve)) == NULL)
        return no_memory(err);
    return PH_OK;
}

/* What a rule makes is of the target's types already: a stand-in that has nothing to rewrite. */
static const struct ph_plan_column *
passed_columns(const struct ph_table_plan *table, struct ph_arena *arena)
{
    static const struct ph_column made = {.name = "", .type_oid = INT4_OID, .typmod = -1};
    struct ph_plan_column *columns =
        PH_ARENA_ARRAY(arena, struct ph_plan_column, (size_t)table->n_columns + 1);

    for (uint32_t i = 0; columns != NULL && i < table->n_columns; i++) {
        columns[i] = table->columns[i];
        if (table->route->outputs[i].source == NULL)
            columns[i].source = columns[i].target = &made;
    }
    return columns;
}

ph_code
ph_plan_set_program_format(struct ph_table_plan *table, const struct ph_catalog *source,
                           const struct ph_catalog *target, struct ph_arena *arena,
                           struct ph_error *err)
{
    struct ph_table_match match = {0};
    const struct ph_plan_column *columns = passed_columns(table, arena);

    if (columns == NULL)
        return no_memory(err);
    PH_TRY(ph_type_match_table(columns, table->n_columns, source, target, &match, err));
    if (match.format == PH_FORMAT_TEXT)
        return PH_FAIL(err, PH_E_TYPES,
                       "rules need binary values, and these go as text: %s; give the column a rule "
                       "of its own or drop it",
                       match.reason);
    table->format = PH_FORMAT_BINARY;
    table->format_reason = "binary: rules are applied";
    table->may_change =
        match.may_change && table->inputs == NULL; /* or the program makes its form */
    return ph_oid_remap_compile(columns, table->n_columns, source, target, arena, &table->remap,
                                err);
}

bool
ph_plan_rows_can_be_counted(const struct ph_table_plan *table)
{
    const struct ph_route *route = table->route;

    return table->preserved == NULL &&
           (route == NULL || (!route->makes_rows && !route->may_quarantine));
}

bool
ph_plan_fills_alike(const struct ph_table_plan *a, const struct ph_table_plan *b)
{
    if (a->n_columns != b->n_columns)
        return false;
    for (uint32_t i = 0; i < a->n_columns; i++) {
        if (strcmp(a->columns[i].target_name, b->columns[i].target_name) != 0)
            return false;
    }
    return true;
}
