/*
 * The rule of one column. A rule has one form; each form is one key of the rule's mapping. What
 * stands under `do:` are steps, and the forms that are one step are read by the same functions.
 */
#include <assert.h>
#include <string.h>

#include "rules/read_parts.h"

struct rule { /* one mapping, before it is known what it amounts to */
    struct ph_rules_reader *reader;
    const struct ph_yaml_node *form_key; /* the key that says which form it is */
    const struct ph_yaml_node *form;     /* and what stands there */
    const struct ph_yaml_node *from;
    const struct ph_yaml_node *otherwise; /* else */
    const struct ph_yaml_node *params;
};

static ph_code
read_params(struct ph_rules_reader *reader, const struct ph_yaml_node *node, const char *op,
            struct ph_rule_step *step)
{
    if (node->kind == PH_YAML_MAPPING)
        return ph_read_fail_type(reader, node, op, "a constant or a list of them");
    struct ph_rule_word *words = PH_ARENA_ARRAY(reader->arena, struct ph_rule_word, node->n + 1);
    if (words == NULL)
        return ph_read_no_memory(reader);
    const struct ph_yaml_node *item = node->kind == PH_YAML_LIST ? node->first : node;
    uint32_t n = 0;
    for (; item != NULL; item = node->kind == PH_YAML_LIST ? item->next : NULL) {
        if (item->kind != PH_YAML_SCALAR || item->text == NULL)
            return ph_read_fail_type(reader, item, op, "a constant");
        PH_TRY(ph_read_constant(reader, item, op, &words[n++]));
    }
    step->params = (struct ph_rule_words){words, n};
    return PH_OK;
}

static ph_code
read_map_name(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
              struct ph_rule_step *step)
{
    struct ph_nearest nearest = {.word = node->text};

    if (node->kind != PH_YAML_SCALAR || node->text == NULL)
        return ph_read_fail_type(reader, node, "map", "the name of a map under maps:");
    for (uint32_t i = 0; i < reader->rules->n_maps; i++) {
        const struct ph_rule_map *map = &reader->rules->maps[i];
        if (strcmp(map->name, node->text) == 0) {
            step->op = "map";
            step->map = map;
            return PH_OK;
        }
        ph_nearest_offer(&nearest, map->name);
    }
    return ph_read_fail_unknown(reader, node, &nearest, "map", "is not under \"maps\"");
}

static ph_code
read_else_value(struct ph_rules_reader *reader, const struct ph_yaml_node *value, void *into)
{
    struct ph_rule_step *step = into;

    PH_TRY(ph_read_constant(reader, value, "else", &step->else_value));
    step->otherwise = step->else_value.text != NULL ? PH_ELSE_VALUE : PH_ELSE_NULL;
    return PH_OK;
}

static ph_code
read_else(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
          struct ph_rule_step *step)
{
    static const struct ph_read_key keys[] = {{"value", read_else_value, true},
                                              {NULL, NULL, false}};
    static const char *const words[] = {"error", "quarantine", "null", "keep", NULL};
    unsigned position = 0;

    if (node->kind == PH_YAML_MAPPING)
        return ph_read_mapping(reader, node, "else", keys, step);
    if (node->kind == PH_YAML_LIST)
        return ph_read_fail_type(reader, node, "else",
                                 "error, quarantine, null, keep or {value: V}");
    if (node->text == NULL) {
        step->otherwise = PH_ELSE_NULL;
        return PH_OK;
    }
    ph_code rc = ph_read_choice(reader, node, "else", words, &position);
    if (rc == PH_E_JOBFILE)
        ph_error_hint(reader->err, "a constant is written {value: V}");
    step->otherwise = (enum ph_rule_else)position; /* in the enum's order */
    return rc;
}

/* "file.so:operator"; the last colon parts them. */
static ph_code
read_library(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
             struct ph_rule_step *step)
{
    PH_TRY(ph_read_text(reader, node, "c", &step->library));
    const char *colon = strrchr(step->library, ':');
    if (colon == NULL || colon == step->library || colon[1] == '\0')
        return ph_read_fail(reader, node,
                            "c: \"%.100s\" is wrong; expected a library and an "
                            "operator of it, e.g. \"my_rules.so:score\"",
                            node->text);
    step->op = colon + 1;
    step->library = ph_arena_strndup(reader->arena, step->library, (size_t)(colon - step->library));
    return step->library != NULL ? PH_OK : ph_read_no_memory(reader);
}

