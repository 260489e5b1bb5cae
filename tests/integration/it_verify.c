/*
 * `pghaul verify` between databases that were filled by plain SQL: every kind of difference is
 * found and named, and what is equal is called so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "job/planner.h"
#include "job/row_diff.h"
#include "pg/catalog.h"
#include "pg/snapshot.h"
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
    "CREATE SEQUENCE counter;"
    "CREATE INDEX item_name ON item (name);"
    "ALTER TABLE item ADD CONSTRAINT item_positive CHECK (price > -1);"
    "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;"
    "CREATE TRIGGER stamp BEFORE UPDATE ON loose FOR EACH ROW EXECUTE FUNCTION stamp();"
    "GRANT SELECT ON loose TO verify_reader;";

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
    sql_once(cluster, "postgres", "CREATE ROLE verify_reader");
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
    make_database(dst, "base", "CREATE TYPE shift AS (a int); DROP TYPE shift");
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
only_what_is_selected_counts(void **state)
{
    const char *target = changed("selected", "DELETE FROM loose WHERE a = 1; DROP TABLE by_name");

    (void)state;
    run_expect(verify(target, "--table", "item"), 0);
    run_expect(verify(target, "--table", "part*"), 0);
    assert_int_equal(verify(target, "--table", "loose")->code, 4);
    assert_int_equal(verify(target, "--exclude", "loose")->code, 4);
    assert_int_equal(verify(target, "--table", "no_such_table")->code, 2);
    assert_int_equal(verify(target, "--schema-only", NULL)->code, 4);
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
    run_expect(verify(changed("p_other", sql), "--data-only", NULL), 0);
    EXPECT("p_differs", scratch_printf("%s DELETE FROM part WHERE id = 3999", sql),
           "(id=3999, at=199) is missing on the target", "public.part (2 partitions)");
    /* one partition split in two: the other one is in its old place */
    sql = "ALTER TABLE part DETACH PARTITION part_2;"
          "CREATE TABLE part_2a PARTITION OF part FOR VALUES FROM (100) TO (150);"
          "CREATE TABLE part_2b PARTITION OF part FOR VALUES FROM (150) TO (200);"
          "INSERT INTO part SELECT * FROM part_2; DROP TABLE part_2;";
    run_expect(verify(changed("p_split", sql), "--data-only", NULL), 0);
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
        run, (const char *const[]){"101", "contents differ from byte", "comments differ", NULL});
}

static void
many_differences_are_counted(void **state)
{
    (void)state;
    EXPECT("many", "UPDATE item SET name = 'other'; DELETE FROM part",
           "20000 rows with other values", "rows missing on the target; the first are listed");
}

/* A blocked reader returns at once when a stop is wished. */
static void
stops_when_asked(void **state)
{
    PGconn *locker = sql_connect(dst, "base");
    struct run *run;

    (void)state;
    sql_exec(locker, "BEGIN; LOCK TABLE loose");
    run = start_pghaul(NULL, "verify", "--source", pg_test_conninfo(src, "base"), "--target",
                       pg_test_conninfo(dst, "base"), "--dir", scratch_dir());
    sql_wait_true(dst, "base", "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted", 30000);
    run_signal(run, SIGTERM);
    assert_int_equal(run_wait(run, 20000), 5);
    PQfinish(locker);
}

/* ---- memory for some 1,300 rows: the buckets that differ are compared in many passes ---- */

struct side {
    struct ph_endpoint endpoint;
    struct ph_conn *conn;
    struct ph_catalog catalog;
};

#define CHECK(expr) check((expr), &err, #expr)

static void
check(ph_code code, const struct ph_error *err, const char *what)
{
    if (code != PH_OK)
        fail_msg("%s: %s", what, err->message);
}

static void
open_side(struct side *side, enum ph_side which, const char *conninfo)
{
    struct ph_error err = {0};
    char id[64];

    CHECK(ph_endpoint_init(&side->endpoint, which, conninfo, "t", &err));
    CHECK(ph_conn_open(&side->endpoint, "test", &side->conn, &err));
    CHECK(ph_snapshot_export(side->conn, id, &err));
    CHECK(ph_catalog_read(side->conn, &side->catalog, &err));
}

