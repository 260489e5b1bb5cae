/* `pghaul verify` */
#include "cli/commands.h"
#include "cli/run_job.h"
#include "job/verify.h"

int
ph_cmd_verify(const struct ph_options *options)
{
    return ph_cli_run_job(options, "verify", ph_job_verify);
}
