/*
 * The snapshot of a copy after a kill: it lives on, it is gone, it is somebody else's, or the
 * tables are not what it saw; and what a crash of the target does to tables without a log.
 */
/* timeout: 600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/copy_case.h"
#include "support/hold.h"
#include "support/mixed.h"
#include "support/same.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;

static int
start(void **state)
{
    (void)state;
    pg_test_pair_new(NULL, NULL, &src, &dst);
    mixed_new(src, "mixed");
    return 0;
}

/* ---- the snapshot's holder is gone too ---- */

/* Rows of the old and of the new snapshot, told apart by what was inserted between. */
static void
change_source(const char *dbname)
{
    PGconn *conn = sql_connect(src, dbname);

    sql_exec(conn, "SET session_replication_role = replica;"
                   "INSERT INTO big SELECT -1, 'new' FROM generate_series(1, 3);"
                   "INSERT INTO orders (customer, at, total) SELECT 1, '2024-05-01', 1;"
                   "INSERT INTO customers (name) VALUES ('new');"
                   "INSERT INTO lines VALUES (10000, 1, NULL, NULL);"
                   "INSERT INTO metrics VALUES ('2024-01-02', 1, NULL), ('2024-02-02', 1, NULL);"
                   "INSERT INTO nothing VALUES (1)");
    PQfinish(conn);
}

static const char *const snapshot_tables[] = {
    "public.big",       "public.orders",    "public.customers", "public.lines",
    "public.metrics_1", "public.metrics_2", "public.nothing",
};
#define SNAPSHOT_TABLES (sizeof snapshot_tables / sizeof *snapshot_tables)

static bool
is_finished(const struct copy_case *c, const char *table)
{
    const char *sql = scratch_printf(
        "SELECT coalesce(bool_and(c.state = 'done'), false) FROM pghaul.chunk c JOIN pghaul.tbl t"
        " USING (job, tbl) WHERE t.target_schema || '.' || t.target_name = '%s'",
        table);

    return strcmp(sql_once(dst, c->dst_db, sql), "t\n") == 0;
}

static void
check_snapshots(const struct copy_case *c, const char *old[SNAPSHOT_TABLES],
                const bool was_finished[SNAPSHOT_TABLES])
{
    for (size_t i = 0; i < SNAPSHOT_TABLES; i++) {
        const char *table = snapshot_tables[i];
        const char *want = was_finished[i] ? old[i] : same_digest(src, c->src_db, table);
        const char *have = same_digest(dst, c->dst_db, table);
        if (strcmp(want, have) != 0)
            fail_msg("%s (%s snapshot): %s instead of %s", table, was_finished[i] ? "old" : "new",
                     have, want);
    }
}

static void
clone_source(const char *dbname)
{
    PGconn *conn = sql_connect(src, "postgres");

    sql_execf(conn, "DROP DATABASE IF EXISTS %s WITH (FORCE)", dbname);
    sql_execf(conn, "CREATE DATABASE %s TEMPLATE mixed", dbname);
    PQfinish(conn);
}

static void
resume_without_holder(const char *point, int passage)
{
    const char *old[SNAPSHOT_TABLES];
    bool was_finished[SNAPSHOT_TABLES] = {false};
    struct copy_case c;
    int n_finished = 0;

    clone_source("changing");
    copy_case_init(&c, src, "changing", dst, "changed");
    assert_true(copy_case_killed_at(&c, point, passage));
    copy_case_kill_holder(&c);
    for (size_t i = 0; i < SNAPSHOT_TABLES; i++) {
        old[i] = same_digest(src, "changing", snapshot_tables[i]);
        was_finished[i] = is_finished(&c, snapshot_tables[i]);
        n_finished += was_finished[i];
    }
    change_source("changing");
    struct run *run = copy_case_finish(&c, 1);
    check_snapshots(&c, old, was_finished);
    if (n_finished > 0 && n_finished < (int)SNAPSHOT_TABLES &&
        strstr(run_out(run), "snapshot") == NULL)
        fail_msg("the report does not say which tables are of which snapshot:\n%s", run_out(run));
    printf("  %s, passage %d, holder too: %d of %d tables are of the old snapshot\n", point,
           passage, n_finished, (int)SNAPSHOT_TABLES);
    same_no_sessions(src);
    same_no_sessions(dst);
    copy_case_drop(&c);
}

