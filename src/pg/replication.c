/*
 * Commands of the walsender by the simple protocol, then one long COPY BOTH.
 *
 * The stream goes past libpq where it can (conn_direct.c), which hands out every message in a block
 * of its own and reads 16 kB at a time; otherwise by libpq.
 */
#include "pg/replication.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "model/lsn.h"
#include "pg/conn_internal.h"
#include "pg/stream_options.h"

#define STATEMENT_BYTES ((size_t)1 << 20)

struct ph_replication {
    struct ph_conn *conn;
    char *payload; /* what libpq gave last; PQfreemem */
    bool streaming;
    bool started; /* once, ever: the server does not reset what it knows of a stream's end */
};

static ph_code
set_timeout(struct ph_conn *conn, int sender_timeout_ms, struct ph_error *err)
{
    if (sender_timeout_ms == 0)
        return PH_OK;
    return ph_conn_execf(conn, err,
                         "SELECT pg_catalog.set_config('wal_sender_timeout', '%d', false)",
                         sender_timeout_ms);
}

ph_code
ph_replication_send_early(struct ph_replication *session, struct ph_error *err)
{
    return ph_conn_exec(
        session->conn,
        "SELECT pg_catalog.set_config(name, least(setting::int, 8192) || 'kB', false)"
        " FROM pg_catalog.pg_settings WHERE name = 'logical_decoding_work_mem'",
        err);
}

ph_code
ph_replication_open(const struct ph_endpoint *endpoint, const struct ph_replication_params *params,
                    struct ph_replication **out, struct ph_error *err)
{
    struct ph_replication *session = calloc(1, sizeof *session);

    *out = NULL;
    if (session == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_code rc = ph_conn_open_replication(endpoint, params->purpose, &session->conn, err);
    if (rc == PH_OK)
        rc = set_timeout(session->conn, params->sender_timeout_ms, err);
    if (rc != PH_OK) {
        ph_replication_free(session);
        return rc;
    }
    *out = session;
    return PH_OK;
}

void
ph_replication_free(struct ph_replication *session)
{
    if (session == NULL)
        return;
    PQfreemem(session->payload);
    ph_conn_free(session->conn);
    free(session);
}

int
ph_replication_version(const struct ph_replication *session)
{
    return ph_conn_version(session->conn);
}

int
ph_replication_backend_pid(const struct ph_replication *session)
{
    return ph_conn_backend_pid(session->conn);
}

static ph_code
unexpected_answer(const char *command, struct ph_error *err)
{
    return PH_FAIL(err, PH_E_PROTOCOL, "the server's answer to %s is not understood", command);
}

ph_code
ph_replication_identify(struct ph_replication *session, struct ph_replication_system *out,
                        struct ph_error *err)
{
    struct ph_result *r;

