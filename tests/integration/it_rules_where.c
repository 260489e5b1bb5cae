/*
 * Conditions against PostgreSQL: for every condition and every row, the generated C gives what the
 * server says of the text as it was written and of the SQL that pghaul makes of it, with NULL apart
 * from false.
 */
/* labels: short */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg/catalog.h"
#include "rules/expr.h"
#include "support/pgcluster.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define N_RANDOM 300
#define N_MAX 420

static const char SCHEMA[] =
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad');"
    "CREATE DOMAIN amount AS numeric(12,3); CREATE DOMAIN label AS varchar(20);"
    "CREATE TABLE t (id int PRIMARY KEY, s smallint, i int, b bigint, \"I 2\" int, n numeric,"
    " n2 numeric(10,2), a amount, x text, v varchar(10), l label, f boolean, d date, ts timestamp,"
    " tz timestamptz, ts2 timestamp, u uuid, m mood, j jsonb);";

/* Every column draws from NULL, extremes and what is in the pools below. */
static const char ROWS[] =
    "INSERT INTO t SELECT g,"
    " (ARRAY[NULL, -32768, -1, 0, 1, 5, 32767])[1 + (random() * 6)::int],"
    " (ARRAY[NULL, -2147483648, -1, 0, 1, 5, 2147483647])[1 + (random() * 6)::int],"
    " (ARRAY[NULL, -9223372036854775808, -1, 0, 1, 5, 9223372036854775807])"
    "[1 + (random() * 6)::int],"
    " (ARRAY[NULL, -1, 0, 1, 5])[1 + (random() * 4)::int],"
    " (ARRAY[NULL, 'NaN', 'Infinity', '-Infinity', '0', '0.000', '-0.00001', '1', '1.0000', '1.5',"
    " '9999', '10000', '10000.0001', '100000000', '-10000', '-9999.9999', '1e100', '-1e100',"
    " '1e-100', '123456789.987654321', '5'])[1 + (random() * 20)::int]::numeric,"
    " (ARRAY[NULL, 'NaN', '0', '1.50', '-1.5', '12345678.90', '5'])"
    "[1 + (random() * 6)::int]::numeric,"
    " (ARRAY[NULL, 'NaN', '0', '1.5', '5', '-7.125'])[1 + (random() * 5)::int]::numeric,"
    " (ARRAY[NULL, '', 'a', 'A', 'a ', 'it''s', 'b\\c', 'größe', '?"
    "?=', 'longer than ten', '1'])"
    "[1 + (random() * 10)::int],"
    " (ARRAY[NULL, '', 'a', 'A', 'a ', 'größe', '1'])[1 + (random() * 6)::int],"
    " (ARRAY[NULL, '', 'a', 'A', 'a '])[1 + (random() * 4)::int],"
    " (ARRAY[NULL, true, false])[1 + (random() * 2)::int],"
    " (ARRAY[NULL, 'infinity', '-infinity', '2000-01-01', '1999-12-31', '4713-01-01 BC',"
    " '5874897-12-31', '2024-02-29'])[1 + (random() * 7)::int]::date,"
    " (ARRAY[NULL, 'infinity', '-infinity', '2000-01-01', '1999-12-31 23:59:59.999999',"
    " '4713-01-01 BC', '294276-12-31', '2024-02-29 12:00'])[1 + (random() * 7)::int]::timestamp,"
    " (ARRAY[NULL, 'infinity', '-infinity', '2000-01-01', '1999-12-31 23:59:59.999999',"
    " '4713-01-01 BC', '294276-12-31', '2024-02-29 12:00+02'])[1 + (random() * 7)::int]"
    "::timestamptz,"
    " (ARRAY[NULL, 'infinity', '2000-01-01', '2024-02-29 12:00'])[1 + (random() * 3)::int]"
    "::timestamp,"
    " (ARRAY[NULL, '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff',"
    " 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'])[1 + (random() * 3)::int]::uuid,"
    " (ARRAY[NULL, 'sad', 'ok', 'glad'])[1 + (random() * 3)::int]::mood,"
    " (ARRAY[NULL, '1'])[1 + random()::int]::jsonb"
    " FROM generate_series(1, 400) g";

