/* What the options of `copy` promise: what is copied, what is proven, rate, rows and memory. */
/* timeout: 600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/hold.h"
#include "support/pair.h"
#include "support/scratch.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new(NULL);
    PGconn *conn = sql_connect(pair.src, "postgres");
    sql_exec(conn, "CREATE ROLE reader LOGIN; CREATE ROLE app");
    PQfinish(conn);
    return 0;
}

/* ---- what is copied ---- */

static void
test_schema_only(void **state)
{
    struct pair_db db = pair_db_new(&pair, "schema_only");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id serial PRIMARY KEY, v text);"
                        "CREATE VIEW w AS SELECT v FROM t; CREATE INDEX ON t (v);"
                        "CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM t;"
                        "INSERT INTO t (v) VALUES ('a'), ('b')");
    pair_expect(pair_copy(&db, "--schema-only"), 0, "proven: the schema is the same");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM t"), 0);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pg_indexes WHERE tablename = 't'"),
                     2);
    assert_int_equal(sql_int(db.target, "SELECT nextval('t_id_seq')"), 1);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM w"), 0);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pg_matviews WHERE NOT ispopulated"),
                     1);
    pair_db_end(&db);
}

/* TRAPS 45, 63 */
static void
test_trap_45_63_odd_names(void **state)
{
    struct pair_db db = pair_db_new(&pair, "OddNamesé");

    (void)state;
    sql_exec(
        db.source,
        "CREATE SCHEMA \"Odd.Schema\"; CREATE SCHEMA \"select\";"
        "CREATE TABLE \"Odd.Schema\".\"Ta\"\"ble\" (\"co\"\"l\" int PRIMARY KEY, \"*\" text);"
        "CREATE TABLE \"Odd.Schema\".\"ta\"\"ble\" (id int);"
        "CREATE TABLE \"select\".\"été 日本\" (\"from\" int);"
        "CREATE TABLE \"select\".\"back\\slash'quote\" (id int);"
        "CREATE TABLE \"select\".\"star*?\" (id int);"
        "CREATE TABLE \"select\".starx (id int);"
        "CREATE TABLE \"select\"."
        "\"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123\" (id int);"
        "INSERT INTO \"Odd.Schema\".\"Ta\"\"ble\" VALUES (1, 'x');"
        "INSERT INTO \"select\".\"été 日本\" VALUES (1); INSERT INTO \"select\".starx VALUES (1);"
        "INSERT INTO \"select\".\"back\\slash'quote\" VALUES (1);"
        "INSERT INTO \"select\".\"star*?\" VALUES (7);"
        "INSERT INTO \"select\".\"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff"
        "123\" VALUES (3)");
    pair_expect(pair_copy(&db, "--table", "\"Odd.Schema\".\"Ta\"\"ble\"", "--table",
                          "\"select\".\"star*?\"", "--table", "\"select\".é*", "--table",
                          "\"select\".aaaa*123", "--table", "\"select\".\"back\\slash'quote\""),
                0, "proven");
    pair_same_table(&db, "\"Odd.Schema\".\"Ta\"\"ble\"");
    pair_same_table(&db, "\"select\".\"été 日本\"");
    pair_same_table(&db, "\"select\".\"back\\slash'quote\"");
    pair_same_table(&db, "\"select\".\"star*?\"");
    pair_same_table(&db,
                    "\"select\".aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pg_tables WHERE schemaname IN"
                                        " ('select', 'Odd.Schema')"),
                     5);
    pair_db_end(&db);
}

/* TRAPS 62: a pattern that matches nothing is an error. */
static void
test_trap_62_selection(void **state)
{
    struct pair_db db = pair_db_new(&pair, "selection");

    (void)state;
    sql_exec(db.source, "CREATE SCHEMA s; CREATE TABLE s.a (id int); CREATE TABLE s.b (id int);"
                        "CREATE TABLE public.a (id int); CREATE SEQUENCE s.free START 7;"
                        "INSERT INTO s.a VALUES (1); INSERT INTO public.a VALUES (2);"
                        "SELECT nextval('s.free')");
    pair_expect(pair_copy(&db, "--table", "nothing*"), 2, "PH-SELECTION");
    pair_expect(pair_copy(&db, "--schema", "s", "--exclude", "s.*"), 2, "PH-SELECTION");
    pair_expect(pair_copy(&db, "--schema", "s", "--exclude", "nosuch"), 2, "PH-SELECTION");
    pair_expect(pair_copy(&db, "--schema", "s", "--exclude", "s.b"), 0, "proven");
    pair_same_table(&db, "s.a");
    assert_string_equal(sql_value(db.target, "SELECT to_regclass('s.b')"), "<null>");
    assert_string_equal(sql_value(db.target, "SELECT to_regclass('public.a')"), "<null>");
    pair_same(&db, "SELECT last_value, is_called FROM s.free");
    pair_expect(pair_copy(&db, "--schema", "public"), 3, "PH-JOB-OTHER");
    pair_db_end(&db);
}

