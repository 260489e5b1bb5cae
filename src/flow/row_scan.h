/*
 * Reading a table row by row, each with its place: how the proof finds what differs after the
 * digests said that something does.
 *
 * The rows are those of the copy (same columns, order and format, the source's with its OIDs
 * rewritten), so hashes and buckets are those of the digest; the place is the row's tableoid and
 * ctid, which are good for as long as the snapshot they were read under. One connection, its
 * thread.
 */
#ifndef PH_FLOW_ROW_SCAN_H
#define PH_FLOW_ROW_SCAN_H

#include "base/digest.h"
#include "base/error.h"
#include "model/plan.h"
#include "pg/conn.h"

struct ph_row_place {
    ph_oid relid; /* the leaf; 0: no place */
    uint32_t block;
    uint16_t offset;
};

#define PH_ROW_PLACE_SIZE 24
/* "(12,3)", a literal of type tid. */
void ph_row_place_text(struct ph_row_place place, char out[PH_ROW_PLACE_SIZE]);

struct ph_scanned_row { /* valid during the visit */
    uint64_t key_hash;  /* what chooses the bucket */
    struct ph_hash128 hash;
    struct ph_row_place place;
    const struct ph_span *fields; /* table->n_columns of them, as the format has them */
};

typedef ph_code ph_row_visit(void *arg, const struct ph_scanned_row *row, struct ph_error *err);

struct ph_row_scan_params {
    struct ph_conn *conn; /* in the transaction whose snapshot counts */
    const struct ph_table_plan *table;
    enum ph_side side;
    const struct ph_row_place *place; /* NULL: all rows */
    const struct ph_chunk *range;     /* of keys, NULL: all; with a table without `where` */
    size_t max_row_bytes;
};

/*
 * Visits every row. A visit that fails ends the scan with its code; the connection may then be in
 * the middle of a COPY and must be closed.
 */
ph_code ph_row_scan(const struct ph_row_scan_params *params, ph_row_visit *visit, void *arg,
                    struct ph_error *err) PH_MUST_CHECK;

/* `"schema"."name"` of the side's relation, with ONLY unless it is partitioned. */
void ph_row_scan_put_from(const struct ph_table_plan *table, enum ph_side side, struct ph_buf *out);

#endif
