/*
 * A server's snapshot as pg_current_snapshot() prints it: which transactions it sees. Ids are of 64
 * bits, so they do not wrap; the stream's are the lower 32 bits of them. Immutable once read; any
 * thread.
 */
#ifndef PH_MODEL_XID_SNAPSHOT_H
#define PH_MODEL_XID_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

struct ph_xid_snapshot {
    uint64_t xmin;       /* all below are over */
    uint64_t xmax;       /* this one and all above have not ended */
    const uint64_t *xip; /* in progress, ascending, all within [xmin, xmax) */
    uint32_t n_xip;
};

/*
 * "xmin:xmax:xip,xip,..."; the list lies in `arena`. PH_E_PROTOCOL when it is not such a text (one
 * that was cut off included, where that can be seen), PH_E_MEMORY.
 */
ph_code ph_xid_snapshot_parse(struct ph_arena *arena, const char *text, struct ph_xid_snapshot *out,
                              struct ph_error *err);

/*
 * The 64 bits of a transaction id of the stream: the one nearest to the snapshot's xmin. Right as
 * long as the transaction lies within 2^31 ids of it, which the position's bound sees to.
 */
uint64_t ph_xid_widen(const struct ph_xid_snapshot *snapshot, uint32_t xid);

/* Whether the snapshot sees it, given that it committed. Top-level transactions only. */
bool ph_xid_snapshot_sees(const struct ph_xid_snapshot *snapshot, uint64_t xid);

/*
 * Whether `later` may be an epoch of a stream whose slot exported `first`: no transaction that is
 * in progress in `later` is seen by `first`. Such a one had its commit record written before the
 * slot's consistent point, so the stream never brings it, and `later` misses it as well. *xid, when
 * not NULL and the answer is false, is one of these.
 */
bool ph_xid_snapshot_is_admissible(const struct ph_xid_snapshot *later,
                                   const struct ph_xid_snapshot *first, uint64_t *xid);

/*
 * Whether all transactions with lower ids are over: a table that had joined the publication when
 * this id was given out may get the snapshot as its epoch. Not to be asked with another snapshot's
 * xmax, which is the lowest id above those that have ended: one that runs may have a higher one.
 */
bool ph_xid_snapshot_is_after(const struct ph_xid_snapshot *snapshot, uint64_t xid);

#endif
