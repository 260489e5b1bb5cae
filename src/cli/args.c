/*
 * getopt_long is not used: it accepts abbreviations, which would turn a new option into a break of
 * scripts, and cannot say what was expected.
 */
#include "cli/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/secret.h"
#include "job/jobfile.h"
#include "job/option_table.h"

struct walk {
    struct ph_args *args;
    struct ph_option_marks marks;
    char *const *argv;
    int at; /* next element to look at */
    int argc;
    struct ph_error *err;
};

static ph_code
usage(struct walk *walk, const char *object, const char *message)
{
    PH_FAIL(walk->err, PH_E_USAGE, "%s", message);
    ph_error_object(walk->err, "%s", object);
    return PH_E_USAGE;
}

static ph_code
unknown_command(struct walk *walk, const char *word)
{
    struct ph_nearest nearest = {.word = word};

    for (const struct ph_command *c = ph_command_table; c->name != NULL; c++)
        ph_nearest_offer(&nearest, c->name);
    if (nearest.best != NULL)
        PH_FAIL(walk->err, PH_E_USAGE, "no such command; did you mean \"%s\"?", nearest.best);
    else
        PH_FAIL(walk->err, PH_E_USAGE, "no such command");
    ph_error_object(walk->err, "%.100s", word);
    return PH_E_USAGE;
}

static ph_code
unknown_option(struct walk *walk, const char *name)
{
    struct ph_nearest nearest = {.word = name};
    uint32_t mask = 1u << walk->args->command->id;

    for (size_t i = 0; i < ph_option_count; i++) {
        if ((ph_option_table[i].commands & mask) != 0)
            ph_nearest_offer(&nearest, ph_option_table[i].name);
    }
    if (nearest.best != NULL)
        PH_FAIL(walk->err, PH_E_USAGE, "no such option; did you mean --%s?", nearest.best);
    else
        PH_FAIL(walk->err, PH_E_USAGE, "no such option");
    ph_error_object(walk->err, "--%.100s", name);
    ph_error_hint(walk->err, "pghaul %s --help lists its options", walk->args->command->name);
    return PH_E_USAGE;
}

static ph_code
misplaced_option(struct walk *walk, const struct ph_option *option)
{
    char with[200] = "";
    size_t used = 0;

    for (const struct ph_command *c = ph_command_table; c->name != NULL; c++) {
        if ((option->commands & (1u << c->id)) != 0 && used < sizeof with)
            used += (size_t)snprintf(with + used, sizeof with - used, "%s%s", used == 0 ? "" : ", ",
                                     c->name);
    }
    PH_FAIL(walk->err, PH_E_USAGE, "goes with %s, not with %s", with, walk->args->command->name);
    ph_error_object(walk->err, "--%s", option->name);
    return PH_E_USAGE;
}

/* The value behind '=' or in the next argument; NULL: there is none. */
static const char *
take_value(struct walk *walk, const char *equals)
{
    if (equals != NULL)
        return equals + 1;
    if (walk->at >= walk->argc || strncmp(walk->argv[walk->at], "--", 2) == 0)
        return NULL;
    return walk->argv[walk->at++];
}

static ph_code
store(struct walk *walk, const struct ph_option *option, const char *equals)
{
    struct ph_options *options = &walk->args->options;
    size_t position = (size_t)(option - ph_option_table);
    const char *value = "true";

    if (option->kind == PH_OPTION_FLAG && equals != NULL) {
        PH_FAIL(walk->err, PH_E_USAGE, "takes no value");
    } else if (option->kind != PH_OPTION_FLAG && (value = take_value(walk, equals)) == NULL) {
        char expected[160];
        ph_option_expected(option, expected, sizeof expected);
        PH_FAIL(walk->err, PH_E_USAGE, "the value is missing; expected %s", expected);
    } else {
        walk->marks.given[position] = true;
        ph_code rc = ph_option_set(option, value, options, walk->err);
        if (rc != PH_E_USAGE)
            return rc;
    }
    ph_error_object(walk->err, "--%s", option->name);
    return PH_E_USAGE;
}

static ph_code
ask(struct walk *walk, const char *name, const char *equals)
{
    if (strcmp(name, "help") == 0) {
        walk->args->ask = PH_ASK_HELP;
        walk->args->topic = equals != NULL ? equals + 1 : NULL;
        return PH_OK;
    }
    if (equals != NULL)
        return usage(walk, "--version", "takes no value");
    if (walk->args->ask == PH_ASK_RUN)
        walk->args->ask = PH_ASK_VERSION;
    return PH_OK;
}

