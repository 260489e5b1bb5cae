#include <stdio.h>

#include "cli/commands.h"
#include "cli/run_job.h"
#include "job/status.h"

static void
say(const struct ph_options *options, enum ph_stop_outcome outcome)
{
    char at[PH_UNTIL_TEXT];

    if (outcome == PH_STOP_WHEN_BACK)
        printf("job %s has not ended but has no session on the target: it was killed, or comes "
               "back and then %s\n",
               options->name,
               options->at.kind == PH_UNTIL_STOPPED ? "stops" : "ends where it was told");
    else if (outcome == PH_STOP_NOT_RUNNING && options->at.kind == PH_UNTIL_STOPPED)
        printf("job %s is not running; nothing to stop\n", options->name);
    else if (outcome == PH_STOP_NOT_RUNNING)
        printf("job %s is not running; its next run ends at: %s\n", options->name,
               ph_until_print(&options->at, at));
    else if (options->at.kind == PH_UNTIL_STOPPED)
        printf("job %s was told to stop; the same command goes on where it ends\n", options->name);
    else
        printf("job %s was told to end at: %s\n", options->name, ph_until_print(&options->at, at));
}

int
ph_cmd_stop(const struct ph_options *options)
{
    enum ph_stop_outcome outcome;
    struct ph_error err;

    ph_error_reset(&err);
    if (ph_job_stop(options, &outcome, &err) != PH_OK)
        return ph_cli_fail(&err, PH_NOTHING_WRITTEN);
    if (!options->quiet)
        say(options, outcome);
    return 0;
}
