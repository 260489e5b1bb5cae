/* docs/options.md, docs/errors.md and the man page. scripts/docs writes them, a test compares. */
#include <string.h>

#include "base/nearest.h"
#include "cli/help.h"

static const char made_by[] =
    "<!-- made by scripts/docs from the program's own tables; do not edit -->\n\n";

/* '|' would end a cell of a Markdown table, '<' start a tag. */
static void
put_cell(struct ph_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            ph_buf_putc(out, '\\');
        if (*text == '<')
            ph_buf_puts(out, "&lt;");
        else
            ph_buf_putc(out, *text);
    }
}

static void
put_commands_of(struct ph_buf *out, const struct ph_option *option)
{
    const char *between = "";

    if ((option->commands & ph_command_mask()) == ph_command_mask()) {
        ph_buf_puts(out, "all");
        return;
    }
    for (const struct ph_command *c = ph_command_table; c->name != NULL; c++) {
        if ((option->commands & (1u << c->id)) != 0) {
            ph_buf_printf(out, "%s%s", between, c->name);
            between = ", ";
        }
    }
}

static void
put_option_row(struct ph_buf *out, const struct ph_option *option)
{
    char expected[160];

    ph_option_expected(option, expected, sizeof expected);
    ph_buf_printf(out, "| `--%s%s%s` | ", option->name, option->placeholder != NULL ? " " : "",
                  option->placeholder != NULL ? option->placeholder : "");
    put_cell(out, option->help);
    ph_buf_puts(out, " | ");
    put_cell(out, option->placeholder != NULL ? expected : "");
    ph_buf_puts(out, " | ");
    put_cell(out, ph_help_default(option));
    ph_buf_printf(out, " | %s%s%s | ", option->key != NULL ? "`" : "",
                  option->key != NULL ? option->key : "", option->key != NULL ? "`" : "");
    put_commands_of(out, option);
    ph_buf_puts(out, " |\n");
}

