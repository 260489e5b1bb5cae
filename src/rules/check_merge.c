/*
 * `merge`: rows whose key an earlier table has are left out, by an anti-join in the source's
 * SELECT.
 *
 * Only rows that the job takes of the earlier table count, that is those that meet its `where` and
 * `sample`: a key whose earlier row is left out comes from the later table, not from neither. What
 * the earlier table's own `merge` and `dedup` leave out counts: another row stands for it.
 */
#include "rules/check_parts.h"
#include "rules/expr.h"

static bool
is_comparable(struct ph_checker *checker, const struct ph_column *a, const struct ph_column *b)
{
    char class_a[PH_CLASS_SIZE];
    char class_b[PH_CLASS_SIZE];

    return ph_type_class(checker->params->source, a->type_oid, class_a) &&
           ph_type_class(checker->params->source, b->type_oid, class_b) &&
           strcmp(class_a, class_b) == 0;
}

struct earlier { /* a table that `merge` comes after */
    struct ph_checker *checker;
    const struct ph_draft *draft;
    const struct ph_rel *rel;
    const struct ph_rule_words *own; /* the keys */
    const struct ph_rule_words *theirs;
    bool is_here; /* rows of it go into the table that the later one goes into */
};

/* It, or a partition of it: those with entries of their own go their own ways. */
struct part {
    const struct ph_rel *rel;
    const struct ph_rule_table *table; /* its entry in the job file; NULL: none */
};

/* Of the table itself or one that it is a partition of. */
static const struct ph_rule_table *
entry_of(const struct ph_checker *checker, const struct ph_rel *rel)
{
    const struct ph_job_rules *rules = checker->params->rules;

    for (uint32_t i = 0; i < rules->n_tables; i++) {
        const struct ph_rule_name *name = &rules->tables[i].source;
        const struct ph_rel *source =
            ph_catalog_rel_named(checker->params->source, name->schema, name->name);
        if (source != NULL && ph_catalog_is_within(checker->params->source, rel->oid, source->oid))
            return &rules->tables[i];
    }
    return NULL;
}

/* ---- where its rows go ---- */

static bool
meets_target(const struct earlier *earlier, const struct ph_rel *target)
{
    return target != NULL &&
           ph_catalog_is_related(earlier->checker->params->target, target, earlier->draft->target);
}

static bool
goes_here(const struct earlier *earlier, const struct part *part, const struct ph_rule_route *route)
{
    struct ph_rule_name into = route->into.name != NULL ? route->into : part->table->source;

    return meets_target(
        earlier, ph_catalog_rel_named(earlier->checker->params->target, into.schema, into.name));
}

/* Without an entry rows go where the name is the same; of a partition, or of what it is part of. */
static bool
stays_here(const struct earlier *earlier, const struct ph_rel *rel)
{
    const struct ph_ruleset_params *params = earlier->checker->params;
    const struct ph_rel *target = NULL;

    for (; rel != NULL && target == NULL; rel = ph_catalog_rel(params->source, rel->parent_oid))
        target = ph_catalog_rel_named(params->target, rel->schema, rel->name);
    return meets_target(earlier, target);
}

static bool
is_any_here(const struct earlier *earlier, const struct part *part)
{
    const struct ph_rule_table *table = part->table;

    for (uint32_t i = 0; table != NULL && i < table->n_routes; i++) {
        if (goes_here(earlier, part, &table->routes[i]))
            return true;
    }
    return table == NULL && stays_here(earlier, part->rel);
}

/* Rows count that a route into the same table takes; where none goes there, any route. */
static bool
counts(const struct earlier *earlier, const struct part *part, const struct ph_rule_route *route)
{
    return !earlier->is_here || goes_here(earlier, part, route);
}

/* ---- which of its rows are taken ---- */

static bool
has_sample(const struct part *part, const struct ph_rule_route *route)
{
    return ph_check_is_share(route->sample) && ph_check_key_of(part->rel) != NULL;
}

