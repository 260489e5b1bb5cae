/*
 * What has cost tools that follow a change stream rows, each test named after its number in
 * tests/TRAPS.md. Keys that act upon rows are in it_traps_stream_keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/same.h"
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

#define follow(db, ...)                                                                            \
    pair_start_args(db, "copy",                                                                    \
                    (const char *const[]){"--follow", "--name", (db)->name, ##__VA_ARGS__, NULL})

static struct run *
follow_from(struct pair_db *db, const char *sql)
{
    sql_exec(db->source, sql);
    struct run *run = follow(db);
    run_wait_output(run, "applying changes", RUN_DEADLINE_MS);
    return run;
}

static void
ends_equal(struct pair_db *db)
{
    run_expect(follow(db, "--until", "now"), 0);
    same_rows(pair.src, db->name, pair.dst, db->name);
}

/* Stopped, then the same command to the end. */
static void
stops_and_ends_equal(struct pair_db *db, struct run *run)
{
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    ends_equal(db);
}

/* ---- 10: partitions that are made, or attached, while the job follows ---- */

static const char parts_sql[] =
    "CREATE TABLE m (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);"
    "CREATE TABLE m_1 PARTITION OF m FOR VALUES FROM (0) TO (100);"
    "CREATE TABLE m_2 PARTITION OF m FOR VALUES FROM (100) TO (200);"
    "INSERT INTO m SELECT i, 'v' FROM generate_series(0, 199) i";

/* Nothing is lost without a word, whether or not the stream ever names the partition. */
static void
new_partition(const char *name, const char *sql)
{
    struct pair_db db = pair_db_new(&pair, name);
    struct run *run = follow_from(&db, parts_sql);

    sql_exec(db.source, sql);
    pair_expect(run, 1, "PH-TABLE-CHANGED");
    pair_expect(run, 1, "m_3");
    pair_expect(run, 1, "give the same command again: the partition is added");
    /* the way out, with a row that moves into the partition before it is copied */
    sql_exec(db.source, "UPDATE m SET v = 'after'; UPDATE m SET id = 299 WHERE id = 1");
    run_expect(follow(&db, "--until", "now"), 0);
    pair_same(&db, "SELECT tableoid::regclass::text, * FROM m ORDER BY id");
    pair_db_end(&db);
}

static void
trap_10_new_partition(void **state)
{
    (void)state;
    new_partition("made", "CREATE TABLE m_3 PARTITION OF m FOR VALUES FROM (200) TO (300);"
                          "INSERT INTO m SELECT i, 'v' FROM generate_series(200, 298) i");
    new_partition("attached", "CREATE TABLE m_3 (id int PRIMARY KEY, v text);"
                              "INSERT INTO m_3 SELECT i, 'v' FROM generate_series(200, 298) i;"
                              "ALTER TABLE m ATTACH PARTITION m_3 FOR VALUES FROM (200) TO (300)");
}

/* One that the job was told to leave out is none of its business; a new table is named. */
static void
trap_10_partition_that_is_left_out(void **state)
{
    struct pair_db db = pair_db_new(&pair, "left_out");

    (void)state;
    sql_exec(db.source, parts_sql);
    struct run *run = follow(&db, "--exclude", "m_2");
    run_wait_output(run, "applying changes", RUN_DEADLINE_MS);
    sql_exec(db.source, "UPDATE m SET v = 'u'; CREATE TABLE fresh (id int PRIMARY KEY);"
                        "INSERT INTO fresh VALUES (1)");
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    run = follow(&db, "--exclude", "m_2", "--until", "now");
    pair_expect(run, 0, "public.fresh");
    pair_same(&db, "SELECT * FROM m_1 ORDER BY id");
    pair_db_end(&db);
}

/*
 * Partitions that share a table of the target are of one snapshot, or a row that moved between them
 * would be there twice, and go when it left the first one.
 */
