/* What the ledger keeps of a stream: slot, epochs with L, the position's compare-and-set. */
/* labels: short */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "pg/ledger.h"
#include "pg/ledger_follow.h"
#include "pg/ledger_status.h"
#include "pg/ledger_team.h"
#include "support/pgcluster.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <stdio.h>
#include <string.h>

static struct pg_test_cluster *cluster;
static struct ph_endpoint endpoint;
static struct ph_conn *conn;
static struct ph_ledger_job job;
static struct ph_arena arena;
static struct ph_error err;

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
    cluster = pg_test_cluster_new(NULL);
    OK(ph_endpoint_init(&endpoint, PH_TARGET, pg_test_conninfo(cluster, "postgres"), "j", &err));
    return 0;
}

static int
end(void **state)
{
    (void)state;
    ph_endpoint_reset(&endpoint);
    return 0;
}

static int
begin(void **state)
{
    (void)state;
    ph_arena_init(&arena, 1 << 20);
    OK(ph_conn_open(&endpoint, "test", &conn, &err));
    OK(ph_ledger_create(conn, &err));
    job = (struct ph_ledger_job){.name = "j", .signature = "s", .source_label = "l"};
    OK(ph_ledger_new_job(conn, &job, "", &err));
    return 0;
}

static int
finish(void **state)
{
    (void)state;
    ph_conn_free(conn);
    OK(ph_conn_open(&endpoint, "test", &conn, &err));
    OK(ph_ledger_forget(conn, "j", &err));
    assert_string_equal(
        sql_once(cluster, "postgres", "SELECT count(*) FROM pg_namespace WHERE nspname = 'pghaul'"),
        "0\n");
    ph_conn_free(conn);
    conn = NULL;
    ph_arena_reset(&arena);
    return 0;
}

static void
made(ph_lsn slot_lsn)
{
    struct ph_ledger_follow follow = {
        .slot = "pghaul_j",
        .publication = "pghaul_j",
        .own_publication = true,
        .system_id = "7000000000000000001",
        .timeline = 3,
        .plugin_options = "proto_version '4'",
    };
    char spool_id[sizeof follow.spool_id];

    OK(ph_ledger_begin_follow(conn, "j", &follow, &err));
    memcpy(spool_id, follow.spool_id, sizeof spool_id);
    assert_int_equal(strlen(spool_id), 36);
    OK(ph_ledger_begin_follow(conn, "j", &follow, &err)); /* killed before it was made */
    assert_string_not_equal(spool_id, follow.spool_id);
    OK(ph_ledger_follow_is_made(conn, "j", "100:120:105", slot_lsn, &err));
}

static void
slot_and_s0(void **state)
{
    struct ph_ledger_follow follow;
    const char *s0;
    bool found;

    (void)state;
    OK(ph_ledger_load_follow(conn, "j", &follow, &found, &err));
    assert_false(found);
    assert_int_equal(ph_ledger_load_s0(conn, "j", &arena, &s0, &err), PH_E_LEDGER);
    made(0x16B3748);
    OK(ph_ledger_load_follow(conn, "j", &follow, &found, &err));
    assert_true(found && follow.made && follow.own_publication && !follow.via_root);
    assert_string_equal(follow.slot, "pghaul_j");
    assert_string_equal(follow.system_id, "7000000000000000001");
    assert_string_equal(follow.plugin_options, "proto_version '4'");
    assert_int_equal(follow.timeline, 3);
    assert_true(follow.slot_lsn == 0x16B3748);
    OK(ph_ledger_load_s0(conn, "j", &arena, &s0, &err));
    assert_string_equal(s0, "100:120:105");
    assert_int_equal(ph_ledger_follow_is_made(conn, "j", "1:1:", 1, &err), PH_E_LEDGER);
}

