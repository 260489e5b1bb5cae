/*
 * Foreign keys and rules. What a key becomes its references must become too, or rows lose each
 * other without an error: a rule on a referenced column is given to the columns that refer to it,
 * before routes are made; one that says something else is refused.
 *
 * Foreign keys of both sides count: the target's by the tables that rows go into, the source's by
 * the tables they come from (the target may have none, or not yet). Rules are compared as they are
 * written; whether one rule does the same on both ends is another question (check_alike.c).
 */
#include "model/type_match.h"
#include "rules/check_sites.h"
#include "rules/library.h"
#include "rules/ops.h"

/* ---- the same rule ---- */

static bool
same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
same_step(const struct ph_rule_step *a, const struct ph_rule_step *b)
{
    if (!same_text(a->op, b->op) || !same_text(a->library, b->library) || a->map != b->map ||
        a->otherwise != b->otherwise || !same_text(a->else_value.text, b->else_value.text) ||
        a->params.n != b->params.n)
        return false;
    for (uint32_t i = 0; i < a->params.n; i++) {
        if (!same_text(a->params.items[i].text, b->params.items[i].text))
            return false;
    }
    return true;
}

static uint32_t
steps_of(const struct ph_rule_column *rule)
{
    return rule == NULL || rule->kind != PH_RULE_TAKE ? 0 : rule->n_steps;
}

static bool
same_rule(const struct ph_rule_column *a, const struct ph_rule_column *b)
{
    uint32_t n = steps_of(a);

    if (n != steps_of(b))
        return false;
    if (a == NULL || b == NULL) /* neither has steps */
        return true;
    for (uint32_t i = 0; i < n; i++) {
        if (!same_step(&a->steps[i], &b->steps[i]))
            return false;
    }
    return true;
}

/* Constants and look-ups name rows by themselves; maps and defaults do where they change a value.
 */
static bool
names_rows(const struct ph_rule_column *rule)
{
    if (ph_check_is_made(rule) || rule->from.n > 1)
        return true;
    for (uint32_t i = 0; i < steps_of(rule); i++) {
        const struct ph_rule_step *step = &rule->steps[i];
        if (step->map == NULL && !same_text(step->op, "default") && !same_text(step->op, "cast"))
            return false;
    }
    return true;
}

static bool
takes(const struct ph_rule_op *op, uint32_t n_args)
{
    const char *end = strstr(op->signature, "->");
    const char *rest = strstr(op->signature, "...");
    uint32_t n = 1;

    for (const char *at = op->signature; end != NULL && at < end; at++)
        n += *at == ',';
    return n == n_args || (rest != NULL && n_args > n);
}

static bool
has_keyed(const struct ph_rule_op *ops, uint32_t n_ops, const char *name, uint32_t n_args)
{
    for (uint32_t i = 0; i < n_ops; i++) {
        if (strcmp(ops[i].name, name) == 0 && takes(&ops[i], n_args) &&
            (ops[i].flags & PH_RULE_KEYED) != 0)
            return true;
    }
    return false;
}

/* A library that cannot be opened is told where the rule itself is looked at. */
static bool
is_keyed_step(const struct ph_checker *checker, const struct ph_rule_step *step, uint32_t n_args)
{
    const struct ph_rule_library *library;
    struct ph_error ignored = {.code = PH_OK};

    if (step->library != NULL)
        return ph_rules_open_library(checker->set, checker->params->rules->file, step->library,
                                     &library, &ignored) == PH_OK &&
               has_keyed(library->ops, library->n_ops, step->op, n_args);
    for (const struct ph_rule_family *family = ph_rule_families; family->name != NULL; family++) {
        if (has_keyed(family->ops, family->n_ops, step->op, n_args))
            return true;
    }
    return false;
}

/* Whether an operator makes it depend on the key of the row it is in. */
static bool
is_keyed(const struct ph_checker *checker, const struct ph_rule_column *rule)
{
    for (uint32_t i = 0; rule != NULL && i < steps_of(rule); i++) {
        if (is_keyed_step(checker, &rule->steps[i], i == 0 && rule->from.n > 1 ? rule->from.n : 1))
            return true;
    }
    return false;
}

/* ---- the same values ---- */