static void
test_trap_64_65_without_holder(void **state)
{
    (void)state;
    resume_without_holder("after_commit", 1);
    resume_without_holder("after_commit", 4);
    resume_without_holder("before_receipt", 6);
    resume_without_holder("before_restore", 1);
}

/* The tables that start again are emptied first; a kill there leaves nothing half done. */
static void
test_trap_64_killed_while_starting_again(void **state)
{
    struct copy_case c;

    (void)state;
    copy_case_init(&c, src, "mixed", dst, "emptied");
    assert_true(copy_case_killed_at(&c, "after_commit", 1));
    copy_case_kill_holder(&c);
    assert_true(copy_case_killed_at(&c, "after_table_emptied", 1));
    copy_case_finish(&c, 1);
    copy_case_check(&c);
    copy_case_drop(&c);
}

/* A restarted server counts snapshot ids from the start: another program may have exported ours. */
static void
test_trap_26_65_foreign_snapshot_of_the_same_id(void **state)
{
    struct copy_case c;

    (void)state;
    clone_source("changing");
    copy_case_init(&c, src, "changing", dst, "foreign");
    assert_true(copy_case_killed_at(&c, "after_commit", 2));
    copy_case_kill_holder(&c);
    const char *old = same_digest(src, "changing", "public.big");
    bool was_finished = is_finished(&c, "public.big");
    change_source("changing");
    PGconn *other = sql_connect(src, "changing");
    sql_exec(other, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    const char *id = sql_value(other, "SELECT pg_export_snapshot()");
    PGconn *conn = sql_connect(dst, "foreign");
    sql_execf(conn, "UPDATE pghaul.epoch SET snapshot_id = '%s'", id);
    PQfinish(conn);
    struct run *run = copy_case_finish(&c, 1);
    if (strstr(run_err(run), "snapshot of the copy is gone") == NULL)
        fail_msg("the foreign snapshot was used:\n%s", run_err(run));
    assert_string_equal(same_digest(dst, "foreign", "public.big"),
                        was_finished ? old : same_digest(src, "changing", "public.big"));
    PQfinish(other);
    copy_case_drop(&c);
}

/* ---- the source is not what the snapshot saw ---- */

static void
changed_under_snapshot(const char *change)
{
    struct copy_case c;

    clone_source("changing");
    copy_case_init(&c, src, "changing", dst, "rewritten");
    assert_true(copy_case_killed_at(&c, "before_plan_commit", 1));
    PGconn *conn = sql_connect(src, "changing");
    sql_exec(conn, change);
    sql_exec(conn, "REFRESH MATERIALIZED VIEW richest");
    PQfinish(conn);
    struct run *run = copy_case_start(&c, NULL);
    run_expect(run, 0);
    if (strstr(run_err(run), "PH-TABLE-CHANGED public.orders") == NULL ||
        strstr(run_err(run), "trying again") == NULL)
        fail_msg("not PH-TABLE-CHANGED:\n%s", run_err(run));
    copy_case_check(&c);
    copy_case_drop(&c);
}

static void
test_trap_83_table_truncated_or_rewritten(void **state)
{
    (void)state;
    changed_under_snapshot("TRUNCATE public.orders, public.lines");
    changed_under_snapshot("VACUUM FULL public.orders");
}

/* The target's table is made as it was: another snapshot does not help for long. */
static void
columns_changed(const char *change, int code, const char *said)
{
    struct copy_case c;

    clone_source("changing");
    copy_case_init(&c, src, "changing", dst, "altered");
    assert_true(copy_case_killed_at(&c, "before_plan_commit", 1));
    PGconn *conn = sql_connect(src, "changing");
    sql_exec(conn, change);
    sql_exec(conn, "VACUUM FULL public.orders");
    PQfinish(conn);
    struct run *run = copy_case_start(&c, NULL);
    run_expect(run, code);
    if (strstr(run_err(run), "PH-TABLE-CHANGED public.orders") == NULL ||
        (strstr(run_err(run), said) == NULL && strstr(run_out(run), said) == NULL))
        fail_msg("%s\n%s", run_out(run), run_err(run));
    copy_case_drop(&c);
}

static void
test_columns_changed_under_snapshot(void **state)
{
    (void)state;
    columns_changed("ALTER TABLE public.orders ALTER note TYPE varchar(100)", 4,
                    "column public.orders.note: different");
    columns_changed("ALTER TABLE public.orders DROP note", 1, "since the copy began");
}

/* A table that was finished before is without a column that has come since, and its values. */
static void
test_column_of_a_finished_table(void **state)
{
    static const char add[] = "ALTER TABLE public.%s ADD late int";
    struct copy_case c;

    (void)state;
    clone_source("changing");
    copy_case_init(&c, src, "changing", dst, "bare");
    copy_case_arg(&c, "--jobs");
    copy_case_arg(&c, "1");
    assert_true(copy_case_killed_at(&c, "after_commit", 4));
    copy_case_kill_holder(&c);
    const char *done = sql_once(
        dst, c.dst_db,
        "SELECT source_name FROM pghaul.tbl t JOIN pghaul.chunk USING (job, tbl)"
        " WHERE source_schema = 'public' GROUP BY 1 HAVING bool_and(state = 'done') LIMIT 1");
    const char *table = scratch_printf("%.*s", (int)strcspn(done, "\n"), done);
    assert_string_not_equal(table, "");
    PGconn *conn = sql_connect(dst, c.dst_db);
    sql_execf(conn, add, table);
    PQfinish(conn);
    conn = sql_connect(src, "changing");
    sql_execf(conn, add, table);
    sql_execf(conn, "UPDATE public.%s SET late = 1", table);
    PQfinish(conn);
    struct run *run = copy_case_start(&c, NULL);
    run_expect(run, 0);
    const char *said = scratch_printf("public.%s: column late was added on the source after the "
                                      "table was copied: it was neither copied nor compared",
                                      table);
    if (strstr(run_out(run), said) == NULL ||
        strstr(run_out(run), "not proven: the copy is finished, rows were not copied with all "
                             "columns") == NULL)
        fail_msg("no %s:\n%s\n%s", said, run_out(run), run_err(run));
    copy_case_drop(&c);
}

/* ---- what else may be gone ---- */

/* The directory is lost with the mover's host: archive, locks and the holder go with it. */
static void
test_resume_from_another_directory(void **state)
{
    static const char *const points[] = {"ddl_after_batch", "after_commit"};
    struct copy_case c;

    (void)state;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        copy_case_init(&c, src, "mixed", dst, "elsewhere");
        assert_true(copy_case_killed_at(&c, points[i], 1));
        c.argv[7] = scratch_new_dir("other");
        const char *done = copy_case_done(&c);
        copy_case_finish(&c, 1);
        copy_case_check(&c);
        copy_case_not_repeated(&c, done);
        copy_case_drop(&c);
    }
}

