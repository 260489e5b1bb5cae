/*
 * What a follow says of the source's WAL that its slot keeps, and how a job ends whose slot the
 * source has given up: while rows are copied, in the phases behind them, while it follows, while it
 * stood still.
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
    static const struct pg_test_params source = {
        .conf = "autovacuum = off\nmax_slot_wal_keep_size = 16MB\nmin_wal_size = 2MB\n"
                "max_wal_size = 2MB\ncheckpoint_timeout = 1d\n",
        .initdb = "--wal-segsize=1",
    };
    static const struct pg_test_params target = {.conf = "autovacuum = off\n"};

    (void)state;
    pg_test_pair_new(&source, &target, &pair.src, &pair.dst);
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

/* Of another database: nothing of it comes by the stream. */
static void
write_wal(int mb)
{
    for (int i = 0; i < mb; i++)
        sql_once(pair.src, "postgres",
                 "SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000))");
    sql_once(pair.src, "postgres", "CHECKPOINT");
}

static void
wait_lost(const struct pair_db *db)
{
    sql_wait_true(pair.src, db->name,
                  "SELECT wal_status = 'lost' FROM pg_replication_slots WHERE database ="
                  " current_database()",
                  WAIT_MS);
}

/* Nothing mends that; what is on the source goes away with `clean`. */
static void
ends_lost(struct pair_db *db, struct run *run)
{
    pair_expect(run, 1, "PH-GAP");
    pair_expect(run, 1, "the server has invalidated the slot");
    pair_expect(run, 1, "--restart --yes");
    pair_expect(pair_run(db, "clean", "--name", db->name, "--yes"), 0, "replication slot");
    assert_int_equal(sql_int(db->source, "SELECT count(*) FROM pg_replication_slots"), 0);
    pair_db_end(db);
}

static const char *
status_of(const struct pair_db *db)
{
    struct run *run =
        run_pghaul("status", "--target", pg_test_conninfo(pair.dst, db->name), "--name", db->name);

    run_expect(run, 0);
    return run_out(run);
}

/* A transaction that stays open makes the server keep all WAL since its beginning. */
static void
warns_before_it_is_lost(void **state)
{
    struct pair_db db = new_db("warns");
    struct run *run = pair_follow(&db);
    PGconn *other = sql_connect(pair.src, db.name);

    (void)state;
    pair_wait_following(&db, run);
    assert_null(strstr(status_of(&db), "warning"));
    sql_exec(other, "BEGIN; INSERT INTO item VALUES (1)");
    write_wal(14);
    run_wait_output(run, "slot: the source keeps 1", WAIT_MS);
    sql_wait_true(pair.dst, db.name,
                  "SELECT state #>> '{follow,warnings,0,guard}' = 'slot' FROM pghaul.progress",
                  WAIT_MS);
    assert_non_null(strstr(status_of(&db), "warning  slot: the source keeps"));
    sql_exec(other, "COMMIT");
    PQfinish(other);
    write_wal(1);
    run_wait_output(run, "slot: all is well again", WAIT_MS);
    pair_expect(pair_stop(&db, "now"), 0, NULL);
    run_expect(run, 0);
    pair_same_table(&db, "item");
    pair_db_end(&db);
}

static void
lost_while_it_follows(void **state)
{
    struct pair_db db = new_db("follows");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    run_signal(run, SIGSTOP);
    write_wal(40);
    wait_lost(&db);
    run_signal(run, SIGCONT);
    ends_lost(&db, run);
}

/* It does not copy on for hours. */
static void
lost_while_rows_are_copied(void **state)
{
    struct pair_db db = new_db("rows");
    struct run *run = pair_follow(&db, "--max-rate", "32kB/s");

    (void)state;
    sql_wait_true(pair.dst, db.name,
                  "SELECT p.state ? 'follow' FROM pghaul.progress p JOIN pghaul.job j USING (job)"
                  " WHERE j.phase = 'rows'",
                  WAIT_MS);
    assert_non_null(strstr(status_of(&db), "slot     WAL "));
    run_signal(run, SIGSTOP);
    write_wal(40);
    wait_lost(&db);
    run_signal(run, SIGCONT);
    run_wait(run, RUN_DEADLINE_MS);
    assert_string_equal(sql_value(db.target, "SELECT phase FROM pghaul.job"), "rows");
    ends_lost(&db, run);
}

