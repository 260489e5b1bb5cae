/*
 * Reading and storing one option's value. The same code serves command line, job file and the
 * defaults of the table, so that all three are written alike.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/json.h"
#include "job/option_table.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {{"TB", UINT64_C(1) << 40},
                                         {"GB", UINT64_C(1) << 30},
                                         {"MB", UINT64_C(1) << 20},
                                         {"kB", UINT64_C(1) << 10},
                                         {NULL, 0}};
static const struct unit time_units[] = {
    {"d", UINT64_C(24) * 3600}, {"h", 3600}, {"min", 60}, {"s", 1}, {NULL, 0}};

/* The largest unit that divides the value: "64MB", "15min". */
static void
print_with_unit(uint64_t value, const struct unit *units, const char *suffix, char *out,
                size_t size)
{
    const struct unit *unit = units;

    while (unit[1].name != NULL && (value == 0 || value % unit->factor != 0))
        unit++;
    snprintf(out, size, "%" PRIu64 "%s%s", value / unit->factor, unit->name, suffix);
}

static void
print_words(const struct ph_option *option, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; option->words[i] != NULL && used < size; i++) {
        const char *between = i == 0 ? "" : option->words[i + 1] == NULL ? " or " : ", ";
        int n = snprintf(out + used, size - used, "%s%s", between, option->words[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

void
ph_option_expected(const struct ph_option *option, char *out, size_t size)
{
    char low[32];
    char high[32];

    switch (option->kind) {
    case PH_OPTION_FLAG:
        snprintf(out, size, "true or false");
        break;
    case PH_OPTION_TEXT:
    case PH_OPTION_LIST:
        snprintf(out, size, "text that is not empty");
        break;
    case PH_OPTION_CONNINFO:
        snprintf(out, size, "a libpq connection string or URI");
        break;
    case PH_OPTION_SIZE:
        print_with_unit(option->min, size_units, "", low, sizeof low);
        print_with_unit(option->max, size_units, "", high, sizeof high);
        snprintf(out, size, "a whole number with kB, MB, GB or TB, from %s to %s", low, high);
        break;
    case PH_OPTION_RATE:
        print_with_unit(option->min, size_units, "/s", low, sizeof low);
        print_with_unit(option->max, size_units, "/s", high, sizeof high);
        snprintf(out, size, "a whole number with kB/s, MB/s or GB/s, from %s to %s", low, high);
        break;
    case PH_OPTION_DURATION:
        print_with_unit(option->min, time_units, "", low, sizeof low);
        print_with_unit(option->max, time_units, "", high, sizeof high);
        snprintf(out, size, "a whole number with s, min, h or d, from %s to %s", low, high);
        break;
    case PH_OPTION_NUMBER:
        snprintf(out, size, "a whole number from %" PRIu64 " to %" PRIu64, option->min,
                 option->max);
        break;
    case PH_OPTION_WORD:
        print_words(option, out, size);
        break;
    case PH_OPTION_UNTIL:
        snprintf(out, size, "now, caught-up or a WAL position like 16/B374D848");
        break;
    case PH_OPTION_INFO:
        snprintf(out, size, "no value");
        break;
    }
}

static ph_code
refuse(const struct ph_option *option, const char *text, struct ph_error *err)
{
    char expected[160];
    struct ph_buf quoted;

    ph_option_expected(option, expected, sizeof expected);
    if (text[0] == '\0')
        return PH_FAIL(err, PH_E_USAGE, "the value is empty; expected %s", expected);
    if (option->kind == PH_OPTION_CONNINFO)
        return PH_FAIL(err, PH_E_USAGE, "the value is wrong; expected %s", expected);
    ph_buf_init(&quoted, 4096);
    ph_json_put_string(&quoted, text, strnlen(text, 200));
    PH_FAIL(err, PH_E_USAGE, "%s is wrong; expected %s", ph_buf_text(&quoted), expected);
    ph_buf_free(&quoted);
    return PH_E_USAGE;
}

/* Digits, then exactly one of the units (none when units is NULL), then the suffix. */
static bool
read_number(const char *text, const struct unit *units, const char *suffix, uint64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t factor = 1;
    const char *rest = text + digits;

    if (digits == 0 || digits > 19)
        return false;
    errno = 0;
    uint64_t number = strtoull(text, NULL, 10);
    if (units != NULL) {
        while (units->name != NULL && strncasecmp(rest, units->name, strlen(units->name)) != 0)
            units++;
        if (units->name == NULL)
            return false;
        rest += strlen(units->name);
        factor = units->factor;
    }
    if (strcmp(rest, suffix) != 0 || errno != 0 || number > UINT64_MAX / factor)
        return false;
    *out = number * factor;
    return true;
}

static ph_code
list_add(struct ph_string_list *list, const char *text, struct ph_error *err)
{
    char **items = realloc(list->items, (list->n + 1) * sizeof *items);

    if (items == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    list->items = items;
    items[list->n] = strdup(text);
    if (items[list->n] == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    list->n++;
    return PH_OK;
}

static ph_code
set_text(char **member, const char *text, struct ph_error *err)
{
    char *copy = strdup(text);

    if (copy == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    free(*member);
    *member = copy;
    return PH_OK;
}

static bool
read_word(const struct ph_option *option, const char *text, int *out)
{
    for (int i = 0; option->words[i] != NULL; i++) {
        if (strcmp(option->words[i], text) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool
read_scaled(const struct ph_option *option, const char *text, uint64_t *out)
{
    const struct unit *units = option->kind == PH_OPTION_NUMBER     ? NULL
                               : option->kind == PH_OPTION_DURATION ? time_units
                                                                    : size_units;
    const char *suffix = option->kind == PH_OPTION_RATE ? "/s" : "";

    return read_number(text, units, suffix, out) && *out >= option->min && *out <= option->max;
}

ph_code
ph_option_set(const struct ph_option *option, const char *text, struct ph_options *options,
              struct ph_error *err)
{
    void *member = (char *)options + option->offset;
    uint64_t number = 0;
    int word = 0;

    switch (option->kind) {
    case PH_OPTION_FLAG:
        *(bool *)member = strcmp(text, "true") == 0;
        if (!*(bool *)member && strcmp(text, "false") != 0)
            return refuse(option, text, err);
        return PH_OK;
    case PH_OPTION_TEXT:
    case PH_OPTION_CONNINFO:
        return text[0] == '\0' ? refuse(option, text, err) : set_text(member, text, err);
    case PH_OPTION_LIST:
        return text[0] == '\0' ? refuse(option, text, err) : list_add(member, text, err);
    case PH_OPTION_SIZE:
    case PH_OPTION_RATE:
    case PH_OPTION_DURATION:
        if (!read_scaled(option, text, &number))
            return refuse(option, text, err);
        *(uint64_t *)member = number;
        return PH_OK;
    case PH_OPTION_NUMBER:
        if (!read_scaled(option, text, &number))
            return refuse(option, text, err);
        *(uint32_t *)member = (uint32_t)number;
        return PH_OK;
    case PH_OPTION_WORD:
        if (!read_word(option, text, &word))
            return refuse(option, text, err);
        memcpy(member, &word, sizeof word); /* every enum here is as wide as an int */
        return PH_OK;
    case PH_OPTION_UNTIL:
        return ph_until_parse(text, member) ? PH_OK : refuse(option, text, err);
    case PH_OPTION_INFO:
        break;
    }
    return PH_FAIL(err, PH_E_INTERNAL, "option --%s has no value to set", option->name);
}

_Static_assert(sizeof(enum ph_verify_mode) == sizeof(int), "ph_option_set copies an int");
_Static_assert(sizeof(enum ph_log_format) == sizeof(int), "ph_option_set copies an int");
_Static_assert(sizeof(enum ph_spool_codec) == sizeof(int), "ph_option_set copies an int");
_Static_assert(sizeof(enum ph_ack) == sizeof(int), "ph_option_set copies an int");
_Static_assert(sizeof(enum ph_on_conflict) == sizeof(int), "ph_option_set copies an int");

static void
clear_list(struct ph_string_list *list)
{
    for (uint32_t i = 0; i < list->n; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct ph_string_list){0};
}

static void
clear_text(char **member)
{
    if (*member != NULL)
        explicit_bzero(*member, strlen(*member));
    free(*member);
    *member = NULL;
}

void
ph_option_clear(const struct ph_option *option, struct ph_options *options)
{
    void *member = (char *)options + option->offset;

    switch (option->kind) {
    case PH_OPTION_FLAG:
        *(bool *)member = false;
        break;
    case PH_OPTION_TEXT:
    case PH_OPTION_CONNINFO:
        clear_text(member);
        break;
    case PH_OPTION_LIST:
        clear_list(member);
        break;
    case PH_OPTION_SIZE:
    case PH_OPTION_RATE:
    case PH_OPTION_DURATION:
        *(uint64_t *)member = 0;
        break;
    case PH_OPTION_NUMBER:
        *(uint32_t *)member = 0;
        break;
    case PH_OPTION_WORD:
        memset(member, 0, sizeof(int));
        break;
    case PH_OPTION_UNTIL:
        *(struct ph_until *)member = (struct ph_until){0};
        break;
    case PH_OPTION_INFO:
        break;
    }
}
