/*
 * The inner parts of COPY past libpq: messages of the protocol on a connection's socket. See
 * conn_direct.c for the whole, conn_direct_copy.c for rows, conn_direct_stream.c for a stream.
 *
 * All are for the connection's thread. PH_E_CONNECT or PH_E_STOPPED when the connection is gone,
 * PH_E_PROTOCOL when something comes that should not; either has broken it.
 */
#ifndef PH_PG_CONN_DIRECT_PARTS_H
#define PH_PG_CONN_DIRECT_PARTS_H

#include "pg/conn_internal.h"
#include "pg/conn_socket.h"

#define PH_DIRECT_BUFFER_BYTES ((size_t)131072)
#define PH_DIRECT_HEADER_BYTES ((size_t)5)
#define PH_DIRECT_RECORD_BYTES ((size_t)16384)

struct ph_direct {
    uint64_t deadline_ns; /* when to give up waiting for input; 0: never */
    uint8_t *large;       /* a message of a stream that does not fit into `bytes` … */
    size_t large_capacity;
    size_t large_len;  /* … has this length, 0 when there is none … */
    size_t large_have; /* … and so much of it is there */
    size_t head;       /* head <= tail <= PH_DIRECT_BUFFER_BYTES; bytes between are not read yet */
    size_t tail;
    uint64_t received;        /* since the COPY began */
    uint64_t received_at_nap; /* what `received` was at the last one */
    uint32_t nap_ns;          /* how long the last one was */
    struct ph_socket socket;
    uint8_t bytes[PH_DIRECT_BUFFER_BYTES];
    uint8_t record[PH_DIRECT_RECORD_BYTES]; /* TLS: a header and what follows, on their way out */
};

struct ph_direct_message {
    char type;
    size_t len; /* of the body */
};

static inline size_t
ph_direct_buffered(const struct ph_direct *rx)
{
    return rx->tail - rx->head;
}

/* What is not read yet to the front of the buffer. */
void ph_direct_make_room(struct ph_direct *rx);

/* The connection cannot be used any more: `code` and `cause`, or that it was stopped. */
ph_code ph_direct_broken(struct ph_conn *conn, ph_code code, const char *cause,
                         struct ph_error *err);
/* Broken by a message that does not belong to a COPY. */
ph_code ph_direct_strange(struct ph_conn *conn, struct ph_error *err);

/* Receive at least one byte. */
ph_code ph_direct_receive(struct ph_conn *conn, uint8_t *into, size_t size, size_t *got,
                          struct ph_error *err);
/* What has come in already; false in *some when nothing has. */
ph_code ph_direct_receive_now(struct ph_conn *conn, uint8_t *into, size_t size, size_t *got,
                              bool *some, struct ph_error *err);
/* Have at least `need` bytes, which fit into the buffer. */
ph_code ph_direct_fill(struct ph_conn *conn, size_t need, struct ph_error *err);

/* The next message's header, which stays in the buffer. */
ph_code ph_direct_peek(struct ph_conn *conn, struct ph_direct_message *message,
                       struct ph_error *err);
/*
 * Take a whole message. `body` is valid until the next fill; of a body that is larger than the
 * buffer it shows the beginning.
 */
ph_code ph_direct_take(struct ph_conn *conn, const struct ph_direct_message *message,
                       struct ph_span *body, struct ph_error *err);
/* Whether a message may come at any time, or to the end of a COPY, and needs no answer. */
bool ph_direct_is_harmless(char type);
ph_code ph_direct_send_message(struct ph_conn *conn, char type, const void *body, size_t len,
                               struct ph_error *err);
/*
 * Read until ReadyForQuery, the end of every COPY; the first error on the way is returned. The
 * command's number of rows to *rows, which may be NULL.
 */
ph_code ph_direct_finish(struct ph_conn *conn, uint64_t *rows, struct ph_error *err);

#endif
