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

/*
 * Whether changes of a source's table are exact along its routes only when they bring the whole old
 * row, though an index names its rows: that of its replica identity, or the one it could have.
 */
ph_code ph_preflight_needs_whole_row(struct ph_job *job, const struct ph_rel *source, bool *needs,
                                     struct ph_error *err) PH_MUST_CHECK;

#endif