struct pool { /* a column and what may stand beside it */
    const char *column;
    bool has_order;
    const char *literals[14]; /* NULL-terminated; other columns too */
};

static const struct pool pools[] = {
    {"s",
     true,
     {"-32768", "0", "1", "+5", "100000", "-9223372036854775808", "'5'", "NULL", "i", "b"}},
    {"i", true, {"-2147483648", "- 1", "0", "5", "2147483648", "' 5 '", "null", "b", "\"I 2\""}},
    {"B", true, {"-9223372036854775808", "9223372036854775807", "0", "'-1'", "S", "i"}},
    {"\"I 2\"", true, {"-1", "0", "1", "5", "i"}},
    {"n",
     true,
     {"'NaN'", "'Infinity'", "'-infinity'", "0", "-0.00001", "1", "1.5", "9999", "10000.0001",
      "1e100", "1e-100", "n2", "a"}},
    {"n2", true, {"'nan'", "0.00", "1.5", "1.555", "12345678.9", "'5'", "n", "NULL"}},
    {"a", true, {"'NaN'", "0", "1.5", "-7.125", ".5", "5.", "n"}},
    {"x",
     false,
     {"''", "'a'", "'A'", "'a '", "'it''s'", "'b\\c'", "'größe'",
      "'?"
      "?='",
      "NULL", "v", "l"}},
    {"v", false, {"''", "'a'", "'A '", "'longer than ten'", "'größe'", "x", "l"}},
    {"l", false, {"''", "'a'", "'a '", "v"}},
    {"f", true, {"true", "FALSE", "'t'", "'no'", "NULL"}},
    {"d",
     true,
     {"'2000-01-01'", "'infinity'", "'-infinity'", "'4713-01-01 BC'", "'Feb 29 2024'", "NULL"}},
    {"ts",
     true,
     {"'2000-01-01'", "'infinity'", "'-infinity'", "'2024-02-29 12:00'", "'epoch'", "ts2"}},
    {"tz",
     true,
     {"'2000-01-01'", "'infinity'", "'2024-02-29 10:00'", "'2024-02-29 12:00+02'",
      "'1999-12-31 23:59:59.999999'", "NULL"}},
    {"u",
     true,
     {"'00000000-0000-0000-0000-000000000000'", "'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF'",
      "'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'", "NULL"}},
    {"m", false, {"'sad'", "'ok'", "'glad'", "NULL"}},
};

static const char *const fixed[] = {
    "true",
    "false",
    "NULL",
    "f",
    "NOT f",
    "NOT (f)",
    "f AND NOT f OR f IS NULL",
    "j IS NULL",
    "j IS NOT NULL",
    "f OR NULL",
    "f AND NULL",
    "NOT NULL",
    "s IN (1, 2, NULL)",
    "s NOT IN (1, 2, NULL)",
    "x IN (NULL)",
    "i IN (NULL, NULL)",
    "i IN (5, 5, 5, '1', -1, 0)",
    "x NOT IN ('a', 'a', 'A', '', 'it''s')",
    "n IN (1, 1.0, 'NaN', 1e100, 0)",
    "n NOT IN ('NaN', 5)",
    "f IN (true)",
    "f NOT IN (true, false)",
    "b IN (-9223372036854775808, 9223372036854775807)",
    "d IN ('2000-01-01', 'infinity')",
    "tz IN ('2024-02-29 12:00+02', '2000-01-01')",
    "m IN ('ok', 'glad')",
    "m NOT IN ('ok', NULL)",
    "u IN ('ffffffff-ffff-ffff-ffff-ffffffffffff', NULL)",
    "i BETWEEN 0 AND 5",
    "i NOT BETWEEN 0 AND 5",
    "i BETWEEN s AND b",
    "5 BETWEEN i AND b",
    "n BETWEEN 0 AND 'Infinity'",
    "n NOT BETWEEN NULL AND 1",
    "d BETWEEN '1999-12-31' AND '2024-02-29' AND f",
    "1 < i",
    "5 = s",
    "1.5 >= n",
    "'a' = x",
    "NULL = i",
    "i<-1 OR i>=-1",
    "i=-1",
    "i!=1",
    "((i > 0) AND ((x = 'a')))",
    "NOT NOT i > 0",
    "NOT i = 1 AND f",
    "i = 1 OR i = 2 AND f",
    "(i = 1 OR i = 2) AND f",
    "x = 'a' OR x = 'A' OR x = 'a ' OR x IS NULL",
};

