/*
 * What messages may not tell of a source's table: what any of its routes masks, whichever of them
 * the message is of, and beside a mask what goes nowhere. Partitions are one table in this, also
 * where they have entries of their own.
 */
#include "model/type_match.h"
#include "rules/check_parts.h"

static struct ph_hidden_table *
add_table(struct ph_checker *checker, const struct ph_rel *rel)
{
    struct ph_hidden_table *table = &checker->set->hidden[checker->set->n_hidden];

    *table = (struct ph_hidden_table){
        .rel = rel,
        .masked = PH_ARENA_ARRAY(checker->arena, bool, (size_t)rel->n_columns + 1),
        .shown = PH_ARENA_ARRAY(checker->arena, bool, (size_t)rel->n_columns + 1)};
    if (table->masked == NULL || table->shown == NULL)
        return NULL;
    checker->set->n_hidden++;
    return table;
}

/* NULL: no memory. */
static struct ph_hidden_table *
table_of(struct ph_checker *checker, const struct ph_rel *source)
{
    const struct ph_ruleset *set = checker->set;
    const struct ph_rel *root = ph_catalog_rel(checker->params->source, source->root_oid);
    const struct ph_rel *rel = root != NULL ? root : source;

    for (uint32_t i = set->n_hidden; i > 0; i--) {
        if (set->hidden[i - 1].rel == rel)
            return &set->hidden[i - 1];
    }
    return add_table(checker, rel);
}

/* The mark of that column, by its name: partitions may have columns in another order. */
static bool *
mark_of(const struct ph_hidden_table *table, bool *marks, const struct ph_column *column)
{
    const struct ph_column *found = ph_rel_column_named(table->rel, column->name);

    return found == NULL ? NULL : &marks[found - table->rel->columns];
}

static void
mark(const struct ph_hidden_table *table, bool *marks, const struct ph_column *column)
{
    bool *at = column == NULL ? NULL : mark_of(table, marks, column);

    if (at != NULL)
        *at = true;
}

static void
note_output(struct ph_hidden_table *table, const struct ph_route *route,
            const struct ph_route_output *output)
{
    table->has_mask |= output->mask != NULL;
    mark(table, table->shown, output->source);
    for (uint32_t i = 0; route->has_program && i < output->n_reads; i++) {
        const struct ph_column *column = route->inputs[output->reads[i]].column;
        if (output->mask == NULL)
            mark(table, table->shown, column);
        else if (i < output->n_hidden)
            mark(table, table->masked, column);
    }
}

static void
note_route(struct ph_hidden_table *table, const struct ph_route *route)
{
    for (uint32_t n = 0; n < route->n_outputs; n++)
        note_output(table, route, &route->outputs[n]);
}

/* What a value is as text, as far as the operators know. */
static ph_code
find_text(struct ph_checker *checker, const struct ph_column *column, struct ph_hidden_column *out)
{
    const struct ph_catalog *catalog = checker->params->source;
    const struct ph_type *type = ph_type_base(catalog, column->type_oid);
    char class[PH_CLASS_SIZE];
    char result[PH_CLASS_SIZE];
    const char *const args[] = {class};
    const struct ph_op_wanted wanted = {.name = "cast",
                                        .args = args,
                                        .n_args = 1,
                                        .result = "text",
                                        .must_result = true,
                                        .is_silent = true};

    if (type == NULL || !ph_type_class(catalog, column->type_oid, class))
        return PH_OK;
    out->is_padded = strcmp(type->schema, "pg_catalog") == 0 && strcmp(type->name, "bpchar") == 0;
    return ph_check_find_op(checker, NULL, &wanted, &out->to_text, result);
}

/* A route of a table that has a mask somewhere. */
static ph_code
hide(struct ph_checker *checker, const struct ph_hidden_table *table, struct ph_route *route)
{
    const struct ph_rel *source = route->source;
    struct ph_hidden_column *hidden =
        PH_ARENA_ARRAY(checker->arena, struct ph_hidden_column, (size_t)source->n_columns + 1);
    struct ph_hidden_table alone = {.rel = source};

    alone.masked = PH_ARENA_ARRAY(checker->arena, bool, (size_t)source->n_columns + 1);
    alone.shown = PH_ARENA_ARRAY(checker->arena, bool, (size_t)source->n_columns + 1);
    if (hidden == NULL || alone.masked == NULL || alone.shown == NULL)
        return ph_check_no_memory(checker);
    note_route(&alone, route);
    for (uint32_t i = 0; i < source->n_columns; i++) {
        const bool *masked = mark_of(table, table->masked, &source->columns[i]);
        const bool *shown = mark_of(table, table->shown, &source->columns[i]);
        hidden[i].is_hidden = (masked != NULL && *masked) || (alone.has_mask && !alone.shown[i]) ||
                              shown == NULL || !*shown;
        if (hidden[i].is_hidden)
            PH_TRY(find_text(checker, &source->columns[i], &hidden[i]));
    }
    route->hidden = hidden;
    return PH_OK;
}

ph_code
ph_check_hidden(struct ph_checker *checker)
{
    struct ph_ruleset *set = checker->set;
    struct ph_hidden_table *table;

    set->hidden = PH_ARENA_ARRAY(checker->arena, struct ph_hidden_table, (size_t)set->n_routes + 1);
    if (set->hidden == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t i = 0; i < set->n_routes; i++) {
        if ((table = table_of(checker, set->routes[i].source)) == NULL)
            return ph_check_no_memory(checker);
        note_route(table, &set->routes[i]);
    }
    for (uint32_t i = 0; i < set->n_routes; i++) {
        if ((table = table_of(checker, set->routes[i].source)) == NULL)
            return ph_check_no_memory(checker);
        if (table->has_mask)
            PH_TRY(hide(checker, table, &set->routes[i]));
    }
    return PH_OK;
}
