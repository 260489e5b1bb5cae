/* `pghaul plan` */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/run_job.h"
#include "job/plan.h"

#define PLAN_LIMIT ((size_t)256 << 20)

int
ph_cmd_plan(const struct ph_options *options)
{
    struct ph_run run = {.options = options};
    struct ph_error err;
    struct ph_buf out;
    int code = 0;

    ph_error_reset(&err);
    ph_buf_init(&out, PLAN_LIMIT);
    if (ph_job_plan(&run, &out, &err) != PH_OK)
        code = ph_cli_fail(&err, PH_NOTHING_WRITTEN);
    else
        fputs(ph_buf_text(&out), stdout);
    ph_buf_free(&out);
    return code;
}
