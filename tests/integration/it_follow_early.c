/*
 * Large transactions are applied while they still arrive: with savepoints, interleaved with small
 * ones, rolled back, killed in the middle, in the way of others. In the end both sides are equal,
 * by plain SQL; that it went the early way is what the status says.
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
#define MEMORY_KB (64L << 10)

static struct pair pair;

static const char tables_sql[] =
    "CREATE TABLE t (id int PRIMARY KEY, v text, n int DEFAULT 0);"
    "CREATE TABLE small (id serial PRIMARY KEY, v text);"
    "CREATE TABLE note (a int, v text); ALTER TABLE note REPLICA IDENTITY FULL;"
    "INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 1000) g;"
    "INSERT INTO note SELECT 1, 'twice' FROM generate_series(1, 2)";

static int
start(void **state)
{
    static const struct pg_test_params source = {
        .conf = "autovacuum = off\nlogical_decoding_work_mem = 64kB\nmax_connections = 120\n"};
    static const struct pg_test_params target = {.conf = "autovacuum = off\n"};

    (void)state;
    pg_test_pair_new(&source, &target, &pair.src, &pair.dst);
    return 0;
}

static struct pair_db
new_db(const char *name)
{
    struct pair_db db = pair_db_new(&pair, name);

    sql_exec(db.source, tables_sql);
    return db;
}

#define follow(db, ...)                                                                            \
    follow_args(db, (const char *const[]){"--follow", "--name", (db)->name, ##__VA_ARGS__, NULL})

static struct run *
follow_args(struct pair_db *db, const char *const *args)
{
    struct run *run = pair_start_args(db, "copy", args);

    run_wait_output(run, "applying changes", WAIT_MS);
    return run;
}

/* Its early session has changed something and waits for more, in another transaction than that. */
static void
wait_early_anew(const struct pair_db *db, const char *xid)
{
    sql_wait_true(
        pair.dst, db->name,
        scratch_printf("SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = '%s' AND"
                       " application_name LIKE '%%apply early' AND backend_xid::text <> '%s'"
                       " AND state = 'idle in transaction'",
                       db->name, xid),
        WAIT_MS);
}

static void
wait_early(const struct pair_db *db)
{
    wait_early_anew(db, "");
}

static const char *
early_xid(const struct pair_db *db)
{
    return sql_value(db->target, "SELECT backend_xid FROM pg_stat_activity WHERE datname ="
                                 " current_database() AND application_name LIKE '%apply early'");
}

/* The same, and it has come to that table. */
static void
wait_early_on(const struct pair_db *db, const char *table)
{
    sql_wait_true(pair.dst, db->name,
                  scratch_printf("SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING"
                                 " (pid) WHERE application_name LIKE '%%apply early' AND mode ="
                                 " 'RowExclusiveLock' AND relation = '%s'::regclass AND state ="
                                 " 'idle in transaction'",
                                 table),
                  WAIT_MS);
}

/* Everything committed so far is on the target. */
static void
wait_applied(struct pair_db *db)
{
    const char *id = sql_value(db->source, "INSERT INTO small (v) VALUES ('seen') RETURNING id");

    sql_wait_true(pair.dst, db->name,
                  scratch_printf("SELECT count(*) = 1 FROM small WHERE id = %s", id), WAIT_MS);
}

/* Transactions of this run that were applied early, and that were begun so. */
static void
wait_counts(const struct pair_db *db, int early, int left)
{
    sql_wait_true(pair.dst, db->name,
                  scratch_printf("SELECT (state #>> '{follow,early}')::int = %d AND"
                                 " (state #>> '{follow,early_left}')::int = %d FROM"
                                 " pghaul.progress",
                                 early, left),
                  WAIT_MS);
}

static void
ends_equal(struct pair_db *db, struct run *run)
{
    wait_applied(db);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    run_expect(pair_copy(db, "--follow", "--name", db->name, "--until", "now"), 0);
    same_rows(pair.src, db->name, pair.dst, db->name);
    same_no_sessions(pair.dst);
    pair_db_end(db);
}

/* ---- it works ---- */

