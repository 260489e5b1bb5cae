/*
 * One connection to a server. The only wrapper of libpq; a ph_conn never changes its thread.
 *
 * Sessions are pinned when opened (time-outs off, ISO dates, UTC, float digits, search_path '',
 * row_security off, client_encoding as asked), so that both sides print and send the same bytes.
 * Errors: PH_E_CONNECT when the connection is gone (the caller may open a new one and retry),
 * PH_E_AUTH, PH_E_RIGHTS (42501), PH_E_TARGET_FULL (53100), PH_E_STOPPED (cancelled by
 * ph_conn_cancel), PH_E_CONSTRAINT (class 23), PH_E_DATA (class 22), PH_E_SQL for the rest;
 * sqlstate is filled in.
 */
#ifndef PH_PG_CONN_H
#define PH_PG_CONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "model/side.h"

struct ph_conn;
struct ph_result;

const char *ph_side_name(enum ph_side side); /* "source" or "target" */

/* Where a server is. Immutable; shared by all threads. Never printed but through `label`. */
struct ph_endpoint {
    enum ph_side side;
    char *conninfo;   /* as given, may hold a password */
    char *label;      /* "source db@host:port", no password: for messages, logs, ledger */
    char *app_prefix; /* application_name starts with it: "pghaul JOB" */
    char *encoding;   /* client_encoding for all sessions; NULL: UTF8; set before the first open */
    bool only_libpq;  /* for tests: COPY does not go past libpq, as under GSS */
    struct ph_conn_set *open; /* all connections, for ph_endpoint_cancel_all */
};

/* Parse conninfo or URI; PH_E_USAGE when libpq cannot read it. Free with ph_endpoint_reset. */
ph_code ph_endpoint_init(struct ph_endpoint *endpoint, enum ph_side side, const char *conninfo,
                         const char *job_name, struct ph_error *err);
void ph_endpoint_reset(struct ph_endpoint *endpoint);
/*
 * For child programs (pg_dump, pg_restore, psql): a NULL-terminated environment of PG* variables,
 * "NAME=value", that lead to the same server; includes PGPASSWORD. Free with ph_endpoint_free_env.
 */
ph_code ph_endpoint_env(const struct ph_endpoint *endpoint, char ***env, struct ph_error *err);
void ph_endpoint_free_env(char **env);

/* What the session is for; becomes the end of application_name ("pghaul JOB copy 1"). */
ph_code ph_conn_open(const struct ph_endpoint *endpoint, const char *purpose, struct ph_conn **out,
                     struct ph_error *err);
/* The same for what can be done without: gives up after two seconds, so that a stop is not held up.
 */
ph_code ph_conn_open_briefly(const struct ph_endpoint *endpoint, const char *purpose,
                             struct ph_conn **out, struct ph_error *err);
/* NULL is fine. A transaction under way is rolled back by the server. */
void ph_conn_free(struct ph_conn *conn);

int ph_conn_version(const struct ph_conn *conn); /* server_version_num, e.g. 150020 */
int ph_conn_backend_pid(const struct ph_conn *conn);
const struct ph_endpoint *ph_conn_endpoint(const struct ph_conn *conn);
/* Leaves the transaction that a failure may have left open; no round trip when there is none. */
ph_code ph_conn_leave_transaction(struct ph_conn *conn, struct ph_error *err);
bool ph_conn_is_alive(const struct ph_conn *conn); /* as far as libpq knows, no round trip */

