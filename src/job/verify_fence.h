/*
 * Verify's side of a fence (pg/fence.h): a snapshot of the source and one of the target that are
 * the same state, while the source is written to and the job applies. One thread.
 */
#ifndef PH_JOB_VERIFY_FENCE_H
#define PH_JOB_VERIFY_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "job/verify_parts.h"
#include "pg/fence.h"

struct ph_verify_fence {
    struct ph_verify *verify;
    struct ph_conn *target; /* has the locks and reads the row */
    struct ph_conn *marker; /* to the source, outside of transactions: for messages */
    char id[PH_FENCE_ID_SIZE];
    bool has_lock[2]; /* by enum ph_fence_lock */
    uint32_t number;  /* of fences that were tried */
    uint32_t good;
    int64_t longest_us; /* that apply was held up at a time */
};

/*
 * Opens the sessions. PH_E_NOT_READY when another verification is at it. `fence` is the caller's,
 * also on failure: ph_verify_fence_close.
 */
ph_code ph_verify_fence_open(struct ph_verify_fence *fence, struct ph_verify *verify,
                             struct ph_error *err);
void ph_verify_fence_close(struct ph_verify_fence *fence);

/*
 * What is done on the target while apply waits: a transaction is begun on `*conn`, whose snapshot
 * is then asked for the position. It is rolled back when the fence turns out to be void. A failure
 * of SQLSTATE 55P03 (a lock was not to be had) is tried again.
 */
typedef ph_code ph_verify_fence_open_target(void *arg, struct ph_conn **conn, struct ph_error *err);

/*
 * Comes back when verify->conns[PH_SOURCE] is in a transaction whose exported snapshot is
 * verify->epochs[PH_SOURCE], and `open` (NULL: the same with PH_TARGET) has begun one on the target
 * that sees the same state. PH_E_NOT_READY when the run that applies has ended, or no such two are
 * to be had.
 */
ph_code ph_verify_fence_take(struct ph_verify_fence *fence, ph_verify_fence_open_target *open,
                             void *arg, struct ph_error *err);
/* Both transactions are over: nobody holds back what vacuum removes. */
ph_code ph_verify_fence_leave(struct ph_verify_fence *fence, struct ph_error *err);

#endif
