/*
 * The beginning of a stream, and its removal: publication, slot, first epoch. On the job's thread,
 * with its control connections.
 */
#ifndef PH_JOB_FOLLOW_BEGIN_H
#define PH_JOB_FOLLOW_BEGIN_H

#include "job/job.h"

/*
 * After the job is registered and before ph_job_ensure_epoch. A stream that the ledger has as made
 * is loaded into job->stream; whether its slot can still be used is not looked at. Otherwise tables
 * get their replica identity when that was asked for, publication and slot are made, and the
 * slot's snapshot becomes the first epoch. What a killed try left behind is removed first, and what
 * a failed one made at once.
 *
 * PH_E_NOT_READY when transactions on the source held the slot up for ten minutes; who they are is
 * logged. Uses the job's catalogs, selection and plan, which are to be read again afterwards.
 */
ph_code ph_follow_begin(struct ph_job *job, struct ph_error *err);

/* Where the job's spool is: a directory of its own in the job's. */
void ph_follow_spool_dir(const struct ph_options *options, char *out, size_t size);

/*
 * PH_E_JOB_OTHER: `source` is not the server and database that has slot and publication. `label`
 * is what the ledger calls that.
 */
ph_code ph_follow_check_source(struct ph_conn *source, const struct ph_ledger_follow *follow,
                               const char *label, struct ph_error *err);
/* Slot, and publication when the job made it. None of them being there is fine: who cannot know
 * that it is the job's source checks that first. */
ph_code ph_follow_remove(struct ph_conn *source, const struct ph_ledger_follow *follow,
                         struct ph_error *err);

#endif
