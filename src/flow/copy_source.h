/*
 * Source of a lane: COPY … TO STDOUT, under an imported snapshot (the copy) or without one (reading
 * the target back).
 *
 * The connection is opened when first needed, in the lane's source thread, and kept for task after
 * task. Every importing transaction locks a table and then compares relfilenode as the snapshot
 * sees it with the present one: TRUNCATE and rewriting ALTER TABLE are not MVCC-safe, and would
 * make the table read as empty (PH_E_TABLE_CHANGED). PH_E_SNAPSHOT_LOST when the snapshot is gone.
 */
#ifndef PH_FLOW_COPY_SOURCE_H
#define PH_FLOW_COPY_SOURCE_H

#include "flow/lane.h"
#include "pg/conn.h"

struct ph_copy_source {
    const struct ph_endpoint *endpoint;
    char purpose[32];
    struct ph_conn *conn;
    uint32_t epoch;     /* of the transaction under way; 0: none */
    uint32_t tables;    /* locked in this transaction */
    ph_oid checked_oid; /* the table last locked and checked in this transaction */
};

extern const struct ph_source_ops ph_copy_source_ops;

void ph_copy_source_init(struct ph_copy_source *source, const struct ph_endpoint *endpoint,
                         const char *purpose);
/* After the lane has stopped. */
void ph_copy_source_free(struct ph_copy_source *source);

#endif