static void
put_options_md(struct ph_buf *out)
{
    const char *group = "";

    ph_buf_puts(out, made_by);
    ph_buf_puts(
        out,
        "# Options\n\n`pghaul COMMAND [JOB] [options]`. `JOB` is a YAML file with the keys below; "
        "a dot in\na key is one level (`copy.split` is `split` under `copy`). A value on the "
        "command line wins.\nUnknown keys and wrong types are refused with file, line and "
        "column.\n\n"
        "Sizes are whole numbers with kB, MB, GB or TB (powers of 1024), durations whole numbers "
        "with\ns, min, h or d. Options are written `--jobs 4` or `--jobs=4`.\n\n## Commands\n\n");
    for (const struct ph_command *c = ph_command_table; c->name != NULL; c++)
        ph_buf_printf(out, "- `pghaul %s`: %s\n", c->name, c->description);
    for (size_t i = 0; i < ph_option_count; i++) {
        const struct ph_option *option = &ph_option_table[i];

        if ((option->commands & ph_command_mask()) == 0 && option->kind != PH_OPTION_INFO)
            continue;
        if (strcmp(group, option->group) != 0) {
            group = option->group;
            ph_buf_printf(out,
                          "\n## %s\n\n| option | meaning | value | default | key in the job file | "
                          "commands |\n|---|---|---|---|---|---|\n",
                          group);
        }
        put_option_row(out, option);
    }
    ph_buf_puts(out, "\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (const struct ph_exit_line *line = ph_exit_lines; line->code != NULL; line++)
        ph_buf_printf(out, "| %s | %s |\n", line->code, line->meaning);
}

static void
put_errors_md(struct ph_buf *out)
{
    ph_buf_puts(out, made_by);
    ph_buf_puts(out,
                "# Errors and their way out\n\nEvery failure has one of these codes, names the "
                "object it is about, and leaves a state from\nwhich the same command goes on. "
                "Where a server said something, its SQLSTATE stands with it.\n\n"
                "| code | exit code | what it means | way out |\n|---|---|---|---|\n");
    for (ph_code code = PH_OK + 1; code < PH_CODE_COUNT; code++) {
        ph_buf_printf(out, "| `%s` | %s | ", ph_code_text(code), ph_help_exit(ph_code_class(code)));
        put_cell(out, ph_code_meaning(code));
        ph_buf_puts(out, " | ");
        put_cell(out, ph_code_way_out(code));
        ph_buf_puts(out, " |\n");
    }
}

/* Text for roff: dashes as they are, no line that starts like a request. */
static void
put_roff(struct ph_buf *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        ph_buf_puts(out, "\\&");
    for (; *text != '\0'; text++) {
        if (*text == '-')
            ph_buf_puts(out, "\\-");
        else if (*text == '\\')
            ph_buf_puts(out, "\\e");
        else
            ph_buf_putc(out, *text);
    }
}

static void
put_man_option(struct ph_buf *out, const struct ph_option *option)
{
    ph_buf_puts(out, ".TP\n.B \\-\\-");
    put_roff(out, option->name);
    if (option->placeholder != NULL) {
        ph_buf_puts(out, "\\fR \\fI");
        put_roff(out, option->placeholder);
        ph_buf_puts(out, "\\fR");
    }
    ph_buf_putc(out, '\n');
    put_roff(out, option->help);
    for (size_t i = 0; option->words != NULL && option->words[i] != NULL; i++)
        ph_buf_printf(out, "%s%s", i == 0 ? ": " : "|", option->words[i]);
    if (ph_help_default(option)[0] != '\0') {
        ph_buf_puts(out, " (default: ");
        put_roff(out, ph_help_default(option));
        ph_buf_putc(out, ')');
    }
    if (option->key != NULL) {
        ph_buf_puts(out, ". Job file: ");
        put_roff(out, option->key);
    }
    ph_buf_puts(out, ".\n");
}

static void
put_man(struct ph_buf *out)
{
    const char *group = "";

    ph_buf_puts(out, ".\\\" made by pghaul --help=man\n.TH PGHAUL 1 \"\" \"pghaul " PH_VERSION
                     "\" \"User Commands\"\n.SH NAME\npghaul \\- move a PostgreSQL database and "
                     "prove it\n.SH SYNOPSIS\n.B pghaul\n.I COMMAND\n[\\fIJOB\\fR] "
                     "[\\fIoptions\\fR]\n.SH COMMANDS\n");
    for (const struct ph_command *c = ph_command_table; c->name != NULL; c++) {
        ph_buf_printf(out, ".TP\n.B %s\n", c->name);
        put_roff(out, c->description);
        ph_buf_putc(out, '\n');
    }
    ph_buf_puts(out, ".SH OPTIONS\n");
    for (size_t i = 0; i < ph_option_count; i++) {
        const struct ph_option *option = &ph_option_table[i];

        if ((option->commands & ph_command_mask()) == 0 && option->kind != PH_OPTION_INFO)
            continue;
        if (strcmp(group, option->group) != 0) {
            group = option->group;
            ph_buf_printf(out, ".SS %s\n", group);
        }
        put_man_option(out, option);
    }
    ph_buf_puts(out, ".SH EXIT STATUS\n");
    for (const struct ph_exit_line *line = ph_exit_lines; line->code != NULL; line++) {
        ph_buf_printf(out, ".TP\n.B %s\n", line->code);
        put_roff(out, line->meaning);
        ph_buf_puts(out, ".\n");
    }
}

static const struct {
    const char *name;
    void (*put)(struct ph_buf *out);
} topics[] = {{"man", put_man}, {"options", put_options_md}, {"errors", put_errors_md}};

ph_code
ph_help_put_topic(struct ph_buf *out, const char *topic, struct ph_error *err)
{
    struct ph_nearest nearest = {.word = topic};

    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        if (strcmp(topics[i].name, topic) == 0) {
            topics[i].put(out);
            return PH_OK;
        }
        ph_nearest_offer(&nearest, topics[i].name);
    }
    PH_FAIL(err, PH_E_USAGE, "no such topic; there are man, options and errors%s%s%s",
            nearest.best != NULL ? "; did you mean " : "", nearest.best != NULL ? nearest.best : "",
            nearest.best != NULL ? "?" : "");
    ph_error_object(err, "--help=%.40s", topic);
    return PH_E_USAGE;
}
