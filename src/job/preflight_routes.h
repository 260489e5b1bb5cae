/* What the job's rules ask of a stream. */
#ifndef PH_JOB_PREFLIGHT_ROUTES_H
#define PH_JOB_PREFLIGHT_ROUTES_H

#include "job/job.h"
#include "model/finding.h"

/*
 * The routes of job->plan that changes cannot take exactly, each with its cure, and a stream that
 * cannot be in binary. Reads nothing.
 */
ph_code ph_preflight_routes(struct ph_job *job, struct ph_findings *findings,
                            struct ph_error *err) PH_MUST_CHECK;

#endif
