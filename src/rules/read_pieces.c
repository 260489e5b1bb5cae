/* What every part of the rules is read with: mappings of known keys, names, words, mistakes. */
#include "rules/read_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

ph_code
ph_read_no_memory(struct ph_rules_reader *reader)
{
    return PH_FAIL(reader->err, PH_E_MEMORY, "out of memory");
}

ph_code
ph_read_fail(struct ph_rules_reader *reader, const struct ph_yaml_node *node, const char *format,
             ...)
{
    char message[512];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    PH_FAIL(reader->err, PH_E_JOBFILE, "%s", message);
    ph_error_object(reader->err, "%s:%u:%u", reader->rules->file, node->place.line,
                    node->place.column);
    return PH_E_JOBFILE;
}

ph_code
ph_read_fail_type(struct ph_rules_reader *reader, const struct ph_yaml_node *node, const char *what,
                  const char *expected)
{
    return ph_read_fail(reader, node, "%.100s: expected %s, found %s", what, expected,
                        ph_yaml_kind_name(node));
}

ph_code
ph_read_fail_unknown(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
                     const struct ph_nearest *nearest, const char *kind, const char *where)
{
    ph_read_fail(reader, node, "%s \"%.100s\" %.100s%s%s%s", kind, nearest->word, where,
                 nearest->best != NULL ? "; did you mean \"" : "",
                 nearest->best != NULL ? nearest->best : "", nearest->best != NULL ? "\"?" : "");
    if (nearest->best == NULL)
        ph_error_hint(reader->err, "docs/rules.md describes what rules are made of");
    return PH_E_JOBFILE;
}

/* The known key that `key` is. */
static ph_code
find_key(struct ph_rules_reader *reader, const struct ph_yaml_node *key, const char *what,
         const struct ph_read_key *keys, size_t *out)
{
    if (key->kind != PH_YAML_SCALAR || key->text == NULL)
        return ph_read_fail_type(reader, key, "key", "a word");
    struct ph_nearest nearest = {.word = key->text};
    for (size_t i = 0; keys[i].name != NULL; i++) {
        if (strcmp(keys[i].name, key->text) == 0) {
            *out = i;
            return PH_OK;
        }
        ph_nearest_offer(&nearest, keys[i].name);
    }
    char where[128];
    snprintf(where, sizeof where, "under \"%.100s\"", what);
    return ph_read_fail_unknown(reader, key, &nearest, "unknown key", where);
}

ph_code
ph_read_mapping(struct ph_rules_reader *reader, const struct ph_yaml_node *node, const char *what,
                const struct ph_read_key *keys, void *into)
{
    bool seen[PH_READ_KEYS_MAX] = {false};
    size_t at = 0;

    if (node->kind != PH_YAML_MAPPING)
        return ph_read_fail_type(reader, node, what, "a mapping");
    for (const struct ph_yaml_node *key = node->first; key != NULL; key = key->next->next) {
        PH_TRY(find_key(reader, key, what, keys, &at));
        if (seen[at])
            return ph_read_fail(reader, key, "%.100s: \"%s\" is given twice", what, key->text);
        seen[at] = true;
        PH_TRY(keys[at].read(reader, key->next, into));
    }
    for (size_t i = 0; keys[i].name != NULL; i++) {
        if (keys[i].is_needed && !seen[i])
            return ph_read_fail(reader, node, "%.100s: \"%s\" is missing", what, keys[i].name);
    }
    return PH_OK;
}

ph_code
ph_read_no_twice(struct ph_rules_reader *reader, const struct ph_yaml_node **items, size_t n,
                 const char *what)
{
    const struct ph_yaml_node *twice;
    const struct ph_yaml_node *before;

    if (ph_yaml_twice(reader->arena, items, n, &twice, &before) != PH_YAML_OK)
        return ph_read_no_memory(reader);
    if (twice == NULL)
        return PH_OK;
    return ph_read_fail(reader, twice, "%.100s: \"%.100s\" is given twice, first in line %u", what,
                        twice->text != NULL ? twice->text : "null", before->place.line);
}