/* A name, or one with constants behind it, {range: [1, 10]}; `prefix` goes before the name. */
static ph_code
read_operator(struct ph_rules_reader *reader, const struct ph_yaml_node *node, const char *what,
              const char *prefix, struct ph_rule_step *step)
{
    const struct ph_yaml_node *name = node;

    if (node->kind == PH_YAML_MAPPING && node->n == 1)
        name = node->first;
    assert(name != NULL);
    if (name->kind != PH_YAML_SCALAR || name->text == NULL)
        return ph_read_fail_type(
            reader, node, what, "an operator, or one with its constants, e.g. {substring: [1, 4]}");
    if (name->text[0] == '\0')
        return ph_read_fail(reader, name, "%.100s: the value is empty", what);
    step->op = ph_arena_printf(reader->arena, "%s%s", prefix, name->text);
    if (step->op == NULL)
        return ph_read_no_memory(reader);
    return name != node ? read_params(reader, name->next, name->text, step) : PH_OK;
}

/* ---- forms that are one step ---- */

static ph_code
form_map(struct rule *rule, struct ph_rule_step *step)
{
    PH_TRY(read_map_name(rule->reader, rule->form, step));
    return rule->otherwise != NULL ? read_else(rule->reader, rule->otherwise, step) : PH_OK;
}

static ph_code
form_mask(struct rule *rule, struct ph_rule_step *step)
{
    return read_operator(rule->reader, rule->form, "mask", "mask_", step);
}

static ph_code
form_default(struct rule *rule, struct ph_rule_step *step)
{
    if (rule->form->kind != PH_YAML_SCALAR || rule->form->text == NULL)
        return ph_read_fail_type(rule->reader, rule->form, "default", "a value for NULL");
    step->op = "default";
    return read_params(rule->reader, rule->form, "default", step);
}

static ph_code
form_c(struct rule *rule, struct ph_rule_step *step)
{
    PH_TRY(read_library(rule->reader, rule->form, step));
    return rule->params != NULL ? read_params(rule->reader, rule->params, "params", step) : PH_OK;
}

/* ---- the other forms ---- */

static ph_code
form_set(struct rule *rule, struct ph_rule_column *out)
{
    if (rule->from != NULL)
        return ph_read_fail(rule->reader, rule->from,
                            "\"from\" does not go with \"set\": a "
                            "constant is made of no column");
    out->kind = PH_RULE_SET;
    return ph_read_constant(rule->reader, rule->form, "set", &out->constant);
}

static ph_code
form_do(struct rule *rule, struct ph_rule_column *out)
{
    const struct ph_yaml_node *list = rule->form;

    if (list->kind != PH_YAML_LIST || list->n == 0)
        return ph_read_fail(rule->reader, list,
                            "do: expected a list of operators, e.g. "
                            "[trim, lower], found %s",
                            list->kind == PH_YAML_LIST ? "an empty one" : ph_yaml_kind_name(list));
    struct ph_rule_step *steps = PH_ARENA_ARRAY(rule->reader->arena, struct ph_rule_step, list->n);
    if (steps == NULL)
        return ph_read_no_memory(rule->reader);
    out->steps = steps;
    for (const struct ph_yaml_node *item = list->first; item != NULL; item = item->next)
        PH_TRY(ph_read_step(rule->reader, item, &steps[out->n_steps++]));
    return PH_OK;
}

static ph_code
read_lookup_table(struct ph_rules_reader *reader, const struct ph_yaml_node *value, void *into)
{
    return ph_read_relation(reader, value, "table", &((struct ph_rule_lookup *)into)->table);
}

static ph_code
read_lookup_key(struct ph_rules_reader *reader, const struct ph_yaml_node *value, void *into)
{
    return ph_read_word(reader, value, "key", &((struct ph_rule_lookup *)into)->key);
}

static ph_code
read_lookup_value(struct ph_rules_reader *reader, const struct ph_yaml_node *value, void *into)
{
    return ph_read_word(reader, value, "value", &((struct ph_rule_lookup *)into)->value);
}

static ph_code
read_lookup_database(struct ph_rules_reader *reader, const struct ph_yaml_node *value, void *into)
{
    struct ph_rule_lookup *lookup = into;

    PH_TRY(ph_read_text(reader, value, "database", &lookup->database));
    if (strcmp(lookup->database, "source") == 0)
        lookup->database = NULL;
    else if (strcmp(lookup->database, "target") == 0)
        return ph_read_fail(reader, value,
                            "database: values cannot be looked up in the target, which the job "
                            "itself fills: look in the source or in another database");
    return PH_OK;
}

static ph_code
read_lookup_constant(struct ph_rules_reader *reader, const struct ph_yaml_node *value, void *into)
{
    return ph_read_flag(reader, value, "constant", &((struct ph_rule_lookup *)into)->is_constant);
}