/* TRAPS 80: the large one changes what small ones commit while it runs, and they go on. */
static void
trap_80_among_small_ones(void **state)
{
    struct pair_db db = new_db("among");
    struct run *run = follow(&db);
    PGconn *large = sql_connect(pair.src, db.name);

    (void)state;
    sql_exec(large, "BEGIN; INSERT INTO t SELECT g, 'large' FROM generate_series(10001, 20000) g");
    wait_early(&db);
    for (int i = 0; i < 5; i++) {
        int first = 100000 + i * 10;
        sql_execf(db.source, "INSERT INTO t SELECT g, 'small' FROM generate_series(%d, %d) g",
                  first, first + 9);
        sql_execf(db.source, "UPDATE t SET n = n + 1 WHERE id BETWEEN %d AND 500", i * 100 + 1);
        sql_execf(large, "UPDATE t SET v = 'taken' WHERE id BETWEEN %d AND %d", first, first + 4);
        sql_execf(large, "DELETE FROM t WHERE id = %d", first + 5);
        sql_execf(large, "UPDATE t SET v = v || %d WHERE id BETWEEN 10001 AND 12000", i);
        sql_exec(large,
                 "UPDATE t SET id = id + 1000000 WHERE id BETWEEN 600 AND 700 OR id > 1000000");
        wait_applied(&db);
        wait_early(&db);
    }
    sql_exec(large, "COMMIT");
    wait_counts(&db, 1, 0);
    sql_exec(db.source, "UPDATE t SET n = n + 1");
    PQfinish(large);
    ends_equal(&db, run);
}

/* TRAPS 16: subtransactions that are rolled back after their changes were applied. */
static void
with_savepoints(void **state)
{
    struct pair_db db = new_db("savepoints");
    struct run *run = follow(&db);
    PGconn *large = sql_connect(pair.src, db.name);

    (void)state;
    sql_exec(large,
             "BEGIN; INSERT INTO t SELECT g, 'top' FROM generate_series(10001, 13000) g;"
             "SAVEPOINT a; UPDATE t SET v = 'a' WHERE id < 12000;"
             "SAVEPOINT b; INSERT INTO t SELECT g, 'b' FROM generate_series(13001, 16000) g");
    wait_early(&db);
    sql_exec(large, "ROLLBACK TO b");
    /* what it had locked is free again on the source, so it has to be on the target */
    sql_exec(db.source, "INSERT INTO t SELECT g, 'other' FROM generate_series(13001, 13010) g");
    wait_applied(&db);
    sql_exec(large, "INSERT INTO t SELECT g, 'again' FROM generate_series(14001, 16000) g;"
                    "SAVEPOINT c; DELETE FROM t WHERE id BETWEEN 14001 AND 15000; RELEASE c;"
                    "SAVEPOINT d; DELETE FROM t WHERE id BETWEEN 10001 AND 11000");
    wait_applied(&db);
    sql_exec(large, "ROLLBACK TO a");
    sql_exec(db.source, "UPDATE t SET n = 7 WHERE id < 900");
    wait_applied(&db);
    sql_exec(large, "UPDATE t SET v = 'last' WHERE id > 500 AND id <> 13001; COMMIT");
    wait_counts(&db, 1, 0);
    PQfinish(large);
    ends_equal(&db, run);
}

/* TRAPS 16, 17: far more of them than there are savepoints on the target, half of them rolled back.
 */
static void
with_many_subtransactions(void **state)
{
    static const char loop[] =
        "DO $$ BEGIN FOR i IN %d..%d LOOP BEGIN"
        " INSERT INTO t SELECT i * 100 + g, repeat(i::text, 20) FROM generate_series(1, 40) g;"
        " UPDATE t SET n = i WHERE id %% 50 = i %% 50;"
        " IF i %% 2 = 0 THEN RAISE 'no'; END IF;"
        " EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END $$";
    struct pair_db db = new_db("many");
    struct run *run = follow(&db);
    PGconn *large = sql_connect(pair.src, db.name);

    (void)state;
    sql_execf(large, "BEGIN");
    sql_execf(large, loop, 1000, 1040);
    sql_exec(large, "SAVEPOINT outer_one");
    wait_early(&db);
    for (int i = 0; i < 10; i++) {
        sql_execf(large, loop, 1100 + i * 20, 1119 + i * 20);
        wait_applied(&db);
    }
    sql_exec(large, "ROLLBACK TO outer_one");
    wait_applied(&db);
    for (int i = 0; i < 10; i++) {
        sql_execf(large, loop, 2100 + i * 20, 2119 + i * 20);
        wait_applied(&db);
    }
    sql_exec(large, "COMMIT");
    wait_counts(&db, 1, 0);
    PQfinish(large);
    ends_equal(&db, run);
}

