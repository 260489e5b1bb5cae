/*
 * Comparing a job that follows, while its run applies changes (docs/decisions/0011-live-proof.md).
 * Tables are read in pieces of half a second or so, each at a fence of its own, so that no snapshot
 * of either side grows old; what differs is read again at another fence before it is told. The
 * verification's main thread.
 */
#ifndef PH_JOB_VERIFY_LIVE_H
#define PH_JOB_VERIFY_LIVE_H

#include "job/verify_parts.h"

/*
 * Makes verify->live when the ledger has the job as following and its run is under way; it stays
 * NULL where there is nothing to follow. PH_E_NOT_READY when the run is not under way, or still
 * copies. After both sides are open.
 */
ph_code ph_verify_live_begin(struct ph_verify *verify, struct ph_error *err);
void ph_verify_live_end(struct ph_verify *verify);

/* Takes tables out of the selection that are not the job's. */
ph_code ph_verify_live_narrow(struct ph_verify *verify, struct ph_error *err);
/* The rows of all groups: `compared`, `differs` and totals of them; differing rows are reported. */
ph_code ph_verify_live_rows(struct ph_verify *verify, struct ph_error *err);

#endif
