/*
 * A job that follows from each major version of the source: the random workload goes on while it
 * copies, follows, is killed and goes on. PH_WORKLOAD_SEED repeats a run.
 */
/* labels: majors */
/* timeout: 900 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pgcluster.h"
#include "support/run.h"
#include "support/same.h"
#include "support/scratch.h"
#include "support/sql.h"
#include "support/workload.h"

#include <signal.h>

static struct pg_test_cluster *
make_server(int major)
{
    struct pg_test_cluster *cluster =
        pg_test_cluster_new(&(struct pg_test_params){.major = major, .conf = WORKLOAD_CONF});
    PGconn *admin = sql_connect(cluster, "postgres");

    sql_exec(admin, "CREATE DATABASE w TEMPLATE template0 ENCODING 'UTF8'");
    PQfinish(admin);
    return cluster;
}

static struct run *
start_copy(const struct pg_test_cluster *src, const struct pg_test_cluster *dst, const char *until)
{
    const char *const argv[] = {
        "pghaul",
        "copy",
        "--follow",
        "--data-only",
        "--source",
        pg_test_conninfo(src, "w"),
        "--target",
        pg_test_conninfo(dst, "w"),
        "--dir",
        scratch_printf("%s/job-%d-%d", scratch_dir(), src->params.major, dst->params.major),
        "--exclude-schema",
        "aside",
        until == NULL ? NULL : "--until",
        until,
        NULL};

    return run_start_copy(NULL, argv);
}

static void
follow_from(int major, int target_major)
{
    struct pg_test_cluster *src = make_server(major);
    struct pg_test_cluster *dst = make_server(target_major);

    print_message("  from %d to %d\n", major, target_major);
    workload_make(src, "w");
    workload_make(dst, "w");
    sql_once(dst, "w", "TRUNCATE w.places, w.altered");
    struct workload *workload = workload_begin(src, "w", workload_seed());
    workload_steps(workload, 150);
    workload_settle(workload); /* the slot waits for what runs */
    struct run *run = start_copy(src, dst, NULL);
    run_wait_output(run, "applying changes", RUN_DEADLINE_MS);
    workload_steps(workload, 150);
    run_kill(run);
    workload_steps(workload, 100);
    run = start_copy(src, dst, NULL);
    run_wait_output(run, "applying changes", RUN_DEADLINE_MS);
    workload_steps(workload, 150);
    workload_settle(workload);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    run_expect(start_copy(src, dst, "now"), 0);
    same_tables(src, "w", dst, "w", WORKLOAD_SCHEMAS);
    workload_end(workload);
    pg_test_cluster_stop(src);
    pg_test_cluster_stop(dst);
}

static void
from_each_major(void **state)
{
    (void)state;
    for (int major = 13; major <= 18; major++) {
        if (!pg_test_major_present(major)) {
            print_message("  SKIPPED %d: not installed (scripts/install-majors)\n", major);
            continue;
        }
        follow_from(major, PG_TEST_MAJOR);
        if (major != 18 && pg_test_major_present(18))
            follow_from(major, 18);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(from_each_major)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
