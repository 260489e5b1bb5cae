#include "cli/help.h"

#include <stdio.h>
#include <string.h>

#define INDENT 26
#define WIDTH 96

const struct ph_exit_line ph_exit_lines[] = {
    {"0", "finished as asked"},
    {"1", "failed, needs a hand first"},
    {"2", "bad usage or job file; nothing was touched"},
    {"3", "not ready, found before the first write"},
    {"4", "differences found"},
    {"5", "stopped by a signal or `pghaul stop`, or servers, network or disk are away: the same "
          "command goes on"},
    {NULL, NULL},
};

const char *
ph_help_default(const struct ph_option *option)
{
    if (option->initial_note != NULL)
        return option->initial_note;
    return option->initial != NULL ? option->initial : "";
}

const char *ph_help_exit(enum ph_error_class class)
{
    switch (class) {
    case PH_CLASS_OK:
        return "0";
    case PH_CLASS_FAILED:
        return "1";
    case PH_CLASS_USAGE:
        return "2";
    case PH_CLASS_READY:
        return "3";
    case PH_CLASS_DIFF:
        return "4";
    case PH_CLASS_STOPPED:
        return "5";
    case PH_CLASS_AWAY:
        return "3; 5 once the target was written to";
    case PH_CLASS_AUTH:
        return "3; 1 once the target was written to";
    }
    return "1";
}

/* Words of `text` from column `indent` on, a line each WIDTH; the cursor stands at `column`. */
static void
put_wrapped(struct ph_buf *out, const char *text, size_t indent, size_t column)
{
    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        if (column > indent && column + 1 + len > WIDTH) {
            ph_buf_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            ph_buf_putc(out, ' ');
            column++;
        } else if (column < indent) {
            ph_buf_printf(out, "%*s", (int)(indent - column), "");
            column = indent;
        }
        ph_buf_append(out, text, len);
        column += len;
        text += len;
        text += strspn(text, " ");
    }
    ph_buf_putc(out, '\n');
}

static void
put_option(struct ph_buf *out, const struct ph_option *option)
{
    struct ph_buf text;
    size_t start = out->len;

    ph_buf_printf(out, "  --%s%s%s", option->name, option->placeholder != NULL ? " " : "",
                  option->placeholder != NULL ? option->placeholder : "");
    size_t column = out->len - start;
    if (column + 2 > INDENT) {
        ph_buf_putc(out, '\n');
        column = 0;
    }
    ph_buf_init(&text, 4096);
    ph_buf_puts(&text, option->help);
    for (size_t i = 0; option->words != NULL && option->words[i] != NULL; i++)
        ph_buf_printf(&text, "%s%s", i == 0 ? ": " : "|", option->words[i]);
    if (ph_help_default(option)[0] != '\0')
        ph_buf_printf(&text, " (default: %s)", ph_help_default(option));
    put_wrapped(out, ph_buf_text(&text), INDENT, column);
    ph_buf_free(&text);
}

static void
put_options(struct ph_buf *out, uint32_t mask)
{
    const char *group = "";

    for (size_t i = 0; i < ph_option_count; i++) {
        const struct ph_option *option = &ph_option_table[i];

        if ((option->commands & mask) == 0 && option->kind != PH_OPTION_INFO)
            continue;
        if (strcmp(group, option->group) != 0) {
            group = option->group;
            ph_buf_printf(out, "\n%s\n", group);
        }
        put_option(out, option);
    }
}

static void
put_tail(struct ph_buf *out)
{
    ph_buf_puts(out, "\nExit codes\n");
    for (const struct ph_exit_line *line = ph_exit_lines; line->code != NULL; line++) {
        ph_buf_printf(out, "  %s", line->code);
        put_wrapped(out, line->meaning, 5, 3);
    }
    ph_buf_puts(out, "\nSizes: kB, MB, GB, TB (powers of 1024). Durations: s, min, h, d. "
                     "Nothing prompts.\n");
}

void
ph_help_put(struct ph_buf *out, const struct ph_command *command)
{
    if (command != NULL) {
        ph_buf_printf(out, "usage: pghaul %s [JOB] [options]\n\n", command->name);
        put_wrapped(out, command->description, 0, 0);
        put_options(out, 1u << command->id);
        put_tail(out);
        return;
    }
    ph_buf_puts(out, "pghaul moves a PostgreSQL database, or any part of it, to another server and "
                     "proves that\nnothing was lost.\n\n"
                     "usage: pghaul COMMAND [JOB] [options]\n\n"
                     "JOB is a YAML file; an option wins over it. Giving the same command again "
                     "resumes.\n\nCommands\n");
    for (const struct ph_command *c = ph_command_table; c->name != NULL; c++) {
        ph_buf_printf(out, "  %-8s", c->name);
        put_wrapped(out, c->summary, 10, 10);
    }
    put_options(out, ph_command_mask());
    put_tail(out);
    ph_buf_puts(out, "\npghaul COMMAND --help shows what goes with one command; --help=options, "
                     "--help=errors\nand --help=man print the manual.\n");
}
