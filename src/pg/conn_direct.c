/*
 * The COPY data phase on the socket itself, or on the TLS session that libpq has made on it.
 *
 * libpq hands out COPY rows one malloc each and reads 16 kB at a time, which costs more than all
 * that pghaul does with a row. Between two statements libpq neither owns unread input nor unsent
 * output, so a whole COPY (Query, CopyData, ReadyForQuery) can pass it by: it finds the connection
 * idle again. Only its public functions are used. It does miss that a COPY failed inside a
 * transaction; the next statement tells it.
 *
 * Reading: a buffer of the connection's own takes what the socket has; whole rows are copied from
 * it into the caller's batch, and rows larger than the buffer are received in place. Writing: a
 * CopyData header and a slice of the batch go out in one call, uncopied; over TLS the first record
 * is put together, so that the header has none of its own. When the server fails in
 * the middle it drops what still comes, so a slice under way is always sent to its end.
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
#include "pg/conn_internal.h"
#include "pg/conn_socket.h"

#define BUFFER_BYTES ((size_t)131072)
#define HEADER_BYTES ((size_t)5)
/* Of CopyData towards the server; its memory for a message follows this. Fills TLS records. */
#define SLICE_BYTES ((size_t)65536 - HEADER_BYTES)
#define RECORD_BYTES ((size_t)16384)
#define MAX_BODY_BYTES ((size_t)1 << 30)
/*
 * A server sends 8 kB at a time, and waking up for each costs more than the rows do: once a COPY is
 * in full flow the reader lets the socket's buffer fill for a moment. Measured on 5 million narrow
 * rows read and hashed: 0.51 s of CPU without, 0.35 s with 50 us, 0.28 s with 200 us, the time the
 * same; 400 us stalls the server.
 */
#define NAP_NS 100000
#define NAP_AFTER_BYTES 262144

struct ph_direct {
    uint64_t deadline_ns; /* when to give up waiting for input; 0: never */
    uint8_t *large;       /* a message of a stream that does not fit into `bytes` … */
    size_t large_capacity;
    size_t large_len;  /* … has this length, 0 when there is none … */
    size_t large_have; /* … and so much of it is there */
    size_t head;       /* head <= tail <= BUFFER_BYTES; bytes between are not read yet */
    size_t tail;
    uint64_t received; /* since the COPY began */
    struct ph_socket socket;
    uint8_t bytes[BUFFER_BYTES];
    uint8_t record[RECORD_BYTES]; /* TLS: a header and what follows, on their way out */
};

struct message {
    char type;
    size_t len; /* of the body */
};

void
ph_direct_free(struct ph_direct *direct)
{
    if (direct != NULL)
        free(direct->large);
    free(direct);
}

/* The connection cannot be used any more. */
static ph_code
broken(struct ph_conn *conn, ph_code code, const char *cause, struct ph_error *err)
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
    return broken(conn, PH_E_CONNECT, text, err);
}