static void
trap_10_shared_target_of_one_snapshot(void **state)
{
    const char *const env[] = {"PGHAUL_FAILPOINT=after_commit=kill@1", NULL};
    struct pair_db db = pair_db_new(&pair, "shared");

    (void)state;
    sql_exec(db.source, parts_sql);
    /* large enough to go by itself, and first */
    sql_exec(db.source, "CREATE TABLE m_4 PARTITION OF m FOR VALUES FROM (1000) TO (99999);"
                        "INSERT INTO m SELECT i, repeat('v', 200) FROM generate_series(1000, 40000)"
                        " i; ANALYZE");
    sql_exec(db.target, "CREATE TABLE m (id int, v text)");
    db.env = env;
    struct run *run = follow(&db, "--data-only", "--jobs", "1", "--hold", "0s");
    run_wait(run, RUN_DEADLINE_MS);
    assert_int_equal(run->code, -SIGKILL);
    db.env = NULL;
    assert_string_equal(sql_value(db.target, "SELECT min(id) FROM m"), "1000");
    sql_wait_true(pair.src, "shared",
                  "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND"
                  " application_name LIKE '% holder'",
                  RUN_DEADLINE_MS);
    sql_exec(db.source,
             "DELETE FROM m WHERE id < 3; UPDATE m SET id = id - 1000 WHERE id IN (1000, 1001)");
    sql_exec(db.source, "UPDATE m SET id = id + 50000 WHERE id IN (5, 105)");
    run_expect(follow(&db, "--data-only", "--until", "now"), 0);
    pair_same(&db, "SELECT * FROM m ORDER BY id");
    pair_db_end(&db);
}

/* ---- 13: the publication says something else than it said ---- */

static const char two_sql[] = "CREATE TABLE a (id int PRIMARY KEY, v text);"
                              "CREATE TABLE b (id int PRIMARY KEY, v text);"
                              "INSERT INTO a SELECT i, 'v' FROM generate_series(1, 9) i;"
                              "INSERT INTO b SELECT i, 'v' FROM generate_series(1, 9) i";

/* Told when the job begins again, or while it follows. With `again` it is told for good. */
static void
publication(const char *name, bool follows, const char *alteration, const char *undo,
            const char *again)
{
    struct pair_db db = pair_db_new(&pair, name);
    struct run *run = follow_from(&db, two_sql);

    if (!follows) {
        run_signal(run, SIGTERM);
        run_expect(run, 5);
    }
    sql_exec(db.source, scratch_printf("ALTER PUBLICATION pghaul_%s %s", name, alteration));
    if (!follows)
        run = follow(&db);
    pair_expect(run, 1, "PH-GAP");
    pair_expect(run, 1, scratch_printf("publication pghaul_%s was altered", name));
    sql_exec(db.source, scratch_printf("ALTER PUBLICATION pghaul_%s %s", name, undo));
    if (again != NULL)
        pair_expect(follow(&db), 1, again);
    else
        ends_equal(&db);
    pair_expect(pair_run(&db, "clean", "--name", name, "--yes"), 0, NULL);
    pair_db_end(&db);
}

static void
trap_13_publication_that_was_altered(void **state)
{
    static const char republished[] = "a table of the job was taken out of it and added again";

    (void)state;
    publication("taken_out", true, "DROP TABLE b", "ADD TABLE b", republished);
    publication("kinds", false, "SET (publish = 'insert, delete, truncate')",
                "SET (publish = 'insert, update, delete, truncate')", NULL);
    publication("via_root", true, "SET (publish_via_partition_root = true)",
                "SET (publish_via_partition_root = false)", NULL);
    publication("filter", false, "SET TABLE a, b WHERE (id > 3)", "SET TABLE a, b", republished);
    publication("columns", false, "SET TABLE a, b (id)", "SET TABLE a, b", republished);
}

/*
 * What came in between is in no stream, and afterwards all looks as it was. (Up to 17 a change that
 * comes while there is no publication at all ends the stream.)
 */
