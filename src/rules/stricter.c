#include "rules/stricter.h"

#include <string.h>

struct walk {
    const struct ph_stricter_params *params;
    uint32_t at; /* places so far */
    struct ph_arena *arena;
};

static void
make_strict(struct walk *walk, enum ph_rule_else *otherwise)
{
    if (*otherwise == PH_ELSE_ERROR ||
        (*otherwise == PH_ELSE_QUARANTINE && !walk->params->of_quarantine))
        return;
    if (walk->params->place == PH_ALL_PLACES || walk->params->place == walk->at)
        *otherwise = PH_ELSE_ERROR;
    walk->at++;
}

/* NULL: no memory. */
static void *
copy_of(struct ph_arena *arena, const void *items, uint32_t n, size_t size)
{
    void *copy = ph_arena_alloc(arena, ((size_t)n + 1) * size);

    if (copy != NULL && n > 0)
        memcpy(copy, items, n * size);
    return copy;
}

static bool
walk_column(struct walk *walk, struct ph_rule_column *column)
{
    struct ph_rule_step *steps =
        copy_of(walk->arena, column->steps, column->n_steps, sizeof *steps);

    if (steps == NULL)
        return false;
    for (uint32_t i = 0; i < column->n_steps; i++) {
        if (steps[i].map != NULL)
            make_strict(walk, &steps[i].otherwise);
    }
    column->steps = steps;
    if (column->kind == PH_RULE_LOOKUP)
        make_strict(walk, &column->lookup.otherwise);
    return true;
}

static bool
walk_table(struct walk *walk, struct ph_rule_table *table)
{
    bool ok = true;

    table->routes = copy_of(walk->arena, table->routes, table->n_routes, sizeof *table->routes);
    for (uint32_t r = 0; table->routes != NULL && r < table->n_routes; r++) {
        struct ph_rule_route *route = &table->routes[r];
        route->columns =
            copy_of(walk->arena, route->columns, route->n_columns, sizeof *route->columns);
        for (uint32_t c = 0; route->columns != NULL && c < route->n_columns; c++)
            ok &= walk_column(walk, &route->columns[c]);
        ok &= route->columns != NULL;
    }
    return ok && table->routes != NULL;
}

ph_code
ph_job_rules_stricter(const struct ph_job_rules *rules, const struct ph_stricter_params *params,
                      struct ph_arena *arena, struct ph_job_rules *out, uint32_t *n_places,
                      struct ph_error *err)
{
    struct walk walk = {.params = params, .arena = arena};
    struct ph_rule_table *tables = copy_of(arena, rules->tables, rules->n_tables, sizeof *tables);
    bool ok = tables != NULL;

    for (uint32_t i = 0; ok && i < rules->n_tables; i++)
        ok = walk_table(&walk, &tables[i]);
    if (!ok)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the rules");
    *out = *rules;
    out->tables = tables;
    *n_places = walk.at;
    return PH_OK;
}
