#include <string.h>

#include "cli/command.h"

const struct ph_command ph_command_table[] = {
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
