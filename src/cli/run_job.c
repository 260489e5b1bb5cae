#include "cli/run_job.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/progress.h"

int
ph_cli_fail(const struct ph_error *err, enum ph_wrote wrote)
{
    ph_log_failure(PH_LOG_ERROR, err);
    return ph_error_exit_code(err->code, wrote);
}

static enum ph_display_kind
display_kind(const struct ph_options *options)
{
    if (options->quiet)
        return PH_DISPLAY_NONE;
    return options->log_format == PH_LOG_JSON ? PH_DISPLAY_LINES
                                              : ph_display_kind_of(STDERR_FILENO);
}

int
ph_cli_run_job(const struct ph_options *options, const char *command,
               ph_code (*job)(struct ph_run *run, struct ph_error *err))
{
    struct ph_display *display = ph_display_new(display_kind(options), STDERR_FILENO);
    struct ph_run run = {.options = options, .observer = ph_display_observer(display)};
    struct ph_error err;
    struct ph_error report_err;

    ph_error_reset(&err);
    ph_report_init(&run.report, command);
    ph_code rc = job(&run, &err);
    ph_display_free(display);
    if (!options->quiet && (run.report.n_tables > 0 || run.report.n_findings > 0 || rc == PH_OK))
        ph_report_print(&run.report, stdout);
    int code = rc == PH_OK ? 0 : ph_cli_fail(&err, run.wrote);
    ph_error_reset(&report_err);
    if (options->report != NULL &&
        ph_report_write(&run.report, &err, options->report, &report_err) != PH_OK) {
        /* the job's own failure says more; the report's is the exit code only of a good run */
        int report_code = ph_cli_fail(&report_err, run.wrote);
        code = code == 0 ? report_code : code;
    }
    ph_report_free(&run.report);
    return code;
}
