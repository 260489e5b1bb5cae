/*
 * Values that the target keeps, put into rows on their way: of each row that goes out the target is
 * asked, by the key, whether it had it. If so the preserved columns get what it had there, or the
 * row is left out because the target's stays whole. What is hashed and proven is the row after
 * that. Part of a rule stage; its thread, with a session of its own on the target.
 *
 * A thousand rows are asked for at once; what was kept of them comes row by row, and only as many
 * are made as a batch is to have: the others are for the next call.
 */
#ifndef PH_FLOW_PRESERVE_STAGE_H
#define PH_FLOW_PRESERVE_STAGE_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/error.h"
#include "model/plan.h"
#include "pg/conn.h"

/* Where preserved values are. Immutable, any thread. */
struct ph_preserving {
    const struct ph_endpoint *target;
    const struct ph_catalog *catalog; /* the target's */
    const char *job;                  /* what it set aside before it emptied its tables; NULL: what
                                         the tables have themselves */
    const char *snapshot_id;          /* of those; with `job` NULL */
};

struct ph_preserve_stage {
    struct ph_conn *conn; /* NULL: none yet */
    const struct ph_table_plan *table;
    size_t max_row_bytes;
    size_t enough_bytes; /* what is given out at once, the last row of it aside */
    struct ph_buf sql;
    struct ph_buf *keys; /* by key column: an array in binary */
    bool *has_null;      /* by key column */
    uint32_t *types;     /* by key column: of the array */
    uint32_t n_keys;
    const uint8_t **fields; /* where those of the tuple at hand begin, and its end */
    uint8_t *out;           /* the caller may exchange it, with its capacity */
    size_t capacity;
    size_t len;
    uint64_t left_out;          /* rows of the last run */
    struct ph_span rest;        /* of the caller's bytes: rows for the next call */
    const uint8_t *asked_until; /* rows before that have been asked for */
    uint32_t row;               /* number of the next one in the question */
    bool is_answering;
    struct ph_result *kept; /* what comes next of the answer; NULL: the end, or not known yet */
};

void ph_preserve_stage_init(struct ph_preserve_stage *stage, size_t batch_bytes,
                            size_t max_row_bytes);
void ph_preserve_stage_free(struct ph_preserve_stage *stage);
/* For rows of a table whose route preserves columns. */
ph_code ph_preserve_stage_open(struct ph_preserve_stage *stage, const struct ph_table_plan *table,
                               struct ph_error *err) PH_MUST_CHECK;
/*
 * `bytes`: `prefix` bytes that stay, then tuples of COPY BINARY as the target is to have them, and
 * perhaps the trailer. stage->out and stage->len are what becomes of it, stage->left_out says how
 * many rows are not in it. While stage->rest is not empty, `bytes` must stay and go_on gives what
 * comes behind, into the stage->out of that time. The errors of the session.
 */
ph_code ph_preserve_stage_run(struct ph_preserve_stage *stage, struct ph_span bytes, size_t prefix,
                              struct ph_error *err) PH_MUST_CHECK;
ph_code ph_preserve_stage_go_on(struct ph_preserve_stage *stage,
                                struct ph_error *err) PH_MUST_CHECK;

#endif
