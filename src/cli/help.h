/* Everything that explains the program, made from its tables: option, command and error table. */
#ifndef PH_CLI_HELP_H
#define PH_CLI_HELP_H

#include "base/buf.h"
#include "base/error.h"
#include "cli/command.h"
#include "job/option_table.h"

/* For a terminal of 80 columns or more. `command` NULL: of pghaul itself. */
void ph_help_put(struct ph_buf *out, const struct ph_command *command);

/*
 * --help=TOPIC: "man" (a man page), "options" and "errors" (Markdown: docs/options.md and
 * docs/errors.md). PH_E_USAGE for any other topic.
 */
ph_code ph_help_put_topic(struct ph_buf *out, const char *topic, struct ph_error *err);

/* Shared by help.c and manual.c: "256MB", "from the number of …"; "" when there is no default. */
const char *ph_help_default(const struct ph_option *option);
/* The exit code or codes of an error class: "1", "3; 5 once the target was written to". */
const char *ph_help_exit(enum ph_error_class class);

struct ph_exit_line {
    const char *code;
    const char *meaning;
};
/* Ends with a NULL code. */
extern const struct ph_exit_line ph_exit_lines[];

#endif