static void
close_side(struct side *side)
{
    ph_conn_free(side->conn);
    ph_catalog_reset(&side->catalog);
    ph_endpoint_reset(&side->endpoint);
}

static void
passes_add_up(void **state)
{
    struct side sides[2] = {{.conn = NULL}, {.conn = NULL}};
    char name_text[] = "item";
    char *name = name_text;
    struct ph_options options = {.tables = {&name, 1}};
    struct ph_error err = {0};
    struct ph_selection selection;
    struct ph_bucket_mask mask;
    struct ph_row_diff diff;
    struct ph_arena arena;
    struct ph_plan plan;

    (void)state;
    open_side(&sides[PH_SOURCE], PH_SOURCE, pg_test_conninfo(src, "base"));
    open_side(&sides[PH_TARGET], PH_TARGET,
              changed("passes", "UPDATE item SET name = 'other' WHERE id > 4000;"
                                "DELETE FROM item WHERE id % 5 = 1;"
                                "INSERT INTO item (id) SELECT generate_series(-3000, -1)"));
    ph_arena_init(&arena, (size_t)1 << 24);
    CHECK(ph_select(&sides[PH_SOURCE].catalog, &options, &arena, &selection, &err));
    struct ph_planner_params planner = {.source = &sides[PH_SOURCE].catalog,
                                        .target = &sides[PH_TARGET].catalog,
                                        .selection = &selection,
                                        .split_bytes = UINT64_MAX,
                                        .jobs = 1};
    CHECK(ph_planner_make(&planner, &arena, &plan, &err));
    const struct ph_table_plan *table = &plan.tables[0];
    struct ph_row_diff_params params = {.tables = &table,
                                        .n_tables = 1,
                                        .source = sides[PH_SOURCE].conn,
                                        .target = sides[PH_TARGET].conn,
                                        .mask = &mask,
                                        .budget_bytes = (size_t)100 << 10,
                                        .max_row_bytes = (size_t)1 << 20,
                                        .max_listed = 10};
    CHECK(ph_bucket_mask_read(&params, &mask, &err));
    CHECK(ph_row_diff_run(&params, &diff, &err));
    assert_true(diff.passes >= 16);
    assert_int_equal(diff.missing, 4000);
    assert_int_equal(diff.extra, 3000);
    assert_int_equal(diff.changed, 12800);
    assert_int_equal(diff.n_listed, 10);
    assert_false(diff.is_partial);
    ph_row_diff_free(&diff);
    params.max_passes = 4;
    CHECK(ph_row_diff_run(&params, &diff, &err));
    assert_true(diff.is_partial);
    assert_true(diff.changed > 100 && diff.changed < 10000);
    ph_row_diff_free(&diff);
    ph_bucket_mask_free(&mask);
    ph_arena_reset(&arena);
    close_side(&sides[PH_SOURCE]);
    close_side(&sides[PH_TARGET]);
}

static void
schema_objects_are_compared(void **state)
{
    (void)state;
    EXPECT("o_index", "DROP INDEX item_name", "item_name");
    EXPECT("o_constraint", "ALTER TABLE item DROP CONSTRAINT item_positive", "item_positive");
    EXPECT("o_trigger", "DROP TRIGGER stamp ON loose", "stamp");
    EXPECT("o_grant", "REVOKE SELECT ON loose FROM verify_reader", "public.loose");
}

/* Under replica role foreign keys and deferrable keys are not enforced. */
static void
constraints_are_audited(void **state)
{
    static const char tables[] =
        "CREATE TABLE p (a int, b text, PRIMARY KEY (a, b)); INSERT INTO p VALUES (1, 'x');"
        "CREATE TABLE c (id int PRIMARY KEY, a int, b text, u int);"
        "INSERT INTO c VALUES (1, 1, 'x', 7), (2, 1, NULL, 7), (3, 2, 'x', NULL),"
        " (4, NULL, NULL, NULL)";
    struct run *run;

    (void)state;
    sql_once(src, "postgres", "CREATE DATABASE audit");
    sql_once(dst, "postgres", "CREATE DATABASE audit");
    sql_once(src, "audit", tables);
    sql_once(dst, "audit", tables);
    sql_once(dst, "audit",
             "BEGIN; TRUNCATE c; ALTER TABLE c ADD CONSTRAINT c_p FOREIGN KEY (a, b) REFERENCES p;"
             "ALTER TABLE c ADD CONSTRAINT c_u UNIQUE (u) DEFERRABLE;"
             "SET LOCAL session_replication_role = replica; INSERT INTO c VALUES (1, 1, 'x', 7),"
             " (2, 1, NULL, 7), (3, 2, 'x', NULL), (4, NULL, NULL, NULL); COMMIT");
    run = run_pghaul("verify", "--source", pg_test_conninfo(src, "audit"), "--target",
                     pg_test_conninfo(dst, "audit"), "--dir", scratch_dir(), "--data-only");
    expect_different(
        run, (const char *const[]){
                 "constraint public.c c_p: violated on the target: rows that refer to none: 1",
                 "constraint public.c c_u: violated on the target: keys that are there more than "
                 "once: 1",
                 NULL});
}

