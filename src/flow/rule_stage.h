/*
 * The rules on the way of a lane: rows of COPY BINARY come in as the source has them, and go out as
 * the target is to have them. One thread: the lane's program.
 *
 * A batch's bytes are replaced by others that the stage keeps a place for, so a lane has one batch
 * more than its pool. Rows that a rule cannot handle end the task with PH_E_RULE_VALUE, or, where
 * the route says so, stay behind as the task's quarantine.
 */
#ifndef PH_FLOW_RULE_STAGE_H
#define PH_FLOW_RULE_STAGE_H

#include "base/bytes.h"
#include "base/error.h"
#include "flow/lookup_cache.h"
#include "flow/preserve_stage.h"
#include "flow/task.h"
#include "rules/ruleset.h"

struct ph_rule_piece { /* of a tuple that goes out */
    uint32_t first;    /* column */
    uint32_t n;        /* columns that go as they lie beside each other in the source's tuple */
    uint32_t input;    /* the first one's */
    bool is_made;      /* one column, a value of the machine's */
};

struct ph_rule_stage {
    struct ph_rule_machine *machine; /* made for the first task that needs it */
    size_t max_row_bytes;
    struct ph_lookup_cache *lookups; /* made for the first task that has to ask; else NULL */
    struct ph_value *in;             /* of the task's route */
    struct ph_value *ahead;          /* of a row behind the one at hand */
    const uint8_t **fields; /* where the input's fields begin, and where the last one ends */
    const uint8_t **ahead_fields;
    struct ph_value *out;
    struct ph_rule_piece *pieces;
    uint32_t n_pieces;
    uint8_t *spare; /* where the next batch's rows are put */
    size_t capacity;
    size_t len;
    size_t batch_bytes;  /* usual size of a batch */
    struct ph_span rest; /* rows in `spare` that are for the next call */
    bool all_are_new;    /* what the target preserves is not asked for: the owner's, after init */
    bool has_preserved;  /* of the task's route */
    struct ph_preserve_stage preserved;
};

/* `batch_bytes` is what the lane's batches have as a rule. */
void ph_rule_stage_init(struct ph_rule_stage *stage, size_t batch_bytes, size_t max_row_bytes);
void ph_rule_stage_free(struct ph_rule_stage *stage);

/* Whether rows of the task go through rules: those of the source, on a route with a program. */
bool ph_rule_stage_is_for(const struct ph_task *task);
/* Before the first batch of such a task. */
ph_code ph_rule_stage_open(struct ph_rule_stage *stage, const struct ph_task *task,
                           struct ph_error *err) PH_MUST_CHECK;
/*
 * `rows`: the batch's whole tuples and perhaps the trailer; what lies before them in the batch
 * (COPY's header) is kept. The batch has other bytes afterwards, and `rows` is set to where they
 * are. Where they would be much more than a batch, has_more says that rows are left: the next call
 * goes on with those, and its batch and `rows` are empty.
 */
ph_code ph_rule_stage_run(struct ph_rule_stage *stage, struct ph_task *task, struct ph_batch *batch,
                          struct ph_span *rows, struct ph_error *err) PH_MUST_CHECK;

#endif
