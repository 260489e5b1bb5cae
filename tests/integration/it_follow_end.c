/*
 * Where a follow ends: "now" is the moment at which it was said, and what `stop --at` said is kept
 * for the runs that come after the one that heard it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/scratch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 60000

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\n");
    return 0;
}

static struct pair_db
new_db(const char *name)
{
    struct pair_db db = pair_db_new(&pair, name);

    sql_exec(db.source,
             "CREATE TABLE item (id int PRIMARY KEY, pad text);"
             "INSERT INTO item SELECT -g, repeat('x', 200) FROM generate_series(1, 5000) g");
    return db;
}

/* A transaction each; an end is passed by one of them at most. */
static void
insert(struct pair_db *db, int from, int to)
{
    for (int id = from; id <= to; id++)
        sql_execf(db->source, "INSERT INTO item VALUES (%d)", id);
}

static int
has(struct pair_db *db, int id)
{
    return (int)sql_int(db->target, scratch_printf("SELECT count(*) FROM item WHERE id = %d", id));
}

/*
 * Large objects are not in the stream. At the end they are as the source has them: new ones, those
 * written to in the middle or behind their first megabyte, owners, grants and comments. Removed
 * ones stay, and are told.
 */
static void
large_objects_at_the_end(void **state)
{
    static const char all[] =
        "SELECT oid, md5(lo_get(oid)), lomowner::regrole, lomacl, obj_description(oid,"
        " 'pg_largeobject') FROM pg_largeobject_metadata WHERE oid <> 1003 ORDER BY oid";
    struct pair_db db = new_db("objects");

    (void)state;
    sql_once(pair.src, "postgres", "CREATE ROLE keeper");
    sql_once(pair.dst, "postgres", "CREATE ROLE keeper");
    sql_exec(db.source, "SELECT lo_from_bytea(o, convert_to(repeat(o::text, 100), 'UTF8'))"
                        " FROM generate_series(1000, 1400) o;"
                        "SELECT lo_from_bytea(2000, convert_to(repeat('x', 3000000), 'UTF8')),"
                        " lo_from_bytea(2001, convert_to(repeat('y', 1000000), 'UTF8'))");
    struct run *run = pair_follow(&db);
    pair_wait_following(&db, run);
    sql_exec(db.source,
             "SELECT lo_put(1001, 5, 'changed'), lo_unlink(1003), lo_put(1399, 9, 'late'),"
             " lo_put(2000, 2500000, 'in the middle'), lo_put(2001, 1000000, 'longer'),"
             " lo_from_bytea(3000, 'new');"
             "ALTER LARGE OBJECT 1010 OWNER TO keeper;"
             "GRANT SELECT ON LARGE OBJECT 1011 TO keeper;"
             "COMMENT ON LARGE OBJECT 1012 IS 'said later';"
             "SELECT lo_truncate(lo_open(1013, x'60000'::int), 3)");
    pair_expect(pair_stop(&db, "now"), 0, NULL);
    run_expect(run, 0);
    pair_expect(run, 0, "brought over at the end: 9");
    pair_expect(run, 0, "large objects: on the target only: 1;");
    pair_same(&db, all);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pg_largeobject_metadata"), 404);
    pair_db_end(&db);
}

/* More that only the target has than one list of differences holds; behind them one has changed. */
static void
large_objects_behind_many(void **state)
{
    struct pair_db db = new_db("objects_many");

    (void)state;
    sql_exec(db.source, "SELECT count(lo_from_bytea(100000 + g, 'old'))"
                        " FROM generate_series(1, 10100) g;"
                        "SELECT lo_from_bytea(200000, 'old')");
    struct run *run = pair_follow(&db);
    pair_wait_following(&db, run);
    sql_exec(db.source, "SELECT count(lo_unlink(100000 + g)) FROM generate_series(1, 10050) g;"
                        "SELECT lo_put(200000, 0, 'new'), lo_from_bytea(200001, 'came later')");
    pair_expect(pair_stop(&db, "now"), 0, NULL);
    run_expect(run, 0);
    pair_expect(run, 0, "brought over at the end: 2");
    pair_expect(run, 0, "large objects: on the target only: 10,050;");
    pair_same(&db, "SELECT oid, lo_get(oid) FROM pg_largeobject_metadata WHERE oid > 110050");
    pair_db_end(&db);
}

