#include <stdio.h>

#include "cli/commands.h"
#include "cli/run_job.h"
#include "job/status.h"

int
ph_cmd_stop(const struct ph_options *options)
{
    enum ph_stop_outcome outcome;
    struct ph_error err;

    ph_error_reset(&err);
    if (ph_job_stop(options, &outcome, &err) != PH_OK)
        return ph_cli_fail(&err, PH_NOTHING_WRITTEN);
    if (!options->quiet)
        printf(outcome == PH_STOP_TOLD
                   ? "job %s was told to stop; the same command goes on where it ends\n"
                   : "job %s is not running; nothing to stop\n",
               options->name);
    return 0;
}
