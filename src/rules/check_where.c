/*
 * Which rows the source gives: conditions for its SELECT, made so that PostgreSQL can run them as
 * joins (an anti-join for `merge` and `dedup`).
 *
 * The SELECT is of one table without an alias. A column stands there as "col", or, where another
 * table is in sight too, as "schema"."table"."col"; the other one always has an alias.
 */
#include <stdio.h>
#include <strings.h>

#include "rules/check_parts.h"
#include "rules/expr.h"

#define SQL_LIMIT ((size_t)1 << 20)
#define FIRST_USER_OID 16384u /* FirstNormalObjectId: what is not built in */

struct conditions {
    struct ph_checker *checker;
    struct ph_draft *draft;
    const char *where; /* the job's own condition; NULL: none */
    struct ph_buf sql;
};

void
ph_check_begin_condition(struct ph_buf *sql)
{
    ph_buf_puts(sql, sql->len > 0 ? " AND (" : "(");
}

/* ---- names ---- */

void
ph_check_put_only(struct ph_buf *sql, const struct ph_rel *rel, const char *alias)
{
    /* the rows of a partitioned table are in its partitions */
    ph_buf_puts(sql, rel->kind == PH_REL_PARTITIONED ? "" : "ONLY ");
    ph_buf_put_qualified(sql, rel->schema, rel->name);
    if (alias != NULL)
        ph_buf_printf(sql, " AS %s", alias);
}

/* A column of the table that is selected from. */
void
ph_check_put_own(struct ph_buf *sql, const struct ph_draft *draft, const char *column)
{
    ph_buf_put_qualified(sql, draft->source->schema, draft->source->name);
    ph_buf_putc(sql, '.');
    ph_buf_put_ident(sql, column);
}

void
ph_check_put_others(struct ph_buf *sql, const char *alias, const char *column)
{
    ph_buf_printf(sql, "%s.", alias);
    ph_buf_put_ident(sql, column);
}

const struct ph_column *
ph_check_column_named(struct ph_checker *checker, const struct ph_draft *draft,
                      const struct ph_rel *rel, struct ph_rule_word word)
{
    const struct ph_column *column = ph_rel_column_named(rel, word.text);
    char nearest[100];

    if (column == NULL)
        ph_check_problem(checker, draft, word.place, "%s.%s has no column %s%s", rel->schema,
                         rel->name, word.text, ph_check_nearest_column(rel, word.text, nearest));
    return column;
}

const struct ph_rel *
ph_check_table_named(struct ph_checker *checker, const struct ph_draft *draft,
                     const struct ph_catalog *catalog, struct ph_rule_name name)
{
    const struct ph_rel *rel = ph_catalog_rel_named(catalog, name.schema, name.name);

    if (rel == NULL || (rel->kind != PH_REL_TABLE && rel->kind != PH_REL_PARTITIONED &&
                        rel->kind != PH_REL_VIEW && rel->kind != PH_REL_MATVIEW)) {
        ph_check_problem(checker, draft, name.place, "the %s has no table %s.%s",
                         catalog == checker->params->source ? "source" : "lookup's database",
                         name.schema, name.name);
        return NULL;
    }
    return rel;
}

/* ---- dedup ---- */

/* Types without an order in PostgreSQL. */
bool
ph_check_sortable(struct ph_checker *checker, const struct ph_draft *draft,
                  struct ph_rule_word word)
{
    static const char *const unordered[] = {"json", "xml",  "point",   "line",   "lseg",
                                            "box",  "path", "polygon", "circle", "xid"};
    const struct ph_column *column = ph_check_column_named(checker, draft, draft->source, word);
    char class[PH_CLASS_SIZE];

    if (column == NULL || !ph_type_class(checker->params->source, column->type_oid, class))
        return false;
    for (size_t i = 0; i < sizeof unordered / sizeof unordered[0]; i++) {
        if (strcmp(class, unordered[i]) == 0) {
            ph_check_problem(checker, draft, word.place, "values of type %s have no order", class);
            return false;
        }
    }
    return true;
}

bool
ph_check_read_order(struct ph_checker *checker, const struct ph_draft *draft,
                    struct ph_rule_word word, struct ph_check_order *order)
{
    const char *end = strrchr(word.text, ' ');
    bool has_direction =
        end != NULL && (strcasecmp(end, " desc") == 0 || strcasecmp(end, " asc") == 0);
    size_t len = has_direction ? (size_t)(end - word.text) : strlen(word.text);

    while (len > 0 && word.text[len - 1] == ' ')
        len--;
    struct ph_rule_word name = {ph_arena_strndup(checker->arena, word.text, len), word.place};
    if (name.text == NULL || !ph_check_sortable(checker, draft, name))
        return false;
    *order = (struct ph_check_order){name.text, has_direction && strcasecmp(end, " desc") == 0};
    return true;
}

