/*
 * Adding tables to a job that follows, by a wider selection. The job goes back to the phases of a
 * copy, with what is new only, and its stream is applied again once that is copied and proven. Why
 * nothing is lost or doubled is in docs/decisions/0012.
 *
 * On the job's thread, with its control connections.
 */
#ifndef PH_JOB_JOIN_H
#define PH_JOB_JOIN_H

#include "job/job.h"

/*
 * At the beginning of every attempt, when the stream is loaded: go over to the wider selection if
 * that is what the command asks for, or to tables that come again, and publish the tables that are
 * not published yet. Uses the job's catalogs, selection and plan, which are to be read again
 * afterwards.
 *
 * PH_E_JOB_OTHER when tables of the job are not selected any more; what keeps a new table from
 * being followed (as `check` says it) before anything is written.
 */
ph_code ph_join_begin(struct ph_job *job, struct ph_error *err);

/* With every selection from the source's catalog: what of it is new. */
ph_code ph_join_load(struct ph_job *job, struct ph_error *err);
/* Of what is selected. False when no tables are being added. */
bool ph_join_is_new(const struct ph_job *job, const struct ph_rel *rel);
/* What is new of the selection, in job->arena. */
ph_code ph_join_select_new(struct ph_job *job, struct ph_selection *out, struct ph_error *err);

/* The plan; while tables are added, of these only. */
ph_code ph_join_make_plan(struct ph_job *job, struct ph_error *err);
/* Before it is written down: numbers go on behind those that the ledger has. Then it is only saved.
 */
void ph_join_number_plan(struct ph_job *job);
/*
 * After a plan is loaded: changes were applied to the tables that the job had; nothing reads them
 * back any more, unless they were copied again since. With ph_join_settle_beside.
 */
ph_code ph_join_settle_states(struct ph_job *job, struct ph_error *err);

/* ---- join_beside.c ---- */

/* Whether rows of both can be in one table of the target: one is the other, or has it as a
 * partition. */
bool ph_job_share_target(const struct ph_job *job, const struct ph_table_plan *a,
                         const struct ph_table_plan *b);
/* In a plan of what is new: is_beside of tables whose target has rows of those that the job had. */
void ph_join_mark_beside(struct ph_job *job);
/*
 * After a plan is loaded, and is_past is known: is_beside of tables whose rows are to be told from
 * others in their target, and the condition that does so as theirs. Not for the stream: the rows
 * that it changes do not fulfil it any more.
 */
ph_code ph_join_settle_beside(struct ph_job *job, struct ph_error *err);

/* In the transaction of the verdict: the job is of the wider selection. */
ph_code ph_join_end(struct ph_job *job, struct ph_error *err);

/* While following: tables that the patterns select and the job does not have are named. */
void ph_join_name_others(struct ph_job *job);

#endif
