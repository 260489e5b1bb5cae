/*
 * The COPY data phase on the socket itself, or on the TLS session that libpq has made on it.
 *
 * libpq hands out COPY rows one malloc each and reads 16 kB at a time, which costs more than all
 * that pghaul does with a row. Between two statements libpq neither owns unread input nor unsent
 * output, so a whole COPY (Query, CopyData, ReadyForQuery) can pass it by: it finds the connection
 * idle again. Only its public functions are used. It does miss that a COPY failed inside a
 * transaction; the next statement tells it.
 *
 * Here is what every COPY has in common: its beginning, messages in and out through a buffer of the
 * connection's own, its end. conn_direct_copy.c has the rows, conn_direct_stream.c a stream, which
 * flows in both directions.
 *
 * A length from the wire is checked before it is used. What should not come breaks the connection:
 * the socket is shut down so that libpq cannot take it for sound. A stop does the same from another
 * thread (ph_endpoint_cancel_all), which makes every wait here return.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "pg/conn_direct_parts.h"

#define MAX_BODY_BYTES ((size_t)1 << 30)
/*
 * A server sends 8 kB at a time, and waking up for each costs more than the rows do: once a COPY is
 * in full flow the reader lets the socket's buffer fill for a moment. Measured on 5 million narrow
 * rows read and hashed: 0.51 s of CPU without, 0.35 s with 50 us, 0.28 s with 200 us, the time the
 * same; 400 us stalls the server. A slow server gets more time, as long as little has come in: a
 * full buffer would hold it up (a unix socket's has 208 kB, this one PH_DIRECT_BUFFER_BYTES).
 */
#define NAP_NS 100000u
#define LONGEST_NAP_NS 1600000u
#define NAP_AFTER_BYTES 262144
#define LITTLE_BYTES 32768u
#define MUCH_BYTES 98304u

void
ph_direct_free(struct ph_direct *direct)
{
    if (direct != NULL)
        free(direct->large);
    free(direct);
}

ph_code
ph_direct_broken(struct ph_conn *conn, ph_code code, const char *cause, struct ph_error *err)
{
    conn->broken = true;
    conn->copying = false;
    shutdown(PQsocket(conn->pg), SHUT_RDWR);
    if (atomic_load(&conn->cancelled))
        return PH_FAIL(err, PH_E_STOPPED, "stopped while working on %s", conn->endpoint->label);
    PH_FAIL(err, code, "%s", cause);
    ph_error_object(err, "%s", conn->endpoint->label);
    return code;
}

static ph_code
lost(struct ph_conn *conn, const char *cause, struct ph_error *err)
{
    char text[PH_SOCKET_CAUSE_BYTES + 40];

    snprintf(text, sizeof text, "the connection was lost%s%s", cause[0] != '\0' ? ": " : "", cause);
    return ph_direct_broken(conn, PH_E_CONNECT, text, err);
}

ph_code
ph_direct_strange(struct ph_conn *conn, struct ph_error *err)
{
    return ph_direct_broken(conn, PH_E_PROTOCOL, "the server sent what does not belong to a COPY",
                            err);
}

static bool
is_late(const struct ph_direct *rx)
{
    return rx->deadline_ns != 0 && ph_clock_ns() >= rx->deadline_ns;
}

static int
ms_left(const struct ph_direct *rx)
{
    if (rx->deadline_ns == 0)
        return -1;
    return is_late(rx) ? 0 : (int)((rx->deadline_ns - ph_clock_ns()) / 1000000) + 1;
}

/* As long as it takes for some of the buffer to come in, judged by what came since the last one. */
static void
take_nap(struct ph_direct *rx)
{
    uint64_t came = rx->received - rx->received_at_nap;

    if (came < LITTLE_BYTES && rx->nap_ns < LONGEST_NAP_NS)
        rx->nap_ns *= 2;
    else if (came > MUCH_BYTES && rx->nap_ns > NAP_NS)
        rx->nap_ns /= 2;
    rx->received_at_nap = rx->received;
    const struct timespec nap = {.tv_nsec = rx->nap_ns};
    (void)nanosleep(&nap, NULL);
}

static void
wait_for(struct ph_conn *conn, enum ph_socket_rc wanted)
{
    struct ph_direct *rx = conn->rx;

    ph_socket_wait(&rx->socket, wanted, ms_left(rx));
    if (wanted == PH_SOCKET_WANT_IN && rx->received > NAP_AFTER_BYTES)
        take_nap(rx);
}

ph_code
ph_direct_receive(struct ph_conn *conn, uint8_t *into, size_t size, size_t *got,
                  struct ph_error *err)
{
    struct ph_direct *rx = conn->rx;
    char cause[PH_SOCKET_CAUSE_BYTES];

    *got = 0;
    for (;;) {
        if (is_late(rx))
            return lost(conn, strerrordesc_np(ETIMEDOUT), err);
        enum ph_socket_rc rc = ph_socket_read(&rx->socket, into, size, got, cause);
        if (rc == PH_SOCKET_DONE) {
            rx->received += *got;
            return PH_OK;
        }
        if (rc == PH_SOCKET_GONE)
            return lost(conn, cause, err);
        wait_for(conn, rc);
    }
}