/* Whether two databases hold the same rows, by plain SQL. */
static const char SUMS[] =
    "SELECT 'item', count(*), md5(string_agg(t::text, '|' ORDER BY id)) FROM item t UNION ALL "
    "SELECT 'odd', count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM"
    " \"Odd \"\"one\"\"\" t UNION ALL "
    "SELECT 'loose', count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM loose t"
    " UNION ALL "
    "SELECT 'by_name', count(*), md5(string_agg(t::text, '|' ORDER BY n)) FROM by_name t UNION ALL "
    "SELECT 'nothing', count(*), NULL FROM nothing UNION ALL "
    "SELECT 'part', count(*), md5(string_agg(t::text, '|' ORDER BY id)) FROM part t";

static const char DAMAGE[] =
    "UPDATE item SET name = NULL, m = 'happy' WHERE id % 1000 = 1;"
    "DELETE FROM item WHERE id % 1000 = 2; INSERT INTO item (id) VALUES (-1), (-2);"
    "UPDATE item SET f = '-0.0' WHERE id = 5; UPDATE item SET price = 15.00 WHERE id = 10;"
    "UPDATE \"Odd \"\"one\"\"\" SET v = NULL WHERE a < 10;"
    "INSERT INTO \"Odd \"\"one\"\"\" VALUES ('it''s', 1, '');"
    "DELETE FROM loose WHERE ctid IN (SELECT ctid FROM loose WHERE a = 5 AND t = 't1' LIMIT 3);"
    "INSERT INTO loose SELECT a, t FROM loose WHERE a = 6; INSERT INTO loose VALUES (NULL, NULL);"
    "DELETE FROM by_name WHERE n = 4; UPDATE by_name SET c = 'part' WHERE n = 5;"
    "INSERT INTO nothing SELECT FROM generate_series(1, 3);"
    "DELETE FROM part WHERE id < 10; UPDATE part SET v = 'x' WHERE id = 100";

static void
expect_same_rows(const char *dbname)
{
    assert_string_equal(sql_once(dst, dbname, SUMS), sql_once(src, "base", SUMS));
}

static struct run *
repair(const char *target, const char *how)
{
    return run_pghaul("verify", "--source", pg_test_conninfo(src, "base"), "--target", target,
                      "--dir", scratch_dir(), "--repair", how);
}

static void
repair_mends_rows(void **state)
{
    const char *target = changed("mended", DAMAGE);
    const char *before = sql_once(dst, "mended", SUMS);
    struct run *run;

    (void)state;
    run = repair(target, "--dry-run");
    expect_different(run,
                     (const char *const[]){"DELETE FROM \"public\".\"item\" WHERE \"id\" = '-1'",
                                           "INSERT INTO \"public\".\"item\": the source's row"
                                           " where \"id\" = '2002'",
                                           NULL});
    assert_null(strstr(run_out(run), "name 2002"));
    assert_string_equal(sql_once(dst, "mended", SUMS), before);
    run = repair(target, "--yes");
    run_expect(run, 0);
    assert_non_null(strstr(run_out(run), "mended: 20 rows inserted, 2 deleted, 22 updated"));
    expect_same_rows("mended");
    run_expect(verify(target, NULL, NULL), 0);
    run = repair(target, "--yes"); /* a second time there is nothing to do */
    run_expect(run, 0);
    assert_null(strstr(run_out(run), "mended"));
}

