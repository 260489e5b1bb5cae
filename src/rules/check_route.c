/*
 * One route: its inputs and the key of its rows, and the steps from a draft to what rows are made
 * by (check_shape.c, check_columns.c, check_where.c and others do them).
 */
#include "rules/check_parts.h"

/* ---- inputs ---- */

static ph_code
add_input(struct ph_checker *checker, struct ph_draft *draft, struct ph_route_input input,
          ph_oid type_oid, uint32_t *number)
{
    if (draft->route->n_inputs == draft->cap_inputs)
        return PH_FAIL(checker->err, PH_E_INTERNAL, "more inputs than columns and rules");
    *number = draft->route->n_inputs++;
    draft->inputs[*number] = input;
    draft->input_types[*number] = type_oid;
    return PH_OK;
}

ph_code
ph_check_input(struct ph_checker *checker, struct ph_draft *draft, const struct ph_column *column,
               uint32_t *number)
{
    struct ph_buf name;

    for (uint32_t i = 0; i < draft->route->n_inputs; i++) {
        if (draft->inputs[i].column == column) {
            *number = i;
            return PH_OK;
        }
    }
    ph_buf_init(&name, 1024);
    ph_buf_put_ident(&name, column->name);
    const char *sql = ph_arena_strdup(checker->arena, ph_buf_text(&name));
    ph_buf_free(&name);
    if (sql == NULL)
        return ph_check_no_memory(checker);
    return add_input(checker, draft, (struct ph_route_input){.column = column, .sql = sql},
                     column->type_oid, number);
}

ph_code
ph_check_input_sql(struct ph_checker *checker, struct ph_draft *draft, const char *sql,
                   ph_oid type_oid, uint32_t *number)
{
    if (sql == NULL)
        return ph_check_no_memory(checker);
    return add_input(checker, draft, (struct ph_route_input){.sql = sql}, type_oid, number);
}

ph_code
ph_check_input_looked_up(struct ph_checker *checker, struct ph_draft *draft, const char *class,
                         uint32_t *number)
{
    PH_TRY(add_input(checker, draft, (struct ph_route_input){.is_looked_up = true}, 0, number));
    draft->input_classes[*number] = ph_arena_strdup(checker->arena, class);
    return draft->input_classes[*number] == NULL ? ph_check_no_memory(checker) : PH_OK;
}

/* ---- keys ---- */

const struct ph_column *
ph_check_attnum(const struct ph_rel *rel, int16_t attnum)
{
    for (uint32_t i = 0; i < rel->n_columns; i++) {
        if (rel->columns[i].attnum == attnum)
            return &rel->columns[i];
    }
    return NULL;
}

bool
ph_check_is_key(const struct ph_rel *rel, const struct ph_index *index)
{
    if (!index->is_unique || !index->is_valid || index->is_partial || index->has_expressions ||
        (!index->is_primary && !index->is_immediate))
        return false;
    for (uint32_t k = 0; k < index->n_keys; k++) {
        const struct ph_column *column = ph_check_attnum(rel, index->key_attnums[k]);
        if (column == NULL || !column->not_null)
            return false;
    }
    return true;
}

const struct ph_index *
ph_check_key_of(const struct ph_rel *rel)
{
    const struct ph_index *best = NULL;

    for (uint32_t i = 0; i < rel->n_indexes; i++) {
        const struct ph_index *index = &rel->indexes[i];
        if (!ph_check_is_key(rel, index))
            continue;
        if (best == NULL || index->is_primary ||
            (!best->is_primary && index->n_keys < best->n_keys))
            best = index;
    }
    return best;
}

/* ---- a route from its draft ---- */

static bool
is_keyed(const struct ph_draft *draft)
{
    for (uint32_t i = 0; i < draft->route->n_outputs; i++) {
        if (draft->outputs[i].is_keyed)
            return true;
    }
    return false;
}

