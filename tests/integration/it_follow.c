/*
 * Following by the command line: copy --follow under live writes, stopped, killed, with servers
 * that go away, ended where somebody says, with rows that do not fit. What is compared is plain
 * SQL.
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
#include <unistd.h>

#define WAIT_MS 60000

static struct pair pair;

/* Money moves between accounts: its sum is the same in every state that the source ever has. */
static const char tables_sql[] =
    "CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL, pad text);"
    "INSERT INTO account SELECT g, 100, repeat('x', 200) FROM generate_series(1, 5000) g;"
    "CREATE TABLE move (id bigserial PRIMARY KEY, a int REFERENCES account, b int, amount int);"
    "CREATE TABLE note (a int, t text); ALTER TABLE note REPLICA IDENTITY FULL;"
    "CREATE MATERIALIZED VIEW total AS SELECT sum(amount) AS amount FROM move";

static const char transfer_sql[] =
    "\\set a random(1, 5000)\n\\set b random(1, 5000)\n\\set n random(1, 50)\nBEGIN;\n"
    "UPDATE account SET balance = balance - :n WHERE id = :a;\n"
    "UPDATE account SET balance = balance + :n WHERE id = :b;\n"
    "INSERT INTO move (a, b, amount) VALUES (:a, :b, :n);\n"
    "INSERT INTO note VALUES (:a, 'moved ' || :n);\n"
    "DELETE FROM note WHERE a = :b;\nCOMMIT;\n";

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\n");
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

/* Sessions that move money; `seconds` as text. */
static struct run *
write_for(const struct pair_db *db, const char *seconds)
{
    const char *const argv[] = {"pgbench",
                                "-n",
                                "-c",
                                "3",
                                "-R",
                                "200",
                                "-T",
                                seconds,
                                "-f",
                                scratch_printf("%s/transfer.sql", scratch_dir()),
                                pg_test_conninfo(pair.src, db->name),
                                NULL};

    return run_start_copy(NULL, argv);
}

static void
nothing_is_left(struct pair_db *db)
{
    assert_string_equal(
        sql_value(db->source, scratch_printf("SELECT (SELECT count(*) FROM pg_replication_slots"
                                             " WHERE database = '%s') || ' ' ||"
                                             " (SELECT count(*) FROM pg_publication)",
                                             db->name)),
        "0 0");
    assert_int_not_equal(access(scratch_printf("%s/spool", db->dir), F_OK), 0);
}

static void
sum_is_right(struct pair_db *db)
{
    assert_int_equal(sql_int(db->target, "SELECT sum(balance) FROM account"), 500000);
}

/* Ends it there where the source is now; all is equal. */
static void
ends_equal(struct pair_db *db, struct run *run)
{
    pair_wait_following(db, run);
    pair_expect(pair_stop(db, "now"), 0, "told to end at: now");
    pair_expect(run, 0, "followed to");
    sql_exec(db->source, "REFRESH MATERIALIZED VIEW total"); /* the target's is as of the end */
    same_rows(pair.src, db->name, pair.dst, db->name);
    nothing_is_left(db);
    same_no_sessions(pair.dst);
}

/* ---- where it ends ---- */

/* TRAPS 51: the source writes on, and what was there is applied: the end is a mark of ours. */
static void
trap_51_until_caught_up(void **state)
{
    struct pair_db db = new_db("caught_up");
    struct run *writers = write_for(&db, "600");

    (void)state;
    sql_wait_true(pair.src, db.name, "SELECT count(*) > 100 FROM move", WAIT_MS);
    struct run *run = pair_follow(&db, "--until", "caught-up");
    sql_wait_true(pair.dst, db.name, "SELECT phase IN ('follow', 'done') FROM pghaul.job", WAIT_MS);
    const char *then = sql_value(db.source, "SELECT count(*) FROM move");
    pair_expect(run, 0, "proven: every row of 3 tables was compared and is equal; then followed");
    run_kill(writers);
    sum_is_right(&db);
    nothing_is_left(&db);
    assert_true(sql_int(db.target, "SELECT count(*) FROM move") >= strtol(then, NULL, 10) / 2);
    /* the same command again has nothing to do */
    pair_expect(pair_run(&db, "copy", "--follow", "--name", db.name, "--until", "caught-up"), 0,
                "an earlier run finished this job");
    pair_db_end(&db);
}