ph_code
ph_read_keys(struct ph_rules_reader *reader, const struct ph_yaml_node *node, const char *what,
             const char *expected)
{
    size_t n = 0;

    if (node->kind != PH_YAML_MAPPING)
        return ph_read_fail_type(reader, node, what, expected);
    const struct ph_yaml_node **keys =
        PH_ARENA_ARRAY(reader->arena, const struct ph_yaml_node *, node->n);
    if (keys == NULL)
        return ph_read_no_memory(reader);
    for (const struct ph_yaml_node *key = node->first; key != NULL; key = key->next->next) {
        if (key->kind != PH_YAML_SCALAR)
            return ph_read_fail_type(reader, key, what, "a word for a key");
        keys[n++] = key;
    }
    return ph_read_no_twice(reader, keys, n, what);
}

ph_code
ph_read_constant(struct ph_rules_reader *reader, const struct ph_yaml_node *node, const char *what,
                 struct ph_rule_word *out)
{
    if (node->kind != PH_YAML_SCALAR)
        return ph_read_fail_type(reader, node, what, "a single value");
    out->place = node->place;
    out->text = NULL;
    if (node->text == NULL)
        return PH_OK;
    out->text = ph_arena_strdup(reader->arena, node->text);
    return out->text != NULL ? PH_OK : ph_read_no_memory(reader);
}

ph_code
ph_read_word(struct ph_rules_reader *reader, const struct ph_yaml_node *node, const char *what,
             struct ph_rule_word *out)
{
    if (node->kind != PH_YAML_SCALAR || node->text == NULL)
        return ph_read_fail_type(reader, node, what, "a single value");
    if (node->text[0] == '\0')
        return ph_read_fail(reader, node, "%.100s: the value is empty", what);
    return ph_read_constant(reader, node, what, out);
}

ph_code
ph_read_text(struct ph_rules_reader *reader, const struct ph_yaml_node *node, const char *what,
             const char **out)
{
    struct ph_rule_word word = {0};

    PH_TRY(ph_read_word(reader, node, what, &word));
    *out = word.text;
    return PH_OK;
}

/* All items of a list as words. */
static ph_code
read_items(struct ph_rules_reader *reader, const struct ph_yaml_node *node, const char *what,
           struct ph_rule_words *out)
{
    struct ph_rule_word *words = PH_ARENA_ARRAY(reader->arena, struct ph_rule_word, node->n);

    if (words == NULL)
        return ph_read_no_memory(reader);
    uint32_t n = 0;
    for (const struct ph_yaml_node *item = node->first; item != NULL; item = item->next)
        PH_TRY(ph_read_word(reader, item, what, &words[n++]));
    *out = (struct ph_rule_words){words, n};
    return PH_OK;
}

ph_code
ph_read_names(struct ph_rules_reader *reader, const struct ph_yaml_node *node, const char *what,
              struct ph_rule_words *out)
{
    size_t n = 0;

    if (node->kind != PH_YAML_LIST || node->n == 0)
        return ph_read_fail(reader, node, "%.100s: expected a list of names, e.g. [a, b], found %s",
                            what,
                            node->kind == PH_YAML_LIST ? "an empty one" : ph_yaml_kind_name(node));
    if (node->n > PH_READ_COLUMNS_MAX)
        return ph_read_fail(reader, node, "%.100s: %u names; a table has at most %u columns", what,
                            node->n, PH_READ_COLUMNS_MAX);
    const struct ph_yaml_node **items =
        PH_ARENA_ARRAY(reader->arena, const struct ph_yaml_node *, node->n);
    if (items == NULL)
        return ph_read_no_memory(reader);
    PH_TRY(read_items(reader, node, what, out));
    for (const struct ph_yaml_node *item = node->first; item != NULL; item = item->next)
        items[n++] = item;
    return ph_read_no_twice(reader, items, n, what);
}

ph_code
ph_read_words(struct ph_rules_reader *reader, const struct ph_yaml_node *node, const char *what,
              struct ph_rule_words *out)
{
    if (node->kind == PH_YAML_LIST)
        return read_items(reader, node, what, out);
    if (node->kind != PH_YAML_SCALAR || node->text == NULL)
        return ph_read_fail_type(reader, node, what, "a value or a list of them");
    struct ph_rule_word *word = PH_ARENA_ARRAY(reader->arena, struct ph_rule_word, 1);
    if (word == NULL)
        return ph_read_no_memory(reader);
    PH_TRY(ph_read_word(reader, node, what, word));
    *out = (struct ph_rule_words){word, 1};
    return PH_OK;
}