static ph_code
strange(struct ph_conn *conn, struct ph_error *err)
{
    return broken(conn, PH_E_PROTOCOL, "the server sent what does not belong to a COPY", err);
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

static void
wait_for(const struct ph_conn *conn, enum ph_socket_rc wanted)
{
    static const struct timespec nap = {.tv_nsec = NAP_NS};

    ph_socket_wait(&conn->rx->socket, wanted, ms_left(conn->rx));
    if (wanted == PH_SOCKET_WANT_IN && conn->rx->received > NAP_AFTER_BYTES)
        (void)nanosleep(&nap, NULL);
}

/* Receive at least one byte. */
static ph_code
receive(struct ph_conn *conn, uint8_t *into, size_t size, size_t *got, struct ph_error *err)
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

/* What has come in already; false in *some when nothing has. */
static ph_code
receive_now(struct ph_conn *conn, uint8_t *into, size_t size, size_t *got, bool *some,
            struct ph_error *err)
{
    char cause[PH_SOCKET_CAUSE_BYTES];

    *got = 0;
    enum ph_socket_rc rc = ph_socket_read(&conn->rx->socket, into, size, got, cause);
    *some = rc == PH_SOCKET_DONE;
    return rc == PH_SOCKET_GONE ? lost(conn, cause, err) : PH_OK;
}

static size_t
buffered(const struct ph_direct *rx)
{
    return rx->tail - rx->head;
}

/* What is not read yet to the front of the buffer. */
static void
make_room(struct ph_direct *rx)
{
    memmove(rx->bytes, rx->bytes + rx->head, buffered(rx));
    rx->tail -= rx->head;
    rx->head = 0;
}

/* Have at least `need` bytes, which fit into the buffer. */
static ph_code
fill(struct ph_conn *conn, size_t need, struct ph_error *err)
{
    struct ph_direct *rx = conn->rx;
    size_t got;

    if (buffered(rx) >= need)
        return PH_OK;
    make_room(rx);
    while (rx->tail < need) {
        PH_TRY(receive(conn, rx->bytes + rx->tail, BUFFER_BYTES - rx->tail, &got, err));
        rx->tail += got;
    }
    return PH_OK;
}

/* The next message's header, which stays in the buffer. */
static ph_code
peek(struct ph_conn *conn, struct message *message, struct ph_error *err)
{
    PH_TRY(fill(conn, HEADER_BYTES, err));
    const uint8_t *at = conn->rx->bytes + conn->rx->head;
    size_t len = ph_load_u32(at + 1);
    if (len < 4 || len - 4 > MAX_BODY_BYTES)
        return strange(conn, err);
    *message = (struct message){(char)at[0], len - 4};
    return PH_OK;
}

/*
 * Take a whole message. `body` is valid until the next fill; of a body that is larger than the
 * buffer it shows the beginning.
 */
static ph_code
take(struct ph_conn *conn, const struct message *message, struct ph_span *body,
     struct ph_error *err)
{
    struct ph_direct *rx = conn->rx;
    size_t whole = HEADER_BYTES + message->len;
    size_t shown = whole < BUFFER_BYTES ? whole : BUFFER_BYTES;

    PH_TRY(fill(conn, shown, err));
    *body = (struct ph_span){rx->bytes + rx->head + HEADER_BYTES, shown - HEADER_BYTES};
    rx->head += shown;
    uint8_t rest[4096];
    for (size_t left = whole - shown, got; left > 0; left -= got)
        PH_TRY(receive(conn, rest, left < sizeof rest ? left : sizeof rest, &got, err));
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

/* What may come at any time, or to the end of a COPY, and needs no answer. */
static bool
is_harmless(char type)
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
    struct message message = {0};
    struct ph_span body;
    ph_code rc = PH_OK;

    do {
        /* Behind a FATAL error the connection ends: the error is the better cause. */
        struct ph_error *later = rc == PH_OK ? err : NULL;
        ph_code end = peek(conn, &message, later);
        if (end == PH_OK)
            end = take(conn, &message, &body, later);
        if (end != PH_OK)
            return rc == PH_OK ? end : rc;
        if (message.type == wanted && rc == PH_OK)
            return PH_OK;
        if (message.type == 'E' && rc == PH_OK)
            rc = server_error(conn, body, err);
        else if (message.type == 'C' && rows != NULL)
            *rows = rows_of_tag(body);
        else if (message.type != 'Z' && message.type != 'E' && !is_harmless(message.type))
            return strange(conn, err);
    } while (message.type != 'Z');
    return rc == PH_OK ? PH_FAIL(err, PH_E_PROTOCOL, "the statement is no COPY") : rc;
}

/* Until ReadyForQuery: the end of every COPY. */
static ph_code
finish(struct ph_conn *conn, uint64_t *rows, struct ph_error *err)
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
    size_t room = RECORD_BYTES - HEADER_BYTES;
    size_t step = parts[1].len < room ? parts[1].len : room;

    memcpy(direct->record, parts[0].data, HEADER_BYTES);
    memcpy(direct->record + HEADER_BYTES, parts[1].data, step);
    parts[0] = (struct ph_span){direct->record, HEADER_BYTES + step};
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

static ph_code
send_message(struct ph_conn *conn, char type, const void *body, size_t len, struct ph_error *err)
{
    uint8_t header[HEADER_BYTES] = {(uint8_t)type};
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
    conn->rx->received = 0;
    conn->rx->socket = socket;
    *taken = true;
    PH_TRY(send_message(conn, 'Q', sql, strlen(sql) + 1, err));
    return await(conn, response, NULL, err);
}

/* A row that is larger than the buffer: the rest of it straight into the batch. */
static ph_code
read_in_place(struct ph_conn *conn, uint8_t *into, size_t len, struct ph_error *err)
{
    struct ph_direct *rx = conn->rx;
    size_t have = buffered(rx) < len ? buffered(rx) : len;
    size_t got;

    memcpy(into, rx->bytes + rx->head, have);
    rx->head += have;
    for (; have < len; have += got)
        PH_TRY(receive(conn, into + have, len - have, &got, err));
    return PH_OK;
}

/* Whole rows that lie in the buffer, as many as fit into the batch. Touches every row: kept short.
 */
static void
pack(struct ph_direct *rx, uint8_t *into, size_t size, size_t *len)
{
    const uint8_t *at = rx->bytes + rx->head;
    const uint8_t *end = rx->bytes + rx->tail;
    size_t filled = *len;

    while ((size_t)(end - at) >= HEADER_BYTES && at[0] == 'd') {
        size_t row = (size_t)ph_load_u32(at + 1) - 4;
        if (row > (size_t)(end - at) - HEADER_BYTES || row > size - filled)
            break;
        memcpy(into + filled, at + HEADER_BYTES, row);
        filled += row;
        at += HEADER_BYTES + row;
    }
    rx->head = (size_t)(at - rx->bytes);
    *len = filled;
}

ph_code
ph_direct_read(struct ph_conn *conn, uint8_t *into, size_t size, size_t *len, struct ph_error *err)
{
    struct message message = {0};

    *len = 0;
    for (;;) {
        pack(conn->rx, into, size, len);
        PH_TRY(peek(conn, &message, err));
        if (message.type == 'c' || message.type == 'E')
            return finish(conn, NULL, err);
        if (message.type != 'd') {
            struct ph_span body;
            if (!is_harmless(message.type))
                return strange(conn, err);
            PH_TRY(take(conn, &message, &body, err));
            continue;
        }
        if (message.len > size - *len) {
            if (*len > 0)
                return PH_OK;
            size_t shown = size < PH_COPY_SHOWN_BYTES ? size : PH_COPY_SHOWN_BYTES;
            PH_TRY(fill(conn, HEADER_BYTES + shown, err));
            memcpy(into, conn->rx->bytes + conn->rx->head + HEADER_BYTES, shown);
            *len = message.len;
            return PH_FAIL(err, PH_E_ROW_TOO_LARGE, "a row of %zu bytes does not fit into a batch",
                           message.len);
        }
        if (HEADER_BYTES + message.len <= BUFFER_BYTES) {
            PH_TRY(fill(conn, HEADER_BYTES + message.len, err));
            continue;
        }
        conn->rx->head += HEADER_BYTES;
        PH_TRY(read_in_place(conn, into + *len, message.len, err));
        *len += message.len;
    }
}

/* Whether bytes have come in. A TLS record need not hold any. */
static ph_code
look(struct ph_conn *conn, bool *any, struct ph_error *err)
{
    struct ph_direct *rx = conn->rx;
    size_t got;

    *any = true;
    if (buffered(rx) > 0)
        return PH_OK;
    make_room(rx);
    PH_TRY(receive_now(conn, rx->bytes, BUFFER_BYTES, &got, any, err));
    rx->tail = got;
    return PH_OK;
}

/* While rows go out nothing should come in but, now and then, an error. */
static ph_code
look_for_error(struct ph_conn *conn, struct ph_error *err)
{
    struct message message = {0};
    struct ph_span body;
    bool any;

    for (;;) {
        PH_TRY(look(conn, &any, err));
        if (!any)
            return PH_OK;
        PH_TRY(peek(conn, &message, err));
        if (message.type == 'E')
            return finish(conn, NULL, err);
        if (strchr("NSA", message.type) == NULL)
            return strange(conn, err);
        PH_TRY(take(conn, &message, &body, err));
    }
}

ph_code
ph_direct_write(struct ph_conn *conn, const uint8_t *data, size_t len, struct ph_error *err)
{
    if (!conn->copying)
        return PH_FAIL(err, PH_E_INTERNAL, "no COPY is under way");
    while (len > 0) {
        size_t slice = len < SLICE_BYTES ? len : SLICE_BYTES;
        PH_TRY(send_message(conn, 'd', data, slice, err));
        data += slice;
        len -= slice;
    }
    return look_for_error(conn, err);
}

ph_code
ph_direct_end(struct ph_conn *conn, uint64_t *rows, struct ph_error *err)
{
    if (!conn->copying)
        return PH_FAIL(err, PH_E_INTERNAL, "no COPY is under way");
    PH_TRY(send_message(conn, 'c', "", 0, err));
    return finish(conn, rows, err);
}

void
ph_direct_abort(struct ph_conn *conn, const char *reason)
{
    if (send_message(conn, 'f', reason, strlen(reason) + 1, NULL) == PH_OK)
        (void)finish(conn, NULL, NULL);
}

/* ---- a stream, which flows in both directions and has no end of its own ---- */

/* A message larger than the buffer gets memory of its own, which is kept for the next such one. */
static ph_code
begin_large(struct ph_conn *conn, size_t len, struct ph_error *err)
{
    struct ph_direct *rx = conn->rx;

    rx->head += HEADER_BYTES;
    if (len > rx->large_capacity) {
        free(rx->large);
        rx->large = malloc(len);
        rx->large_capacity = rx->large == NULL ? 0 : len;
    }
    if (rx->large == NULL)
        return broken(conn, PH_E_MEMORY, "out of memory", err);
    rx->large_len = len;
    rx->large_have = buffered(rx);
    memcpy(rx->large, rx->bytes + rx->head, rx->large_have);
    rx->head = rx->tail;
    return PH_OK;
}

static ph_code
go_on_with_large(struct ph_conn *conn, struct ph_span *payload, bool *got, struct ph_error *err)
{
    struct ph_direct *rx = conn->rx;
    size_t n = 0;

    for (bool some = true; rx->large_have < rx->large_len; rx->large_have += n) {
        PH_TRY(receive_now(conn, rx->large + rx->large_have, rx->large_len - rx->large_have, &n,
                           &some, err));
        if (!some)
            return PH_OK;
    }
    *payload = (struct ph_span){rx->large, rx->large_len};
    *got = true;
    rx->large_len = 0;
    return PH_OK;
}

/* The message at the head is whole. */
static ph_code
take_streamed(struct ph_conn *conn, const struct message *message, struct ph_span *payload,
              bool *got, struct ph_error *err)
{
    struct ph_direct *rx = conn->rx;

    if (message->type == 'E')
        return finish(conn, NULL, err);
    if (message->type == 'c' || message->type == 'C')
        return broken(conn, PH_E_CONNECT, "the server ended the change stream", err);
    if (message->type != 'd' && strchr("NSA", message->type) == NULL)
        return strange(conn, err);
    *payload = (struct ph_span){rx->bytes + rx->head + HEADER_BYTES, message->len};
    *got = message->type == 'd';
    rx->head += HEADER_BYTES + message->len;
    return PH_OK;
}

ph_code
ph_direct_next(struct ph_conn *conn, struct ph_span *payload, bool *got, struct ph_error *err)
{
    struct ph_direct *rx = conn->rx;

    *got = false;
    if (!conn->copying)
        return PH_FAIL(err, PH_E_INTERNAL, "no COPY is under way");
    while (!*got) {
        struct message message = {0};
        if (rx->large_len > 0)
            return go_on_with_large(conn, payload, got, err);
        if (buffered(rx) >= HEADER_BYTES) {
            PH_TRY(peek(conn, &message, err));
            if (HEADER_BYTES + message.len <= buffered(rx)) {
                PH_TRY(take_streamed(conn, &message, payload, got, err));
                continue;
            }
            if (HEADER_BYTES + message.len > BUFFER_BYTES) {
                if (message.type != 'd')
                    return strange(conn, err);
                PH_TRY(begin_large(conn, message.len, err));
                continue;
            }
        }
        size_t n;
        bool some;
        make_room(rx);
        PH_TRY(receive_now(conn, rx->bytes + rx->tail, BUFFER_BYTES - rx->tail, &n, &some, err));
        if (!some)
            return PH_OK;
        rx->tail += n;
    }
    return PH_OK;
}

ph_code
ph_direct_send(struct ph_conn *conn, const uint8_t *data, size_t len, struct ph_error *err)
{
    if (!conn->copying)
        return PH_FAIL(err, PH_E_INTERNAL, "no COPY is under way");
    return send_message(conn, 'd', data, len, err);
}

ph_code
ph_direct_stop(struct ph_conn *conn, int wait_ms, struct ph_error *err)
{
    struct ph_direct *rx = conn->rx;
    uint8_t rest[4096];
    size_t n;

    if (!conn->copying)
        return PH_FAIL(err, PH_E_INTERNAL, "no COPY is under way");
    rx->deadline_ns = ph_clock_ns() + (uint64_t)wait_ms * 1000000;
    PH_TRY(send_message(conn, 'c', "", 0, err));
    for (; rx->large_have < rx->large_len; rx->large_have += n) {
        size_t left = rx->large_len - rx->large_have;
        PH_TRY(receive(conn, rest, left < sizeof rest ? left : sizeof rest, &n, err));
    }
    rx->large_len = 0;
    ph_code rc = finish(conn, NULL, err);
    rx->deadline_ns = 0;
    return rc;
}
