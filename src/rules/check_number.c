/*
 * `number`: 1, 2, … among the rows with the same values, in an order that the source's key makes
 * total. A window over the rows that the route takes is joined to the table by its key:
 *
 *     FROM ONLY "s"."t" JOIN (SELECT "id" AS pghaul_key_0, row_number() OVER (PARTITION BY "author"
 *     ORDER BY "at" DESC NULLS LAST, "id") AS pghaul_number_3 FROM ONLY "s"."t" WHERE (…)) AS
 *     pghaul_numbers ON "s"."t"."id" = pghaul_key_0
 *
 * A window in the SELECT itself would number what a chunk or one row's place has left of the table;
 * counting better rows for each row, as `dedup` looks for one, is quadratic in the largest group.
 * The table is read in one piece, so that the window is computed once.
 */
#include "rules/check_parts.h"

#define SQL_LIMIT ((size_t)1 << 20)
#define INT8_OID 20u

static bool
is_number(const struct ph_draft *draft, uint32_t output)
{
    const struct ph_rule_column *rule = draft->drafts[output].rule;

    return rule != NULL && rule->kind == PH_RULE_NUMBER;
}

/* ---- the column ---- */

static void
check_words(struct ph_checker *checker, const struct ph_draft *draft,
            const struct ph_rule_number *number)
{
    struct ph_check_order order;

    for (uint32_t i = 0; i < number->within.n; i++)
        (void)ph_check_sortable(checker, draft, number->within.items[i]);
    for (uint32_t i = 0; i < number->order.n; i++)
        (void)ph_check_read_order(checker, draft, number->order.items[i], &order);
}

static void
check_table(struct ph_checker *checker, const struct ph_draft *draft, struct ph_rule_place place)
{
    if (ph_check_key_of(draft->source) == NULL)
        ph_check_problem(checker, draft, place,
                         "`number` ends its order by the key, and the table has neither a primary "
                         "key nor a unique one without NULLs; add one");
    if (draft->source->is_partition)
        ph_check_problem(checker, draft, place,
                         "`number` counts over all rows, and a partitioned table is read partition "
                         "by partition; number the rows on the target when they are in");
}

static void
put_list(struct ph_buf *out, const char *before, struct ph_rule_words words)
{
    for (uint32_t i = 0; i < words.n; i++)
        ph_buf_printf(out, "%s%s", i == 0 ? before : ", ", words.items[i].text);
}

static ph_code
set_words(struct ph_checker *checker, struct ph_draft *draft, uint32_t output,
          const struct ph_rule_number *number)
{
    struct ph_buf words;

    ph_buf_init(&words, SQL_LIMIT);
    ph_buf_puts(&words, "the number of the row");
    put_list(&words, " among those of the same ", number->within);
    put_list(&words, ", by ", number->order);
    ph_buf_puts(&words, number->order.n > 0 ? ", then by the key" : ", by the key");
    draft->outputs[output].words = ph_arena_strdup(checker->arena, ph_buf_text(&words));
    ph_buf_free(&words);
    return draft->outputs[output].words == NULL ? ph_check_no_memory(checker) : PH_OK;
}

ph_code
ph_check_number(struct ph_checker *checker, struct ph_draft *draft, uint32_t output,
                const struct ph_rule_column *rule)
{
    struct ph_arg_plan *arg = PH_ARENA_ARRAY(checker->arena, struct ph_arg_plan, 1);
    const char *sql = ph_arena_printf(checker->arena, "pghaul_numbers.pghaul_number_%u", output);
    char class[PH_CLASS_SIZE];

    if (arg == NULL || sql == NULL)
        return ph_check_no_memory(checker);
    ph_check_no_stream(draft, "a change of one row gives others another `number`",
                       "copy it without --follow, or number the rows after the switch");
    check_words(checker, draft, &rule->number);
    check_table(checker, draft, rule->target.place);
    if (!ph_type_class(checker->params->target, draft->outputs[output].target->type_oid, class))
        return PH_FAIL(checker->err, PH_E_INTERNAL, "the type of a column is not known");
    if (strcmp(class, "int4") != 0 && strcmp(class, "int8") != 0)
        ph_check_problem(checker, draft, rule->target.place,
                         "column %s for the number must be int4 or int8, not %s", rule->target.text,
                         class);
    PH_TRY(ph_check_input_sql(checker, draft, sql, INT8_OID, &arg->input));
    const struct ph_chain_wanted wanted = {.args = arg, .n_args = 1, .place = rule->target.place};
    draft->needs_program = true;
    PH_TRY(ph_check_chain(checker, draft, output, &wanted));
    draft->outputs[output].is_injective = false;
    PH_TRY(set_words(checker, draft, output, &rule->number));
    return ph_check_fit(checker, draft, output, NULL);
}