static struct pg_test_cluster *cluster;
static PGconn *conn;
static struct ph_catalog catalog;
static struct ph_arena arena;
static char texts[N_MAX][600];
static const struct ph_expr *exprs[N_MAX];
static unsigned n_texts;

static ph_code
ask(void *arg, const struct ph_column *column, const char *text, struct ph_arena *into,
    struct ph_value *out, struct ph_error *err)
{
    const Oid type = column->type_oid;
    PGresult *result = PQexecParams(conn, "SELECT $1", 1, &type, &text, NULL, NULL, 1);

    (void)arg;
    assert_int_equal(column->typmod, -1);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        PQclear(result);
        return PH_FAIL(err, PH_E_TYPES, "no");
    }
    out->len = PQgetlength(result, 0, 0);
    out->data = (const uint8_t *)ph_arena_strndup(into, PQgetvalue(result, 0, 0), (size_t)out->len);
    PQclear(result);
    return PH_OK;
}

static int
begin(void **context)
{
    struct ph_endpoint endpoint;
    struct ph_conn *reader = NULL;
    struct ph_error err = {.code = PH_OK};

    (void)context;
    cluster = pg_test_cluster_new(NULL);
    conn = sql_connect(cluster, "postgres");
    sql_exec(conn, "SET timezone = 'UTC'; SELECT setseed(0.4)");
    sql_exec(conn, SCHEMA);
    sql_exec(conn, ROWS);
    ph_arena_init(&arena, (size_t)64 << 20);
    assert_int_equal(
        ph_endpoint_init(&endpoint, PH_SOURCE, pg_test_conninfo(cluster, "postgres"), "it", &err),
        PH_OK);
    assert_int_equal(ph_conn_open(&endpoint, "test", &reader, &err), PH_OK);
    assert_int_equal(ph_catalog_read(reader, &catalog, &err), PH_OK);
    ph_conn_free(reader);
    ph_endpoint_reset(&endpoint);
    return 0;
}

static int
end(void **context)
{
    (void)context;
    ph_catalog_reset(&catalog);
    ph_arena_reset(&arena);
    PQfinish(conn);
    return 0;
}

static unsigned
draw(unsigned n)
{
    static unsigned short state[3] = {0x1234, 0x5678, 0x9abc};

    return (unsigned)nrand48(state) % n;
}

static unsigned
n_literals(const struct pool *pool)
{
    unsigned n = 0;

    while (n < 14 && pool->literals[n] != NULL)
        n++;
    return n;
}

static void
add(char *text, size_t size, const char *more)
{
    size_t len = strlen(text);
    snprintf(text + len, size - len, "%s", more);
}

/* A column's name, not a literal. */
static bool
is_name(const char *literal)
{
    return strchr("'-+.0123456789", literal[0]) == NULL && strcasecmp(literal, "null") != 0 &&
           strcasecmp(literal, "true") != 0 && strcasecmp(literal, "false") != 0;
}

static void
add_predicate(char *text, size_t size)
{
    static const char *const comparisons[] = {" = ", "<>", " != ", "<", " <= ", ">", " >= "};
    const struct pool *pool = &pools[draw(sizeof pools / sizeof pools[0])];
    unsigned n = n_literals(pool);
    const char *literal = pool->literals[draw(n)];
    unsigned kind = draw(8);

    if (kind < 5 || (kind == 6 && !pool->has_order)) {
        bool is_turned = draw(4) == 0;
        add(text, size, is_turned ? literal : pool->column);
        add(text, size, comparisons[draw(pool->has_order ? 7 : 3)]);
        add(text, size, is_turned ? pool->column : literal);
        return;
    }
    add(text, size, pool->column);
    if (kind == 5) {
        add(text, size, draw(2) == 0 ? " IS NULL" : " is not null");
        return;
    }
    add(text, size, draw(2) == 0 ? " NOT" : "");
    if (kind == 6) {
        add(text, size, " BETWEEN ");
        add(text, size, literal);
        add(text, size, " AND ");
        add(text, size, pool->literals[draw(n)]);
        return;
    }
    add(text, size, " IN (");
    for (unsigned i = 0, k = 1 + draw(4); i < k;) {
        literal = pool->literals[draw(n)];
        if (is_name(literal))
            continue;
        add(text, size, i > 0 ? ", " : "");
        add(text, size, literal);
        i++;
    }
    add(text, size, ")");
}

