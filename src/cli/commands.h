/* The functions behind the command table: cmd_NAME.c each. They return the exit code. */
#ifndef PH_CLI_COMMANDS_H
#define PH_CLI_COMMANDS_H

#include "job/options.h"

int ph_cmd_check(const struct ph_options *options);
int ph_cmd_plan(const struct ph_options *options);
int ph_cmd_copy(const struct ph_options *options);
int ph_cmd_status(const struct ph_options *options);
int ph_cmd_verify(const struct ph_options *options);
int ph_cmd_stop(const struct ph_options *options);
int ph_cmd_rules(const struct ph_options *options);
int ph_cmd_clean(const struct ph_options *options);

#endif
