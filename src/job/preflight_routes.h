/* What the job's rules ask of a stream. */
#ifndef PH_JOB_PREFLIGHT_ROUTES_H
#define PH_JOB_PREFLIGHT_ROUTES_H

#include "job/job.h"
#include "model/finding.h"
#include "model/identity.h"

/*
 * The routes of job->plan that changes cannot take exactly, each with its cure, and a stream that
 * cannot be in binary. Reads nothing.
 */
ph_code ph_preflight_routes(struct ph_job *job, struct ph_findings *findings,
                            struct ph_error *err) PH_MUST_CHECK;

/*
 * What of a row changes of a source's table have to tell. The whole old row: along its routes they
 * are exact only then, though an index names its rows, that of its replica identity or the one it
 * could have.
 */
ph_code ph_preflight_need(struct ph_job *job, const struct ph_rel *source,
                          enum ph_identity_need *need, struct ph_error *err) PH_MUST_CHECK;

#endif