/* What somebody else is told while it runs, and the line that it tells itself. */
static void
status_tells(void **state)
{
    struct pair_db db = new_db("told");
    struct run *writers = write_for(&db, "8");
    struct run *run = pair_follow(&db);
    const char *target = pg_test_conninfo(pair.dst, db.name);

    (void)state;
    pair_wait_following(&db, run);
    sql_wait_true(pair.dst, db.name,
                  "SELECT (f->>'transactions')::int > 0 AND (f->>'consistent')::bool"
                  " FROM (SELECT state->'follow' AS f FROM pghaul.progress) p",
                  WAIT_MS);
    run_wait_output(run, "follow: at ", WAIT_MS);
    assert_non_null(strstr(run_err(run), "transactions/s"));
    struct run *status = run_pghaul("status", "--target", target, "--name", db.name);
    pair_expect(status, 0, "phase follow");
    pair_expect(status, 0, "consistent");
    pair_expect(status, 0, "slot     WAL reserved");
    status = run_pghaul("status", "--target", target, "--name", db.name, "--json");
    run_expect(status, 0);
    assert_string_equal(
        sql_valuef(db.target,
                   "SELECT (f ? 'lag_bytes' AND f ? 'lag_s' AND (f->>'transactions')::int > 0 AND"
                   " (f->>'consistent')::bool AND f->'slot' ? 'kept_wal_bytes' AND f ? 'drain_s')"
                   " FROM (SELECT $j$%s$j$::jsonb #> '{jobs,0,progress,follow}' AS f) x",
                   run_out(status)),
        "t");
    run_expect(writers, 0);
    ends_equal(&db, run);
    pair_db_end(&db);
}

/* TRAPS 8: sequences are not in the stream: value and is_called are carried over, as are views
 * (70). */
static void
trap_08_stop_at_a_position(void **state)
{
    struct pair_db db = new_db("stop_at");

    sql_exec(db.source, "CREATE SEQUENCE down INCREMENT -3 MINVALUE -8 MAXVALUE 10 START 5 CYCLE;"
                        "CREATE SEQUENCE unused START 7; CREATE SEQUENCE reset START 7");
    struct run *writers = write_for(&db, "4");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    run_expect(writers, 0);
    sql_exec(db.source, "SELECT nextval('down') FROM generate_series(1, 7);"
                        "SELECT nextval('reset'), setval('reset', 9, false);"
                        "INSERT INTO note VALUES (-1, 'before')");
    const char *at = sql_value(db.source, "SELECT pg_current_wal_insert_lsn()");
    sql_exec(db.source, "INSERT INTO note VALUES (-2, 'pushes the position')");
    pair_expect(pair_stop(&db, at), 0, at);
    pair_expect(run, 0, "proven");
    assert_string_equal(sql_value(db.target, "SELECT count(*) FROM note WHERE a = -1"), "1");
    sum_is_right(&db);
    pair_same(&db, "SELECT * FROM account ORDER BY id");
    pair_same(&db, "SELECT last_value, is_called FROM move_id_seq");
    pair_same(&db, "SELECT last_value, is_called FROM down");
    pair_same(&db, "SELECT last_value, is_called FROM unused");
    pair_same(&db, "SELECT last_value, is_called FROM reset");
    pair_same(&db, "SELECT nextval('down'), nextval('unused'), nextval('reset')");
    sql_exec(db.source, "REFRESH MATERIALIZED VIEW total");
    pair_same(&db, "SELECT amount FROM total"); /* refreshed at the end */
    nothing_is_left(&db);
    pair_expect(pair_stop(&db, "now"), 3, "does not follow");
    pair_db_end(&db);
}

static void
stopped_goes_on(void **state)
{
    struct pair_db db = new_db("stopped");
    struct run *writers = write_for(&db, "12");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    run_signal(run, SIGTERM);
    pair_expect(run, 5, "the same command goes on");
    pair_expect(run_pghaul("status", "--target", pg_test_conninfo(pair.dst, db.name)), 0,
                "makes the source keep WAL");
    assert_string_equal(sql_value(db.source,
                                  "SELECT count(*) FROM pg_replication_slots WHERE slot_name ="
                                  " 'pghaul_stopped' AND NOT active"),
                        "1");
    sum_is_right(&db);
    run = pair_follow(&db);
    pair_wait_following(&db, run);
    pair_expect(pair_stop(&db, NULL), 0, "told to stop");
    pair_expect(run, 5, NULL);
    sum_is_right(&db);
    run = pair_follow(&db);
    run_expect(writers, 0);
    ends_equal(&db, run);
    pair_db_end(&db);
}

