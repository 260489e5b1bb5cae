/* `pghaul plan`: what a copy would do, without doing anything. */
#ifndef PH_JOB_PLAN_H
#define PH_JOB_PLAN_H

#include "base/buf.h"
#include "job/run.h"

/* Appends the plan to `out`, as JSON with options->json. Writes nothing to either server. */
ph_code ph_job_plan(struct ph_run *run, struct ph_buf *out, struct ph_error *err);

#endif
