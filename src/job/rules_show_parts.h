/* Inside job/rules_show*.c only. */
#ifndef PH_JOB_RULES_SHOW_PARTS_H
#define PH_JOB_RULES_SHOW_PARTS_H

#include "base/buf.h"
#include "job/job.h"

/* Rows of the source before and after the rules of each route. */
ph_code ph_rules_test(struct ph_job *job, struct ph_buf *out, struct ph_error *err) PH_MUST_CHECK;

#endif
