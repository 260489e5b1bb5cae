/*
 * A job that follows from each major version of the source: the random workload goes on while it
 * copies, follows, is killed and goes on. PH_WORKLOAD_SEED repeats a run. And a source whose
 * standby takes its place.
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
#include "support/standby.h"
#include "support/workload.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>

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

/* ---- locks on the source ---- */

/*
 * From 16 on who asks what is published opens every table. Somebody has one for himself: the run
 * meets that, and hears of a stop nevertheless.
 */
static void
locked_table_holds_up_no_stop(int major)
{
    struct pg_test_cluster *src = make_server(major);
    struct pg_test_cluster *dst = make_server(PG_TEST_MAJOR);
    struct pair pair = {src, dst, scratch_printf("locked_%d", major)};
    const char *make = scratch_printf("CREATE DATABASE %s", pair.name);
    static const char tables[] = "CREATE TABLE t (id int PRIMARY KEY);"
                                 "CREATE SCHEMA aside; CREATE TABLE aside.t ()";

    sql_once(src, "postgres", make);
    sql_once(dst, "postgres", make);
    sql_once(src, pair.name, tables);
    sql_once(dst, pair.name, tables);
    struct run *run = start_copy(&pair, NULL);
    run_wait_output(run, "applying changes", RUN_DEADLINE_MS);
    PGconn *somebody = sql_connect(src, pair.name);
    sql_exec(somebody, "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    sql_wait_true(src, pair.name,
                  "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND"
                  " application_name LIKE 'pghaul % control'",
                  RUN_DEADLINE_MS);
    run_expect(run_pghaul("stop", "--target", pg_test_conninfo(dst, pair.name), "--source",
                          pg_test_conninfo(src, pair.name)),
               0);
    run_expect(run, 5);
    sql_exec(somebody, "COMMIT");
    PQfinish(somebody);
    pg_test_cluster_stop(src);
    pg_test_cluster_stop(dst);
}

static void
a_lock_on_the_source(void **state)
{
    (void)state;
    for (int major = 16; major <= 18; major++) {
        print_message("  %d%s\n", major,
                      pg_test_major_present(major) ? "" : " SKIPPED: not installed");
        if (pg_test_major_present(major))
            locked_table_holds_up_no_stop(major);
    }
}

/* ---- a standby takes the source's place ---- */

static struct run *
start_with_failover(const struct pg_test_cluster *primary, const struct pg_test_cluster *standby,
                    const struct pg_test_cluster *dst)
{
    const char *const argv[] = {"pghaul",
                                "copy",
                                "--follow",
                                "--failover-slot",
                                "--data-only", /* pg_dump here is of PG_TEST_MAJOR */
                                "--name",
                                "over",
                                "--source",
                                scratch_printf("host=%s,%s port=%d,%d dbname=shop user=postgres"
                                               " target_session_attrs=read-write",
                                               primary->dir, standby->dir, primary->port,
                                               standby->port),
                                "--target",
                                pg_test_conninfo(dst, "shop"),
                                "--dir",
                                scratch_new_dir("job"),
                                NULL};

    return run_start_copy(NULL, argv);
}

/* A slot is in step once the standby has what it was made with; writes move it on. */
static void
wait_in_step(const struct pg_test_cluster *primary, const struct pg_test_cluster *standby)
{
    for (int i = 0; i < 300; i++) {
        sql_once(primary, "shop",
                 "SELECT pg_log_standby_snapshot();"
                 "INSERT INTO t (v) VALUES ('goes on')");
        if (standby_has_slots(standby, 1))
            return;
        (void)poll(NULL, 0, 100);
    }
    fail_msg("the standby does not synchronise the slot");
}

static void
expect_on_target(const struct pg_test_cluster *dst, const char *value)
{
    sql_wait_true(dst, "shop", scratch_printf("SELECT count(*) = 1 FROM t WHERE v = '%s'", value),
                  RUN_DEADLINE_MS);
}

/* The run is not told of it: its connection string names both servers. */
static void
fail_over(int major)
{
    struct pg_test_cluster *primary = pg_test_cluster_new(&(struct pg_test_params){.major = major});
    struct pg_test_cluster *dst = make_server(PG_TEST_MAJOR);

    static const char table[] = "CREATE TABLE t (id bigserial PRIMARY KEY, v text)";

    sql_once(primary, "postgres", "CREATE DATABASE shop");
    sql_once(dst, "postgres", "CREATE DATABASE shop");
    sql_once(primary, "shop", table);
    sql_once(dst, "shop", table);
    sql_once(primary, "shop",
             "INSERT INTO t (v) SELECT md5(g::text) FROM generate_series(1, 5000) g");
    struct pg_test_cluster *standby = standby_new(primary);
    /* nothing comes to us before the standby has it */
    sql_once(primary, "postgres", "ALTER SYSTEM SET synchronized_standby_slots = 'physical'");
    sql_once(primary, "postgres", "SELECT pg_reload_conf()");
    struct run *run = start_with_failover(primary, standby, dst);
    run_wait_output(run, "applying changes", RUN_DEADLINE_MS);
    wait_in_step(primary, standby);
    sql_once(primary, "shop", "INSERT INTO t (v) VALUES ('before')");
    sql_once(primary, "shop",
             "SELECT pg_replication_origin_create('elsewhere'),"
             " pg_replication_origin_session_setup('elsewhere');"
             "INSERT INTO t (v) VALUES ('replicated to here')");
    expect_on_target(dst, "replicated to here");
    expect_on_target(dst, "before");
    standby_promote(primary, standby);
    sql_once(standby, "shop", "INSERT INTO t (v) VALUES ('after')");
    expect_on_target(dst, "after");
    run_expect(run_pghaul("stop", "--target", pg_test_conninfo(dst, "shop"), "--name", "over",
                          "--at", "now"),
               0);
    run_expect(run, 0);
    same_rows(standby, "shop", dst, "shop");
    assert_string_equal(sql_once(standby, "shop",
                                 "SELECT count(*) FROM pg_replication_slots WHERE"
                                 " slot_type = 'logical'"),
                        "0\n");
    pg_test_cluster_stop(standby);
    pg_test_cluster_stop(dst);
}

/* TRAPS 24 */
static void
trap_24_failover_slot(void **state)
{
    (void)state;
    for (int major = 17; major <= 18; major++) {
        print_message("  %d%s\n", major,
                      pg_test_major_present(major) ? "" : " SKIPPED: not installed");
        if (pg_test_major_present(major))
            fail_over(major);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_24_failover_slot),
        cmocka_unit_test(a_lock_on_the_source),
        cmocka_unit_test(from_each_major),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
