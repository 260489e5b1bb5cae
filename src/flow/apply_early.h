/*
 * A large transaction is applied while it still arrives: in a session and a transaction of its own
 * on the target, beside the groups, which go on meanwhile.
 *
 * A part of it goes out only when all that was committed on the source before its blocks came is
 * applied: whatever its rows were made of is there, and what comes later does not touch them, for
 * the source's transaction holds their locks. Its commit is applied in its place among the others:
 * the last statement is the compare-and-set of the position, and COMMIT is sent when that has hit.
 * Where a subtransaction is rolled back, the target goes back to a savepoint before it and the
 * blocks from there on are read once more.
 *
 * Whatever does not go (a violation, a lock that is not free, TRUNCATE) ends it: rolled back, and
 * the transaction is applied at its commit as all others are. So does the group that has to wait
 * for a lock of it. Nothing of it is written down; after a crash it was never there.
 *
 * One transaction at a time, and only once all epochs are retired: then none of its changes can be
 * one that the copy has. Not by one of a team. The applier's thread.
 */
#ifndef PH_FLOW_APPLY_EARLY_H
#define PH_FLOW_APPLY_EARLY_H

#include "flow/applier_parts.h"

struct ph_early *ph_early_new(struct ph_applier *applier); /* NULL: no memory */
void ph_early_free(struct ph_early *early);                /* NULL is fine */

/* A block was passed by; some parts may go out, after the group at hand. */
ph_code ph_early_block(struct ph_early *early, const struct ph_txn_event *event,
                       struct ph_error *err) PH_MUST_CHECK;
/* Nothing waits: what was read of it goes out. */
ph_code ph_early_idle(struct ph_early *early, struct ph_error *err) PH_MUST_CHECK;
/* The transaction of the event was rolled back. */
void ph_early_abort(struct ph_early *early, const struct ph_txn_event *event);
/* One is under way, begun on the target or only read so far. */
bool ph_early_is_on(const struct ph_early *early);
/* A connection was lost: all that is open comes again. */
void ph_early_void(struct ph_early *early);
/* The applier reads on from further back. */
void ph_early_begin_again(struct ph_early *early);
/* A group is to be replayed, which must not meet its locks; or all ends. */
void ph_early_give_way(struct ph_early *early);
/*
 * At BLOCK_COMMIT. *done: the transaction is applied and committed with its end as the position,
 * after all before it, and `out` says what it was. Otherwise it is to be applied now, as others.
 * Of failures only those that end the applier.
 */
ph_code ph_early_commit(struct ph_early *early, const struct ph_txn_event *event, bool *done,
                        struct sent *out, struct ph_error *err) PH_MUST_CHECK;

#endif
