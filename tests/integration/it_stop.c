/* Stopping a copy by `pghaul stop` and by signals: exit code 5, and the same command goes on. */
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
#include <string.h>

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;
static const char *env[2];
static const char *source;

static int
start(void **state)
{
    (void)state;
    pg_test_pair_new(NULL, NULL, &src, &dst);
    env[0] = scratch_printf("XDG_STATE_HOME=%s", scratch_new_dir("state"));
    PGconn *conn = sql_connect(src, "postgres");
    sql_exec(conn, "CREATE TABLE t (id int PRIMARY KEY, a text);"
                   "INSERT INTO t SELECT g, repeat(md5(g::text), 8)"
                   " FROM generate_series(1, 100000) g; ANALYZE t");
    PQfinish(conn);
    source = pg_test_conninfo(src, "postgres");
    return 0;
}

static const char *
new_target(const char *name)
{
    sql_once(dst, "postgres", scratch_printf("CREATE DATABASE %s", name));
    return pg_test_conninfo(dst, name);
}

/* A copy that takes ten seconds and more, once some of it is in. */
static struct run *
slow_copy(const char *name, const char *target)
{
    struct run *run = start_pghaul(env, "copy", "--source", source, "--target", target, "--name",
                                   name, "--split", "1MB", "--max-rate", "2MB/s");

    sql_wait_true(dst, name, "SELECT count(*) >= 2 FROM pghaul.chunk WHERE state = 'done'", 60000);
    return run;
}

static void
has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("lacks \"%s\":\n%s", part, text);
}

/* The stopped run is over, what it left is whole, and the same command ends it. */
static void
goes_on(const char *name, const char *target)
{
    const char *chunks = "SELECT count(*) FROM pghaul.chunk WHERE state = 'done' AND run = 1";
    const char *before = sql_once(dst, name, chunks);
    struct run *run = run_pghaul_env(env, "status", "--target", target, "--name", name);

    run_expect(run, 0);
    has(run_out(run), "stopped");
    run = run_pghaul_env(env, "copy", "--source", source, "--target", target, "--name", name,
                         "--split", "1MB");
    run_expect(run, 0);
    has(run_out(run), "proven");
    assert_string_equal(sql_once(dst, name, chunks), before); /* not done again */
    assert_string_equal(
        sql_once(dst, name, "SELECT count(*), sum(hashtext(t::text)) FROM t"),
        sql_once(src, "postgres", "SELECT count(*), sum(hashtext(t::text)) FROM t"));
}

static void
test_stop_command(void **state)
{
    const char *target = new_target("by_command");
    struct run *copy = slow_copy("by_command", target);
    struct run *stop = run_pghaul_env(env, "stop", "--target", target, "--name", "by_command");

    (void)state;
    run_expect(stop, 0);
    has(run_out(stop), "was told to stop");
    run_expect(copy, 5);
    has(run_err(copy), "PH-STOPPED");
    goes_on("by_command", target);
}

static void
test_sigterm(void **state)
{
    const char *target = new_target("by_sigterm");
    struct run *copy = slow_copy("by_sigterm", target);

    (void)state;
    run_signal(copy, SIGTERM);
    run_expect(copy, 5);
    has(run_err(copy), "PH-STOPPED");
    goes_on("by_sigterm", target);
}

static void
test_sigint(void **state)
{
    const char *target = new_target("by_sigint");
    struct run *copy = slow_copy("by_sigint", target);

    (void)state;
    run_signal(copy, SIGINT);
    run_expect(copy, 5);
    goes_on("by_sigint", target);
}

#define NO_HOLDER                                                                                  \
    "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pghaul % holder'"

/* After kill -9 the snapshot's holder lives on; both commands end it. */
static void
test_stop_and_clean_end_the_holder(void **state)
{
    const char *target = new_target("killed");
    struct run *copy = slow_copy("killed", target);

    (void)state;
    run_kill(copy);
    assert_string_equal(sql_once(src, "postgres", NO_HOLDER), "f\n");
    struct run *run = run_pghaul_env(env, "stop", "--target", target, "--name", "killed");
    run_expect(run, 0);
    has(run_out(run), "is not running");
    sql_wait_true(src, "postgres", NO_HOLDER, 10000);

    const char *other = new_target("killed_too");
    copy = slow_copy("killed_too", other);
    run_kill(copy);
    assert_string_equal(sql_once(src, "postgres", NO_HOLDER), "f\n");
    /* the server may take a moment to see that the sessions are gone, the lock with them */
    sql_wait_true(dst, "killed_too",
                  "SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'", 20000);
    run = run_pghaul_env(env, "clean", "--target", other, "--name", "killed_too", "--yes");
    run_expect(run, 0);
    has(run_out(run), "ended: the process that held the source's snapshot");
    has(run_out(run), "removed: directory");
    sql_wait_true(src, "postgres", NO_HOLDER, 10000);
    assert_string_equal(sql_once(dst, "killed_too",
                                 "SELECT count(*) FROM pg_namespace"
                                 " WHERE nspname = 'pghaul'"),
                        "0\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop_command),
        cmocka_unit_test(test_sigterm),
        cmocka_unit_test(test_sigint),
        cmocka_unit_test(test_stop_and_clean_end_the_holder),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
