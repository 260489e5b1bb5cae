/*
 * A copy that follows and whose snapshot is lost: tables may be of two moments until the stream has
 * brought them together, and meanwhile the source goes on, by its schema too.
 */
/* timeout: 600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/copy_case.h"
#include "support/same.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 60000

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;
static struct copy_case c;
static PGconn *app;

static int
start(void **state)
{
    static const struct pg_test_params params = {.conf = "autovacuum = off\n"};

    (void)state;
    pg_test_pair_new(&params, NULL, &src, &dst);
    return 0;
}

/* Two tables, which come by one transaction, and what `sql` adds. */
static void
begin_copy(const char *name, const char *sql)
{
    PGconn *conn = sql_connect(src, "postgres");

    sql_execf(conn, "CREATE DATABASE %s", name);
    PQfinish(conn);
    app = sql_connect(src, name);
    sql_exec(app, "CREATE TABLE first (id int PRIMARY KEY, v text);"
                  "INSERT INTO first SELECT g, repeat('x', 100) FROM generate_series(1, 2000) g;"
                  "CREATE TABLE other (id int PRIMARY KEY, v text);"
                  "INSERT INTO other SELECT g, repeat('x', 100) FROM generate_series(1, 100) g");
    sql_exec(app, sql);
    copy_case_init(&c, src, name, dst, name);
}

static void
begin_case(const char *name, const char *sql)
{
    static const char *const args[] = {"--follow", "--until", "caught-up", "--jobs", "1"};

    begin_copy(name, sql);
    for (size_t i = 0; i < sizeof args / sizeof *args; i++)
        copy_case_arg(&c, args[i]);
}

static void
end_case(void)
{
    PQfinish(app);
    copy_case_drop(&c);
}

static void
lose_snapshot_at(const char *failpoint, int passage)
{
    assert_true(copy_case_killed_at(&c, failpoint, passage));
    copy_case_kill_holder(&c);
}

static void
says(const struct run *run, const char *text)
{
    if (strstr(run_err(run), text) == NULL && strstr(run_out(run), text) == NULL)
        fail_msg("no \"%s\" in:\n%s\n%s", text, run_out(run), run_err(run));
}

static void
says_not(const struct run *run, const char *text)
{
    if (strstr(run_err(run), text) != NULL || strstr(run_out(run), text) != NULL)
        fail_msg("\"%s\" in:\n%s\n%s", text, run_out(run), run_err(run));
}

/* Changes were applied by then: it is read back before them, and not once more behind them. */
static void
what_differs_is_read_once(void **state)
{
    static const char *const env[] = {"MALLOC_PERTURB_=165", NULL};

    (void)state;
    begin_case("read_once", "ALTER TABLE first ADD g int GENERATED ALWAYS AS (id * 2) STORED");
    PGconn *conn = sql_connect(dst, "read_once");
    sql_exec(conn, "CREATE TABLE first (id int PRIMARY KEY, v text,"
                   " g int GENERATED ALWAYS AS (id * 3) STORED);"
                   "CREATE TABLE other (id int PRIMARY KEY, v text)");
    copy_case_arg(&c, "--data-only");
    lose_snapshot_at("before_commit", 1);
    sql_exec(app,
             "UPDATE other SET v = 'later' WHERE id < 9; UPDATE first SET v = 'later' WHERE id "
             "< 9");
    struct run *run = run_start_copy(env, c.argv);
    run_wait(run, RUN_DEADLINE_MS);
    run_expect(run, 4);
    says(run, "public.first");
    says_not(run, "(id="); /* no snapshot is what the target has by now */
    assert_string_equal(sql_value(conn,
                                  "SELECT string_agg(source_name || verified, ' ' ORDER BY tbl)"
                                  " FROM pghaul.tbl"),
                        "firstfalse othertrue");
    PQfinish(conn);
    end_case();
}

/* First on the target, then on the source, which has it behind the snapshot only. */
static void
column_that_comes_meanwhile(void **state)
{
    (void)state;
    begin_case("late_column", "");
    lose_snapshot_at("before_commit", 1);
    assert_true(copy_case_killed_at(&c, "before_commit", 1)); /* and its snapshot lives */
    PGconn *conn = sql_connect(dst, "late_column");
    sql_exec(conn, "ALTER TABLE first ADD n int");
    sql_exec(app, "ALTER TABLE first ADD n int; UPDATE first SET n = 1 WHERE id < 9");
    struct run *run = copy_case_start(&c, NULL);
    run_expect(run, 0);
    says(run, "until they meet");
    copy_case_check(&c);
    PQfinish(conn);
    end_case();
}

/* The next snapshot sees what was written into it: the stream does not bring that again. */
static void
column_before_the_next_snapshot(void **state)
{
    static const char add[] = "ALTER TABLE other ADD n int;"
                              "ALTER TABLE first ADD n int DEFAULT 3";

    (void)state;
    begin_case("later_column", "");
    lose_snapshot_at("before_commit", 1);
    PGconn *conn = sql_connect(dst, "later_column");
    sql_exec(conn, add);
    sql_exec(app, add);
    sql_exec(app, "UPDATE other SET n = id; UPDATE first SET n = id");
    struct run *run = copy_case_start(&c, NULL);
    run_expect(run, 0);
    says(run, "public.other: column n was added since the copy began");
    copy_case_check(&c);
    PQfinish(conn);
    end_case();
}