ph_code
ph_direct_receive_now(struct ph_conn *conn, uint8_t *into, size_t size, size_t *got, bool *some,
                      struct ph_error *err)
{
    char cause[PH_SOCKET_CAUSE_BYTES];

    *got = 0;
    enum ph_socket_rc rc = ph_socket_read(&conn->rx->socket, into, size, got, cause);
    *some = rc == PH_SOCKET_DONE;
    return rc == PH_SOCKET_GONE ? lost(conn, cause, err) : PH_OK;
}

void
ph_direct_make_room(struct ph_direct *rx)
{
    memmove(rx->bytes, rx->bytes + rx->head, ph_direct_buffered(rx));
    rx->tail -= rx->head;
    rx->head = 0;
}

ph_code
ph_direct_fill(struct ph_conn *conn, size_t need, struct ph_error *err)
{
    struct ph_direct *rx = conn->rx;
    size_t got;

    if (ph_direct_buffered(rx) >= need)
        return PH_OK;
    ph_direct_make_room(rx);
    while (rx->tail < need) {
        PH_TRY(ph_direct_receive(conn, rx->bytes + rx->tail, PH_DIRECT_BUFFER_BYTES - rx->tail,
                                 &got, err));
        rx->tail += got;
    }
    return PH_OK;
}

ph_code
ph_direct_peek(struct ph_conn *conn, struct ph_direct_message *message, struct ph_error *err)
{
    PH_TRY(ph_direct_fill(conn, PH_DIRECT_HEADER_BYTES, err));
    const uint8_t *at = conn->rx->bytes + conn->rx->head;
    size_t len = ph_load_u32(at + 1);
    if (len < 4 || len - 4 > MAX_BODY_BYTES)
        return ph_direct_strange(conn, err);
    *message = (struct ph_direct_message){(char)at[0], len - 4};
    return PH_OK;
}

ph_code
ph_direct_take(struct ph_conn *conn, const struct ph_direct_message *message, struct ph_span *body,
               struct ph_error *err)
{
    struct ph_direct *rx = conn->rx;
    size_t whole = PH_DIRECT_HEADER_BYTES + message->len;
    size_t shown = whole < PH_DIRECT_BUFFER_BYTES ? whole : PH_DIRECT_BUFFER_BYTES;

    PH_TRY(ph_direct_fill(conn, shown, err));
    *body = (struct ph_span){rx->bytes + rx->head + PH_DIRECT_HEADER_BYTES,
                             shown - PH_DIRECT_HEADER_BYTES};
    rx->head += shown;
    uint8_t rest[4096];
    for (size_t left = whole - shown, got; left > 0; left -= got)
        PH_TRY(ph_direct_receive(conn, rest, left < sizeof rest ? left : sizeof rest, &got, err));
    return PH_OK;
}

static const char *
take_text(struct ph_cursor *in)
{
    const char *text = (const char *)in->at;
    size_t len = strnlen(text, ph_cursor_left(in));

    if (len == ph_cursor_left(in))
        return NULL;
    in->at += len + 1;
    return text;
}

/* ErrorResponse: fields of a type byte and a terminated text each. */
static ph_code
server_error(struct ph_conn *conn, struct ph_span body, struct ph_error *err)
{
    struct ph_diag diag = {.state = "XX000"};
    struct ph_cursor in = ph_cursor_of(body.data, body.len);
    uint8_t field;

    while (ph_take_u8(&in, &field) && field != 0) {
        const char *text = take_text(&in);
        if (text == NULL)
            break;
        if (field == PG_DIAG_SQLSTATE)
            diag.state = text;
        else if (field == PG_DIAG_MESSAGE_PRIMARY)
            diag.primary = text;
        else if (field == PG_DIAG_SCHEMA_NAME)
            diag.schema = text;
        else if (field == PG_DIAG_TABLE_NAME)
            diag.table = text;
        else if (field == PG_DIAG_CONSTRAINT_NAME)
            diag.constraint = text;
    }
    if (atomic_load(&conn->cancelled))
        return PH_FAIL(err, PH_E_STOPPED, "stopped while working on %s", conn->endpoint->label);
    return ph_conn_report(conn, &diag, err);
}

/* "COPY 123" */
static uint64_t
rows_of_tag(struct ph_span tag)
{
    uint64_t rows = 0;

    for (size_t i = 0; i < tag.len; i++) {
        if (tag.data[i] >= '0' && tag.data[i] <= '9')
            rows = rows * 10 + (uint64_t)(tag.data[i] - '0');
    }
    return rows;
}

bool
ph_direct_is_harmless(char type)
{
    return type != '\0' && strchr("NSAdcCITD", type) != NULL;
}

/*
 * Read until a message of type `wanted` or, when that is an error or `wanted` never comes, until
 * the server is ready for the next statement. The first error is returned.
 */
