/*
 * `pghaul verify` of a job that follows, while its source is written to: what is equal is never
 * called different, what is different is found and named, and neither side holds up the other when
 * it is killed.
 */
/* timeout: 1200 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/bank.h"
#include "support/hold.h"
#include "support/pair.h"
#include "support/same.h"
#include "support/scratch.h"
#include "support/workload.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 60000

static struct pair pair;

/* Rows move between the ranges of a key, keys change, and one table has none. */
static const char tables_sql[] =
    "CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL, pad text);"
    "INSERT INTO account SELECT g, 100, repeat('x', 300) FROM generate_series(1, 20000) g;"
    "CREATE TABLE move (id bigserial PRIMARY KEY, a int REFERENCES account, b int, amount int);"
    "CREATE TABLE place (id int PRIMARY KEY, t text);"
    "INSERT INTO place SELECT g * 2, 'here' FROM generate_series(1, 40000) g;"
    "CREATE TABLE note (a int, t text); ALTER TABLE note REPLICA IDENTITY FULL;"
    "INSERT INTO note SELECT g, 'first' FROM generate_series(1, 500) g";

static const char transfer_sql[] =
    "\\set a random(1, 20000)\n\\set b random(1, 20000)\n\\set n random(1, 50)\n"
    "\\set p random(1, 120000)\nBEGIN;\n"
    "UPDATE account SET balance = balance - :n WHERE id = :a;\n"
    "UPDATE account SET balance = balance + :n WHERE id = :b;\n"
    "INSERT INTO move (a, b, amount) VALUES (:a, :b, :n);\n"
    "UPDATE place SET id = 120001 - id WHERE id IN (SELECT id FROM place WHERE id >= :p LIMIT 1)"
    " AND NOT EXISTS (SELECT FROM place q WHERE q.id = 120001 - place.id);\n"
    "UPDATE note SET t = 'moved ' || :n WHERE ctid IN (SELECT ctid FROM note WHERE a = :p / 240 "
    "LIMIT 1);"
    "\nCOMMIT;\n";

static int
start(void **state)
{
    static const struct pg_test_params params = {.conf = WORKLOAD_CONF};

    (void)state;
    pg_test_pair_new(&params, &params, &pair.src, &pair.dst);
    scratch_write("transfer.sql", transfer_sql);
    return 0;
}

static struct pair_db
new_db(const char *name)
{
    struct pair_db db = pair_db_new(&pair, name);

    sql_exec(db.source, tables_sql);
    return db;
}

static struct run *
write_to(const struct pair_db *db)
{
    const char *const argv[] = {"pgbench",
                                "-n",
                                "-c",
                                "4",
                                "-R",
                                "300",
                                "-T",
                                "600",
                                "-f",
                                scratch_printf("%s/transfer.sql", scratch_dir()),
                                pg_test_conninfo(pair.src, db->name),
                                NULL};

    return run_start_copy(NULL, argv);
}

/* A copy that follows by now. */
static struct run *
follow(struct pair_db *db)
{
    struct run *run =
        pair_start_args(db, "copy", (const char *const[]){"--follow", "--name", db->name, NULL});

    sql_wait_true(
        pair.dst, db->name,
        scratch_printf("SELECT j.phase = 'follow' AND p.state ? 'follow' AND p.at > r.started"
                       " FROM pghaul.job j JOIN pghaul.progress p USING (job)"
                       " JOIN pghaul.run r ON r.job = j.job AND r.run = j.run AND r.pid = %d",
                       (int)run->pid),
        WAIT_MS);
    return run;
}

#define verify(db, ...) pair_run(db, "verify", "--name", (db)->name, ##__VA_ARGS__)

static void
wait_more_applied(const struct pair_db *db)
{
    const char *now = sql_once(pair.src, db->name, "SELECT count(*) FROM move");

    sql_wait_true(pair.dst, db->name,
                  scratch_printf("SELECT count(*) > %ld FROM move", strtol(now, NULL, 10)),
                  WAIT_MS);
}

static void
end(struct pair_db *db, struct run *run, struct run *writers)
{
    run_kill(writers);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    pair_db_end(db);
}

/* ---- what is equal ---- */

static void
trap_59_nothing_differs(void **state)
{
    struct pair_db db = new_db("equal");
    struct run *writers = write_to(&db);
    struct run *run = follow(&db);

    (void)state;
    for (int round = 0; round < (scratch_is_long() ? 5 : 3); round++) {
        struct run *check = verify(&db);
        pair_expect(check, 0, "source and target agree");
        pair_expect(check, 0, "while the job follows");
    }
    pair_expect(verify(&db, "--verify", "count"), 0, "source and target agree");
    wait_more_applied(&db);
    assert_true(run_alive(run) && run_alive(writers));
    end(&db, run, writers);
}

