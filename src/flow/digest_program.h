/*
 * Program of a lane: applies the job's rules where the task's table has some, otherwise changes no
 * values; finds the rows, rewrites embedded OIDs where the two servers' types need it, adds every
 * row to the task's digest, and leaves out on the way to the target what that fills in again. One
 * thread: the lane's program.
 */
#ifndef PH_FLOW_DIGEST_PROGRAM_H
#define PH_FLOW_DIGEST_PROGRAM_H

#include "flow/lane.h"
#include "flow/row_shape.h"
#include "flow/rule_stage.h"

#define PH_PADDED_MAX 64u /* char(n) columns of a table that are trimmed; more go as they are */

/* Whose rows a task reads: the target's are as they should be, the source's may need rewriting. */
struct ph_digest_program {
    size_t max_row_bytes;
    struct ph_row_shape rows;
    struct ph_rule_stage rules;
    bool has_rules;                 /* the task's rows go through them */
    uint16_t padded[PH_PADDED_MAX]; /* positions of char(n) columns */
    uint32_t n_padded;
    bool header_done;
    bool ended;
};

extern const struct ph_program_ops ph_digest_program_ops;

void ph_digest_program_init(struct ph_digest_program *program, size_t batch_bytes,
                            size_t max_row_bytes);
void ph_digest_program_free(struct ph_digest_program *program);

#endif
