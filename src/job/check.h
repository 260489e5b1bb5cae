/* `pghaul check`: every blocker with its cure, before anything is written. */
#ifndef PH_JOB_CHECK_H
#define PH_JOB_CHECK_H

#include "base/buf.h"
#include "job/run.h"

/*
 * Appends what was found to `out`, as text or, with options->json, as JSON: {"job", "source",
 * "target", "ready", "findings": [{"severity", "code", "kind", "object", "cause", "cure"}]}.
 * PH_E_NOT_READY when there is a blocker.
 */
ph_code ph_job_check(struct ph_run *run, struct ph_buf *out, struct ph_error *err);

#endif