/* A table at a time in ranges of its key, each at a fence of its own. */
static void
nothing_differs_in_ranges(void **state)
{
    struct pair_db db = new_db("ranges");
    struct run *writers = write_to(&db);
    struct run *run = follow(&db);

    (void)state;
    for (int round = 0; round < 3; round++) {
        struct run *check = verify(&db, "--split", "1MB");
        pair_expect(check, 0, "source and target agree");
        const char *at = strstr(run_err(check), "were read at ");
        if (at == NULL)
            at = strstr(run_out(check), "were read at ");
        assert_non_null(at);
        assert_true(strtol(at + strlen("were read at "), NULL, 10) >= 3);
    }
    end(&db, run, writers);
}

/* Prepared transactions, savepoints and transactions that are streamed while they run. */
static void
nothing_differs_of_money(void **state)
{
    struct pair_db db = pair_db_new(&pair, "money");

    (void)state;
    bank_make(pair.src, "money");
    struct bank *bank = bank_begin(pair.src, "money", 11);
    struct run *run = follow(&db);
    for (int round = 0; round < (scratch_is_long() ? 5 : 3); round++)
        pair_expect(verify(&db), 0, "source and target agree");
    bank_end(bank);
    assert_true(bank_transfers(bank) > 0);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    pair_db_end(&db);
}

/*
 * A commit that waits for a standby is in the stream, and on the target, but not visible on the
 * source: until it is, there is no position that is what the source shows.
 */
static void
a_commit_that_is_not_visible(void **state)
{
    static const struct pg_test_params waiting = {
        .conf = WORKLOAD_CONF "synchronous_standby_names = 'nosuch'\nsynchronous_commit = local\n"};
    struct pair with_waiting = {pg_test_cluster_new(&waiting), pair.dst};
    struct pair_db db = pair_db_new(&with_waiting, "unseen");

    (void)state;
    sql_exec(db.source, tables_sql);
    struct run *run = follow(&db);
    pair_expect(verify(&db), 0, "source and target agree");
    PGconn *waits = sql_connect(with_waiting.src, db.name);
    sql_exec(waits, "SET synchronous_commit = on");
    assert_int_equal(PQsendQuery(waits, "INSERT INTO place VALUES (-1, 'unseen')"), 1);
    sql_wait_true(pair.dst, db.name, "SELECT EXISTS (SELECT FROM place WHERE id = -1)", WAIT_MS);
    assert_int_equal(sql_int(db.source, "SELECT count(*) FROM place WHERE id = -1"), 0);
    pair_expect(verify(&db), 3, "no moment was found at which both sides are the same state");
    sql_exec(db.source, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE wait_event = 'SyncRep'");
    sql_wait_true(with_waiting.src, db.name, "SELECT EXISTS (SELECT FROM place WHERE id = -1)",
                  WAIT_MS);
    pair_expect(verify(&db), 0, "source and target agree");
    PQfinish(waits);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    pair_db_end(&db);
}

/* ---- what is not ---- */

static void
damage_is_named(void **state)
{
    struct pair_db db = new_db("damaged");
    struct run *run = follow(&db);
    struct run *writers;

    (void)state;
    sql_exec(db.source,
             "INSERT INTO account SELECT g, 1, 'y' FROM generate_series(30001, 30010) g");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 20010 FROM account", WAIT_MS);
    writers = write_to(&db);
    sql_exec(db.target, "UPDATE account SET pad = 'z' WHERE id = 30005;"
                        "DELETE FROM account WHERE id = 30007;"
                        "INSERT INTO account VALUES (40000, 0, '')");
    wait_more_applied(&db);
    struct run *check = verify(&db);
    pair_expect(check, 4, "(id=30005) differs in pad");
    pair_expect(check, 4, "(id=30007) is missing on the target");
    pair_expect(check, 4, "(id=40000) is only on the target");
    pair_expect(check, 4, "1 row missing on the target, 1 row only on the target");
    check = verify(&db, "--split", "1MB");
    pair_expect(check, 4, "(id=30005) differs in pad");
    pair_expect(check, 4, "(id=30007) is missing on the target");
    pair_expect(check, 4, "(id=40000) is only on the target");
    end(&db, run, writers);
}

/* Rows that the stream changes all the time are damaged, and mended without losing what it brings.
 */
static void
damage_is_mended(void **state)
{
    struct pair_db db = new_db("mended");
    struct run *run = follow(&db);
    struct run *writers;

    (void)state;
    sql_exec(db.source,
             "INSERT INTO account SELECT g, 1, 'y' FROM generate_series(30001, 30050) g");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 20050 FROM account", WAIT_MS);
    writers = write_to(&db);
    sql_exec(db.target, "SET session_replication_role = replica;"
                        "UPDATE account SET pad = 'z' WHERE id % 100 = 0;"
                        "DELETE FROM account WHERE id > 30000;"
                        "INSERT INTO account VALUES (40000, 0, '')");
    pair_expect(verify(&db, "--repair", "--yes"), 0, "while the job follows");
    pair_expect(verify(&db), 0, "source and target agree");
    wait_more_applied(&db);
    run_kill(writers);
    pair_expect(verify(&db), 0, "source and target agree");
    /* the last of the source's commits: with it all others are there */
    sql_exec(db.source, "INSERT INTO account VALUES (50000, 0, '')");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 1 FROM account WHERE id = 50000", WAIT_MS);
    same_tables(pair.src, db.name, pair.dst, db.name, "^public$");
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    pair_db_end(&db);
}

/* Triggers and rules that would act on what is applied rest meanwhile: the schema is the same. */
static void
what_rests_is_no_difference(void **state)
{
    struct pair_db db = pair_db_new(&pair, "rests");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE log (v text);"
                        "ALTER TABLE log REPLICA IDENTITY FULL;"
                        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
                        " 'BEGIN INSERT INTO log VALUES (NEW.v); RETURN NEW; END';"
                        "CREATE TRIGGER a AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();"
                        "ALTER TABLE t ENABLE ALWAYS TRIGGER a;"
                        "CREATE RULE r AS ON UPDATE TO t DO ALSO INSERT INTO log VALUES ('rule');"
                        "ALTER TABLE t ENABLE ALWAYS RULE r; INSERT INTO t VALUES (1, 'one')");
    struct run *run = pair_follow(&db);
    pair_wait_following(&db, run);
    sql_exec(db.source, "INSERT INTO t VALUES (2, 'two'); UPDATE t SET v = 'three' WHERE id = 1");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 1 FROM t WHERE v = 'three'", WAIT_MS);
    pair_expect(verify(&db), 0, "source and target agree");
    sql_exec(db.source, "ALTER TABLE t DISABLE TRIGGER a");
    pair_expect(verify(&db), 4, "`D` on the source, `A` on the target");
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    pair_db_end(&db);
}

