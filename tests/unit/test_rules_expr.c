/* Conditions without a server: what is of the class, what is a mistake, the SQL and the C. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/expr_world.h"
#include "rules/expr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ph_arena arena;
static struct ph_error err;

static int
begin(void **context)
{
    (void)context;
    ph_arena_init(&arena, (size_t)64 << 20);
    ph_error_reset(&err);
    snprintf(expr_catalog.encoding, sizeof expr_catalog.encoding, "UTF8");
    return 0;
}

static int
end(void **context)
{
    (void)context;
    ph_arena_reset(&arena);
    return 0;
}

static ph_code
parse(const char *text, const struct ph_expr **out)
{
    const struct ph_expr_site site = {text, "job.yaml", {3, 12}, "where", &expr_rel, &expr_catalog};

    return ph_expr_parse(&site, &arena, out, &err);
}

static const struct ph_expr *
parsed(const char *text)
{
    const struct ph_expr *expr = NULL;

    if (parse(text, &expr) != PH_OK)
        fail_msg("%s: %s", text, err.message);
    return expr;
}

static void
sql_is(const char *text, const char *expected)
{
    const struct ph_expr *expr = parsed(text);
    struct ph_buf sql;

    if (ph_expr_why_not(expr) != NULL)
        fail_msg("%s: %s", text, ph_expr_why_not(expr));
    ph_buf_init(&sql, 1 << 20);
    ph_expr_sql(expr, &sql);
    assert_string_equal(ph_buf_text(&sql), expected);
    ph_buf_free(&sql);
}

/* Only a server can compute it, for that reason; its SQL is what was written. */
static void
not_of_class(const char *text, const char *reason)
{
    const struct ph_expr *expr = parsed(text);
    struct ph_buf sql;
    uint32_t n = 7;

    if (ph_expr_why_not(expr) == NULL || strstr(ph_expr_why_not(expr), reason) == NULL)
        fail_msg("%s: \"%s\" lacks \"%s\"", text,
                 ph_expr_why_not(expr) != NULL ? ph_expr_why_not(expr) : "", reason);
    ph_buf_init(&sql, 1 << 20);
    ph_expr_sql(expr, &sql);
    assert_int_equal(ph_buf_text(&sql)[0], '(');
    assert_memory_equal(ph_buf_text(&sql) + 1, text, strlen(text));
    ph_buf_clear(&sql);
    (void)ph_expr_reads(expr, &n);
    assert_int_equal(n, 0);
    const struct ph_expr_code code = {.function = "f", .arena = &arena};
    assert_int_equal(ph_expr_generate(expr, &code, &sql, &err), PH_E_RULES);
    ph_buf_free(&sql);
}

static void
refused(const char *text, const char *part)
{
    const struct ph_expr *expr = NULL;

    ph_error_reset(&err);
    if (parse(text, &expr) != PH_E_RULES)
        fail_msg("%s was taken", text);
    if (strstr(err.message, part) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.message, part);
    assert_memory_equal(err.message, "where: ", 7);
    assert_string_equal(err.object, "job.yaml:3:12");
}

