/* From the argument vector to complete options: command line, job file, defaults. */
#ifndef PH_CLI_ARGS_H
#define PH_CLI_ARGS_H

#include "base/error.h"
#include "cli/command.h"
#include "job/options.h"

enum ph_args_ask { PH_ASK_RUN, PH_ASK_HELP, PH_ASK_VERSION };

struct ph_args {
    enum ph_args_ask ask;
    const struct ph_command *command; /* NULL with help or version of pghaul itself */
    const char *topic;                /* of --help=TOPIC; NULL: none; points into argv */
    struct ph_options options;        /* complete when ask is RUN */
};

/*
 * Read argv[1..]. On return, whatever it is, `args` is the caller's to free. PH_E_USAGE or
 * PH_E_JOBFILE; nothing was touched then. Values of --source and --target are never in a message.
 */
ph_code ph_args_parse(struct ph_args *args, int argc, char *const *argv, struct ph_error *err);
void ph_args_free(struct ph_args *args);

/*
 * A copy of argv (ends with NULL, freed with ph_args_free_copy) and passwords wiped from the
 * original, which is what `ps` shows. NULL: no memory; then too the original is wiped.
 */
char **ph_args_take(int argc, char **argv);
void ph_args_free_copy(char **copy);

/* The log format that argv asks for, before it is known to be right: errors should come in it. */
enum ph_log_format ph_args_log_format(int argc, char *const *argv);

#endif