/* So are foreign keys that wait until the job's end, also their comments. */
static void
keys_set_aside_are_no_difference(void **state)
{
    struct pair_db db = pair_db_new(&pair, "aside");

    (void)state;
    sql_exec(
        db.source,
        "CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE \"B b\" (id int PRIMARY"
        " KEY, a int REFERENCES a ON DELETE CASCADE);"
        "ALTER TABLE a ADD CONSTRAINT \"a \"\" b\" FOREIGN KEY (b) REFERENCES \"B b\" NOT VALID;"
        "COMMENT ON CONSTRAINT \"a \"\" b\" ON a IS 'it''s a \\ ring';"
        "INSERT INTO a VALUES (1, NULL); INSERT INTO \"B b\" VALUES (1, 1);"
        "UPDATE a SET b = 1");
    sql_exec(db.target, "CREATE ROLE mover LOGIN; GRANT CREATE ON DATABASE aside TO mover;"
                        "GRANT ALL ON SCHEMA public TO mover");
    db.target_user = "mover";
    struct run *run = pair_follow(&db, "--no-owner", "--no-acl");
    pair_wait_following(&db, run);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pghaul.set_aside"), 2);
    struct run *checked = pair_run(&db, "verify", "--name", db.name, "--no-owner", "--no-acl");
    pair_expect(checked, 0, "source and target agree");
    sql_exec(db.source, "ALTER TABLE \"B b\" ALTER CONSTRAINT \"B b_a_fkey\" DEFERRABLE");
    checked = pair_run(&db, "verify", "--name", db.name, "--no-owner", "--no-acl");
    pair_expect(checked, 4, "B b_a_fkey");
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    pair_db_end(&db);
}

/* Only the source's key is NOT NULL: a row without one is in no range of it. */
static void
row_without_key_is_found(void **state)
{
    struct pair_db db = pair_db_new(&pair, "no_key");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int PRIMARY KEY, v text);"
                        "INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 5000) g;"
                        "ANALYZE t");
    sql_exec(db.target, "CREATE TABLE t (id int UNIQUE, v text)");
    struct run *run = pair_follow(&db, "--data-only");
    pair_wait_following(&db, run);
    pair_expect(verify(&db, "--data-only", "--split", "1MB"), 0, "source and target agree");
    sql_exec(db.target, "INSERT INTO t VALUES (NULL, 'rogue')");
    pair_expect(verify(&db, "--data-only", "--split", "1MB"), 4, "only on the target");
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    pair_db_end(&db);
}

/* ---- who is killed ---- */

