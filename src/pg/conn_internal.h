/* What endpoint.c, conn.c, conn_copy.c and conn_direct.c share. Not for other layers. */
#ifndef PH_PG_CONN_INTERNAL_H
#define PH_PG_CONN_INTERNAL_H

#include <libpq-fe.h>
#include <pthread.h>

#include "base/buf.h"
#include "pg/conn.h"

struct ph_conn {
    PGconn *pg;
    PGcancel *cancel; /* made when opened, so that another thread may use it */
    const struct ph_endpoint *endpoint;
    struct ph_conn *next; /* in endpoint->open, under its lock */
    atomic_bool cancelled;
    bool copying;
    bool direct; /* the COPY under way goes past libpq: conn_direct.c */
    bool broken; /* seen by conn_direct.c; libpq may not know yet */
    struct ph_direct *rx;
    char *pending; /* a CopyData payload that did not fit; PQfreemem */
    int pending_len;
};

/* All open connections of an endpoint; the lock guards the list and `closed`. */
struct ph_conn_set {
    pthread_mutex_t lock;
    struct ph_conn *first;
    bool closed; /* after cancel_all: new connections are refused */
};

bool ph_conn_set_add(struct ph_conn_set *set, struct ph_conn *conn);
void ph_conn_set_remove(struct ph_conn_set *set, struct ph_conn *conn);

/* What a server says about a failure; absent fields are NULL. */
struct ph_diag {
    const char *state;
    const char *primary;
    const char *schema;
    const char *table;
    const char *constraint;
};
ph_code ph_conn_report(struct ph_conn *conn, const struct ph_diag *diag, struct ph_error *err);

/* Fill err from a failed result (may be NULL: the connection's own message). Does not clear it. */
ph_code ph_conn_fail(struct ph_conn *conn, const PGresult *result, struct ph_error *err);

/*
 * The COPY data phase without libpq; see conn_direct.c. begin says false in *taken, with nothing
 * sent, when this connection cannot do it (TLS, GSS). `response` is the message that must follow:
 * 'H' for COPY OUT, 'G' for COPY IN. The others mean what their namesakes in conn.h mean.
 */
ph_code ph_direct_begin(struct ph_conn *conn, const char *sql, char response, bool *taken,
                        struct ph_error *err);
ph_code ph_direct_read(struct ph_conn *conn, uint8_t *into, size_t size, size_t *len,
                       struct ph_error *err);
ph_code ph_direct_write(struct ph_conn *conn, const uint8_t *data, size_t len,
                        struct ph_error *err);
ph_code ph_direct_end(struct ph_conn *conn, uint64_t *rows, struct ph_error *err);
void ph_direct_abort(struct ph_conn *conn, const char *reason);
void ph_direct_free(struct ph_direct *direct);

#endif
