#include <stdio.h>

#include "cli/commands.h"
#include "cli/run_job.h"
#include "job/status.h"

static void
print_slot(const struct ph_cleaned *cleaned)
{
    const char *beside = cleaned->publication ? " and the publication" : "";

    switch (cleaned->slot) {
    case PH_SLOT_NONE:
        break;
    case PH_SLOT_REMOVED:
        printf("removed: the replication slot%s on the source\n", beside);
        break;
    case PH_SLOT_MISSING:
        printf("not there: replication slot %s on the source\n", cleaned->slot_name);
        break;
    case PH_SLOT_FORGOTTEN:
        printf("forgotten: replication slot %s of a source that is gone; where it is not, it keeps "
               "WAL\n",
               cleaned->slot_name);
        break;
    }
}

static void
print_cleaned(const struct ph_options *options, const struct ph_cleaned *cleaned)
{
    if (cleaned->restored > 0)
        printf("restored: %u triggers, rules or constraints that had been set aside\n",
               cleaned->restored);
    if (cleaned->holder)
        printf("ended: the process that held the source's snapshot\n");
    print_slot(cleaned);
    if (cleaned->ledger)
        printf("removed: job %s from the target's ledger\n", options->name);
    if (cleaned->dir)
        printf("removed: directory %s\n", options->dir);
    if (cleaned->dir_kept)
        printf("kept: directory %s, it holds other files\n", options->dir);
}

int
ph_cmd_clean(const struct ph_options *options)
{
    struct ph_cleaned cleaned;
    struct ph_error err;

    ph_error_reset(&err);
    ph_code rc = ph_job_clean(options, &cleaned, &err);
    if (!options->quiet)
        print_cleaned(options, &cleaned);
    if (rc == PH_OK)
        return 0;
    return ph_cli_fail(&err, cleaned.ledger || cleaned.restored > 0 ? PH_HAS_WRITTEN
                                                                    : PH_NOTHING_WRITTEN);
}
