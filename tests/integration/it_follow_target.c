/*
 * What befalls the target beside the stream while a job follows: a crash that empties unlogged
 * tables, or comes just when the job has ended, somebody who drops what the job has set aside, and
 * values in columns that the source does not have.
 */
/* timeout: 300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/scratch.h"

#include <signal.h>
#include <stdlib.h>

#define SPLIT "--split", "1MB", "--split-by", "key", "--jobs", "1"

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\n");
    return 0;
}

static struct pair_db
new_db(const char *name, const char *kind)
{
    struct pair_db db = pair_db_new(&pair, name);

    sql_execf(db.source,
              "CREATE %s TABLE t (id int PRIMARY KEY, v text);"
              "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 1000) g;"
              "CREATE TABLE z (id int PRIMARY KEY, v text); INSERT INTO z VALUES (1, 'z')",
              kind);
    return db;
}

/* ---- what a crash empties ---- */

static void
stop(struct run *run)
{
    run_signal(run, SIGTERM);
    run_expect(run, 5);
}

static void
crash_now(struct pair_db *db)
{
    pg_test_cluster_kill(pair.dst);
    PQfinish(db->target);
    pg_test_cluster_start(pair.dst);
    db->target = sql_connect(pair.dst, db->name);
}

/* The job stands still and the target crashes. */
static void
crash(struct pair_db *db, struct run *run)
{
    pair_wait_following(db, run);
    stop(run);
    crash_now(db);
}

static void
emptied_table_is_told(void **state)
{
    struct pair_db db = new_db("told", "");

    (void)state;
    sql_exec(db.target, "CREATE UNLOGGED TABLE t (id int PRIMARY KEY, v text);"
                        "CREATE TABLE z (id int PRIMARY KEY, v text)");
    crash(&db, pair_follow(&db, "--data-only"));
    sql_exec(db.source, "INSERT INTO t VALUES (2000, 'new')");
    for (int i = 0; i < 2; i++) {
        struct run *run = pair_follow(&db, "--data-only", "--until", "now");
        run_wait(run, RUN_DEADLINE_MS);
        pair_expect(run, 1, "PH-TABLE-CHANGED");
        pair_expect(run, 1, "public.t: the target has crashed, which emptied the table");
        pair_expect(run, 1, "--restart");
        sql_exec(db.target, "ALTER TABLE t SET LOGGED"); /* which brings no row back */
    }
    sql_exec(db.target, "TRUNCATE t, z");
    struct run *run = pair_follow(&db, "--data-only", "--until", "now", "--restart", "--yes");
    pair_expect(run, 0, "followed to"); /* and the former spool was in nobody's way */
    pair_same_table(&db, "t");
    pair_db_end(&db);
}

/* One that is unlogged on the source comes in no stream: it is copied anew. */
static void
emptied_table_comes_again(void **state)
{
    struct pair_db db = new_db("again", "UNLOGGED");

    (void)state;
    crash(&db, pair_follow(&db));
    struct run *run = pair_follow(&db, "--until", "now");
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 1, "DROP TABLE");
    sql_exec(db.target, "DROP TABLE t");
    pair_expect(pair_follow(&db, "--until", "now"), 0, "followed to");
    pair_same_table(&db, "t");
    pair_same_table(&db, "z");
    pair_db_end(&db);
}

/* Two unlogged tables, the second too large for one transaction, that a crash has emptied. One is
 * dropped for its copy; with that the other comes again, too. */
static struct pair_db
crash_two(const char *name)
{
    struct pair_db db = new_db(name, "UNLOGGED");

    sql_exec(db.source,
             "CREATE UNLOGGED TABLE u (id int PRIMARY KEY, v text);"
             "INSERT INTO u SELECT g, repeat('u', 1000) FROM generate_series(1, 12000) g;"
             "ANALYZE u");
    crash(&db, pair_follow(&db, SPLIT));
    sql_exec(db.target, "DROP TABLE t");
    return db;
}

static void
all_that_come_again_are_compared(void **state)
{
    struct pair_db db = crash_two("compared");

    (void)state;
    struct run *run = pair_follow(&db, SPLIT, "--until", "now");
    pair_expect(run, 0, "proven: every row of 3 tables was compared and is equal");
    pair_same_table(&db, "t");
    pair_same_table(&db, "u");
    pair_db_end(&db);
}

/* Its snapshot is lost: no stream would bring two of them together, so it starts again once more.
 */