static void
add_condition(char *text, size_t size, unsigned depth)
{
    unsigned kind = depth == 0 ? 3 : draw(4);

    if (kind == 3) {
        add_predicate(text, size);
        return;
    }
    if (kind == 2) {
        add(text, size, "NOT (");
        add_condition(text, size, depth - 1);
        add(text, size, ")");
        return;
    }
    bool is_double = draw(2) == 0;
    add(text, size, is_double ? "((" : "(");
    add_condition(text, size, 0);
    add(text, size, is_double ? ")" : "");
    add(text, size, kind == 0 ? " AND " : " or ");
    add_condition(text, size, depth - 1);
    add(text, size, ")");
}

static void
make_texts(void)
{
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        snprintf(texts[n_texts++], sizeof texts[0], "%s", fixed[i]);
    for (int i = 0; i < N_RANDOM; i++) {
        texts[n_texts][0] = '\0';
        if (i < 150)
            add_predicate(texts[n_texts++], sizeof texts[0]);
        else
            add_condition(texts[n_texts++], sizeof texts[0], 4);
    }
    assert_true(n_texts <= N_MAX);
}

/* All of them as one C file; inputs are the columns by attnum. */
static const char *
write_code(void)
{
    const struct ph_rel *rel = ph_catalog_rel_named(&catalog, "public", "t");
    struct ph_error err = {.code = PH_OK};
    struct ph_buf code;

    ph_buf_init(&code, (size_t)16 << 20);
    ph_buf_puts(&code, "#include <pghaul/rule.h>\n\n");
    for (unsigned i = 0; i < n_texts; i++) {
        struct ph_expr_site site = {texts[i], "job.yaml", {1, 1}, "where", rel, &catalog};
        if (ph_expr_parse(&site, &arena, &exprs[i], &err) != PH_OK)
            fail_msg("%s: %s", texts[i], err.message);
        if (ph_expr_why_not(exprs[i]) != NULL)
            fail_msg("%s: %s", texts[i], ph_expr_why_not(exprs[i]));
        uint32_t n;
        const struct ph_column *const *reads = ph_expr_reads(exprs[i], &n);
        uint32_t inputs[64];
        for (uint32_t k = 0; k < n; k++)
            inputs[k] = (uint32_t)reads[k]->attnum - 1;
        const char *function = scratch_printf("where_%u", i);
        struct ph_expr_code wanted = {function, inputs, ask, NULL, &arena};
        if (ph_expr_generate(exprs[i], &wanted, &code, &err) != PH_OK)
            fail_msg("%s: %s", texts[i], err.message);
    }
    ph_buf_puts(&code, "extern int (*const all[])(const struct ph_value *);\n"
                       "#define W(n) static int w##n(const struct ph_value *in) "
                       "{ return (int)where_##n(in); }\n");
    for (unsigned i = 0; i < n_texts; i++)
        ph_buf_printf(&code, "W(%u)\n", i);
    ph_buf_puts(&code, "int (*const all[])(const struct ph_value *) = {\n");
    for (unsigned i = 0; i < n_texts; i++)
        ph_buf_printf(&code, "w%u, ", i);
    ph_buf_puts(&code, "};\n");
    assert_true(ph_buf_ok(&code));
    const char *path = scratch_write("where.c", ph_buf_text(&code));
    ph_buf_free(&code);
    return path;
}

typedef int condition_fn(const struct ph_value *in);

