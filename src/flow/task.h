/*
 * A task: one piece of rows for a lane to move or to hash (a chunk, or a table read back).
 *
 * Made by the lane's owner, who keeps it until ph_lane_run returns. Fields are grouped by who
 * writes them; a later stage reads what an earlier one wrote only after it got a batch from it, so
 * the ring orders the accesses. The atomics may be read by the progress thread at any time.
 */
#ifndef PH_FLOW_TASK_H
#define PH_FLOW_TASK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "flow/orphans.h"
#include "model/batch.h"
#include "model/plan.h"
#include "pg/snapshot.h"

/* The snapshot a task is to be read under; immutable. */
struct ph_epoch {
    uint32_t number;      /* from 1; 0: no snapshot (reading the target back) */
    char snapshot_id[64]; /* for SET TRANSACTION SNAPSHOT */
    struct ph_snapshot_mark mark;
};

struct ph_task {
    /* owner, before the run */
    const struct ph_table_plan *table;
    const struct ph_chunk *chunk; /* of the source, or of the target when that is read back */
    enum ph_side side;            /* which server the rows are read from */
    const struct ph_epoch *epoch;
    const char *read_sql;         /* COPY ... TO STDOUT, owned by the owner */
    struct ph_digest_set *digest; /* rows are added to it by the program thread */
    bool is_load;                 /* the rows go on to the target, not only into the digest */

    /* anybody */
    atomic_bool cancelled;
    atomic_uint_fast64_t rows;  /* through the program so far */
    atomic_uint_fast64_t bytes; /* read so far */

    /* source thread, before it pushes the last batch */
    ph_code source_rc;
    struct ph_error source_error;
    /* program thread, before it pushes the last batch on */
    ph_code program_rc;
    struct ph_error program_error;
    uint64_t left_out;          /* rows for which the target keeps its own whole */
    uint64_t quarantined;       /* rows that rules could not handle and that stay behind */
    struct ph_buf quarantine;   /* of each: key, column and reason, each ended by a 0 byte; freed by
                                   ph_task_end */
    struct ph_orphans *orphans; /* values that lookups did not find; NULL: none; likewise */
};

/* What the run left in the task; the owner's, after ph_lane_run. */
static inline void
ph_task_end(struct ph_task *task)
{
    ph_buf_free(&task->quarantine);
    ph_orphans_free(task->orphans);
    task->orphans = NULL;
}

#endif