/* Longer than what an importing session compares. */
static const char *
long_snapshot(void)
{
    static char text[4096];
    size_t len = (size_t)snprintf(text, sizeof text, "1000:3000:");

    for (int i = 0; i < 500; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%d", i > 0 ? "," : "", 1000 + i);
    return text;
}

static void
epochs_have_l_and_the_whole_snapshot(void **state)
{
    struct ph_ledger_epoch plain = {
        .number = 1, .snapshot_id = "a", .mark = {"9:9:", 1, 1}, .holder_pid = 1};
    struct ph_ledger_epoch epoch = {.number = 2,
                                    .snapshot_id = "b",
                                    .mark = {"1000:3000:", 1, 1},
                                    .holder_pid = 1,
                                    .lsn = UINT64_C(0x5000000AB),
                                    .snapshot = long_snapshot()};
    struct ph_ledger_mark *marks;
    struct ph_ledger_epoch last;
    bool found;
    uint32_t n;

    (void)state;
    OK(ph_ledger_add_epoch(conn, "j", &plain, &err));
    OK(ph_ledger_last_epoch(conn, "j", &last, &found, &err));
    assert_true(found && last.lsn == 0);
    OK(ph_ledger_add_epoch(conn, "j", &epoch, &err));
    OK(ph_ledger_lose_epochs(conn, "j", &err));
    OK(ph_ledger_last_epoch(conn, "j", &last, &found, &err));
    assert_true(last.lsn == epoch.lsn && last.lost);
    assert_int_equal(strlen(last.mark.visible), 255);
    assert_memory_equal(last.mark.visible, long_snapshot(), 255);
    OK(ph_ledger_load_marks(conn, "j", &arena, &marks, &n, &err));
    assert_int_equal(n, 1);
    assert_true(marks[0].number == 2 && marks[0].lsn == epoch.lsn);
    assert_string_equal(marks[0].snapshot, long_snapshot());
}

static void
position_moves_by_compare_and_set(void **state)
{
    ph_lsn lsn;

    (void)state;
    assert_int_equal(ph_ledger_read_position(conn, "j", 0, &lsn, &err), PH_E_LEDGER);
    made(1000);
    OK(ph_ledger_read_position(conn, "j", 0, &lsn, &err));
    assert_true(lsn == 1000);
    OK(ph_ledger_advance(conn, "j", 0, 1000, UINT64_C(0x1700000000), &err));
    assert_int_equal(ph_ledger_advance(conn, "j", 0, 1000, 3000, &err), PH_E_POSITION);
    assert_int_equal(ph_ledger_advance(conn, "j", 1, 1000, 3000, &err), PH_E_POSITION);
    OK(ph_ledger_read_position(conn, "j", 0, &lsn, &err));
    assert_true(lsn == UINT64_C(0x1700000000));
}

static void
sees_team(uint32_t workers, const char *meet, const char *position)
{
    struct ph_job_status *jobs;
    uint32_t n;

    OK(ph_ledger_jobs(conn, "j", &arena, &jobs, &n, &err));
    assert_int_equal(jobs[0].workers, workers);
    assert_string_equal(jobs[0].meet, meet);
    assert_string_equal(jobs[0].position, position);
}

/* Worker 0 has no position meanwhile: who took himself for him cannot go on. */
static void
a_team_is_begun_and_ended(void **state)
{
    uint32_t worker_of[] = {2, PH_NO_WORKER, 1};
    struct ph_ledger_team team = {.meet = 0x300, .n_workers = 2, .worker_of = worker_of};
    struct ph_ledger_team read;
    ph_lsn lsn = 0;

    (void)state;
    made(0x100);
    OK(ph_ledger_load_team(conn, "j", 3, &arena, &read, &err));
    assert_true(read.meet == 0);
    assert_int_equal(ph_ledger_begin_team(conn, "j", &team, 3, 0x101, &err), PH_E_POSITION);
    sees_team(0, "", "0/100");
    OK(ph_ledger_begin_team(conn, "j", &team, 3, 0x100, &err));
    assert_int_equal(ph_ledger_begin_team(conn, "j", &team, 3, 0x100, &err), PH_E_POSITION);
    assert_int_equal(ph_ledger_read_position(conn, "j", 0, &lsn, &err), PH_E_LEDGER);
    assert_int_equal(ph_ledger_advance(conn, "j", 0, 0x100, 0x200, &err), PH_E_POSITION);
    OK(ph_ledger_advance(conn, "j", 2, 0x100, 0x300, &err));
    OK(ph_ledger_advance(conn, "j", 1, 0x100, 0x200, &err));
    OK(ph_ledger_read_applied(conn, "j", &lsn, &err));
    assert_true(lsn == 0x200);
    sees_team(2, "0/300", "0/200");
    OK(ph_ledger_load_team(conn, "j", 4, &arena, &read, &err)); /* one came later */
    assert_true(read.meet == 0x300 && read.n_workers == 2);
    assert_true(read.positions[0] == 0x200 && read.positions[1] == 0x300);
    assert_true(read.worker_of[0] == 2 && read.worker_of[1] == PH_NO_WORKER &&
                read.worker_of[2] == 1 && read.worker_of[3] == PH_NO_WORKER);
    assert_int_equal(ph_ledger_load_team(conn, "j", 2, &arena, &read, &err), PH_E_LEDGER);
    assert_int_equal(ph_ledger_end_team(conn, "j", &team, &err), PH_E_LEDGER);
    sees_team(2, "0/300", "0/200");
    OK(ph_ledger_advance(conn, "j", 1, 0x200, 0x300, &err));
    OK(ph_ledger_end_team(conn, "j", &team, &err));
    assert_int_equal(ph_ledger_end_team(conn, "j", &team, &err), PH_E_LEDGER);
    sees_team(0, "", "0/300");
    OK(ph_ledger_read_position(conn, "j", 0, &lsn, &err));
    assert_true(lsn == 0x300);
    OK(ph_ledger_load_team(conn, "j", 3, &arena, &read, &err));
    assert_true(read.meet == 0);
}

static void
commit_soon(PGconn *zombie)
{
    assert_int_equal(PQsendQuery(zombie, "SELECT pg_sleep(0.5); COMMIT"), 1);
}

static void
is_committed(PGconn *zombie)
{
    PGresult *result;

    while ((result = PQgetResult(zombie)) != NULL) {
        assert_int_not_equal(PQresultStatus(result), PGRES_FATAL_ERROR);
        PQclear(result);
    }
}

/*
 * TRAPS 87: a session whose connection broke is still about to commit. Reading waits for it, and a
 * group that began from the old position is refused.
 */
static void
trap_87_a_commit_under_way(void **state)
{
    PGconn *zombie = sql_connect(cluster, "postgres");
    ph_lsn lsn = 0;

    (void)state;
    made(1000);
    sql_exec(zombie, "BEGIN; UPDATE pghaul.position SET lsn = '0/7D0'");
    commit_soon(zombie);
    OK(ph_ledger_read_position(conn, "j", 0, &lsn, &err));
    assert_true(lsn == 2000);
    is_committed(zombie);
    sql_exec(zombie, "BEGIN; UPDATE pghaul.position SET lsn = '0/BB8'");
    commit_soon(zombie);
    assert_int_equal(ph_ledger_advance(conn, "j", 0, 2000, 2500, &err), PH_E_POSITION);
    is_committed(zombie);
    PQfinish(zombie);
}

/* Written with each group for days: it stays within its page, and no index grows. */
static void
position_stays_small(void **state)
{
    (void)state;
    made(1);
    for (ph_lsn lsn = 1; lsn < 300; lsn++)
        OK(ph_ledger_advance(conn, "j", 0, lsn, lsn + 1, &err));
    assert_string_equal(
        sql_once(cluster, "postgres", "SELECT pg_relation_size('pghaul.position') <= 16384"),
        "t\n");
}

static void
asked_to_end(void **state)
{
    struct ph_until until = {PH_UNTIL_NOW, 0};
    enum ph_heard_by heard;
    bool asked;
    bool taken;

    (void)state;
    OK(ph_ledger_begin_run(conn, &job, "app", &err));
    made(1);
    OK(ph_ledger_ask_end(conn, "j", &until, &heard, &err));
    assert_int_equal(heard, PH_HEARD_WHEN_BACK); /* kept for who will run it */
    OK(ph_ledger_lock(conn, "j", &taken, &err));
    OK(ph_ledger_end_asked(conn, "j", &until, &err));
    assert_int_equal(until.kind, PH_UNTIL_NOW);
    until = (struct ph_until){PH_UNTIL_LSN, 0x123456789};
    OK(ph_ledger_ask_end(conn, "j", &until, &heard, &err));
    assert_int_equal(heard, PH_HEARD_BY_RUN);
    until = (struct ph_until){0};
    OK(ph_ledger_now_is(conn, "j", 7, &err)); /* is nothing to who was told a position */
    OK(ph_ledger_end_asked(conn, "j", &until, &err));
    assert_true(until.kind == PH_UNTIL_LSN && until.lsn == 0x123456789);
    OK(ph_ledger_stop_asked(conn, "j", job.run, &asked, &err));
    assert_false(asked); /* an end is no stop */
    OK(ph_ledger_end_run(conn, &job, "killed", &err));
    until = (struct ph_until){PH_UNTIL_NOW, 0};
    OK(ph_ledger_ask_end(conn, "j", &until, &heard, &err));
    assert_int_equal(heard, PH_HEARD_BY_NONE);
    OK(ph_ledger_begin_run(conn, &job, "app", &err));
    OK(ph_ledger_end_asked(conn, "j", &until, &err)); /* the next run is asked, too */
    assert_int_equal(until.kind, PH_UNTIL_NOW);
    OK(ph_ledger_now_is(conn, "j", 0x55, &err));
    OK(ph_ledger_end_asked(conn, "j", &until, &err));
    assert_true(until.kind == PH_UNTIL_LSN && until.lsn == 0x55);
}

static double
sequences_age(void)
{
    struct ph_job_status *jobs;
    uint32_t n;

    OK(ph_ledger_jobs(conn, "j", &arena, &jobs, &n, &err));
    assert_int_equal(n, 1);
    return jobs[0].sequences_s;
}

static void
sequences(void **state)
{
    (void)state;
    assert_true(sequences_age() < 0);
    made(1);
    assert_true(sequences_age() < 0);
    OK(ph_ledger_sequences_carried(conn, "j", &err));
    assert_true(sequences_age() >= 0 && sequences_age() < 60);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(slot_and_s0, begin, finish),
        cmocka_unit_test_setup_teardown(epochs_have_l_and_the_whole_snapshot, begin, finish),
        cmocka_unit_test_setup_teardown(position_moves_by_compare_and_set, begin, finish),
        cmocka_unit_test_setup_teardown(a_team_is_begun_and_ended, begin, finish),
        cmocka_unit_test_setup_teardown(trap_87_a_commit_under_way, begin, finish),
        cmocka_unit_test_setup_teardown(position_stays_small, begin, finish),
        cmocka_unit_test_setup_teardown(asked_to_end, begin, finish),
        cmocka_unit_test_setup_teardown(sequences, begin, finish),
    };

    return cmocka_run_group_tests(tests, start, end);
}