/* `better` comes before the row at hand by this column, or equals it and the rest decides. */
static void
put_better(struct conditions *all, const struct ph_check_order *order)
{
    struct ph_buf *sql = &all->sql;

    ph_buf_putc(sql, '(');
    ph_check_put_others(sql, "better", order->column);
    ph_buf_puts(sql, order->is_desc ? " > " : " < ");
    ph_check_put_own(sql, all->draft, order->column);
    ph_buf_puts(sql, " OR (");
    ph_check_put_others(sql, "better", order->column); /* a value is better than none */
    ph_buf_puts(sql, " IS NOT NULL AND ");
    ph_check_put_own(sql, all->draft, order->column);
    ph_buf_puts(sql, " IS NULL) OR (");
    ph_check_put_others(sql, "better", order->column);
    ph_buf_puts(sql, " IS NOT DISTINCT FROM ");
    ph_check_put_own(sql, all->draft, order->column);
    ph_buf_puts(sql, " AND ");
}

/* What decides when all that is preferred is equal: the key, or the row's place. */
static void
put_last(struct conditions *all, const struct ph_rel *root)
{
    const struct ph_index *key = ph_check_key_of(root);
    struct ph_buf *sql = &all->sql;

    if (key == NULL) {
        ph_buf_puts(sql, "(better.tableoid, better.ctid) < (");
        ph_buf_put_qualified(sql, all->draft->source->schema, all->draft->source->name);
        ph_buf_puts(sql, ".tableoid, ");
        ph_buf_put_qualified(sql, all->draft->source->schema, all->draft->source->name);
        ph_buf_puts(sql, ".ctid)");
        return;
    }
    ph_buf_putc(sql, '(');
    for (uint32_t k = 0; k < key->n_keys; k++) {
        ph_buf_puts(sql, k > 0 ? ", " : "");
        ph_check_put_others(sql, "better", ph_check_attnum(root, key->key_attnums[k])->name);
    }
    ph_buf_puts(sql, ") < (");
    for (uint32_t k = 0; k < key->n_keys; k++) {
        ph_buf_puts(sql, k > 0 ? ", " : "");
        ph_check_put_own(sql, all->draft, ph_check_attnum(root, key->key_attnums[k])->name);
    }
    ph_buf_putc(sql, ')');
}

/*
 * The rows among which a better one is looked for. A condition is in a SELECT of its own, in which
 * the table has the name that it has in the job's: "users.active" is then this row's and not that
 * of the row at hand.
 */
static void
put_others(struct conditions *all, const struct ph_rel *root)
{
    const struct ph_rel *source = all->draft->source;
    struct ph_buf *sql = &all->sql;

    if (all->where == NULL) {
        ph_check_put_only(sql, root, "better");
        return;
    }
    ph_buf_puts(sql, ph_check_key_of(root) != NULL ? "(SELECT * FROM "
                                                   : "(SELECT *, tableoid, ctid FROM ");
    ph_check_put_only(sql, root, NULL);
    if (root != source) { /* the entry is the partitioned table's, the row at hand a partition's */
        ph_buf_puts(sql, " AS ");
        ph_buf_put_ident(sql, source->name);
    }
    ph_buf_printf(sql, " WHERE %s) AS better", all->where);
}

/*
 * The table that the entry is of: what it says is true of all its partitions, and of no others. An
 * entry of one partition chooses among the rows of that one; others may leave theirs out.
 */
static const struct ph_rel *
table_of_entry(const struct conditions *all)
{
    const struct ph_rule_name *name = &all->draft->table->source;
    const struct ph_rel *rel =
        ph_catalog_rel_named(all->checker->params->source, name->schema, name->name);

    return rel != NULL ? rel : all->draft->source;
}

static ph_code
put_dedup(struct conditions *all)
{
    const struct ph_rule_dedup *dedup = &all->draft->rule->dedup;
    const struct ph_rel *root = table_of_entry(all);
    struct ph_buf *sql = &all->sql;

    if (!dedup->is_there)
        return PH_OK;
    ph_check_no_stream(all->draft, "`dedup` chooses among rows that change by themselves",
                       "copy it without --follow, or remove duplicates on the source first");
    struct ph_check_order *orders =
        PH_ARENA_ARRAY(all->checker->arena, struct ph_check_order, (size_t)dedup->prefer.n + 1);
    if (orders == NULL)
        return ph_check_no_memory(all->checker);
    uint32_t problems = all->checker->n_problems;
    for (uint32_t i = 0; i < dedup->prefer.n; i++)
        (void)ph_check_read_order(all->checker, all->draft, dedup->prefer.items[i], &orders[i]);
    for (uint32_t k = 0; k < dedup->key.n; k++)
        (void)ph_check_column_named(all->checker, all->draft, all->draft->source,
                                    dedup->key.items[k]);
    if (problems != all->checker->n_problems)
        return PH_OK;
    ph_check_begin_condition(sql);
    ph_buf_puts(sql, "NOT EXISTS (SELECT 1 FROM ");
    put_others(all, root);
    ph_buf_puts(sql, " WHERE ");
    for (uint32_t k = 0; k < dedup->key.n; k++) {
        ph_check_put_others(sql, "better", dedup->key.items[k].text);
        ph_buf_puts(sql, " = ");
        ph_check_put_own(sql, all->draft, dedup->key.items[k].text);
        ph_buf_puts(sql, " AND ");
    }
    for (uint32_t i = 0; i < dedup->prefer.n; i++)
        put_better(all, &orders[i]);
    put_last(all, root);
    for (uint32_t i = 0; i < dedup->prefer.n; i++)
        ph_buf_puts(sql, "))");
    ph_buf_puts(sql, "))");
    return PH_OK;
}

