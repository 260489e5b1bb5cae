/* `pghaul check` */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/run_job.h"
#include "job/check.h"

#define CHECK_LIMIT ((size_t)64 << 20)

int
ph_cmd_check(const struct ph_options *options)
{
    struct ph_run run = {.options = options};
    struct ph_error err;
    struct ph_buf out;

    ph_error_reset(&err);
    ph_buf_init(&out, CHECK_LIMIT);
    ph_code rc = ph_job_check(&run, &out, &err);
    fputs(ph_buf_text(&out), stdout);
    fflush(stdout);
    ph_buf_free(&out);
    return rc == PH_OK ? 0 : ph_cli_fail(&err, PH_NOTHING_WRITTEN);
}