static void
sql_is_normal(void **context)
{
    (void)context;
    sql_is("id = 1", "(\"id\" = 1)");
    sql_is("ID=-1", "(\"id\" = (-1))");
    sql_is("5 < id", "(\"id\" > 5)");
    sql_is("5 >= \"Mixed \"\"x\"\"\"", "(\"Mixed \"\"x\"\"\" <= 5)");
    sql_is("id != small", "(\"id\" <> \"small\")");
    sql_is("id = '7'", "(\"id\" = '7'::\"pg_catalog\".\"int8\")");
    sql_is("n > 3", "(\"n\" > 3)");
    sql_is("n > '3'", "(\"n\" > '3'::\"pg_catalog\".\"int8\")");
    sql_is("name = 'it''s'", "(\"name\" = 'it''s'::\"pg_catalog\".\"text\")");
    sql_is("v <> 'a\\b'", "(\"v\" <>  E'a\\\\b'::\"pg_catalog\".\"text\")");
    sql_is("mood IN ('sad', NULL)",
           "(\"mood\" IN ('sad'::\"app\".\"mood\", NULL::\"app\".\"mood\"))");
    sql_is("active", "(\"active\")");
    sql_is("NOT active AND NULL", "((NOT (\"active\")) AND (NULL::pg_catalog.bool))");
    sql_is("active = true OR false", "((\"active\" = true) OR (false))");
    sql_is("ratio IS NULL", "(\"ratio\" IS NULL)");
    sql_is("code IS NOT NULL", "(NOT (\"code\" IS NULL))");
    sql_is("price BETWEEN 0.5 AND 1e3", "((\"price\" >= 0.5) AND (\"price\" <= 1e3))");
    sql_is("price NOT BETWEEN 0 AND 1", "(NOT ((\"price\" >= 0) AND (\"price\" <= 1)))");
    sql_is("5 between id and n", "((\"id\" <= 5) AND (\"n\" >= 5))");
    sql_is("id NOT IN (1,\n2)", "(NOT (\"id\" IN (1, 2)))");
    sql_is("day > '2024-01-01'", "(\"day\" > '2024-01-01'::\"pg_catalog\".\"date\")");
    /* AND before OR, NOT before both */
    sql_is("id = 1 OR id = 2 AND NOT id = 3 OR id = 4",
           "((\"id\" = 1) OR ((\"id\" = 2) AND (NOT (\"id\" = 3))) OR (\"id\" = 4))");
    sql_is("((id = 1 OR id = 2) OR (id = 3))", "(((\"id\" = 1) OR (\"id\" = 2)) OR (\"id\" = 3))");
}

static void
reads_each_once(void **context)
{
    uint32_t n;

    (void)context;
    const struct ph_column *const *reads =
        ph_expr_reads(parsed("small = 1 AND (id < 2 OR NOT id IN (3)) AND n = small"), &n);
    assert_int_equal(n, 3);
    assert_string_equal(reads[0]->name, "id");
    assert_string_equal(reads[1]->name, "n");
    assert_string_equal(reads[2]->name, "small");
    (void)ph_expr_reads(parsed("true"), &n);
    assert_int_equal(n, 0);
}

static void
what_only_a_server_computes(void **context)
{
    (void)context;
    not_of_class("lower(name) = 'a'", "lower() is a function");
    not_of_class("name LIKE 'a%'", "\"like\" is not among what it knows");
    not_of_class("name < 'a'", "the order of texts (\"name\") is a matter of collation");
    not_of_class("mood > 'sad'", "\"mood\" is an enum");
    not_of_class("loose = 'a'", "a collation in which different texts are equal");
    not_of_class("code = 'a'", "\"code\" is character(5)");
    not_of_class("ratio > 1", "\"ratio\" is double precision");
    not_of_class("pair IS NULL", "\"pair\" is app.pair");
    not_of_class("id = 1.5", "1.5 beside \"id\" (integer) is not a bigint");
    not_of_class("id = 9223372036854775808", "is not a bigint");
    not_of_class("id = price", "\"id\" is integer and \"price\" numeric(5,2)");
    not_of_class("id + 1 = 2", "\"+\" is not among");
    not_of_class("name = 5::text", "\":\" is not among");
    not_of_class("day > date '2024-01-01'", "\"date\" before a literal");
    not_of_class("'a' || name = 'ab'", "\"||\" is not among");
    not_of_class("1 = 1", "a comparison without a column");
    not_of_class("id IN (SELECT 1)", "\"select\"");
    not_of_class("id IN (1, small)", "IN with a column in its list");
    not_of_class("EXISTS (SELECT 1)", "\"exists\"");
    not_of_class("(id) = 1", "parentheses around \"id\"");
    not_of_class("(id = 1) = true", "\"=\" is not among");
    not_of_class("active IS TRUE", "\"true\" is not among");
    not_of_class("id IS DISTINCT FROM 1", "\"distinct\"");
    not_of_class("posts.id = 1", "\"posts.\" stands before a name");
    not_of_class("posts IS NULL", "\"posts\" is a whole row");
    not_of_class("ctid = '(0,1)'", "ctid is a system column");
    not_of_class("name = E'a\\'b'", "is not among");
    not_of_class("name = $$a;b$$", "is not among");
    not_of_class("name = $q$ ) $$ -- $q$", "is not among");
    not_of_class("name = U&'x' AND name = N'y'", "is not among");
    not_of_class("id = 0x1F", "is not among");
    not_of_class("CASE WHEN active THEN true END", "\"case\"");
    snprintf(expr_catalog.encoding, sizeof expr_catalog.encoding, "LATIN1");
    not_of_class("name = 'ü'", "the database is in LATIN1");
    sql_is("name = 'u'", "(\"name\" = 'u'::\"pg_catalog\".\"text\")");
}

