/* What the target's keys do, or do not do, while changes are applied. */
#ifndef PH_JOB_PREFLIGHT_KEYS_H
#define PH_JOB_PREFLIGHT_KEYS_H

#include "job/job.h"
#include "model/finding.h"

/*
 * For job->plan, and what a job has already to which it adds tables. Under replica role: unique
 * keys that are not enforced. Without it: foreign keys that would write to rows by themselves,
 * which the stream then does not find (errors), and those that are checked sooner than on the
 * source. Asks the target whether its role may be replica; one that is not reached counts as if.
 */
ph_code ph_preflight_keys(struct ph_job *job, struct ph_findings *findings,
                          struct ph_error *err) PH_MUST_CHECK;

#endif