static ph_code
read_lookup_else(struct rule *rule, struct ph_rule_lookup *lookup)
{
    struct ph_rule_step step = {.otherwise = PH_ELSE_NULL};

    if (rule->otherwise != NULL)
        PH_TRY(read_else(rule->reader, rule->otherwise, &step));
    if (step.otherwise == PH_ELSE_KEEP)
        return ph_read_fail(rule->reader, rule->otherwise,
                            "else: a lookup has nothing to keep; expected error, quarantine, null "
                            "or {value: V}");
    lookup->otherwise = step.otherwise;
    lookup->else_value = step.else_value;
    return PH_OK;
}

static ph_code
form_lookup(struct rule *rule, struct ph_rule_column *out)
{
    static const struct ph_read_key keys[] = {
        {"table", read_lookup_table, true},        {"key", read_lookup_key, true},
        {"value", read_lookup_value, true},        {"database", read_lookup_database, false},
        {"constant", read_lookup_constant, false}, {NULL, NULL, false}};

    if (out->from.n > 1)
        return ph_read_fail(rule->reader, rule->from, "from: a lookup is by one column");
    out->kind = PH_RULE_LOOKUP;
    PH_TRY(read_lookup_else(rule, &out->lookup));
    return ph_read_mapping(rule->reader, rule->form, "lookup", keys, &out->lookup);
}

static ph_code
read_number_within(struct ph_rules_reader *reader, const struct ph_yaml_node *value, void *into)
{
    return ph_read_names(reader, value, "within", &((struct ph_rule_number *)into)->within);
}

static ph_code
read_number_order(struct ph_rules_reader *reader, const struct ph_yaml_node *value, void *into)
{
    return ph_read_names(reader, value, "order", &((struct ph_rule_number *)into)->order);
}

static ph_code
form_number(struct rule *rule, struct ph_rule_column *out)
{
    static const struct ph_read_key keys[] = {{"within", read_number_within, false},
                                              {"order", read_number_order, false},
                                              {NULL, NULL, false}};

    if (rule->from != NULL)
        return ph_read_fail(
            rule->reader, rule->from,
            "\"from\" does not go with \"number\": columns stand under \"within\" and "
            "\"order\"");
    out->kind = PH_RULE_NUMBER;
    return ph_read_mapping(rule->reader, rule->form, "number", keys, &out->number);
}

/* A form is one step, or fills the column itself. */
struct form {
    const char *key;
    ph_code (*step)(struct rule *rule, struct ph_rule_step *step);
    ph_code (*column)(struct rule *rule, struct ph_rule_column *out);
};

static const struct form forms[] = {
    {"map", form_map, NULL},         {"mask", form_mask, NULL},     {"c", form_c, NULL},
    {"default", form_default, NULL}, {"set", NULL, form_set},       {"do", NULL, form_do},
    {"lookup", NULL, form_lookup},   {"number", NULL, form_number},
};
#define N_FORMS (sizeof forms / sizeof forms[0])

/* ---- the mapping ---- */

static const struct form *
form_of(const char *key)
{
    for (size_t i = 0; i < N_FORMS; i++) {
        if (strcmp(forms[i].key, key) == 0)
            return &forms[i];
    }
    return NULL;
}

/* Keys that stand beside the form; NULL: not one of them. */
static const struct ph_yaml_node **
place_of(struct rule *rule, const char *key)
{
    return strcmp(key, "from") == 0     ? &rule->from
           : strcmp(key, "else") == 0   ? &rule->otherwise
           : strcmp(key, "params") == 0 ? &rule->params
                                        : NULL;
}

static ph_code
fail_key(struct rule *rule, const struct ph_yaml_node *key, const char *column)
{
    static const char *const others[] = {"from", "else", "params"};
    struct ph_nearest nearest = {.word = key->text};

    for (size_t i = 0; i < N_FORMS; i++)
        ph_nearest_offer(&nearest, forms[i].key);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ph_nearest_offer(&nearest, others[i]);
    char *where = ph_arena_printf(rule->reader->arena, "in the rule of \"%.64s\"", column);
    if (where == NULL)
        return ph_read_no_memory(rule->reader);
    return ph_read_fail_unknown(rule->reader, key, &nearest, "unknown key", where);
}

static ph_code
sort_keys(struct rule *rule, const struct ph_yaml_node *node, const char *column)
{
    for (const struct ph_yaml_node *key = node->first; key != NULL; key = key->next->next) {
        if (key->kind != PH_YAML_SCALAR || key->text == NULL)
            return ph_read_fail_type(rule->reader, key, "key", "a word");
        const struct ph_yaml_node **place = place_of(rule, key->text);
        bool is_form = form_of(key->text) != NULL;
        if (!is_form && place == NULL)
            return fail_key(rule, key, column);
        if (is_form ? rule->form_key != NULL && strcmp(rule->form_key->text, key->text) == 0
                    : *place != NULL)
            return ph_read_fail(rule->reader, key, "\"%s\" is given twice", key->text);
        if (is_form && rule->form_key != NULL) {
            ph_read_fail(rule->reader, key, "\"%s\" and \"%s\" in one rule; a rule is one of them",
                         rule->form_key->text, key->text);
            ph_error_hint(rule->reader->err, "several steps stand in a list under \"do\"");
            return PH_E_JOBFILE;
        }
        if (is_form) {
            rule->form_key = key;
            rule->form = key->next;
        } else {
            *place = key->next;
        }
    }
    return PH_OK;
}

