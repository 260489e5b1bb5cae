/* What endpoint.c, conn.c and conn_copy.c share. Not for other layers. */
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

/* Fill err from a failed result (may be NULL: the connection's own message). Does not clear it. */
ph_code ph_conn_fail(struct ph_conn *conn, const PGresult *result, struct ph_error *err);

#endif