static condition_fn *const *
load_code(const char *path)
{
    const char *object = scratch_printf("%s.so", path);
    const char *argv[] = {
        "cc",      "-O1",     "-Wall", "-Wextra", "-Wno-unused-function",    "-Wno-type-limits",
        "-Werror", "-shared", "-fPIC", "-I",      PH_TEST_DIR "/../include", "-o",
        object,    path,      NULL};

    run_expect(run_start_copy(NULL, argv), 0);
    void *handle = dlopen(object, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        fail_msg("%s", dlerror());
    return (condition_fn *const *)dlsym(handle, "all");
}

static int
truth_of(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column)            ? PH_UNKNOWN
           : PQgetvalue(result, row, column)[0] == 't' ? PH_TRUE
                                                       : PH_FALSE;
}

static PGresult *
query(const char *sql, int format)
{
    PGresult *result = PQexecParams(conn, sql, 0, NULL, NULL, NULL, NULL, format);

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQresultErrorMessage(result));
    return result;
}

static void
rows_agree(void **context)
{
    struct ph_value in[64];
    unsigned counts[4] = {0};

    (void)context;
    make_texts();
    condition_fn *const *conditions = load_code(write_code());
    PGresult *rows = query("SELECT * FROM t ORDER BY id", 1);
    int n_rows = PQntuples(rows);
    assert_int_equal(n_rows, 400);
    for (unsigned i = 0; i < n_texts; i++) {
        struct ph_buf sql;
        ph_buf_init(&sql, 100000);
        ph_buf_printf(&sql, "SELECT (%s)::bool, ", texts[i]);
        ph_expr_sql(exprs[i], &sql);
        ph_buf_puts(&sql, " FROM t ORDER BY id");
        PGresult *said = query(ph_buf_text(&sql), 0);
        for (int row = 0; row < n_rows; row++) {
            for (int k = 0; k < PQnfields(rows); k++)
                in[k] = (struct ph_value){(const uint8_t *)PQgetvalue(rows, row, k),
                                          PQgetisnull(rows, row, k) ? PH_VALUE_NULL
                                                                    : PQgetlength(rows, row, k)};
            int own = conditions[i](in);
            if (own != truth_of(said, row, 0) || own != truth_of(said, row, 1))
                fail_msg("row %d: %s is %d, as written %d, as SQL %d: %s", row + 1, texts[i], own,
                         truth_of(said, row, 0), truth_of(said, row, 1), ph_buf_text(&sql));
            counts[own]++;
        }
        PQclear(said);
        ph_buf_free(&sql);
    }
    PQclear(rows);
    assert_true(counts[PH_TRUE] > 20000 && counts[PH_FALSE] > 20000 && counts[PH_UNKNOWN] > 10000);
}

/* Literals that are no values of their type are found before any row is read. */
static void
literals_are_checked(void **context)
{
    static const char *const wrong[] = {"i = 'five'",     "d > '2024-02-30'", "u = 'abc'",
                                        "tz < 'someday'", "n = '1,5'",        "f = 'perhaps'",
                                        "i IN (1, 'x')",  "u IN ('y', NULL)", "n IN ('1', 'z')"};
    const struct ph_rel *rel = ph_catalog_rel_named(&catalog, "public", "t");

    (void)context;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const struct ph_expr *expr;
        struct ph_error err = {.code = PH_OK};
        struct ph_buf code;
        const uint32_t inputs[1] = {0};
        struct ph_expr_site site = {wrong[i], "job.yaml", {7, 9}, "where", rel, &catalog};
        struct ph_expr_code wanted = {"f", inputs, ask, NULL, &arena};
        assert_int_equal(ph_expr_parse(&site, &arena, &expr, &err), PH_OK);
        ph_buf_init(&code, 100000);
        assert_int_equal(ph_expr_generate(expr, &wanted, &code, &err), PH_E_RULES);
        assert_string_equal(err.object, "job.yaml:7:9");
        assert_non_null(strstr(err.message, "is not a value of type"));
        ph_buf_free(&code);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_agree),
        cmocka_unit_test(literals_are_checked),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
