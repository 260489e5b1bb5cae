/*
 * The threads that run the steps after the rows (pg/ddl_step.h), one connection each, while lanes
 * still load other tables.
 */
#ifndef PH_JOB_STEP_WORKERS_H
#define PH_JOB_STEP_WORKERS_H

#include "job/job.h"
#include "job/schedule.h"
#include "pg/ddl_step.h"

struct ph_step_workers;

/*
 * Starts job->index_jobs threads over `steps` (built; not owned). Their first failure ends
 * everything: it is put into `schedule` when one is set.
 */
ph_code ph_step_workers_start(struct ph_job *job, struct ph_steps *steps,
                              struct ph_step_workers **out, struct ph_error *err);
/* The schedule that a failure is told to; before any step can fail: right after start. */
void ph_step_workers_set_schedule(struct ph_step_workers *workers, struct ph_schedule *schedule);
/* Rows of the table (oid on the source) are in. Any thread. */
void ph_step_workers_table_loaded(struct ph_step_workers *workers, ph_oid oid);
/* Give nothing new out: the job is ending. Any thread. */
void ph_step_workers_end(struct ph_step_workers *workers);
/* Wait until all steps are done or the workers were ended; the first failure. Once. */
ph_code ph_step_workers_wait(struct ph_step_workers *workers, struct ph_error *err);
/* Ends and waits when that was not done. NULL is fine. */
void ph_step_workers_free(struct ph_step_workers *workers);
/* For the display. Any thread. */
void ph_step_workers_progress(struct ph_step_workers *workers, struct ph_progress *out);

#endif
