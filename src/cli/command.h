/*
 * The commands: one row in the table and one file each. A command parses nothing: it gets complete
 * options, calls one job function, prints, and returns the exit code of the contract.
 */
#ifndef PH_CLI_COMMAND_H
#define PH_CLI_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "job/options.h"

struct ph_command {
    const char *name;
    enum ph_command_id id;
    const char *summary;      /* one phrase for the list */
    const char *description;  /* a paragraph for its own help */
    const char *const *verbs; /* one of them has to follow; NULL: none does */
    int (*run)(const struct ph_options *options);
};

/* In the order of the help; ends with a row whose name is NULL. */
extern const struct ph_command ph_command_table[];

/* NULL: no such command. */
const struct ph_command *ph_command_find(const char *name);
/* Bits (PH_FOR) of all commands there are. */
uint32_t ph_command_mask(void);

#endif
