/* What epoch.c and epoch_stream.c share. On the job's thread. */
#ifndef PH_JOB_EPOCH_PARTS_H
#define PH_JOB_EPOCH_PARTS_H

#include "job/job.h"

/* Import the job's snapshot into the source's control session: BEGIN was successful on PH_OK. */
ph_code ph_epoch_begin_under(struct ph_job *job, struct ph_error *err);

/*
 * Start a holder, with a new snapshot or the given one, and make it the job's epoch; the ledger is
 * the caller's. With a stream the epoch has its L, flushed.
 */
ph_code ph_epoch_hold(struct ph_job *job, uint32_t number, const char *snapshot_id,
                      struct ph_ledger_epoch *epoch, struct ph_error *err);

/* Start an epoch of a stream that is not its first, and write it down: one that fits S0. */
ph_code ph_epoch_start_later(struct ph_job *job, uint32_t number, struct ph_error *err);

#endif