/* ---- where, preserve ---- */

static ph_code
parse(struct ph_checker *checker, const struct ph_expr_site *site, const struct ph_expr **out)
{
    struct ph_error why = {.code = PH_OK};
    ph_code rc = ph_expr_parse(site, checker->arena, out, &why);

    if (rc == PH_E_RULES) {
        *out = NULL;
        ph_check_told(checker, why.message);
        return PH_OK;
    }
    if (rc != PH_OK && checker->err != NULL)
        *checker->err = why;
    return rc;
}

static bool
is_of_key(const struct ph_rel *rel, const struct ph_column *column)
{
    const struct ph_index *key = ph_check_key_of(rel);

    for (uint32_t k = 0; key != NULL && k < key->n_keys; k++) {
        if (key->key_attnums[k] == column->attnum)
            return true;
    }
    return false;
}

/* The condition as C, for rows of the stream; also the check of its literals. */
static ph_code
generate_filter(struct conditions *all, const struct ph_expr *expr)
{
    struct ph_checker *checker = all->checker;
    struct ph_draft *draft = all->draft;
    uint32_t n;
    const struct ph_column *const *reads = ph_expr_reads(expr, &n);
    uint32_t *inputs = PH_ARENA_ARRAY(checker->arena, uint32_t, (size_t)n + 1);
    struct ph_error why = {.code = PH_OK};
    struct ph_buf code;
    char function[64];

    if (inputs == NULL)
        return ph_check_no_memory(checker);
    for (uint32_t i = 0; i < n; i++) {
        if (checker->params->follows)
            PH_TRY(ph_check_input(checker, draft, reads[i], &inputs[i]));
        draft->route->needs_old_row |= !is_of_key(draft->source, reads[i]);
    }
    snprintf(function, sizeof function, "route_%u_where", draft->route->number);
    const struct ph_expr_code wanted = {.function = function,
                                        .inputs = inputs,
                                        .constant = checker->params->constant,
                                        .constant_arg = checker->params->constant_arg,
                                        .arena = checker->arena};
    ph_buf_init(&code, SQL_LIMIT);
    ph_code rc = ph_expr_generate(expr, &wanted, &code, &why);
    if (rc == PH_E_RULES) {
        ph_check_told(checker, why.message);
        rc = PH_OK;
    } else if (rc != PH_OK && checker->err != NULL) {
        *checker->err = why;
    }
    if (rc == PH_OK && checker->params->follows) {
        draft->plan->filter_function = ph_arena_strdup(checker->arena, function);
        draft->plan->filter_code = ph_arena_strdup(checker->arena, ph_buf_text(&code));
        draft->route->filters = true;
        draft->needs_program = true;
        if (draft->plan->filter_code == NULL || draft->plan->filter_function == NULL)
            rc = ph_check_no_memory(checker);
    }
    ph_buf_free(&code);
    return rc;
}

/*
 * What the server allows in a row filter. A filter that reads more than the replica identity would
 * make the application's own UPDATEs fail.
 */
static bool
is_for_publication(const struct ph_draft *draft, const struct ph_expr *expr)
{
    uint32_t n;
    const struct ph_column *const *reads = ph_expr_reads(expr, &n);

    for (uint32_t i = 0; i < n; i++) {
        if (reads[i]->type_oid >= FIRST_USER_OID || reads[i]->own_collation ||
            reads[i]->generated != '\0' || !ph_check_is_of_identity(draft->source, reads[i]))
            return false;
    }
    return n > 0;
}

