/*
 * SQL for tests: every error fails the test with the server's text. Strings that are returned live
 * until the program ends.
 */
#ifndef PH_TEST_SQL_H
#define PH_TEST_SQL_H

#include "support/pgcluster.h"

#include <libpq-fe.h>
#include <stdint.h>

/* Notices are swallowed. The caller ends it with PQfinish. */
PGconn *sql_connect(const struct pg_test_cluster *cluster, const char *dbname);
PGconn *sql_connect_to(const char *conninfo);

/* One or several statements, no result wanted. */
void sql_exec(PGconn *conn, const char *sql);
void sql_execf(PGconn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The one value of the one row; NULL is "<null>". Fails when there is not exactly one row. */
const char *sql_value(PGconn *conn, const char *sql);
const char *sql_valuef(PGconn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));
int64_t sql_int(PGconn *conn, const char *sql);

/* All rows as text: fields parted by '|', each row ended by '\n', NULL is "<null>". */
const char *sql_rows(PGconn *conn, const char *sql);
/* Fails, showing both, unless the two queries give the same rows, and some. */
void sql_same(PGconn *source, const char *source_sql, PGconn *target, const char *target_sql);

/* Fails unless the statement fails with this SQLSTATE. */
void sql_expect_error(PGconn *conn, const char *sql, const char *sqlstate);

/*
 * Rows of a query over a session that nothing else uses; it is kept for the next of these queries
 * until a program is started, another connection is made or a database comes or goes.
 */
const char *sql_once(const struct pg_test_cluster *cluster, const char *dbname, const char *sql);

/* Ends the sessions of sql_once now. */
void sql_let_go(void);

/* Runs psql on a script file with ON_ERROR_STOP. */
void sql_file(const struct pg_test_cluster *cluster, const char *dbname, const char *path);

/*
 * Waits until the query's one value is 't'. Errors, a server that is down among them, count as "not
 * yet". Fails the test when it has not come true after deadline_ms.
 */
void sql_wait_true(const struct pg_test_cluster *cluster, const char *dbname, const char *sql,
                   int deadline_ms);
/* Until some session of the cluster is in pg_sleep(). */
void sql_wait_sleeper(const struct pg_test_cluster *cluster);
/* Ends those that are, whoever has left them. */
void sql_end_sleepers(const struct pg_test_cluster *cluster);

#endif
