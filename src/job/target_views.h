/*
 * Materialized views of the target: those that read, through views or other materialized ones, a
 * table that rows went into are refreshed, in the order in which they read each other. One that was
 * never filled is left so, unless the schema was there before the copy (--data-only).
 */
#ifndef PH_JOB_TARGET_VIEWS_H
#define PH_JOB_TARGET_VIEWS_H

#include "job/job.h"

/* One that cannot be refreshed is a warning in the report. The plan must be loaded. */
ph_code ph_target_views_refresh(struct ph_job *job, struct ph_error *err) PH_MUST_CHECK;

#endif
