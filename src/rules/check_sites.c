#include "rules/check_sites.h"

/* ---- partitions ---- */

static bool
is_within(const struct ph_catalog *catalog, const struct ph_rel *rel, const struct ph_rel *top)
{
    return rel == top ||
           (rel->root_oid == top->root_oid && ph_catalog_is_within(catalog, rel->oid, top->oid));
}

bool
ph_check_is_for(const struct ph_checker *checker, const struct ph_followed_rule *followed,
                const struct ph_rel *source, const struct ph_rel *target)
{
    const struct ph_catalog *catalog = checker->params->target;

    return is_within(checker->params->source, source, followed->source) &&
           ph_catalog_is_related(catalog, target, followed->target);
}

static const struct ph_rel *
parent_of(const struct ph_catalog *catalog, const struct ph_rel *rel)
{
    return rel->is_partition ? ph_catalog_rel(catalog, rel->parent_oid) : NULL;
}

static bool
same_text(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* Which tables of an entry bring rows into `rel`, a partition of what it fills: the partition of
 * the source of that name and those bounds, else any. */
static const struct ph_rel *
narrow(const struct ph_checker *checker, const struct ph_check_site *site, const struct ph_rel *rel)
{
    const struct ph_catalog *source = checker->params->source;
    const struct ph_rel *named = ph_catalog_rel_named(source, rel->schema, rel->name);
    const struct ph_rel *ours = named;
    const struct ph_rel *theirs = rel;

    while (ours != NULL && theirs != NULL && ours != site->source && theirs != site->target) {
        bool is_same = same_text(ours->partition_bound, theirs->partition_bound);
        ours = parent_of(source, ours);
        theirs = parent_of(checker->params->target, theirs);
        if (!is_same || ours == NULL || theirs == NULL ||
            !same_text(ours->partition_key, theirs->partition_key))
            return site->source;
    }
    return ours == site->source && theirs == site->target ? named : site->source;
}

/* ---- rules ---- */

static const struct ph_rule_column *
rule_for(const struct ph_checker *checker, const struct ph_check_site *site)
{
    for (uint32_t i = 0; site->route != NULL && i < site->route->n_columns; i++) {
        if (strcmp(site->route->columns[i].target.text, site->target_column) == 0)
            return &site->route->columns[i];
    }
    for (uint32_t i = 0; i < checker->n_followed; i++) {
        const struct ph_followed_rule *followed = &checker->followed[i];
        if (ph_check_is_for(checker, followed, site->source, site->target) &&
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

/* ---- entries ---- */

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

/* One route of an entry that is about the table, about a part of it, or about more than it: of that
 * only the part counts. */
static ph_code
add_of_route(const struct ph_checker *checker, enum ph_check_side side, const struct ph_rel *rel,
             const char *column, struct ph_check_site site, struct ph_check_sites *sites)
{
    const struct ph_catalog *target = checker->params->target;

    if (side == PH_OF_SOURCE) {
        if (is_within(checker->params->source, rel, site.source))
            site.source = rel;
        else if (!is_within(checker->params->source, site.source, rel))
            return PH_OK;
        return add_by_source(checker, sites, site, column);
    }
    if (site.target == NULL)
        return PH_OK;
    if (!is_within(target, site.target, rel)) {
        if (!is_within(target, rel, site.target))
            return PH_OK;
        site.source = narrow(checker, &site, rel);
    }
    site.source_column = site.target_column = column;
    return add_site(checker, sites, site);
}

static ph_code
add_of_entries(const struct ph_checker *checker, enum ph_check_side side, const struct ph_rel *rel,
               const char *column, struct ph_check_sites *sites)
{
    const struct ph_job_rules *rules = checker->params->rules;

    for (uint32_t i = 0; i < rules->n_tables; i++) {
        const struct ph_rule_table *table = &rules->tables[i];
        const struct ph_rel *source = checker->entries[i];
        for (uint32_t r = 0; source != NULL && r < table->n_routes; r++) {
            const struct ph_check_site site = {.source = source,
                                               .target =
                                                   target_of(checker, table, &table->routes[r]),
                                               .table = table,
                                               .route = &table->routes[r]};
            PH_TRY(add_of_route(checker, side, rel, column, site, sites));
        }
    }
    return PH_OK;
}

/* ---- what has no entry ---- */

/* Table number `i` of those that the job takes; NULL: there are no more. */
static const struct ph_rel *
taken(const struct ph_checker *checker, uint32_t i)
{
    const struct ph_ruleset_params *params = checker->params;

    if (params->selected != NULL)
        return i < params->n_selected ? params->selected[i] : NULL;
    return i < params->source->n_rels ? &params->source->rels[i] : NULL;
}

/* Whether an entry is about the table or what it is a partition of; *is_split: about partitions. */
static bool
has_entry(const struct ph_checker *checker, const struct ph_rel *rel, bool *is_split)
{
    const struct ph_catalog *catalog = checker->params->source;

    *is_split = false;
    for (uint32_t i = 0; i < checker->params->rules->n_tables; i++) {
        const struct ph_rel *source = checker->entries[i];
        if (source != NULL && is_within(catalog, rel, source))
            return true;
        *is_split |= source != NULL && is_within(catalog, source, rel);
    }
    return false;
}

/* Whether the job takes the table, or a partition of it. */
static bool
is_taken(const struct ph_checker *checker, const struct ph_rel *rel)
{
    const struct ph_rel *other;

    for (uint32_t i = 0; (other = taken(checker, i)) != NULL; i++) {
        if ((other->kind == PH_REL_TABLE || other->kind == PH_REL_PARTITIONED) &&
            is_within(checker->params->source, other, rel))
            return true;
    }
    return false;
}

/* It goes into the table of its name, or of that of a table which it is a partition of. */
static ph_code
add_plain(const struct ph_checker *checker, const struct ph_rel *rel, const char *column,
          struct ph_check_sites *sites)
{
    struct ph_check_site site = {.source = rel, .source_column = column, .target_column = column};

    for (const struct ph_rel *at = rel; at != NULL && site.target == NULL;
         at = parent_of(checker->params->source, at))
        site.target = ph_catalog_rel_named(checker->params->target, at->schema, at->name);
    return ph_rel_column_named(rel, column) != NULL ? add_site(checker, sites, site) : PH_OK;
}

/* A table of the source, as far as there is no entry about it: where some partitions have one, the
 * others go each by itself. */
static ph_code
add_plain_parts(const struct ph_checker *checker, const struct ph_rel *rel, const char *column,
                struct ph_check_sites *sites)
{
    const struct ph_rel *other;
    bool is_split;
    bool ignored;

    if (has_entry(checker, rel, &is_split) || !is_taken(checker, rel))
        return PH_OK;
    if (!is_split)
        return add_plain(checker, rel, column, sites);
    for (uint32_t i = 0; (other = taken(checker, i)) != NULL; i++) {
        if (other->kind == PH_REL_TABLE && is_within(checker->params->source, other, rel) &&
            !has_entry(checker, other, &ignored))
            PH_TRY(add_plain(checker, other, column, sites));
    }
    return PH_OK;
}

/* Of the target's name, of what is above it, or of its partitions. */
static ph_code
add_plain_target(const struct ph_checker *checker, const struct ph_rel *rel, const char *column,
                 struct ph_check_sites *sites)
{
    const struct ph_catalog *catalog = checker->params->target;
    const struct ph_rel *source;
    const struct ph_rel *part;

    for (const struct ph_rel *at = rel; at != NULL; at = parent_of(catalog, at)) {
        source = ph_catalog_rel_named(checker->params->source, at->schema, at->name);
        if (source != NULL)
            return add_plain_parts(checker, source, column, sites);
    }
    for (uint32_t at = 0; (part = ph_catalog_tree_next(catalog, rel, &at)) != NULL;) {
        source = ph_catalog_rel_named(checker->params->source, part->schema, part->name);
        if (source != NULL)
            PH_TRY(add_plain_parts(checker, source, column, sites));
    }
    return PH_OK;
}

ph_code
ph_check_find_sites(const struct ph_checker *checker, enum ph_check_side side,
                    const struct ph_rel *rel, const char *column, struct ph_check_sites *sites)
{
    sites->n = 0;
    PH_TRY(add_of_entries(checker, side, rel, column, sites));
    return side == PH_OF_SOURCE ? add_plain_parts(checker, rel, column, sites)
                                : add_plain_target(checker, rel, column, sites);
}

/* ---- keys of the source ---- */

static bool
is_column(const struct ph_rel *rel, int16_t attnum, const char *name)
{
    const struct ph_column *column = ph_check_attnum(rel, attnum);

    return column != NULL && name != NULL && strcmp(column->name, name) == 0;
}

bool
ph_check_is_joined(const struct ph_checker *checker, const struct ph_check_site *site,
                   const struct ph_check_site *key)
{
    const struct ph_catalog *source = checker->params->source;

    for (uint32_t i = 0; i < source->n_foreign_keys; i++) {
        const struct ph_foreign_key *other = &source->foreign_keys[i];
        const struct ph_rel *rel = ph_catalog_rel(source, other->rel_oid);
        const struct ph_rel *ref = ph_catalog_rel(source, other->ref_oid);
        if (rel == NULL || ref == NULL || !ph_catalog_is_related(source, site->source, rel) ||
            !ph_catalog_is_related(source, key->source, ref))
            continue;
        for (uint32_t c = 0; c < other->n_attnums; c++) {
            if (is_column(rel, other->attnums[c], site->source_column) &&
                is_column(ref, other->ref_attnums[c], key->source_column))
                return true;
        }
    }
    return false;
}
