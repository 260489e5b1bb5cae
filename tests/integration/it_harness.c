/*
 * The harness itself: two clusters, SQL, stop, kill and restart, commands in front and background,
 * and that nothing outlives a test program, not even one that is killed.
 */
/* labels: short */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pgcluster.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;

static int
start_both(void **state)
{
    const struct pg_test_params tcp = {.listen = PG_TEST_SOCKET_AND_TCP, .conf = "work_mem = 7MB"};

    (void)state;
    pg_test_pair_new(NULL, &tcp, &src, &dst);
    return 0;
}

static void
test_both_answer(void **state)
{
    PGconn *conn = sql_connect(src, "postgres");

    (void)state;
    sql_exec(conn, "CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x|y'), (2, NULL)");
    assert_string_equal(sql_rows(conn, "SELECT * FROM t ORDER BY a"), "1|x|y\n2|<null>\n");
    assert_int_equal(sql_int(conn, "SELECT count(*) FROM t"), 2);
    assert_string_equal(sql_valuef(conn, "SELECT a FROM t WHERE b = '%s'", "x|y"), "1");
    assert_string_equal(sql_value(conn, "SHOW wal_level"), "logical");
    sql_expect_error(conn, "SELECT * FROM nowhere", "42P01");
    PQfinish(conn);
    assert_string_equal(sql_once(dst, "postgres", "SHOW work_mem"), "7MB\n");
    conn = sql_connect_to(pg_test_conninfo_tcp(dst, "postgres"));
    assert_string_equal(sql_value(conn, "SELECT inet_server_addr()::text"), "127.0.0.1/32");
    PQfinish(conn);
}

static void
test_kill_and_restart(void **state)
{
    PGconn *conn = sql_connect(src, "postgres");
    const char *sleeps[] = {"psql", "-X", "-c", "SELECT pg_sleep(100)", "-d", NULL, NULL};
    struct run *busy;

    (void)state;
    sql_exec(conn, "CREATE TABLE kept (a int); INSERT INTO kept VALUES (1)");
    sleeps[5] = pg_test_conninfo(src, "postgres");
    busy = run_start(NULL, sleeps);
    sql_wait_true(src, "postgres",
                  "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(100)' "
                  "AND application_name = 'psql'",
                  10000);
    pg_test_cluster_kill(src);
    assert_int_equal(run_wait(busy, 10000), 2);
    assert_int_equal(PQping(pg_test_conninfo(src, "postgres")), PQPING_NO_RESPONSE);
    pg_test_cluster_start(src);
    PQreset(conn);
    assert_int_equal(sql_int(conn, "SELECT a FROM kept"), 1);
    PQfinish(conn);
    pg_test_cluster_conf(src, "work_mem = 9MB");
    pg_test_cluster_restart(src);
    assert_string_equal(sql_once(src, "postgres", "SHOW work_mem"), "9MB\n");
}

static void
test_commands(void **state)
{
    const char *const env[] = {"PGHAUL_FAILPOINT=here", "HOME", NULL};
    const char *const echo[] = {"sh", "-c",
                                "echo $PGHAUL_FAILPOINT ${HOME-none}; echo e >&2; exit 3", NULL};
    const char *const slow[] = {"sh", "-c", "echo begin; sleep 100", NULL};
    struct run *run = run_start(env, echo);

    (void)state;
    run_expect(run, 3);
    assert_string_equal(run_out(run), "here none\n");
    assert_string_equal(run_err(run), "e\n");
    run = run_start(NULL, slow);
    run_wait_output(run, "begin", 5000);
    assert_true(run_alive(run));
    run_kill(run);
    assert_int_equal(run->code, -SIGKILL);
}

static bool
is_gone(void *arg)
{
    const char *text = arg;
    struct stat st;

    return text[0] == '/' ? stat(text, &st) != 0 : scratch_gone((pid_t)strtol(text, NULL, 10));
}

/* The program runs itself, is told by the environment to start a cluster and wait, and is killed.
 */
static void
test_nothing_outlives(void **state)
{
    const char *const env[] = {"PH_HARNESS_VICTIM=1", NULL};
    const char *const argv[] = {"/proc/self/exe", NULL};
    struct run *victim = run_start(env, argv);
    char dir[128];
    char pid[16];

    (void)state;
    run_wait_output(victim, "ready", 30000);
    assert_int_equal(sscanf(strstr(run_out(victim), "victim"), "victim %127s %15s", dir, pid), 2);
    assert_false(is_gone(dir));
    assert_false(is_gone(pid));
    run_kill(victim);
    assert_true(scratch_wait(is_gone, pid, 20000));
    assert_true(scratch_wait(is_gone, dir, 20000));
}

static int
start_and_wait(void **state)
{
    const struct pg_test_cluster *cluster = pg_test_cluster_new(NULL);

    (void)state;
    printf("victim %s %d ready\n", scratch_dir(), (int)cluster->postmaster);
    fflush(stdout);
    pause();
    return 0;
}

static void
test_never_reached(void **state)
{
    (void)state;
    fail();
}

int
main(void)
{
    const struct CMUnitTest victim[] = {cmocka_unit_test(test_never_reached)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_answer),
        cmocka_unit_test(test_kill_and_restart),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_nothing_outlives),
    };

    if (getenv("PH_HARNESS_VICTIM") != NULL)
        return cmocka_run_group_tests(victim, start_and_wait, NULL);
    return cmocka_run_group_tests(tests, start_both, NULL);
}