/* A repair that is killed leaves the table as it was; the next one mends it. */
static void
repair_is_all_or_nothing(void **state)
{
    static const char *const env[] = {"PGHAUL_FAILPOINT=before_repair_commit=kill", NULL};
    const char *target = changed("killed", DAMAGE);
    const char *before = sql_once(dst, "killed", SUMS);
    struct run *run;

    (void)state;
    run = run_pghaul_env(env, "verify", "--source", pg_test_conninfo(src, "base"), "--target",
                         target, "--dir", scratch_dir(), "--repair", "--yes");
    assert_int_equal(run->code, -SIGKILL);
    assert_string_equal(sql_once(dst, "killed", SUMS), before);
    run_expect(repair(target, "--yes"), 0);
    expect_same_rows("killed");
}

static void
repair_needs_consent(void **state)
{
    struct run *run = run_pghaul("verify", "--source", pg_test_conninfo(src, "base"), "--target",
                                 pg_test_conninfo(dst, "base"), "--dir", scratch_dir(), "--repair");

    (void)state;
    assert_int_equal(run->code, 2);
}

/* Partitioned in another way: rows go in through the root. */
static void
repair_routes_rows(void **state)
{
    const char *target = changed(
        "mended_part", "CREATE TABLE other (LIKE part INCLUDING ALL) PARTITION BY LIST (at);"
                       "CREATE TABLE other_0 PARTITION OF other FOR VALUES IN (0, 1, 2);"
                       "CREATE TABLE other_rest PARTITION OF other DEFAULT;"
                       "INSERT INTO other SELECT * FROM part WHERE id > 50;"
                       "UPDATE other SET v = v || 'x' WHERE at < 5; DROP TABLE part;"
                       "INSERT INTO other VALUES (-1, -1, '');"
                       "ALTER TABLE other RENAME TO part;");
    struct run *run = repair(target, "--yes");

    (void)state;
    assert_non_null(strstr(run_out(run), "mended: 50 rows inserted, 1 deleted, 96 updated"));
    expect_same_rows("mended_part");
}

/* What is only in the target's own columns is nowhere else: rows are mended where they are. */
static void
repair_keeps_own_columns(void **state)
{
    (void)state;
    sql_once(src, "postgres", "CREATE DATABASE own");
    sql_once(dst, "postgres", "CREATE DATABASE own");
    sql_once(src, "own",
             "CREATE TABLE one (id int PRIMARY KEY, a int, u int UNIQUE);"
             "INSERT INTO one SELECT g, g, g FROM generate_series(1, 6) g");
    sql_once(
        dst, "own",
        "CREATE TABLE one (id int PRIMARY KEY, extra text DEFAULT 'none', a int,"
        " made int GENERATED ALWAYS AS (a + 1) STORED, u int UNIQUE);"
        "INSERT INTO one (id, extra, a, u) SELECT g, 'of ' || g, g, g FROM generate_series(1, 5) g;"
        "UPDATE one SET a = -1 WHERE id < 4; UPDATE one SET u = 60 WHERE id = 4;"
        "INSERT INTO one (id, extra, a, u) VALUES (7, 'of 7', 7, 4)");
    struct run *run = run_pghaul("verify", "--source", pg_test_conninfo(src, "own"), "--target",
                                 pg_test_conninfo(dst, "own"), "--dir", scratch_dir(),
                                 "--data-only", "--repair", "--yes");
    run_expect(run, 0);
    assert_non_null(strstr(run_out(run), "mended: 1 rows inserted, 1 deleted, 4 updated"));
    assert_string_equal(sql_once(dst, "own", "SELECT id, extra, a, made, u FROM one ORDER BY id"),
                        "1|of 1|1|2|1\n2|of 2|2|3|2\n3|of 3|3|4|3\n4|of 4|4|5|4\n5|of 5|5|6|5\n"
                        "6|none|6|7|6\n");
}

