/*
 * From what a job file says to routes: tables by name, partitions one by one, then the columns of
 * each (check_columns.c) and what they must respect. All problems are collected, so that a job file
 * is not mended one message at a time.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/nearest.h"
#include "rules/check_parts.h"

#define PROBLEMS_LIMIT ((size_t)256 << 10)
#define SEPARATOR "\n  "

ph_code
ph_check_no_memory(struct ph_checker *checker)
{
    return PH_FAIL(checker->err, PH_E_MEMORY, "no memory for the rules");
}

/* Routes of one table have much in common, and a message has not room for everything. */
static void
drop_repeated(struct ph_buf *problems, size_t start)
{
    const char *text = ph_buf_text(problems);
    const char *said = text + start + (start > 0 ? strlen(SEPARATOR) : 0);

    for (const char *at = strstr(text, said); at != NULL && at < said; at = strstr(at + 1, said)) {
        if (at[strlen(said)] == '\n') {
            problems->len = start;
            return;
        }
    }
}

/* Its directory is said once, with the first problem: a message has room for few of them. */
static const char *
file_of(const struct ph_checker *checker)
{
    const char *file = checker->params->rules->file;
    const char *slash = file != NULL ? strrchr(file, '/') : NULL;

    if (file == NULL)
        return "rules";
    return slash != NULL && checker->problems.len > 0 ? slash + 1 : file;
}

void
ph_check_problem(struct ph_checker *checker, const struct ph_draft *draft,
                 struct ph_rule_place place, const char *format, ...)
{
    struct ph_buf *out = &checker->problems;
    size_t start = out->len;
    va_list args;

    checker->n_problems++;
    ph_buf_printf(out, "%s%s:", out->len > 0 ? SEPARATOR : "", file_of(checker));
    if (place.line > 0)
        ph_buf_printf(out, "%u:%u:", place.line, place.column);
    ph_buf_putc(out, ' ');
    if (draft != NULL && draft->source != NULL)
        ph_buf_printf(out, "%s.%s: ", draft->source->schema, draft->source->name);
    va_start(args, format);
    ph_buf_vprintf(out, format, args);
    va_end(args);
    drop_repeated(out, start);
}

void
ph_check_told(struct ph_checker *checker, const char *message)
{
    checker->n_problems++;
    ph_buf_printf(&checker->problems, "%s%s", checker->problems.len > 0 ? SEPARATOR : "", message);
}

const char *
ph_check_nearest_column(const struct ph_rel *rel, const char *name, char out[100])
{
    struct ph_nearest nearest = {.word = name};

    out[0] = '\0';
    for (uint32_t i = 0; i < rel->n_columns; i++)
        ph_nearest_offer(&nearest, rel->columns[i].name);
    if (nearest.best != NULL)
        snprintf(out, 100, "; did you mean %s?", nearest.best);
    return out;
}

const struct ph_column *
ph_check_source_column(struct ph_checker *checker, const struct ph_draft *draft,
                       struct ph_rule_word word)
{
    const struct ph_column *column = ph_rel_column_named(draft->source, word.text);
    char nearest[100];

    if (column == NULL)
        ph_check_problem(checker, draft, word.place, "the source has no column %s%s", word.text,
                         ph_check_nearest_column(draft->source, word.text, nearest));
    return column;
}

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

static const struct ph_column *
column_of(const struct ph_rel *rel, int16_t attnum)
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
        const struct ph_column *column = column_of(rel, index->key_attnums[k]);
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

