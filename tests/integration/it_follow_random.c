/*
 * The same random workload on a source is followed by a native subscription and by pghaul; in the
 * end all three databases have the same rows.
 *
 * PH_WORKLOAD_SEED repeats a run, PH_WORKLOAD_STEPS makes it longer (600), PH_WORKLOAD_ROUNDS
 * makes more or fewer of it (3). PH_WORKLOAD_SOURCE and PH_WORKLOAD_TARGET are the major versions
 * (15).
 */
/* timeout: 3600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/disturb.h"
#include "support/pgcluster.h"
#include "support/run.h"
#include "support/same.h"
#include "support/scratch.h"
#include "support/sql.h"
#include "support/workload.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NATIVE_DEADLINE_MS 120000
#define PARTS 6u

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

/* By pg_dump where that knows the source's version. */
static const char *
schema_of(const char *name)
{
    const char *path = scratch_printf("%s/schema-%s.sql", scratch_dir(), name);
    const char *const argv[] = {
        "pg_dump", "--schema-only", "--no-owner", "-f", path, "-d", pg_test_conninfo(src, name),
        NULL};

    if (src->params.major > PG_TEST_MAJOR)
        return scratch_printf("%s; TRUNCATE w.places, w.altered", workload_schema());
    run_expect(run_start_copy(NULL, argv), 0);
    return scratch_read(path);
}

/* Into a database of the target, everything owned by `role`. */
static void
move_schema(const char *name, const char *database, const char *role)
{
    const char *text = scratch_printf("SET SESSION AUTHORIZATION %s;\n%s", role, schema_of(name));

    sql_file(dst, database, scratch_write(scratch_printf("%s.sql", database), text));
}

/*
 * Without foreign keys: while its tables are synchronised one by one, a native subscriber leaves
 * some of them out of a TRUNCATE, and then cannot truncate the ones that they refer to.
 */
static void
drop_foreign_keys(const char *database)
{
    sql_once(dst, database,
             "DO $$ DECLARE c record; BEGIN FOR c IN SELECT * FROM pg_constraint WHERE"
             " contype = 'f' LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I',"
             " c.conrelid::regclass, c.conname); END LOOP; END $$");
}

/*
 * Arrays and composites of user types have other OIDs on the subscriber, which native replication
 * cannot read in binary: their tables come by a subscription of their own, as text. Commits are
 * synchronous: when a crash forgets that a table was synchronised, its slot is gone already, and
 * the subscription asks for it for ever.
 */
static void
subscribe(const char *name)
{
    PGconn *source = sql_connect(src, name);
    PGconn *target = sql_connect(dst, scratch_printf("%s_native", name));
    bool is_new = src->params.major >= 14 && dst->params.major >= 14;

    sql_execf(source, "CREATE PUBLICATION native_text FOR TABLE w.kinds");
    sql_exec(source,
             "DO $$ BEGIN EXECUTE (SELECT 'CREATE PUBLICATION native FOR TABLE ' ||"
             " string_agg(format('ONLY %I.%I', n.nspname, relname), ', ') FROM pg_class c JOIN"
             " pg_namespace n ON n.oid = c.relnamespace WHERE relkind = 'r' AND relname <> 'kinds'"
             " AND n.nspname ~ '" WORKLOAD_SCHEMAS "'); END $$");
    const char *with = is_new ? ", streaming = true" : "";
    sql_execf(target,
              "CREATE SUBSCRIPTION %s_text CONNECTION '%s' PUBLICATION native_text"
              " WITH (synchronous_commit = on%s)",
              name, pg_test_conninfo(src, name), with);
    sql_execf(target,
              "CREATE SUBSCRIPTION %s CONNECTION '%s' PUBLICATION native"
              " WITH (synchronous_commit = on%s%s)",
              name, pg_test_conninfo(src, name), is_new ? ", binary = true" : "", with);
    PQfinish(source);
    PQfinish(target);
}

/* Nothing is killed before: not every state that a crash leaves a synchronisation in goes on. */
static void
wait_synchronised(const char *name)
{
    sql_wait_true(dst, scratch_printf("%s_native", name),
                  "SELECT count(*) > 0 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel",
                  NATIVE_DEADLINE_MS);
}

