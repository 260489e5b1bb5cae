/*
 * From what a job file says to routes: tables by name, partitions one by one, then each route of
 * them (check_route.c) and what they must respect. All problems are collected (check_problem.c), so
 * that a job file is not mended one message at a time.
 */
#include <stdlib.h>

#include "base/nearest.h"
#include "rules/check_parts.h"

#define PROBLEMS_LIMIT ((size_t)256 << 10)

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

/* `is_first`: of the entry's partitions, of which the others would say the same. */
static ph_code
check_leaf(struct ph_checker *checker, const struct ph_rule_table *table,
           const struct ph_rel *source, const struct ph_rel *const *targets, bool is_first)
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
        PH_TRY(ph_check_route(checker, &draft));
        ph_check_mark_classified(&draft);
    }
    check_leftovers(checker, table, source, taken);
    if (checker->params->rules->classify && is_first)
        ph_check_unclassified(checker, source, classified);
    checker->set->by_source[checker->set->n_by_source++] =
        (struct ph_source_routes){source->oid, first, table->n_routes};
    return PH_OK;
}

bool
ph_check_has_routes(const struct ph_checker *checker, const struct ph_rel *rel)
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
    bool is_first = true;
    uint32_t n = 0;

    for (uint32_t at = 0;
         (leaf = ph_catalog_tree_next(checker->params->source, source, &at)) != NULL;) {
        if (leaf->kind != PH_REL_TABLE || !is_selected(checker, leaf))
            continue;
        uint32_t problems = checker->n_problems;
        n++;
        if (ph_check_has_routes(checker, leaf)) {
            ph_check_problem(checker, NULL, table->source.place, "%s.%s has an entry already",
                             leaf->schema, leaf->name);
            continue;
        }
        PH_TRY(check_leaf(checker, table, leaf, targets, is_first));
        is_first = false;
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
    return ph_check_hidden(checker);
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