static void
made_again(const char *name, const char *sql, const char *part)
{
    struct pair_db db = pair_db_new(&pair, name);
    struct run *run = follow_from(&db, two_sql);

    sql_exec(db.source, sql);
    pair_expect(run, 1, "PH-GAP");
    pair_expect(run, 1, part);
    pair_expect(follow(&db, "--until", "now"), 1, part); /* and for good */
    pair_db_end(&db);
}

static void
trap_13_publication_that_was_made_again(void **state)
{
    (void)state;
    made_again("made_again",
               "BEGIN; DROP PUBLICATION pghaul_made_again;"
               " CREATE PUBLICATION pghaul_made_again FOR TABLE a, b; COMMIT",
               "was altered: it was dropped and made again");
    made_again(
        "added_again",
        "BEGIN; ALTER PUBLICATION pghaul_added_again DROP TABLE b; INSERT INTO b VALUES (50);"
        " ALTER PUBLICATION pghaul_added_again ADD TABLE b; COMMIT",
        "was altered: a table of the job was taken out of it and added again");
}

/* ---- 14: tables that change their shape ---- */

/* The stream stops at the change, saying what it is, and stays there: nothing is left out. */
static void
shape(const char *name, const char *alter, const char *way_out)
{
    struct pair_db db = pair_db_new(&pair, name);
    struct run *run = follow_from(&db, two_sql);

    sql_exec(db.source, "INSERT INTO a VALUES (10, 'before')");
    sql_wait_true(pair.dst, name, "SELECT max(id) = 10 FROM a", WAIT_MS);
    sql_execf(db.source, "UPDATE a SET v = 'with it'; %s; INSERT INTO b VALUES (10)", alter);
    pair_expect(run, 1, "PH-TABLE-CHANGED public.b");
    pair_expect(run, 1, way_out);
    pair_expect(follow(&db, "--until", "now"), 1, "PH-TABLE-CHANGED public.b");
    assert_string_equal(sql_value(db.target, "SELECT count(*) FROM a WHERE v = 'with it'"), "0");
    assert_string_equal(sql_value(db.target, "SELECT max(id) FROM b"), "9");
    pair_expect(pair_run(&db, "clean", "--name", name, "--yes"), 0, NULL);
    pair_db_end(&db);
}

static void
trap_14_shapes_that_do_not_fit(void **state)
{
    (void)state;
    shape("dropped", "ALTER TABLE b DROP v",
          "DROP TABLE (with CASCADE"); /* it_follow_ddl does so */
    shape("renamed", "ALTER TABLE b RENAME v TO w", "DROP TABLE (with CASCADE");
    shape("retyped", "ALTER TABLE b ALTER id TYPE bigint", "--restart");
}

/* What does not change the columns goes on by itself, however rows are to be found. */
static void
trap_14_shapes_that_fit(void **state)
{
    struct pair_db db = pair_db_new(&pair, "fits");
    struct run *run = follow_from(&db, two_sql);

    (void)state;
    sql_exec(db.source, "CREATE UNIQUE INDEX b_v ON b (v, id); ALTER TABLE b ALTER v SET NOT NULL;"
                        "UPDATE b SET v = 'default' WHERE id = 1;"
                        "ALTER TABLE b REPLICA IDENTITY FULL; UPDATE b SET v = 'full' WHERE id = 2;"
                        "DELETE FROM b WHERE id = 3;"
                        "ALTER TABLE b REPLICA IDENTITY USING INDEX b_v;"
                        "UPDATE b SET v = 'index' WHERE id = 4; UPDATE b SET id = 50 WHERE id = 5;"
                        "ALTER TABLE b REPLICA IDENTITY DEFAULT; DELETE FROM b WHERE id = 6;"
                        "BEGIN; UPDATE b SET v = 'one' WHERE id = 7; ALTER TABLE b REPLICA IDENTITY"
                        " FULL; UPDATE b SET v = 'two' WHERE id = 7; ALTER TABLE b REPLICA IDENTITY"
                        " DEFAULT; UPDATE b SET v = 'three', id = 70 WHERE id = 7; COMMIT;"
                        "CREATE SCHEMA other; ALTER TABLE a SET SCHEMA other;"
                        "INSERT INTO other.a VALUES (20, 'moved'); ALTER TABLE other.a SET SCHEMA"
                        " public; ALTER TABLE a RENAME TO c; UPDATE c SET v = 'c' WHERE id = 1;"
                        "ALTER TABLE c RENAME TO a; CLUSTER b USING b_pkey");
    sql_exec(db.source, "VACUUM FULL a");
    sql_exec(db.source, "UPDATE a SET v = v || '.'; UPDATE b SET v = v || '.'");
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    run_expect(follow(&db, "--until", "now"), 0);
    pair_same_table(&db, "a");
    pair_same_table(&db, "b");
    pair_db_end(&db);
}