/* ---- kills ---- */

static void
killed_goes_on(void **state)
{
    struct pair_db db = new_db("killed");
    struct run *writers = write_for(&db, "15");

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct run *run = pair_follow(&db);
        pair_wait_following(&db, run);
        sql_exec(db.source, "SELECT pg_sleep(0.7)");
        run_kill(run);
        sum_is_right(&db);
    }
    struct run *run = pair_follow(&db);
    run_expect(writers, 0);
    ends_equal(&db, run);
    pair_db_end(&db);
}

/* Killed between the last commit and the removal of the slot, and after that. */
static void
killed_at_its_end(void **state)
{
    static const char *const failpoints[] = {"before_follow_removed", "after_follow_removed"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct pair_db db = new_db(scratch_printf("at_end_%zu", i));
        const char *const env[] = {scratch_printf("PGHAUL_FAILPOINT=%s=kill", failpoints[i]), NULL};
        db.env = env;
        struct run *run = pair_follow(&db, "--until", "now");
        run_wait(run, RUN_DEADLINE_MS);
        assert_int_equal(run->code, -SIGKILL);
        db.env = NULL;
        pair_expect(pair_run(&db, "copy", "--follow", "--name", db.name, "--until", "now"), 0,
                    "proven");
        sql_exec(db.source, "REFRESH MATERIALIZED VIEW total");
        same_rows(pair.src, db.name, pair.dst, db.name);
        nothing_is_left(&db);
        pair_db_end(&db);
    }
}

static void
servers_go_away(void **state)
{
    struct pair_db db = new_db("servers");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    struct run *writers = write_for(&db, "3");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) > 50 FROM move", WAIT_MS);
    PQfinish(db.target);
    pg_test_cluster_kill(pair.dst);
    run_expect(writers, 0);
    pg_test_cluster_start(pair.dst);
    db.target = sql_connect(pair.dst, db.name);
    sum_is_right(&db);
    pair_wait_following(&db, run);
    PQfinish(db.source);
    pg_test_cluster_kill(pair.src);
    pg_test_cluster_start(pair.src);
    db.source = sql_connect(pair.src, db.name);
    writers = write_for(&db, "3");
    run_expect(writers, 0);
    sql_exec(db.source, "INSERT INTO note VALUES (-7, 'after')");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 1 FROM note WHERE a = -7", WAIT_MS);
    assert_true(run_alive(run));
    ends_equal(&db, run);
    pair_db_end(&db);
}

/*
 * A source that is away is waited for, longer than any look at it beside the stream comes round
 * (partitions, every ten seconds). What status says meanwhile is not that nothing waits.
 */
static void
source_is_away(void **state)
{
    struct pair_db db = new_db("away");
    const char *target = pg_test_conninfo(pair.dst, db.name);

    (void)state;
    sql_exec(db.source, "CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id);"
                        "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100)");
    struct run *run = pair_follow(&db);
    pair_wait_following(&db, run);
    sql_exec(db.source, "INSERT INTO note VALUES (1, 'applied')");
    sql_wait_true(pair.dst, db.name,
                  "SELECT (f->>'source_heard')::bool AND (f->>'lag_s')::float8 = 0 AND"
                  " (f->>'changes')::int = 1" /* an epoch may have had to flush by a transaction */
                  " FROM (SELECT state->'follow' AS f FROM pghaul.progress) p",
                  WAIT_MS);
    struct run *status = run_pghaul("status", "--target", target, "--name", db.name);
    run_expect(status, 0);
    assert_null(strstr(run_out(status), "not heard"));
    PQfinish(db.source);
    pg_test_cluster_kill(pair.src);
    sql_wait_true(pair.dst, db.name,
                  "SELECT NOT (f->>'source_heard')::bool AND (f->>'source_heard_s')::float8 > 11"
                  " AND f->>'lag_s' IS NULL AND f->>'drain_s' IS NULL"
                  " FROM (SELECT state->'follow' AS f FROM pghaul.progress) p",
                  WAIT_MS);
    status = run_pghaul("status", "--target", target, "--name", db.name);
    pair_expect(status, 0, "source   not heard for 1");
    pair_expect(status, 0, "it may be further ahead than that");
    pair_expect(status, 0, "warning  receiver: nothing is received");
    pg_test_cluster_start(pair.src);
    db.source = sql_connect(pair.src, db.name);
    sql_exec(db.source, "INSERT INTO note VALUES (2, 'and again')");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 1 FROM note WHERE a = 2", WAIT_MS);
    assert_null(strstr(run_err(run), "trying again"));
    ends_equal(&db, run);
    pair_db_end(&db);
}