/* A crash of the target empties its unlogged tables, and the receipts stay. */
static void
test_target_crash_empties_unlogged_tables(void **state)
{
    static const char *const points[] = {"after_commit", "before_restore"};
    struct copy_case c;

    (void)state;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        copy_case_init(&c, src, "mixed", dst, "unlogged");
        assert_true(copy_case_killed_at(&c, points[i], i == 0 ? 4 : 1));
        pg_test_cluster_kill(dst);
        pg_test_cluster_start(dst);
        assert_string_equal(sql_once(dst, "unlogged", "SELECT count(*) FROM cache"), "0\n");
        copy_case_finish(&c, 1);
        copy_case_check(&c);
        copy_case_drop(&c);
    }
}

/* The same where rows go in through a partitioned table, which is not unlogged itself, and none of
 * its partitions is any more. */
static void
test_target_crash_empties_unlogged_partitions(void **state)
{
    struct copy_case c;

    (void)state;
    mixed_new_empty(dst, "routed", "postgres");
    copy_case_init(&c, src, "mixed", dst, "routed");
    copy_case_arg(&c, "--data-only");
    PGconn *conn = sql_connect(dst, c.dst_db);
    sql_exec(conn, "DROP TABLE metrics_1, metrics_2;"
                   "CREATE UNLOGGED TABLE metrics_all PARTITION OF metrics DEFAULT");
    PQfinish(conn);
    assert_true(copy_case_killed_at(&c, "before_restore", 1));
    pg_test_cluster_kill(dst);
    pg_test_cluster_start(dst);
    conn = sql_connect(dst, c.dst_db);
    sql_exec(conn, "ALTER TABLE metrics_all SET LOGGED"); /* which brings no row back */
    PQfinish(conn);
    copy_case_finish(&c, 1);
    const char *digest = "SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text"
                         " COLLATE \"C\")) FROM public.metrics t";
    assert_string_equal(sql_once(dst, c.dst_db, digest), sql_once(src, "mixed", digest));
    same_no_sessions(src);
    copy_case_drop(&c);
}