/* None when the job began: the target may have none of its own, and gets those that came. */
static void
large_objects_that_came_later(void **state)
{
    struct pair_db db = new_db("objects_later");

    (void)state;
    sql_exec(db.target, "SELECT lo_from_bytea(1000, 'its own')");
    pair_expect(pair_copy(&db, "--follow", "--until", "now"), 3, "already has large objects");
    sql_exec(db.target, "SELECT lo_unlink(1000)");
    struct run *run = pair_follow(&db);
    pair_wait_following(&db, run);
    sql_exec(db.source, "SELECT lo_from_bytea(1000, 'came later')");
    pair_expect(pair_stop(&db, "now"), 0, NULL);
    pair_expect(run, 0, "brought over at the end: 1");
    pair_same(&db, "SELECT oid, lo_get(oid) FROM pg_largeobject_metadata");
    pair_db_end(&db);
}

static void
now_is_when_the_command_was_given(void **state)
{
    struct pair_db db = new_db("given");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    insert(&db, 1, 3);
    /* it is held up right behind its beginning */
    sql_exec(db.target, "BEGIN; SELECT FROM pghaul.position FOR UPDATE");
    run = pair_follow(&db, "--until", "now");
    sql_wait_true(pair.dst, db.name,
                  "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND"
                  " query LIKE '%pghaul.position%' AND application_name LIKE 'pghaul%'",
                  WAIT_MS);
    insert(&db, 4, 9);
    sql_exec(db.target, "COMMIT");
    pair_expect(run, 0, "then followed to");
    assert_int_equal(has(&db, 3), 1);
    assert_int_equal(has(&db, 5), 0);
    pair_db_end(&db);
}

/* The first run: what was there when it began is in the copy. */
static void
now_of_a_copy(void **state)
{
    struct pair_db db = new_db("copy");
    struct run *run = pair_follow(&db, "--until", "now", "--max-rate", "300kB/s");

    (void)state;
    sql_wait_true(pair.dst, db.name,
                  "SELECT to_regclass('pghaul.job') IS NOT NULL AND EXISTS"
                  " (SELECT FROM pg_class WHERE relname = 'item')",
                  WAIT_MS);
    insert(&db, 1, 9);
    pair_expect(run, 0, "then followed to");
    assert_int_equal(has(&db, -5000), 1);
    assert_int_equal(has(&db, 2), 0);
    pair_db_end(&db);
}

static void
now_is_when_a_copy_was_told(void **state)
{
    struct pair_db db = new_db("told");
    struct run *run = pair_follow(&db, "--max-rate", "100kB/s");

    (void)state;
    sql_wait_true(pair.dst, db.name, "SELECT phase = 'rows' FROM pghaul.job", WAIT_MS);
    insert(&db, 1, 3);
    pair_expect(pair_stop(&db, "now"), 0, "told to end at: now");
    sql_wait_true(pair.dst, db.name, "SELECT end_at LIKE '%/%' FROM pghaul.follow", WAIT_MS);
    assert_string_equal(sql_value(db.target, "SELECT phase FROM pghaul.job"), "rows");
    insert(&db, 4, 9);
    pair_expect(run, 0, "then followed to");
    assert_int_equal(has(&db, 3), 1);
    assert_int_equal(has(&db, 5), 0);
    pair_db_end(&db);
}

/* The source stands still, and its end is where to end. */
static void
an_end_that_nothing_follows(void **state)
{
    struct pair_db db = new_db("quiet");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    sql_exec(db.source, "CHECKPOINT; SET synchronous_commit = off; INSERT INTO item VALUES (1)");
    const char *at = sql_value(db.source, "SELECT pg_current_wal_insert_lsn()");
    pair_expect(pair_stop(&db, at), 0, at);
    pair_expect(run, 0, "then followed to");
    assert_int_equal(has(&db, 1), 1);
    pair_db_end(&db);
}

static void
the_next_run_is_told_too(void **state)
{
    struct pair_db db = new_db("kept");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    pair_expect(
        pair_stop(&db, sql_value(db.source, "SELECT pg_current_wal_insert_lsn() + 1000000")), 0,
        "told to end at: ");
    run_kill(run);
    insert(&db, 1, 1);
    run = pair_follow(&db);
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 1 FROM item WHERE id = 1", WAIT_MS);
    assert_true(run_alive(run));
    sql_exec(db.source, "SELECT pg_logical_emit_message(false, 'fill', repeat('x', 2000000))");
    insert(&db, 2, 9);
    pair_expect(run, 0, "then followed to");
    assert_int_equal(has(&db, 4), 0);
    pair_db_end(&db);
}

