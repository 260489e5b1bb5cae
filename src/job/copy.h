/*
 * `pghaul copy`: schema, rows, indexes and keys, the rest, the proof.
 *
 * The job is a chain of phases that the ledger remembers; whatever ends a run, the next one goes on
 * in the phase it finds. Lost connections are retried here, by the same way as a new run.
 */
#ifndef PH_JOB_COPY_H
#define PH_JOB_COPY_H

#include "job/run.h"

/*
 * Copy, or resume. PH_OK: finished as asked; PH_E_DIFFERENT: finished, but the proof found
 * differences; PH_E_STOPPED, PH_E_CONNECT and the like: the same command goes on.
 */
ph_code ph_job_copy(struct ph_run *run, struct ph_error *err);

#endif