/* One or more statements, results thrown away. */
ph_code ph_conn_exec(struct ph_conn *conn, const char *sql, struct ph_error *err);
ph_code ph_conn_execf(struct ph_conn *conn, struct ph_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/*
 * One statement with text parameters (NULL element: SQL NULL). `*out` is the caller's
 * (ph_result_free). `params` may be NULL when n_params is 0.
 */
ph_code ph_conn_query(struct ph_conn *conn, const char *sql, int n_params,
                      const char *const *params, struct ph_result **out, struct ph_error *err);
/*
 * The same in binary: parameters of these types (data NULL: SQL NULL), and the results, to be read
 * with ph_result_span.
 */
ph_code ph_conn_query_binary(struct ph_conn *conn, const char *sql, uint32_t n_params,
                             const uint32_t *types, const struct ph_span *params,
                             struct ph_result **out, struct ph_error *err);
/*
 * The same row by row: each is a result of its own, and only a little more than one is in memory.
 * *out NULL: that was all. Nothing else may be done with the connection until next said so or
 * failed; it may be closed.
 */
ph_code ph_conn_rows_begin(struct ph_conn *conn, const char *sql, uint32_t n_params,
                           const uint32_t *types, const struct ph_span *params,
                           struct ph_error *err);
ph_code ph_conn_rows_next(struct ph_conn *conn, struct ph_result **out, struct ph_error *err);
/*
 * As ph_conn_query in two halves, so that two servers work at the same time. Nothing else may be
 * done with the connection in between; after a start that succeeded finish must be called.
 */
ph_code ph_conn_query_start(struct ph_conn *conn, const char *sql, int n_params,
                            const char *const *params, struct ph_error *err);
ph_code ph_conn_query_finish(struct ph_conn *conn, struct ph_result **out, struct ph_error *err);
/* Same as ph_conn_query, the rows thrown away, however many there are. */
ph_code ph_conn_run(struct ph_conn *conn, const char *sql, int n_params, const char *const *params,
                    struct ph_error *err);
/* Same as ph_conn_query, expecting that exactly `rows` rows were returned or hit; PH_E_LEDGER
 * otherwise. */
ph_code ph_conn_expect(struct ph_conn *conn, const char *sql, int n_params,
                       const char *const *params, int rows, struct ph_error *err);
/* First column of first row as text into out ("" when NULL or no row). */
ph_code ph_conn_value(struct ph_conn *conn, const char *sql, char *out, size_t size,
                      struct ph_error *err);

void ph_result_free(struct ph_result *result);
int ph_result_rows(const struct ph_result *result);
int ph_result_affected(const struct ph_result *result);
bool ph_result_is_null(const struct ph_result *result, int row, int column);
/* Text of a value, owned by the result; "" for NULL. */
const char *ph_result_text(const struct ph_result *result, int row, int column);
struct ph_span ph_result_span(const struct ph_result *result, int row, int column);
int64_t ph_result_i64(const struct ph_result *result, int row, int column); /* 0 for NULL */
uint32_t ph_result_u32(const struct ph_result *result, int row, int column);
bool ph_result_bool(const struct ph_result *result, int row, int column);
/* bytea in hex output -> malloc'ed bytes of the caller's; false: not hex or no memory. */
bool ph_result_bytea(const struct ph_result *result, int row, int column, uint8_t **out,
                     size_t *len);

/*
 * From any thread: cancel what every connection of the endpoint is doing, and make their blocked
 * calls and all later ones fail with PH_E_STOPPED, also when the network is stalled. Their threads
 * then close them.
 */
void ph_endpoint_cancel_all(const struct ph_endpoint *endpoint);
/*
 * Before the first connection: what cancels, and reopens, all of the other endpoint, also in later
 * calls, does so with this one. Either may go first.
 */
void ph_endpoint_cancel_with(struct ph_endpoint *endpoint, const struct ph_endpoint *other);
/* The same for one connection, which its thread must not close meanwhile. */
void ph_conn_cancel(struct ph_conn *conn);
/*
 * From now on sessions are "pghaul JOB#TOKEN PURPOSE", told apart from those of a job of the same
 * name that the other server has with somebody else. Before other threads use the endpoint.
 */
ph_code ph_endpoint_set_token(struct ph_endpoint *endpoint, const char *job_name, const char *token,
                              struct ph_error *err);
/* After cancel_all, when nothing is open any more: connections may be opened again. */
void ph_endpoint_reopen(const struct ph_endpoint *endpoint);

/* Whether giving the same command again on a new connection may succeed (lost, deadlock, …). */
bool ph_error_is_retryable(const struct ph_error *err);

/*
 * COPY ... TO STDOUT. begin sends the statement; read fills `into` (capacity `size`) with whole
 * CopyData payloads laid back to back and sets *len; *len == 0 is the regular end. One payload
 * larger than `size` gives PH_E_ROW_TOO_LARGE with *len = its length and keeps it: call again with
 * room for it; `into` shows its beginning, PH_COPY_SHOWN_BYTES or what fits. After the end or an
 * error the connection is ready for statements or dead.
 */
#define PH_COPY_SHOWN_BYTES ((size_t)16384)
ph_code ph_conn_copy_out_begin(struct ph_conn *conn, const char *sql, struct ph_error *err);
ph_code ph_conn_copy_out_read(struct ph_conn *conn, uint8_t *into, size_t size, size_t *len,
                              struct ph_error *err);

/* COPY ... FROM STDIN. end returns the number of rows the server took; abort makes it fail. */
ph_code ph_conn_copy_in_begin(struct ph_conn *conn, const char *sql, struct ph_error *err);
ph_code ph_conn_copy_in_write(struct ph_conn *conn, const uint8_t *data, size_t len,
                              struct ph_error *err);
ph_code ph_conn_copy_in_end(struct ph_conn *conn, uint64_t *rows, struct ph_error *err);
void ph_conn_copy_in_abort(struct ph_conn *conn, const char *reason);

#endif
