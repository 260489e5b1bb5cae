/* What the files of the connection share. Not for other layers. */
#ifndef PH_PG_CONN_INTERNAL_H
#define PH_PG_CONN_INTERNAL_H

#include <libpq-fe.h>
#include <pthread.h>

#include "base/buf.h"
#include "pg/conn.h"
#include "pg/conn_pipeline.h"

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

struct ph_result {
    PGresult *pg;
};

/* All open connections of an endpoint; the lock guards the list and `closed`. */
struct ph_conn_set {
    pthread_mutex_t lock;
    struct ph_conn *first;
    bool closed;    /* after cancel_all: new connections are refused */
    unsigned users; /* endpoints; under `lock` */
};

/* A session with a walsender (replication=database), pinned as all are; only simple statements. */
ph_code ph_conn_open_replication(const struct ph_endpoint *endpoint, const char *purpose,
                                 struct ph_conn **out, struct ph_error *err);
/* One statement by the simple protocol, the only one that a walsender speaks. */
ph_code ph_conn_query_simple(struct ph_conn *conn, const char *sql, struct ph_result **out,
                             struct ph_error *err);

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

/* Takes the libpq result over, which may be NULL or a failure. */
ph_code ph_conn_take_result(struct ph_conn *conn, PGresult *pg, struct ph_result **out,
                            struct ph_error *err);

/* Fill err from a failed result (may be NULL: the connection's own message). Does not clear it. */
ph_code ph_conn_fail(struct ph_conn *conn, const PGresult *result, struct ph_error *err);

/*
 * The COPY data phase without libpq; see conn_direct.c. begin says false in *taken, with nothing
 * sent, when this connection cannot do it (GSS). `response` is the message that must follow:
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
/*
 * After a begin with response 'W', COPY BOTH: the next CopyData, if it is there already (valid
 * until the next call); sending one; and ending it, PH_E_CONNECT when that takes longer than
 * `wait_ms`.
 */
ph_code ph_direct_next(struct ph_conn *conn, struct ph_span *payload, bool *got,
                       struct ph_error *err);
ph_code ph_direct_send(struct ph_conn *conn, const uint8_t *data, size_t len, struct ph_error *err);
ph_code ph_direct_stop(struct ph_conn *conn, int wait_ms, struct ph_error *err);
void ph_direct_free(struct ph_direct *direct);

/* Prepare only, and wait for it. While idle. The statement's name becomes "ph_NUMBER". */
ph_code ph_pipeline_prepare(struct ph_pipeline *pipeline, const struct ph_statement *statement,
                            uint32_t *number, struct ph_error *err);
struct ph_conn *ph_pipeline_conn(const struct ph_pipeline *pipeline);

#endif