static void
what_comes_again_is_of_one_snapshot(void **state)
{
    static const char *const env[] = {"PGHAUL_FAILPOINT=before_commit=kill@2", NULL};
    struct pair_db db = crash_two("onesnap");

    (void)state;
    db.env = env;
    pair_expect(pair_follow(&db, SPLIT), -SIGKILL, "1 table is added");
    db.env = NULL;
    sql_exec(db.source, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                        " application_name LIKE 'pghaul% holder'");
    sql_wait_true(pair.src, db.name,
                  "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE"
                  " 'pghaul% holder'",
                  30000);
    sql_exec(db.source, "UPDATE u SET v = 'changed'");
    struct run *run = pair_follow(&db, SPLIT, "--until", "now");
    pair_expect(run, 0, "proven: every row of 3 tables was compared and is equal");
    pair_same_table(&db, "u");
    pair_db_end(&db);
}

/* The ledger's mark went with the crash, and is there again. */
static void
logged_tables_go_on(void **state)
{
    struct pair_db db = new_db("logged", "");

    (void)state;
    crash(&db, pair_follow(&db));
    pair_expect(pair_follow(&db, "--until", "now"), 0, "followed to");
    pair_same_table(&db, "t");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pghaul.alive"), 1);
    pair_db_end(&db);
}

/* Made logged in time, which a run has noticed. */
static void
table_that_was_made_logged_goes_on(void **state)
{
    struct pair_db db = new_db("intime", "");

    (void)state;
    sql_exec(db.target, "CREATE UNLOGGED TABLE t (id int PRIMARY KEY, v text);"
                        "CREATE TABLE z (id int PRIMARY KEY, v text)");
    struct run *run = pair_follow(&db, "--data-only");
    pair_wait_following(&db, run);
    sql_exec(db.target, "ALTER TABLE t SET LOGGED");
    sql_wait_true(pair.dst, db.name, "SELECT bool_and(NOT unlogged) FROM pghaul.tbl", 30000);
    stop(run);
    crash_now(&db);
    pair_expect(pair_follow(&db, "--data-only", "--until", "now"), 0, "followed to");
    pair_same_table(&db, "t");
    pair_db_end(&db);
}

/* ---- what a crash takes back ---- */

/* Nothing that the ledger says by then: the slot and the spool are gone. */
static void
end_outlasts_a_crash(void **state)
{
    struct pair_db db = new_db("lasting", "");

    (void)state;
    sql_exec(db.target, "ALTER DATABASE lasting SET synchronous_commit = off");
    sql_exec(db.target, "ALTER SYSTEM SET wal_writer_delay = '10s'");
    sql_exec(db.target, "SELECT pg_reload_conf()");
    struct run *run = pair_follow(&db);
    pair_wait_following(&db, run);
    stop(run);
    sql_exec(db.source, "INSERT INTO z VALUES (2, 'late')");
    run = pair_follow(&db, "--until", "now");
    pair_expect(run, 0, "followed to");
    crash_now(&db);
    assert_string_equal(sql_value(db.target, "SELECT phase FROM pghaul.job"), "done");
    pair_same_table(&db, "z");
    sql_exec(db.target, "ALTER SYSTEM RESET wal_writer_delay");
    sql_exec(db.target, "SELECT pg_reload_conf()");
    pair_db_end(&db);
}

/* ---- what was set aside ---- */

/* Killed while it follows, with the trigger of t aside; then t is dropped on both sides. */
static struct pair_db
drop_aside(const char *name)
{
    struct pair_db db = new_db(name, "");

    sql_exec(db.source, "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
                        " $$ BEGIN RETURN NEW; END $$;"
                        "CREATE TRIGGER note BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION"
                        " note(); ALTER TABLE t ENABLE ALWAYS TRIGGER note;"
                        "CREATE TRIGGER kept BEFORE UPDATE ON z FOR EACH ROW EXECUTE FUNCTION"
                        " note(); ALTER TABLE z ENABLE ALWAYS TRIGGER kept");
    struct run *run = pair_follow(&db);
    pair_wait_following(&db, run);
    run_kill(run);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pghaul.set_aside"), 2);
    pair_both(&db, "DROP TABLE t");
    return db;
}

static void
is_restored(struct pair_db *db)
{
    assert_string_equal(
        sql_value(db->target, "SELECT tgenabled FROM pg_trigger WHERE tgname = 'kept'"), "A");
}

