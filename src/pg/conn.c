/*
 * Opening sessions, running statements, and telling failures apart.
 *
 * Blocking libpq calls are used on purpose: every connection has a thread of its own, and a stop
 * makes them return by shutting the socket down (ph_endpoint_cancel_all). What a server says about
 * a row (DETAIL, CONTEXT, quoted values) is left out of messages: row values do not belong in logs.
 */
#include "pg/conn_internal.h"

#include "base/stop.h"

#include <assert.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ph_code
code_of_sqlstate(const char *state)
{
    static const struct {
        const char *prefix;
        ph_code code;
    } table[] = {
        {"08", PH_E_CONNECT},    {"57P0", PH_E_CONNECT},  {"53300", PH_E_CONNECT},
        {"28", PH_E_AUTH},       {"42501", PH_E_RIGHTS},  {"53100", PH_E_TARGET_FULL},
        {"25006", PH_E_CONNECT}, {"23", PH_E_CONSTRAINT}, {"22", PH_E_DATA},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strncmp(state, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].code;
    }
    return PH_E_SQL;
}

/*
 * `invalid input syntax for type integer: "the value"`: the part behind `: "` is row data. So is
 * what is quoted in `value "123" is out of range for type integer` and `"1e400" is out of range`.
 */
static void
hide_values(struct ph_error *err)
{
    static const char word[] = "value ";

    if (strncmp(err->sqlstate, "22", 2) != 0)
        return;
    char *value = strstr(err->message, ": \"");
    if (value != NULL) {
        *value = '\0';
        return;
    }
    char *at =
        strncmp(err->message, word, strlen(word)) == 0 ? err->message + strlen(word) : err->message;
    char *end = *at == '"' ? strstr(at + 1, "\" ") : NULL;
    if (end == NULL || end < at + 3)
        return;
    at[1] = at[2] = '.';
    memmove(at + 3, end, strlen(end) + 1);
}

static void
put_object(const struct ph_diag *diag, struct ph_error *err)
{
    if (diag->schema != NULL && diag->table != NULL)
        ph_error_object(err, "%s.%s", diag->schema, diag->table);
    if (diag->constraint != NULL)
        ph_error_note(err, "constraint %s", diag->constraint);
}

/* Hints of the server are mostly about statements, which are ours; this one is for the user. */
static void
put_hint(struct ph_error *err)
{
    if (strcmp(err->sqlstate, "53200") == 0 && strstr(err->message, "shared memory") != NULL)
        ph_error_hint(err, "raise max_locks_per_transaction on that server and restart it, then "
                           "give the same command again");
}

ph_code
ph_conn_report(struct ph_conn *conn, const struct ph_diag *diag, struct ph_error *err)
{
    const char *label = conn->endpoint->label;
    ph_code code = code_of_sqlstate(diag->state);

    PH_FAIL(err, code, "%s", diag->primary != NULL ? diag->primary : "the server gave no reason");
    if (err != NULL) {
        snprintf(err->sqlstate, sizeof err->sqlstate, "%s", diag->state);
        hide_values(err);
        put_object(diag, err);
        put_hint(err);
        if (err->object[0] == '\0')
            ph_error_object(err, "%s", label);
        else
            ph_error_note(err, "on %s", label);
    }
    return code;
}

ph_code
ph_conn_fail(struct ph_conn *conn, const PGresult *result, struct ph_error *err)
{
    const char *state = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *label = conn->endpoint->label;

    if (atomic_load(&conn->cancelled))
        return PH_FAIL(err, PH_E_STOPPED, "stopped while working on %s", label);
    if (state == NULL) {
        ph_code code = PQstatus(conn->pg) == CONNECTION_BAD ? PH_E_CONNECT : PH_E_PROTOCOL;
        const char *text = PQerrorMessage(conn->pg);
        PH_FAIL(err, code, "%s", text[0] != '\0' ? text : "the connection was lost");
        ph_error_object(err, "%s", label);
        return code;
    }
    struct ph_diag diag = {
        .state = state,
        .primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY),
        .schema = PQresultErrorField(result, PG_DIAG_SCHEMA_NAME),
        .table = PQresultErrorField(result, PG_DIAG_TABLE_NAME),
        .constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME),
    };
    return ph_conn_report(conn, &diag, err);
}

bool
ph_error_is_retryable(const struct ph_error *err)
{
    static const char *const states[] = {"40001", "40P01", "57014"};

    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (strcmp(err->sqlstate, states[i]) == 0)
            return true;
    }
    return err->code == PH_E_CONNECT;
}