static bool
takes_all(const struct earlier *earlier, const struct part *part)
{
    const struct ph_rule_table *table = part->table;

    if (table == NULL)
        return !earlier->is_here || stays_here(earlier, part->rel);
    for (uint32_t i = 0; i < table->n_routes; i++) {
        const struct ph_rule_route *route = &table->routes[i];
        if (route->where.text == NULL && !has_sample(part, route) && counts(earlier, part, route))
            return true;
    }
    return table->n_routes == 0;
}

static bool
takes_any(const struct earlier *earlier, const struct part *part)
{
    return !earlier->is_here || is_any_here(earlier, part);
}

/* A condition that cannot be parsed is told where the earlier table itself is looked at. */
static void
put_where(const struct earlier *earlier, const struct part *part, const struct ph_rule_word *where,
          struct ph_buf *sql)
{
    const struct ph_checker *checker = earlier->checker;
    const struct ph_expr_site site = {.text = where->text,
                                      .file = checker->params->rules->file,
                                      .place = where->place,
                                      .what = "where",
                                      .rel = part->rel,
                                      .catalog = checker->params->source};
    struct ph_error why = {.code = PH_OK};
    const struct ph_expr *expr;

    if (ph_expr_parse(&site, checker->arena, &expr, &why) == PH_OK)
        ph_expr_sql(expr, sql);
    else
        ph_buf_puts(sql, "true");
}

static void
put_conditions(const struct earlier *earlier, const struct part *part, struct ph_buf *sql)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < part->table->n_routes; i++) {
        const struct ph_rule_route *route = &part->table->routes[i];
        bool has_where = route->where.text != NULL;
        if (!counts(earlier, part, route))
            continue;
        ph_buf_puts(sql, n++ > 0 ? " OR (" : " WHERE (");
        if (has_where)
            put_where(earlier, part, &route->where, sql);
        ph_buf_puts(sql, has_where && has_sample(part, route) ? " AND " : "");
        if (has_sample(part, route))
            ph_check_put_share(sql, part->rel, route->sample);
        ph_buf_putc(sql, ')');
    }
}

/* ---- by partition ---- */

/* What holds rows: a partitioned table's partitions, another table itself. */
static bool
next_part(const struct earlier *earlier, uint32_t *at, struct part *part)
{
    const struct ph_rel *top = earlier->rel;
    const struct ph_rel *rel;

    while ((rel = ph_catalog_tree_next(earlier->checker->params->source, top, at)) != NULL) {
        if (top->kind != PH_REL_PARTITIONED || rel->kind == PH_REL_TABLE) {
            *part = (struct part){rel, entry_of(earlier->checker, rel)};
            return true;
        }
    }
    return false;
}

/* A sample is by the key, and a partition may have one that its table does not have. */
static bool
has_samples(const struct ph_rule_table *table)
{
    for (uint32_t i = 0; table != NULL && i < table->n_routes; i++) {
        if (ph_check_is_share(table->routes[i].sample))
            return true;
    }
    return false;
}

/* Whether what is true of the whole table is true of each of its partitions. */
static bool
is_whole(const struct earlier *earlier, const struct part *whole)
{
    struct part part;

    if (earlier->rel->kind == PH_REL_PARTITIONED && has_samples(whole->table))
        return false;
    for (uint32_t at = 0; next_part(earlier, &at, &part);) {
        if (part.table != whole->table)
            return false;
    }
    return true;
}

/* Partitions may have their columns in another order: the keys are named. */
static void
put_parts(const struct earlier *earlier, struct ph_buf *sql)
{
    struct part part;
    uint32_t n = 0;

    for (uint32_t at = 0; next_part(earlier, &at, &part);) {
        if (!takes_any(earlier, &part))
            continue;
        ph_buf_puts(sql, n++ > 0 ? " UNION ALL SELECT " : "(SELECT ");
        for (uint32_t k = 0; k < earlier->theirs->n; k++) {
            ph_buf_puts(sql, k > 0 ? ", " : "");
            ph_buf_put_ident(sql, earlier->theirs->items[k].text);
        }
        ph_buf_puts(sql, " FROM ");
        ph_check_put_only(sql, part.rel, NULL);
        if (!takes_all(earlier, &part))
            put_conditions(earlier, &part, sql);
    }
    ph_buf_puts(sql, ") AS earlier");
}