/* ---- the join ---- */

/* NULLs come last whichever the direction, as with `dedup`. */
static void
put_window(struct ph_checker *checker, const struct ph_draft *draft, uint32_t output,
           const struct ph_index *key, struct ph_buf *sql)
{
    const struct ph_rule_number *number = &draft->drafts[output].rule->number;
    struct ph_check_order order = {0};

    ph_buf_puts(sql, ", pg_catalog.row_number() OVER (");
    for (uint32_t i = 0; i < number->within.n; i++) {
        ph_buf_puts(sql, i == 0 ? "PARTITION BY " : ", ");
        ph_buf_put_ident(sql, number->within.items[i].text);
    }
    ph_buf_puts(sql, number->within.n > 0 ? " ORDER BY " : "ORDER BY ");
    for (uint32_t i = 0; i < number->order.n; i++) {
        if (!ph_check_read_order(checker, draft, number->order.items[i], &order))
            return;
        ph_buf_put_ident(sql, order.column);
        ph_buf_puts(sql, order.is_desc ? " DESC NULLS LAST, " : ", ");
    }
    for (uint32_t k = 0; k < key->n_keys; k++) {
        ph_buf_puts(sql, k > 0 ? ", " : "");
        ph_buf_put_ident(sql, ph_check_attnum(draft->source, key->key_attnums[k])->name);
    }
    ph_buf_printf(sql, ") AS pghaul_number_%u", output);
}

static void
put_join(struct ph_checker *checker, const struct ph_draft *draft, const struct ph_index *key,
         struct ph_buf *sql)
{
    const struct ph_rel *source = draft->source;

    ph_buf_puts(sql, " JOIN (SELECT ");
    for (uint32_t k = 0; k < key->n_keys; k++) {
        ph_buf_puts(sql, k > 0 ? ", " : "");
        ph_buf_put_ident(sql, ph_check_attnum(source, key->key_attnums[k])->name);
        ph_buf_printf(sql, " AS pghaul_key_%u", k);
    }
    for (uint32_t i = 0; i < draft->route->n_outputs; i++) {
        if (is_number(draft, i))
            put_window(checker, draft, i, key, sql);
    }
    ph_buf_puts(sql, " FROM ONLY ");
    ph_buf_put_qualified(sql, source->schema, source->name);
    if (draft->route->where != NULL)
        ph_buf_printf(sql, " WHERE %s", draft->route->where);
    ph_buf_puts(sql, ") AS pghaul_numbers ON ");
    for (uint32_t k = 0; k < key->n_keys; k++) {
        ph_buf_puts(sql, k > 0 ? " AND " : "");
        ph_buf_put_qualified(sql, source->schema, source->name);
        ph_buf_putc(sql, '.');
        ph_buf_put_ident(sql, ph_check_attnum(source, key->key_attnums[k])->name);
        ph_buf_printf(sql, " = pghaul_key_%u", k);
    }
}

ph_code
ph_check_numbers(struct ph_checker *checker, struct ph_draft *draft)
{
    const struct ph_index *key = ph_check_key_of(draft->source);
    uint32_t n = 0;
    struct ph_buf sql;

    while (n < draft->route->n_outputs && !is_number(draft, n))
        n++;
    if (n == draft->route->n_outputs || checker->n_problems > 0 || key == NULL)
        return PH_OK;
    ph_buf_init(&sql, SQL_LIMIT);
    put_join(checker, draft, key, &sql);
    draft->route->join =
        ph_buf_ok(&sql) ? ph_arena_strdup(checker->arena, ph_buf_text(&sql)) : NULL;
    ph_buf_free(&sql);
    return draft->route->join == NULL ? ph_check_no_memory(checker) : PH_OK;
}
