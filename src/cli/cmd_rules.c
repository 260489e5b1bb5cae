/* `pghaul rules` */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/run_job.h"
#include "job/rules_show.h"

#define RULES_LIMIT ((size_t)256 << 20)

int
ph_cmd_rules(const struct ph_options *options)
{
    struct ph_run run = {.options = options};
    struct ph_error err;
    struct ph_buf out;
    ph_code rc = PH_OK;
    int code = 0;

    ph_error_reset(&err);
    ph_buf_init(&out, RULES_LIMIT);
    if (strcmp(options->verb, "list") == 0)
        ph_rules_put_operators(&out);
    else
        rc = ph_job_rules(&run, &out, &err);
    if (rc != PH_OK)
        code = ph_cli_fail(&err, PH_NOTHING_WRITTEN);
    else
        fputs(ph_buf_text(&out), stdout);
    ph_buf_free(&out);
    return code;
}