static ph_code
login_failure(PGconn *pg, const struct ph_endpoint *endpoint, struct ph_error *err)
{
    const char *text = pg == NULL ? "out of memory" : PQerrorMessage(pg);
    bool refused =
        pg != NULL &&
        (PQconnectionNeedsPassword(pg) || strstr(text, "authentication failed") != NULL ||
         strstr(text, "pg_hba.conf") != NULL || strstr(text, "no password supplied") != NULL ||
         (strstr(text, "role \"") != NULL && strstr(text, "does not exist") != NULL));
    bool lacks_right = strstr(text, "replication role to start walsender") != NULL ||
                       strstr(text, "permission denied to start WAL sender") != NULL;
    ph_code code = refused ? PH_E_AUTH : lacks_right ? PH_E_RIGHTS : PH_E_CONNECT;

    PH_FAIL(err, code, "%s", text);
    ph_error_object(err, "%s", endpoint->label);
    /* libpq has no SQLSTATE of a login */
    if (strstr(text, "database \"") != NULL && strstr(text, "does not exist") != NULL)
        snprintf(err->sqlstate, sizeof err->sqlstate, "3D000");
    return code;
}

/*
 * What both sides must agree on for equal bytes (text output, time zones, floats) and what must not
 * cut a long copy short. Set by a statement: poolers refuse many of them as startup options. One
 * SELECT, since a walsender takes but one statement at a time.
 */
struct pin {
    const char *name;
    const char *value;
    int since; /* server_version_num */
};
static const struct pin pins[] = {
    {"statement_timeout", "0", 0},
    {"lock_timeout", "0", 0},
    {"idle_in_transaction_session_timeout", "0", 0},
    {"idle_session_timeout", "0", 140000},
    {"transaction_timeout", "0", 170000},
    {"search_path", "", 0},
    {"row_security", "off", 0},
    {"datestyle", "ISO, YMD", 0},
    {"intervalstyle", "postgres", 0},
    {"timezone", "UTC", 0},
    {"bytea_output", "hex", 0},
    {"extra_float_digits", "3", 0},
    {"standard_conforming_strings", "on", 0},
    {"xmlbinary", "base64", 0},
    {"xmloption", "content", 0},
    {"quote_all_identifiers", "off", 0},
    {"synchronize_seqscans", "on", 0},
    {"check_function_bodies", "off", 0},
    {"client_min_messages", "error", 0},
    {"lc_monetary", "C", 0},
    {"array_nulls", "on", 0},
    {"transform_null_equals", "off", 0},
    {"default_transaction_deferrable", "off", 0},
    {"default_transaction_read_only", "off", 0},
    {"default_transaction_isolation", "read committed", 0},
};

static ph_code
pin_session(struct ph_conn *conn, struct ph_error *err)
{
    struct ph_buf sql;
    const char *before = "SELECT ";

    ph_buf_init(&sql, 65536);
    for (size_t i = 0; i < sizeof pins / sizeof *pins; i++) {
        if (PQserverVersion(conn->pg) < pins[i].since)
            continue;
        ph_buf_printf(&sql, "%spg_catalog.set_config('%s', '%s', false)", before, pins[i].name,
                      pins[i].value);
        before = ", ";
    }
    ph_code rc = ph_buf_ok(&sql) ? ph_conn_exec(conn, ph_buf_text(&sql), err)
                                 : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    return rc;
}

/* libpq hands NOTICEs to this; pghaul's own statements ask for none that a user needs. */
static void
ignore_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

/* `replication`: "database" for a walsender's session, else NULL: as the conninfo has it. */
static PGconn *
connect_session(const struct ph_endpoint *endpoint, const char *purpose, const char *patience,
                const char *replication)
{
    char app_name[128];
    const char *encoding = endpoint->encoding != NULL ? endpoint->encoding : "UTF8";
    /* what comes before the conninfo is a default, what comes after it wins */
    const char *keys[] = {"connect_timeout",     "keepalives_idle",
                          "keepalives_interval", "keepalives_count",
                          "tcp_user_timeout",    "dbname",
                          "application_name",    "client_encoding",
                          "replication",         NULL};
    const char *values[] = {patience,           "30",     "10",     "6",         "120000",
                            endpoint->conninfo, app_name, encoding, replication, NULL};

    snprintf(app_name, sizeof app_name, "%s %s", endpoint->app_prefix, purpose);
    return PQconnectdbParams(keys, values, 1);
}