/*
 * Groups that go a second time, change by change, with another reader of the spool: what a table
 * looks like is known by what was announced, not by where that lies in memory.
 */
static void
trap_14_announcements_of_two_readers(void **state)
{
    struct pair_db db = pair_db_new(&pair, "readers");

    (void)state;
    sql_exec(db.source, "CREATE TABLE u (id int PRIMARY KEY, v int UNIQUE, x int, y int);"
                        "INSERT INTO u SELECT i, i, i, i FROM generate_series(1, 100) i");
    struct run *run = follow(&db);
    run_wait_output(run, "applying changes", RUN_DEADLINE_MS);
    for (int i = 0; i < 30; i++) {
        sql_execf(db.source,
                  "BEGIN; UPDATE u SET v = -1 WHERE id = 1; UPDATE u SET v = v + %d WHERE id = 2;"
                  "UPDATE u SET v = %d WHERE id = 1; COMMIT; ALTER TABLE u REPLICA IDENTITY %s",
                  i % 2 == 0 ? -1 : 1, i % 2 == 0 ? 2 : 1, i % 2 == 0 ? "FULL" : "DEFAULT");
        sql_wait_true(pair.dst, "readers",
                      scratch_printf("SELECT v = %d FROM u WHERE id = 1", i % 2 == 0 ? 2 : 1),
                      WAIT_MS);
    }
    stops_and_ends_equal(&db, run);
    pair_db_end(&db);
}

/* ---- 21, 76, 87: killed at its commits ---- */

/* Ten accounts, whose sum is the same in every state of the source. */
static void
trap_21_killed_at_its_commits(void **state)
{
    static const char transfer[] =
        "BEGIN; UPDATE account SET balance = balance - 7 WHERE id = %d; UPDATE account SET"
        " balance = balance + 7 WHERE id = %d; INSERT INTO move (a, b) VALUES (%d, %d); COMMIT";
    struct pair_db db = pair_db_new(&pair, "commits");

    (void)state;
    sql_exec(db.source, "CREATE TABLE account (id int PRIMARY KEY, balance int);"
                        "INSERT INTO account SELECT i, 100 FROM generate_series(0, 9) i;"
                        "CREATE TABLE move (id serial PRIMARY KEY, a int, b int)");
    struct run *run = follow(&db);
    run_wait_output(run, "applying changes", RUN_DEADLINE_MS);
    run_kill(run);
    for (int n = 0; n < 24; n++) {
        const char *const env[] = {
            scratch_printf("PGHAUL_FAILPOINT=before_apply_commit=kill@%d", 1 + n % 5), NULL};
        db.env = env;
        run = follow(&db, "--ack", n % 2 == 0 ? "applied" : "spooled");
        db.env = NULL;
        for (int i = 0; run_alive(run); i++) {
            sql_execf(db.source, transfer, i % 10, (i + n) % 10, i % 10, (i + n) % 10);
            sql_exec(db.source, "SELECT pg_sleep(0.005)");
        }
        assert_int_equal(run_wait(run, RUN_DEADLINE_MS), -SIGKILL);
        assert_string_equal(sql_value(db.target,
                                      "SELECT sum(balance) = 1000 AND bool_and(balance = 100 +"
                                      " 7 * (SELECT count(*) FROM move WHERE b = account.id) -"
                                      " 7 * (SELECT count(*) FROM move WHERE a = account.id))"
                                      " FROM account"),
                            "t");
    }
    ends_equal(&db);
    pair_db_end(&db);
}