static void
verify_is_killed(const char *failpoint, const char *name)
{
    const char *const env[] = {scratch_printf("PGHAUL_FAILPOINT=%s=kill", failpoint), NULL};
    struct pair_db db = new_db(name);
    struct run *writers = write_to(&db);
    struct run *run = follow(&db);

    db.env = env;
    struct run *check = verify(&db);
    assert_int_equal(check->code, -SIGKILL);
    db.env = NULL;
    wait_more_applied(&db);
    pair_expect(verify(&db), 0, "source and target agree");
    end(&db, run, writers);
}

static void
killed_verify_holds_nobody_up(void **state)
{
    (void)state;
    verify_is_killed("fence_stands", "stands");
    verify_is_killed("fence_cut", "cut");
}

/* One that is only stopped keeps its locks: apply waits a second and goes on. */
static void
slow_verify_holds_nobody_up(void **state)
{
    struct pair_db db = new_db("slow");
    struct run *writers = write_to(&db);
    struct run *run = follow(&db);

    (void)state;
    db.env = hold_at("fence_cut");
    struct run *check =
        pair_start_args(&db, "verify", (const char *const[]){"--name", db.name, NULL});
    hold_wait(check);
    wait_more_applied(&db);
    hold_release();
    pair_expect(check, 0, "source and target agree");
    db.env = NULL;
    end(&db, run, writers);
}

/* Whose session the server ends begins again, with new points. */
static void
lost_session_is_made_anew(void **state)
{
    struct pair_db db = new_db("lost");
    struct run *writers = write_to(&db);
    struct run *run = follow(&db);

    (void)state;
    db.env = hold_at("fence_cut");
    struct run *check =
        pair_start_args(&db, "verify", (const char *const[]){"--name", db.name, NULL});
    hold_wait(check);
    assert_int_equal(sql_int(db.target, "SELECT count(pg_terminate_backend(pid, 10000)) FROM"
                                        " pg_stat_activity WHERE datname = current_database()"
                                        " AND application_name LIKE 'pghaul%fence'"),
                     1);
    hold_release();
    pair_expect(check, 0, "source and target agree");
    pair_expect(check, 0, "trying again");
    db.env = NULL;
    end(&db, run, writers);
}

static void
killed_apply_is_told(void **state)
{
    struct pair_db db = new_db("no_apply");
    struct run *writers = write_to(&db);
    struct run *run = follow(&db);

    (void)state;
    db.env = hold_at("fence_stands");
    struct run *check =
        pair_start_args(&db, "verify", (const char *const[]){"--name", db.name, NULL});
    hold_wait(check);
    run_kill(run);
    hold_release();
    pair_expect(check, 3, "has ended while it was being verified");
    db.env = NULL;
    pair_expect(verify(&db), 3, "no run is under way");
    run = follow(&db);
    pair_expect(verify(&db), 0, "source and target agree");
    end(&db, run, writers);
}

/*
 * The applier that is begun anew in the middle of a fence goes on from behind its first message and
 * says nothing of it: the fence is void, and another one is asked for.
 */
static void
replaced_applier_is_noticed(void **state)
{
    struct pair_db db = new_db("replaced");
    struct run *run = follow(&db);
    PGconn *gate = sql_connect(pair.dst, db.name);

    (void)state;
    sql_exec(gate, "BEGIN; SELECT FROM account WHERE id = 1 FOR UPDATE");
    db.env = hold_at("fence_stands");
    struct run *check =
        pair_start_args(&db, "verify", (const char *const[]){"--name", db.name, NULL});
    hold_wait(check);
    sql_exec(db.source, "UPDATE account SET balance = 0 WHERE id = 1");
    hold_release();
    sql_wait_true(pair.dst, db.name,
                  "SELECT count(pg_terminate_backend(pid)) = 1 FROM pg_stat_activity WHERE"
                  " application_name LIKE '% apply' AND wait_event_type = 'Lock' AND"
                  " wait_event <> 'advisory' AND (SELECT state FROM pghaul.fence) = 'taken'",
                  WAIT_MS);
    PQfinish(gate);
    pair_expect(check, 0, "source and target agree");
    db.env = NULL;
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_59_nothing_differs),
        cmocka_unit_test(nothing_differs_in_ranges),
        cmocka_unit_test(nothing_differs_of_money),
        cmocka_unit_test(a_commit_that_is_not_visible),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(damage_is_mended),
        cmocka_unit_test(row_without_key_is_found),
        cmocka_unit_test(what_rests_is_no_difference),
        cmocka_unit_test(keys_set_aside_are_no_difference),
        cmocka_unit_test(killed_verify_holds_nobody_up),
        cmocka_unit_test(slow_verify_holds_nobody_up),
        cmocka_unit_test(lost_session_is_made_anew),
        cmocka_unit_test(killed_apply_is_told),
        cmocka_unit_test(replaced_applier_is_noticed),
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