    *out = (struct ph_replication_system){0};
    PH_TRY(ph_conn_query_simple(session->conn, "IDENTIFY_SYSTEM", &r, err));
    bool good = ph_result_rows(r) == 1 && ph_lsn_parse(ph_result_text(r, 0, 2), &out->flush_lsn);
    if (good) {
        snprintf(out->system_id, sizeof out->system_id, "%s", ph_result_text(r, 0, 0));
        out->timeline = ph_result_u32(r, 0, 1);
        snprintf(out->database, sizeof out->database, "%s", ph_result_text(r, 0, 3));
    }
    ph_result_free(r);
    return good ? PH_OK : unexpected_answer("IDENTIFY_SYSTEM", err);
}

/* Lines of timeline, position and reason, parted by tabs, oldest first. */
static ph_lsn
end_in_history(const char *history, uint32_t timeline)
{
    for (const char *line = history; *line != '\0';) {
        char *rest;
        char text[PH_LSN_TEXT] = "";
        ph_lsn end = 0;

        unsigned long number = strtoul(line, &rest, 10);
        if (number == timeline && *rest == '\t') {
            size_t len = strcspn(rest + 1, "\t\n");
            snprintf(text, sizeof text, "%.*s", (int)len, rest + 1);
            return ph_lsn_parse(text, &end) ? end : 0;
        }
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return 0;
}

ph_code
ph_replication_timeline_end(struct ph_replication *session, uint32_t now, uint32_t timeline,
                            ph_lsn *end, struct ph_error *err)
{
    char sql[40];
    struct ph_result *r;

    *end = 0;
    snprintf(sql, sizeof sql, "TIMELINE_HISTORY %u", (unsigned)now);
    PH_TRY(ph_conn_query_simple(session->conn, sql, &r, err));
    bool good = ph_result_rows(r) == 1;
    if (good)
        *end = end_in_history(ph_result_text(r, 0, 1), timeline);
    ph_result_free(r);
    return good ? PH_OK : unexpected_answer("TIMELINE_HISTORY", err);
}

/* ---- the slot ---- */

/* Whether the answer came in time; a lost connection is an answer, too. */
static bool
await_answer(PGconn *pg, int wait_ms)
{
    uint64_t until = ph_clock_ns() + (uint64_t)wait_ms * 1000000;
    struct pollfd fd = {.fd = PQsocket(pg), .events = POLLIN};

    while (PQisBusy(pg) != 0) {
        uint64_t now = ph_clock_ns();
        if (now >= until)
            return false;
        if (poll(&fd, 1, (int)((until - now) / 1000000) + 1) > 0 && PQconsumeInput(pg) == 0)
            return true;
    }
    return true;
}

static void
cancel_command(PGconn *pg)
{
    char ignored[256];
    PGcancel *cancel = PQgetCancel(pg);

    if (cancel != NULL)
        (void)PQcancel(cancel, ignored, sizeof ignored);
    PQfreeCancel(cancel);
}

static ph_code
not_in_time(const char *slot, int wait_ms, struct ph_error *err)
{
    PH_FAIL(err, PH_E_NOT_READY, "the slot was not ready after %d s", (wait_ms + 999) / 1000);
    ph_error_object(err, "slot %s", slot);
    ph_error_hint(err, "transactions that ran when its creation began have to end first: "
                       "pg_stat_activity and pg_prepared_xacts show them");
    return PH_E_NOT_READY;
}

static void
take_slot(const PGresult *result, struct ph_slot_made *out, bool *good)
{
    *good = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
            PQnfields(result) >= 3 &&
            ph_lsn_parse(PQgetvalue(result, 0, 1), &out->consistent_point);
    if (*good)
        snprintf(out->snapshot, sizeof out->snapshot, "%s", PQgetvalue(result, 0, 2));
}

static ph_code
run_create(struct ph_conn *conn, const char *sql, const struct ph_slot_params *params,
           struct ph_slot_made *out, struct ph_error *err)
{
    ph_code rc = PH_OK;
    bool made = false;
    bool late = false;
    PGresult *result;

    if (PQsendQuery(conn->pg, sql) == 0)
        return ph_conn_fail(conn, NULL, err);
    if (params->wait_ms > 0)
        late = !await_answer(conn->pg, params->wait_ms);
    if (late)
        cancel_command(conn->pg);
    while ((result = PQgetResult(conn->pg)) != NULL) {
        if (PQresultStatus(result) == PGRES_TUPLES_OK)
            take_slot(result, out, &made);
        else if (PQresultStatus(result) != PGRES_COMMAND_OK && rc == PH_OK)
            rc = ph_conn_fail(conn, result, err);
        PQclear(result);
    }
    if (late && rc != PH_OK && rc != PH_E_CONNECT && rc != PH_E_STOPPED)
        return not_in_time(params->name, params->wait_ms, err);
    if (rc == PH_OK && !made)
        return unexpected_answer("CREATE_REPLICATION_SLOT", err);
    return rc;
}

ph_code
ph_replication_create_slot(struct ph_replication *session, const struct ph_slot_params *params,
                           struct ph_slot_made *out, struct ph_error *err)
{
    struct ph_buf sql;

    *out = (struct ph_slot_made){0};
    if (params->failover == PH_SLOT_FAILOVER && ph_replication_version(session) < 170000)
        return PH_FAIL(err, PH_E_UNSUPPORTED, "failover slots need PostgreSQL 17 on the source");
    ph_buf_init(&sql, STATEMENT_BYTES);
    ph_buf_puts(&sql, "CREATE_REPLICATION_SLOT ");
    ph_buf_put_ident(&sql, params->name);
    ph_buf_puts(&sql, " LOGICAL pgoutput ");
    ph_buf_puts(&sql, params->failover == PH_SLOT_FAILOVER ? "(SNAPSHOT 'export', FAILOVER true)"
                                                           : "EXPORT_SNAPSHOT");
    ph_code rc = ph_buf_ok(&sql) ? run_create(session->conn, ph_buf_text(&sql), params, out, err)
                                 : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (rc != PH_OK)
        ph_error_note(err, "creating slot %s", params->name);
    ph_buf_free(&sql);
    return rc;
}

/* ---- the stream ---- */

static void
put_start(struct ph_buf *sql, int server, const struct ph_stream_params *params)
{
    char lsn[PH_LSN_TEXT];

    ph_buf_puts(sql, "START_REPLICATION SLOT ");
    ph_buf_put_ident(sql, params->slot);
    ph_buf_printf(sql, " LOGICAL %s (", ph_lsn_print(params->start_lsn, lsn));
    ph_put_stream_options(sql, server, params, PH_OPTIONS_OF_COMMAND);
    ph_buf_putc(sql, ')');
}

static ph_code
begin_stream(struct ph_conn *conn, const char *sql, struct ph_error *err)
{
    PH_TRY(ph_direct_begin(conn, sql, 'W', &conn->direct, err));
    if (!conn->direct) {
        ph_code rc = PH_OK;
        PGresult *result = PQexec(conn->pg, sql);
        if (result == NULL || PQresultStatus(result) != PGRES_COPY_BOTH)
            rc = ph_conn_fail(conn, result, err);
        PQclear(result);
        PH_TRY(rc);
    }
    conn->copying = true;
    return PH_OK;
}

ph_code
ph_replication_start(struct ph_replication *session, const struct ph_stream_params *params,
                     struct ph_error *err)
{
    int server = ph_replication_version(session);
    struct ph_buf sql;

    if (session->started || params->n_publications == 0)
        return PH_FAIL(err, PH_E_INTERNAL, "a change stream cannot be started like this");
    if (params->origins == PH_STREAM_OWN_ORIGIN && server < 160000)
        return PH_FAIL(err, PH_E_UNSUPPORTED,
                       "leaving out what was replicated needs PostgreSQL 16 on the source");
    ph_buf_init(&sql, STATEMENT_BYTES);
    put_start(&sql, server, params);
    ph_code rc = ph_buf_ok(&sql) ? begin_stream(session->conn, ph_buf_text(&sql), err)
                                 : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (rc != PH_OK)
        ph_error_note(err, "streaming from slot %s", params->slot);
    session->streaming = session->started = rc == PH_OK;
    ph_buf_free(&sql);
    return rc;
}

/* Take what the server says at the end of a stream, and in what state that leaves the session. */
static ph_code
end_results(struct ph_conn *conn, struct ph_error *err)
{
    ph_code rc = PH_OK;
    PGresult *result;

    conn->copying = false;
    while ((result = PQgetResult(conn->pg)) != NULL) {
        ExecStatusType status = PQresultStatus(result);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && rc == PH_OK)
            rc = ph_conn_fail(conn, result, err);
        PQclear(result);
        if (status == PGRES_COPY_BOTH || status == PGRES_COPY_IN || status == PGRES_COPY_OUT)
            break;
    }
    if (rc == PH_OK && PQstatus(conn->pg) != CONNECTION_OK)
        rc = ph_conn_fail(conn, NULL, err);
    return rc;
}

/* The server ended the stream, which nobody had asked for. */
static ph_code
ended(struct ph_conn *conn, struct ph_error *err)
{
    ph_code rc = end_results(conn, err);

    conn->broken = true;
    if (rc != PH_OK)
        return rc;
    PH_FAIL(err, PH_E_CONNECT, "the server ended the change stream");
    ph_error_object(err, "%s", conn->endpoint->label);
    return PH_E_CONNECT;
}

static ph_code
next_by_libpq(struct ph_replication *session, struct ph_span *payload, bool *got,
              struct ph_error *err)
{
    struct ph_conn *conn = session->conn;

