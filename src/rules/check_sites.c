#include "rules/check_sites.h"

static const struct ph_rule_column *
rule_for(const struct ph_checker *checker, const struct ph_check_site *site)
{
    for (uint32_t i = 0; site->route != NULL && i < site->route->n_columns; i++) {
        if (strcmp(site->route->columns[i].target.text, site->target_column) == 0)
            return &site->route->columns[i];
    }
    for (uint32_t i = 0; i < checker->n_followed; i++) {
        const struct ph_followed_rule *followed = &checker->followed[i];
        if (followed->source == site->source && followed->target == site->target &&
            strcmp(followed->rule.target.text, site->target_column) == 0)
            return &followed->rule;
    }
    return NULL;
}

bool
ph_check_is_made(const struct ph_rule_column *rule)
{
    return rule->kind == PH_RULE_SET || rule->kind == PH_RULE_LOOKUP ||
           rule->kind == PH_RULE_NUMBER;
}

static const char *
from_of(const struct ph_rule_column *rule)
{
    return rule->from.n == 0   ? rule->target.text
           : rule->from.n == 1 ? rule->from.items[0].text
                               : NULL;
}

bool
ph_check_is_value(const struct ph_check_site *site)
{
    const struct ph_rule_word *value =
        site->route != NULL ? ph_check_value_word(site->route) : NULL;

    return value != NULL && strcmp(value->text, site->target_column) == 0;
}

static ph_code
add_site(const struct ph_checker *checker, struct ph_check_sites *sites, struct ph_check_site site)
{
    if (site.target == NULL || ph_rel_column_named(site.target, site.target_column) == NULL)
        return PH_OK;
    if (sites->n == sites->cap) {
        uint32_t cap = sites->cap == 0 ? 16 : sites->cap * 2;
        struct ph_check_site *more = PH_ARENA_ARRAY(checker->arena, struct ph_check_site, cap);
        if (more == NULL)
            return PH_FAIL(checker->err, PH_E_MEMORY, "no memory for the rules");
        if (sites->n > 0)
            memcpy(more, sites->items, sites->n * sizeof *more);
        sites->items = more;
        sites->cap = cap;
    }
    site.rule = rule_for(checker, &site);
    if (site.rule != NULL)
        site.source_column = from_of(site.rule);
    if (ph_check_is_value(&site) && (site.rule == NULL || site.rule->from.n == 0))
        site.source_column = PH_SITE_VALUE;
    sites->items[sites->n++] = site;
    return PH_OK;
}

bool
ph_check_is_of(const struct ph_rel *rel, const struct ph_rel *wanted)
{
    return rel == wanted || rel->root_oid == wanted->oid;
}

static const struct ph_rel *
target_of(const struct ph_checker *checker, const struct ph_rule_table *table,
          const struct ph_rule_route *route)
{
    struct ph_rule_name name = route->into.name != NULL ? route->into : table->source;

    return ph_catalog_rel_named(checker->params->target, name.schema, name.name);
}

/* Whether the column becomes rows, together with others. */
static bool
is_unpivoted(const struct ph_rule_route *route, const char *column)
{
    for (uint32_t i = 0; route->unpivot.is_there && i < route->unpivot.columns.n; i++) {
        if (strcmp(route->unpivot.columns.items[i].text, column) == 0)
            return true;
    }
    return false;
}

/* The target's columns that a route fills from that column of the source alone, or from it in one
 * of the rows that it becomes. */
static ph_code
add_by_source(const struct ph_checker *checker, struct ph_check_sites *sites,
              struct ph_check_site site, const char *column)
{
    bool is_renamed = false;

    site.source_column = column;
    for (uint32_t i = 0; i < site.route->n_columns; i++) {
        const struct ph_rule_column *rule = &site.route->columns[i];
        const char *from = from_of(rule);
        bool is_own = strcmp(rule->target.text, column) == 0;
        is_renamed |= is_own;
        if (ph_check_is_made(rule) || from == NULL || strcmp(from, column) != 0)
            continue;
        site.target_column = rule->target.text;
        PH_TRY(add_site(checker, sites, site));
    }
    if (is_unpivoted(site.route, column)) {
        site.target_column = site.route->unpivot.value.text;
        PH_TRY(add_site(checker, sites, site));
    }
    if (is_renamed)
        return PH_OK;
    site.target_column = column;
    return add_site(checker, sites, site);
}

/* Whether the job takes the table, or a partition of it. */
static bool
is_taken(const struct ph_checker *checker, const struct ph_rel *rel)
{
    const struct ph_ruleset_params *params = checker->params;

    if (params->selected == NULL)
        return rel->kind == PH_REL_TABLE || rel->kind == PH_REL_PARTITIONED;
    for (uint32_t i = 0; i < params->n_selected; i++) {
        if (ph_check_is_of(params->selected[i], rel))
            return true;
    }
    return false;
}

ph_code
ph_check_find_sites(const struct ph_checker *checker, enum ph_check_side side,
                    const struct ph_rel *rel, const char *column, struct ph_check_sites *sites)
{
    const struct ph_job_rules *rules = checker->params->rules;
    const struct ph_rel *plain;

    sites->n = 0;
    for (uint32_t i = 0; i < rules->n_tables; i++) {
        const struct ph_rule_table *table = &rules->tables[i];
        const struct ph_rel *source =
            ph_catalog_rel_named(checker->params->source, table->source.schema, table->source.name);
        for (uint32_t r = 0; source != NULL && r < table->n_routes; r++) {
            struct ph_check_site site = {.source = source,
                                         .target = target_of(checker, table, &table->routes[r]),
                                         .table = table,
                                         .route = &table->routes[r]};
            if (side == PH_OF_SOURCE && ph_check_is_of(source, rel)) {
                PH_TRY(add_by_source(checker, sites, site, column));
            } else if (side == PH_OF_TARGET && site.target != NULL &&
                       ph_check_is_of(site.target, rel)) {
                site.source_column = site.target_column = column;
                PH_TRY(add_site(checker, sites, site));
            }
        }
    }
    plain = ph_catalog_rel_named(checker->params->source, rel->schema, rel->name);
    if (plain == NULL || !is_taken(checker, plain))
        return PH_OK;
    for (uint32_t i = 0; i < rules->n_tables; i++) {
        if (strcmp(rules->tables[i].source.name, plain->name) == 0 &&
            strcmp(rules->tables[i].source.schema, plain->schema) == 0)
            return PH_OK; /* has an entry */
    }
    const struct ph_check_site site = {
        .source = plain,
        .target = ph_catalog_rel_named(checker->params->target, rel->schema, rel->name),
        .source_column = column,
        .target_column = column};
    return ph_rel_column_named(plain, column) != NULL ? add_site(checker, sites, site) : PH_OK;
}
