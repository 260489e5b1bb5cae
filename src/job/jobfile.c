/*
 * A recursive walk over libyaml's events. Events rather than its document API: positions are at
 * hand, and aliases can be refused before anything is expanded. What is about rules is gathered as
 * trees and read when the file is at its end, since maps may stand behind the tables that use them.
 */
#include "job/jobfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "base/nearest.h"
#include "rules/read.h"

#define KEY_MAX_BYTES 128

struct reader {
    yaml_parser_t parser;
    const char *file;
    const struct ph_option_marks *marks;
    struct ph_options *options;
    bool seen[PH_OPTIONS_MAX]; /* options set by this file: twice is a mistake */
    struct ph_yaml_tree tree;  /* what is under the keys about rules, as it was written */
    struct ph_rules_trees rules;
    struct ph_error *err;
};

/* Where a mistake is becomes the record's object. */
static ph_code
fail_at(struct reader *reader, yaml_mark_t mark)
{
    ph_error_object(reader->err, "%s:%zu:%zu", reader->file, mark.line + 1, mark.column + 1);
    return PH_E_JOBFILE;
}

static ph_code
fail_syntax(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;

    if (parser->error == YAML_MEMORY_ERROR)
        return PH_FAIL(reader->err, PH_E_MEMORY, "out of memory");
    PH_FAIL(reader->err, PH_E_JOBFILE, "not valid YAML: %s%s%s",
            parser->problem != NULL ? parser->problem : "unreadable",
            parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "");
    return fail_at(reader, parser->problem_mark);
}

static const char *
event_name(yaml_event_type_t type)
{
    switch ((int)type) {
    case YAML_SEQUENCE_START_EVENT:
        return "a list";
    case YAML_MAPPING_START_EVENT:
        return "a mapping";
    case YAML_SCALAR_EVENT:
        return "a single value";
    default:
        return "the end";
    }
}

static bool
has_tag(const yaml_event_t *event)
{
    switch ((int)event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.tag != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.tag != NULL;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.tag != NULL;
    default:
        return false;
    }
}

/* The next event, the caller's to delete also on failure; aliases and tags end here. */
static ph_code
next_event(struct reader *reader, yaml_event_t *event)
{
    memset(event, 0, sizeof *event);
    if (!yaml_parser_parse(&reader->parser, event))
        return fail_syntax(reader);
    if (event->type == YAML_ALIAS_EVENT) {
        PH_FAIL(reader->err, PH_E_JOBFILE, "aliases (*name) are not taken; write the value out");
        return fail_at(reader, event->start_mark);
    }
    if (has_tag(event)) {
        PH_FAIL(reader->err, PH_E_JOBFILE, "tags (!name) are not taken; quote the value instead");
        return fail_at(reader, event->start_mark);
    }
    return PH_OK;
}

static ph_code
fail_type(struct reader *reader, const yaml_event_t *event, const char *key, const char *expected)
{
    PH_FAIL(reader->err, PH_E_JOBFILE, "%s: expected %s, found %s", key, expected,
            event_name(event->type));
    return fail_at(reader, event->start_mark);
}

static const struct ph_option *
option_of_key(const char *key)
{
    for (size_t i = 0; i < ph_option_count; i++) {
        if (ph_option_table[i].key != NULL && strcmp(ph_option_table[i].key, key) == 0)
            return &ph_option_table[i];
    }
    return NULL;
}

/* The part of an option's key that can stand under `prefix` ("copy."), in `out`; false: none. */
static bool
key_under(const struct ph_option *option, const char *prefix, char *out, size_t size)
{
    size_t len = strlen(prefix);

    if (option->key == NULL || strncmp(option->key, prefix, len) != 0)
        return false;
    snprintf(out, size, "%.*s", (int)strcspn(option->key + len, "."), option->key + len);
    return true;
}

static bool
is_section(const char *key)
{
    size_t len = strlen(key);

    for (size_t i = 0; i < ph_option_count; i++) {
        const char *other = ph_option_table[i].key;
        if (other != NULL && strncmp(other, key, len) == 0 && other[len] == '.')
            return true;
    }
    return false;
}