const struct ph_column *
ph_check_attnum(const struct ph_rel *rel, int16_t attnum)
{
    return column_of(rel, attnum);
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
        PH_TRY(ph_check_input(checker, draft, column_of(draft->source, key->key_attnums[k]),
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
        .preserve = draft->rule->preserve.text,
        .backup = draft->rule->backup,
    };
    number_twins(checker, set->routes, number);
    *draft->plan = (struct ph_route_plan){.sample_call = PH_RULE_NONE};
    return draft->route->name == NULL ? ph_check_no_memory(checker) : PH_OK;
}

static ph_code
check_route(struct ph_checker *checker, struct ph_draft *draft)
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

/* ---- tables ---- */

const char *
ph_check_made_here(const struct ph_checker *checker)
{
    return checker->params->keys_come_later
               ? " (without --data-only it gets the source's tables as they are)"
               : "";
}

static const struct ph_rel *
find_rel(struct ph_checker *checker, const struct ph_catalog *catalog, const char *side,
         struct ph_rule_name name)
{
    const struct ph_rel *rel = ph_catalog_rel_named(catalog, name.schema, name.name);
    struct ph_nearest nearest = {.word = name.name};
    const struct ph_rel *best = NULL;
    const char *why = catalog == checker->params->target ? ph_check_made_here(checker) : "";

    if (rel != NULL && (rel->kind == PH_REL_TABLE || rel->kind == PH_REL_PARTITIONED))
        return rel;
    if (rel != NULL) {
        ph_check_problem(checker, NULL, name.place, "%s.%s on the %s is not a table", name.schema,
                         name.name, side);
        return NULL;
    }
    for (uint32_t i = 0; i < catalog->n_rels; i++) {
        const struct ph_rel *other = &catalog->rels[i];
        if (other->kind != PH_REL_TABLE && other->kind != PH_REL_PARTITIONED)
            continue;
        const char *before = nearest.best;
        ph_nearest_offer(&nearest, other->name);
        if (nearest.best != before)
            best = other;
    }
    if (best != NULL)
        ph_check_problem(checker, NULL, name.place,
                         "the %s has no table %s.%s%s; did you mean %s.%s?", side, name.schema,
                         name.name, why, best->schema, best->name);
    else
        ph_check_problem(checker, NULL, name.place, "the %s has no table %s.%s%s", side,
                         name.schema, name.name, why);
    return NULL;
}

static bool
is_selected(const struct ph_checker *checker, const struct ph_rel *rel)
{
    const struct ph_ruleset_params *params = checker->params;

    if (params->selected == NULL)
        return true;
    for (uint32_t i = 0; i < params->n_selected; i++) {
        if (params->selected[i] == rel)
            return true;
    }
    return false;
}

/* Columns of the source that no route of the table takes and no entry drops. */
static void
check_leftovers(struct ph_checker *checker, const struct ph_rule_table *table,
                const struct ph_rel *source, const bool *taken)
{
    const struct ph_draft draft = {.source = source};

    for (uint32_t i = 0; i < source->n_columns; i++) {
        if (!taken[i] && source->columns[i].generated == '\0')
            ph_check_problem(checker, &draft, table->source.place,
                             "column %s goes nowhere: give it a rule, or list it under `drop:`",
                             source->columns[i].name);
    }
}

/* Whether another partition of its table has been looked at before. */
static bool
is_later_leaf(const struct ph_checker *checker, const struct ph_rel *leaf)
{
    for (uint32_t i = 0; leaf->is_partition && i < checker->set->n_by_source; i++) {
        const struct ph_rel *other =
            ph_catalog_rel(checker->params->source, checker->set->by_source[i].oid);
        if (other != NULL && other->root_oid == leaf->root_oid)
            return true;
    }
    return false;
}

static ph_code
check_leaf(struct ph_checker *checker, const struct ph_rule_table *table,
           const struct ph_rel *source, const struct ph_rel *const *targets)
{
    bool *taken = PH_ARENA_ARRAY(checker->arena, bool, (size_t)source->n_columns + 1);
    struct ph_classified *classified =
        PH_ARENA_ARRAY(checker->arena, struct ph_classified, (size_t)source->n_columns + 1);
    uint32_t first = checker->set->n_routes;

    if (taken == NULL || classified == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t i = 0; i < table->n_routes; i++) {
        struct ph_draft draft = {.table = table,
                                 .rule = &table->routes[i],
                                 .source = source,
                                 .target = targets[i],
                                 .taken = taken,
                                 .classified = classified};
        PH_TRY(check_route(checker, &draft));
        ph_check_mark_classified(&draft);
    }
    check_leftovers(checker, table, source, taken);
    if (checker->params->rules->classify && !is_later_leaf(checker, source))
        ph_check_unclassified(checker, source, classified);
    checker->set->by_source[checker->set->n_by_source++] =
        (struct ph_source_routes){source->oid, first, table->n_routes};
    return PH_OK;
}

static bool
has_routes(const struct ph_checker *checker, const struct ph_rel *rel)
{
    for (uint32_t i = 0; i < checker->set->n_by_source; i++) {
        if (checker->set->by_source[i].oid == rel->oid)
            return true;
    }
    return false;
}

/* The table itself, or the partitions under it that hold rows. */
static ph_code
check_leaves(struct ph_checker *checker, const struct ph_rule_table *table,
             const struct ph_rel *source, const struct ph_rel *const *targets)
{
    const struct ph_rel *leaf;
    uint32_t n = 0;

    for (uint32_t at = 0;
         (leaf = ph_catalog_tree_next(checker->params->source, source, &at)) != NULL;) {
        if (leaf->kind != PH_REL_TABLE || !is_selected(checker, leaf))
            continue;
        uint32_t problems = checker->n_problems;
        n++;
        if (has_routes(checker, leaf)) {
            ph_check_problem(checker, NULL, table->source.place, "%s.%s has an entry already",
                             leaf->schema, leaf->name);
            continue;
        }
        PH_TRY(check_leaf(checker, table, leaf, targets));
        if (checker->n_problems != problems)
            break; /* the others would say the same */
    }
    if (n == 0 && !is_selected(checker, source)) /* else it has no partitions yet */
        ph_check_problem(checker, NULL, table->source.place, "%s.%s has rules and is not selected",
                         source->schema, source->name);
    return PH_OK;
}

static ph_code
check_table(struct ph_checker *checker, const struct ph_rule_table *table)
{
    const struct ph_rel *source =
        find_rel(checker, checker->params->source, "source", table->source);
    const struct ph_rel **targets =
        PH_ARENA_ARRAY(checker->arena, const struct ph_rel *, (size_t)table->n_routes + 1);
    bool all = source != NULL;

    if (targets == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t i = 0; i < table->n_routes; i++) {
        struct ph_rule_name into = table->routes[i].into;
        targets[i] = find_rel(checker, checker->params->target, "target",
                              into.name != NULL ? into : table->source);
        all &= targets[i] != NULL;
    }
    return all ? check_leaves(checker, table, source, targets) : PH_OK;
}

static int
compare_oids(const void *a, const void *b)
{
    ph_oid oid_a = ((const struct ph_source_routes *)a)->oid;
    ph_oid oid_b = ((const struct ph_source_routes *)b)->oid;

    return oid_a < oid_b ? -1 : oid_a > oid_b;
}

static ph_code
check_all(struct ph_checker *checker)
{
    const struct ph_ruleset_params *params = checker->params;
    struct ph_ruleset *set = checker->set;
    const struct ph_rule_table *followed;
    uint32_t n_followed;

    set->by_source =
        PH_ARENA_ARRAY(checker->arena, struct ph_source_routes, (size_t)params->source->n_rels + 1);
    if (set->by_source == NULL)
        return ph_check_no_memory(checker);
    PH_TRY(ph_check_references(checker));
    for (uint32_t i = 0; i < params->rules->n_tables; i++)
        PH_TRY(check_table(checker, &params->rules->tables[i]));
    PH_TRY(ph_check_followed_tables(checker, &followed, &n_followed));
    for (uint32_t i = 0; i < n_followed; i++)
        PH_TRY(check_table(checker, &followed[i]));
    ph_check_classify(checker);
    qsort(set->by_source, set->n_by_source, sizeof *set->by_source, compare_oids);
    if (!ph_buf_ok(&checker->problems) || !ph_buf_ok(&checker->unclassified))
        return ph_check_no_memory(checker);
    if (checker->n_problems > 0)
        return PH_FAIL(checker->err, PH_E_RULES, "%s", ph_buf_text(&checker->problems));
    return PH_OK;
}

ph_code
ph_rules_check(const struct ph_ruleset_params *params, struct ph_ruleset *set, struct ph_error *err)
{
    struct ph_checker checker = {.params = params, .set = set, .arena = &set->arena, .err = err};

    ph_buf_init(&checker.problems, PROBLEMS_LIMIT);
    ph_buf_init(&checker.unclassified, PROBLEMS_LIMIT);
    ph_code rc = check_all(&checker);
    ph_buf_free(&checker.unclassified);
    ph_buf_free(&checker.problems);
    return rc;
}
