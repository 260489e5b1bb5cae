/* What has cost copying tools rows, each test named after its number in tests/TRAPS.md. */
/* timeout: 600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/hold.h"
#include "support/pair.h"
#include "support/scratch.h"

#include <string.h>

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new(NULL);
    PGconn *conn = sql_connect(pair.src, "postgres");
    sql_exec(conn, "CREATE ROLE reader LOGIN");
    PQfinish(conn);
    conn = sql_connect(pair.dst, "postgres");
    sql_exec(conn, "CREATE ROLE reader LOGIN");
    PQfinish(conn);
    return 0;
}

static void
test_trap_4_58_rows_without_a_key(void **state)
{
    struct pair_db db = pair_db_new(&pair, "trap_58");

    (void)state;
    sql_exec(db.source, "CREATE TABLE twins (v text); CREATE TABLE empty_rows ();"
                        "CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED, v int);"
                        "INSERT INTO twins SELECT 'same' FROM generate_series(1, 1000);"
                        "INSERT INTO twins VALUES (NULL), (NULL), ('');"
                        "INSERT INTO empty_rows DEFAULT VALUES;"
                        "INSERT INTO late VALUES (NULL, 1), (NULL, 1), (2, 2)");
    pair_expect(pair_copy(&db, "--jobs", "2"), 0, "proven");
    pair_same_table(&db, "twins");
    pair_same_table(&db, "late");
    pair_same(&db, "SELECT count(*) FROM empty_rows");
    pair_expect(pair_run(&db, "verify", "--jobs", "2"), 0, "proven");
    /* a pair of equal rows cancels out of an XOR */
    sql_exec(db.target, "DELETE FROM twins WHERE ctid IN (SELECT ctid FROM twins LIMIT 2)");
    pair_expect(pair_run(&db, "verify", "--jobs", "2"), 4, "twins");
    sql_exec(db.target, "INSERT INTO twins VALUES ('same'), ('same')");
    pair_expect(pair_run(&db, "verify", "--jobs", "2"), 0, "proven");
    /* one row more and one less */
    sql_exec(db.target, "UPDATE twins SET v = 'some' WHERE ctid = (SELECT max(ctid) FROM twins)");
    pair_expect(pair_run(&db, "verify", "--jobs", "2"), 4, "twins");
    pair_db_end(&db);
}