/* ---- conflicts ---- */

/* A following job whose target lacks one row and has one that the source will insert. */
static struct run *
damage(struct pair_db *db, const char *policy)
{
    struct run *run = pair_follow(db, "--on-conflict", policy);

    pair_wait_following(db, run);
    sql_exec(db->target, "DELETE FROM account WHERE id = 17");
    sql_exec(db->target, "INSERT INTO account VALUES (6000, 1, 'not the source''s')");
    sql_exec(db->source, "UPDATE account SET balance = 17 WHERE id = 17");
    return run;
}

static void
conflict_stops(void **state)
{
    struct pair_db db = new_db("conflict_stop");
    struct run *run = damage(&db, "stop");

    (void)state;
    pair_expect(run, 1, "PH-CONFLICT");
    pair_expect(run, 1, "account");
    pair_expect(run, 1, "17");
    /* mended, it goes on */
    sql_exec(db.target, "INSERT INTO account VALUES (17, 0, repeat('x', 200));"
                        "DELETE FROM account WHERE id = 6000");
    ends_equal(&db, pair_follow(&db));
    pair_db_end(&db);
}

static void
conflict_skipped(void **state)
{
    struct pair_db db = new_db("conflict_skip");
    struct run *run = damage(&db, "skip");

    (void)state;
    sql_exec(db.source, "INSERT INTO account VALUES (6000, 6000, 'right');"
                        "INSERT INTO note VALUES (1, 'passes')");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 1 FROM note WHERE t = 'passes'", WAIT_MS);
    /* another run ends it: what was left out is not forgotten */
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    run = pair_follow(&db, "--on-conflict", "skip", "--until", "now");
    pair_expect(run, 4, "2 changes of the stream did not fit");
    assert_string_equal(sql_value(db.target, "SELECT count(*) FROM account WHERE id = 17"), "0");
    assert_string_equal(sql_value(db.target, "SELECT balance FROM account WHERE id = 6000"), "1");
    nothing_is_left(&db);
    pair_db_end(&db);
}

/* Rows that the target has written for all of it, also for what was taken back. */
static int64_t
written(struct pair_db *db, const char *table, const char *column)
{
    sql_wait_true(pair.dst, db->name,
                  scratch_printf("SELECT %s >= 1000 FROM pg_stat_user_tables WHERE relname = '%s'",
                                 column, table),
                  WAIT_MS);
    return sql_int(
        db->target,
        scratch_printf("SELECT %s FROM pg_stat_user_tables WHERE relname = '%s'", column, table));
}

/* Each is left out, without all the others being applied once more for it. */
static void
conflicts_skipped_by_the_thousand(void **state)
{
    struct pair_db db = pair_db_new(&pair, "conflict_many");

    (void)state;
    sql_exec(db.source, "CREATE TABLE lost (id int PRIMARY KEY, v text);"
                        "CREATE TABLE found (id int PRIMARY KEY, v text);"
                        "CREATE TABLE plain (id int, v text);"
                        "ALTER TABLE plain REPLICA IDENTITY FULL;"
                        "INSERT INTO lost SELECT g, 'v' FROM generate_series(1, 2000) g;"
                        "INSERT INTO plain SELECT g, 'v' FROM generate_series(1, 200) g");
    struct run *run = pair_follow(&db, "--on-conflict", "skip");
    pair_wait_following(&db, run);
    sql_exec(db.target, "DELETE FROM lost WHERE id % 2 = 0; DELETE FROM plain WHERE id % 2 = 0;"
                        "INSERT INTO found SELECT g, 'mine' FROM generate_series(2, 2000, 2) g");
    sql_exec(db.source, "BEGIN; UPDATE lost SET v = 'w'; UPDATE plain SET v = 'w';"
                        "INSERT INTO found SELECT g, 'w' FROM generate_series(1, 2000) g;"
                        "UPDATE plain SET v = 'x'; COMMIT");
    pair_expect(pair_stop(&db, "now"), 0, NULL);
    pair_expect(run, 4, "2,200 changes of the stream did not fit");
    assert_string_equal(sql_rows(db.target, "SELECT v, count(*), sum(id % 2) FROM lost GROUP BY v"),
                        "w|1000|1000\n");
    assert_string_equal(
        sql_rows(db.target, "SELECT v, count(*), sum(id % 2) FROM found GROUP BY v ORDER BY v"),
        "mine|1000|0\nw|1000|1000\n");
    assert_string_equal(
        sql_rows(db.target, "SELECT v, count(*), sum(id % 2) FROM plain GROUP BY v"),
        "x|100|100\n");
    assert_in_range(written(&db, "lost", "n_tup_upd"), 1000, 10000);
    assert_in_range(written(&db, "found", "n_tup_ins"), 1000, 60000);
    pair_db_end(&db);
}

