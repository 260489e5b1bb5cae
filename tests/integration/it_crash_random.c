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
#include "support/disturb.h"
#include "support/mixed.h"
#include "support/same.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <stdio.h>
#include <stdlib.h>
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

/* ---- rounds ---- */

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
    /* a crash of the source would empty unlogged tables */
    unsigned events = unlogged ? DISTURB_CRASH_SOURCE : DISTURB_RESTART_TARGET;
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
            if (!disturb_may_go_on(run))
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
        enum disturbance event = (enum disturbance)any(events);
        printf("    %s\n", disturb_name(event));
        disturb(event, &(struct disturb){src, dst, c.dst_db, run, any(1000)});
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
