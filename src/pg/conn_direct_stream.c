/* A stream past libpq, which flows in both directions and has no end of its own. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "pg/conn_direct_parts.h"

/* A message larger than the buffer gets memory of its own, which is kept for the next such one. */
static ph_code
begin_large(struct ph_conn *conn, size_t len, struct ph_error *err)
{
    struct ph_direct *rx = conn->rx;

    rx->head += PH_DIRECT_HEADER_BYTES;
    if (len > rx->large_capacity) {
        free(rx->large);
        rx->large = malloc(len);
        rx->large_capacity = rx->large == NULL ? 0 : len;
    }
    if (rx->large == NULL)
        return ph_direct_broken(conn, PH_E_MEMORY, "out of memory", err);
    rx->large_len = len;
    rx->large_have = ph_direct_buffered(rx);
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
        PH_TRY(ph_direct_receive_now(conn, rx->large + rx->large_have,
                                     rx->large_len - rx->large_have, &n, &some, err));
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
take_streamed(struct ph_conn *conn, const struct ph_direct_message *message,
              struct ph_span *payload, bool *got, struct ph_error *err)
{
    struct ph_direct *rx = conn->rx;

    if (message->type == 'E')
        return ph_direct_finish(conn, NULL, err);
    if (message->type == 'c' || message->type == 'C')
        return ph_direct_broken(conn, PH_E_CONNECT, "the server ended the change stream", err);
    if (message->type != 'd' && strchr("NSA", message->type) == NULL)
        return ph_direct_strange(conn, err);
    *payload = (struct ph_span){rx->bytes + rx->head + PH_DIRECT_HEADER_BYTES, message->len};
    *got = message->type == 'd';
    rx->head += PH_DIRECT_HEADER_BYTES + message->len;
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
        struct ph_direct_message message = {0};
        if (rx->large_len > 0)
            return go_on_with_large(conn, payload, got, err);
        if (ph_direct_buffered(rx) >= PH_DIRECT_HEADER_BYTES) {
            PH_TRY(ph_direct_peek(conn, &message, err));
            if (PH_DIRECT_HEADER_BYTES + message.len <= ph_direct_buffered(rx)) {
                PH_TRY(take_streamed(conn, &message, payload, got, err));
                continue;
            }
            if (PH_DIRECT_HEADER_BYTES + message.len > PH_DIRECT_BUFFER_BYTES) {
                if (message.type != 'd')
                    return ph_direct_strange(conn, err);
                PH_TRY(begin_large(conn, message.len, err));
                continue;
            }
        }
        size_t n;
        bool some;
        ph_direct_make_room(rx);
        PH_TRY(ph_direct_receive_now(conn, rx->bytes + rx->tail, PH_DIRECT_BUFFER_BYTES - rx->tail,
                                     &n, &some, err));
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
    return ph_direct_send_message(conn, 'd', data, len, err);
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
    PH_TRY(ph_direct_send_message(conn, 'c', "", 0, err));
    for (; rx->large_have < rx->large_len; rx->large_have += n) {
        size_t left = rx->large_len - rx->large_have;
        PH_TRY(ph_direct_receive(conn, rest, left < sizeof rest ? left : sizeof rest, &n, err));
    }
    rx->large_len = 0;
    ph_code rc = ph_direct_finish(conn, NULL, err);
    rx->deadline_ns = 0;
    return rc;
}