static void
test_trap_6_7_generated_and_identity(void **state)
{
    struct pair_db db = pair_db_new(&pair, "trap_6");

    (void)state;
    sql_exec(
        db.source,
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY (START 5 INCREMENT -3"
        " MINVALUE -9000 MAXVALUE 100), a int, g int GENERATED ALWAYS AS (a * 2) STORED, b text,"
        " CHECK (g > 0)); INSERT INTO t (a, b) SELECT i, 'b' FROM generate_series(1, 500) i;"
        "CREATE SEQUENCE round MAXVALUE 5 CYCLE CACHE 3; SELECT nextval('round') FROM"
        " generate_series(1, 7); CREATE SEQUENCE unused START 42");
    pair_expect(pair_copy(&db, "--jobs", "2"), 0, "proven");
    pair_same_table(&db, "t");
    pair_same(&db, "SELECT last_value, is_called FROM t_id_seq");
    pair_same(&db, "SELECT last_value, is_called FROM round");
    assert_int_equal(sql_int(db.target, "SELECT nextval('unused')"), 42);
    assert_int_equal(sql_int(db.target, "INSERT INTO t (a) VALUES (1) RETURNING id"), -1495);
    /* a generated column that a target makes otherwise is a difference */
    sql_exec(db.target, "DELETE FROM t WHERE id = -1495;"
                        "ALTER TABLE t DROP COLUMN g; ALTER TABLE t ADD g int;"
                        "UPDATE t SET g = a * 2; UPDATE t SET g = 1 WHERE a = 77");
    pair_expect(pair_run(&db, "verify", "--data-only"), 4, "public.t");
    pair_db_end(&db);
}

static void
test_trap_27_nothing_is_held_afterwards(void **state)
{
    struct pair_db db = pair_db_new(&pair, "trap_27");
    static const char ours[] = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name"
                               " LIKE 'pghaul%' AND datname = 'trap_27'";

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int); INSERT INTO t VALUES (1)");
    pair_expect(pair_copy(&db, "--jobs", "2"), 0, "proven");
    sql_wait_true(pair.src, "postgres", ours, 10000);
    sql_wait_true(pair.dst, "postgres", ours, 10000);
    assert_int_equal(sql_int(db.source, "SELECT count(*) FROM pg_replication_slots"), 0);
    assert_int_equal(
        sql_int(db.source, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pghaul'"), 0);
    pair_db_end(&db);
}

static void
test_trap_28_timeouts_of_the_servers(void **state)
{
    struct pair_db db = pair_db_new(&pair, "trap_28");
    static const char *const env[] = {"PGHAUL_FAILPOINT=after_claim=sleep:900", NULL};

    (void)state;
    sql_exec(db.source,
             "CREATE TABLE t (id int PRIMARY KEY, v text);"
             "INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 100000) i");
    pair_both(&db, "ALTER DATABASE trap_28 SET statement_timeout = '200ms';"
                   "ALTER DATABASE trap_28 SET lock_timeout = '200ms';"
                   "ALTER DATABASE trap_28 SET idle_in_transaction_session_timeout = '300ms';"
                   "ALTER DATABASE trap_28 SET idle_session_timeout = '300ms'");
    db.env = env;
    struct run *run = pair_copy(&db, "--jobs", "2", "--max-rate", "8MB/s");
    pair_expect(run, 0, "proven");
    assert_null(strstr(run_err(run), "trying again"));
    pair_same(&db, "SELECT count(*), sum(id) FROM t");
    pair_db_end(&db);
}

/* The copy reads by blocks while the table is rewritten, grows and shrinks behind its snapshot. */
static void
test_trap_30_blocks_under_one_snapshot(void **state)
{
    struct pair_db db = pair_db_new(&pair, "trap_30");

    (void)state;
    sql_exec(db.source,
             "CREATE TABLE t (id int PRIMARY KEY, v text) WITH (autovacuum_enabled = off);"
             "INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 80000) i");
    const char *before = sql_rows(db.source, "SELECT count(*), sum(id), md5(string_agg(v, ''"
                                             " ORDER BY id)) FROM t");
    db.env = hold_at("after_claim");
    struct run *run =
        pair_start_args(&db, "copy", (const char *const[]){"--split", "1MB", "--jobs", "2", NULL});
    hold_wait(run);
    sql_exec(db.source,
             "UPDATE t SET v = 'changed' WHERE id % 3 = 0; DELETE FROM t WHERE id % 7 = 0;"
             "INSERT INTO t SELECT i, 'new' FROM generate_series(80001, 120000) i");
    sql_exec(db.source, "VACUUM t");
    hold_release();
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 0, "proven");
    assert_true(sql_int(db.target, "SELECT count(*) FROM pghaul.chunk") > 1);
    assert_string_equal(sql_rows(db.target, "SELECT count(*), sum(id), md5(string_agg(v, ''"
                                            " ORDER BY id)) FROM t"),
                        before);
    pair_db_end(&db);
}

static void
test_trap_32_other_column_types(void **state)
{
    struct pair_db db = pair_db_new(&pair, "trap_32");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (a int, b varchar(10), c numeric(10,2), d char(5), e real,"
                        " f int[]); CREATE TABLE w (at timestamp);"
                        "INSERT INTO t VALUES (-7, 'abc', 1.50, 'x', 0.1, '{1,NULL}'),"
                        " (2147483647, '', -0.01, '', 'NaN', '{}')");
    sql_exec(db.target, "CREATE TABLE t (a bigint, b text, c numeric, d text, e double precision,"
                        " f bigint[]); CREATE TABLE w (at timestamptz)");
    sql_exec(db.source, "INSERT INTO w VALUES ('2020-06-01 12:00')");
    struct run *run = pair_copy(&db, "--data-only", "--table", "t");
    pair_expect(run, 0, "proven");
    pair_same(&db, "SELECT a, b, c, rtrim(d), f FROM t ORDER BY a");
    /* text, read under UTC; the proof compares what the servers write, which the warning says */
    db.dir = scratch_new_dir("trap_32_w");
    run = pair_copy(&db, "--data-only", "--table", "w", "--name", "w");
    pair_expect(run, 4, "the target may write a value in another form");
    assert_string_equal(sql_value(db.target, "SELECT at AT TIME ZONE 'UTC' FROM w"),
                        "2020-06-01 12:00:00");
    pair_db_end(&db);
}

static void
test_trap_34_enum_labels(void **state)
{
    struct pair_db db = pair_db_new(&pair, "trap_34");

    (void)state;
    sql_exec(db.source, "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE TABLE t (m mood)");
    sql_exec(db.target, "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TABLE t (m mood)");
    sql_exec(db.source, "INSERT INTO t VALUES ('sad'), ('happy')");
    pair_expect(pair_copy(&db, "--data-only"), 3, "ok");
    sql_exec(db.target, "ALTER TYPE mood ADD VALUE 'more' BEFORE 'sad'");
    sql_exec(db.target, "ALTER TYPE mood ADD VALUE 'ok'");
    pair_expect(pair_copy(&db, "--data-only"), 0, "proven");
    pair_same_table(&db, "t");
    pair_db_end(&db);
}

/* Text is forced by a column without a binary format; every setting that shapes text is bent. */
static void
test_trap_35_36_settings(void **state)
{
    struct pair_db db = pair_db_new(&pair, "trap_36");

    (void)state;
    sql_exec(db.source,
             "CREATE TABLE t (id int PRIMARY KEY, r regclass, f8 float8, f4 float4, ts timestamptz,"
             " d date, i interval, b bytea, s text, x xml, a aclitem);"
             "INSERT INTO t VALUES (1, 'pg_class', 0.1 + 0.2, 1.1, '2020-12-31 23:59:59.123456+14',"
             " '0044-03-15 BC', '-1 year -2 days 03:04:05.678', '\\x00ff5c27', E'a\\\\b\\tc\\nd''',"
             " '<a>&#228;</a>', 'postgres=r/postgres'),"
             " (2, NULL, '-0', 'NaN', 'infinity', '-infinity', '0', '', '', NULL, NULL),"
             " (3, 'pg_type', 1e-307, 3.4028235e38, '1900-01-01', '99999-01-01', '1 mon',"
             " '\\xde', 'żółć \\N \\.', NULL, NULL), (4, NULL, 5e-324, 1e-45, now(), now(),"
             " '178000000 years', NULL, '\\.', NULL, NULL)");
    sql_exec(db.source, "ALTER DATABASE trap_36 SET datestyle = 'SQL, DMY';"
                        "ALTER DATABASE trap_36 SET intervalstyle = 'sql_standard';"
                        "ALTER DATABASE trap_36 SET timezone = 'Asia/Kathmandu';"
                        "ALTER DATABASE trap_36 SET bytea_output = 'escape';"
                        "ALTER DATABASE trap_36 SET extra_float_digits = -15;"
                        "ALTER DATABASE trap_36 SET standard_conforming_strings = off;"
                        "ALTER DATABASE trap_36 SET client_encoding = 'latin2';"
                        "ALTER DATABASE trap_36 SET search_path = 'nowhere';"
                        "ALTER DATABASE trap_36 SET default_transaction_isolation = 'serializable';"
                        "ALTER DATABASE trap_36 SET row_security = off;"
                        "ALTER DATABASE trap_36 SET xmloption = 'document'");
    sql_exec(db.target, "ALTER DATABASE trap_36 SET datestyle = 'German';"
                        "ALTER DATABASE trap_36 SET intervalstyle = 'iso_8601';"
                        "ALTER DATABASE trap_36 SET timezone = 'America/Lima';"
                        "ALTER DATABASE trap_36 SET array_nulls = off;"
                        "ALTER DATABASE trap_36 SET standard_conforming_strings = off;"
                        "ALTER DATABASE trap_36 SET backslash_quote = off;"
                        "ALTER DATABASE trap_36 SET client_encoding = 'latin1';"
                        "ALTER DATABASE trap_36 SET check_function_bodies = on;"
                        "ALTER DATABASE trap_36 SET default_tablespace = '';"
                        "ALTER DATABASE trap_36 SET synchronous_commit = on");
    pair_expect(pair_copy(&db, "--jobs", "2"), 0, "proven");
    pair_same_table(&db, "t");
    assert_string_equal(sql_value(db.target, "SELECT format FROM pghaul.tbl"), "text");
    pair_db_end(&db);
}

static void
test_trap_38_39_equal_is_not_the_same(void **state)
{
    struct pair_db db = pair_db_new(&pair, "trap_38");

    (void)state;
    sql_exec(
        db.source,
        "CREATE EXTENSION citext; CREATE COLLATION blind (provider = icu,"
        " locale = 'und-u-ks-level2', deterministic = false);"
        "CREATE TABLE t (b char(8), c citext, n numeric, f float8, l text COLLATE blind,"
        " PRIMARY KEY (b, c, n, f, l)); INSERT INTO t VALUES ('a  ', 'Abc', 1.00, '-0', 'É'),"
        " ('b', 'aBC', 1.0, 'NaN', 'e'), ('c', '', 'NaN', 0, ''), ('', 'x', 'Infinity', 1, 'ß');"
        "CREATE DOMAIN code AS char(5);"
        "CREATE TABLE blank (id int, a char(6), b bpchar, c char(3)[], d code, e text);"
        "INSERT INTO blank VALUES (1, '', '  ', '{a,\"  \"}', '', '  '), (2, 'é é', 'x ', '{}', "
        "'ü', ' '),"
        " (3, '  123 ', '', NULL, NULL, ''), (4, NULL, NULL, '{NULL}', '12345', NULL),"
        " (5, E'\\t  ', E'\\n ', '{abc}', '  ', 'end ')");
    pair_expect(pair_copy(&db, "--jobs", "2"), 0, "proven");
    pair_same(&db, "SELECT b, c::text, n, f, l, octet_length(b) FROM t ORDER BY b COLLATE \"C\"");
    pair_same(&db, "SELECT *, octet_length(a), octet_length(d) FROM blank ORDER BY id");
    /* equal by the type, but not what was there */
    sql_exec(db.target,
             "UPDATE t SET c = 'abc' WHERE b = 'a'; UPDATE t SET n = 1.000 WHERE b = 'b'");
    pair_expect(pair_run(&db, "verify", "--jobs", "2"), 4, "public.t");
    pair_db_end(&db);
}

static void
test_trap_44_row_security(void **state)
{
    struct pair_db db = pair_db_new(&pair, "trap_44");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int, who text); INSERT INTO t VALUES (1, 'reader'),"
                        " (2, 'other'); ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
                        "CREATE POLICY p ON t USING (who = current_user);"
                        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader");
    db.source_user = "reader";
    pair_expect(pair_copy(&db, "--jobs", "2"), 3, "PH-RLS");
    assert_string_equal(sql_value(db.target, "SELECT to_regclass('t')"), "<null>");
    db.source_user = NULL;
    pair_expect(pair_copy(&db, "--jobs", "2"), 0, "proven");
    pair_same_table(&db, "t");
    pair_same(&db, "SELECT polname, pg_get_expr(polqual, polrelid) FROM pg_policy");
    pair_same(&db, "SELECT relrowsecurity FROM pg_class WHERE relname = 't'");
    pair_db_end(&db);
}

