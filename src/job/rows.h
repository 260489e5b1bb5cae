/*
 * The rows phase: lanes load lots and read tables back, while step workers build what can be built.
 */
#ifndef PH_JOB_ROWS_H
#define PH_JOB_ROWS_H

#include "job/job.h"
#include "job/schedule.h"

struct ph_step_workers;

/*
 * Run until everything is loaded and, where wanted, read back; `steps` (started; NULL: none) are
 * waited for, too; freeing them is the caller's. Blocks. The first failure is returned; what other
 * workers had under way was finished or rolled back, and the ledger knows.
 */
ph_code ph_rows_run(struct ph_job *job, struct ph_step_workers *steps, struct ph_error *err);

#endif
