/*
 * The parts at the top of a job file. Maps are read first, wherever they stand: tables refer to
 * them by name.
 */
#include "rules/read.h"

#include <stdlib.h>
#include <string.h>

#include "rules/read_parts.h"

/* Far above what a job file of four megabytes can need. */
#define RULES_LIMIT_BYTES ((size_t)1 << 30)

static ph_code
read_secret_env(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_text(reader, node, "env", &((struct ph_job_rules *)into)->secret_env);
}

static ph_code
read_secret_file(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_text(reader, node, "file", &((struct ph_job_rules *)into)->secret_file);
}

static ph_code
read_secret(struct ph_rules_reader *reader, const struct ph_yaml_node *node)
{
    static const struct ph_read_key keys[] = {
        {"env", read_secret_env, false}, {"file", read_secret_file, false}, {NULL, NULL, false}};
    const char *expected = "{env: VARIABLE} or {file: PATH}";

    if (node->kind != PH_YAML_MAPPING)
        return ph_read_fail_type(reader, node, "secret", expected);
    PH_TRY(ph_read_mapping(reader, node, "secret", keys, reader->rules));
    if (node->n != 1)
        return ph_read_fail(reader, node, "secret: expected %s, found %s", expected,
                            node->n == 0 ? "neither" : "both");
    return PH_OK;
}

static ph_code
read_policy(struct ph_rules_reader *reader, const struct ph_yaml_node *node)
{
    static const char *const words[] = {"classify", NULL};
    unsigned position = 0;

    PH_TRY(ph_read_choice(reader, node, "policy", words, &position));
    reader->rules->classify = true;
    return PH_OK;
}

static ph_code
read_map(struct ph_rules_reader *reader, const struct ph_yaml_node *name,
         const struct ph_yaml_node *node, struct ph_rule_map *out)
{
    PH_TRY(ph_read_text(reader, name, "maps", &out->name));
    out->place = name->place;
    PH_TRY(ph_read_keys(reader, node, out->name, "a mapping of values"));
    struct ph_rule_pair *pairs = PH_ARENA_ARRAY(reader->arena, struct ph_rule_pair, node->n);
    if (pairs == NULL)
        return ph_read_no_memory(reader);
    out->pairs = pairs;
    for (const struct ph_yaml_node *key = node->first; key != NULL; key = key->next->next) {
        struct ph_rule_pair *pair = &pairs[out->n_pairs++];
        PH_TRY(ph_read_constant(reader, key, out->name, &pair->from));
        PH_TRY(ph_read_constant(reader, key->next, out->name, &pair->to));
    }
    return PH_OK;
}

static ph_code
read_maps(struct ph_rules_reader *reader, const struct ph_yaml_node *node)
{
    PH_TRY(ph_read_keys(reader, node, "maps", "a mapping of maps"));
    struct ph_rule_map *maps = PH_ARENA_ARRAY(reader->arena, struct ph_rule_map, node->n);
    if (maps == NULL)
        return ph_read_no_memory(reader);
    reader->rules->maps = maps;
    for (const struct ph_yaml_node *key = node->first; key != NULL; key = key->next->next)
        PH_TRY(read_map(reader, key, key->next, &maps[reader->rules->n_maps++]));
    return PH_OK;
}

/* In the order in which they are read. */
static const struct {
    const char *key;
    ph_code (*read)(struct ph_rules_reader *reader, const struct ph_yaml_node *node);
} parts[PH_RULES_KEYS] = {
    {"secret", read_secret},    {"policy", read_policy},    {"maps", read_maps},
    {"tables", ph_read_tables}, {"checks", ph_read_checks},
};

int
ph_rules_key(const char *key)
{
    for (int i = 0; i < PH_RULES_KEYS; i++) {
        if (strcmp(parts[i].key, key) == 0)
            return i;
    }
    return -1;
}

void
ph_rules_offer_keys(struct ph_nearest *nearest)
{
    for (int i = 0; i < PH_RULES_KEYS; i++)
        ph_nearest_offer(nearest, parts[i].key);
}

ph_code
ph_job_rules_read(const char *file, const struct ph_rules_trees *trees, struct ph_job_rules **out,
                  struct ph_error *err)
{
    struct ph_job_rules *rules = calloc(1, sizeof *rules);
    ph_code rc = PH_OK;

    *out = NULL;
    if (rules == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_arena_init(&rules->arena, RULES_LIMIT_BYTES);
    struct ph_rules_reader reader = {rules, &rules->arena, err};
    rules->file = ph_arena_strdup(&rules->arena, file);
    if (rules->file == NULL)
        rc = ph_read_no_memory(&reader);
    for (int i = 0; i < PH_RULES_KEYS && rc == PH_OK; i++) {
        if (trees->parts[i] != NULL)
            rc = parts[i].read(&reader, trees->parts[i]);
    }
    if (rc == PH_OK)
        *out = rules;
    else
        ph_job_rules_free(rules);
    return rc;
}

void
ph_job_rules_free(struct ph_job_rules *rules)
{
    if (rules == NULL)
        return;
    ph_arena_reset(&rules->arena);
    free(rules);
}