static void
refuse(struct ph_checker *checker, const struct ph_check_site *site,
       const struct ph_check_site *key, const char *problem)
{
    const struct ph_draft draft = {.source = site->source};
    struct ph_rule_place place = {0, 0};

    if (site->rule != NULL)
        place = site->rule->target.place;
    ph_check_problem(checker, &draft, place, "column %s refers to %s.%s.%s, %s",
                     site->target_column, key->target->schema, key->target->name,
                     key->target_column, problem);
}

/* What elements of the column are; in JSON, what they are written as. */
static bool
look_at_element(const struct ph_catalog *catalog, const struct ph_column *column,
                struct ph_column *out)
{
    const struct ph_type *type = ph_type_base(catalog, column->type_oid);
    const struct ph_type *text = ph_type_of_class(catalog, "text");
    bool is_array = type != NULL && ph_type_is_array(type);
    const struct ph_type *element = is_array ? ph_catalog_type(catalog, type->elem_oid) : text;

    if (element == NULL)
        return false;
    *out = *column;
    out->type_oid = element->oid;
    out->type_text = element->name;
    return true;
}

/* The column of the source that a site is filled from, `word` of its rule; false: not of one. */
static bool
look_at_source(const struct ph_checker *checker, const struct ph_check_site *site, uint32_t word,
               struct ph_column *out)
{
    const struct ph_rule_route *route = site->route;
    bool is_one_of_several = site->rule != NULL && site->rule->from.n > 1;
    const char *name = is_one_of_several ? site->rule->from.items[word].text : site->source_column;
    bool is_element = route != NULL && name != NULL && strcmp(name, PH_SITE_VALUE) == 0;

    if (is_element && route->each.is_there)
        name = route->each.column.text;
    else if (is_element && route->unpivot.columns.n > 0)
        name = route->unpivot.columns.items[0].text;
    const struct ph_column *column = name != NULL ? ph_rel_column_named(site->source, name) : NULL;
    if (column == NULL)
        return false;
    if (is_element && route->each.is_there)
        return look_at_element(checker->params->source, column, out);
    *out = *column;
    return true;
}

/* Whether one rule on both makes equal values of equal ones; else a problem was told. */
static bool
stays_alike(struct ph_checker *checker, const struct ph_check_site *site,
            const struct ph_check_site *key)
{
    uint32_t n_words = key->rule->from.n > 1 ? key->rule->from.n : 1;
    struct ph_column reference;
    struct ph_column referenced;
    struct ph_buf why_not;
    bool is_alike = true;

    for (uint32_t i = 0; i < n_words && is_alike; i++) {
        if (!look_at_source(checker, site, i, &reference) ||
            !look_at_source(checker, key, i, &referenced))
            continue;
        const struct ph_check_ends ends = {&referenced, &reference};
        ph_buf_init(&why_not, (size_t)64 << 10);
        is_alike = ph_check_stays_alike(checker->params->source, &ends, key->rule->steps,
                                        steps_of(key->rule), &why_not);
        if (!is_alike)
            refuse(checker, site, key, ph_buf_text(&why_not));
        ph_buf_free(&why_not);
    }
    return is_alike;
}

/* ---- one foreign key's column ---- */

static ph_code
follow(struct ph_checker *checker, const struct ph_check_site *site,
       const struct ph_check_site *key)
{
    if (checker->n_followed == checker->cap_followed) {
        uint32_t cap = checker->cap_followed == 0 ? 16 : checker->cap_followed * 2;
        struct ph_followed_rule *more =
            PH_ARENA_ARRAY(checker->arena, struct ph_followed_rule, cap);
        if (more == NULL)
            return ph_check_no_memory(checker);
        if (checker->n_followed > 0)
            memcpy(more, checker->followed, checker->n_followed * sizeof *more);
        checker->followed = more;
        checker->cap_followed = cap;
    }
    struct ph_rule_word *from = PH_ARENA_ARRAY(checker->arena, struct ph_rule_word, 1);
    const char *of = key->source_column != NULL && !ph_check_is_value(key) ? key->source_column
                                                                           : key->target_column;
    const char *because =
        ph_arena_printf(checker->arena, "%s.%s.%s", key->source->schema, key->source->name, of);
    if (from == NULL || because == NULL)
        return ph_check_no_memory(checker);
    from->text = site->source_column;
    struct ph_followed_rule *followed = &checker->followed[checker->n_followed++];
    *followed = (struct ph_followed_rule){.source = site->source,
                                          .target = site->target,
                                          .has_entry = site->table != NULL,
                                          .because = because,
                                          .rule = *key->rule};
    followed->rule.target.text = site->target_column;
    followed->rule.from = (struct ph_rule_words){from, 1};
    return PH_OK;
}