/* One part of a relation's name, of which `*at` is moved behind; NULL: wrong, or no memory. */
static char *
take_part(const char **at, struct ph_arena *arena, const char **why)
{
    const char *from = *at;
    char *part = ph_arena_alloc(arena, strlen(from) + 1);
    size_t len = 0;

    *why = NULL;
    if (part == NULL)
        return NULL;
    if (*from != '"') {
        len = strcspn(from, ".\"");
        memcpy(part, from, len);
        *at = from + len;
    } else {
        for (from++; *from != '\0' && (*from != '"' || from[1] == '"'); from++) {
            from += *from == '"';
            part[len++] = *from;
        }
        if (*from == '\0') {
            *why = "a quote is not closed";
            return NULL;
        }
        *at = from + 1;
    }
    if (len == 0) {
        *why = "a part of it is empty";
        return NULL;
    }
    return part;
}

bool
ph_rule_name_parse(const char *text, struct ph_arena *arena, struct ph_rule_name *out,
                   const char **why)
{
    const char *at = text;

    out->schema = "public";
    out->name = take_part(&at, arena, why);
    if (out->name != NULL && *at == '.') {
        at++;
        out->schema = out->name;
        out->name = take_part(&at, arena, why);
    }
    if (*why == NULL && out->name != NULL && *at == '.')
        *why = "it has more than two parts";
    else if (*why == NULL && out->name != NULL && *at != '\0')
        *why = "a quote is in the middle of it";
    return *why == NULL;
}

ph_code
ph_read_relation(struct ph_rules_reader *reader, const struct ph_yaml_node *node, const char *what,
                 struct ph_rule_name *out)
{
    const char *why;

    if (node->kind != PH_YAML_SCALAR || node->text == NULL)
        return ph_read_fail_type(reader, node, what, "the name of a table, e.g. public.posts");
    out->place = node->place;
    if (!ph_rule_name_parse(node->text, reader->arena, out, &why)) {
        ph_read_fail(reader, node, "%.100s: \"%.100s\" is not the name of a table: %s", what,
                     node->text, why);
        ph_error_hint(reader->err, "a name with a dot or a quote in it is quoted as in SQL, "
                                   "'public.\"a.b\"'");
        return PH_E_JOBFILE;
    }
    return out->name != NULL ? PH_OK : ph_read_no_memory(reader);
}

ph_code
ph_read_choice(struct ph_rules_reader *reader, const struct ph_yaml_node *node, const char *what,
               const char *const *words, unsigned *out)
{
    char expected[128] = "";
    size_t len = 0;

    for (unsigned i = 0; words[i] != NULL; i++) {
        int more = snprintf(expected + len, sizeof expected - len, "%s%s",
                            i == 0                 ? ""
                            : words[i + 1] == NULL ? " or "
                                                   : ", ",
                            words[i]);
        len += more > 0 ? (size_t)more : 0;
    }
    if (node->kind != PH_YAML_SCALAR || node->text == NULL)
        return ph_read_fail_type(reader, node, what, expected);
    struct ph_nearest nearest = {.word = node->text};
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], node->text) == 0) {
            *out = i;
            return PH_OK;
        }
        ph_nearest_offer(&nearest, words[i]);
    }
    return ph_read_fail(reader, node, "%.100s: \"%.100s\" is wrong; expected %s%s%s%s", what,
                        node->text, expected, nearest.best != NULL ? "; did you mean \"" : "",
                        nearest.best != NULL ? nearest.best : "",
                        nearest.best != NULL ? "\"?" : "");
}

ph_code
ph_read_flag(struct ph_rules_reader *reader, const struct ph_yaml_node *node, const char *what,
             bool *out)
{
    static const char *const yes[] = {"true", "yes", "on"};
    static const char *const no[] = {"false", "no", "off"};

    if (node->kind != PH_YAML_SCALAR || node->text == NULL)
        return ph_read_fail_type(reader, node, what, "true or false");
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        *out = strcasecmp(node->text, yes[i]) == 0;
        if (*out || strcasecmp(node->text, no[i]) == 0)
            return PH_OK;
    }
    return ph_read_fail(reader, node, "%.100s: \"%.100s\" is wrong; expected true or false", what,
                        node->text);
}
