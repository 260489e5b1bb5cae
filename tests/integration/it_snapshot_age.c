/*
 * A copy whose snapshot is renewed between tables: under load, table by table of one snapshot each,
 * until the stream has made them one.
 */
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
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TABLES 8

static struct pg_test_cluster *cluster;

static void
make_source(void)
{
    PGconn *conn = sql_connect(cluster, "postgres");

    sql_exec(conn, "CREATE DATABASE src");
    sql_exec(conn, "CREATE DATABASE dst");
    PQfinish(conn);
    conn = sql_connect(cluster, "src");
    for (int i = 0; i < TABLES; i++)
        sql_execf(conn,
                  "CREATE TABLE t%d (id bigserial PRIMARY KEY, at bigint UNIQUE %s, v text);"
                  "INSERT INTO t%d (v) SELECT repeat('x', 1000) FROM generate_series(1, 9000)",
                  i, i > 0 ? "REFERENCES t0 (at)" : "", i);
    PQfinish(conn);
}

/* Each transaction writes one number into every table, so that a snapshot sees it in all or none.
 */
static pid_t
start_writer(void)
{
    pid_t pid = scratch_fork(SIGKILL);

    if (pid != 0)
        return pid;
    PGconn *conn = PQconnectdb(pg_test_conninfo(cluster, "src"));
    char sql[200];
    for (int n = 1;; n++) {
        PQclear(PQexec(conn, "BEGIN"));
        for (int i = 0; i < TABLES; i++) {
            snprintf(sql, sizeof sql, "INSERT INTO t%d (at) VALUES (%d)", i, n);
            PQclear(PQexec(conn, sql));
        }
        PQclear(PQexec(conn, "COMMIT"));
        usleep(2000);
    }
}

static struct run *
start_copy(const char *dir)
{
    return start_pghaul(NULL, "copy", "--source", pg_test_conninfo(cluster, "src"), "--target",
                        pg_test_conninfo(cluster, "dst"), "--name", "j", "--dir",
                        scratch_printf("%s/%s", scratch_dir(), dir), "--follow", "--until",
                        "caught-up", "--jobs", "2", "--snapshot-age", "1s", "--max-rate", "12MB/s");
}

/* By the receipts: tables of one epoch had the same number of rows, those of a later one more. */
static void
tables_are_of_their_epochs(PGconn *dst)
{
    assert_string_equal(
        sql_value(dst, "WITH of_table AS (SELECT tbl, max(epoch) AS epoch, count(DISTINCT epoch) AS"
                       " epochs, sum(rows) AS n FROM pghaul.chunk GROUP BY tbl), of_epoch AS"
                       " (SELECT epoch, min(n) AS low, max(n) AS high, max(epochs) AS epochs FROM"
                       " of_table GROUP BY epoch), seen AS (SELECT *, lag(high) OVER (ORDER BY"
                       " epoch) AS before FROM of_epoch) SELECT bool_and(epochs = 1 AND low = high"
                       " AND (before IS NULL OR low > before)) AND count(*) >= 3 FROM seen"),
        "t");
}

static const char *
rows_of_all(const char *dbname)
{
    const char *sql = "";

    for (int i = 0; i < TABLES; i++)
        sql = scratch_printf("%s%sSELECT 't%d', count(*), sum(id), sum(at) FROM t%d", sql,
                             i > 0 ? " UNION ALL " : "", i, i);
    return sql_once(cluster, dbname, scratch_printf("%s ORDER BY 1", sql));
}

/* `dir`: the job's, under the scratch directory. */
static void
copy_under_load(const char *dir)
{
    pid_t writer = start_writer();
    struct run *run = start_copy(dir);

    sql_wait_true(cluster, "dst",
                  "SELECT phase NOT IN ('new', 'schema', 'plan', 'rows') FROM"
                  " pghaul.job",
                  60000);
    kill(writer, SIGKILL);
    run_expect(run, 0);
    assert_non_null(strstr(run_err(run), "changes are applied until they meet"));
    PGconn *dst = sql_connect(cluster, "dst");
    printf("  %s epochs\n", sql_value(dst, "SELECT count(*) FROM pghaul.epoch"));
    assert_string_equal(sql_value(dst, "SELECT bool_and(lsn > before) FROM (SELECT lsn, lag(lsn)"
                                       " OVER (ORDER BY epoch) AS before FROM pghaul.epoch) x WHERE"
                                       " before IS NOT NULL"),
                        "t");
    tables_are_of_their_epochs(dst);
    assert_string_equal(rows_of_all("src"), rows_of_all("dst"));
    /* those between tables of different epochs, too */
    assert_string_equal(sql_value(dst, "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND"
                                       " convalidated"),
                        scratch_printf("%d", TABLES - 1));
    PQfinish(dst);
}

static void
test_trap_27_renewed_between_tables(void **state)
{
    (void)state;
    cluster = pg_test_cluster_new(NULL);
    make_source();
    copy_under_load("job");
    pg_test_cluster_stop(cluster);
}

/* ---- a counter that passes 2^32 ---- */

/* The next transaction gets this id; the page of its state must be there. */
static void
jump_to(uint32_t xid)
{
    const char *const argv[] = {
        "sh", "-c",
        scratch_printf("cd / && as='' && if [ $(id -u) = 0 ]; then as='runuser -u postgres --'; fi;"
                       " $as %s/pg_resetwal -x %u -D %s && $as sh -c 'head -c 262144 /dev/zero >"
                       " %s/pg_xact/%04X'",
                       cluster->bin, xid, cluster->data, cluster->data, xid / 1048576),
        NULL};

    pg_test_cluster_stop(cluster);
    run_expect(run_start_copy(NULL, argv), 0);
    pg_test_cluster_start(cluster);
}

static void
freeze_all(void)
{
    static const char *const databases[] = {"postgres", "template1", "template0", "src", "dst"};

    sql_once(cluster, "postgres", "UPDATE pg_database SET datallowconn = true");
    for (size_t i = 0; i < sizeof databases / sizeof *databases; i++)
        sql_once(cluster, databases[i], "VACUUM FREEZE");
}

/* TRAPS 71: epochs before and after it, and transactions that run across. */
static void
test_trap_71_wrapped_counter(void **state)
{
    static const struct pg_test_params params = {.conf = "autovacuum = off\n"};

    (void)state;
    cluster = pg_test_cluster_new(&params);
    make_source();
    freeze_all();
    jump_to(1500000000u);
    freeze_all();
    jump_to(3000000000u);
    freeze_all();
    jump_to(4294966500u);
    copy_under_load("wrapped");
    assert_string_equal(sql_once(cluster, "dst",
                                 "SELECT pg_current_xact_id()::text::numeric > 4294967296,"
                                 " (SELECT min(split_part(pg_snapshot, ':', 2)::numeric) <"
                                 " 4294967296 FROM pghaul.epoch)"),
                        "t|t\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_27_renewed_between_tables),
        cmocka_unit_test(test_trap_71_wrapped_counter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