static void
dropped_aside_does_not_hold_up_the_end(void **state)
{
    struct pair_db db = drop_aside("the_end");

    (void)state;
    sql_exec(db.source, "INSERT INTO z VALUES (2, 'new')");
    struct run *run = pair_follow(&db, "--until", "now");
    pair_expect(run, 0, "followed to");
    pair_expect(run, 0, "trigger note of public.t was set aside");
    pair_same_table(&db, "z");
    is_restored(&db);
    pair_db_end(&db);
}

static void
dropped_aside_does_not_hold_up_clean(void **state)
{
    struct pair_db db = drop_aside("cleaned");

    (void)state;
    pair_expect(pair_run(&db, "clean", "--name", db.name, "--yes"), 0, "restored: 1 triggers");
    is_restored(&db);
    pair_db_end(&db);
}

/* ---- columns of the target's own ---- */

/* n: which row it is, whatever becomes of it. */
static struct pair_db
new_own(const char *name)
{
    struct pair_db db = pair_db_new(&pair, name);

    pair_both(&db, "CREATE TABLE one (id int PRIMARY KEY, n int, a int, big text);"
                   "ALTER TABLE one ALTER big SET STORAGE EXTERNAL;"
                   "CREATE TABLE always (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int,"
                   " a int);"
                   "CREATE TABLE num (id numeric PRIMARY KEY, n int, a int);"
                   "CREATE TABLE heap (id int, n int, a int);"
                   "ALTER TABLE heap REPLICA IDENTITY FULL");
    sql_exec(db.source, "CREATE TABLE parts (id int PRIMARY KEY, n int, a int);"
                        "INSERT INTO one SELECT g, g, g, repeat('x', 5000)"
                        " FROM generate_series(1, 9) g;"
                        "INSERT INTO always (n, a) SELECT g, g FROM generate_series(1, 9) g;"
                        "INSERT INTO num SELECT g + 0.5, g, g FROM generate_series(1, 9) g;"
                        "INSERT INTO heap SELECT g / 5, g, g FROM generate_series(1, 9) g;"
                        "INSERT INTO parts SELECT g, g, g FROM generate_series(1, 9) g");
    sql_exec(db.target, "CREATE TABLE parts (id int PRIMARY KEY, n int, a int)"
                        " PARTITION BY RANGE (id);"
                        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (50);"
                        "CREATE TABLE parts_2 PARTITION OF parts DEFAULT;"
                        "ALTER TABLE one ADD extra text, ADD made int GENERATED ALWAYS AS"
                        " (a + 1) STORED; ALTER TABLE always ADD extra text;"
                        "ALTER TABLE num ADD extra text; ALTER TABLE heap ADD extra text;"
                        "ALTER TABLE parts ADD extra text DEFAULT 'none'");
    return db;
}

static const char *const own_tables[] = {"one", "always", "num", "heap", "parts"};
#define N_OWN (sizeof own_tables / sizeof *own_tables)

static void
fill_own(const struct pair_db *db)
{
    for (size_t i = 0; i < N_OWN; i++)
        sql_execf(db->target, "UPDATE %s SET extra = 'of ' || n", own_tables[i]);
}

/* Rows that were there have what was theirs, wherever they have gone. */
static void
expect_own(struct pair_db *db)
{
    for (size_t i = 0; i < N_OWN; i++) {
        pair_same(db, scratch_printf("SELECT id, n, a FROM %s ORDER BY n", own_tables[i]));
        assert_string_equal(
            sql_valuef(db->target,
                       "SELECT coalesce(string_agg(n || ' ' || coalesce(extra, 'lost'), ','"
                       " ORDER BY n), '') FROM %s WHERE n < 10 AND"
                       " extra IS DISTINCT FROM 'of ' || n",
                       own_tables[i]),
            "");
    }
    pair_same(db, "SELECT n, big FROM one ORDER BY n");
}