static ph_code
fail_unknown(struct reader *reader, const yaml_event_t *event, const char *prefix, const char *word)
{
    struct ph_nearest nearest = {.word = word};
    char candidates[PH_OPTIONS_MAX][KEY_MAX_BYTES];
    char where[KEY_MAX_BYTES] = "at the top of a job file";

    for (size_t i = 0; i < ph_option_count; i++) {
        if (key_under(&ph_option_table[i], prefix, candidates[i], sizeof candidates[i]))
            ph_nearest_offer(&nearest, candidates[i]);
    }
    if (prefix[0] == '\0')
        ph_rules_offer_keys(&nearest);
    else
        snprintf(where, sizeof where, "under \"%.*s\"", (int)strlen(prefix) - 1, prefix);
    PH_FAIL(reader->err, PH_E_JOBFILE, "unknown key \"%.100s\" %s%s%s%s", word, where,
            nearest.best != NULL ? "; did you mean \"" : "",
            nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "\"?" : "");
    if (nearest.best == NULL)
        ph_error_hint(reader->err, "docs/options.md lists the keys of the job file");
    return fail_at(reader, event->start_mark);
}

/* YAML's usual spellings of a flag; anything else is left for ph_option_set to refuse. */
static const char *
flag_text(const char *text)
{
    if (strcasecmp(text, "yes") == 0 || strcasecmp(text, "on") == 0 ||
        strcasecmp(text, "true") == 0)
        return "true";
    if (strcasecmp(text, "no") == 0 || strcasecmp(text, "off") == 0 ||
        strcasecmp(text, "false") == 0)
        return "false";
    return text;
}

static ph_code
store_scalar(struct reader *reader, const struct ph_option *option, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t position = (size_t)(option - ph_option_table);
    struct ph_options scratch = {0};
    struct ph_error *err = reader->err;
    ph_code rc;

    if (strlen(text) != event->data.scalar.length) {
        PH_FAIL(err, PH_E_JOBFILE, "%s: a zero byte inside the value", option->key);
        return fail_at(reader, event->start_mark);
    }
    if (option->kind == PH_OPTION_FLAG)
        text = flag_text(text);
    if (reader->marks->given[position]) { /* checked, not taken */
        rc = ph_option_set(option, text, &scratch, err);
        ph_option_clear(option, &scratch);
    } else {
        rc = ph_option_set(option, text, reader->options, err);
    }
    if (rc == PH_E_USAGE) {
        char cause[512];
        if (err != NULL) {
            snprintf(cause, sizeof cause, "%.500s", err->message);
            PH_FAIL(err, PH_E_JOBFILE, "%s: %s", option->key, cause);
        }
        return fail_at(reader, event->start_mark);
    }
    return rc;
}

static ph_code
read_list(struct reader *reader, const struct ph_option *option)
{
    yaml_event_t event;
    ph_code rc = next_event(reader, &event);

    while (rc == PH_OK && event.type != YAML_SEQUENCE_END_EVENT) {
        if (event.type != YAML_SCALAR_EVENT)
            rc = fail_type(reader, &event, option->key, "a single value inside the list");
        else
            rc = store_scalar(reader, option, &event);
        yaml_event_delete(&event);
        if (rc == PH_OK)
            rc = next_event(reader, &event);
    }
    yaml_event_delete(&event);
    return rc;
}

/* The value of an option; `event` is its first event. */
static ph_code
read_option(struct reader *reader, const struct ph_option *option, const yaml_event_t *event)
{
    size_t position = (size_t)(option - ph_option_table);

    if (reader->seen[position]) {
        PH_FAIL(reader->err, PH_E_JOBFILE, "%s: given twice", option->key);
        return fail_at(reader, event->start_mark);
    }
    reader->seen[position] = true;
    if (option->kind == PH_OPTION_LIST) {
        if (event->type != YAML_SEQUENCE_START_EVENT)
            return fail_type(reader, event, option->key, "a list, e.g. [a, b]");
        return read_list(reader, option);
    }
    if (event->type != YAML_SCALAR_EVENT) {
        char expected[160];
        ph_option_expected(option, expected, sizeof expected);
        return fail_type(reader, event, option->key, expected);
    }
    return store_scalar(reader, option, event);
}

/* ---- what is under the keys about rules, gathered for src/rules/read.c ---- */

