/*
 * TRAPS 76, 72. Money that moves while it is copied and followed, and kill -9 of all that takes
 * part, in turn: pghaul, the servers, each kind of session on them. Whenever status calls the
 * target consistent, the books there are right; in the end both sides are equal. Where workers
 * apply tables apart while they are far behind, that holds for every look that sees no team of them
 * in the ledger.
 *
 * PH_BANK_SEED repeats a run (as far as clocks let it), PH_BANK_ROUNDS is how often something is
 * killed (all there is, once).
 */
/* timeout: 3600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/bank.h"
#include "support/disturb.h"
#include "support/pair.h"
#include "support/same.h"
#include "support/scratch.h"
#include "support/workload.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LONGEST_WAIT_MS 1500u

static struct pair pair;
static uint64_t seed;

static unsigned
any(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((seed >> 33) % below);
}

static uint64_t
env_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

/* ---- looking ---- */

struct watch {
    struct pair_db *db;
    PGconn *conn;    /* to the target; NULL while it is away */
    bool consistent; /* as status said at the last look */
    bool has_met;    /* it did once */
    unsigned looks;  /* at what was called consistent */
    unsigned passed; /* others, that saw a team */
    const char *apply_jobs;
};

/* A run of its own, as an operator would ask. */
static bool
status_says_consistent(const char *name)
{
    struct run *run = run_pghaul("status", "--json", "--source", pg_test_conninfo(pair.src, name),
                                 "--target", pg_test_conninfo(pair.dst, name));

    return strstr(run_out(run), "\"consistent\":true") != NULL ||
           strstr(run_out(run), "\"consistent\": true") != NULL;
}

static void
swallow_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

static bool
is_one(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    bool is = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;

    PQclear(result);
    return is;
}

/* The books and the ledger in one snapshot; NULL: it shows a team, or nothing. */
static const char *
look_at_books(PGconn *conn)
{
    const char *wrong = NULL;

    PQclear(PQexec(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ"));
    if (is_one(conn, "SELECT FROM pghaul.follow WHERE meet IS NULL"))
        wrong = bank_wrong(conn);
    PQclear(PQexec(conn, "ROLLBACK"));
    return wrong;
}

static void
look(struct watch *watch)
{
    watch->consistent = status_says_consistent(watch->db->name);
    watch->has_met |= watch->consistent;
    if (!watch->consistent)
        return;
    if (watch->conn == NULL || PQstatus(watch->conn) != CONNECTION_OK) {
        PQfinish(watch->conn);
        watch->conn = PQconnectdb(pg_test_conninfo(pair.dst, watch->db->name));
        PQsetNoticeReceiver(watch->conn, swallow_notice, NULL);
    }
    const char *wrong = look_at_books(watch->conn);
    watch->passed += wrong == NULL && PQstatus(watch->conn) == CONNECTION_OK;
    if (wrong == NULL || strncmp(wrong, "error", 5) == 0)
        return;
    watch->looks++;
    if (wrong[0] != '\0')
        fail_msg("the target is called consistent, but: %s", wrong);
}

static void
look_for(struct watch *watch, unsigned ms)
{
    struct timespec start;
    struct timespec now;
    struct timespec pause = {0, 20000000};

    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        look(watch);
        nanosleep(&pause, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < ms);
}

/* ---- disturbing ---- */

static struct run *
follow(const struct watch *watch)
{
    const char *const args[] = {"--follow", "--max-rate",   "4MB/s",           "--bulk-from",
                                "64kB",     "--apply-jobs", watch->apply_jobs, NULL};

    return pair_start_args(watch->db, "copy", args);
}

static struct run *
keep_following(const struct watch *watch, struct run *run)
{
    if (run_alive(run))
        return run;
    if (!disturb_may_go_on(run))
        run_expect(run, 5);
    return follow(watch);
}

static struct run *
wait_consistent(struct watch *watch, struct run *run)
{
    do {
        look_for(watch, 500);
        run = keep_following(watch, run);
    } while (!watch->consistent);
    return run;
}

/* Sessions are killed of a run that has all of them. */
static bool
is_of_sessions(enum disturbance event)
{
    return event == DISTURB_KILL_TARGET_SESSION || event == DISTURB_END_TARGET_SESSION ||
           event == DISTURB_KILL_SOURCE_SESSION || event == DISTURB_END_SOURCE_SESSION;
}

static void
disturb_and_look(struct watch *watch)
{
    struct pair_db *db = watch->db;
    uint64_t rounds = env_number("PH_BANK_ROUNDS", DISTURBANCES);
    struct run *run = follow(watch);

    for (uint64_t round = 0; round < rounds; round++) {
        enum disturbance event = (enum disturbance)(round % DISTURBANCES);
        if (watch->has_met ? is_of_sessions(event) : round > rounds / 3)
            run = wait_consistent(watch, run);
        look_for(watch, any(LONGEST_WAIT_MS));
        run = keep_following(watch, run);
        unsigned turn = (unsigned)(round / DISTURBANCES);
        printf("  %s%s\n", disturb_name(event), watch->has_met ? "" : " (copying)");
        disturb(event, &(struct disturb){pair.src, pair.dst, db->name, run, turn});
        if (any(2) == 0)
            look_for(watch, 300);
        run = keep_following(watch, run);
    }
    run = wait_consistent(watch, run);
    look_for(watch, 1000);
    run_signal(run, SIGTERM);
    if (run_wait(run, RUN_DEADLINE_MS) != 5)
        run_expect(run, 5);
}

static void
move_money(const char *name, const char *apply_jobs)
{
    seed = env_number("PH_BANK_SEED", (uint64_t)time(NULL) % 1000000);
    print_message("PH_BANK_SEED=%" PRIu64 "\n", seed);
    struct pair_db db = pair_db_new(&pair, name);
    bank_make(pair.src, name);
    struct bank *bank = bank_begin(pair.src, name, seed);
    struct watch watch = {.db = &db, .apply_jobs = apply_jobs};

    disturb_and_look(&watch);
    bank_end(bank);
    run_expect(pair_copy(&db, "--follow", "--bulk-from", "64kB", "--apply-jobs", apply_jobs,
                         "--until", "caught-up"),
               0);
    print_message("  %" PRIu64 " transfers, %u looks, %u passed\n", bank_transfers(bank),
                  watch.looks, watch.passed);
    assert_true(watch.looks > 0);
    PQfinish(watch.conn);
    PGconn *source = sql_connect(pair.src, name);
    assert_string_equal(bank_wrong(source), "");
    PQfinish(source);
    same_rows(pair.src, name, pair.dst, name);
    pair_db_end(&db);
}

static void
trap_72_76_money_is_never_lost(void **state)
{
    (void)state;
    move_money("bank", "1");
}

static void
nor_by_workers_that_are_far_behind(void **state)
{
    (void)state;
    move_money("workers", "3");
}

static int
start(void **state)
{
    const struct pg_test_params params = {.conf = WORKLOAD_CONF};

    (void)state;
    pg_test_pair_new(&params, &params, &pair.src, &pair.dst);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_72_76_money_is_never_lost),
        cmocka_unit_test(nor_by_workers_that_are_far_behind),
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    return cmocka_run_group_tests(tests, start, NULL);
}
