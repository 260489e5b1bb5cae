/*
 * Every option, once: parser, help, man page, docs/options.md and the keys of the job file are made
 * from this table. Immutable, any thread.
 */
#ifndef PH_JOB_OPTION_TABLE_H
#define PH_JOB_OPTION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "job/options.h"

/* 1 offers the options of --follow. Not before every one of them is read by something. */
#ifndef PH_OFFERS_FOLLOW
#define PH_OFFERS_FOLLOW 1
#endif

#define PH_FOR(id) (1u << PH_COMMAND_##id)
#define PH_FOR_ALL                                                                                 \
    (PH_FOR(CHECK) | PH_FOR(PLAN) | PH_FOR(COPY) | PH_FOR(STOP) | PH_FOR(VERIFY) |                 \
     PH_FOR(STATUS) | PH_FOR(CLEAN) | PH_FOR(RULES))
#define PH_FOR_JOB (PH_FOR(CHECK) | PH_FOR(PLAN) | PH_FOR(COPY))

enum ph_option_kind {
    PH_OPTION_FLAG,     /* bool */
    PH_OPTION_TEXT,     /* char * */
    PH_OPTION_CONNINFO, /* char *, may hold a password: never quoted in a message */
    PH_OPTION_LIST,     /* struct ph_string_list; may be repeated */
    PH_OPTION_SIZE,     /* uint64_t, bytes */
    PH_OPTION_RATE,     /* uint64_t, bytes a second */
    PH_OPTION_DURATION, /* uint64_t, seconds */
    PH_OPTION_NUMBER,   /* uint32_t */
    PH_OPTION_WORD,     /* an enum; position in `words` */
    PH_OPTION_UNTIL,    /* struct ph_until */
    PH_OPTION_INFO      /* no member: --help, --version */
};

struct ph_option {
    const char *name; /* without the dashes */
    enum ph_option_kind kind;
    uint32_t commands;        /* PH_FOR(...) | ... */
    size_t offset;            /* in struct ph_options */
    const char *placeholder;  /* "SIZE"; NULL: takes no value */
    const char *initial;      /* default, as a user would write it; NULL: none */
    const char *initial_note; /* said in help instead of `initial`; NULL: say that */
    uint64_t min;
    uint64_t max;
    const char *const *words; /* NULL-terminated */
    const char *key;          /* in the job file, "copy.split"; NULL: not there */
    const char *group;        /* heading in help */
    const char *help;         /* one sentence without a full stop */
};

extern const struct ph_option ph_option_table[];
extern const size_t ph_option_count;
#define PH_OPTIONS_MAX 64 /* ph_option_count stays below */

/* By long name, without dashes; NULL: no such option. */
const struct ph_option *ph_option_find(const char *name);

/*
 * Read `text` and store it in `options`: a list grows by it, everything else is replaced. `text` is
 * "true" or "false" for a flag. PH_E_USAGE with a message that says what was expected and leaves
 * naming the option to the caller.
 */
ph_code ph_option_set(const struct ph_option *option, const char *text, struct ph_options *options,
                      struct ph_error *err);

/* Empty the option's member (a list given on the command line replaces the job file's). */
void ph_option_clear(const struct ph_option *option, struct ph_options *options);

/* "a number from 1 to 64", "kB, MB, GB or TB …": what a value must look like, for help and errors.
 */
void ph_option_expected(const struct ph_option *option, char *out, size_t size);

#endif
