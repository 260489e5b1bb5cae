/*
 * Reading under an exported snapshot. The connection's thread.
 *
 * TRUNCATE and rewriting ALTER TABLE are not MVCC-safe: under an older snapshot the table reads as
 * empty, without an error. So every table is locked and checked before it is read.
 */
#ifndef PH_PG_SNAPSHOT_H
#define PH_PG_SNAPSHOT_H

#include "model/catalog.h"
#include "pg/conn.h"

/* Begin a read-only transaction with a snapshot of its own and export that. */
ph_code ph_snapshot_export(struct ph_conn *conn, char id[64], struct ph_error *err);
/*
 * Begin a read-only transaction under the snapshot; the connection is in none. PH_E_SNAPSHOT_LOST
 * when it is gone.
 */
ph_code ph_snapshot_import(struct ph_conn *conn, const char *id, struct ph_error *err);

/*
 * What tells a snapshot from another one with the same id: ids are counted from the start again
 * when a server restarts, and another program's export may then have ours.
 */
struct ph_snapshot_mark {
    char visible[256];     /* pg_current_snapshot(), cut when longer; "" : nothing is checked */
    int backend_pid;       /* of the session that exported it */
    int64_t backend_start; /* microseconds since 1970 */
};
/* Whether the present transaction has that snapshot; PH_E_SNAPSHOT_LOST when not. */
ph_code ph_snapshot_check(struct ph_conn *conn, const struct ph_snapshot_mark *mark,
                          struct ph_error *err);
/*
 * Lock the table against such changes until the transaction ends. PH_E_TABLE_CHANGED when one was
 * made after the snapshot.
 */
ph_code ph_snapshot_lock(struct ph_conn *conn, const struct ph_rel *rel, struct ph_error *err);

#endif