/* `else` is of a map or a lookup, `params` of one's own operator. */
static ph_code
check_company(struct rule *rule)
{
    const char *form = rule->form_key != NULL ? rule->form_key->text : "";

    if (rule->otherwise != NULL && strcmp(form, "map") != 0 && strcmp(form, "lookup") != 0)
        return ph_read_fail(rule->reader, rule->otherwise,
                            "\"else\" goes with \"map\" and \"lookup\" only");
    if (rule->params != NULL && strcmp(form, "c") != 0) {
        ph_read_fail(rule->reader, rule->params, "\"params\" goes with \"c\" only");
        ph_error_hint(rule->reader->err, "constants stand behind their operator, "
                                         "do: [{substring: [1, 10]}]");
        return PH_E_JOBFILE;
    }
    return PH_OK;
}

static ph_code
read_rule(struct rule *rule, struct ph_rule_column *out)
{
    out->kind = PH_RULE_TAKE;
    if (rule->from != NULL) {
        PH_TRY(ph_read_words(rule->reader, rule->from, "from", &out->from));
        if (out->from.n == 0)
            return ph_read_fail(rule->reader, rule->from, "from: the list is empty");
    }
    if (rule->form_key == NULL && out->from.n > 1)
        return ph_read_fail(rule->reader, rule->from,
                            "from: several columns need an operator that "
                            "makes one value of them, under \"do\"");
    if (rule->form_key == NULL)
        return PH_OK;
    const struct form *form = form_of(rule->form_key->text);
    assert(form != NULL); /* what is none is no form_key */
    if (form->column != NULL)
        return form->column(rule, out);
    struct ph_rule_step *step = PH_ARENA_ARRAY(rule->reader->arena, struct ph_rule_step, 1);
    if (step == NULL)
        return ph_read_no_memory(rule->reader);
    step->place = rule->form->place;
    out->steps = step;
    out->n_steps = 1;
    return form->step(rule, step);
}

ph_code
ph_read_column(struct ph_rules_reader *reader, const struct ph_yaml_node *target,
               const struct ph_yaml_node *node, struct ph_rule_column *out)
{
    struct rule rule = {.reader = reader};

    PH_TRY(ph_read_word(reader, target, "column", &out->target));
    if (node->kind == PH_YAML_SCALAR && node->text != NULL && strcmp(node->text, "keep") == 0) {
        out->kind = PH_RULE_KEEP;
        return PH_OK;
    }
    if (node->kind != PH_YAML_MAPPING || node->n == 0) {
        ph_read_fail(reader, node,
                     "the rule of \"%.64s\": expected \"keep\" or a mapping, e.g. "
                     "{from: old_name}, found %s",
                     out->target.text,
                     node->kind == PH_YAML_MAPPING ? "an empty one" : ph_yaml_kind_name(node));
        ph_error_hint(reader->err, "a constant is written {set: V}, NULL {set: null}");
        return PH_E_JOBFILE;
    }
    PH_TRY(sort_keys(&rule, node, out->target.text));
    PH_TRY(check_company(&rule));
    return read_rule(&rule, out);
}

/* A mapping is a form that is one step, with its company, or any operator with its constants. */
ph_code
ph_read_step(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
             struct ph_rule_step *out)
{
    struct rule rule = {.reader = reader};
    const struct ph_yaml_node *key = node->kind == PH_YAML_MAPPING ? node->first : NULL;
    const struct form *form = NULL;

    out->place = node->place;
    for (; key != NULL && form == NULL; key = key->next->next) {
        if (key->kind == PH_YAML_SCALAR && key->text != NULL)
            form = form_of(key->text);
    }
    if (form == NULL)
        return read_operator(reader, node, "do", "", out);
    PH_TRY(sort_keys(&rule, node, "do"));
    if (form->step == NULL)
        return ph_read_fail(reader, rule.form_key,
                            "\"%s\" is a rule by itself, not a step of "
                            "\"do\"",
                            form->key);
    if (rule.from != NULL)
        return ph_read_fail(reader, rule.from, "\"from\" stands beside \"do\", not in it");
    PH_TRY(check_company(&rule));
    return form->step(&rule, out);
}
