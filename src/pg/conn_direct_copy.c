/*
 * Rows past libpq. Reading: whole rows are copied from the connection's buffer into the caller's
 * batch, and rows larger than the buffer are received in place. Writing: a CopyData header and a
 * slice of the batch go out in one call, uncopied; over TLS the first record is put together, so
 * that the header has none of its own. When the server fails in the middle it drops what still
 * comes, so a slice under way is always sent to its end.
 */
#include <string.h>

#include "pg/conn_direct_parts.h"

/* Of CopyData towards the server; its memory for a message follows this. Fills TLS records. */
#define SLICE_BYTES ((size_t)65536 - PH_DIRECT_HEADER_BYTES)

/* A row that is larger than the buffer: the rest of it straight into the batch. */
static ph_code
read_in_place(struct ph_conn *conn, uint8_t *into, size_t len, struct ph_error *err)
{
    struct ph_direct *rx = conn->rx;
    size_t have = ph_direct_buffered(rx) < len ? ph_direct_buffered(rx) : len;
    size_t got;

    memcpy(into, rx->bytes + rx->head, have);
    rx->head += have;
    for (; have < len; have += got)
        PH_TRY(ph_direct_receive(conn, into + have, len - have, &got, err));
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

    while ((size_t)(end - at) >= PH_DIRECT_HEADER_BYTES && at[0] == 'd') {
        size_t row = (size_t)ph_load_u32(at + 1) - 4;
        if (row > (size_t)(end - at) - PH_DIRECT_HEADER_BYTES || row > size - filled)
            break;
        memcpy(into + filled, at + PH_DIRECT_HEADER_BYTES, row);
        filled += row;
        at += PH_DIRECT_HEADER_BYTES + row;
    }
    rx->head = (size_t)(at - rx->bytes);
    *len = filled;
}

ph_code
ph_direct_read(struct ph_conn *conn, uint8_t *into, size_t size, size_t *len, struct ph_error *err)
{
    struct ph_direct_message message = {0};

    *len = 0;
    for (;;) {
        pack(conn->rx, into, size, len);
        PH_TRY(ph_direct_peek(conn, &message, err));
        if (message.type == 'c' || message.type == 'E')
            return ph_direct_finish(conn, NULL, err);
        if (message.type != 'd') {
            struct ph_span body;
            if (!ph_direct_is_harmless(message.type))
                return ph_direct_strange(conn, err);
            PH_TRY(ph_direct_take(conn, &message, &body, err));
            continue;
        }
        if (message.len > size - *len) {
            if (*len > 0)
                return PH_OK;
            size_t shown = size < PH_COPY_SHOWN_BYTES ? size : PH_COPY_SHOWN_BYTES;
            PH_TRY(ph_direct_fill(conn, PH_DIRECT_HEADER_BYTES + shown, err));
            memcpy(into, conn->rx->bytes + conn->rx->head + PH_DIRECT_HEADER_BYTES, shown);
            *len = message.len;
            return PH_FAIL(err, PH_E_ROW_TOO_LARGE, "a row of %zu bytes does not fit into a batch",
                           message.len);
        }
        if (PH_DIRECT_HEADER_BYTES + message.len <= PH_DIRECT_BUFFER_BYTES) {
            PH_TRY(ph_direct_fill(conn, PH_DIRECT_HEADER_BYTES + message.len, err));
            continue;
        }
        conn->rx->head += PH_DIRECT_HEADER_BYTES;
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
    if (ph_direct_buffered(rx) > 0)
        return PH_OK;
    ph_direct_make_room(rx);
    PH_TRY(ph_direct_receive_now(conn, rx->bytes, PH_DIRECT_BUFFER_BYTES, &got, any, err));
    rx->tail = got;
    return PH_OK;
}

/* While rows go out nothing should come in but, now and then, an error. */
static ph_code
look_for_error(struct ph_conn *conn, struct ph_error *err)
{
    struct ph_direct_message message = {0};
    struct ph_span body;
    bool any;

    for (;;) {
        PH_TRY(look(conn, &any, err));
        if (!any)
            return PH_OK;
        PH_TRY(ph_direct_peek(conn, &message, err));
        if (message.type == 'E')
            return ph_direct_finish(conn, NULL, err);
        if (strchr("NSA", message.type) == NULL)
            return ph_direct_strange(conn, err);
        PH_TRY(ph_direct_take(conn, &message, &body, err));
    }
}

ph_code
ph_direct_write(struct ph_conn *conn, const uint8_t *data, size_t len, struct ph_error *err)
{
    if (!conn->copying)
        return PH_FAIL(err, PH_E_INTERNAL, "no COPY is under way");
    while (len > 0) {
        size_t slice = len < SLICE_BYTES ? len : SLICE_BYTES;
        PH_TRY(ph_direct_send_message(conn, 'd', data, slice, err));
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
    PH_TRY(ph_direct_send_message(conn, 'c', "", 0, err));
    return ph_direct_finish(conn, rows, err);
}

void
ph_direct_abort(struct ph_conn *conn, const char *reason)
{
    if (ph_direct_send_message(conn, 'f', reason, strlen(reason) + 1, NULL) == PH_OK)
        (void)ph_direct_finish(conn, NULL, NULL);
}
