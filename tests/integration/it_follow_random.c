/*
 * The same random workload on a source is followed by a native subscription and by pghaul; in the
 * end all three databases have the same rows.
 *
 * PH_WORKLOAD_SEED repeats a run, PH_WORKLOAD_STEPS makes it longer (1200), PH_WORKLOAD_ROUNDS
 * makes several of it.
 */
/* timeout: 3600 */
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

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NATIVE_DEADLINE_MS 120000

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;

static unsigned
env_number(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void
make_database(const struct pg_test_cluster *cluster, const char *name)
{
    PGconn *admin = sql_connect(cluster, "postgres");

    sql_execf(admin, "CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8'", name);
    PQfinish(admin);
}

/* ---- the native subscription ---- */

/*
 * Without foreign keys: while its tables are synchronised one by one, a native subscriber leaves
 * some of them out of a TRUNCATE, and then cannot truncate the ones that they refer to.
 */
static void
move_schema(const char *name)
{
    const char *native = scratch_printf("%s_native", name);
    const char *path = scratch_printf("%s/schema-%s.sql", scratch_dir(), name);
    const char *const argv[] = {
        "pg_dump", "--schema-only", "-f", path, "-d", pg_test_conninfo(src, name), NULL};

    run_expect(run_start_copy(NULL, argv), 0);
    sql_file(dst, native, path);
    sql_once(dst, native,
             "DO $$ DECLARE c record; BEGIN FOR c IN SELECT * FROM pg_constraint WHERE"
             " contype = 'f' LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I',"
             " c.conrelid::regclass, c.conname); END LOOP; END $$");
}

/*
 * Arrays and composites of user types have other OIDs on the subscriber, which native replication
 * cannot read in binary: their tables come by a subscription of their own, as text.
 */
static void
subscribe(const char *name)
{
    PGconn *source = sql_connect(src, name);
    PGconn *target = sql_connect(dst, scratch_printf("%s_native", name));
    const char *binary = src->params.major >= 14 ? "true" : "false";

    sql_execf(source, "CREATE PUBLICATION native_text FOR TABLE w.kinds");
    sql_exec(source,
             "DO $$ BEGIN EXECUTE (SELECT 'CREATE PUBLICATION native FOR TABLE ' ||"
             " string_agg(format('ONLY %I.%I', n.nspname, relname), ', ') FROM pg_class c JOIN"
             " pg_namespace n ON n.oid = c.relnamespace WHERE relkind = 'r' AND relname <> 'kinds'"
             " AND n.nspname ~ '" WORKLOAD_SCHEMAS "'); END $$");
    const char *with = strcmp(binary, "true") == 0 ? ", streaming = true" : "";
    sql_execf(target,
              "CREATE SUBSCRIPTION %s_text CONNECTION '%s' PUBLICATION native_text"
              " WITH (synchronous_commit = off%s)",
              name, pg_test_conninfo(src, name), with);
    sql_execf(target,
              "CREATE SUBSCRIPTION %s CONNECTION '%s' PUBLICATION native"
              " WITH (synchronous_commit = off, binary = %s%s)",
              name, pg_test_conninfo(src, name), binary, with);
    PQfinish(source);
    PQfinish(target);
}

static void
wait_native(const char *name)
{
    PGconn *source = sql_connect(src, name);
    const char *lsn = sql_value(source, "SELECT pg_current_wal_insert_lsn()");

    PQfinish(source);
    sql_wait_true(dst, scratch_printf("%s_native", name),
                  "SELECT count(*) > 0 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel",
                  NATIVE_DEADLINE_MS);
    sql_wait_true(src, name,
                  scratch_printf("SELECT count(*) = 2 AND bool_and(replay_lsn >= '%s') FROM"
                                 " pg_stat_replication WHERE application_name IN ('%s', '%s_text')",
                                 lsn, name, name),
                  NATIVE_DEADLINE_MS);
}

static void
unsubscribe(const char *name)
{
    PGconn *target = sql_connect(dst, scratch_printf("%s_native", name));

    sql_execf(target, "DROP SUBSCRIPTION %s", name);
    sql_execf(target, "DROP SUBSCRIPTION %s_text", name);
    PQfinish(target);
}

/* ---- rounds ---- */

static void
say(const struct workload *workload)
{
    struct workload_counts counts = workload_counts(workload);

    print_message("  %u statements (%u failed), %u commits, %u rollbacks, %u to savepoints,"
                  " %u prepared\n",
                  counts.statements, counts.failed, counts.commits, counts.rollbacks,
                  counts.rollbacks_to, counts.prepared);
}

static void
one_round(uint64_t seed)
{
    unsigned steps = env_number("PH_WORKLOAD_STEPS", 1200);
    const char *name = scratch_printf("random_%" PRIu64, seed);
    const char *native = scratch_printf("%s_native", name);

    make_database(src, name);
    make_database(dst, native);
    workload_make(src, name);
    move_schema(name);
    struct workload *workload = workload_begin(src, name, seed);
    workload_steps(workload, steps / 4);
    workload_settle(workload); /* slots wait for what runs */
    subscribe(name);
    workload_steps(workload, steps / 4 * 3);
    workload_settle(workload);
    say(workload);
    wait_native(name);
    if (src->params.major >= 14)
        assert_true(
            sql_once(src, name, "SELECT sum(stream_txns) FROM pg_stat_replication_slots")[0] > '0');
    same_tables(src, name, dst, native, WORKLOAD_SCHEMAS);
    workload_end(workload);
    unsubscribe(name);
}

static void
random_workload(void **state)
{
    uint64_t seed = workload_seed();

    (void)state;
    for (unsigned round = 0; round < env_number("PH_WORKLOAD_ROUNDS", 1); round++)
        one_round(seed + round);
}

static int
start(void **state)
{
    const struct pg_test_params params = {.conf = WORKLOAD_CONF
                                          "max_worker_processes = 20\n"
                                          "max_logical_replication_workers = 12\n"
                                          "wal_retrieve_retry_interval = 100ms\n"};

    (void)state;
    pg_test_pair_new(&params, &params, &src, &dst);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_workload)};

    setvbuf(stdout, NULL, _IOLBF, 0);
    return cmocka_run_group_tests(tests, start, NULL);
}