static void
test_without_owner_acl_comments_tablespaces(void **state)
{
    struct pair_db db = pair_db_new(&pair, "bare");
    const char *dir = scratch_printf("%s/space", pair.src->dir);
    PGconn *admin = sql_connect(pair.src, "postgres");

    (void)state;
    sql_execf(admin, "COPY (SELECT 1) TO PROGRAM 'mkdir -p %s'", dir);
    sql_execf(admin, "CREATE TABLESPACE space LOCATION '%s'", dir);
    PQfinish(admin);
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY USING INDEX TABLESPACE space)"
                        " TABLESPACE space; ALTER TABLE t OWNER TO app;"
                        "GRANT SELECT ON t TO reader; COMMENT ON TABLE t IS 'words';"
                        "INSERT INTO t VALUES (1)");
    /* neither role nor tablespace are on the target */
    pair_expect(pair_copy(&db, "--no-owner", "--no-acl", "--no-comments", "--no-tablespaces"), 0,
                "proven");
    pair_same_table(&db, "t");
    assert_string_equal(sql_rows(db.target,
                                 "SELECT relowner::regrole, relacl, reltablespace,"
                                 " obj_description(oid) FROM pg_class WHERE relname = 't'"),
                        "postgres|<null>|0|<null>\n");
    pair_db_end(&db);
}

/*
 * Tables of an extension that are registered as configuration: of those with a condition only what
 * meets it is the user's. plpgsql stands in for an extension that has such tables.
 */
static void
test_extension_tables(void **state)
{
    struct pair_db db = pair_db_new(&pair, "extension");

    (void)state;
    pair_both(&db,
              "CREATE TABLE conf (k text PRIMARY KEY, v text, builtin bool DEFAULT false);"
              "CREATE TABLE fixed (k text); CREATE TABLE t (id int);"
              "ALTER EXTENSION plpgsql ADD TABLE conf; ALTER EXTENSION plpgsql ADD TABLE fixed;"
              "UPDATE pg_extension SET extconfig = ARRAY['conf'::regclass::oid],"
              " extcondition = ARRAY['WHERE NOT builtin'] WHERE extname = 'plpgsql';"
              "INSERT INTO conf VALUES ('shipped', '1', true);"
              "INSERT INTO fixed VALUES ('shipped')");
    sql_exec(db.source, "INSERT INTO conf VALUES ('mine', '2'); INSERT INTO t VALUES (1)");
    pair_expect(pair_copy(&db, "--data-only"), 0, "proven");
    pair_same_table(&db, "conf");
    pair_same_table(&db, "fixed");
    pair_same_table(&db, "t");
    pair_expect(pair_copy(&db, "--data-only", "--restart", "--yes"), 3, "PH-TARGET-NOT-EMPTY");
    pair_expect(pair_copy(&db, "--data-only", "--restart", "--truncate", "--yes"), 0, "proven");
    pair_same_table(&db, "conf");
    pair_same_table(&db, "fixed");
    pair_db_end(&db);
}

/* ---- what is proven ---- */

static void
test_verify_modes(void **state)
{
    static const struct {
        const char *mode;
        const char *verdict;
        const char *table;
    } modes[] = {
        {"none", "not proven: the copy is finished, rows were not compared", "copied"},
        {"count", "not proven: the copy is finished, rows were only counted", "counted"},
        {"digest", "proven: every row", "equal"},
    };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct pair_db db = pair_db_new(&pair, scratch_printf("verify_%s", modes[i].mode));
        sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT"
                            " generate_series(1, 1000);"
                            "CREATE TABLE p (id int) PARTITION BY RANGE (id);"
                            "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);"
                            "CREATE TABLE base (id int); CREATE TABLE kid () INHERITS (base);"
                            "INSERT INTO p VALUES (1); INSERT INTO kid VALUES (1), (1)");
        struct run *run = pair_copy(&db, "--verify", modes[i].mode);
        pair_expect(run, 0, modes[i].verdict);
        pair_expect(run, 0, modes[i].table);
        pair_same_table(&db, "t");
        pair_same_table(&db, "kid");
        assert_int_equal(sql_int(db.target, "SELECT count(*) FROM base"), 2);
        pair_db_end(&db);
    }
}

/* Somebody writes to the target behind the copy's back, just before it looks. */
static void
expect_seen(const char *mode, int code)
{
    struct pair_db db = pair_db_new(&pair, scratch_printf("rogue_%s", mode));

    sql_exec(db.source, "CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 1000)");
    db.env = hold_at("after_commit");
    struct run *run =
        pair_start_args(&db, "copy", (const char *const[]){"--verify", mode, "--jobs", "1", NULL});
    hold_wait(run);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM t"), 1000);
    sql_exec(db.target, "DELETE FROM t WHERE id = 77");
    hold_release();
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, code, code == 0 ? "not proven" : "different");
    pair_db_end(&db);
}