static void
test_trap_46_47_what_is_read_and_what_not(void **state)
{
    struct pair_db db = pair_db_new(&pair, "trap_47");

    (void)state;
    sql_exec(
        db.source,
        "CREATE TABLE base (id int, v text); CREATE TABLE kid (extra int) INHERITS (base);"
        "CREATE TABLE grandkid () INHERITS (kid); INSERT INTO base VALUES (1, 'b');"
        "INSERT INTO kid VALUES (2, 'k', 1), (2, 'k', 1); INSERT INTO grandkid VALUES (3, 'g');"
        "CREATE UNLOGGED TABLE u (id int); INSERT INTO u VALUES (1);"
        "CREATE TEMP TABLE gone (id int);"
        "CREATE EXTENSION postgres_fdw; CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw;"
        "CREATE FOREIGN TABLE far (id int) SERVER away;"
        "CREATE PUBLICATION pub FOR ALL TABLES");
    struct run *run = pair_copy(&db, "--jobs", "2");
    pair_expect(run, 0, "proven");
    pair_expect(run, 0, "not copied public.far: a foreign table");
    pair_same_table(&db, "base");
    pair_same_table(&db, "kid");
    pair_same_table(&db, "grandkid");
    pair_same_table(&db, "u");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM base"), 4);
    assert_string_equal(sql_rows(db.target, "SELECT relname, relkind, relpersistence FROM pg_class"
                                            " WHERE relname IN ('far', 'gone', 'u') ORDER BY 1"),
                        "far|f|p\nu|r|u\n");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pg_publication"), 0);
    pair_db_end(&db);
}