/* What a stream does not bring is in the report; tables that nobody touched are not. */
/* Nothing runs: the next run ends there, "now" being its beginning. */
static void
nobody_was_there_to_be_told(void **state)
{
    struct pair_db db = new_db("later");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    insert(&db, 1, 3);
    pair_expect(pair_stop(&db, "now"), 0, "its next run ends at: now");
    insert(&db, 4, 5);
    run = pair_follow(&db);
    pair_expect(run, 0, "then followed to");
    assert_int_equal(has(&db, 5), 1);
    pair_db_end(&db);
}

static void
what_did_not_come(void **state)
{
    struct pair_db db = new_db("drift");

    (void)state;
    sql_exec(db.source, "CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY);"
                        "CREATE TABLE gone (id int PRIMARY KEY);"
                        "CREATE TABLE wider (id int PRIMARY KEY)");
    struct run *run = pair_follow(&db);
    pair_wait_following(&db, run);
    sql_exec(db.source, "INSERT INTO fleeting VALUES (1); DROP TABLE gone;"
                        "ALTER TABLE wider ADD COLUMN more int; CREATE TABLE late (id int)");
    pair_expect(pair_stop(&db, "now"), 0, NULL);
    pair_expect(run, 0, "public.fleeting: its rows are those of the copy");
    pair_expect(run, 0, "public.gone: was dropped on the source since");
    pair_expect(run, 0, "public.wider: its columns on the source are not");
    pair_expect(run, 0, "public.late: was made on the source since");
    assert_null(strstr(run_out(run), "table public.item"));
    pair_db_end(&db);
}

/*
 * While the source is written to, a build takes parallel workers only as far as all that build are
 * fewer than --index-jobs. The index asks for the setting that it is built under: no index, where
 * that is not the one said in the database.
 */
static void
builds_take_few_processes(void **state)
{
    static const char *const jobs[][2] = {{"2", "0"}, {"3", "1"}, {"8", "2"}};

    (void)state;
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
        struct pair_db db = new_db(scratch_printf("builds_%s", jobs[i][0]));
        sql_execf(db.source,
                  "CREATE FUNCTION here(id int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS"
                  " $$BEGIN IF current_setting('application_name') LIKE 'pghaul%%step%%' AND"
                  " current_setting('max_parallel_maintenance_workers') <> '%s' THEN RAISE"
                  " 'built under %%', current_setting('max_parallel_maintenance_workers');"
                  " END IF; RETURN id; END$$;"
                  "ALTER TABLE item DROP CONSTRAINT item_pkey;"
                  "ALTER TABLE item REPLICA IDENTITY FULL;"
                  "CREATE INDEX item_here ON item (here(id))",
                  jobs[i][1]);
        pair_expect(pair_run(&db, "copy", "--follow", "--name", db.name, "--until", "now",
                             "--index-jobs", jobs[i][0]),
                    0, "followed to");
        assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pg_indexes WHERE indexname ="
                                            " 'item_here'"),
                         1);
        pair_db_end(&db);
    }
}

/* ---- who is away when it is told ---- */

/* Cut off from the target, whose sessions end with it, and not back: it stands still. */
static void
cut_off(struct pair_db *db, struct run *run)
{
    pair_wait_following(db, run);
    run_signal(run, SIGSTOP);
    PQfinish(db->target);
    pg_test_cluster_kill(pair.dst);
    pg_test_cluster_start(pair.dst);
    db->target = sql_connect(pair.dst, db->name);
}

static void
stop_is_heard_by_who_comes_back(void **state)
{
    struct pair_db db = new_db("comes_back");

    (void)state;
    struct run *run = pair_follow(&db);
    cut_off(&db, run);
    pair_expect(pair_stop(&db, NULL), 0, "comes back and then stops");
    run_signal(run, SIGCONT);
    pair_expect(run, 5, "the same command goes on");
    run = pair_follow(&db);
    cut_off(&db, run);
    pair_expect(pair_stop(&db, "now"), 0, "comes back and then ends where it was told");
    run_signal(run, SIGCONT);
    pair_expect(run, 0, "followed to");
    pair_db_end(&db);
}