/* ---- 52, 53: what the target's standbys do not have is not acknowledged ---- */

static void
trap_53_target_waits_for_its_standby(void **state)
{
    static const char confirmed[] =
        "SELECT confirmed_flush_lsn >= '%s' FROM pg_replication_slots WHERE database = 'standby'";
    struct pair_db db = pair_db_new(&pair, "standby");

    (void)state;
    sql_exec(db.source, two_sql);
    struct run *run = follow(&db, "--ack", "applied");
    run_wait_output(run, "applying changes", RUN_DEADLINE_MS);
    sql_exec(db.source, "INSERT INTO a VALUES (53, 'first')");
    const char *first = sql_value(db.source, "SELECT pg_current_wal_flush_lsn()");
    sql_wait_true(pair.src, "standby", scratch_printf(confirmed, first), WAIT_MS);
    sql_exec(db.target, "ALTER SYSTEM SET synchronous_standby_names = 'nosuch'");
    sql_exec(db.target, "SELECT pg_reload_conf()");
    sql_exec(db.source, "INSERT INTO a VALUES (54, 'second')");
    const char *second = sql_value(db.source, "SELECT pg_current_wal_flush_lsn()");
    /* a group is durable now and then; its commit, or the one that makes it so, waits */
    sql_wait_true(pair.dst, "standby",
                  "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE"
                  " 'pghaul%apply' AND wait_event = 'SyncRep'",
                  WAIT_MS);
    for (int i = 0; i < 5; i++) {
        sql_execf(db.source, "INSERT INTO a VALUES (%d, 'more'); SELECT pg_sleep(0.3)", 60 + i);
        assert_string_equal(sql_valuef(db.source, confirmed, second), "f");
    }
    sql_exec(db.target, "SET synchronous_commit = local");
    sql_exec(db.target, "ALTER SYSTEM RESET synchronous_standby_names");
    sql_exec(db.target, "SELECT pg_reload_conf()");
    sql_wait_true(pair.src, "standby", scratch_printf(confirmed, second), WAIT_MS);
    stops_and_ends_equal(&db, run);
    pair_db_end(&db);
}

/* ---- 69, 75 ---- */

/* Twenty thousand updates of one row are written as few; no snapshot on the target grows old. */
static void
trap_69_75_hot_row(void **state)
{
    struct pair_db db = pair_db_new(&pair, "hot");
    struct run *run = follow_from(&db, two_sql);

    (void)state;
    sql_exec(db.source, "DO $$ BEGIN FOR i IN 1 .. 20000 LOOP UPDATE a SET v = i WHERE id = 1;"
                        " END LOOP; END $$");
    sql_wait_true(pair.dst, "hot", "SELECT v = '20000' FROM a WHERE id = 1", WAIT_MS);
    sql_wait_true(pair.dst, "hot",
                  "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pghaul%'"
                  " AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)",
                  WAIT_MS);
    sql_wait_true(pair.dst, "hot",
                  "SELECT n_tup_upd BETWEEN 1 AND 100 FROM pg_stat_user_tables WHERE relname = 'a'",
                  WAIT_MS);
    stops_and_ends_equal(&db, run);
    pair_db_end(&db);
}

/* ---- who may go on ---- */