static void
own_columns_stay(void **state)
{
    struct pair_db db = new_own("own");

    (void)state;
    struct run *run = pair_follow(&db, "--data-only");
    pair_wait_following(&db, run);
    fill_own(&db);
    sql_exec(db.source, "BEGIN; UPDATE one SET id = 50, a = 0 WHERE n = 5;"
                        "UPDATE one SET id = 51 WHERE n = 5;"
                        "UPDATE one SET id = -id WHERE n IN (1, 2);"
                        "UPDATE one SET id = 2 WHERE n = 1; UPDATE one SET id = 1 WHERE n = 2;"
                        "UPDATE one SET id = 60, big = 'short' WHERE n = 6;"
                        "INSERT INTO one VALUES (5, 10, 0, 'new'); DELETE FROM one WHERE n = 9;"
                        "UPDATE one SET a = 7 WHERE n = 7; COMMIT");
    sql_exec(db.source, "BEGIN; UPDATE always SET id = DEFAULT WHERE n = 2;"
                        "UPDATE always SET a = 0 WHERE n IN (2, 3); COMMIT");
    sql_exec(db.source, "BEGIN; UPDATE num SET id = 1.50 WHERE n = 1;"
                        "UPDATE num SET id = 100, a = 0 WHERE n = 2; COMMIT");
    sql_exec(db.source, "BEGIN; UPDATE heap SET a = 0 WHERE n = 3; UPDATE heap SET id = 7;"
                        "DELETE FROM heap WHERE n = 8; COMMIT");
    sql_exec(db.source, "BEGIN; UPDATE parts SET id = 70 WHERE n = 7;"
                        "UPDATE parts SET id = 8, a = 0 WHERE n = 7 AND id = 8;"
                        "UPDATE parts SET id = id + 20 WHERE n < 7; COMMIT");
    pair_expect(pair_stop(&db, "now"), 0, NULL);
    pair_expect(run, 0, "followed to");
    expect_own(&db);
    pair_db_end(&db);
}

/* A run that begins sees what was added, also where the job has made the table. */
static void
own_column_is_added(void **state)
{
    struct pair_db db = new_db("own_added", "");

    (void)state;
    struct run *run = pair_follow(&db);
    pair_wait_following(&db, run);
    stop(run);
    sql_exec(db.target, "ALTER TABLE t ADD extra text");
    run = pair_follow(&db);
    pair_wait_following(&db, run);
    sql_exec(db.target, "UPDATE t SET extra = 'kept' WHERE id = 1");
    sql_exec(db.source, "UPDATE t SET id = 5000 WHERE id = 1");
    pair_expect(pair_stop(&db, "now"), 0, NULL);
    pair_expect(run, 0, "followed to");
    assert_string_equal(sql_value(db.target, "SELECT extra FROM t WHERE id = 5000"), "kept");
    pair_db_end(&db);
}

/* Overwritten is what the source has, under the key that it is found by. */
static void
own_columns_stay_where_rows_are_overwritten(void **state)
{
    struct pair_db db = new_own("own_over");

    (void)state;
    struct run *run = pair_follow(&db, "--data-only", "--on-conflict", "overwrite");
    pair_wait_following(&db, run);
    sql_exec(db.target, "INSERT INTO one (id, n) VALUES (10, 9); DELETE FROM one WHERE n = 9 AND"
                        " id = 9; DELETE FROM one WHERE n = 3; DELETE FROM one WHERE n = 4");
    fill_own(&db);
    sql_exec(db.source, "DELETE FROM one WHERE n = 9; INSERT INTO one VALUES (10, 9, 0, 'new');"
                        "UPDATE one SET a = 0, big = 'other' WHERE n = 3;"
                        "UPDATE one SET id = 40, big = 'other' WHERE n = 4;"
                        "UPDATE one SET id = 30 WHERE n = 5");
    pair_expect(pair_stop(&db, "now"), 0, NULL);
    run_expect(run, 4);
    sql_exec(db.target, "UPDATE one SET extra = 'of ' || n WHERE n IN (3, 4) AND extra IS NULL");
    expect_own(&db);
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(emptied_table_is_told),
        cmocka_unit_test(emptied_table_comes_again),
        cmocka_unit_test(all_that_come_again_are_compared),
        cmocka_unit_test(what_comes_again_is_of_one_snapshot),
        cmocka_unit_test(logged_tables_go_on),
        cmocka_unit_test(table_that_was_made_logged_goes_on),
        cmocka_unit_test(end_outlasts_a_crash),
        cmocka_unit_test(dropped_aside_does_not_hold_up_the_end),
        cmocka_unit_test(dropped_aside_does_not_hold_up_clean),
        cmocka_unit_test(own_columns_stay),
        cmocka_unit_test(own_column_is_added),
        cmocka_unit_test(own_columns_stay_where_rows_are_overwritten),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