static void
conflict_overwritten(void **state)
{
    struct pair_db db = new_db("conflict_over");
    struct run *run = damage(&db, "overwrite");

    (void)state;
    sql_exec(db.source, "INSERT INTO account VALUES (6000, 6000, 'right')");
    sql_wait_true(pair.dst, db.name, "SELECT balance = 6000 FROM account WHERE id = 6000", WAIT_MS);
    pair_expect(pair_stop(&db, "now"), 0, NULL);
    pair_expect(run, 4, "did not fit");
    pair_same(&db, "SELECT * FROM account ORDER BY id");
    nothing_is_left(&db);
    pair_db_end(&db);
}

/*
 * Overwriting is refused as well where another unique key is in the way: that is a conflict like
 * any other, told with what the target said.
 */
static void
overwriting_refused(void **state)
{
    struct pair_db db = new_db("conflict_twice");

    (void)state;
    sql_exec(db.source, "CREATE TABLE code (id int PRIMARY KEY, code text UNIQUE)");
    struct run *run = pair_follow(&db, "--on-conflict", "overwrite");
    pair_wait_following(&db, run);
    sql_exec(db.target, "INSERT INTO code VALUES (99, 'taken')");
    sql_exec(db.source, "INSERT INTO code VALUES (1, 'taken')");
    pair_expect(run, 1, "PH-CONFLICT");
    pair_expect(run, 1, "public.code");
    pair_expect(run, 1,
                "\nfailed: INSERT of (id=1) on the target: duplicate key value violates unique "
                "constraint \"code_code_key\"");
    sql_exec(db.target, "DELETE FROM code WHERE id = 99");
    ends_equal(&db, pair_follow(&db));
    pair_db_end(&db);
}

/*
 * What goes with the changes may fail, too: here the count of what was left out. The group does not
 * count as applied, and the reason is told.
 */
static void
counting_conflicts_fails(void **state)
{
    struct pair_db db = new_db("count_fails");
    struct run *run = pair_follow(&db, "--on-conflict", "skip");

    (void)state;
    pair_wait_following(&db, run);
    sql_exec(db.target,
             "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
             " $$ BEGIN RAISE 'no more counting'; END $$;"
             "CREATE TRIGGER no BEFORE UPDATE OF conflicts ON pghaul.follow FOR EACH ROW"
             " EXECUTE FUNCTION no(); ALTER TABLE pghaul.follow ENABLE ALWAYS TRIGGER no;"
             "DELETE FROM account WHERE id = 17");
    sql_exec(db.source, "UPDATE account SET balance = 17 WHERE id = 17;"
                        "INSERT INTO note VALUES (1, 'goes with it')");
    pair_expect(run, 1, "no more counting");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM note"), 0);
    sql_exec(db.target, "DROP FUNCTION no CASCADE");
    pair_expect(pair_follow(&db, "--on-conflict", "skip", "--until", "now"), 4,
                "1 change of the stream did not fit");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM note"), 1);
    pair_db_end(&db);
}

/* ---- a schema that changes ---- */

static void
column_added(void **state)
{
    struct pair_db db = new_db("columns");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    /* there first: goes on */
    sql_exec(db.target, "ALTER TABLE note ADD COLUMN more int");
    sql_exec(db.source,
             "ALTER TABLE note ADD COLUMN more int; INSERT INTO note VALUES (1, 'm', 2)");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 1 FROM note WHERE more = 2", WAIT_MS);
    /* not there: stops, saying so, and goes on when it is */
    sql_exec(db.source,
             "ALTER TABLE account ADD COLUMN extra text; UPDATE account SET extra = 'e' WHERE"
             " id = 3");
    pair_expect(run, 1, "extra");
    sql_exec(db.target, "ALTER TABLE account ADD COLUMN extra text");
    ends_equal(&db, pair_follow(&db));
    pair_db_end(&db);
}