/* A second run of the job is refused, wherever it is started. */
static void
two_runs_of_one_job(void **state)
{
    struct pair_db db = pair_db_new(&pair, "two_runs");
    struct pair_db other = db;
    struct run *run = follow_from(&db, two_sql);

    (void)state;
    other.dir = scratch_printf("%s/elsewhere", scratch_dir());
    pair_expect(follow(&db, "--until", "now"), 3, "PH-JOB-RUNNING");
    pair_expect(follow(&other, "--until", "now"), 3, "PH-JOB-RUNNING");
    sql_exec(db.source, "INSERT INTO a VALUES (100, 'goes on')");
    sql_wait_true(pair.dst, "two_runs", "SELECT count(*) = 1 FROM a WHERE id = 100", WAIT_MS);
    /* the first one hangs and loses its sessions: whoever goes on, it is not both */
    run_signal(run, SIGSTOP);
    sql_exec(db.target, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE"
                        " application_name LIKE 'pghaul%'");
    struct run *second = follow(&other, "--until", "now");
    run_wait(second, RUN_DEADLINE_MS);
    sql_exec(db.source, "INSERT INTO a VALUES (101, 'for one of them')");
    run_signal(run, SIGCONT);
    if (second->code != 0) {
        pair_expect(second, second->code, "PH-");
        sql_wait_true(pair.dst, "two_runs", "SELECT count(*) = 1 FROM a WHERE id = 101", WAIT_MS);
        stops_and_ends_equal(&db, run);
    } else { /* it went on and ended the job, which is done for the first one, too */
        run_wait(run, RUN_DEADLINE_MS);
        pair_same(&db, "SELECT * FROM a WHERE id <= 100 ORDER BY id");
        assert_string_equal(sql_value(db.target, "SELECT count(*) FROM a WHERE id > 100"), "0");
    }
    pair_db_end(&db);
}

/* A database that looks the same on another server is not the job's source. */
static void
another_system_is_refused(void **state)
{
    struct pair_db db = pair_db_new(&pair, "systems");
    struct run *run = follow_from(&db, two_sql);

    (void)state;
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    struct pg_test_cluster *other =
        pg_test_cluster_new(&(struct pg_test_params){.initdb = "--data-checksums"});
    sql_once(other, "postgres", "CREATE DATABASE systems");
    sql_once(other, "systems", two_sql);
    sql_once(other, "systems",
             "SELECT pg_create_logical_replication_slot('pghaul_systems', 'pgoutput')");
    sql_once(other, "systems", "CREATE PUBLICATION pghaul_systems FOR TABLE a, b");
    run = run_pghaul("copy", "--follow", "--name", "systems", "--source",
                     pg_test_conninfo(other, "systems"), "--target",
                     pg_test_conninfo(pair.dst, "systems"), "--dir", db.dir, "--until", "now");
    assert_int_not_equal(run->code, 0);
    pair_expect(run, run->code, "system");
    pg_test_cluster_stop(other);
    sql_exec(db.source, "UPDATE a SET v = 'the real one'");
    ends_equal(&db);
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_10_new_partition),
        cmocka_unit_test(trap_10_partition_that_is_left_out),
        cmocka_unit_test(trap_10_shared_target_of_one_snapshot),
        cmocka_unit_test(trap_13_publication_that_was_altered),
        cmocka_unit_test(trap_13_publication_that_was_made_again),
        cmocka_unit_test(trap_14_shapes_that_do_not_fit),
        cmocka_unit_test(trap_14_shapes_that_fit),
        cmocka_unit_test(trap_14_announcements_of_two_readers),
        cmocka_unit_test(trap_21_killed_at_its_commits),
        cmocka_unit_test(trap_53_target_waits_for_its_standby),
        cmocka_unit_test(trap_69_75_hot_row),
        cmocka_unit_test(two_runs_of_one_job),
        cmocka_unit_test(another_system_is_refused),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
