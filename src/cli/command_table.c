#include <string.h>

#include "cli/command.h"
#include "cli/commands.h"

static const char *const rules_verbs[] = {"list", "explain", "test", "build", NULL};

const struct ph_command ph_command_table[] = {
    {
        .name = "check",
        .id = PH_COMMAND_CHECK,
        .summary = "readiness of both servers and of the job; changes nothing",
        .description = "Look at both servers and the job and list every blocker with its cure, "
                       "warnings and what is not copied. Changes nothing. Exit code 3 when "
                       "something stands in the way.",
        .run = ph_cmd_check,
    },
    {
        .name = "plan",
        .id = PH_COMMAND_PLAN,
        .summary = "tables in order, chunks, formats and sizes; changes nothing",
        .description = "Show what a copy would do: tables in their order, rings of foreign keys, "
                       "chunks, the format of each table and why, estimated sizes, and what is "
                       "not copied. Changes nothing.",
        .run = ph_cmd_plan,
    },
    {
        .name = "copy",
        .id = PH_COMMAND_COPY,
        .summary = "copy schema, rows, indexes and the rest, then prove it",
        .description = "Copy the source to the target: schema, rows, indexes, constraints, "
                       "sequences. The same command again goes on where an earlier run ended, "
                       "however it ended.",
        .run = ph_cmd_copy,
    },
    {
        .name = "verify",
        .id = PH_COMMAND_VERIFY,
        .summary = "compare source and target, down to the row; --repair mends",
        .description = "Compare two databases, also ones that pghaul did not copy: rows, "
                       "sequences, large objects. Differing rows are named by their keys. "
                       "A job that follows is compared while it does, given its --name. "
                       "--repair --yes mends rows on the target, --repair --dry-run shows how. "
                       "Exit code 4 when something differs.",
        .run = ph_cmd_verify,
    },
    {
        .name = "stop",
        .id = PH_COMMAND_STOP,
        .summary = "tell a running job, from any host, to stop resumably",
        .description =
            "Tell a running job, from any host, to stop; the same command as before then "
            "goes on where it stopped. A run that has lost the target stops when it is back. "
            "When the job is not running, the process that holds its snapshot on this host is "
            "ended.",
        .run = ph_cmd_stop,
    },
    {
        .name = "status",
        .id = PH_COMMAND_STATUS,
        .summary = "what the ledger on the target says about a job",
        .description = "Show state, progress of every table, rate and ETA of a job, from any host; "
                       "without --name and --source all jobs of the target.",
        .run = ph_cmd_status,
    },
    {
        .name = "rules",
        .id = PH_COMMAND_RULES,
        .summary = "list | explain | test | build: transform rules; changes nothing",
        .description = "What the rules of a job file do to rows. list: the operators there are. "
                       "explain: what happens to every column, in plain words. test: some rows of "
                       "the source before and after. build: the compiled rules as a file, for a "
                       "host without a compiler (--rules-object there).",
        .verbs = rules_verbs,
        .run = ph_cmd_rules,
    },
    {
        .name = "clean",
        .id = PH_COMMAND_CLEAN,
        .summary = "remove a job's ledger and local files; what was copied stays",
        .description =
            "Remove what a job left besides the copy: restore triggers, rules and "
            "constraints that were set aside, end the process that holds the snapshot, remove slot "
            "and publication on the source, the job in the ledger and its local "
            "directory. A job that followed needs --source for it, or --source-gone. Says what it "
            "removed; needs --yes.",
        .run = ph_cmd_clean,
    },
    {.name = NULL},
};

const struct ph_command *
ph_command_find(const char *name)
{
    for (const struct ph_command *command = ph_command_table; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0)
            return command;
    }
    return NULL;
}

uint32_t
ph_command_mask(void)
{
    uint32_t mask = 0;

    for (const struct ph_command *command = ph_command_table; command->name != NULL; command++)
        mask |= 1u << command->id;
    return mask;
}
