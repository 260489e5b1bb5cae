/*
 * A copy that follows and whose snapshot is lost with its holder: a table that is cut into ranges
 * of its key keeps the ranges that are there, each change goes to the ranges that lack it, and what
 * cannot be brought together so starts again whole.
 */
/* timeout: 900 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/copy_case.h"
#include "support/hold.h"
#include "support/same.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS 40000
#define STEP 10 /* between keys: room for rows that move */

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;
static struct copy_case c;
static PGconn *app;

static int
start(void **state)
{
    static const struct pg_test_params params = {
        .conf = "logical_decoding_work_mem = 64kB\nautovacuum = off\n"};

    (void)state;
    pg_test_pair_new(&params, NULL, &src, &dst);
    return 0;
}

/* Some ten chunks of 4500 kB. `table`: further columns and constraints, `change` afterwards. */
static void
begin_case(const char *name, const char *type, const char *table, const char *change)
{
    PGconn *conn = sql_connect(src, "postgres");

    sql_execf(conn, "CREATE DATABASE %s", name);
    PQfinish(conn);
    app = sql_connect(src, name);
    sql_execf(app, "CREATE TABLE t (id %s PRIMARY KEY, n int, v text, big text%s)", type, table);
    sql_exec(app, "ALTER TABLE t ALTER v SET STORAGE PLAIN, ALTER big SET STORAGE EXTERNAL;"
                  "CREATE TABLE marks (id int PRIMARY KEY)");
    sql_exec(app, change);
    copy_case_init(&c, src, name, dst, name);
    const char *args[] = {"--follow", "--until", "caught-up", "--split-by", "key"};
    for (size_t i = 0; i < sizeof args / sizeof *args; i++)
        copy_case_arg(&c, args[i]);
}

static void
fill_numbers(void)
{
    sql_execf(app,
              "INSERT INTO t (id, n, v) SELECT g * %d, g, repeat('x', 1000) FROM"
              " generate_series(1, %d) g; ANALYZE t",
              STEP, ROWS);
}

static void
begin_numbers(const char *name, const char *table, const char *change)
{
    begin_case(name, "bigint", table, change);
    fill_numbers();
}

static void
end_case(void)
{
    PQfinish(app);
    copy_case_drop(&c);
    PGconn *conn = sql_connect(src, "postgres");
    sql_execf(conn, "DROP DATABASE %s WITH (FORCE)", c.src_db);
    PQfinish(conn);
}

static const char *
ledger(const char *sql)
{
    const char *rows = sql_once(dst, c.dst_db, sql);

    return scratch_printf("%.*s", (int)strcspn(rows, "\n"), rows);
}

#define CHUNKS_OF_T "pghaul.chunk c JOIN pghaul.tbl t USING (job, tbl) WHERE source_name = 't'"