static void
mistakes(void **context)
{
    (void)context;
    refused("", "the condition is empty");
    refused("  \n", "the condition is empty");
    refused("nmae = 'a'", "\"nmae\" is not a column of public.posts; did you mean \"name\"?");
    refused("\"ID\" = 1", "\"ID\" is not a column");
    refused("id = 1 AND", "ends too early");
    refused("id =", "ends too early");
    refused("id IN (1", "a \"(\" is not closed");
    refused("id = 1) OR (id = 2", "a \")\" that closes nothing");
    refused("id = 1; DROP TABLE posts", "a semicolon");
    refused("id = 1 -- all", "comments are not taken");
    refused("id = 1 /* all */", "comments are not taken");
    refused("id = $1", "a parameter ($1)");
    refused("name = 'a", "a quote is not closed");
    refused("name = E'a\\'", "a quote is not closed");
    refused("name = E'a\\", "a quote is not closed");
    refused("\"name = 1", "a double quote is not closed");
    refused("name = $a$ b", "a dollar quote is not closed");
    refused("name = E'a''\\' , ' ) OR ( name = E'b''\\' , '", "a \")\" that closes nothing");
    refused("id = 0.$a$ ' $a$ ) OR ( 0.$b$ ' 0.$b$", "a \")\" that closes nothing");
    refused("id = 1e'\\' , ' ) OR ( 1e'\\' '", "a number that goes over into a quote");
    refused("name = 5", "\"name\" is text and 5 a number; put quotes around it");
    refused("id = true", "\"id\" is integer, not boolean");
    refused("id", "\"id\" is integer, not boolean");
    refused("mood = 'gald'", "'gald' is not a value of \"mood\" (app.mood); did you mean 'glad'?");
    refused("at > now()", "now is not the same every time");
    refused("at > lower(now ( ))", "now is not the same every time");
    refused("day = CURRENT_DATE", "current_date is not the same every time");
    refused("at > 'Today'", "'Today' is not the same every time");
    refused("day IN ('2024-01-01', ' yesterday ')", "not the same every time");
    sql_is("name = 'now'", "(\"name\" = 'now'::\"pg_catalog\".\"text\")");
}

