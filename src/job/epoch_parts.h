/* What epoch.c, epoch_stream.c and epoch_ranges.c share. On the job's thread. */
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

/* Transactions that began before this call are over in every later epoch: what of them was applied
 * to a table, an epoch of it has. The job has no epoch then. */
ph_code ph_epoch_bar_earlier(struct ph_job *job, struct ph_error *err);

/* ---- epoch_ranges.c ---- */

enum ph_epoch_mix { /* of the chunks of a table */
                    PH_MIX_UNFINISHED,
                    PH_MIX_ONE,    /* all are done, under one epoch */
                    PH_MIX_SEVERAL /* all are done, under several */
};
enum ph_epoch_mix ph_epoch_mix_of(const struct ph_job *job, const struct ph_table_plan *table);

/* Whether changes of the stream can bring its chunks to one moment when they are of several. */
bool ph_epoch_may_mix(const struct ph_job *job, const struct ph_table_plan *table);
/* Of a table of several, for the filter; in `arena`. Asks the target's control session. */
ph_code ph_epoch_ranges_of(const struct ph_job *job, const struct ph_table_plan *table,
                           struct ph_arena *arena, struct ph_epoch_ranges *out,
                           struct ph_error *err);
/* To people: what is lost of a table that starts again, and what is kept of one that goes on. */
void ph_epoch_tell_again(const struct ph_job *job, const struct ph_table_plan *table);
void ph_epoch_tell_goes_on(const struct ph_job *job, const struct ph_table_plan *table);

#endif