static int
number(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

static int
count_done(void)
{
    return number(ledger("SELECT count(*) FROM " CHUNKS_OF_T " AND state = 'done'"));
}

static void
lose_snapshot_after(int commits)
{
    assert_true(copy_case_killed_at(&c, "after_commit", commits));
    copy_case_kill_holder(&c);
}

/* The bound of a chunk of t that is done, or not; a number. */
static long
bound(const char *which, const char *state)
{
    return strtol(ledger(scratch_printf("SELECT %s FROM " CHUNKS_OF_T " AND state = '%s' AND lo IS"
                                        " NOT NULL AND hi IS NOT NULL ORDER BY chunk LIMIT 1",
                                        which, state)),
                  NULL, 10);
}

static void
finish_same(int tries)
{
    copy_case_finish(&c, tries);
    same_tables(src, c.src_db, dst, c.dst_db, "^public$");
}

static void
is_of_epochs(const char *n)
{
    assert_string_equal(ledger("SELECT count(DISTINCT epoch) FROM " CHUNKS_OF_T), n);
}

static void
says(const struct run *run, const char *text)
{
    if (strstr(run_err(run), text) == NULL)
        fail_msg("no \"%s\" in:\n%s", text, run_err(run));
}

static void
says_not(const struct run *run, const char *text)
{
    if (strstr(run_err(run), text) != NULL)
        fail_msg("\"%s\" in:\n%s", text, run_err(run));
}

/* Into, out of and within all ranges: every third row moves far away, up or down. */
static void
change_all(int round)
{
    sql_execf(app,
              "UPDATE t SET n = n + 1 WHERE n %% 7 = %d;"
              "DELETE FROM t WHERE n %% 11 = %d;"
              "INSERT INTO t (id, n, v) SELECT g * 1000 + %d9, g, 'new' FROM"
              " generate_series(0, %d) g;"
              "UPDATE t SET id = %d - id + %d WHERE n %% 3 = 0 AND id %% 10 = 0",
              round, round, round, ROWS * STEP / 1000, ROWS * STEP, round);
}

/* ---- ranges that are there stay ---- */

static void
trap_66_goes_on(void **state)
{
    (void)state;
    begin_numbers("goes_on", "", "");
    lose_snapshot_after(4);
    int n = count_done();
    assert_true(n >= 2 && n < number(ledger("SELECT count(*) FROM " CHUNKS_OF_T)));
    const char *done = copy_case_done(&c);
    change_all(1);
    lose_snapshot_after(3);
    copy_case_not_repeated(&c, done);
    assert_true(count_done() > n);
    done = copy_case_done(&c);
    change_all(2);
    struct run *run = copy_case_start(&c, NULL);
    run_expect(run, 0);
    says(run, "table public.t goes on: ");
    says_not(run, "starts again: ");
    same_tables(src, c.src_db, dst, c.dst_db, "^public$");
    copy_case_not_repeated(&c, done);
    is_of_epochs("3");
    assert_string_equal(ledger("SELECT verified FROM pghaul.tbl WHERE source_name = 't'"), "t");
    end_case();
}

/* Ranges that are there came without it: they start again rather than stay half of what it is. */
static void
trap_66_column_added(void **state)
{
    static const char add[] = "ALTER TABLE t ADD late int DEFAULT 1";

    (void)state;
    begin_numbers("late", "", "");
    lose_snapshot_after(4);
    assert_true(count_done() >= 2);
    sql_once(dst, c.dst_db, add);
    sql_exec(app, add);
    sql_exec(app, "UPDATE t SET late = n");
    struct run *run = copy_case_start(&c, NULL);
    run_expect(run, 0);
    says(run, "table public.t starts again: ");
    same_tables(src, c.src_db, dst, c.dst_db, "^public$");
    is_of_epochs("1");
    end_case();
}

static void
of_a_type(const char *type, const char *value)
{
    begin_case("of_a_type", type, "", "");
    sql_execf(app,
              "INSERT INTO t SELECT %s, g, repeat('x', 1000) FROM generate_series(1, %d) g;"
              "ANALYZE t",
              value, ROWS);
    lose_snapshot_after(4);
    const char *done = copy_case_done(&c);
    sql_execf(app,
              "DELETE FROM t WHERE n %% 5 = 0; UPDATE t SET n = -n WHERE n %% 7 = 0;"
              "INSERT INTO t SELECT %s, g, 'new' FROM generate_series(5, %d, 5) g;"
              "UPDATE t SET id = (SELECT %s FROM (VALUES (%d - t.n)) x (g)) WHERE n %% 15 = 4",
              value, ROWS, value, ROWS * 2);
    struct run *run = copy_case_start(&c, NULL);
    run_expect(run, 0);
    says(run, "table public.t goes on: ");
    same_tables(src, c.src_db, dst, c.dst_db, "^public$");
    copy_case_not_repeated(&c, done);
    is_of_epochs("2");
    end_case();
}

static void
trap_66_types_of_keys(void **state)
{
    (void)state;
    of_a_type("uuid", "(lpad(to_hex(g * 100000::bigint), 32, '0')::uuid)");
    of_a_type("timestamptz", "('2000-01-01'::timestamptz + (g - 20000) * interval '1 hour')");
}

/* A column of regclass cannot come in binary: it would name another object. */
static void
trap_66_stream_in_text(void **state)
{
    (void)state;
    begin_numbers("in_text", ", r regclass DEFAULT 'pg_class'", "");
    lose_snapshot_after(4);
    const char *done = copy_case_done(&c);
    change_all(1);
    struct run *run = copy_case_start(&c, NULL);
    run_expect(run, 0);
    says(run, "table public.t goes on: ");
    same_tables(src, c.src_db, dst, c.dst_db, "^public$");
    copy_case_not_repeated(&c, done);
    is_of_epochs("2");
    end_case();
}

/* ---- while the application goes on ---- */

static pid_t
start_writer(void)
{
    pid_t pid = scratch_fork(SIGKILL);

    if (pid != 0)
        return pid;
    PGconn *conn = PQconnectdb(pg_test_conninfo(src, c.src_db));
    PQclear(PQexec(conn, "SELECT setseed(0.5)"));
    for (int n = 0;; n++) {
        static const char *const one[] = {
            "UPDATE t SET n = n + 1 WHERE id = (random() * 40000)::int * 10",
            "DELETE FROM t WHERE id = (random() * 40000)::int * 10",
            "INSERT INTO t (id, n, v) VALUES ((random() * 400000)::int, 1, 'w')"
            " ON CONFLICT (id) DO UPDATE SET n = -1",
            "UPDATE t SET id = (random() * 400000)::int WHERE id = (random() * 40000)::int * 10",
            "BEGIN; SAVEPOINT a; DELETE FROM t WHERE id BETWEEN 200000 AND 200300; ROLLBACK TO a;"
            " UPDATE t SET id = id + 1 WHERE id % 1000 = 0; SAVEPOINT b;"
            " UPDATE t SET id = id - 1 WHERE id % 1000 = 1; COMMIT",
        };
        PQclear(PQexec(conn, one[n % 5 == 4 && n % 50 != 49 ? n / 5 % 4 : n % 5]));
    }
}

static void
trap_66_live_writes(void **state)
{
    (void)state;
    begin_numbers("live", "", "");
    pid_t writer = start_writer();
    for (int i = 0; i < 4; i++)
        lose_snapshot_after(2);
    struct run *run = copy_case_start(&c, NULL);
    sql_wait_true(dst, c.dst_db,
                  "SELECT phase NOT IN ('new', 'schema', 'plan', 'rows') FROM pghaul.job", 120000);
    kill(writer, SIGKILL);
    run_expect(run, 0);
    says(run, "table public.t goes on: ");
    same_tables(src, c.src_db, dst, c.dst_db, "^public$");
    printf("  t is of %s epochs\n", ledger("SELECT count(DISTINCT epoch) FROM " CHUNKS_OF_T));
    assert_true(number(ledger("SELECT count(DISTINCT epoch) FROM " CHUNKS_OF_T)) >= 4);
    end_case();
}

/* ---- transactions that are streamed, and open while the snapshot is taken ---- */

static void
trap_66_large_transactions(void **state)
{
    (void)state;
    begin_numbers("large", "", "");
    lose_snapshot_after(4);
    change_all(1); /* seen by the second snapshot: one streamed transaction of its own */
    PGconn *open = sql_connect(src, c.src_db);
    sql_exec(open, "BEGIN; SAVEPOINT a; UPDATE t SET n = -5 WHERE n % 2 = 0; SAVEPOINT b;"
                   "DELETE FROM t WHERE id % 9 = 0; ROLLBACK TO b;"
                   "UPDATE t SET id = id + 3 WHERE id % 10 = 0 AND n % 5 = 0");
    struct run *run = copy_case_start_env(&c, hold_at("after_import"));
    hold_wait(run);
    sql_exec(open, "COMMIT");
    hold_release();
    PQfinish(open);
    run_expect(run, 0);
    says(run, "table public.t goes on: ");
    same_tables(src, c.src_db, dst, c.dst_db, "^public$");
    is_of_epochs("2");
    end_case();
}

/* ---- TRUNCATE ---- */

static void
trap_66_truncate_of_ranges(void **state)
{
    (void)state;
    begin_numbers("truncated", "", "");
    lose_snapshot_after(4);
    sql_exec(app, "TRUNCATE t, marks; INSERT INTO marks VALUES (1)");
    fill_numbers(); /* the second snapshot has these rows, and the stream brings them */
    struct run *run = copy_case_start(&c, NULL);
    run_expect(run, 0);
    says(run, "table public.t goes on: ");
    same_tables(src, c.src_db, dst, c.dst_db, "^public$");
    is_of_epochs("2");
    end_case();
}

/* ---- values that do not come ---- */

static void
begin_with_large_values(const char *name, const char *change)
{
    begin_numbers(name, "", change);
    sql_exec(app, "UPDATE t SET big = repeat(id::text, 1000) WHERE n % 500 = 0; ANALYZE t");
}

/* From a range that will be copied again to one that is there; its large value is not sent. */
static void
move_with_value(const char *from, const char *to)
{
    long lo = bound("lo", from);
    long hi = bound("hi", from);
    long there = bound("lo", to);
    const char *moved = sql_valuef(app,
                                   "UPDATE t SET id = %ld WHERE id = (SELECT id FROM t WHERE id >="
                                   " %ld AND id < %ld AND big IS NOT NULL LIMIT 1) RETURNING id",
                                   there + 5, lo, hi);

    assert_int_equal(strtol(moved, NULL, 10), there + 5);
}

static void
trap_66_unchanged_value_moves(void **state)
{
    (void)state;
    begin_with_large_values("toast", "");
    lose_snapshot_after(4);
    move_with_value("todo", "done");
    struct run *run = copy_case_start(&c, NULL);
    run_expect(run, 0);
    says(run, "table public.t goes on: ");
    says(run, "PH-TORN public.t");
    says(run, "table public.t starts again: ");
    same_tables(src, c.src_db, dst, c.dst_db, "^public$");
    is_of_epochs("1");
    assert_string_equal(ledger("SELECT count(*) FROM pghaul.epoch"), "3");
    end_case();
}

/* Killed between what is noted and what is emptied: found again. */
static void
trap_66_killed_when_torn(void **state)
{
    (void)state;
    begin_with_large_values("torn", "");
    lose_snapshot_after(4);
    move_with_value("todo", "done");
    assert_true(copy_case_killed_at(&c, "after_epoch_barred", 1));
    assert_true(copy_case_killed_at(&c, "after_table_emptied", 1));
    copy_case_kill_holder(&c);
    sql_exec(app, "UPDATE t SET n = -1 WHERE n % 100 = 0");
    finish_same(1);
    is_of_epochs("1");
    end_case();
}

/* The parts of two snapshots are brought together, and the case is over. */
static void
goes_on_and_ends_same(void)
{
    struct run *run = copy_case_start(&c, NULL);
    run_expect(run, 0);
    says_not(run, "starts again: ");
    same_tables(src, c.src_db, dst, c.dst_db, "^public$");
    is_of_epochs("2");
    end_case();
}

/* The other way it is deleted in the one range, and the other's copy has it. */
static void
trap_66_unchanged_value_moves_on(void **state)
{
    (void)state;
    begin_with_large_values("toast_on", "");
    lose_snapshot_after(4);
    move_with_value("done", "todo");
    goes_on_and_ends_same();
}

/* The old row has it. */
static void
trap_66_full_rows_move(void **state)
{
    (void)state;
    begin_with_large_values("toast_full", "ALTER TABLE t REPLICA IDENTITY FULL");
    lose_snapshot_after(4);
    move_with_value("todo", "done");
    goes_on_and_ends_same();
}

/* ---- tables that cannot be of several snapshots ---- */

static void
starts_again(const char *name, const char *table, const char *change)
{
    begin_numbers(name, table, change);
    lose_snapshot_after(4);
    assert_true(count_done() > 0);
    change_all(1);
    struct run *run = copy_case_start(&c, NULL);
    run_expect(run, 0);
    says(run, "table public.t starts again: ");
    says_not(run, "goes on: ");
    same_tables(src, c.src_db, dst, c.dst_db, "^public$");
    is_of_epochs("1");
    end_case();
}

static void
trap_66_others_start_again(void **state)
{
    (void)state;
    /* unique beside the key: while the parts are of two moments, a value may be there twice */
    starts_again("unique_beside", ", u bigserial UNIQUE", "");
    starts_again("unique_half", "", "CREATE UNIQUE INDEX ON t (v) WHERE n < 0");
    /* a row that is deleted is told by another column */
    starts_again("other_identity", ", u bigserial, UNIQUE (u, id)",
                 "ALTER TABLE t DROP CONSTRAINT t_pkey; CREATE UNIQUE INDEX ON t (id);"
                 "ALTER TABLE t ALTER u SET NOT NULL, ALTER id DROP NOT NULL;"
                 "ALTER TABLE t DROP CONSTRAINT t_u_id_key; CREATE UNIQUE INDEX i ON t (u);"
                 "ALTER TABLE t REPLICA IDENTITY USING INDEX i");
}

/* By then changes were applied to it, which the stream does not bring again. */
static void
trap_66_no_longer_fit(void **state)
{
    (void)state;
    begin_numbers("no_longer", "", "");
    lose_snapshot_after(4);
    for (int i = 1; i < 6; i++)
        change_all(i);
    assert_true(copy_case_killed_at(&c, "before_apply_commit", 2));
    copy_case_kill_holder(&c);
    assert_string_equal(ledger("SELECT phase FROM pghaul.job"), "rows");
    static const char index[] = "CREATE UNIQUE INDEX later ON t (v) WHERE n < 0";
    sql_exec(app, index);
    sql_once(dst, c.dst_db, index);
    change_all(6);
    struct run *run = copy_case_start(&c, NULL);
    run_expect(run, 0);
    says(run, "table public.t starts again: ");
    says(run, "it needs a new snapshot");
    same_tables(src, c.src_db, dst, c.dst_db, "^public$");
    is_of_epochs("1");
    end_case();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_66_goes_on),
        cmocka_unit_test(trap_66_column_added),
        cmocka_unit_test(trap_66_types_of_keys),
        cmocka_unit_test(trap_66_stream_in_text),
        cmocka_unit_test(trap_66_live_writes),
        cmocka_unit_test(trap_66_large_transactions),
        cmocka_unit_test(trap_66_truncate_of_ranges),
        cmocka_unit_test(trap_66_unchanged_value_moves),
        cmocka_unit_test(trap_66_killed_when_torn),
        cmocka_unit_test(trap_66_unchanged_value_moves_on),
        cmocka_unit_test(trap_66_full_rows_move),
        cmocka_unit_test(trap_66_others_start_again),
        cmocka_unit_test(trap_66_no_longer_fit),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
