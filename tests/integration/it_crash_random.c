/*
 * kill -9 at random moments: of pghaul, of the snapshot's holder, of either server, of single
 * sessions. The same command is given until it is through; then the target equals the source by
 * plain SQL.
 *
 * PH_CRASH_SEED repeats a run, PH_CRASH_SECONDS bounds it (45).
 */
/* timeout: 3600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/copy_case.h"
#include "support/mixed.h"
#include "support/same.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_DISTURBANCES 6
#define LONGEST_WAIT_MS 1800u

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;
static unsigned seed;

static unsigned
any(unsigned below)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 12) % below;
}

static long
env_number(const char *name, long otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtol(text, NULL, 10) : otherwise;
}

/* A crash of the source empties its unlogged tables, so there are two sources. */
static int
start(void **state)
{
    (void)state;
    pg_test_pair_new(NULL, NULL, &src, &dst);
    mixed_new(src, "unlogged");
    PGconn *conn = sql_connect(src, "postgres");
    sql_exec(conn, "CREATE DATABASE logged TEMPLATE unlogged");
    PQfinish(conn);
    sql_once(src, "logged", "ALTER TABLE cache SET LOGGED");
    return 0;
}

static void
pause_ms(unsigned ms)
{
    struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

/* ---- what can happen ---- */

static void
crash_server(struct pg_test_cluster *cluster)
{
    pg_test_cluster_kill(cluster);
    pause_ms(any(400));
    pg_test_cluster_start(cluster);
}

static const char some_session[] =
    "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'pghaul%%'"
    " OR application_name = 'pg_dump' ORDER BY hashtext(pid || '%u') LIMIT 1";

static void
end_session(struct pg_test_cluster *cluster)
{
    const char *pick = scratch_printf(some_session, any(1000));

    sql_once(cluster, "postgres", scratch_printf("SELECT pg_terminate_backend((%s))", pick));
}

/* The server takes all its sessions down with the one, and recovers. */
static void
kill_session(struct pg_test_cluster *cluster)
{
    const char *pid = sql_once(cluster, "postgres", scratch_printf(some_session, any(1000)));

    if (strtol(pid, NULL, 10) <= 0)
        return;
    kill((pid_t)strtol(pid, NULL, 10), SIGKILL);
    /* as long as the server has not seen it, it lists the session */
    sql_wait_true(cluster, "postgres",
                  scratch_printf("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = %ld",
                                 strtol(pid, NULL, 10)),
                  20000);
}

static void
kill_holder(const struct copy_case *c)
{
    const char *pid = "";

    if (strcmp(sql_once(dst, c->dst_db, "SELECT to_regclass('pghaul.epoch') IS NULL"), "f\n") == 0)
        pid = sql_once(dst, c->dst_db,
                       "SELECT holder_pid FROM pghaul.epoch ORDER BY epoch DESC LIMIT 1");
    if (strtol(pid, NULL, 10) > 0)
        kill((pid_t)strtol(pid, NULL, 10), SIGKILL);
}

enum event {
    KILL_PGHAUL,
    STOP_PGHAUL,
    KILL_HOLDER,
    CRASH_TARGET,
    KILL_TARGET_SESSION,
    END_TARGET_SESSION,
    END_SOURCE_SESSION,
    CRASH_SOURCE, /* not with unlogged tables there */
    KILL_SOURCE_SESSION,
    EVENTS
};

static const char *const event_names[EVENTS] = {
    "kill pghaul",        "stop pghaul",         "kill holder",
    "crash target",       "kill target session", "end target session",
    "end source session", "crash source",        "kill source session",
};

static void
disturb(enum event event, const struct copy_case *c, struct run *run)
{
    switch (event) {
    case KILL_PGHAUL:
        run_kill(run);
        break;
    case STOP_PGHAUL:
        run_signal(run, SIGTERM);
        break;
    case KILL_HOLDER:
        kill_holder(c);
        break;
    case CRASH_TARGET:
        crash_server(dst);
        break;
    case KILL_TARGET_SESSION:
        kill_session(dst);
        break;
    case END_TARGET_SESSION:
        end_session(dst);
        break;
    case END_SOURCE_SESSION:
        end_session(src);
        break;
    case CRASH_SOURCE:
        crash_server(src);
        break;
    case KILL_SOURCE_SESSION:
        kill_session(src);
        break;
    case EVENTS:
        break;
    }
}

/* ---- rounds ---- */

static bool
may_go_on(const struct run *run)
{
    return run->code == 5 || run->code == -SIGKILL ||
           (run->code == 3 && strstr(run_err(run), "PH-CONNECT") != NULL);
}

/* Crashes in other rounds may have emptied it. */
static void
refill_cache(void)
{
    PGconn *conn = sql_connect(src, "unlogged");

    sql_exec(conn, "TRUNCATE cache; INSERT INTO cache SELECT 'k' || i, repeat('v', i)"
                   " FROM generate_series(1, 300) i");
    PQfinish(conn);
}

static void
one_round(int number)
{
    bool unlogged = any(2) == 0;
    unsigned events = unlogged ? CRASH_SOURCE : EVENTS;
    unsigned disturbances = 0;
    struct copy_case c;

    refill_cache();
    copy_case_init(&c, src, unlogged ? "unlogged" : "logged", dst,
                   scratch_printf("round_%d", number));
    /* slow enough that most of what happens happens in the middle */
    copy_case_arg(&c, "--max-rate");
    copy_case_arg(&c, "15MB/s");
    struct run *run = copy_case_start(&c, NULL);
    while (run_alive(run) || run->code != 0) {
        if (!run_alive(run)) {
            if (!may_go_on(run))
                run_expect(run, 0);
            run = copy_case_start(&c, NULL);
        }
        if (disturbances == MOST_DISTURBANCES) {
            run_wait(run, RUN_DEADLINE_MS);
            continue;
        }
        pause_ms(any(LONGEST_WAIT_MS));
        if (!run_alive(run))
            continue;
        enum event event = (enum event)any(events);
        printf("    %s\n", event_names[event]);
        disturb(event, &c, run);
        disturbances++;
        if (any(2) == 0)
            run_wait(run, RUN_DEADLINE_MS);
    }
    copy_case_check(&c);
    copy_case_drop(&c);
}

static void
test_random_crashes(void **state)
{
    time_t until = time(NULL) + env_number("PH_CRASH_SECONDS", 45);

    (void)state;
    seed = (unsigned)env_number("PH_CRASH_SEED", (long)time(NULL) % 1000000);
    for (int number = 1; time(NULL) < until; number++) {
        printf("  round %d, PH_CRASH_SEED=%u\n", number, seed);
        one_round(number);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_crashes)};

    setvbuf(stdout, NULL, _IOLBF, 0);
    return cmocka_run_group_tests(tests, start, NULL);
}