static ph_code
put_where(struct conditions *all)
{
    struct ph_draft *draft = all->draft;
    const struct ph_expr *expr;
    const struct ph_expr_site site = {.text = draft->rule->where.text,
                                      .file = all->checker->params->rules->file,
                                      .place = draft->rule->where.place,
                                      .what = "where",
                                      .rel = draft->source,
                                      .catalog = all->checker->params->source};

    if (site.text == NULL || !ph_check_is_readable(all->checker, draft, draft->rule->where))
        return PH_OK;
    PH_TRY(parse(all->checker, &site, &expr));
    if (expr == NULL)
        return PH_OK;
    ph_expr_sql(expr, &all->sql);
    all->where = ph_arena_strdup(all->checker->arena, ph_buf_text(&all->sql));
    if (all->where == NULL)
        return ph_check_no_memory(all->checker);
    const char *why_not = ph_expr_why_not(expr);
    if (why_not == NULL && all->checker->params->follows && is_for_publication(draft, expr))
        draft->route->row_filter = all->where;
    if (why_not == NULL)
        return generate_filter(all, expr);
    const char *reason =
        ph_arena_printf(all->checker->arena, "pghaul cannot compute its condition: %s", why_not);
    if (reason == NULL)
        return ph_check_no_memory(all->checker);
    ph_check_no_stream(draft, reason, "write it with comparisons of columns and constants");
    return PH_OK;
}

static ph_code
check_preserve(struct ph_checker *checker, struct ph_draft *draft)
{
    const struct ph_expr *expr;
    const struct ph_expr_site site = {.text = draft->rule->preserve.text,
                                      .file = checker->params->rules->file,
                                      .place = draft->rule->preserve.place,
                                      .what = "preserve",
                                      .rel = draft->target,
                                      .catalog = checker->params->target};
    struct ph_buf sql;

    PH_TRY(ph_check_preserve(checker, draft));
    if (site.text == NULL || !ph_check_is_readable(checker, draft, draft->rule->preserve))
        return PH_OK;
    PH_TRY(parse(checker, &site, &expr));
    if (expr == NULL)
        return PH_OK;
    ph_buf_init(&sql, SQL_LIMIT);
    ph_expr_sql(expr, &sql);
    draft->route->preserve = ph_arena_strdup(checker->arena, ph_buf_text(&sql));
    ph_buf_free(&sql);
    return draft->route->preserve == NULL ? ph_check_no_memory(checker) : PH_OK;
}

/* ---- sample ---- */

void
ph_check_put_share(struct ph_buf *sql, const struct ph_rel *rel, double share)
{
    const struct ph_index *key = ph_check_key_of(rel);
    const struct ph_draft own = {.source = rel};

    ph_buf_puts(sql, "('x' || pg_catalog.substr(pg_catalog.md5(");
    for (uint32_t k = 0; key != NULL && k < key->n_keys; k++) {
        const char *column = ph_check_attnum(rel, key->key_attnums[k])->name;
        ph_buf_puts(sql, k > 0 ? " || '|' || " : "");
        ph_check_put_own(sql, &own, column);
        ph_buf_puts(sql, "::pg_catalog.text");
    }
    ph_buf_printf(sql, "), 1, 8))::pg_catalog.bit(32)::pg_catalog.int8 < %llu",
                  (unsigned long long)(share * 4294967296.0));
}

bool
ph_check_is_share(double share)
{
    return share > 0 && share < 1;
}

/*
 * By md5 of the key as text, which PostgreSQL and pghaul compute alike: the same rows every night,
 * whichever of the two leaves the others out.
 */
static ph_code
put_sample(struct conditions *all)
{
    struct ph_draft *draft = all->draft;
    double share = draft->rule->sample;
    const struct ph_index *key = ph_check_key_of(draft->source);

    if (!ph_check_is_share(share))
        return PH_OK;
    if (key == NULL) {
        ph_check_problem(all->checker, draft, draft->table->source.place,
                         "`sample` chooses by the key, and the table has none");
        return PH_OK;
    }
    ph_check_begin_condition(&all->sql);
    ph_check_put_share(&all->sql, draft->source, share);
    ph_buf_putc(&all->sql, ')');
    return ph_check_sample(all->checker, draft, key);
}

ph_code
ph_check_where(struct ph_checker *checker, struct ph_draft *draft)
{
    struct conditions all = {.checker = checker, .draft = draft};
    ph_code rc;

    ph_buf_init(&all.sql, SQL_LIMIT);
    rc = put_where(&all);
    if (rc == PH_OK)
        rc = put_sample(&all);
    if (rc == PH_OK) {
        ph_check_merge(checker, draft, &all.sql);
        rc = put_dedup(&all);
    }
    if (rc == PH_OK)
        rc = check_preserve(checker, draft);
    if (rc == PH_OK && all.sql.len > 0) {
        draft->route->where = ph_arena_strdup(checker->arena, ph_buf_text(&all.sql));
        if (draft->route->where == NULL || !ph_buf_ok(&all.sql))
            rc = ph_check_no_memory(checker);
    }
    ph_buf_free(&all.sql);
    return rc;
}