/* A run that was taken for dead must not add its snapshot's rows to those of a newer one. */
static void
test_trap_65_receipt_under_a_lost_snapshot(void **state)
{
    struct copy_case c;

    (void)state;
    copy_case_init(&c, src, "mixed", dst, "zombie");
    struct run *run = copy_case_start_env(&c, hold_at_passage("before_receipt", 2));
    hold_wait(run);
    PGconn *conn = sql_connect(dst, "zombie");
    sql_exec(conn, "UPDATE pghaul.epoch SET lost = true");
    PQfinish(conn);
    hold_release();
    run_expect(run, 1);
    if (strstr(run_err(run), "PH-LEDGER") == NULL)
        fail_msg("the receipt was taken:\n%s", run_err(run));
    copy_case_finish(&c, 1);
    copy_case_check(&c);
    copy_case_drop(&c);
}

/* The snapshot of a killed run is there for --hold, and no longer. */
static void
test_holder_ends_by_itself(void **state)
{
    struct copy_case c;

    (void)state;
    copy_case_init(&c, src, "mixed", dst, "held");
    copy_case_arg(&c, "--hold");
    copy_case_arg(&c, "3s");
    assert_true(copy_case_killed_at(&c, "after_commit", 1));
    assert_string_equal(sql_once(src, "postgres",
                                 "SELECT count(*) FROM pg_stat_activity WHERE application_name ="
                                 " 'pghaul job holder'"),
                        "1\n");
    same_no_sessions(src);
    copy_case_finish(&c, 1);
    copy_case_check(&c);
    copy_case_drop(&c);
}

/* Blocks are read by range in several runs: the table may move on meanwhile, the snapshot not. */
static void
test_trap_30_blocks_under_one_snapshot(void **state)
{
    struct copy_case c;

    (void)state;
    clone_source("changing");
    copy_case_init(&c, src, "changing", dst, "blocks");
    const char *old = same_digest(src, "changing", "public.big");
    assert_true(copy_case_killed_at(&c, "after_commit", 1));
    assert_false(is_finished(&c, "public.big"));
    PGconn *conn = sql_connect(src, "changing");
    sql_exec(conn, "DELETE FROM big WHERE n % 3 = 0");
    sql_exec(conn, "VACUUM big");
    sql_exec(conn,
             "INSERT INTO big SELECT 5000, repeat('later', 100) FROM generate_series(1, 20000)");
    sql_exec(conn, "UPDATE big SET pad = 'updated' WHERE n % 3 = 1");
    PQfinish(conn);
    copy_case_finish(&c, 1);
    assert_string_equal(same_digest(dst, "blocks", "public.big"), old);
    same_no_sessions(src);
    copy_case_drop(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_64_65_without_holder),
        cmocka_unit_test(test_trap_64_killed_while_starting_again),
        cmocka_unit_test(test_trap_26_65_foreign_snapshot_of_the_same_id),
        cmocka_unit_test(test_trap_83_table_truncated_or_rewritten),
        cmocka_unit_test(test_columns_changed_under_snapshot),
        cmocka_unit_test(test_column_of_a_finished_table),
        cmocka_unit_test(test_resume_from_another_directory),
        cmocka_unit_test(test_target_crash_empties_unlogged_tables),
        cmocka_unit_test(test_target_crash_empties_unlogged_partitions),
        cmocka_unit_test(test_trap_65_receipt_under_a_lost_snapshot),
        cmocka_unit_test(test_holder_ends_by_itself),
        cmocka_unit_test(test_trap_30_blocks_under_one_snapshot),
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