static ph_code
add_key_inputs(struct ph_checker *checker, struct ph_draft *draft)
{
    const struct ph_index *key = ph_check_key_of(draft->source);
    struct ph_route *route = draft->route;

    if (key == NULL) {
        if (is_keyed(draft))
            ph_check_problem(checker, draft, draft->table->source.place,
                             "a rule needs the row's key, and the table has neither a primary key "
                             "nor a unique one without NULLs");
        return PH_OK;
    }
    uint32_t *inputs = PH_ARENA_ARRAY(checker->arena, uint32_t, key->n_keys);
    if (inputs == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t k = 0; k < key->n_keys; k++)
        PH_TRY(ph_check_input(checker, draft, ph_check_attnum(draft->source, key->key_attnums[k]),
                              &inputs[k]));
    route->key_inputs = inputs;
    route->n_key_inputs = key->n_keys;
    return PH_OK;
}

static ph_code
list_keyed_calls(struct ph_checker *checker, struct ph_draft *draft, uint32_t first_call)
{
    const struct ph_ruleset *set = checker->set;
    uint32_t *calls = PH_ARENA_ARRAY(checker->arena, uint32_t, set->n_calls - first_call + 1);
    uint32_t n = 0;

    if (calls == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t i = first_call; i < set->n_calls; i++) {
        if ((set->calls[i].op->flags & PH_RULE_KEYED) != 0)
            calls[n++] = i;
    }
    draft->plan->keyed_calls = calls;
    draft->plan->n_keyed_calls = n;
    return PH_OK;
}

/* Values of a column that passes come back in another form, which the proof must know: numeric of
 * another scale, time of fewer digits, blanks behind character(n). */
static bool
changes_form(const struct ph_checker *checker, const struct ph_draft *draft)
{
    bool found = false;

    for (uint32_t i = 0; i < draft->route->n_outputs; i++) {
        uint32_t call = draft->makes[i].fit.call;
        if (draft->drafts[i].text_only)
            return false;
        found |=
            call != PH_RULE_NONE && strcmp(checker->set->calls[call].op->name, "fit_varchar") != 0;
    }
    return found;
}

/* Whether there is a program is known only now, and what depends on it is settled. */
static ph_code
settle(struct ph_checker *checker, struct ph_draft *draft, uint32_t first_call)
{
    struct ph_route *route = draft->route;

    route->quarantines = draft->rule->on_bad == PH_BAD_QUARANTINE;
    for (uint32_t i = 0; i < route->n_outputs; i++)
        draft->needs_program |= route->quarantines && draft->drafts[i].narrows;
    draft->needs_program |= changes_form(checker, draft);
    route->has_program = draft->needs_program;
    route->outputs = draft->outputs;
    draft->plan->makes = draft->makes;
    if (!route->has_program) {
        route->n_inputs = 0;
        checker->set->n_calls = first_call;
        return PH_OK;
    }
    checker->set->has_program = true;
    for (uint32_t i = 0; i < route->n_outputs; i++) {
        draft->outputs[i].is_fitted = draft->makes[i].fit.call != PH_RULE_NONE;
        if (draft->drafts[i].is_soft) {
            draft->outputs[i].source = NULL;
            draft->makes[i].kind = PH_MAKE_CHAIN;
        }
        if (draft->drafts[i].text_only)
            ph_check_problem(checker, draft, draft->table->source.place,
                             "column %s can only go as text (%s), and a table with rules on its "
                             "values goes in binary",
                             draft->outputs[i].target->name, draft->drafts[i].reason);
    }
    PH_TRY(add_key_inputs(checker, draft));
    route->inputs = draft->inputs;
    route->lookups = draft->lookups;
    return list_keyed_calls(checker, draft, first_call);
}