/* The partition of the site's table that follows another key, whose rule is another one; NULL: none
 * does. */
static const struct ph_rel *
find_split(const struct ph_checker *checker, const struct ph_check_site *site,
           const struct ph_check_site *key)
{
    for (uint32_t i = 0; i < checker->n_followed; i++) {
        const struct ph_followed_rule *followed = &checker->followed[i];
        if (ph_catalog_is_within(checker->params->source, followed->source->oid,
                                 site->source->oid) &&
            ph_check_is_for(checker, followed, followed->source, site->target) &&
            same_text(followed->rule.target.text, site->target_column) &&
            !same_rule(&followed->rule, key->rule))
            return followed->source;
    }
    return NULL;
}

static ph_code
match_site(struct ph_checker *checker, const struct ph_check_site *site,
           const struct ph_check_site *key, bool *has_followed)
{
    if (key->rule != NULL && key->rule->kind == PH_RULE_NUMBER &&
        (site->rule == NULL || !ph_check_is_made(site->rule))) {
        refuse(checker, site, key,
               "which becomes a number that is not known here: keep that column as it is");
        return PH_OK;
    }
    if (is_keyed(checker, key->rule) && (site->rule == NULL || !ph_check_is_made(site->rule))) {
        refuse(checker, site, key,
               "whose rule depends on the row it is in: take a mask there that does not");
        return PH_OK;
    }
    if (same_rule(site->rule, key->rule)) {
        if (steps_of(key->rule) > 0)
            (void)stays_alike(checker, site, key);
        return PH_OK;
    }
    if ((site->rule != NULL && names_rows(site->rule) && site->rule->kind != PH_RULE_KEEP &&
         steps_of(key->rule) == 0) ||
        (site->rule != NULL && ph_check_is_made(site->rule)))
        return PH_OK;
    if (steps_of(key->rule) == 0) {
        refuse(checker, site, key, "which has no such rule: both must have the same");
        return PH_OK;
    }
    if (site->rule != NULL && (site->rule->kind == PH_RULE_KEEP || steps_of(site->rule) > 0)) {
        refuse(checker, site, key,
               "which has another rule: leave this one out, it follows by itself");
        return PH_OK;
    }
    if (key->rule->from.n > 1) {
        refuse(checker, site, key, "whose rule reads several columns and cannot be followed");
        return PH_OK;
    }
    if (site->rule != NULL) { /* only renamed */
        refuse(checker, site, key, "which has a rule: say the same one here");
        return PH_OK;
    }
    if (find_split(checker, site, key) != NULL) {
        refuse(checker, site, key,
               "which has another rule than what a partition of it refers to as well");
        return PH_OK;
    }
    if (!stays_alike(checker, site, key))
        return PH_OK;
    *has_followed = true;
    return follow(checker, site, key);
}

/* Whether that column of the source refers to the same column. */
static bool
refers_too(const struct ph_checker *checker, const struct ph_rel *rel, const char *name,
           const struct ph_foreign_key *key, uint32_t k)
{
    const struct ph_catalog *source = checker->params->source;
    const struct ph_column *column = ph_rel_column_named(rel, name);

    for (uint32_t i = 0; column != NULL && i < source->n_foreign_keys; i++) {
        const struct ph_foreign_key *other = &source->foreign_keys[i];
        if (other->rel_oid != key->rel_oid || other->ref_oid != key->ref_oid)
            continue;
        for (uint32_t c = 0; c < other->n_attnums; c++) {
            if (other->attnums[c] == column->attnum && other->ref_attnums[c] == key->ref_attnums[k])
                return true;
        }
    }
    return false;
}

/* One rule is for all values of a column: those of `unpivot` must all refer to the key, or none. */
static bool
is_mixed(const struct ph_checker *checker, const struct ph_check_site *site,
         const struct ph_foreign_key *key, uint32_t k)
{
    const struct ph_rel *rel = ph_catalog_rel(checker->params->source, key->rel_oid);

    if (!ph_check_is_value(site) || !site->route->unpivot.is_there)
        return false;
    for (uint32_t i = 0; i < site->route->unpivot.columns.n; i++) {
        if (!refers_too(checker, rel, site->route->unpivot.columns.items[i].text, key, k))
            return true;
    }
    return false;
}