static void
test_trap_57_frozen_where_it_is_allowed(void **state)
{
    struct pair_db db = pair_db_new(&pair, "trap_57");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY, v text);"
                        "CREATE TABLE child (id int REFERENCES t, v text);"
                        "CREATE TABLE p (id int, v text) PARTITION BY RANGE (id);"
                        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (99999);"
                        "INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 20000) i;"
                        "INSERT INTO child SELECT id, v FROM t; INSERT INTO p SELECT id, v FROM t;"
                        "ANALYZE");
    pair_expect(pair_copy(&db, "--jobs", "2"), 0, "proven");
    sql_exec(db.target, "CREATE EXTENSION pg_visibility");
    assert_int_equal(sql_int(db.target,
                             "SELECT sum(all_frozen) FROM (VALUES ('t'::regclass),"
                             " ('child'), ('p1')) r (t), pg_visibility_map_summary(t)") > 0,
                     1);
    pair_same(&db, "SELECT count(*), sum(id) FROM child");
    pair_same(&db, "SELECT count(*), sum(id) FROM p");
    pair_db_end(&db);
}

/* A step that only makes the target faster must not end the run. */
static void
test_trap_67_failing_statistics(void **state)
{
    struct pair_db db = pair_db_new(&pair, "trap_67");

    (void)state;
    sql_exec(db.source,
             "CREATE FUNCTION touchy(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN"
             " IF pg_catalog.current_query() ~ ('ANA' || 'LYZE') THEN RAISE EXCEPTION 'not today';"
             " END IF; RETURN i; END $$;"
             "CREATE TABLE t (id int, v int); INSERT INTO t SELECT i, i FROM"
             " generate_series(1, 100) i; CREATE INDEX ON t (touchy(v))");
    struct run *run = pair_copy(&db, "--jobs", "2");
    pair_expect(run, 0, "proven");
    pair_expect(run, 0, "not today");
    pair_same_table(&db, "t");
    pair_db_end(&db);
}

