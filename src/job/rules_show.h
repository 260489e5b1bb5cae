/* `pghaul rules`: the operators, what a job's rules do, rows before and after, an object for
 * another host. */
#ifndef PH_JOB_RULES_SHOW_H
#define PH_JOB_RULES_SHOW_H

#include "base/buf.h"
#include "job/run.h"

/* All operators by family, with signature, parameters and what they do. */
void ph_rules_put_operators(struct ph_buf *out);

/* The verb of options->verb other than list; nothing is written to either server. */
ph_code ph_job_rules(struct ph_run *run, struct ph_buf *out, struct ph_error *err);

#endif