static void
long_conditions(void **context)
{
    char *text = malloc(1 << 20);
    size_t len = 0;
    struct ph_buf out;

    (void)context;
    assert_non_null(text);
    for (int i = 0; i < 20000; i++)
        len += (size_t)snprintf(text + len, 40, "%sid = %d", i > 0 ? " OR " : "", i);
    const struct ph_expr *expr = parsed(text);
    assert_null(ph_expr_why_not(expr));
    ph_buf_init(&out, (size_t)16 << 20);
    const uint32_t inputs[] = {4};
    const struct ph_expr_code code = {.function = "f", .inputs = inputs, .arena = &arena};
    assert_int_equal(ph_expr_generate(expr, &code, &out, &err), PH_OK);
    assert_non_null(strstr(ph_buf_text(&out), "INT64_C(19999)"));
    ph_buf_free(&out);
    memset(text, '(', 100000);
    memset(text + 100000, ')', 100000);
    text[200000] = '\0';
    not_of_class(text, "nested deeper than 64");
    memset(text, ' ', 400000);
    for (int i = 0; i < 100000; i++)
        memcpy(text + 4 * i, "NOT ", 4);
    memcpy(text + 400000, "active", 7);
    not_of_class(text, "nested deeper than 64");
    free(text);
}

static void
the_c_is_readable(void **context)
{
    struct ph_buf out;
    const uint32_t inputs[] = {2, 5};
    const struct ph_expr_code code = {
        .function = "route_1_where", .inputs = inputs, .arena = &arena};

    (void)context;
    ph_buf_init(&out, 100000);
    const struct ph_expr *expr = parsed("id IN (2, 1, 2, NULL) AND NOT name = '?\"a'");
    assert_int_equal(ph_expr_generate(expr, &code, &out, &err), PH_OK);
    assert_string_equal(
        ph_buf_text(&out),
        "static bool\n"
        "route_1_where_in_0(int64_t value)\n"
        "{\n"
        "    switch (value) {\n"
        "    case INT64_C(1):\n"
        "    case INT64_C(2):\n"
        "        return true;\n"
        "    default:\n"
        "        return false;\n"
        "    }\n"
        "}\n"
        "\n"
        "static enum ph_truth\n"
        "route_1_where(const struct ph_value *in)\n"
        "{\n"
        "    (void)in;\n"
        "    return (enum ph_truth)((in[2].len == 4 ? (route_1_where_in_0(ph_rule_get_i32(&in[2])) "
        "? "
        "PH_TRUE : PH_UNKNOWN) : PH_UNKNOWN)\n"
        "        & ph_truth_not((in[5].len >= 0 ? ph_truth_of(ph_rule_compare_bytes(&in[5], "
        "&(const "
        "struct ph_value){(const uint8_t *)\"\\077\\042a\", 3}) == 0) : PH_UNKNOWN)));\n"
        "}\n");
    ph_buf_free(&out);
}

static void
numeric_of_any_bytes(void **context)
{
    uint8_t bytes[40];
    unsigned short state[3] = {1, 2, 3};

    (void)context;
    /* whatever is sent: no read behind the end, and an order */
    for (int i = 0; i < 20000; i++) {
        int32_t len = (int32_t)(nrand48(state) % 21);
        uint8_t *a = malloc((size_t)len + 1);
        assert_non_null(a);
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (uint8_t)(nrand48(state) % 5 == 0 ? nrand48(state) % 256 : 0);
        memcpy(a, bytes, (size_t)len);
        struct ph_value left = {a, len};
        struct ph_value right = {bytes + 20, (int32_t)(nrand48(state) % 21)};
        int order = ph_rule_compare_numeric(&left, &right);
        int back = ph_rule_compare_numeric(&right, &left);
        assert_true((order > 0) == (back < 0) && (order == 0) == (back == 0));
        assert_int_equal(ph_rule_compare_numeric(&left, &left), 0);
        free(a);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sql_is_normal, begin, end),
        cmocka_unit_test_setup_teardown(reads_each_once, begin, end),
        cmocka_unit_test_setup_teardown(what_only_a_server_computes, begin, end),
        cmocka_unit_test_setup_teardown(mistakes, begin, end),
        cmocka_unit_test_setup_teardown(long_conditions, begin, end),
        cmocka_unit_test_setup_teardown(the_c_is_readable, begin, end),
        cmocka_unit_test_setup_teardown(numeric_of_any_bytes, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