static ph_code
await(struct ph_conn *conn, char wanted, uint64_t *rows, struct ph_error *err)
{
    struct ph_direct_message message = {0};
    struct ph_span body;
    ph_code rc = PH_OK;

    do {
        /* Behind a FATAL error the connection ends: the error is the better cause. */
        struct ph_error *later = rc == PH_OK ? err : NULL;
        ph_code end = ph_direct_peek(conn, &message, later);
        if (end == PH_OK)
            end = ph_direct_take(conn, &message, &body, later);
        if (end != PH_OK)
            return rc == PH_OK ? end : rc;
        if (message.type == wanted && rc == PH_OK)
            return PH_OK;
        if (message.type == 'E' && rc == PH_OK)
            rc = server_error(conn, body, err);
        else if (message.type == 'C' && rows != NULL)
            *rows = rows_of_tag(body);
        else if (message.type != 'Z' && message.type != 'E' && !ph_direct_is_harmless(message.type))
            return ph_direct_strange(conn, err);
    } while (message.type != 'Z');
    return rc == PH_OK ? PH_FAIL(err, PH_E_PROTOCOL, "the statement is no COPY") : rc;
}

ph_code
ph_direct_finish(struct ph_conn *conn, uint64_t *rows, struct ph_error *err)
{
    conn->copying = false;
    return await(conn, 'Z', rows, err);
}

/* A broken pipe may have its reason waiting to be read. */
static ph_code
send_failed(struct ph_conn *conn, const char *cause, struct ph_error *err)
{
    ph_code rc = await(conn, 'Z', NULL, err);

    if (rc == PH_OK || rc == PH_E_PROTOCOL)
        return lost(conn, cause, err);
    conn->broken = true;
    conn->copying = false;
    return rc;
}

/* The header and as much of the body as goes into the same record. */
static void
put_record(struct ph_direct *direct, struct ph_span parts[2])
{
    size_t room = PH_DIRECT_RECORD_BYTES - PH_DIRECT_HEADER_BYTES;
    size_t step = parts[1].len < room ? parts[1].len : room;

    memcpy(direct->record, parts[0].data, PH_DIRECT_HEADER_BYTES);
    memcpy(direct->record + PH_DIRECT_HEADER_BYTES, parts[1].data, step);
    parts[0] = (struct ph_span){direct->record, PH_DIRECT_HEADER_BYTES + step};
    parts[1].data += step;
    parts[1].len -= step;
}

static void
advance(struct ph_span parts[2], size_t sent)
{
    for (struct ph_span *part = parts; part < parts + 2; part++) {
        size_t step = sent < part->len ? sent : part->len;
        part->data += step;
        part->len -= step;
        sent -= step;
    }
}

ph_code
ph_direct_send_message(struct ph_conn *conn, char type, const void *body, size_t len,
                       struct ph_error *err)
{
    uint8_t header[PH_DIRECT_HEADER_BYTES] = {(uint8_t)type};
    struct ph_span parts[2] = {{header, sizeof header}, {body, len}};
    char cause[PH_SOCKET_CAUSE_BYTES];
    size_t sent;

    ph_store_u32(header + 1, (uint32_t)(len + 4));
    if (conn->rx->socket.ssl != NULL)
        put_record(conn->rx, parts);
    while (parts[0].len + parts[1].len > 0) {
        enum ph_socket_rc rc = ph_socket_write(&conn->rx->socket, parts, &sent, cause);
        if (rc == PH_SOCKET_DONE)
            advance(parts, sent);
        else if (rc == PH_SOCKET_GONE)
            return send_failed(conn, cause, err);
        else
            ph_socket_wait(&conn->rx->socket, rc, -1);
    }
    return PH_OK;
}

/* libpq must have nothing of its own on the way, and hand the bytes on as they are. */
static bool
can_go_direct(const struct ph_conn *conn)
{
    PGTransactionStatusType status = PQtransactionStatus(conn->pg);

    return PQprotocolVersion(conn->pg) == 3 && PQpipelineStatus(conn->pg) == PQ_PIPELINE_OFF &&
           (status == PQTRANS_IDLE || status == PQTRANS_INTRANS) && PQflush(conn->pg) == 0;
}

ph_code
ph_direct_begin(struct ph_conn *conn, const char *sql, char response, bool *taken,
                struct ph_error *err)
{
    struct ph_socket socket;

    *taken = false;
    if (conn->broken || conn->endpoint->only_libpq || !can_go_direct(conn) ||
        !ph_socket_of(conn->pg, &socket))
        return PH_OK;
    if (conn->rx == NULL)
        conn->rx = calloc(1, sizeof *conn->rx);
    if (conn->rx == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    conn->rx->head = conn->rx->tail = 0;
    conn->rx->received = conn->rx->received_at_nap = 0;
    conn->rx->nap_ns = NAP_NS;
    conn->rx->socket = socket;
    *taken = true;
    PH_TRY(ph_direct_send_message(conn, 'Q', sql, strlen(sql) + 1, err));
    return await(conn, response, NULL, err);
}
