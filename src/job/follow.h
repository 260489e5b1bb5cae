/*
 * The follow of a job: its spool, the receiver that fills it from the moment the rows are being
 * copied, and the applier that empties it once they are. On the job's thread.
 */
#ifndef PH_JOB_FOLLOW_H
#define PH_JOB_FOLLOW_H

#include "job/job.h"
#include "job/progress.h"

/* When the command is given, connected: job->until, in which "now" is a position. */
ph_code ph_follow_take_until(struct ph_job *job, struct ph_error *err);
/*
 * What `stop --at` has asked for, by the ledger; "now" becomes a position there, for good. On the
 * connections' thread.
 */
ph_code ph_follow_read_end(const struct ph_job *job, struct ph_conn *target, struct ph_conn *source,
                           struct ph_until *until, struct ph_error *err);
/*
 * Open the spool and start to receive, unless that is done already. After ph_follow_begin, with the
 * plan loaded and the target's catalog read.
 */
ph_code ph_follow_receive(struct ph_job *job, struct ph_error *err);
/* Whether the receiver has given up, and why. Any thread, while there is one. */
ph_code ph_follow_check(const struct ph_job *job, struct ph_error *err);
/*
 * While rows are copied, every two seconds, by one thread that no other takes turns with: what is
 * received meanwhile is shown, and the guards look. `source` may be NULL.
 */
void ph_follow_watch(struct ph_job *job, struct ph_conn *source);
/* What was seen last. Any thread. */
void ph_follow_read_progress(const struct ph_job *job, struct ph_follow_progress *out);
/* Of the values that it brings; as long as that is not known, TEXT. */
enum ph_format ph_follow_format(const struct ph_job *job);
/*
 * After ph_follow_receive, with all rows in and their indexes built: apply until all tables are of
 * one moment of the source, then stop applying. PH_E_TORN: a table cannot be, job->torn.
 */
ph_code ph_follow_to_consistency(struct ph_job *job, struct ph_error *err);
/*
 * In PH_PHASE_FOLLOW, before anything is loaded: tables that are gone on the target leave the job;
 * those that the source still has come again (job->ledger.comes_again), unless with --data-only.
 */
ph_code ph_follow_leave_dropped(struct ph_job *job, struct ph_error *err);
/*
 * Into the ledger, by what the plan's tables are published: as soon as they are, and before
 * anything is received of them.
 */
ph_code ph_follow_note_publication(struct ph_job *job, struct ph_error *err);
/* Partitions beside the job's tables (oids as an array's text): one value, "" for none. */
ph_code ph_follow_query_beside(struct ph_conn *source, const char *oids, struct ph_result **out,
                               struct ph_error *err);
/*
 * PH_PHASE_FOLLOW: apply until the end that was asked for, or PH_E_STOPPED. At the end sequences
 * and what else the stream does not bring are carried over, the slot is removed, and the job is
 * done.
 */
ph_code ph_follow_phase(struct ph_job *job, struct ph_error *err);
/*
 * Of a job that is done: slot, publication and spool go, and the ledger forgets their names. Fine
 * when that was done before.
 */
ph_code ph_follow_remove_stream(struct ph_job *job, struct ph_error *err);
/* End receiving and free all of it; before the endpoints' sessions are cleared. Any number of
 * times. */
void ph_follow_release(struct ph_job *job);

#endif