static void
wait_native(const char *name)
{
    PGconn *source = sql_connect(src, name);
    const char *lsn = sql_value(source, "SELECT pg_current_wal_insert_lsn()");

    PQfinish(source);
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

/* ---- pghaul ---- */

#define MAX_ARGS 32

/* What the seed chooses. */
struct job {
    const char *name;
    const char *role;  /* on the target: postgres, or one without rights */
    bool schema_there; /* --data-only */
    uint64_t seed;
};

static struct job
make_job(const char *name, uint64_t seed)
{
    struct job job = {
        .name = name,
        .role = seed & 1 ? "mover" : "postgres",
        .schema_there = (seed & 2) != 0 || src->params.major > PG_TEST_MAJOR,
        .seed = seed,
    };

    make_database(dst, name);
    sql_once(dst, name, scratch_printf("ALTER DATABASE %s OWNER TO %s", name, job.role));
    if (job.schema_there)
        move_schema(name, name, job.role);
    print_message("  as %s%s\n", job.role, job.schema_there ? ", into its own schema" : "");
    return job;
}

/* The workload goes on meanwhile (NULL: it is over): pghaul may wait for a lock that it holds. */
static struct run *
start_copy(const struct job *job, struct workload *workload, const char *until)
{
    const char *const all[] = {
        "pghaul",
        "copy",
        "--follow",
        "--source",
        pg_test_conninfo(src, job->name),
        "--target",
        scratch_printf("%s user=%s", pg_test_conninfo(dst, job->name), job->role),
        "--dir",
        scratch_printf("%s/job-%s", scratch_dir(), job->name),
        "--exclude-schema",
        "aside",
        "--max-rate",
        "2MB/s",
        "--jobs",
        job->seed % 3 == 0 ? "1" : "3",
        "--ack",
        job->seed % 5 < 2 ? "applied" : "spooled",
        "--spool-compression",
        job->seed % 7 < 3 ? "zstd" : "lz4",
        "--snapshot-age",
        job->seed % 11 < 5 ? "1s" : "1h",
        "--bulk-from",
        job->seed % 2 == 0 ? "64kB" : "16MB",
    };
    const char *argv[MAX_ARGS] = {NULL};
    size_t n = sizeof all / sizeof all[0];

    memcpy(argv, all, sizeof all);
    if (job->schema_there)
        argv[n++] = "--data-only";
    else
        argv[n++] = "--no-owner";
    if (until != NULL) {
        argv[n++] = "--until";
        argv[n++] = until;
    }
    struct run *run = run_start_copy(NULL, argv);
    while (workload != NULL && run_alive(run) && strstr(run_err(run), " to target ") == NULL) {
        workload_steps(workload, 1);
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    run_wait_output(run, " to target ", RUN_DEADLINE_MS); /* it minds signals by now */
    return run;
}

static void
work_slowly(struct workload *workload, unsigned steps)
{
    struct timespec pause = {0, 40000000};

    for (unsigned done = 0; done < steps; done += 10) {
        workload_steps(workload, 10);
        nanosleep(&pause, NULL);
    }
}

/* The end of a follow carries them over; a native subscription does not. */
static void
same_sequences(const char *name)
{
    static const char sequences[] =
        "SELECT schemaname, sequencename, last_value FROM pg_sequences WHERE schemaname = 'w'"
        " ORDER BY 1, 2";

    assert_string_equal(sql_once(src, name, sequences), sql_once(dst, name, sequences));
}

/* Whatever leaves the sessions of the workload alone. */
static void
disturb_somehow(const struct job *job, struct run *run, unsigned part)
{
    const enum disturbance events[] = {
        DISTURB_KILL_PGHAUL,         DISTURB_STOP_PGHAUL,        DISTURB_KILL_HOLDER,
        DISTURB_KILL_TARGET_SESSION, DISTURB_END_TARGET_SESSION, DISTURB_END_SOURCE_SESSION,
        DISTURB_CRASH_TARGET,
    };
    size_t n = sizeof events / sizeof events[0];
    enum disturbance event = events[(job->seed * 31 + part * part * 5 + part) % n];

    print_message("  %s\n", disturb_name(event));
    disturb(event, &(struct disturb){src, dst, job->name, run, part});
}

/*
 * The workload goes on while pghaul copies and follows; now and then it is stopped, or killed, or
 * one of its sessions is.
 */
static void
follow_by_pghaul(struct workload *workload, const struct job *job, unsigned steps)
{
    struct run *run = start_copy(job, workload, NULL);

    for (unsigned part = 0; part < 2 * PARTS; part++) {
        work_slowly(workload, steps / PARTS / 2);
        if (!run_alive(run)) {
            if (!disturb_may_go_on(run))
                run_expect(run, 5);
            run = start_copy(job, workload, NULL);
        } else if (part % 2 == 1) {
            disturb_somehow(job, run, part / 2);
        }
    }
    workload_settle(workload);
    run_signal(run, SIGTERM);
    run_wait(run, RUN_DEADLINE_MS);
    if (!disturb_may_go_on(run))
        run_expect(run, 5);
    run_expect(start_copy(job, NULL, "caught-up"), 0);
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
    unsigned steps = env_number("PH_WORKLOAD_STEPS", 600);
    const char *name = scratch_printf("random_%" PRIu64, seed);
    const char *native = scratch_printf("%s_native", name);

    make_database(src, name);
    make_database(dst, native);
    workload_make(src, name);
    move_schema(name, native, "postgres");
    drop_foreign_keys(native);
    struct job job = make_job(name, seed);
    struct workload *workload = workload_begin(src, name, seed);
    workload_steps(workload, steps / 4);
    workload_settle(workload); /* native slots are waited for, and wait for what runs */
    subscribe(name);
    wait_synchronised(name);
    workload_steps(workload, 20);
    follow_by_pghaul(workload, &job, steps / 4 * 3);
    say(workload);
    same_tables(src, name, dst, name, WORKLOAD_SCHEMAS);
    same_sequences(name);
    wait_native(name);
    same_tables(src, name, dst, native, WORKLOAD_SCHEMAS);
    workload_end(workload);
    unsubscribe(name);
}

static void
random_workload(void **state)
{
    uint64_t seed = workload_seed();

    (void)state;
    for (unsigned round = 0; round < env_number("PH_WORKLOAD_ROUNDS", 3); round++)
        one_round(seed + round);
}

static int
start(void **state)
{
    struct pg_test_params source = {.conf = WORKLOAD_CONF "max_worker_processes = 20\n"
                                                          "max_logical_replication_workers = 12\n"
                                                          "wal_retrieve_retry_interval = 100ms\n"};
    struct pg_test_params target = source;

    (void)state;
    source.major = (int)env_number("PH_WORKLOAD_SOURCE", PG_TEST_MAJOR);
    target.major = (int)env_number("PH_WORKLOAD_TARGET", PG_TEST_MAJOR);
    pg_test_pair_new(&source, &target, &src, &dst);
    sql_once(dst, "postgres", "CREATE ROLE mover LOGIN");
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_workload)};

    setvbuf(stdout, NULL, _IOLBF, 0);
    return cmocka_run_group_tests(tests, start, NULL);
}