/* `word` starts with two dashes. */
static ph_code
take_option(struct walk *walk, const char *word)
{
    char name[64];
    const char *equals = strchr(word, '=');
    size_t len = (equals != NULL ? (size_t)(equals - word) : strlen(word)) - 2;

    snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : sizeof name - 1), word + 2);
    const struct ph_option *option = ph_option_find(name);
    if (option != NULL && option->kind == PH_OPTION_INFO)
        return ask(walk, name, equals);
    if (walk->args->command == NULL) {
        PH_FAIL(walk->err, PH_E_USAGE, "comes before the command; give the command first");
        ph_error_object(walk->err, "--%s", name);
        return PH_E_USAGE;
    }
    if (option == NULL || (option->commands & ph_command_mask()) == 0)
        return unknown_option(walk, name);
    if ((option->commands & (1u << walk->args->command->id)) == 0)
        return misplaced_option(walk, option);
    return store(walk, option, equals);
}

static ph_code
take_verb(struct walk *walk, const char *word)
{
    const struct ph_command *command = walk->args->command;
    char list[100] = "";
    size_t used = 0;

    for (const char *const *verb = command->verbs; *verb != NULL; verb++) {
        if (strcmp(*verb, word) == 0) {
            walk->args->options.verb = *verb;
            return PH_OK;
        }
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used == 0 ? "" : ", ",
                                     *verb);
    }
    PH_FAIL(walk->err, PH_E_USAGE, "is followed by one of: %s", list);
    ph_error_object(walk->err, "%s", command->name);
    return PH_E_USAGE;
}

static ph_code
take_plain(struct walk *walk, const char *word)
{
    struct ph_args *args = walk->args;

    if (args->command == NULL) {
        args->command = ph_command_find(word);
        return args->command != NULL ? PH_OK : unknown_command(walk, word);
    }
    if (args->command->verbs != NULL && args->options.verb == NULL)
        return take_verb(walk, word);
    /* not quoted: it may be a connection string that lost its option */
    if (args->options.job_file != NULL)
        return usage(walk, args->command->name, "takes one job file, and a second one is given");
    if (strstr(word, "://") != NULL || strchr(word, '=') != NULL)
        return usage(walk, args->command->name,
                     "a connection string goes behind --source or --target");
    args->options.job_file = strdup(word);
    return args->options.job_file != NULL ? PH_OK
                                          : PH_FAIL(walk->err, PH_E_MEMORY, "out of memory");
}

static ph_code
take_all(struct walk *walk)
{
    bool options_ended = false;

    while (walk->at < walk->argc) {
        const char *word = walk->argv[walk->at++];

        if (!options_ended && strcmp(word, "--") == 0)
            options_ended = true;
        else if (!options_ended && strncmp(word, "--", 2) == 0)
            PH_TRY(take_option(walk, word));
        else if (!options_ended && word[0] == '-' && word[1] != '\0')
            return usage(walk, word, "no such option; options have two dashes, see pghaul --help");
        else
            PH_TRY(take_plain(walk, word));
    }
    return PH_OK;
}

ph_code
ph_args_parse(struct ph_args *args, int argc, char *const *argv, struct ph_error *err)
{
    struct walk walk = {.args = args, .argv = argv, .argc = argc, .at = 1, .err = err};

    memset(args, 0, sizeof *args);
    PH_TRY(ph_options_init(&args->options, err));
    PH_TRY(take_all(&walk));
    if (args->ask != PH_ASK_RUN)
        return PH_OK;
    if (args->command == NULL)
        return PH_FAIL(err, PH_E_USAGE, "no command is given");
    if (args->command->verbs != NULL && args->options.verb == NULL)
        return take_verb(&walk, "");
    if (args->options.job_file != NULL)
        PH_TRY(ph_jobfile_load(args->options.job_file, &walk.marks, &args->options, err));
    return ph_options_complete(&args->options, args->command->id, err);
}

void
ph_args_free(struct ph_args *args)
{
    ph_options_free(&args->options);
}

char **
ph_args_take(int argc, char **argv)
{
    char **copy = calloc((size_t)argc + 1, sizeof *copy);

    for (int i = 0; i < argc; i++) {
        if (copy != NULL)
            copy[i] = strdup(argv[i]);
        if (i > 0)
            ph_secret_mask(argv[i]);
        if (copy != NULL && copy[i] == NULL) {
            ph_args_free_copy(copy);
            copy = NULL;
        }
    }
    return copy;
}

void
ph_args_free_copy(char **copy)
{
    for (char **at = copy; at != NULL && *at != NULL; at++) {
        explicit_bzero(*at, strlen(*at));
        free(*at);
    }
    free(copy);
}

enum ph_log_format
ph_args_log_format(int argc, char *const *argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--log-format=json") == 0 ||
            (strcmp(argv[i], "--log-format") == 0 && i + 1 < argc &&
             strcmp(argv[i + 1], "json") == 0))
            return PH_LOG_JSON;
    }
    return PH_LOG_TEXT;
}
