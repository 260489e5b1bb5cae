/*
 * Runs that go on where another one ended, in the ways in which a verdict could be wrong: other
 * options than before, another snapshot, a source that is written to meanwhile.
 */
/* labels: short */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/hold.h"
#include "support/pair.h"
#include "support/scratch.h"

#include <signal.h>
#include <string.h>

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new(NULL);
    return 0;
}

static const char *const *
failpoint(const char *spec)
{
    static const char *env[2];

    env[0] = scratch_printf("PGHAUL_FAILPOINT=%s", spec);
    return env;
}

/* The holder's session, not the mover's: the snapshot is lost. */
static void
lose_snapshot(struct pair_db *db)
{
    assert_int_equal(sql_int(db->source,
                             "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE"
                             " application_name LIKE '%holder' AND datname = current_database()"),
                     1);
}

/* ---- options that change ---- */

/* Tables that nobody read back are not proven by a later run that wants it. */
static void
test_verify_wanted_later(void **state)
{
    struct pair_db db = pair_db_new(&pair, "wanted_later");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY);"
                        "INSERT INTO t SELECT generate_series(1, 1000)");
    db.env = failpoint("before_restore=kill");
    pair_expect(pair_copy(&db, "--verify", "none"), -SIGKILL, NULL);
    sql_exec(db.target, "DELETE FROM t WHERE id = 17");
    db.env = NULL;
    pair_expect(pair_copy(&db, "--verify", "digest"), 4, "17");
    pair_db_end(&db);

    db = pair_db_new(&pair, "wanted_later_equal");
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY);"
                        "INSERT INTO t SELECT generate_series(1, 1000)");
    db.env = failpoint("before_restore=kill");
    pair_expect(pair_copy(&db, "--verify", "none"), -SIGKILL, NULL);
    db.env = NULL;
    pair_expect(pair_copy(&db, "--verify", "digest"), 0, "proven");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pghaul.tbl WHERE verified"), 1);
    pair_db_end(&db);
}

/* The proof of a run that starts there, with a table that differs. */
static void
test_proof_is_resumed(void **state)
{
    struct pair_db db = pair_db_new(&pair, "proof_resumed");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS"
                        " (id * 2) STORED);"
                        "INSERT INTO t SELECT generate_series(1, 1000)");
    db.env = failpoint("after_verdict=kill");
    pair_expect(pair_copy(&db, "--jobs", "2"), -SIGKILL, NULL);
    sql_exec(db.target, "DELETE FROM t WHERE id = 17;"
                        "UPDATE pghaul.job SET phase = 'verify', verdict = '';"
                        "UPDATE pghaul.tbl SET verified = false, target_digest = '999:00'");
    db.env = NULL;
    pair_expect(pair_copy(&db, "--jobs", "2"), 4, "17");
    pair_db_end(&db);
}

#define HOLDERS(n)                                                                                 \
    "SELECT count(*) = " n " FROM pg_stat_activity WHERE application_name LIKE '%holder'"          \
    " AND datname = current_database()"

/* The holder of a job that starts over ends, however fast the next one begins. */
static void
test_one_holder_after_restart(void **state)
{
    struct pair_db db = pair_db_new(&pair, "one_holder");

    (void)state;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY)");
    sql_exec(db.source, "INSERT INTO t SELECT generate_series(1, 10)");
    db.env = failpoint("before_restore=kill");
    pair_expect(pair_copy(&db, "--data-only"), -SIGKILL, NULL);
    sql_wait_true(pair.src, db.name, HOLDERS("1"), 60000);
    db.env = failpoint("before_restore=sleep:600000");
    struct run *run = pair_start_args(
        &db, "copy",
        (const char *const[]){"--data-only", "--truncate", "--restart", "--yes", NULL});
    sql_wait_true(pair.dst, db.name,
                  "SELECT count(*) > 0 FROM pghaul.chunk WHERE state = 'done' AND epoch = 1",
                  60000);
    sql_wait_true(pair.src, db.name, HOLDERS("1"), 60000);
    run_kill(run);
    (void)run_wait(run, 60000);
    db.env = NULL;
    pair_expect(pair_copy(&db, "--data-only"), 0, "proven");
    sql_wait_true(pair.src, db.name, HOLDERS("0"), 60000);
    pair_db_end(&db);
}

/* ---- several source tables in one target ---- */

/* What shares a target is emptied together with its receipts, or not at all. */
static void
test_shared_target_starts_again(void **state)
{
    struct pair_db db = pair_db_new(&pair, "shared");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
                        "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (45000);"
                        "CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (45000) TO (99999);"
                        "INSERT INTO t SELECT i, repeat('v', 200) FROM generate_series(1, 98000) i;"
                        "ANALYZE");
    sql_exec(db.target, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    /* t_2 is larger and goes first: all of its chunks are in, and some of t_1 */
    db.env = failpoint("after_commit=kill@2");
    pair_expect(pair_copy(&db, "--data-only", "--jobs", "1", "--split", "1MB"), -SIGKILL, NULL);
    assert_string_equal(sql_rows(db.target,
                                 "SELECT source_name, bool_and(state = 'done'), bool_or(state ="
                                 " 'done') FROM pghaul.chunk JOIN pghaul.tbl USING (job, tbl)"
                                 " GROUP BY 1 ORDER BY 1"),
                        "t_1|f|t\nt_2|t|t\n");
    lose_snapshot(&db);
    /* in the second one of two transactions, if there were two */
    db.env = failpoint("after_table_emptied=kill@2");
    struct run *run = pair_copy(&db, "--data-only", "--jobs", "1", "--split", "1MB");
    if (run->code == -SIGKILL) {
        db.env = NULL;
        run = pair_copy(&db, "--data-only", "--jobs", "1", "--split", "1MB");
    }
    pair_expect(run, 0, "proven");
    pair_same(&db, "SELECT * FROM t ORDER BY id");
    pair_db_end(&db);
}

