/*
 * What one command hands to its job and gets back: the command's side of every ph_job_* function,
 * which is `ph_code ph_job_VERB(struct ph_run *run, struct ph_error *err)`.
 *
 * The job fills `report` (its verdict too, also when it fails) and sets `wrote` before its first
 * write to the target; both are read when it has returned. It prints nothing itself but log lines.
 */
#ifndef PH_JOB_RUN_H
#define PH_JOB_RUN_H

#include "base/error.h"
#include "job/options.h"
#include "job/progress.h"
#include "job/report.h"

struct ph_run {
    const struct ph_options *options; /* not owned; complete */
    struct ph_observer observer;      /* may be all NULL */
    struct ph_report report;          /* initialised by the command, freed by it */
    enum ph_wrote wrote;
};

#endif
