/*
 * Sink of a lane: COPY … FROM STDIN on the target, receipt in the same transaction
 * (docs/architecture.md, "The ledger").
 *
 * The owner works lot by lot: ph_copy_sink_begin_lot opens the transaction and claims, then each
 * chunk of the lot goes through the lane, then ph_copy_sink_commit. A connection that is gone is
 * opened again by begin_lot. One thread.
 */
#ifndef PH_FLOW_COPY_SINK_H
#define PH_FLOW_COPY_SINK_H

#include "flow/lane.h"
#include "pg/conn.h"
#include "pg/ledger.h"

struct ph_copy_sink {
    const struct ph_endpoint *endpoint;
    char purpose[32];
    const char *job;
    const char *session_sql; /* run after connecting, e.g. SET session_replication_role */
    struct ph_conn *conn;
    uint64_t chunk_started_ns;
    bool copying;
};

extern const struct ph_sink_ops ph_copy_sink_ops;

void ph_copy_sink_init(struct ph_copy_sink *sink, const struct ph_endpoint *endpoint,
                       const char *purpose, const char *job, const char *session_sql);
void ph_copy_sink_free(struct ph_copy_sink *sink);
/* Opens the connection when there is none. */
ph_code ph_copy_sink_connect(struct ph_copy_sink *sink, struct ph_error *err);
/* BEGIN and claim; *n == 0: the lot is done or somebody else's, the transaction is ended. */
ph_code ph_copy_sink_begin_lot(struct ph_copy_sink *sink, uint32_t lot, enum ph_claim wait,
                               uint32_t *n, struct ph_error *err);
/* When it fails with PH_E_CONNECT the outcome is unknown: claim again, waiting. */
ph_code ph_copy_sink_commit(struct ph_copy_sink *sink, struct ph_error *err);
/* Roll back whatever is under way; the connection is closed when that fails. */
void ph_copy_sink_rollback(struct ph_copy_sink *sink);

/* Sink that throws rows away: reading back only wants their digest. State is not used. */
extern const struct ph_sink_ops ph_null_sink_ops;

#endif