/* TRAPS 66: a late commit of a run under another snapshot must not complete a table. */
static void
test_table_of_two_snapshots(void **state)
{
    struct pair_db db = pair_db_new(&pair, "two_snapshots");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY, v text);"
                        "INSERT INTO t SELECT i, repeat('v', 200) FROM generate_series(1, 9000) i;"
                        "ANALYZE");
    db.env = failpoint("before_restore=kill");
    pair_expect(pair_copy(&db, "--split", "1MB"), -SIGKILL, NULL);
    sql_exec(db.target, "UPDATE pghaul.chunk SET epoch = 7 WHERE chunk = 0;"
                        "UPDATE pghaul.job SET phase = 'rows'");
    db.env = NULL;
    pair_expect(pair_copy(&db, "--jobs", "2"), 0, "proven");
    assert_int_equal(sql_int(db.target, "SELECT count(DISTINCT epoch) FROM pghaul.chunk"), 1);
    pair_same_table(&db, "t");
    pair_db_end(&db);
}

/*
 * Each table is of one snapshot, but they do not fit together: the way out says so. Where keys are
 * enforced while rows go in, tables that they bind start again together.
 */
static void
test_snapshots_do_not_fit(void **state)
{
    struct pair_db db = pair_db_new(&pair, "do_not_fit");

    (void)state;
    sql_exec(db.source, "CREATE TABLE p (id int PRIMARY KEY);"
                        "CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p, v text);"
                        "INSERT INTO p SELECT generate_series(1, 100);"
                        "INSERT INTO c SELECT i, i % 100 + 1, repeat('v', 200) FROM"
                        " generate_series(1, 40000) i; ANALYZE");
    /* c is larger and goes first, in a lot of its own */
    db.env = failpoint("after_commit=kill@1");
    pair_expect(pair_copy(&db, "--jobs", "1"), -SIGKILL, NULL);
    lose_snapshot(&db);
    sql_exec(db.source, "DELETE FROM c WHERE p = 5; DELETE FROM p WHERE id = 5");
    db.env = NULL;
    struct run *run = pair_copy(&db, "--jobs", "1");
    pair_expect(run, 1, "PH-CONSTRAINT");
    pair_expect(run, 1, "--restart --yes");
    pair_db_end(&db);

    /* the same where the key is enforced while rows go in: parents first */
    db = pair_db_new(&pair, "do_not_fit_enforced");
    pair_both(&db, "CREATE TABLE p (id int PRIMARY KEY);"
                   "CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p)");
    sql_exec(db.source, "INSERT INTO p SELECT generate_series(1, 100);"
                        "INSERT INTO c SELECT i, i % 100 + 1 FROM generate_series(1, 400) i");
    sql_exec(db.target, "CREATE ROLE mover LOGIN; ALTER TABLE p OWNER TO mover;"
                        "ALTER TABLE c OWNER TO mover;"
                        "GRANT CREATE ON DATABASE do_not_fit_enforced TO mover");
    db.target_user = "mover";
    db.env = failpoint("after_commit=kill@1");
    pair_expect(pair_copy(&db, "--data-only", "--jobs", "1"), -SIGKILL, NULL);
    lose_snapshot(&db);
    sql_exec(db.source, "INSERT INTO p VALUES (101); INSERT INTO c VALUES (401, 101)");
    db.env = NULL;
    pair_expect(pair_copy(&db, "--data-only", "--jobs", "1"), 0, "proven");
    pair_same_table(&db, "p");
    pair_same_table(&db, "c");
    pair_db_end(&db);
}

/* ---- a source that is written to ---- */

/* What the application does after the snapshot makes no difference. */
static void
test_source_goes_on(void **state)
{
    struct pair_db db = pair_db_new(&pair, "goes_on");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id serial PRIMARY KEY, v text);"
                        "INSERT INTO t (v) SELECT 'v' FROM generate_series(1, 100);"
                        "SELECT lo_from_bytea(1000, 'before')");
    db.env = hold_at("before_restore");
    struct run *run = pair_start_args(&db, "copy", (const char *const[]){NULL});
    hold_wait(run);
    sql_exec(db.source, "INSERT INTO t (v) VALUES ('later');"
                        "SELECT lo_put(1000, 0, 'AFTER!');"
                        "SELECT lo_from_bytea(1001, 'new')");
    hold_release();
    pair_expect(run, 0, "proven");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM t"), 100);
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verify_wanted_later),
        cmocka_unit_test(test_proof_is_resumed),
        cmocka_unit_test(test_one_holder_after_restart),
        cmocka_unit_test(test_shared_target_starts_again),
        cmocka_unit_test(test_table_of_two_snapshots),
        cmocka_unit_test(test_snapshots_do_not_fit),
        cmocka_unit_test(test_source_goes_on),
    };

    return cmocka_run_group_tests_name("resume", tests, start, NULL);
}
