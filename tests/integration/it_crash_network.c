/*
 * What is between the processes goes wrong: a second run, sessions that outlive their run, a
 * network that stalls or is cut, stops at any moment.
 */
/* timeout: 600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/copy_case.h"
#include "support/mixed.h"
#include "support/proxy.h"
#include "support/same.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;
static struct proxy *src_proxy;
static struct proxy *dst_proxy;

static int
start(void **state)
{
    const struct pg_test_params tcp = {.listen = PG_TEST_SOCKET_AND_TCP};

    (void)state;
    pg_test_pair_new(&tcp, &tcp, &src, &dst);
    mixed_new(src, "mixed");
    src_proxy = proxy_new(src);
    dst_proxy = proxy_new(dst);
    return 0;
}

static void
has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("lacks \"%s\":\n%s", part, text);
}

static void
pause_ms(long ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&pause, NULL);
}

static double
now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
finish_and_check(struct copy_case *c)
{
    copy_case_finish(c, 1);
    copy_case_check(c);
    copy_case_drop(c);
}

/* Waits until rows are on their way: a chunk of the slowed-down copy is done. */
static void
await_rows(const struct copy_case *c)
{
    sql_wait_true(dst, c->dst_db, "SELECT count(*) > 0 FROM pghaul.chunk WHERE state = 'done'",
                  30000);
}

/* About three seconds in the rows phase. */
static void
slow_down(struct copy_case *c)
{
    copy_case_arg(c, "--max-rate");
    copy_case_arg(c, "5MB/s");
}

static void
full_speed(struct copy_case *c)
{
    c->argc -= 2;
    c->argv[c->argc] = NULL;
}

/* ---- two runs at the same time ---- */

static void
test_second_run_refuses(void **state)
{
    struct copy_case c;
    struct copy_case other;

    (void)state;
    copy_case_init(&c, src, "mixed", dst, "twice");
    slow_down(&c);
    struct run *first = copy_case_start(&c, NULL);
    await_rows(&c);
    struct run *second = copy_case_start(&c, NULL);
    run_expect(second, 3);
    has(run_err(second), "PH-JOB-RUNNING");
    other = c;
    other.argv[7] = scratch_new_dir("elsewhere");
    second = copy_case_start(&other, NULL);
    run_expect(second, 3);
    has(run_err(second), "PH-JOB-RUNNING");
    run_expect(first, 0);
    copy_case_check(&c);
    copy_case_drop(&c);
}

/* ---- sessions that outlive their run ---- */

static void
test_trap_87_sessions_of_a_dead_run_are_ended(void **state)
{
    struct copy_case c;

    (void)state;
    copy_case_init(&c, src, "mixed", dst, "lingering");
    const char *direct = c.argv[5];
    copy_case_target(&c, proxy_conninfo(dst_proxy, "lingering"));
    slow_down(&c);
    struct run *run = copy_case_start(&c, NULL);
    await_rows(&c);
    proxy_set(dst_proxy, PROXY_STALL);
    run_kill(run);
    copy_case_target(&c, direct);
    full_speed(&c);
    const char *done = copy_case_done(&c);
    double began = now_s();
    run = copy_case_finish(&c, 1);
    if (now_s() - began < 10)
        fail_msg("the sessions were not given ten seconds\n%s", run_err(run));
    has(run_err(run), "is ended");
    copy_case_not_repeated(&c, done);
    proxy_set(dst_proxy, PROXY_CUT);
    proxy_set(dst_proxy, PROXY_FORWARD);
    copy_case_check(&c);
    copy_case_drop(&c);
}

/* The server does not see that the client is gone: its locks must not stop the next attempt. */
static void
test_half_open_connections_are_ended(void **state)
{
    struct copy_case c;

    (void)state;
    copy_case_init(&c, src, "mixed", dst, "half_open");
    copy_case_target(&c, proxy_conninfo(dst_proxy, "half_open"));
    slow_down(&c);
    struct run *run = copy_case_start(&c, NULL);
    await_rows(&c);
    proxy_orphan(dst_proxy);
    run_expect(run, 0);
    has(run_err(run), "trying again");
    proxy_set(dst_proxy, PROXY_CUT);
    proxy_set(dst_proxy, PROXY_FORWARD);
    copy_case_check(&c);
    copy_case_drop(&c);
}

/* ---- a network that does not answer ---- */

