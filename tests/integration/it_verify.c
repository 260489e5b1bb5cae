/*
 * `pghaul verify` between databases that were filled by plain SQL: every kind of difference is
 * found and named, and what is equal is called so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "support/pgcluster.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;

/* Types whose OIDs differ between the two servers, and rows of every awkward kind. */
static const char SCHEMA[] =
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');"
    "CREATE TYPE pair AS (m mood, n int);"
    "CREATE TABLE item (id int PRIMARY KEY, name text, price numeric, f float8, code char(5),"
    " m mood, ms mood[], p pair, doubled numeric GENERATED ALWAYS AS (price * 2) STORED);"
    "CREATE TABLE \"Odd \"\"one\"\"\" (\"B b\" text, a int, v text, PRIMARY KEY (\"B b\", a));"
    "CREATE TABLE loose (a int, t text);"
    "CREATE TABLE by_name (c regclass, n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);"
    "CREATE TABLE nothing ();"
    "CREATE TABLE part (id int, at int, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);"
    "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);"
    "CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (100) TO (200);"
    "CREATE SEQUENCE counter;";

static const char ROWS[] =
    "INSERT INTO item SELECT i, 'name ' || i, i * 1.5, i / 3.0, 'c' || i % 9,"
    " (ARRAY['sad','ok','happy'])[i % 3 + 1]::mood, ARRAY['sad','ok']::mood[],"
    " ROW('ok', i)::pair FROM generate_series(1, 20000) i;"
    "INSERT INTO \"Odd \"\"one\"\"\" SELECT 'k' || i % 50, i, repeat('x', i % 7)"
    " FROM generate_series(1, 3000) i;"
    "INSERT INTO loose SELECT i % 40, 't' || i % 3 FROM generate_series(1, 5000) i;"
    "INSERT INTO by_name (c) SELECT 'item'::regclass FROM generate_series(1, 20);"
    "INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing DEFAULT VALUES;"
    "INSERT INTO part SELECT i, i % 200, 'v' || i FROM generate_series(1, 4000) i;"
    "SELECT setval('counter', 41);";

static void
make_database(struct pg_test_cluster *cluster, const char *name, const char *before)
{
    sql_once(cluster, "postgres", scratch_printf("CREATE DATABASE %s", name));
    sql_once(cluster, name, before);
    sql_once(cluster, name, SCHEMA);
    sql_once(cluster, name, ROWS);
}

static int
setup(void **state)
{
    (void)state;
    pg_test_pair_new(NULL, NULL, &src, &dst);
    make_database(src, "base", "SELECT 1");
    make_database(dst, "base", "CREATE TYPE shift1 AS (a int); CREATE TYPE shift2 AS (a int)");
    return 0;
}

/* A target of its own for a test, with something changed in it. */
static const char *
changed(const char *name, const char *sql)
{
    sql_once(dst, "postgres", scratch_printf("CREATE DATABASE %s TEMPLATE base", name));
    sql_once(dst, name, sql);
    return pg_test_conninfo(dst, name);
}

static struct run *
verify(const char *target, const char *option, const char *value)
{
    const char *argv[12] = {"pghaul",   "verify", "--source", pg_test_conninfo(src, "base"),
                            "--target", target,   "--dir",    scratch_dir(),
                            option,     value,    NULL};

    return run_pghaul_args(NULL, argv);
}

/* Exit code 4 and every text in the output; the list ends with NULL. */
static void
expect_different(const struct run *run, const char *const *texts)
{
    if (run->code != 4)
        fail_msg("exit code %d\n%s\n%s", run->code, run_out(run), run_err(run));
    for (; *texts != NULL; texts++) {
        if (strstr(run_out(run), *texts) == NULL)
            fail_msg("\"%s\" is not in\n%s\n%s", *texts, run_out(run), run_err(run));
    }
}

#define EXPECT(name, sql, ...)                                                                     \
    expect_different(verify(changed(name, sql), NULL, NULL),                                       \
                     (const char *const[]){__VA_ARGS__, NULL})

static void
equal_databases_are_proven(void **state)
{
    (void)state;
    run_expect(verify(pg_test_conninfo(dst, "base"), NULL, NULL), 0);
    run_expect(verify(pg_test_conninfo(dst, "base"), "--jobs", "4"), 0);
    run_expect(verify(pg_test_conninfo(dst, "base"), "--verify", "count"), 0);
    run_expect(verify(pg_test_conninfo(dst, "base"), "--split", "1MB"), 0);
}

static void
rows_are_found_by_key(void **state)
{
    (void)state;
    EXPECT("row_changed", "UPDATE item SET name = name || '!', f = f + 1 WHERE id = 77",
           "(id=77) differs in name, f", "1 row with other values");
    EXPECT("row_missing", "DELETE FROM item WHERE id = 4711; DELETE FROM part WHERE id = 7",
           "(id=4711) is missing on the target", "(id=7, at=7) is missing on the target");
    EXPECT("row_extra",
           "INSERT INTO item (id, name) VALUES (-5, NULL);"
           "INSERT INTO \"Odd \"\"one\"\"\" VALUES ('it''s', 1, '')",
           "(id=-5) is only on the target", "(B b=it's, a=1) is only on the target");
}

