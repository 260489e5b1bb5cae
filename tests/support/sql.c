/* SQL for tests, by libpq. */
#include "support/sql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/run.h"
#include "support/scratch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECOVERY_MS 30000
#define KEPT_MAX 4

struct condition {
    const char *conninfo;
    const char *sql;
    PGconn *conn;
    char last[512];
};

static void
swallow_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

static bool
takes_connections(void *arg)
{
    return PQping(arg) != PQPING_REJECT;
}

/* A server whose process was killed recovers for a moment. */
static PGconn *
connect_when_recovered(const char *conninfo)
{
    PGconn *conn = PQconnectdb(conninfo);

    if (PQstatus(conn) == CONNECTION_OK || PQping(conninfo) == PQPING_NO_RESPONSE)
        return conn;
    PQfinish(conn);
    (void)scratch_wait(takes_connections, (void *)(uintptr_t)conninfo, RECOVERY_MS);
    return PQconnectdb(conninfo);
}

/*
 * Sessions of sql_once: a new one costs a server more than most of what is asked. They end before
 * anything else of the test begins, which might mind them.
 */
static _Thread_local struct {
    const char *conninfo;
    PGconn *conn;
} kept[KEPT_MAX];

void
sql_let_go(void)
{
    for (int i = 0; i < KEPT_MAX; i++) {
        PQfinish(kept[i].conn);
        kept[i].conn = NULL;
    }
}

static bool
is_of_databases(const char *sql)
{
    return strstr(sql, "DATABASE ") != NULL;
}

static PGconn *
connect_now(const char *conninfo)
{
    PGconn *conn = connect_when_recovered(conninfo);

    if (PQstatus(conn) != CONNECTION_OK) {
        const char *message = scratch_printf("%s", PQerrorMessage(conn));

        PQfinish(conn);
        fail_msg("%s: %s", conninfo, message);
    }
    PQsetNoticeReceiver(conn, swallow_notice, NULL);
    return conn;
}

PGconn *
sql_connect_to(const char *conninfo)
{
    sql_let_go();
    return connect_now(conninfo);
}

/* The server may have ended one that is kept, or been ended, since. */
static bool
is_there_still(PGconn *conn)
{
    PQclear(PQexec(conn, ""));
    return PQstatus(conn) == CONNECTION_OK;
}

static PGconn *
kept_conn(const char *conninfo)
{
    int at = 0;

    for (int i = 0; i < KEPT_MAX; i++) {
        if (kept[i].conn != NULL && strcmp(kept[i].conninfo, conninfo) == 0) {
            if (is_there_still(kept[i].conn))
                return kept[i].conn;
            sql_let_go();
        }
        if (kept[i].conn == NULL)
            at = i;
    }
    PQfinish(kept[at].conn);
    kept[at].conninfo = conninfo;
    kept[at].conn = NULL; /* when the next line fails the test */
    kept[at].conn = connect_now(conninfo);
    return kept[at].conn;
}

PGconn *
sql_connect(const struct pg_test_cluster *cluster, const char *dbname)
{
    return sql_connect_to(pg_test_conninfo(cluster, dbname));
}

/* Never returns a failed result. */
static PGresult *
query(PGconn *conn, const char *sql)
{
    if (is_of_databases(sql))
        sql_let_go();
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);

    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY) {
        const char *message = scratch_printf("%s", PQerrorMessage(conn));

        PQclear(result);
        fail_msg("%s\n%s", sql, message);
    }
    return result;
}

void
sql_exec(PGconn *conn, const char *sql)
{
    PQclear(query(conn, sql));
}

void
sql_execf(PGconn *conn, const char *format, ...)
{
    char *sql = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&sql, format, args) < 0)
        sql = NULL;
    va_end(args);
    sql_exec(conn, scratch_keep(sql));
}

static const char *
field_text(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? "<null>" : PQgetvalue(result, row, column);
}

const char *
sql_value(PGconn *conn, const char *sql)
{
    PGresult *result = query(conn, sql);
    const char *value = NULL;

    if (PQntuples(result) == 1 && PQnfields(result) == 1)
        value = scratch_printf("%s", field_text(result, 0, 0));
    PQclear(result);
    if (value == NULL)
        fail_msg("%s\ngave not exactly one value", sql);
    return value;
}