/* ---- one key by several rules ---- */

static bool
is_number(const struct ph_rule_column *rule)
{
    return rule != NULL && rule->kind == PH_RULE_NUMBER;
}

/* What brings values into the key's table by another rule than the chosen site; NULL: nothing. */
static const struct ph_rel *
find_other(const struct ph_checker *checker, const struct ph_check_sites *referenced,
           const struct ph_check_site *chosen)
{
    for (uint32_t i = 0; i < referenced->n; i++) {
        const struct ph_check_site *site = &referenced->items[i];
        if (site->target->root_oid != chosen->target->root_oid)
            continue;
        if (!same_rule(site->rule, chosen->rule) ||
            is_number(site->rule) != is_number(chosen->rule))
            return site->source;
        const struct ph_rel *part = find_split(checker, site, chosen);
        if (part != NULL)
            return part;
    }
    return NULL;
}

static const struct ph_check_site *
choose(const struct ph_check_sites *referenced)
{
    const struct ph_check_site *chosen = &referenced->items[0];

    for (uint32_t i = 1; i < referenced->n; i++) {
        if (steps_of(referenced->items[i].rule) > steps_of(chosen->rule))
            chosen = &referenced->items[i];
    }
    return chosen;
}

static void
refuse_several(struct ph_checker *checker, const struct ph_check_site *site,
               const struct ph_check_site *key, const struct ph_rel *other)
{
    const struct ph_draft draft = {.source = site->source};
    struct ph_rule_place place = {0, 0};

    if (key->rule != NULL)
        place = key->rule->target.place;
    ph_check_problem(checker, &draft, place,
                     "column %s refers to %s.%s.%s, whose values come by one rule from %s.%s and "
                     "by another or none from %s.%s: both must have the same",
                     site->target_column, key->target->schema, key->target->name,
                     key->target_column, key->source->schema, key->source->name, other->schema,
                     other->name);
}

/* Tables that become one, or partitions, with rules of their own: a column follows those that it
 * refers to on the source, when they have one rule. What names rows by itself need not. */
static ph_code
match_several(struct ph_checker *checker, enum ph_check_side side, const struct ph_check_site *site,
              const struct ph_check_sites *referenced, bool *has_followed)
{
    struct ph_check_sites joined = {
        .items = PH_ARENA_ARRAY(checker->arena, struct ph_check_site, referenced->n)};

    if (joined.items == NULL)
        return ph_check_no_memory(checker);
    if (site->rule != NULL && ph_check_is_made(site->rule))
        return PH_OK;
    for (uint32_t i = 0; side == PH_OF_TARGET && i < referenced->n; i++) {
        if (ph_check_is_joined(checker, site, &referenced->items[i]))
            joined.items[joined.n++] = referenced->items[i];
    }
    const struct ph_check_sites *those = joined.n > 0 ? &joined : referenced;
    const struct ph_check_site *chosen = choose(those);
    const struct ph_rel *other = find_other(checker, those, chosen);
    if (other == NULL)
        return match_site(checker, site, chosen, has_followed);
    refuse_several(checker, site, chosen, other);
    return PH_OK;
}

/* Memory for the columns at hand, used again and again. */
struct ends {
    struct ph_check_sites referencing;
    struct ph_check_sites referenced;
};

