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
    const struct ph_rule_table *table; /* its entry in the job file; NULL: none */
    const struct ph_rule_words *own;   /* the keys */
    const struct ph_rule_words *theirs;
};

/* Of the table itself or the one that it is a partition of. */
static const struct ph_rule_table *
entry_of(const struct ph_checker *checker, const struct ph_rel *rel)
{
    const struct ph_job_rules *rules = checker->params->rules;

    for (uint32_t i = 0; i < rules->n_tables; i++) {
        const struct ph_rule_name *name = &rules->tables[i].source;
        const struct ph_rel *source =
            ph_catalog_rel_named(checker->params->source, name->schema, name->name);
        if (source != NULL && (source->oid == rel->oid || source->oid == rel->root_oid))
            return &rules->tables[i];
    }
    return NULL;
}

static bool
goes_here(const struct earlier *earlier, const struct ph_rule_route *route)
{
    struct ph_rule_name into = route->into.name != NULL ? route->into : earlier->table->source;

    return strcmp(into.name, earlier->draft->target->name) == 0 &&
           strcmp(into.schema, earlier->draft->target->schema) == 0;
}

static bool
has_sample(const struct earlier *earlier, const struct ph_rule_route *route)
{
    return ph_check_is_share(route->sample) && ph_check_key_of(earlier->rel) != NULL;
}

/* A condition that cannot be parsed is told where the earlier table itself is looked at. */
static void
put_where(const struct earlier *earlier, const struct ph_rule_word *where, struct ph_buf *sql)
{
    const struct ph_checker *checker = earlier->checker;
    const struct ph_expr_site site = {.text = where->text,
                                      .file = checker->params->rules->file,
                                      .place = where->place,
                                      .what = "where",
                                      .rel = earlier->rel,
                                      .catalog = checker->params->source};
    struct ph_error why = {.code = PH_OK};
    const struct ph_expr *expr;

    if (ph_expr_parse(&site, checker->arena, &expr, &why) == PH_OK)
        ph_expr_sql(expr, sql);
    else
        ph_buf_puts(sql, "true");
}

/* Rows count that a route into the same table takes; where none goes there, any route. */
static bool
counts(const struct earlier *earlier, const struct ph_rule_route *route)
{
    const struct ph_rule_table *table = earlier->table;
    bool is_here = false;

    for (uint32_t i = 0; i < table->n_routes; i++)
        is_here |= goes_here(earlier, &table->routes[i]);
    return !is_here || goes_here(earlier, route);
}

static bool
takes_all(const struct earlier *earlier)
{
    const struct ph_rule_table *table = earlier->table;

    for (uint32_t i = 0; table != NULL && i < table->n_routes; i++) {
        const struct ph_rule_route *route = &table->routes[i];
        if (route->where.text == NULL && !has_sample(earlier, route) && counts(earlier, route))
            return true;
    }
    return table == NULL || table->n_routes == 0;
}

/*
 * The earlier table's rows that count. Their condition is in a SELECT of its own: it may name the
 * table, which has its name there.
 */
static void
put_taken(const struct earlier *earlier, struct ph_buf *sql)
{
    uint32_t n = 0;

    if (takes_all(earlier)) {
        ph_check_put_only(sql, earlier->rel, "earlier");
        return;
    }
    ph_buf_puts(sql, "(SELECT * FROM ");
    ph_check_put_only(sql, earlier->rel, NULL);
    for (uint32_t i = 0; i < earlier->table->n_routes; i++) {
        const struct ph_rule_route *route = &earlier->table->routes[i];
        if (!counts(earlier, route))
            continue;
        ph_buf_puts(sql, n++ > 0 ? " OR (" : " WHERE (");
        if (route->where.text != NULL)
            put_where(earlier, &route->where, sql);
        ph_buf_puts(sql, route->where.text != NULL && has_sample(earlier, route) ? " AND " : "");
        if (has_sample(earlier, route))
            ph_check_put_share(sql, earlier->rel, route->sample);
        ph_buf_putc(sql, ')');
    }
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
put_earlier(const struct earlier *earlier, struct ph_buf *sql)
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
        const struct earlier earlier = {.checker = checker,
                                        .draft = draft,
                                        .rel = rel,
                                        .table = entry_of(checker, rel),
                                        .own = &merge->key,
                                        .theirs = has_own_keys ? &merge->keys[i] : &merge->key};
        if (rel->oid == draft->source->oid || rel->oid == draft->source->root_oid)
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