const char *
sql_valuef(PGconn *conn, const char *format, ...)
{
    char *sql = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&sql, format, args) < 0)
        sql = NULL;
    va_end(args);
    return sql_value(conn, scratch_keep(sql));
}

int64_t
sql_int(PGconn *conn, const char *sql)
{
    const char *value = sql_value(conn, sql);
    char *end = NULL;
    int64_t number = strtoll(value, &end, 10);

    if (end == value || *end != '\0')
        fail_msg("%s\ngave %s, not an integer", sql, value);
    return number;
}

const char *
sql_rows(PGconn *conn, const char *sql)
{
    PGresult *result = query(conn, sql);
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);

    for (int row = 0; row < PQntuples(result); row++) {
        for (int column = 0; column < PQnfields(result); column++)
            fprintf(stream, "%s%s", column > 0 ? "|" : "", field_text(result, row, column));
        fputc('\n', stream);
    }
    fclose(stream);
    PQclear(result);
    return scratch_keep(text);
}

void
sql_same(PGconn *source, const char *source_sql, PGconn *target, const char *target_sql)
{
    const char *here = sql_rows(source, source_sql);
    const char *there = sql_rows(target, target_sql);

    if (strcmp(here, there) != 0)
        fail_msg("%s\ngives on the source\n%.3000s\nbut on the target\n%.3000s", target_sql, here,
                 there);
    if (here[0] == '\0')
        fail_msg("%s gives no rows on either side", target_sql);
}

void
sql_expect_error(PGconn *conn, const char *sql, const char *sqlstate)
{
    PGresult *result = PQexec(conn, sql);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *got = scratch_printf("%s", state != NULL ? state : "no error");

    PQclear(result);
    if (strcmp(got, sqlstate) != 0)
        fail_msg("%s\nexpected SQLSTATE %s, got %s", sql, sqlstate, got);
}

const char *
sql_once(const struct pg_test_cluster *cluster, const char *dbname, const char *sql)
{
    if (!is_of_databases(sql))
        return sql_rows(kept_conn(pg_test_conninfo(cluster, dbname)), sql);
    PGconn *conn = sql_connect(cluster, dbname);
    const char *rows = sql_rows(conn, sql);
    PQfinish(conn);
    return rows;
}

void
sql_file(const struct pg_test_cluster *cluster, const char *dbname, const char *path)
{
    const char *const argv[] = {"psql",
                                "-X",
                                "-q",
                                "-v",
                                "ON_ERROR_STOP=1",
                                "-f",
                                path,
                                "-d",
                                pg_test_conninfo(cluster, dbname),
                                NULL};

    run_expect(run_start(NULL, argv), 0);
}

static bool
is_true(void *arg)
{
    struct condition *condition = arg;
    PGresult *result;
    bool yes;

    if (condition->conn == NULL)
        condition->conn = PQconnectdb(condition->conninfo);
    PQsetNoticeReceiver(condition->conn, swallow_notice, NULL);
    result = PQexec(condition->conn, condition->sql);
    yes = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
          strcmp(PQgetvalue(result, 0, 0), "t") == 0;
    snprintf(condition->last, sizeof(condition->last), "%s", PQerrorMessage(condition->conn));
    PQclear(result);
    if (PQstatus(condition->conn) != CONNECTION_OK) {
        PQfinish(condition->conn);
        condition->conn = NULL;
    }
    return yes;
}

void
sql_wait_true(const struct pg_test_cluster *cluster, const char *dbname, const char *sql,
              int deadline_ms)
{
    struct condition condition = {.conninfo = pg_test_conninfo(cluster, dbname), .sql = sql};
    bool yes = scratch_wait(is_true, &condition, deadline_ms);

    PQfinish(condition.conn);
    if (!yes)
        fail_msg("not true after %d ms: %s\n%s", deadline_ms, sql, condition.last);
}

#define SLEEPERS " FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
#define SLEEPER_MS 60000

void
sql_wait_sleeper(const struct pg_test_cluster *cluster)
{
    sql_wait_true(cluster, "postgres", "SELECT count(*) > 0" SLEEPERS, SLEEPER_MS);
}

void
sql_end_sleepers(const struct pg_test_cluster *cluster)
{
    (void)sql_once(cluster, "postgres", "SELECT count(pg_terminate_backend(pid))" SLEEPERS);
    sql_wait_true(cluster, "postgres", "SELECT count(*) = 0" SLEEPERS, SLEEPER_MS);
}