/*
 * The earlier table's rows that count. Their condition is in a SELECT of its own: it may name the
 * table, which has its name there.
 */
static void
put_taken(struct earlier *earlier, struct ph_buf *sql)
{
    const struct part whole = {earlier->rel, entry_of(earlier->checker, earlier->rel)};
    struct part part;

    if (!is_whole(earlier, &whole)) {
        for (uint32_t at = 0; next_part(earlier, &at, &part);)
            earlier->is_here |= is_any_here(earlier, &part);
        put_parts(earlier, sql);
        return;
    }
    earlier->is_here = is_any_here(earlier, &whole);
    if (takes_all(earlier, &whole)) {
        ph_check_put_only(sql, earlier->rel, "earlier");
        return;
    }
    ph_buf_puts(sql, "(SELECT * FROM ");
    ph_check_put_only(sql, earlier->rel, NULL);
    put_conditions(earlier, &whole, sql);
    ph_buf_puts(sql, ") AS earlier");
}

/* Whether the keys fit together; else a problem was told. */
static bool
check_keys(const struct earlier *earlier)
{
    struct ph_checker *checker = earlier->checker;
    const struct ph_draft *draft = earlier->draft;

    for (uint32_t k = 0; k < earlier->own->n; k++) {
        const struct ph_column *mine =
            ph_check_column_named(checker, draft, draft->source, earlier->own->items[k]);
        const struct ph_column *other =
            ph_check_column_named(checker, draft, earlier->rel, earlier->theirs->items[k]);
        if (mine == NULL || other == NULL)
            return false;
        if (!is_comparable(checker, mine, other)) {
            ph_check_problem(checker, draft, earlier->theirs->items[k].place,
                             "%s.%s.%s is of another type than %s", earlier->rel->schema,
                             earlier->rel->name, other->name, mine->name);
            return false;
        }
    }
    return true;
}

/* A NULL in the key is equal to none: such rows of both tables are taken. */
static void
put_earlier(struct earlier *earlier, struct ph_buf *sql)
{
    if (!check_keys(earlier))
        return;
    ph_check_begin_condition(sql);
    ph_buf_puts(sql, "NOT EXISTS (SELECT 1 FROM ");
    put_taken(earlier, sql);
    for (uint32_t k = 0; k < earlier->own->n; k++) {
        ph_buf_puts(sql, k > 0 ? " AND " : " WHERE ");
        ph_check_put_others(sql, "earlier", earlier->theirs->items[k].text);
        ph_buf_puts(sql, " = ");
        ph_check_put_own(sql, earlier->draft, earlier->own->items[k].text);
    }
    ph_buf_puts(sql, "))");
}

void
ph_check_merge(struct ph_checker *checker, struct ph_draft *draft, struct ph_buf *sql)
{
    const struct ph_rule_merge *merge = &draft->rule->merge;

    if (!merge->is_there)
        return;
    ph_check_no_stream(draft, "`merge` looks at another table, which changes by itself",
                       "copy it without --follow, or merge after the switch");
    for (uint32_t i = 0; i < merge->n_after; i++) {
        const struct ph_rel *rel =
            ph_check_table_named(checker, draft, checker->params->source, merge->after[i]);
        bool has_own_keys = merge->keys != NULL && merge->keys[i].n > 0;
        if (rel == NULL)
            continue;
        struct earlier earlier = {.checker = checker,
                                  .draft = draft,
                                  .rel = rel,
                                  .own = &merge->key,
                                  .theirs = has_own_keys ? &merge->keys[i] : &merge->key};
        if (ph_catalog_is_within(checker->params->source, draft->source->oid, rel->oid))
            ph_check_problem(checker, draft, merge->after[i].place,
                             "a table cannot come after itself; `dedup` takes one row per key");
        else if (earlier.theirs->n != merge->key.n)
            ph_check_problem(checker, draft, merge->place,
                             "the key of %s.%s has %u columns, the one of this table %u",
                             rel->schema, rel->name, earlier.theirs->n, merge->key.n);
        else
            put_earlier(&earlier, sql);
    }
}