static void
stalled_and_stopped(struct proxy *proxy, const char *failpoint)
{
    struct copy_case c;

    copy_case_init(&c, src, "mixed", dst, "stalled");
    copy_case_source(&c, proxy_conninfo(src_proxy, "mixed"));
    copy_case_target(&c, proxy_conninfo(dst_proxy, "stalled"));
    slow_down(&c);
    struct run *run = copy_case_start(&c, failpoint);
    if (failpoint == NULL)
        await_rows(&c);
    else
        sql_wait_true(dst, "stalled", "SELECT phase = 'schema' FROM pghaul.job", 20000);
    proxy_set(proxy, PROXY_STALL);
    proxy_wait_stalled(proxy);
    run_signal(run, SIGTERM);
    run_expect(run, 5); /* while nothing answers */
    proxy_set(proxy, PROXY_CUT);
    proxy_set(proxy, PROXY_FORWARD);
    full_speed(&c);
    finish_and_check(&c);
}

static void
test_stalled_source_then_stop(void **state)
{
    (void)state;
    stalled_and_stopped(src_proxy, NULL);
}

static void
test_stalled_target_then_stop(void **state)
{
    (void)state;
    stalled_and_stopped(dst_proxy, NULL);
}

static void
test_stalled_target_before_rows_then_stop(void **state)
{
    (void)state;
    stalled_and_stopped(dst_proxy, "before_schema_note=sleep:600");
}

static void
stalled_and_cut(struct proxy *proxy)
{
    struct copy_case c;

    copy_case_init(&c, src, "mixed", dst, "cut");
    copy_case_source(&c, proxy_conninfo(src_proxy, "mixed"));
    copy_case_target(&c, proxy_conninfo(dst_proxy, "cut"));
    slow_down(&c);
    struct run *run = copy_case_start(&c, NULL);
    await_rows(&c);
    proxy_set(proxy, PROXY_STALL);
    proxy_wait_stalled(proxy);
    proxy_set(proxy, PROXY_CUT);
    pause_ms(500);
    proxy_set(proxy, PROXY_FORWARD);
    run_expect(run, 0);
    has(run_err(run), "trying again");
    copy_case_check(&c);
    copy_case_drop(&c);
}

static void
test_stalled_then_cut_is_retried(void **state)
{
    (void)state;
    stalled_and_cut(src_proxy);
    stalled_and_cut(dst_proxy);
}

/* Longer than all its pauses: it gives up with 5, and goes on when told to. In long runs only. */
static void
test_gives_up_then_goes_on(void **state)
{
    struct copy_case c;

    (void)state;
    if (!scratch_is_long())
        skip();
    copy_case_init(&c, src, "mixed", dst, "away");
    slow_down(&c);
    struct run *run = copy_case_start(&c, NULL);
    await_rows(&c);
    const char *done = copy_case_done(&c);
    pg_test_cluster_stop(dst);
    run_expect(run, 5);
    has(run_err(run), "PH-CONNECT");
    pg_test_cluster_start(dst);
    full_speed(&c);
    copy_case_finish(&c, 1);
    copy_case_check(&c);
    copy_case_not_repeated(&c, done);
    copy_case_drop(&c);
}

/* ---- stops ---- */

static void
test_stop_at_any_moment(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT};
    struct copy_case c;
    struct run *run;

    (void)state;
    copy_case_init(&c, src, "mixed", dst, "stops");
    for (int i = 0; i < 8; i++) {
        run = copy_case_start(&c, NULL);
        pause_ms(60 + i * 110);
        run_signal(run, signals[i % 2]);
        int code = run_wait(run, 20000);
        if (code == 0)
            break;
        if (code != -signals[i % 2]) /* before it could catch the signal */
            run_expect(run, 5);
    }
    finish_and_check(&c);
}

static void
test_stop_command(void **state)
{
    struct copy_case c;

    (void)state;
    copy_case_init(&c, src, "mixed", dst, "told");
    slow_down(&c);
    struct run *run = copy_case_start(&c, NULL);
    await_rows(&c);
    struct run *stop = copy_case_verb(&c, "stop", NULL);
    run_expect(stop, 0);
    has(run_out(stop), "was told to stop");
    run_expect(run, 5);
    full_speed(&c);
    finish_and_check(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_second_run_refuses),
        cmocka_unit_test(test_trap_87_sessions_of_a_dead_run_are_ended),
        cmocka_unit_test(test_half_open_connections_are_ended),
        cmocka_unit_test(test_stalled_source_then_stop),
        cmocka_unit_test(test_stalled_target_then_stop),
        cmocka_unit_test(test_stalled_target_before_rows_then_stop),
        cmocka_unit_test(test_stalled_then_cut_is_retried),
        cmocka_unit_test(test_gives_up_then_goes_on),
        cmocka_unit_test(test_stop_at_any_moment),
        cmocka_unit_test(test_stop_command),
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