static void
values_are_compared_as_bytes(void **state)
{
    (void)state;
    EXPECT("v_null", "UPDATE \"Odd \"\"one\"\"\" SET v = NULL WHERE a = 7",
           "(B b=k7, a=7) differs in v");
    EXPECT("v_scale", "UPDATE item SET price = 150.00 WHERE id = 100",
           "(id=100) differs in price, doubled");
    EXPECT("v_zero", "UPDATE item SET f = '-0.0' WHERE id = 8; UPDATE item SET f='NaN' WHERE id=9",
           "(id=8) differs in f", "(id=9) differs in f", "2 rows with other values");
    EXPECT("v_enum", "UPDATE item SET m = 'sad', ms = '{ok}', p = ROW('sad', 3) WHERE id = 3",
           "(id=3) differs in ms, p");
    EXPECT("v_name", "UPDATE by_name SET c = 'part'::regclass WHERE n = 3", "(n=3) differs in c");
}

static void
rows_without_a_key_are_counted(void **state)
{
    (void)state;
    EXPECT("k_more", "INSERT INTO loose SELECT 3, 't0'", "1 row only on the target");
    /* 42 and 41 of them: what XOR would call equal */
    EXPECT(
        "k_pairs",
        "INSERT INTO loose SELECT 999, 'x' FROM generate_series(1, 2);"
        "DELETE FROM loose WHERE ctid IN (SELECT ctid FROM loose WHERE a = 5 AND t = 't1' LIMIT 2)",
        "2 rows missing on the target, 2 rows only on the target",
        "is missing on the target, 2 times");
    EXPECT("k_none", "DELETE FROM nothing WHERE ctid IN (SELECT ctid FROM nothing LIMIT 1)",
           "1 row missing on the target");
    EXPECT("k_all", "TRUNCATE loose", "5000 rows missing on the target; the first are listed");
}

static void
tables_are_matched(void **state)
{
    (void)state;
    EXPECT("t_gone", "DROP TABLE loose", "public.loose", "the target has no such table");
    EXPECT("t_more", "CREATE TABLE surplus (a int)", "public.surplus", "only on the target");
    EXPECT("t_column", "ALTER TABLE loose DROP COLUMN t", "column t is missing on the target");
}

/* The same rows in other partitions are the same rows. */
static void
partitions_are_routed(void **state)
{
    const char *sql = "CREATE TABLE other (LIKE part INCLUDING ALL) PARTITION BY LIST (at);"
                      "CREATE TABLE other_rest PARTITION OF other DEFAULT;"
                      "INSERT INTO other SELECT * FROM part; DROP TABLE part;"
                      "ALTER TABLE other RENAME TO part;";

    (void)state;
    run_expect(verify(changed("p_other", sql), NULL, NULL), 0);
    EXPECT("p_differs", scratch_printf("%s DELETE FROM part WHERE id = 3999", sql),
           "(id=3999, at=199) is missing on the target", "public.part (2 partitions)");
    EXPECT("p_count", "DELETE FROM part WHERE id = 1", "public.part_1");
}

static void
sequences_and_large_objects(void **state)
{
    (void)state;
    EXPECT("s_value", "SELECT setval('counter', 42)", "public.counter",
           "42 (called) on the target");
    EXPECT("s_called", "SELECT setval('counter', 41, false)", "41 (not called) on the target");
    EXPECT("lo_extra", "SELECT lo_from_bytea(4242, 'abc')", "4242", "only on the target");
}

static void
large_objects_by_content(void **state)
{
    static const char make[] =
        "SELECT lo_from_bytea(100, ''), lo_from_bytea(101, convert_to(repeat('x', 2500000), "
        "'UTF8'));"
        "SELECT lo_put(100, 5000000, 'end'); COMMENT ON LARGE OBJECT 100 IS 'with a hole'";
    const char *source;
    struct run *run;

    (void)state;
    sql_once(src, "postgres", "CREATE DATABASE lo");
    sql_once(src, "lo", make);
    source = pg_test_conninfo(src, "lo");
    sql_once(dst, "postgres", "CREATE DATABASE lo");
    sql_once(dst, "lo", make);
    run = run_pghaul("verify", "--source", source, "--target", pg_test_conninfo(dst, "lo"), "--dir",
                     scratch_dir());
    run_expect(run, 0);
    sql_once(dst, "lo", "SELECT lo_put(101, 2400000, 'y'); COMMENT ON LARGE OBJECT 100 IS 'none'");
    run = run_pghaul("verify", "--source", source, "--target", pg_test_conninfo(dst, "lo"), "--dir",
                     scratch_dir());
    expect_different(
        run, (const char *const[]){"101", "its content differs", "its comment differs", NULL});
}

/* Memory for few rows only: the bad buckets are compared in many passes. */
static void
many_differences_fit_into_little_memory(void **state)
{
    (void)state;
    EXPECT("many", "UPDATE item SET name = 'other'; DELETE FROM part",
           "20000 rows with other values", "rows missing on the target; the first are listed");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_databases_are_proven),
        cmocka_unit_test(rows_are_found_by_key),
        cmocka_unit_test(values_are_compared_as_bytes),
        cmocka_unit_test(rows_without_a_key_are_counted),
        cmocka_unit_test(tables_are_matched),
        cmocka_unit_test(partitions_are_routed),
        cmocka_unit_test(sequences_and_large_objects),
        cmocka_unit_test(large_objects_by_content),
        cmocka_unit_test(many_differences_fit_into_little_memory),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