/* It is kept for that run only. */
static void
stop_of_a_killed_run_is_nothing_to_the_next(void **state)
{
    struct pair_db db = new_db("killed_before");

    (void)state;
    struct run *run = pair_follow(&db);
    pair_wait_following(&db, run);
    run_kill(run);
    sql_wait_true(pair.dst, db.name,
                  "SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'", WAIT_MS);
    pair_expect(pair_stop(&db, NULL), 0, "is not running");
    assert_int_equal(
        sql_int(db.target, "SELECT count(*) FROM pghaul.run WHERE stop_asked IS NOT NULL"), 1);
    run = pair_follow(&db);
    pair_wait_following(&db, run);
    insert(&db, 1, 1);
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 1 FROM item WHERE id = 1", WAIT_MS);
    pair_expect(pair_stop(&db, "now"), 0, NULL);
    pair_expect(run, 0, "followed to");
    pair_db_end(&db);
}

/* ---- somebody's lock ---- */

static PGconn *
lock_other(struct pair_db *db)
{
    PGconn *other = sql_connect(pair.src, db->name);

    sql_exec(other, "BEGIN; LOCK TABLE other IN ACCESS EXCLUSIVE MODE");
    return other;
}

static void
wait_for_waiter(struct pair_db *db)
{
    sql_wait_true(pair.src, db->name,
                  "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()"
                  " AND wait_event_type = 'Lock' AND application_name LIKE 'pghaul%'",
                  WAIT_MS);
}

/* The lock is there until the run has ended. */
static void
stop_while_locked(struct pair_db *db, struct run *run, PGconn *other)
{
    wait_for_waiter(db);
    pair_expect(pair_stop(db, NULL), 0, "told to stop");
    pair_expect(run, 5, "PH-STOPPED");
    PQfinish(other);
}

static struct pair_db
new_db_with_other(const char *name)
{
    struct pair_db db = new_db(name);

    sql_exec(db.source, "CREATE TABLE other (id int PRIMARY KEY)");
    return db;
}

/* Catalogs are read once more for a column that both sides have got. */
static void
stop_is_heard_beside_a_lock(void **state)
{
    struct pair_db db = new_db_with_other("locked");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    PGconn *other = lock_other(&db);
    sql_exec(db.target, "ALTER TABLE item ADD c int");
    sql_exec(db.source, "ALTER TABLE item ADD c int; INSERT INTO item VALUES (1, 'x', 2)");
    stop_while_locked(&db, run, other);
    pair_expect(pair_follow(&db, "--until", "now"), 0, "followed to");
    pair_same_table(&db, "item");
    pair_db_end(&db);
}

/* The job has come to its end, and is not ended against the wish. */
static void
stop_is_heard_at_the_end(void **state)
{
    struct pair_db db = new_db_with_other("locked_end");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    PGconn *other = lock_other(&db);
    insert(&db, 1, 1);
    pair_expect(pair_stop(&db, "now"), 0, "told to end");
    stop_while_locked(&db, run, other);
    assert_string_equal(sql_value(db.target, "SELECT phase FROM pghaul.job"), "follow");
    pair_expect(pair_follow(&db), 0, "followed to");
    pair_same_table(&db, "item");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_objects_at_the_end),
        cmocka_unit_test(large_objects_behind_many),
        cmocka_unit_test(large_objects_that_came_later),
        cmocka_unit_test(now_is_when_the_command_was_given),
        cmocka_unit_test(now_of_a_copy),
        cmocka_unit_test(now_is_when_a_copy_was_told),
        cmocka_unit_test(an_end_that_nothing_follows),
        cmocka_unit_test(the_next_run_is_told_too),
        cmocka_unit_test(nobody_was_there_to_be_told),
        cmocka_unit_test(what_did_not_come),
        cmocka_unit_test(builds_take_few_processes),
        cmocka_unit_test(stop_is_heard_by_who_comes_back),
        cmocka_unit_test(stop_of_a_killed_run_is_nothing_to_the_next),
        cmocka_unit_test(stop_is_heard_beside_a_lock),
        cmocka_unit_test(stop_is_heard_at_the_end),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
