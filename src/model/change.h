/*
 * A change: one row as it was inserted, updated or deleted, or a TRUNCATE. A row of the snapshot is
 * an INSERT; the stream brings all kinds. Fields are spans into bytes that somebody else owns (a
 * message, a batch, a block of the spool) and live as long as those do.
 *
 * Plain values; they belong to the thread that holds the bytes.
 */
#ifndef PH_MODEL_CHANGE_H
#define PH_MODEL_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "model/catalog.h"

/* Position in a server's WAL, in bytes; 0: none. Printed as "%X/%X" of its halves. */
typedef uint64_t ph_lsn;

enum ph_field_state {
    PH_FIELD_ABSENT, /* not in this image (of a key image: not part of the key) */
    PH_FIELD_NULL,
    PH_FIELD_UNCHANGED, /* a TOASTed value that the UPDATE did not touch and that was not sent */
    PH_FIELD_TEXT,      /* output function's text, in the encoding of the session */
    PH_FIELD_BINARY     /* send function's bytes */
};

struct ph_field {
    struct ph_span bytes; /* with TEXT and BINARY */
    enum ph_field_state state;
};

enum ph_change_kind { PH_CHANGE_INSERT, PH_CHANGE_UPDATE, PH_CHANGE_DELETE, PH_CHANGE_TRUNCATE };

enum ph_old_image {
    PH_OLD_NONE, /* INSERT; UPDATE that left the key as it was */
    PH_OLD_KEY,  /* the replica identity's columns only */
    PH_OLD_ROW   /* REPLICA IDENTITY FULL */
};

/* A column as the stream announces it. */
struct ph_stream_column {
    const char *name;
    ph_oid type_oid; /* of the source */
    int32_t typmod;
    bool in_key; /* of the replica identity; all of them under FULL */
};

/* A table as the stream announces it (pgoutput's Relation message). Immutable once made. */
struct ph_stream_rel {
    ph_oid oid; /* of the source: the root's when publish_via_partition_root is set */
    const char *schema;
    const char *name;
    char replica_identity; /* d n f i */
    const struct ph_stream_column *columns;
    uint32_t n_columns;
};

struct ph_change {
    enum ph_change_kind kind;
    enum ph_old_image old_image;
    ph_oid relid;
    uint32_t xid; /* of the (sub)transaction inside a streamed block; otherwise 0 */
    const struct ph_field *new_fields; /* n_fields long; NULL for DELETE and TRUNCATE */
    const struct ph_field *old_fields; /* n_fields long; NULL with PH_OLD_NONE */
    uint32_t n_fields;
    /* TRUNCATE: all tables of the statement, relid is the first of them */
    const ph_oid *truncated;
    uint32_t n_truncated;
    bool cascade;
    bool restart_identity;
};

/* What is done with a change that does not fit the target's rows. */
enum ph_on_conflict { PH_CONFLICT_STOP, PH_CONFLICT_SKIP, PH_CONFLICT_OVERWRITE };

#endif