/* ANALYZE comes when there is all that it fills. */
static void
test_statistics_are_filled(void **state)
{
    struct pair_db db = pair_db_new(&pair, "statistics");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (a int, b int); INSERT INTO t SELECT i, i % 10 FROM"
                        " generate_series(1, 1000) i; CREATE INDEX ON t ((a + b));"
                        "CREATE STATISTICS s ON a, b FROM t;"
                        "CREATE TABLE p (a int, b int) PARTITION BY RANGE (a);"
                        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9000);"
                        "INSERT INTO p SELECT * FROM t; CREATE STATISTICS ps ON a, b FROM p1;"
                        "ANALYZE");
    pair_expect(pair_copy(&db, "--jobs", "2"), 0, "proven");
    pair_same(&db, "SELECT statistics_name, n_distinct FROM pg_stats_ext ORDER BY 1");
    pair_same(&db, "SELECT tablename, attname, n_distinct FROM pg_stats WHERE schemaname = 'public'"
                   " ORDER BY 1, 2");
    pair_db_end(&db);
}

static void
test_trap_70_materialized_views(void **state)
{
    struct pair_db db = pair_db_new(&pair, "trap_70");

    (void)state;
    /* alphabetically first refers to the last */
    sql_exec(db.source, "CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2);"
                        "CREATE MATERIALIZED VIEW z AS SELECT id FROM t;"
                        "CREATE VIEW y AS SELECT id + 1 AS id FROM z;"
                        "CREATE MATERIALIZED VIEW a AS SELECT sum(id) AS s FROM y;"
                        "CREATE UNIQUE INDEX ON a (s);"
                        "CREATE MATERIALIZED VIEW later AS SELECT * FROM t WITH NO DATA");
    pair_expect(pair_copy(&db, "--jobs", "2"), 0, "proven");
    pair_same(&db, "SELECT * FROM a");
    pair_same(&db, "SELECT * FROM z ORDER BY 1");
    pair_same(&db, "SELECT matviewname, ispopulated FROM pg_matviews ORDER BY 1");
    pair_db_end(&db);
}