static ph_code
fail_tree(struct reader *reader, const yaml_event_t *event, enum ph_yaml_result result)
{
    switch (result) {
    case PH_YAML_OK:
    case PH_YAML_NO_MEMORY:
        return PH_FAIL(reader->err, PH_E_MEMORY, "out of memory");
    case PH_YAML_TOO_DEEP:
        PH_FAIL(reader->err, PH_E_JOBFILE, "nested deeper than %d", PH_YAML_DEPTH_MAX);
        break;
    case PH_YAML_TOO_MANY:
        PH_FAIL(reader->err, PH_E_JOBFILE, "more than %u values", PH_YAML_NODES_MAX);
        break;
    case PH_YAML_ZERO_BYTE:
        PH_FAIL(reader->err, PH_E_JOBFILE, "a zero byte inside the value");
        break;
    }
    return fail_at(reader, event->start_mark);
}

static ph_code
add_to_tree(struct reader *reader, const yaml_event_t *event)
{
    struct ph_yaml_tree *tree = &reader->tree;
    struct ph_rule_place place = {(uint32_t)event->start_mark.line + 1,
                                  (uint32_t)event->start_mark.column + 1};
    enum ph_yaml_result result = PH_YAML_OK;

    switch ((int)event->type) {
    case YAML_SCALAR_EVENT:
        result =
            ph_yaml_scalar(tree, (const char *)event->data.scalar.value, event->data.scalar.length,
                           event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE, place);
        break;
    case YAML_SEQUENCE_START_EVENT:
        result = ph_yaml_begin(tree, PH_YAML_LIST, place);
        break;
    case YAML_MAPPING_START_EVENT:
        result = ph_yaml_begin(tree, PH_YAML_MAPPING, place);
        break;
    default:
        ph_yaml_end(tree);
        break;
    }
    return result == PH_YAML_OK ? PH_OK : fail_tree(reader, event, result);
}

/* What stands under the key number `part`. */
static ph_code
read_tree(struct reader *reader, int part, const yaml_event_t *key_event)
{
    ph_code rc = PH_OK;

    if (reader->rules.parts[part] != NULL) {
        PH_FAIL(reader->err, PH_E_JOBFILE, "%s: given twice",
                (const char *)key_event->data.scalar.value);
        return fail_at(reader, key_event->start_mark);
    }
    reader->tree.root = NULL;
    while (rc == PH_OK && !ph_yaml_is_complete(&reader->tree)) {
        yaml_event_t event;
        rc = next_event(reader, &event);
        if (rc == PH_OK)
            rc = add_to_tree(reader, &event);
        yaml_event_delete(&event);
    }
    reader->rules.parts[part] = reader->tree.root;
    return rc;
}

static ph_code
read_rules(struct reader *reader)
{
    struct ph_job_rules *rules = NULL;
    bool is_there = false;

    for (int i = 0; i < PH_RULES_KEYS; i++)
        is_there |= reader->rules.parts[i] != NULL;
    if (!is_there)
        return PH_OK;
    PH_TRY(ph_job_rules_read(reader->file, &reader->rules, &rules, reader->err));
    ph_job_rules_free(reader->options->rules);
    reader->options->rules = rules;
    return PH_OK;
}

static ph_code read_mapping(struct reader *reader, const char *prefix);

/* One key and its value. Depth is bounded by the key table: only sections are gone into. */
static ph_code
read_entry(struct reader *reader, const char *prefix, const yaml_event_t *key_event)
{
    char key[KEY_MAX_BYTES];
    yaml_event_t value;

    if (key_event->type != YAML_SCALAR_EVENT)
        return fail_type(reader, key_event, "key", "a word");
    const char *word = (const char *)key_event->data.scalar.value;
    int needed = snprintf(key, sizeof key, "%s%s", prefix, word);
    if (prefix[0] == '\0' && strlen(word) == key_event->data.scalar.length &&
        ph_rules_key(word) >= 0)
        return read_tree(reader, ph_rules_key(word), key_event);
    const struct ph_option *option = option_of_key(key);
    if (needed < 0 || (size_t)needed >= sizeof key || strchr(word, '.') != NULL ||
        strlen(word) != key_event->data.scalar.length || (option == NULL && !is_section(key)))
        return fail_unknown(reader, key_event, prefix, word);

    ph_code rc = next_event(reader, &value);
    if (rc != PH_OK) {
        yaml_event_delete(&value);
        return rc;
    }
    if (option != NULL) {
        rc = read_option(reader, option, &value);
    } else if (value.type != YAML_MAPPING_START_EVENT) {
        rc = fail_type(reader, &value, key, "a mapping of further keys");
    } else {
        memcpy(key + needed, ".", 2); /* a section's name is in the table, far shorter than key */
        rc = read_mapping(reader, key);
    }
    yaml_event_delete(&value);
    return rc;
}