static ph_code
alloc_draft(struct ph_checker *checker, struct ph_draft *draft)
{
    size_t n_outputs = (size_t)draft->target->n_columns + 1;

    /* a lookup has two */
    draft->cap_inputs = draft->source->n_columns + 2 * draft->target->n_columns + 1;
    draft->inputs = PH_ARENA_ARRAY(checker->arena, struct ph_route_input, draft->cap_inputs);
    draft->input_types = PH_ARENA_ARRAY(checker->arena, ph_oid, draft->cap_inputs);
    draft->input_classes = PH_ARENA_ARRAY(checker->arena, const char *, draft->cap_inputs);
    draft->lookups = PH_ARENA_ARRAY(checker->arena, struct ph_route_lookup, n_outputs);
    draft->outputs = PH_ARENA_ARRAY(checker->arena, struct ph_route_output, n_outputs);
    draft->makes = PH_ARENA_ARRAY(checker->arena, struct ph_make_plan, n_outputs);
    draft->drafts = PH_ARENA_ARRAY(checker->arena, struct ph_draft_output, n_outputs);
    if (draft->inputs == NULL || draft->input_types == NULL || draft->input_classes == NULL ||
        draft->lookups == NULL || draft->outputs == NULL || draft->makes == NULL ||
        draft->drafts == NULL)
        return ph_check_no_memory(checker);
    return PH_OK;
}

/* A table may go into another along several routes: each has a name of its own. */
static void
number_twins(struct ph_checker *checker, struct ph_route *routes, uint32_t number)
{
    struct ph_route *route = &routes[number];
    uint32_t n = 1;

    for (uint32_t i = 0; i < number; i++)
        n += routes[i].source == route->source && routes[i].target == route->target;
    if (n > 1 && route->name != NULL)
        route->name = ph_arena_printf(checker->arena, "%s (%u)", route->name, n);
}

static ph_code
new_route(struct ph_checker *checker, struct ph_draft *draft)
{
    struct ph_ruleset *set = checker->set;
    uint32_t number = set->n_routes;

    if (number == set->cap_routes) {
        uint32_t cap = set->cap_routes == 0 ? 32 : set->cap_routes * 2;
        struct ph_route *routes = PH_ARENA_ARRAY(checker->arena, struct ph_route, cap);
        struct ph_route_plan *plans = PH_ARENA_ARRAY(checker->arena, struct ph_route_plan, cap);
        if (routes == NULL || plans == NULL)
            return ph_check_no_memory(checker);
        if (number > 0) {
            memcpy(routes, set->routes, number * sizeof *routes);
            memcpy(plans, set->plans, number * sizeof *plans);
        }
        set->routes = routes;
        set->plans = plans;
        set->cap_routes = cap;
    }
    draft->route = &set->routes[number];
    draft->plan = &set->plans[number];
    *draft->route = (struct ph_route){
        .number = number,
        .name = ph_arena_printf(checker->arena, "%s.%s -> %s.%s", draft->source->schema,
                                draft->source->name, draft->target->schema, draft->target->name),
        .source = draft->source,
        .target = draft->target,
        .rule = draft->rule,
        .preserve = draft->rule->preserve.text,
        .backup = draft->rule->backup,
    };
    number_twins(checker, set->routes, number);
    *draft->plan = (struct ph_route_plan){.sample_call = PH_RULE_NONE};
    return draft->route->name == NULL ? ph_check_no_memory(checker) : PH_OK;
}

ph_code
ph_check_route(struct ph_checker *checker, struct ph_draft *draft)
{
    uint32_t first_call = checker->set->n_calls;

    PH_TRY(new_route(checker, draft));
    PH_TRY(alloc_draft(checker, draft));
    PH_TRY(ph_check_target_keys(checker, draft));
    PH_TRY(ph_check_shape(checker, draft));
    PH_TRY(ph_check_columns(checker, draft));
    PH_TRY(ph_check_where(checker, draft));
    PH_TRY(ph_check_numbers(checker, draft));
    PH_TRY(settle(checker, draft, first_call));
    ph_check_unique(checker, draft);
    PH_TRY(ph_check_stream(checker, draft));
    checker->set->n_routes++;
    return PH_OK;
}
