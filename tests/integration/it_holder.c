/*
 * The holder of an epoch's snapshot: it imports the slot's, reads L, and says so only when the WAL
 * is flushed up to there.
 */
/* labels: short */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "model/lsn.h"
#include "pg/holder.h"
#include "support/pgcluster.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct pg_test_cluster *cluster;
static struct ph_endpoint endpoint;
static struct ph_conn *conn;
static const char *dir;
static int lock_fd = -1;
static struct ph_error err;

/* A WAL writer that nearly never flushes: only what is committed synchronously is on disk. */
static const struct pg_test_params lazy = {
    .conf = "fsync = on\nwal_writer_delay = 10s\nwal_writer_flush_after = 100MB\n"
            "synchronous_commit = off\nautovacuum = off\nbgwriter_delay = 10s\n"
            "checkpoint_timeout = 1h\nmax_prepared_transactions = 5\n"};

#define OK(expr)                                                                                   \
    do {                                                                                           \
        ph_error_reset(&err);                                                                      \
        if ((expr) != PH_OK)                                                                       \
            fail_msg("%s: %s %s", #expr, err.message, err.notes);                                  \
    } while (0)

static int
start(void **state)
{
    (void)state;
    cluster = pg_test_cluster_new(&lazy);
    OK(ph_endpoint_init(&endpoint, PH_SOURCE, pg_test_conninfo(cluster, "postgres"), "j", &err));
    return 0;
}

static int
begin(void **state)
{
    (void)state;
    dir = scratch_new_dir("job");
    OK(ph_mover_lock(dir, &lock_fd, &err));
    OK(ph_conn_open(&endpoint, "test", &conn, &err));
    return 0;
}

static int
finish(void **state)
{
    (void)state;
    OK(ph_holder_stop(dir, &err));
    ph_conn_free(conn);
    conn = NULL;
    close(lock_fd);
    lock_fd = -1;
    sql_wait_true(cluster, "postgres",
                  "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE"
                  " 'pghaul%')",
                  20000);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    ph_endpoint_reset(&endpoint);
    return 0;
}

static struct ph_holder_params
params_of(const char *snapshot_id, struct ph_conn *flusher)
{
    return (struct ph_holder_params){
        .source = &endpoint,
        .job = "j",
        .dir = dir,
        .hold_seconds = 60,
        .use = PH_HOLD_FOR_STREAM,
        .snapshot_id = snapshot_id,
        .flusher = flusher,
    };
}

static ph_lsn
source_lsn(const char *function)
{
    ph_lsn lsn;
    const char *text = sql_once(cluster, "postgres", scratch_printf("SELECT %s()", function));
    const char *word = scratch_printf("%.*s", (int)strcspn(text, "\n"), text);

    assert_true(ph_lsn_parse(word, &lsn));
    return lsn;
}

/* Something that is not flushed: of a transaction that stays open, so that no commit follows. */
static PGconn *
write_unflushed(void)
{
    PGconn *writer = sql_connect(cluster, "postgres");

    sql_exec(writer, "DROP TABLE IF EXISTS written; CREATE TABLE written (a int);"
                     "SET synchronous_commit = on; CREATE TABLE IF NOT EXISTS t (a int);"
                     "BEGIN; INSERT INTO written VALUES (1)");
    return writer;
}

static void
for_a_copy_there_is_no_l(void **state)
{
    struct ph_holder_params params = params_of(NULL, NULL);
    struct ph_held_snapshot held;

    (void)state;
    params.use = PH_HOLD_FOR_COPY;
    OK(ph_holder_start(&params, &held, &err));
    assert_true(held.lsn == 0);
    OK(ph_snapshot_import(conn, held.snapshot_id, &err));
    OK(ph_snapshot_check(conn, &held.mark, &err));
    OK(ph_conn_exec(conn, "COMMIT", &err));
}

/* Whoever exported the first one may leave: the holder exports it again. */
static void
takes_over_the_snapshot_of_the_slot(void **state)
{
    PGconn *slot = sql_connect_to(
        scratch_printf("%s replication=database", pg_test_conninfo(cluster, "postgres")));
    PGconn *writer = sql_connect(cluster, "postgres");
    struct ph_held_snapshot held;

    (void)state;
    sql_exec(writer, "DROP TABLE IF EXISTS slotted; CREATE TABLE slotted AS SELECT 1 AS a");
    PGresult *r = PQexec(
        slot, "CREATE_REPLICATION_SLOT test_slot TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT");
    assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
    const char *id = scratch_printf("%s", PQgetvalue(r, 0, 2));
    PQclear(r);
    sql_exec(writer, "INSERT INTO slotted VALUES (2)");
    struct ph_holder_params params = params_of(id, conn);
    OK(ph_holder_start(&params, &held, &err));
    PQfinish(slot);
    assert_string_not_equal(held.snapshot_id, id);
    OK(ph_snapshot_import(conn, held.snapshot_id, &err));
    OK(ph_snapshot_check(conn, &held.mark, &err));
    char rows[8];
    OK(ph_conn_value(conn, "SELECT count(*) FROM public.slotted", rows, sizeof rows, &err));
    assert_string_equal(rows, "1");
    OK(ph_conn_exec(conn, "COMMIT", &err));
    assert_true(held.lsn > 0 && held.lsn <= source_lsn("pg_current_wal_insert_lsn"));
    PQfinish(writer);
}

static void
a_snapshot_that_is_gone(void **state)
{
    struct ph_holder_params params = params_of("00000003-00000002-1", conn);
    struct ph_held_snapshot held;

    (void)state;
    ph_error_reset(&err);
    assert_int_equal(ph_holder_start(&params, &held, &err), PH_E_SNAPSHOT_LOST);
}

static pid_t
wal_writer(void)
{
    const char *pid = sql_once(cluster, "postgres",
                               "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'");

    return (pid_t)strtol(pid, NULL, 10);
}

/* However long the test takes, nothing is flushed that nobody waits for. */
static void
stop_wal_writer(void)
{
    assert_int_equal(kill(wal_writer(), SIGSTOP), 0);
}

/* TRAPS 85: L counts when it is flushed; on an idle server a message of ours sees to that. */
static void
trap_85_flushed_up_to_l(void **state)
{
    PGconn *writer = write_unflushed();
    struct ph_holder_params params = params_of(NULL, conn);
    struct ph_held_snapshot held;

    (void)state;
    stop_wal_writer();
    ph_lsn before = source_lsn("pg_current_wal_insert_lsn");
    assert_true(source_lsn("pg_current_wal_flush_lsn") < before);
    OK(ph_holder_start(&params, &held, &err));
    assert_true(held.lsn >= before);
    assert_true(source_lsn("pg_current_wal_flush_lsn") >= held.lsn);
    assert_int_equal(kill(wal_writer(), SIGCONT), 0);
    PQfinish(writer);
}

struct waiting {
    pid_t pid;
    const char *word; /* file it writes its answer to */
};

/* The holder is started by a child, so that this test can look at the server while it waits. */
static struct waiting
start_waiting(void)
{
    struct waiting child = {.word = scratch_printf("%s/answer", dir)};
    struct ph_holder_params params = params_of(NULL, NULL);
    struct ph_held_snapshot held;

    child.pid = scratch_fork(SIGKILL);
    if (child.pid != 0)
        return child;
    ph_code rc = ph_holder_start(&params, &held, NULL);
    FILE *file = fopen(child.word, "w");
    if (file != NULL) {
        fprintf(file, "%s", ph_code_text(rc));
        fclose(file);
    }
    _exit(0);
}

static bool
has_answered(void *arg)
{
    return scratch_gone(((struct waiting *)arg)->pid);
}

/*
 * TRAPS 85: the snapshot sees a commit that is not flushed. Nobody gets this snapshot; the crash
 * forgets the commit, and the holder fails with its session.
 */
static void
trap_85_a_crash_before_the_flush(void **state)
{
    PGconn *writer = sql_connect(cluster, "postgres");

    (void)state;
    sql_exec(writer, "SET synchronous_commit = on; DROP TABLE IF EXISTS lost;"
                     "CREATE TABLE lost (a int)");
    sql_exec(writer, "SET synchronous_commit = off; BEGIN; INSERT INTO lost VALUES (1)");
    struct waiting child = {0};
    stop_wal_writer();
    sql_exec(writer, "COMMIT");
    child = start_waiting();
    sql_wait_true(cluster, "postgres",
                  "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name LIKE"
                  " '%holder' AND query LIKE '%flush_lsn%'",
                  20000);
    assert_false(scratch_wait(has_answered, &child, 500));
    pg_test_cluster_kill(cluster);
    assert_true(scratch_wait(has_answered, &child, 20000));
    assert_string_equal(scratch_read(child.word), "PH-CONNECT");
    PQfinish(writer);
    pg_test_cluster_start(cluster);
    assert_string_equal(sql_once(cluster, "postgres", "SELECT count(*) FROM lost"), "0\n");
    ph_conn_free(conn);
    OK(ph_conn_open(&endpoint, "test", &conn, &err));
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(for_a_copy_there_is_no_l, begin, finish),
        cmocka_unit_test_setup_teardown(takes_over_the_snapshot_of_the_slot, begin, finish),
        cmocka_unit_test_setup_teardown(a_snapshot_that_is_gone, begin, finish),
        cmocka_unit_test_setup_teardown(trap_85_flushed_up_to_l, begin, finish),
        cmocka_unit_test_setup_teardown(trap_85_a_crash_before_the_flush, begin, finish),
    };

    if (argc == 2 && strcmp(argv[1], PH_HOLDER_ARGUMENT) == 0) /* started as one by the library */
        return ph_holder_main();
    return cmocka_run_group_tests(tests, start, end);
}
