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

static int
start(void **state)
{
    (void)state;
    cluster = pg_test_cluster_new(NULL);
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
    return 0;
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
start_copy(void)
{
    return start_pghaul(NULL, "copy", "--source", pg_test_conninfo(cluster, "src"), "--target",
                        pg_test_conninfo(cluster, "dst"), "--name", "j", "--dir",
                        scratch_printf("%s/job", scratch_dir()), "--follow", "--until", "caught-up",
                        "--jobs", "2", "--snapshot-age", "1s", "--max-rate", "12MB/s");
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

static void
test_trap_27_renewed_between_tables(void **state)
{
    pid_t writer = start_writer();
    struct run *run = start_copy();

    (void)state;
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_27_renewed_between_tables),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