/*
 * The rest begins with the sequences, which can not be read as long as one of them may be dropped:
 * `other` is that transaction. It is begun while rows are copied, since the catalog is read before.
 */
static struct run *
start_held_up(struct pair_db *db, PGconn *other)
{
    sql_exec(db->source, "CREATE SEQUENCE held");
    struct run *run = pair_follow(db, "--max-rate", "256kB/s");

    sql_wait_true(pair.dst, db->name, "SELECT EXISTS (SELECT FROM pghaul.job WHERE phase = 'rows')",
                  WAIT_MS);
    sql_exec(other, "BEGIN; DROP SEQUENCE held");
    sql_wait_true(pair.dst, db->name,
                  "SELECT EXISTS (SELECT FROM pghaul.progress WHERE state ->> 'phase' = 'rest')",
                  WAIT_MS);
    return run;
}

static void
warns_behind_the_rows(void **state)
{
    struct pair_db db = new_db("rest");
    PGconn *other = sql_connect(pair.src, db.name);
    struct run *run = start_held_up(&db, other);

    (void)state;
    write_wal(14);
    run_wait_output(run, "slot: the source keeps 1", WAIT_MS);
    sql_wait_true(pair.dst, db.name,
                  "SELECT state #>> '{follow,warnings,0,guard}' = 'slot' FROM pghaul.progress"
                  " WHERE state ->> 'phase' = 'rest'",
                  WAIT_MS);
    assert_non_null(strstr(status_of(&db), "warning  slot: the source keeps"));
    sql_exec(other, "ROLLBACK");
    PQfinish(other);
    pair_wait_following(&db, run);
    pair_expect(pair_stop(&db, "now"), 0, NULL);
    run_expect(run, 0);
    pair_same_table(&db, "item");
    pair_db_end(&db);
}

/* Also when what holds it up never ends. */
static void
lost_behind_the_rows(void **state)
{
    struct pair_db db = new_db("held");
    PGconn *other = sql_connect(pair.src, db.name);
    struct run *run = start_held_up(&db, other);

    (void)state;
    run_signal(run, SIGSTOP);
    write_wal(40);
    wait_lost(&db);
    run_signal(run, SIGCONT);
    run_wait(run, RUN_DEADLINE_MS);
    assert_string_equal(sql_value(db.target, "SELECT phase FROM pghaul.job"), "post");
    PQfinish(other);
    ends_lost(&db, run);
}

/* `pghaul stop` reaches it there, too, and the next run receives before the rest is done. */
static void
stops_behind_the_rows(void **state)
{
    struct pair_db db = new_db("behind");
    PGconn *other = sql_connect(pair.src, db.name);
    struct run *run = start_held_up(&db, other);

    (void)state;
    pair_expect(pair_stop(&db, NULL), 0, "was told to stop");
    run_expect(run, 5);
    assert_string_equal(sql_value(db.target, "SELECT phase FROM pghaul.job"), "post");
    sql_exec(db.source, "INSERT INTO item VALUES (1)");
    sql_exec(other, "ROLLBACK");
    PQfinish(other);
    run = pair_follow(&db, "--until", "now");
    run_expect(run, 0);
    pair_same_table(&db, "item");
    pair_db_end(&db);
}

static void
lost_while_nobody_ran(void **state)
{
    struct pair_db db = new_db("stood");
    struct run *run = pair_follow(&db);

    (void)state;
    pair_wait_following(&db, run);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    write_wal(40);
    wait_lost(&db);
    ends_lost(&db, pair_follow(&db));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warns_before_it_is_lost),    cmocka_unit_test(lost_while_it_follows),
        cmocka_unit_test(lost_while_rows_are_copied), cmocka_unit_test(warns_behind_the_rows),
        cmocka_unit_test(lost_behind_the_rows),       cmocka_unit_test(stops_behind_the_rows),
        cmocka_unit_test(lost_while_nobody_ran),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