static ph_code
open_session(const struct ph_endpoint *endpoint, const char *purpose, const char *patience,
             const char *replication, struct ph_conn **out, struct ph_error *err)
{
    *out = NULL;
    PGconn *pg = connect_session(endpoint, purpose, patience, replication);
    if (pg == NULL || PQstatus(pg) != CONNECTION_OK) {
        ph_code rc = login_failure(pg, endpoint, err);
        PQfinish(pg);
        return rc;
    }
    struct ph_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        PQfinish(pg);
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    PQsetNoticeProcessor(pg, ignore_notice, NULL);
    conn->pg = pg;
    conn->endpoint = endpoint;
    conn->cancel = PQgetCancel(pg);
    if (!ph_conn_set_add(endpoint->open, conn)) {
        PQfreeCancel(conn->cancel);
        PQfinish(pg);
        free(conn);
        return PH_FAIL(err, PH_E_STOPPED, "stopped");
    }
    ph_code rc = pin_session(conn, err);
    if (rc != PH_OK) {
        ph_conn_free(conn);
        return rc;
    }
    *out = conn;
    return PH_OK;
}

ph_code
ph_conn_open(const struct ph_endpoint *endpoint, const char *purpose, struct ph_conn **out,
             struct ph_error *err)
{
    return open_session(endpoint, purpose, ph_stop_requested() ? "3" : "10", NULL, out, err);
}

ph_code
ph_conn_open_replication(const struct ph_endpoint *endpoint, const char *purpose,
                         struct ph_conn **out, struct ph_error *err)
{
    return open_session(endpoint, purpose, ph_stop_requested() ? "3" : "10", "database", out, err);
}

ph_code
ph_conn_open_briefly(const struct ph_endpoint *endpoint, const char *purpose, struct ph_conn **out,
                     struct ph_error *err)
{
    return open_session(endpoint, purpose, "2", NULL, out, err);
}

void
ph_conn_free(struct ph_conn *conn)
{
    if (conn == NULL)
        return;
    ph_conn_set_remove(conn->endpoint->open, conn);
    PQfreemem(conn->pending);
    ph_direct_free(conn->rx);
    PQfreeCancel(conn->cancel);
    PQfinish(conn->pg);
    free(conn);
}

int
ph_conn_version(const struct ph_conn *conn)
{
    return PQserverVersion(conn->pg);
}

int
ph_conn_backend_pid(const struct ph_conn *conn)
{
    return PQbackendPID(conn->pg);
}

const struct ph_endpoint *
ph_conn_endpoint(const struct ph_conn *conn)
{
    return conn->endpoint;
}

bool
ph_conn_is_alive(const struct ph_conn *conn)
{
    return PQstatus(conn->pg) == CONNECTION_OK && !conn->broken && !atomic_load(&conn->cancelled);
}

ph_code
ph_conn_leave_transaction(struct ph_conn *conn, struct ph_error *err)
{
    return PQtransactionStatus(conn->pg) == PQTRANS_IDLE ? PH_OK
                                                         : ph_conn_exec(conn, "ROLLBACK", err);
}

static bool
is_success(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
           status == PGRES_SINGLE_TUPLE || status == PGRES_EMPTY_QUERY;
}

ph_code
ph_conn_exec(struct ph_conn *conn, const char *sql, struct ph_error *err)
{
    PGresult *result = PQexec(conn->pg, sql);
    ph_code rc = PH_OK;

    if (result == NULL || !is_success(result))
        rc = ph_conn_fail(conn, result, err);
    else if (strcmp(sql, "COMMIT") == 0 && strcmp(PQcmdStatus(result), "COMMIT") != 0)
        rc = PH_FAIL(err, PH_E_SQL, "the transaction had failed: it was rolled back");
    PQclear(result);
    return rc;
}

ph_code
ph_conn_execf(struct ph_conn *conn, struct ph_error *err, const char *format, ...)
{
    struct ph_buf sql;
    va_list args;

    ph_buf_init(&sql, (size_t)64 << 20);
    va_start(args, format);
    ph_buf_vprintf(&sql, format, args);
    va_end(args);
    ph_code rc = ph_buf_ok(&sql) ? ph_conn_exec(conn, ph_buf_text(&sql), err)
                                 : PH_FAIL(err, PH_E_MEMORY, "statement too long");
    ph_buf_free(&sql);
    return rc;
}