/* ---- clean ---- */

static void
clean_removes_all(void **state)
{
    struct pair_db db = new_db("cleaned");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    pair_expect(pair_run(&db, "clean", "--name", db.name, "--yes"), 3, "PH-JOB-RUNNING");
    pair_expect(pair_stop(&db, NULL), 0, NULL);
    run_expect(run, 5);
    pair_expect(pair_run(&db, "clean", "--name", db.name, "--yes"), 0, "replication slot");
    nothing_is_left(&db);
    assert_string_equal(sql_value(db.target, "SELECT count(*) FROM account"), "5000");
    pair_db_end(&db);
}

/*
 * TRAPS 43: The owner of the target's database and nothing more: triggers are out of the way while
 * changes are applied, and back afterwards; foreign keys stay enforced.
 */
static void
trap_43_without_special_rights(void **state)
{
    struct pair_db db = new_db("no_rights");

    (void)state;
    sql_exec(db.source,
             "CREATE FUNCTION twice() RETURNS trigger LANGUAGE plpgsql AS"
             " 'BEGIN NEW.amount := NEW.amount * 2; RETURN NEW; END';"
             "CREATE TRIGGER twice BEFORE INSERT ON move FOR EACH ROW EXECUTE FUNCTION twice()");
    sql_once(pair.dst, "postgres", "CREATE ROLE mover LOGIN");
    sql_execf(db.target, "ALTER DATABASE \"%s\" OWNER TO mover; ALTER SCHEMA public OWNER TO mover",
              db.name);
    db.target_user = "mover";
    struct run *writers = write_for(&db, "6");
    struct run *run = pair_follow(&db, "--no-owner");
    pair_wait_following(&db, run);
    assert_string_equal(sql_value(db.target, "SELECT tgenabled FROM pg_trigger WHERE"
                                             " tgname = 'twice'"),
                        "D");
    run_signal(run, SIGTERM);
    pair_expect(run, 5, "the same command goes on");
    assert_string_equal(sql_value(db.target, "SELECT tgenabled FROM pg_trigger WHERE"
                                             " tgname = 'twice'"),
                        "O");
    run = pair_follow(&db, "--no-owner");
    run_expect(writers, 0);
    ends_equal(&db, run);
    assert_string_equal(sql_value(db.target, "SELECT tgenabled FROM pg_trigger WHERE"
                                             " tgname = 'twice'"),
                        "O");
    pair_db_end(&db);
}

/* A stop lets the group at hand be finished: what is applied is acknowledged, too. */
static void
a_stop_acknowledges(void **state)
{
    struct pair_db db = new_db("told_last");
    struct run *run = pair_follow(&db, "--ack", "applied");

    (void)state;
    pair_wait_following(&db, run);
    sql_exec(db.source, "INSERT INTO note SELECT g, 'n' FROM generate_series(1, 2000) g");
    const char *then = sql_value(db.source, "SELECT pg_current_wal_flush_lsn()");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 2000 FROM note", WAIT_MS);
    run_signal(run, SIGTERM);
    pair_expect(run, 5, "the same command goes on");
    assert_string_equal(
        sql_value(db.source, scratch_printf("SELECT confirmed_flush_lsn >= '%s' FROM"
                                            " pg_replication_slots WHERE database = '%s'",
                                            then, db.name)),
        "t");
    pair_expect(pair_run(&db, "clean", "--name", db.name, "--yes"), 0, NULL);
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_51_until_caught_up),
        cmocka_unit_test(trap_08_stop_at_a_position),
        cmocka_unit_test(status_tells),
        cmocka_unit_test(stopped_goes_on),
        cmocka_unit_test(killed_goes_on),
        cmocka_unit_test(killed_at_its_end),
        cmocka_unit_test(servers_go_away),
        cmocka_unit_test(source_is_away),
        cmocka_unit_test(conflict_stops),
        cmocka_unit_test(conflict_skipped),
        cmocka_unit_test(conflicts_skipped_by_the_thousand),
        cmocka_unit_test(conflict_overwritten),
        cmocka_unit_test(overwriting_refused),
        cmocka_unit_test(counting_conflicts_fails),
        cmocka_unit_test(column_added),
        cmocka_unit_test(clean_removes_all),
        cmocka_unit_test(trap_43_without_special_rights),
        cmocka_unit_test(a_stop_acknowledges),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
