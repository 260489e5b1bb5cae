/*
 * The beginning of a stream: publication, slot and first epoch are made once, and nothing of a
 * start that failed or was killed stays.
 */
/* labels: short */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "job/copy_parts.h"
#include "job/follow_begin.h"
#include "pg/holder.h"
#include "support/pgcluster.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct pg_test_cluster *cluster;
static struct ph_options options;
static struct ph_run run;
static struct ph_job job;
static PGconn *app;
static struct ph_error err;

#define OK(expr)                                                                                   \
    do {                                                                                           \
        ph_error_reset(&err);                                                                      \
        if ((expr) != PH_OK)                                                                       \
            fail_msg("%s: %s %s %s", #expr, err.object, err.message, err.notes);                   \
    } while (0)

static int
start(void **state)
{
    (void)state;
    cluster = pg_test_cluster_new(NULL);
    return 0;
}

static void
make_databases(void)
{
    PGconn *conn = sql_connect(cluster, "postgres");

    sql_exec(conn, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
    sql_exec(conn, "DROP DATABASE IF EXISTS src WITH (FORCE)");
    sql_exec(conn, "DROP DATABASE IF EXISTS dst WITH (FORCE)");
    sql_exec(conn, "CREATE DATABASE src");
    sql_exec(conn, "CREATE DATABASE dst");
    PQfinish(conn);
    app = sql_connect(cluster, "src");
    sql_exec(app, "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'x');"
                  "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);"
                  "CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);"
                  "CREATE TABLE keyless (a int);"
                  "CREATE UNLOGGED TABLE fast (id int PRIMARY KEY)");
}

static void
open_job(void)
{
    run = (struct ph_run){.options = &options};
    job = (struct ph_job){.lock_fd = -1};
    OK(ph_job_connect(&job, &run, &err));
    OK(ph_mover_lock(options.dir, &job.lock_fd, &err));
    OK(ph_job_register(&job, &err));
}

static int
begin(void **state)
{
    (void)state;
    make_databases();
    OK(ph_options_init(&options, &err));
    options.source = strdup(pg_test_conninfo(cluster, "src"));
    options.target = strdup(pg_test_conninfo(cluster, "dst"));
    options.name = strdup("j");
    options.dir = strdup(scratch_new_dir("job"));
    options.follow = options.set_replica_identity = true;
    open_job();
    return 0;
}

static void
close_job(void)
{
    ph_job_release_epoch(&job);
    ph_job_close(&job);
}

static int
finish(void **state)
{
    (void)state;
    close_job();
    ph_options_free(&options);
    PQfinish(app);
    return 0;
}

static const char *
on_source(void)
{
    return sql_value(app, "SELECT (SELECT count(*) FROM pg_replication_slots WHERE plugin ="
                          " 'pgoutput') || ' slots, ' || (SELECT count(*) FROM pg_publication) ||"
                          " ' publications'");
}

static void
made_once(void **state)
{
    char spool_id[sizeof job.stream.spool_id];

    (void)state;
    OK(ph_follow_begin(&job, &err));
    assert_true(job.stream.made && job.stream.own_publication && job.stream.slot_lsn != 0);
    assert_string_equal(job.stream.system_id,
                        sql_value(app, "SELECT system_identifier FROM pg_control_system()"));
    assert_int_equal(job.stream.timeline, 1);
    assert_string_equal(on_source(), "1 slots, 1 publications");
    assert_string_equal(sql_rows(app, "SELECT tablename FROM pg_publication_tables WHERE pubname ="
                                      " 'pghaul_j' ORDER BY 1"),
                        "keyless\npart_1\nt\n");
    assert_string_equal(sql_value(app, "SELECT pubviaroot FROM pg_publication"), "f");
    /* the application goes on */
    sql_exec(app, "UPDATE t SET v = 'y'; INSERT INTO keyless VALUES (1); DELETE FROM keyless");
    /* a partition that is made later is published as well */
    sql_exec(app, "CREATE TABLE part_2 PARTITION OF parts FOR VALUES FROM (10) TO (20)");
    assert_string_equal(sql_value(app, "SELECT count(*) FROM pg_publication_tables"), "4");
    OK(ph_job_ensure_epoch(&job, &err));
    assert_int_equal(job.epoch.number, 1);
    memcpy(spool_id, job.stream.spool_id, sizeof spool_id);
    /* the next run finds it */
    close_job();
    open_job();
    OK(ph_follow_begin(&job, &err));
    assert_true(job.stream.made);
    assert_string_equal(job.stream.spool_id, spool_id);
    assert_string_equal(on_source(), "1 slots, 1 publications");
    OK(ph_job_ensure_epoch(&job, &err));
    assert_int_equal(job.epoch.number, 2); /* the first was released */
    OK(ph_copy_forget(&job, &err));        /* --restart */
    assert_string_equal(on_source(), "0 slots, 0 publications");
}

static void
a_failed_start_leaves_nothing(void **state)
{
    (void)state;
    /* the epoch cannot be written down */
    OK(ph_conn_exec(job.target_control,
                    "CREATE FUNCTION pghaul.no() RETURNS trigger LANGUAGE"
                    " plpgsql AS 'BEGIN RAISE ''no''; END'; CREATE TRIGGER no"
                    " BEFORE INSERT ON pghaul.position EXECUTE FUNCTION"
                    " pghaul.no()",
                    &err));
    ph_error_reset(&err);
    assert_int_equal(ph_follow_begin(&job, &err), PH_E_SQL);
    assert_string_equal(on_source(), "0 slots, 0 publications");
    OK(ph_conn_exec(job.target_control, "DROP TRIGGER no ON pghaul.position", &err));
    OK(ph_follow_begin(&job, &err));
    assert_string_equal(on_source(), "1 slots, 1 publications");
}

static void
set_standby(PGconn *conn, const char *name)
{
    sql_execf(conn, "ALTER SYSTEM SET synchronous_standby_names = '%s'", name);
    sql_exec(conn, "SELECT pg_reload_conf()");
    sql_wait_true(cluster, "postgres",
                  scratch_printf("SELECT setting = '%s' FROM pg_settings WHERE name ="
                                 " 'synchronous_standby_names'",
                                 name),
                  10000);
}

/* It has happened, and the answer is lost. */
static void
the_commit_is_lost(void **state)
{
    PGconn *other = sql_connect(cluster, "postgres");

    (void)state;
    close_job();
    sql_exec(other, "SET synchronous_commit = local");
    sql_exec(other, "ALTER DATABASE src SET synchronous_commit = local");
    sql_exec(other, "ALTER DATABASE dst SET synchronous_commit = local");
    open_job();
    OK(ph_conn_exec(job.target_control,
                    "CREATE FUNCTION pghaul.wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN"
                    " PERFORM set_config(''synchronous_commit'', ''on'', true); RETURN NEW; END';"
                    "CREATE TRIGGER wait BEFORE INSERT ON pghaul.position FOR EACH ROW"
                    " EXECUTE FUNCTION pghaul.wait()",
                    &err));
    set_standby(other, "nobody");
    assert_int_equal(PQsendQuery(other,
                                 "DO 'BEGIN LOOP PERFORM pg_stat_clear_snapshot(), pg_sleep(0.05);"
                                 " PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                                 " wait_event = ''SyncRep''; EXIT WHEN FOUND; END LOOP; END'"),
                     1);
    ph_error_reset(&err);
    assert_int_not_equal(ph_follow_begin(&job, &err), PH_OK);
    for (PGresult *r = PQgetResult(other); r != NULL; r = PQgetResult(other))
        PQclear(r);
    set_standby(other, "");
    PQfinish(other);
    assert_string_equal(on_source(), "1 slots, 1 publications");
    close_job();
    open_job();
    OK(ph_follow_begin(&job, &err));
    assert_true(job.stream.made);
    assert_string_equal(on_source(), "1 slots, 1 publications");
}

/* As a kill between any two steps leaves it: names in the ledger, some of them on the source. */
static void
a_killed_start_is_cleared_away(void **state)
{
    struct ph_ledger_follow killed = {.slot = "pghaul_j",
                                      .publication = "pghaul_j",
                                      .own_publication = true,
                                      .system_id = "1",
                                      .timeline = 1};

    (void)state;
    OK(ph_ledger_begin_follow(job.target_control, "j", &killed, &err));
    sql_exec(app, "CREATE PUBLICATION pghaul_j FOR TABLE t");
    sql_exec(app, "SELECT pg_create_logical_replication_slot('pghaul_j', 'pgoutput')");
    OK(ph_follow_begin(&job, &err));
    assert_true(job.stream.made);
    assert_string_equal(on_source(), "1 slots, 1 publications");
    assert_string_not_equal(job.stream.spool_id, killed.spool_id);
}

static void
clean_removes_it(void **state)
{
    const char *spool = scratch_printf("%s/spool", options.dir);

    (void)state;
    OK(ph_follow_begin(&job, &err));
    close_job();
    assert_int_equal(mkdir(spool, 0700), 0);
    struct run *clean = run_pghaul("clean", "--target", options.target, "--name", "j", "--dir",
                                   options.dir, "--yes");
    run_expect(clean, 2);
    assert_non_null(strstr(run_err(clean), "--source"));
    assert_string_equal(on_source(), "1 slots, 1 publications");
    clean = run_pghaul("clean", "--source", options.source, "--target", options.target, "--name",
                       "j", "--dir", options.dir, "--yes");
    run_expect(clean, 0);
    assert_non_null(strstr(run_out(clean), "removed: the replication slot and the publication"));
    assert_non_null(strstr(run_out(clean), "removed: directory"));
    assert_string_equal(on_source(), "0 slots, 0 publications");
    assert_int_equal(mkdir(options.dir, 0700), 0);
    open_job();
}

static const char *const failpoints[] = {"after_follow_noted", "after_publication", "after_slot",
                                         "after_holder_start", "before_first_epoch_commit"};

static void
killed_at_every_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof failpoints / sizeof *failpoints; i++) {
        const char *const env[] = {scratch_printf("PGHAUL_FAILPOINT=%s=kill", failpoints[i]), NULL};
        const char *const argv[] = {"/proc/self/exe", "--begin",   options.source,
                                    options.target,   options.dir, NULL};
        close_job();
        struct run *killed = run_start(env, argv);
        run_wait(killed, 30000);
        if (killed->code != -SIGKILL)
            fail_msg("%s: %d\n%s", failpoints[i], killed->code, run_err(killed));
        open_job();
        OK(ph_follow_begin(&job, &err));
        OK(ph_job_ensure_epoch(&job, &err));
        assert_string_equal(on_source(), "1 slots, 1 publications");
        assert_true(job.stream.made);
        sql_wait_true(cluster, "src",
                      "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name LIKE"
                      " '% holder'",
                      10000);
        OK(ph_copy_forget(&job, &err));
        assert_string_equal(on_source(), "0 slots, 0 publications");
    }
}

/* This program, as the run that is killed. */
static int
begin_and_die(char **argv)
{
    if (ph_options_init(&options, &err) != PH_OK)
        return 1;
    options.source = argv[2];
    options.target = argv[3];
    options.dir = argv[4];
    options.name = strdup("j");
    options.follow = options.set_replica_identity = true;
    run = (struct ph_run){.options = &options};
    job = (struct ph_job){.lock_fd = -1};
    if (ph_job_connect(&job, &run, &err) != PH_OK ||
        ph_mover_lock(options.dir, &job.lock_fd, &err) != PH_OK ||
        ph_job_register(&job, &err) != PH_OK || ph_follow_begin(&job, &err) != PH_OK)
        fprintf(stderr, "%s %s\n", err.message, err.notes);
    return 1;
}

static void
what_belongs_to_others_stays(void **state)
{
    (void)state;
    sql_exec(app, "SELECT pg_create_logical_replication_slot('pghaul_j', 'pgoutput')");
    ph_error_reset(&err);
    assert_int_equal(ph_follow_begin(&job, &err), PH_E_NOT_READY);
    assert_string_equal(on_source(), "1 slots, 0 publications");
    ph_error_reset(&err);
    assert_int_equal(ph_follow_begin(&job, &err), PH_E_NOT_READY);
    assert_string_equal(on_source(), "1 slots, 0 publications");
    sql_exec(app, "SELECT pg_drop_replication_slot('pghaul_j'); CREATE PUBLICATION pghaul_j");
    assert_int_equal(ph_follow_begin(&job, &err), PH_E_NOT_READY);
    assert_string_equal(on_source(), "0 slots, 1 publications");
}

static void
a_given_publication_is_not_removed(void **state)
{
    (void)state;
    sql_exec(app, "CREATE PUBLICATION mine FOR TABLE t, parts");
    options.publication = strdup("mine");
    OK(ph_follow_begin(&job, &err));
    assert_false(job.stream.own_publication);
    OK(ph_follow_remove(job.source_control, &job.stream, &err));
    assert_string_equal(on_source(), "0 slots, 1 publications");
}

/* TRAPS 54: a transaction holds the slot up; it is told, and waited for. */
static void
trap_54_waits_for_what_runs(void **state)
{
    PGconn *other = sql_connect(cluster, "src");

    (void)state;
    sql_exec(other, "BEGIN; INSERT INTO t VALUES (54)");
    assert_int_equal(PQsendQuery(other, "SELECT pg_sleep(7); COMMIT"), 1);
    OK(ph_follow_begin(&job, &err));
    OK(ph_job_ensure_epoch(&job, &err));
    OK(ph_snapshot_import(job.source_control, job.epoch.snapshot_id, &err));
    char n[8];
    OK(ph_conn_value(job.source_control, "SELECT count(*) FROM public.t WHERE id = 54", n, sizeof n,
                     &err));
    assert_string_equal(n, "1");
    OK(ph_conn_exec(job.source_control, "COMMIT", &err));
    PQfinish(other);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(made_once, begin, finish),
        cmocka_unit_test_setup_teardown(a_failed_start_leaves_nothing, begin, finish),
        cmocka_unit_test_setup_teardown(the_commit_is_lost, begin, finish),
        cmocka_unit_test_setup_teardown(a_killed_start_is_cleared_away, begin, finish),
        cmocka_unit_test_setup_teardown(clean_removes_it, begin, finish),
        cmocka_unit_test_setup_teardown(killed_at_every_step, begin, finish),
        cmocka_unit_test_setup_teardown(what_belongs_to_others_stays, begin, finish),
        cmocka_unit_test_setup_teardown(a_given_publication_is_not_removed, begin, finish),
        cmocka_unit_test_setup_teardown(trap_54_waits_for_what_runs, begin, finish),
    };

    if (argc == 2 && strcmp(argv[1], PH_HOLDER_ARGUMENT) == 0) /* started as one by the library */
        return ph_holder_main();
    if (argc == 5 && strcmp(argv[1], "--begin") == 0)
        return begin_and_die(argv);
    return cmocka_run_group_tests(tests, start, NULL);
}