static ph_code
read_mapping(struct reader *reader, const char *prefix)
{
    yaml_event_t event;
    ph_code rc = next_event(reader, &event);

    while (rc == PH_OK && event.type != YAML_MAPPING_END_EVENT) {
        rc = read_entry(reader, prefix, &event);
        yaml_event_delete(&event);
        if (rc == PH_OK)
            rc = next_event(reader, &event);
    }
    yaml_event_delete(&event);
    return rc;
}

/* Stream start, one document that is a mapping (or nothing at all), stream end. */
static ph_code
read_stream(struct reader *reader)
{
    unsigned documents = 0;
    bool end = false;
    ph_code rc = PH_OK;

    while (rc == PH_OK && !end) {
        yaml_event_t event;
        rc = next_event(reader, &event);
        if (rc == PH_OK && event.type == YAML_MAPPING_START_EVENT) {
            rc = read_mapping(reader, "");
        } else if (rc == PH_OK && event.type == YAML_DOCUMENT_START_EVENT && ++documents > 1) {
            PH_FAIL(reader->err, PH_E_JOBFILE, "a second document; a job file holds one");
            rc = fail_at(reader, event.start_mark);
        } else if (rc == PH_OK &&
                   (event.type == YAML_SCALAR_EVENT || event.type == YAML_SEQUENCE_START_EVENT)) {
            rc = fail_type(reader, &event, "job file", "a mapping, e.g. source: service=prod");
        }
        end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    return rc;
}

ph_code
ph_jobfile_parse(const char *name, const uint8_t *data, size_t len,
                 const struct ph_option_marks *marks, struct ph_options *options,
                 struct ph_error *err)
{
    struct reader reader = {.file = name, .marks = marks, .options = options, .err = err};

    if (len > PH_JOBFILE_MAX_BYTES) {
        PH_FAIL(err, PH_E_JOBFILE, "larger than %zu kB", PH_JOBFILE_MAX_BYTES / 1024);
        ph_error_object(err, "%s", name);
        return PH_E_JOBFILE;
    }
    if (!yaml_parser_initialize(&reader.parser))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    yaml_parser_set_input_string(&reader.parser, data, len);
    ph_yaml_tree_init(&reader.tree);
    ph_code rc = read_stream(&reader);
    yaml_parser_delete(&reader.parser);
    if (rc == PH_OK)
        rc = read_rules(&reader);
    ph_yaml_tree_reset(&reader.tree);
    return rc;
}

static ph_code
fail_file(const char *path, struct ph_error *err)
{
    PH_FAIL(err, PH_E_JOBFILE, "cannot read the job file: %s", strerror(errno));
    ph_error_object(err, "%s", path);
    return PH_E_JOBFILE;
}

/* Reads a little more than the bound, so that ph_jobfile_parse sees that it is exceeded. */
static bool
read_all(int fd, uint8_t *data, size_t size, size_t *len)
{
    for (*len = 0; *len < size;) {
        ssize_t n = read(fd, data + *len, size - *len);
        if (n == 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
        *len += n > 0 ? (size_t)n : 0;
    }
    return true;
}

ph_code
ph_jobfile_load(const char *path, const struct ph_option_marks *marks, struct ph_options *options,
                struct ph_error *err)
{
    size_t size = PH_JOBFILE_MAX_BYTES + 1;
    size_t len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return fail_file(path, err);
    uint8_t *data = malloc(size);
    ph_code rc;
    if (data == NULL)
        rc = PH_FAIL(err, PH_E_MEMORY, "out of memory");
    else if (!read_all(fd, data, size, &len))
        rc = fail_file(path, err);
    else
        rc = ph_jobfile_parse(path, data, len, marks, options, err);
    if (data != NULL)
        explicit_bzero(data, len); /* may hold a password */
    free(data);
    close(fd);
    return rc;
}