/* A role without special rights: foreign keys act, the owner sets triggers aside. */
static void
repair_without_special_rights(void **state)
{
    static const char schema[] =
        "CREATE TABLE parent (id int PRIMARY KEY, v text UNIQUE);"
        "CREATE TABLE child (id int PRIMARY KEY, p int NOT NULL REFERENCES parent"
        " ON DELETE CASCADE, v text);"
        "CREATE TABLE item (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);"
        "CREATE TABLE part (id int PRIMARY KEY, item int REFERENCES item ON DELETE CASCADE);"
        "INSERT INTO item (v) VALUES ('a'), ('b'); INSERT INTO part VALUES (1, 1), (2, 1);"
        "CREATE TABLE log (t text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN INSERT INTO log VALUES (TG_OP); RETURN NEW; END$$;"
        "CREATE TRIGGER a_note AFTER INSERT OR UPDATE ON child FOR EACH ROW"
        " EXECUTE FUNCTION note();"
        "ALTER TABLE child DISABLE TRIGGER a_note;"
        "INSERT INTO parent SELECT i, 'p' || i FROM generate_series(1, 100) i;"
        "INSERT INTO child SELECT i, (i + 2) / 3, 'c' || i FROM generate_series(1, 300) i;"
        "ALTER TABLE child ENABLE TRIGGER a_note;";
    static const char sums[] =
        "SELECT (SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM parent"
        " t), (SELECT string_agg(t::text, '|' ORDER BY id) FROM item t), (SELECT count(*) FROM"
        " part), (SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM child t)";
    const char *target;
    struct run *run;

    (void)state;
    sql_once(src, "postgres", "CREATE ROLE plain LOGIN");
    sql_once(dst, "postgres", "CREATE ROLE plain LOGIN");
    sql_once(src, "postgres", "CREATE DATABASE fk OWNER plain");
    sql_once(dst, "postgres", "CREATE DATABASE fk OWNER plain");
    sql_once(src, "fk", "ALTER SCHEMA public OWNER TO plain");
    sql_once(dst, "fk", "ALTER SCHEMA public OWNER TO plain");
    sql_once(src, "fk", scratch_printf("SET ROLE plain; %s; RESET ROLE", schema));
    sql_once(dst, "fk", scratch_printf("SET ROLE plain; %s; RESET ROLE", schema));
    sql_once(dst, "fk",
             "DELETE FROM parent WHERE id IN (5, 6); UPDATE child SET v = 'x' WHERE id = 30;"
             "INSERT INTO parent VALUES (200, 'p5'); INSERT INTO child VALUES (900, 200, 'y');"
             "UPDATE parent SET v = 'p6' WHERE id = 7; UPDATE item SET v = 'x'; TRUNCATE log");
    target = scratch_printf("%s user=plain", pg_test_conninfo(dst, "fk"));
    run = run_pghaul("verify", "--source",
                     scratch_printf("%s user=plain", pg_test_conninfo(src, "fk")), "--target",
                     target, "--dir", scratch_dir(), "--repair", "--yes", "--exclude", "log");
    run_expect(run, 0);
    assert_string_equal(sql_once(dst, "fk", sums), sql_once(src, "fk", sums));
    assert_string_equal(sql_once(dst, "fk", "SELECT count(*) FROM log"), "0\n");
    assert_string_equal(
        sql_once(dst, "fk", "SELECT tgenabled FROM pg_trigger WHERE tgname = 'a_note'"), "O\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_databases_are_proven),
        cmocka_unit_test(rows_are_found_by_key),
        cmocka_unit_test(values_are_compared_as_bytes),
        cmocka_unit_test(rows_without_a_key_are_counted),
        cmocka_unit_test(only_what_is_selected_counts),
        cmocka_unit_test(tables_are_matched),
        cmocka_unit_test(partitions_are_routed),
        cmocka_unit_test(sequences_and_large_objects),
        cmocka_unit_test(large_objects_by_content),
        cmocka_unit_test(many_differences_are_counted),
        cmocka_unit_test(stops_when_asked),
        cmocka_unit_test(passes_add_up),
        cmocka_unit_test(schema_objects_are_compared),
        cmocka_unit_test(constraints_are_audited),
        cmocka_unit_test(repair_mends_rows),
        cmocka_unit_test(repair_is_all_or_nothing),
        cmocka_unit_test(repair_needs_consent),
        cmocka_unit_test(repair_routes_rows),
        cmocka_unit_test(repair_keeps_own_columns),
        cmocka_unit_test(repair_without_special_rights),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