/*
 * What was rolled back with a savepoint is told one by one: meanwhile changes are not taken again
 * on rows that are not there any more.
 */
static void
with_descendants_told_one_by_one(void **state)
{
    static const char *const env[] = {"PGHAUL_FAILPOINT=early_rollback_alone=error", NULL};
    struct pair_db db = new_db("descendants");

    (void)state;
    db.env = env;
    struct run *run = follow(&db);
    PGconn *large = sql_connect(pair.src, db.name);
    sql_exec(large, "BEGIN; INSERT INTO t SELECT g, 'stays' FROM generate_series(10001, 14000) g;"
                    "SAVEPOINT a; SAVEPOINT b; INSERT INTO t SELECT g, 'goes' FROM"
                    " generate_series(20001, 24000) g; RELEASE b; SAVEPOINT c; UPDATE t SET v ="
                    " 'went' WHERE id > 20000; RELEASE c");
    wait_early(&db);
    wait_applied(&db);
    sql_exec(large, "ROLLBACK TO a; INSERT INTO t SELECT g, 'came' FROM"
                    " generate_series(20001, 22000) g; COMMIT");
    wait_counts(&db, 1, 0);
    PQfinish(large);
    ends_equal(&db, run);
}

/* TRAPS 16: all of a transaction. */
static void
rolled_back(void **state)
{
    struct pair_db db = new_db("rolled_back");
    struct run *run = follow(&db);
    PGconn *large = sql_connect(pair.src, db.name);

    (void)state;
    sql_exec(large, "BEGIN; UPDATE t SET v = 'no'; INSERT INTO t SELECT g, 'no' FROM"
                    " generate_series(10001, 20000) g");
    wait_early(&db);
    sql_exec(large, "ROLLBACK");
    sql_exec(db.source,
             "UPDATE t SET v = 'yes' WHERE id < 100; INSERT INTO t VALUES (10001, 'yes')");
    wait_applied(&db);
    /* its connection is lost: all of it comes once more */
    sql_exec(large, "BEGIN; UPDATE t SET v = 'twice'; INSERT INTO t SELECT g, 'twice' FROM"
                    " generate_series(20001, 30000) g");
    wait_early(&db);
    const char *xid = early_xid(&db);
    sql_exec(db.source, "SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
    wait_applied(&db);
    wait_early_anew(&db, xid);
    sql_exec(large, "COMMIT");
    wait_counts(&db, 1, 0);
    PQfinish(large);
    ends_equal(&db, run);
}

/* Where the target enforces keys, what the source has deferred waits here as well. */
static void
checks_wait(void **state)
{
    struct pair_db db = new_db("checks_wait");

    (void)state;
    sql_once(pair.dst, "postgres", "CREATE ROLE mover LOGIN");
    sql_execf(db.target, "ALTER DATABASE \"%s\" OWNER TO mover; ALTER SCHEMA public OWNER TO mover",
              db.name);
    db.target_user = "mover";
    sql_exec(db.source, "CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t DEFERRABLE)");
    struct run *run = follow(&db, "--no-owner", "--no-acl");
    PGconn *large = sql_connect(pair.src, db.name);
    sql_exec(large, "BEGIN; SET CONSTRAINTS ALL DEFERRED;"
                    "INSERT INTO child SELECT g, g FROM generate_series(10001, 20000) g");
    wait_early(&db);
    sql_exec(large, "INSERT INTO t SELECT g, 'late' FROM generate_series(10001, 20000) g; COMMIT");
    wait_counts(&db, 1, 0);
    PQfinish(large);
    wait_applied(&db);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    pair_same_table(&db, "child");
    pair_same_table(&db, "t");
    pair_db_end(&db);
}

/* ---- it does not ---- */

static void
in_the_way(void **state)
{
    struct pair_db db = new_db("in_the_way");
    struct run *run = follow(&db);
    PGconn *large = sql_connect(pair.src, db.name);

    (void)state;
    /* two equal rows: which of them it was the stream does not say */
    sql_exec(large, "BEGIN; INSERT INTO t SELECT g, 'large' FROM generate_series(10001, 20000) g;"
                    "DELETE FROM note WHERE ctid = (SELECT max(ctid) FROM note);"
                    "INSERT INTO t SELECT g, 'large' FROM generate_series(20001, 30000) g");
    wait_early_on(&db, "note");
    sql_exec(db.source, "DELETE FROM note WHERE ctid = (SELECT min(ctid) FROM note)");
    wait_applied(&db);
    wait_counts(&db, 0, 1);
    sql_exec(large, "UPDATE t SET v = 'end' WHERE id > 25000; COMMIT");
    wait_applied(&db);
    wait_counts(&db, 0, 1);
    PQfinish(large);
    ends_equal(&db, run);
}

static void
conflicts(void **state)
{
    struct pair_db db = new_db("conflicts");
    struct run *run = follow(&db, "--on-conflict", "skip");
    PGconn *large = sql_connect(pair.src, db.name);

    (void)state;
    sql_exec(db.target, "INSERT INTO t VALUES (15000, 'not the source''s')");
    sql_exec(db.target, "DELETE FROM t WHERE id = 17");
    sql_exec(large, "BEGIN; UPDATE t SET v = 'gone' WHERE id < 30;"
                    "INSERT INTO t SELECT g, 'large' FROM generate_series(10001, 20000) g");
    wait_applied(&db);
    sql_exec(large, "COMMIT");
    wait_applied(&db);
    assert_string_equal(sql_value(db.target, "SELECT count(*) || ' ' || count(*) FILTER (WHERE v ="
                                             " 'large') FROM t"),
                        "10999 9999");
    sql_wait_true(pair.dst, db.name,
                  "SELECT state #>> '{follow,conflicts}' = '2' AND state #>> '{follow,early}' = '0'"
                  " FROM pghaul.progress",
                  WAIT_MS);
    PQfinish(large);
    sql_exec(db.target, "UPDATE t SET v = 'large' WHERE id = 15000");
    sql_exec(db.target, "INSERT INTO t VALUES (17, 'gone')");
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    pair_same_table(&db, "t");
    pair_db_end(&db);
}

/* TRUNCATE would lock its table on the target for as long as the transaction runs. */
static void
truncates(void **state)
{
    struct pair_db db = new_db("truncates");
    struct run *run = follow(&db);
    PGconn *large = sql_connect(pair.src, db.name);

    (void)state;
    sql_exec(large, "BEGIN; INSERT INTO t SELECT g, 'large' FROM generate_series(10001, 20000) g");
    wait_early(&db);
    sql_exec(large, "TRUNCATE t; INSERT INTO t SELECT g, 'new' FROM generate_series(1, 20000) g");
    wait_applied(&db);
    wait_counts(&db, 0, 1);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM t"), 1000);
    sql_exec(large, "COMMIT");
    PQfinish(large);
    ends_equal(&db, run);
}

/* ---- kills ---- */

static void
killed(void **state)
{
    static const char *const failpoints[] = {"after_early_part=kill", "before_apply_commit=kill"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct pair_db db = new_db(scratch_printf("killed_%zu", i));
        struct run *first = follow(&db);
        if (i == 1) /* nothing is left that the next run would commit before */
            wait_applied(&db);
        run_signal(first, SIGTERM);
        run_expect(first, 5);
        const char *const env[] = {scratch_printf("PGHAUL_FAILPOINT=%s", failpoints[i]), NULL};
        db.env = env;
        struct run *run = follow(&db);
        PGconn *large = sql_connect(pair.src, db.name);
        sql_exec(large, "BEGIN; UPDATE t SET n = n + 1");
        for (int part = 0; part < 4 && run_alive(run); part++) {
            sql_execf(large, "INSERT INTO t SELECT g, 'part' FROM generate_series(%d, %d) g",
                      10000 + part * 3000, 12999 + part * 3000);
            if (i == 0)
                run_wait(run, RUN_DEADLINE_MS);
            else
                wait_early(&db);
        }
        sql_exec(large, "COMMIT");
        PQfinish(large);
        run_wait(run, RUN_DEADLINE_MS);
        assert_int_equal(run->code, -SIGKILL);
        assert_int_equal(sql_int(db.target, "SELECT count(*) FROM t"), 1000);
        db.env = NULL;
        ends_equal(&db, follow(&db));
    }
}

/* ---- many at a time ---- */

#define AT_ONCE 50

static void
many_at_once(void **state)
{
    struct pair_db db = new_db("at_once");
    struct run *run = follow(&db);
    PGconn *large[AT_ONCE];

    (void)state;
    for (int i = 0; i < AT_ONCE; i++) {
        large[i] = sql_connect(pair.src, db.name);
        sql_exec(large[i], "BEGIN");
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < AT_ONCE; i++) {
            int first = 10000 + (i * 3 + round) * 10000;
            sql_execf(large[i],
                      "INSERT INTO t SELECT g, repeat(md5(g::text), 10) FROM"
                      " generate_series(%d, %d) g",
                      first, first + 2499);
        }
        wait_early(&db);
    }
    for (int i = 0; i < AT_ONCE; i++) {
        sql_exec(large[i], i % 7 == 3 ? "ROLLBACK" : "COMMIT");
        PQfinish(large[i]);
    }
    wait_applied(&db);
    sql_wait_true(pair.dst, db.name,
                  "SELECT (state #>> '{follow,early}')::int >= 1 FROM pghaul.progress", WAIT_MS);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    run_expect_memory(run, MEMORY_KB);
    ends_equal(&db, follow(&db));
}

