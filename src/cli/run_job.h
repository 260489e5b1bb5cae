/* What every command that runs a job has around it: display, report, error, exit code. */
#ifndef PH_CLI_RUN_JOB_H
#define PH_CLI_RUN_JOB_H

#include "base/error.h"
#include "job/options.h"
#include "job/run.h"

/*
 * Run `job`, show its progress on stderr unless --quiet, print the report on stdout unless --quiet,
 * write --report, log the failure. Returns the exit code.
 */
int ph_cli_run_job(const struct ph_options *options, const char *command,
                   ph_code (*job)(struct ph_run *run, struct ph_error *err));

/* Log `err` and return its exit code. */
int ph_cli_fail(const struct ph_error *err, enum ph_wrote wrote);

#endif
