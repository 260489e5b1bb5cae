/*
 * Reading a database's catalog into model/catalog.h: a dozen set-based queries, whatever the number
 * of tables. The caller has begun a transaction; what is read is as of its snapshot (sizes, rights
 * and row security are as of now, they have no snapshot). Nothing stays locked or changed but
 * `jit`, which is off for the rest of the transaction. The connection's thread.
 */
#ifndef PH_PG_CATALOG_H
#define PH_PG_CATALOG_H

#include "base/error.h"
#include "model/catalog.h"
#include "pg/conn.h"

/*
 * Fill `out` (uninitialised before; the caller's afterwards, also on failure: ph_catalog_reset).
 * Sequences come without their values. On a target's connection `can_read` says that rows can be
 * inserted and read, and can_set_replica_role is tried.
 */
ph_code ph_catalog_read(struct ph_conn *conn, struct ph_catalog *out, struct ph_error *err);

/* The same in a transaction of its own. */
ph_code ph_catalog_read_now(struct ph_conn *conn, struct ph_catalog *out, struct ph_error *err);

/* Of a target whose catalog was not read. Outside transactions. */
ph_code ph_catalog_can_set_replica_role(struct ph_conn *conn, bool *can, struct ph_error *err);

/*
 * Fill last_value and is_called of catalog->sequences, exactly, from the sequences themselves.
 * Those without can_read are left at 0. PH_E_SQL when one was dropped since.
 */
ph_code ph_catalog_read_sequences(struct ph_conn *conn, struct ph_catalog *catalog,
                                  struct ph_error *err);

/*
 * The planner's histogram of a column in ascending order, as text in `arena`; *n is 0 without one
 * (never analysed, or no right). Bounds split the table into parts of about the same rows.
 */
ph_code ph_catalog_read_histogram(struct ph_conn *conn, const struct ph_rel *rel,
                                  const struct ph_column *column, struct ph_arena *arena,
                                  const char *const **bounds, uint32_t *n, struct ph_error *err);
/*
 * How far rows lie in the heap in the order of the column, either way: from 0 to 1. Without
 * statistics *out stays as it is.
 */
ph_code ph_catalog_read_correlation(struct ph_conn *conn, const struct ph_rel *rel,
                                    const struct ph_column *column, double *out,
                                    struct ph_error *err);

#endif
