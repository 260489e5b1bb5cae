/*
 * Program of a lane that changes no values: finds the rows, rewrites embedded OIDs where the two
 * servers' types need it, and adds every row to the task's digest. One thread: the lane's program.
 */
#ifndef PH_FLOW_DIGEST_PROGRAM_H
#define PH_FLOW_DIGEST_PROGRAM_H

#include "flow/lane.h"
#include "flow/row_shape.h"

/* Whose rows a task reads: the target's are as they should be, the source's may need rewriting. */
struct ph_digest_program {
    size_t max_row_bytes;
    struct ph_row_shape rows;
    bool header_done;
    bool ended;
};

extern const struct ph_program_ops ph_digest_program_ops;

void ph_digest_program_init(struct ph_digest_program *program, size_t max_row_bytes);

#endif