/* Without a stream, too: nothing would ever bring it. Values of regclass come as text only. */
static void
column_that_only_the_source_has(void **state)
{
    (void)state;
    begin_copy("source_column", "");
    lose_snapshot_at("before_commit", 1);
    sql_exec(app, "ALTER TABLE other ADD n int, ADD r regclass;"
                  "UPDATE other SET n = id, r = 'pg_class'");
    for (int i = 0; i < 2; i++) { /* not done yet */
        struct run *run = copy_case_start(&c, NULL);
        run_expect(run, 1);
        says(run, "PH-TABLE-CHANGED public.other: column n was added on the source");
        says(run, "add it on the target, then give the same command again");
    }
    sql_once(dst, "source_column", "ALTER TABLE other ADD n int, ADD r regclass");
    run_expect(copy_case_start(&c, NULL), 0);
    copy_case_check(&c);
    end_case();
}

/* It cannot be added to a job before that follows; then the same command does. */
static void
partition_that_comes_meanwhile(void **state)
{
    (void)state;
    begin_case("late_part", "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);"
                            "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);"
                            "INSERT INTO p SELECT generate_series(1, 99)");
    lose_snapshot_at("after_commit", 1);
    sql_exec(app, "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);"
                  "INSERT INTO p VALUES (101)");
    struct run *run = copy_case_start(&c, NULL);
    run_expect(run, 1);
    says(run, "until they meet");
    says(run, "public.p2: a partition that the source has now was not there");
    run = copy_case_start(&c, NULL);
    run_expect(run, 0);
    says_not(run, "error:"); /* of the proof before this one */
    copy_case_check(&c);
    end_case();
}

/* ---- large objects ---- */

static const char objects_sql[] =
    "SELECT lo_from_bytea(1000 + g, '\\x010203') FROM generate_series(1, 10) g";

/* Copied under the one snapshot, and compared under the other. */
static void
objects_change_meanwhile(const char *failpoint)
{
    lose_snapshot_at(failpoint, 1);
    sql_exec(app, "SELECT lo_put(1003, 0, '\\xff')");
    run_expect(copy_case_start(&c, NULL), 0);
    copy_case_check(&c);
    end_case();
}

static void
objects_that_change_meanwhile(void **state)
{
    (void)state;
    begin_case("objects", objects_sql);
    objects_change_meanwhile("after_large_objects");
    begin_copy("objects_alone", objects_sql);
    objects_change_meanwhile("after_large_objects");
    begin_copy("objects_proof", objects_sql);
    objects_change_meanwhile("before_verdict_commit");
}

/* The source has removed some, or all, which the snapshot before had. */
static void
objects_go_meanwhile(const char *failpoint, const char *which)
{
    static const char all[] = "SELECT oid FROM pg_largeobject_metadata ORDER BY 1";

    lose_snapshot_at(failpoint, 1);
    sql_execf(app, "SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE %s", which);
    run_expect(copy_case_start(&c, NULL), 0);
    assert_string_equal(sql_once(dst, c.dst_db, all), sql_rows(app, all));
    copy_case_check(&c);
    end_case();
}

static void
objects_that_go_meanwhile(void **state)
{
    (void)state;
    begin_copy("objects_some", objects_sql);
    objects_go_meanwhile("after_large_objects", "oid::bigint % 3 = 0");
    begin_copy("objects_all", objects_sql);
    objects_go_meanwhile("after_large_objects", "true");
    begin_copy("objects_proof_all", objects_sql);
    objects_go_meanwhile("before_verdict_commit", "true");
}

/* The source had none when the job began, so nobody asked whether the target had. */
static void
objects_of_the_target_stay(void **state)
{
    (void)state;
    begin_copy("objects_own", "SELECT 1");
    copy_case_arg(&c, "--verify");
    copy_case_arg(&c, "none");
    sql_once(dst, c.dst_db, "SELECT lo_from_bytea(77, 'its own')");
    lose_snapshot_at("after_large_objects", 1);
    sql_exec(app, "SELECT lo_from_bytea(78, 'came later')");
    run_expect(copy_case_start(&c, NULL), 0);
    assert_string_equal(
        sql_once(dst, c.dst_db, "SELECT oid FROM pg_largeobject_metadata ORDER BY 1"), "77\n78\n");
    end_case();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_differs_is_read_once),
        cmocka_unit_test(column_that_comes_meanwhile),
        cmocka_unit_test(column_before_the_next_snapshot),
        cmocka_unit_test(column_that_only_the_source_has),
        cmocka_unit_test(partition_that_comes_meanwhile),
        cmocka_unit_test(objects_that_change_meanwhile),
        cmocka_unit_test(objects_that_go_meanwhile),
        cmocka_unit_test(objects_of_the_target_stay),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
