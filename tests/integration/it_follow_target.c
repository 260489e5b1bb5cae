/*
 * What befalls the target beside the stream while a job follows: a crash that empties unlogged
 * tables, or comes just when the job has ended, and somebody who drops what the job has set aside.
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
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