ph_code
ph_conn_take_result(struct ph_conn *conn, PGresult *pg, struct ph_result **out,
                    struct ph_error *err)
{
    *out = NULL;
    if (pg == NULL || !is_success(pg)) {
        ph_code rc = ph_conn_fail(conn, pg, err);
        assert(rc != PH_OK);
        PQclear(pg);
        return rc;
    }
    struct ph_result *result = malloc(sizeof *result);
    if (result == NULL) {
        PQclear(pg);
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    result->pg = pg;
    *out = result;
    return PH_OK;
}

ph_code
ph_conn_query(struct ph_conn *conn, const char *sql, int n_params, const char *const *params,
              struct ph_result **out, struct ph_error *err)
{
    return ph_conn_take_result(
        conn, PQexecParams(conn->pg, sql, n_params, NULL, params, NULL, NULL, 0), out, err);
}

ph_code
ph_conn_query_simple(struct ph_conn *conn, const char *sql, struct ph_result **out,
                     struct ph_error *err)
{
    return ph_conn_take_result(conn, PQexec(conn->pg, sql), out, err);
}

ph_code
ph_conn_query_start(struct ph_conn *conn, const char *sql, int n_params, const char *const *params,
                    struct ph_error *err)
{
    if (PQsendQueryParams(conn->pg, sql, n_params, NULL, params, NULL, NULL, 0) == 1)
        return PH_OK;
    return ph_conn_fail(conn, NULL, err);
}

ph_code
ph_conn_query_finish(struct ph_conn *conn, struct ph_result **out, struct ph_error *err)
{
    PGresult *first = PQgetResult(conn->pg);
    PGresult *more;

    while ((more = PQgetResult(conn->pg)) != NULL)
        PQclear(more);
    return ph_conn_take_result(conn, first, out, err);
}

ph_code
ph_conn_run(struct ph_conn *conn, const char *sql, int n_params, const char *const *params,
            struct ph_error *err)
{
    struct ph_result *result;

    PH_TRY(ph_conn_query(conn, sql, n_params, params, &result, err));
    ph_result_free(result);
    return PH_OK;
}

ph_code
ph_conn_expect(struct ph_conn *conn, const char *sql, int n_params, const char *const *params,
               int rows, struct ph_error *err)
{
    struct ph_result *result;

    PH_TRY(ph_conn_query(conn, sql, n_params, params, &result, err));
    int hit = PQresultStatus(result->pg) == PGRES_TUPLES_OK ? ph_result_rows(result)
                                                            : ph_result_affected(result);
    ph_result_free(result);
    if (hit != rows)
        return PH_FAIL(err, PH_E_LEDGER, "a statement on the ledger met %d rows instead of %d", hit,
                       rows);
    return PH_OK;
}

ph_code
ph_conn_value(struct ph_conn *conn, const char *sql, char *out, size_t size, struct ph_error *err)
{
    struct ph_result *result;

    out[0] = '\0';
    PH_TRY(ph_conn_query(conn, sql, 0, NULL, &result, err));
    if (ph_result_rows(result) > 0)
        snprintf(out, size, "%s", ph_result_text(result, 0, 0));
    ph_result_free(result);
    return PH_OK;
}

void
ph_result_free(struct ph_result *result)
{
    if (result == NULL)
        return;
    PQclear(result->pg);
    free(result);
}

int
ph_result_rows(const struct ph_result *result)
{
    return PQntuples(result->pg);
}

int
ph_result_affected(const struct ph_result *result)
{
    return (int)strtol(PQcmdTuples(result->pg), NULL, 10);
}

bool
ph_result_is_null(const struct ph_result *result, int row, int column)
{
    return PQgetisnull(result->pg, row, column) != 0;
}

const char *
ph_result_text(const struct ph_result *result, int row, int column)
{
    return PQgetvalue(result->pg, row, column);
}

struct ph_span
ph_result_span(const struct ph_result *result, int row, int column)
{
    return (struct ph_span){(const uint8_t *)PQgetvalue(result->pg, row, column),
                            (size_t)PQgetlength(result->pg, row, column)};
}

int64_t
ph_result_i64(const struct ph_result *result, int row, int column)
{
    return strtoll(ph_result_text(result, row, column), NULL, 10);
}

uint32_t
ph_result_u32(const struct ph_result *result, int row, int column)
{
    return (uint32_t)strtoul(ph_result_text(result, row, column), NULL, 10);
}

bool
ph_result_bool(const struct ph_result *result, int row, int column)
{
    return ph_result_text(result, row, column)[0] == 't';
}

bool
ph_result_bytea(const struct ph_result *result, int row, int column, uint8_t **out, size_t *len)
{
    const char *text = ph_result_text(result, row, column);
    unsigned char *raw = PQunescapeBytea((const unsigned char *)text, len);

    *out = NULL;
    if (raw == NULL)
        return false;
    *out = malloc(*len + 1);
    if (*out != NULL)
        memcpy(*out, raw, *len);
    PQfreemem(raw);
    return *out != NULL;
}
