/* `pghaul copy` */
#include "cli/commands.h"
#include "cli/run_job.h"
#include "job/copy.h"

int
ph_cmd_copy(const struct ph_options *options)
{
    return ph_cli_run_job(options, "copy", ph_job_copy);
}