static ph_code
match_columns(struct ph_checker *checker, enum ph_check_side side, const struct ph_foreign_key *key,
              uint32_t k, struct ends *ends, bool *has_followed)
{
    const struct ph_catalog *catalog =
        side == PH_OF_SOURCE ? checker->params->source : checker->params->target;
    const struct ph_rel *rel = ph_catalog_rel(catalog, key->rel_oid);
    const struct ph_rel *ref = ph_catalog_rel(catalog, key->ref_oid);
    struct ph_check_sites *referencing = &ends->referencing;
    struct ph_check_sites *referenced = &ends->referenced;

    if (rel == NULL || ref == NULL)
        return PH_OK;
    const struct ph_column *column = ph_check_attnum(rel, key->attnums[k]);
    const struct ph_column *ref_column = ph_check_attnum(ref, key->ref_attnums[k]);
    if (column == NULL || ref_column == NULL)
        return PH_OK;
    PH_TRY(ph_check_find_sites(checker, side, ref, ref_column->name, referenced));
    PH_TRY(ph_check_find_sites(checker, side, rel, column->name, referencing));
    if (referenced->n == 0)
        return PH_OK; /* rows that the job does not bring */
    const struct ph_check_site *chosen = choose(referenced);
    bool is_several = find_other(checker, referenced, chosen) != NULL;
    for (uint32_t i = 0; i < referencing->n; i++) {
        const struct ph_check_site *site = &referencing->items[i];
        if (is_several)
            PH_TRY(match_several(checker, side, site, referenced, has_followed));
        else if (side == PH_OF_SOURCE && steps_of(chosen->rule) > 0 &&
                 !same_rule(site->rule, chosen->rule) && is_mixed(checker, site, key, k))
            refuse(checker, site, chosen,
                   "which has a rule, and takes columns that do not refer to it: unpivot them "
                   "apart, by another entry of `into:`");
        else
            PH_TRY(match_site(checker, site, chosen, has_followed));
    }
    return PH_OK;
}

static ph_code
match_all(struct ph_checker *checker, enum ph_check_side side, struct ends *ends,
          bool *has_followed)
{
    const struct ph_catalog *catalog =
        side == PH_OF_SOURCE ? checker->params->source : checker->params->target;

    for (uint32_t i = 0; i < catalog->n_foreign_keys; i++) {
        const struct ph_foreign_key *key = &catalog->foreign_keys[i];
        for (uint32_t k = 0; k < key->n_attnums; k++)
            PH_TRY(match_columns(checker, side, key, k, ends, has_followed));
    }
    return PH_OK;
}

static ph_code
find_entries(struct ph_checker *checker)
{
    const struct ph_job_rules *rules = checker->params->rules;

    checker->entries =
        PH_ARENA_ARRAY(checker->arena, const struct ph_rel *, (size_t)rules->n_tables + 1);
    if (checker->entries == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t i = 0; i < rules->n_tables; i++)
        checker->entries[i] = ph_catalog_rel_named(
            checker->params->source, rules->tables[i].source.schema, rules->tables[i].source.name);
    return PH_OK;
}

ph_code
ph_check_references(struct ph_checker *checker)
{
    bool has_followed = true;
    struct ends ends = {0};

    PH_TRY(find_entries(checker));
    /* a key may itself refer to another: until nothing more follows */
    while (has_followed && checker->n_problems == 0) {
        has_followed = false;
        PH_TRY(match_all(checker, PH_OF_TARGET, &ends, &has_followed));
        if (checker->n_problems == 0)
            PH_TRY(match_all(checker, PH_OF_SOURCE, &ends, &has_followed));
    }
    return PH_OK;
}

/* Whether the table of another followed rule is the same, or one that it is a partition of. */
static bool
is_among_others(const struct ph_checker *checker, uint32_t number)
{
    const struct ph_rel *source = checker->followed[number].source;

    for (uint32_t i = 0; i < checker->n_followed; i++) {
        const struct ph_rel *other = checker->followed[i].source;
        bool is_wider = other != source &&
                        ph_catalog_is_within(checker->params->source, source->oid, other->oid);
        if (is_wider || (other == source && i < number))
            return true;
    }
    return false;
}

/* Entries for tables that have none in the job file and a rule that follows. */
ph_code
ph_check_followed_tables(struct ph_checker *checker, const struct ph_rule_table **out, uint32_t *n)
{
    struct ph_rule_table *tables =
        PH_ARENA_ARRAY(checker->arena, struct ph_rule_table, (size_t)checker->n_followed + 1);
    uint32_t count = 0;

    if (tables == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t i = 0; i < checker->n_followed; i++) {
        const struct ph_followed_rule *followed = &checker->followed[i];
        if (followed->has_entry || is_among_others(checker, i))
            continue;
        struct ph_rule_route *route = PH_ARENA_ARRAY(checker->arena, struct ph_rule_route, 1);
        if (route == NULL)
            return ph_check_no_memory(checker);
        route->into =
            (struct ph_rule_name){followed->target->schema, followed->target->name, {0, 0}};
        tables[count].source =
            (struct ph_rule_name){followed->source->schema, followed->source->name, {0, 0}};
        tables[count].routes = route;
        tables[count++].n_routes = 1;
    }
    *out = tables;
    *n = count;
    return PH_OK;
}