/* Not in what the session that copies has pinned, whoever refreshes them. */
static void
test_materialized_views_in_the_users_time_zone(void **state)
{
    struct pair_db db = pair_db_new(&pair, "view_zone");

    (void)state;
    pair_both(&db,
              "ALTER DATABASE view_zone SET timezone = 'Asia/Tokyo';"
              "ALTER DATABASE view_zone SET datestyle = 'German';"
              "CREATE TABLE seen (at timestamptz PRIMARY KEY);"
              "CREATE MATERIALIZED VIEW days AS SELECT at::date AS day, at::text AS t FROM seen");
    pair_both(&db, "SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'");
    sql_exec(db.source, "INSERT INTO seen VALUES ('2026-01-01 23:30+00');"
                        "REFRESH MATERIALIZED VIEW days");
    pair_expect(pair_copy(&db, "--data-only"), 0, "proven");
    pair_same_table(&db, "days");
    sql_exec(db.target, "TRUNCATE seen; REFRESH MATERIALIZED VIEW days");
    struct run *run = pair_follow(&db, "--data-only", "--until", "now");
    pair_expect(run, 0, "followed to");
    pair_same_table(&db, "days");
    sql_exec(db.target, "DROP SCHEMA pghaul CASCADE; DROP TABLE seen CASCADE");
    pair_expect(pair_copy(&db, "--name", "whole"), 0, "proven");
    pair_same_table(&db, "days");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_4_58_rows_without_a_key),
        cmocka_unit_test(test_trap_6_7_generated_and_identity),
        cmocka_unit_test(test_trap_27_nothing_is_held_afterwards),
        cmocka_unit_test(test_trap_28_timeouts_of_the_servers),
        cmocka_unit_test(test_trap_30_blocks_under_one_snapshot),
        cmocka_unit_test(test_trap_32_other_column_types),
        cmocka_unit_test(test_trap_34_enum_labels),
        cmocka_unit_test(test_trap_35_36_settings),
        cmocka_unit_test(test_trap_38_39_equal_is_not_the_same),
        cmocka_unit_test(test_trap_44_row_security),
        cmocka_unit_test(test_trap_46_47_what_is_read_and_what_not),
        cmocka_unit_test(test_trap_57_frozen_where_it_is_allowed),
        cmocka_unit_test(test_trap_67_failing_statistics),
        cmocka_unit_test(test_statistics_are_filled),
        cmocka_unit_test(test_trap_70_materialized_views),
        cmocka_unit_test(test_materialized_views_in_the_users_time_zone),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