static void
test_a_lost_row_is_seen(void **state)
{
    (void)state;
    expect_seen("count", 4);
    expect_seen("digest", 4);
    expect_seen("none", 0);
}

/* ---- rate, rows, memory ---- */

static void
test_max_rate(void **state)
{
    struct pair_db db = pair_db_new(&pair, "rate");
    struct timespec before;
    struct timespec after;

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int, v text); INSERT INTO t SELECT i, repeat('x', 1000)"
                        " FROM generate_series(1, 6000) i");
    clock_gettime(CLOCK_MONOTONIC, &before);
    pair_expect(pair_copy(&db, "--max-rate", "2MB/s", "--verify", "none", "--jobs", "4"), 0, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    /* 6 MB, the first second's worth may come at once: no machine is fast enough for less */
    assert_true(after.tv_sec - before.tv_sec >= 2);
    pair_same(&db, "SELECT count(*), sum(id) FROM t");
    pair_db_end(&db);
}

/* TRAPS 37 */
static void
test_max_row_names_the_row(void **state)
{
    struct pair_db db = pair_db_new(&pair, "max_row");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id bigint, u uuid, name text, big text,"
                        " PRIMARY KEY (id, name)); INSERT INTO t SELECT i,"
                        " '11112222-3333-4444-5555-666677778888', 'n' || i, repeat('x', 100)"
                        " FROM generate_series(1, 500) i;"
                        "UPDATE t SET big = repeat('y', 3000000) WHERE id = 321");
    struct run *run = pair_copy(&db, "--max-row", "2MB");
    pair_expect(run, 1, "PH-ROW-TOO-LARGE");
    pair_expect(run, 1, "(id=321, name=n321)");
    pair_expect(run, 1, "public.t");
    /* the same command with more room goes on */
    pair_expect(pair_copy(&db, "--max-row", "4MB"), 0, "proven");
    pair_same(&db, "SELECT count(*), sum(length(big)) FROM t");
    pair_db_end(&db);
}

static void
test_memory_on_ordinary_tables(void **state)
{
    struct pair_db db = pair_db_new(&pair, "memory");

    (void)state;
    pair_both(&db,
              "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (v text, n numeric);"
              "CREATE TABLE c (id int, v bytea)");
    sql_exec(db.source,
             "INSERT INTO a SELECT i, repeat('x', 60) FROM generate_series(1, 600000) i;"
             "INSERT INTO b SELECT repeat('x', i % 4000), i FROM generate_series(1, 20000)"
             " i; INSERT INTO c SELECT i, decode(repeat('ab', 20000), 'hex') FROM"
             " generate_series(1, 1500) i");
    struct run *run = pair_copy(&db, "--data-only", "--jobs", "8", "--split", "1MB");
    pair_expect(run, 0, "proven");
    run_expect_memory(run, 64 * 1024);
    pair_db_end(&db);
}

/* TRAPS 37 */
static void
test_memory_with_a_large_row(void **state)
{
    struct pair_db db = pair_db_new(&pair, "large_row");

    (void)state;
    pair_both(&db, "CREATE TABLE large (id int PRIMARY KEY, v text);"
                   "ALTER TABLE large ALTER v SET STORAGE EXTERNAL;"
                   "CREATE TABLE small (id int, v text)");
    sql_exec(db.source,
             "INSERT INTO large VALUES (1, 'short'), (2, repeat('0123456789', 20000000)),"
             " (3, 'short'), (4, repeat('abc', 1000000));"
             "INSERT INTO small SELECT i, repeat('x', 500) FROM"
             " generate_series(1, 50000) i");
    struct run *run = pair_copy(&db, "--data-only", "--jobs", "4");
    pair_expect(run, 0, "proven");
    run_expect_memory(run, 64 * 1024 + 4 * 200000000 / 1024);
    pair_same(&db, "SELECT id, length(v), md5(v) FROM large ORDER BY 1");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema_only),
        cmocka_unit_test(test_trap_45_63_odd_names),
        cmocka_unit_test(test_trap_62_selection),
        cmocka_unit_test(test_without_owner_acl_comments_tablespaces),
        cmocka_unit_test(test_extension_tables),
        cmocka_unit_test(test_verify_modes),
        cmocka_unit_test(test_a_lost_row_is_seen),
        cmocka_unit_test(test_max_rate),
        cmocka_unit_test(test_max_row_names_the_row),
        cmocka_unit_test(test_memory_on_ordinary_tables),
        cmocka_unit_test(test_memory_with_a_large_row),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