    *got = false;
    PQfreemem(session->payload);
    session->payload = NULL;
    int len = PQgetCopyData(conn->pg, &session->payload, 1);
    if (len == 0) {
        if (PQconsumeInput(conn->pg) == 0)
            return ph_conn_fail(conn, NULL, err);
        len = PQgetCopyData(conn->pg, &session->payload, 1);
    }
    if (len == -1)
        return ended(conn, err);
    if (len < 0)
        return ph_conn_fail(conn, NULL, err);
    *payload = (struct ph_span){(const uint8_t *)session->payload, (size_t)len};
    *got = len > 0;
    return PH_OK;
}

ph_code
ph_replication_read(struct ph_replication *session, struct ph_walsender_message *out, bool *got,
                    struct ph_error *err)
{
    struct ph_conn *conn = session->conn;
    struct ph_span bytes = {NULL, 0};

    *got = false;
    if (!session->streaming)
        return PH_FAIL(err, PH_E_INTERNAL, "no change stream is under way");
    ph_code rc = conn->direct ? ph_direct_next(conn, &bytes, got, err)
                              : next_by_libpq(session, &bytes, got, err);
    if (rc == PH_OK && *got)
        rc = ph_walsender_read(bytes, out, err);
    if (rc != PH_OK) {
        *got = false;
        session->streaming = false;
    }
    return rc;
}

int
ph_replication_fd(const struct ph_replication *session)
{
    return PQsocket(session->conn->pg);
}

static int64_t
now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

ph_code
ph_replication_status(struct ph_replication *session, const struct ph_walsender_status *status,
                      struct ph_error *err)
{
    struct ph_conn *conn = session->conn;
    uint8_t bytes[PH_WALSENDER_STATUS_BYTES];