static void
insert_megabytes(PGconn *conn, int first, int mb)
{
    sql_execf(conn,
              "INSERT INTO t SELECT g, (SELECT string_agg(md5(g || ' ' || i), '') FROM"
              " generate_series(1, 3200) i) FROM generate_series(%d, %d) g",
              first, first + mb * 10 - 1);
}

/*
 * The spool has room for one of these, and not for what is void besides: because the connection was
 * lost, or by a rollback. Nothing else is committed that would make room.
 */
static void
with_little_room(void **state)
{
    struct pair_db db = new_db("room");
    struct run *run = follow(&db, "--spool-limit", "64MB");
    PGconn *large = sql_connect(pair.src, db.name);

    (void)state;
    sql_exec(db.source, "ALTER TABLE t ALTER v SET STORAGE EXTERNAL");
    wait_applied(&db);
    for (int i = 0; i < 2; i++) {
        sql_exec(large, "BEGIN");
        insert_megabytes(large, 10001 + 1000 * i, 38);
        wait_early(&db);
        sql_wait_true(pair.dst, db.name,
                      "SELECT (state #>> '{follow,spool_bytes}')::bigint > 36000000 FROM"
                      " pghaul.progress",
                      WAIT_MS);
        if (i == 0) {
            sql_exec(db.source, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
                                " WHERE active AND database = current_database()");
        } else {
            sql_exec(large, "ROLLBACK; BEGIN");
            insert_megabytes(large, 10001 + 1000 * i, 38);
        }
        sql_exec(large, "COMMIT");
        wait_applied(&db);
    }
    PQfinish(large);
    ends_equal(&db, run);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_80_among_small_ones),
        cmocka_unit_test(with_savepoints),
        cmocka_unit_test(with_many_subtransactions),
        cmocka_unit_test(with_descendants_told_one_by_one),
        cmocka_unit_test(rolled_back),
        cmocka_unit_test(checks_wait),
        cmocka_unit_test(in_the_way),
        cmocka_unit_test(conflicts),
        cmocka_unit_test(truncates),
        cmocka_unit_test(killed),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(with_little_room),
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
