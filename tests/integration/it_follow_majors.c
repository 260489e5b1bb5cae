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
    return pg_test_cluster_new(&(struct pg_test_params){.major = major, .conf = WORKLOAD_CONF});
}

static void
make_database(const struct pg_test_cluster *cluster, const char *name)
{
    PGconn *admin = sql_connect(cluster, "postgres");

    sql_execf(admin, "CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8'", name);
    PQfinish(admin);
    workload_make(cluster, name);
}

struct pair {
    const struct pg_test_cluster *src;
    const struct pg_test_cluster *dst;
    const char *name; /* of the databases */
};

static struct run *
start_copy(const struct pair *pair, const char *until)
{
    const char *const argv[] = {"pghaul",
                                "copy",
                                "--follow",
                                "--data-only",
                                "--source",
                                pg_test_conninfo(pair->src, pair->name),
                                "--target",
                                pg_test_conninfo(pair->dst, pair->name),
                                "--dir",
                                scratch_printf("%s/job-%s", scratch_dir(), pair->name),
                                "--exclude-schema",
                                "aside",
                                until == NULL ? NULL : "--until",
                                until,
                                NULL};

    return run_start_copy(NULL, argv);
}

static void
follow_from(const struct pg_test_cluster *src, const struct pg_test_cluster *dst)
{
    struct pair pair = {src, dst, scratch_printf("w_%d_%d", src->params.major, dst->params.major)};

    print_message("  from %d to %d\n", src->params.major, dst->params.major);
    make_database(src, pair.name);
    make_database(dst, pair.name);
    sql_once(dst, pair.name, "TRUNCATE w.places, w.altered");
    struct workload *workload = workload_begin(src, pair.name, workload_seed());
    workload_steps(workload, 150);
    workload_settle(workload); /* the slot waits for what runs */
    struct run *run = start_copy(&pair, NULL);
    run_wait_output(run, "applying changes", RUN_DEADLINE_MS);
    workload_steps(workload, 150);
    run_kill(run);
    workload_steps(workload, 100);
    run = start_copy(&pair, NULL);
    /* it minds signals by now; the catalog waits for locks that the workload holds */
    run_wait_output(run, " to target ", RUN_DEADLINE_MS);
    workload_steps(workload, 150);
    workload_settle(workload);
    run_wait_output(run, "applying changes", RUN_DEADLINE_MS);
    run_signal(run, SIGTERM);
    run_expect(run, 5);
    run_expect(start_copy(&pair, "now"), 0);
    same_tables(src, pair.name, dst, pair.name, WORKLOAD_SCHEMAS);
    workload_end(workload);
}

static void
from_each_major(void **state)
{
    struct pg_test_cluster *dst = make_server(PG_TEST_MAJOR);
    struct pg_test_cluster *newest = pg_test_major_present(18) ? make_server(18) : NULL;

    (void)state;
    for (int major = 13; major <= 18; major++) {
        if (!pg_test_major_present(major)) {
            print_message("  SKIPPED %d: not installed (scripts/install-majors)\n", major);
            continue;
        }
        struct pg_test_cluster *src = make_server(major);
        follow_from(src, dst);
        if (newest != NULL)
            follow_from(src, newest);
        pg_test_cluster_stop(src);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(from_each_major)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