    if (!session->streaming)
        return PH_FAIL(err, PH_E_INTERNAL, "no change stream is under way");
    ph_walsender_put_status(status, now_us(), bytes);
    if (conn->direct)
        return ph_direct_send(conn, bytes, sizeof bytes, err);
    if (PQputCopyData(conn->pg, (const char *)bytes, sizeof bytes) != 1 || PQflush(conn->pg) != 0)
        return ph_conn_fail(conn, NULL, err);
    return PH_OK;
}

/* Throw away what still comes, until the server's own end of the COPY. */
static ph_code
drain_by_libpq(struct ph_replication *session, int wait_ms, struct ph_error *err)
{
    struct ph_conn *conn = session->conn;
    uint64_t until = ph_clock_ns() + (uint64_t)wait_ms * 1000000;
    struct pollfd fd = {.fd = PQsocket(conn->pg), .events = POLLIN};

    for (;;) {
        PQfreemem(session->payload);
        session->payload = NULL;
        int len = PQgetCopyData(conn->pg, &session->payload, 1);
        uint64_t now = ph_clock_ns();
        if (len == -1)
            return PH_OK;
        if (len < -1 || now >= until) {
            shutdown(PQsocket(conn->pg), SHUT_RDWR);
            conn->broken = true;
            return PH_FAIL(err, PH_E_CONNECT, "the server does not end the change stream");
        }
        if (len > 0)
            continue;
        (void)poll(&fd, 1, (int)((until - now) / 1000000) + 1);
        if (PQconsumeInput(conn->pg) == 0)
            return ph_conn_fail(conn, NULL, err);
    }
}

ph_code
ph_replication_stop(struct ph_replication *session, int wait_ms, struct ph_error *err)
{
    struct ph_conn *conn = session->conn;

    if (!session->streaming)
        return PH_OK;
    session->streaming = false;
    if (conn->direct)
        return ph_direct_stop(conn, wait_ms, err);
    if (PQputCopyEnd(conn->pg, NULL) != 1 || PQflush(conn->pg) != 0)
        return ph_conn_fail(conn, NULL, err);
    PH_TRY(drain_by_libpq(session, wait_ms, err));
    return end_results(conn, err);
}
