/*
 * `checks:`: a list of mappings with the kind of check for a key, and perhaps `fail` and `on`
 * beside it.
 */
#include <string.h>

#include "base/buf.h"
#include "rules/read_parts.h"

static struct ph_rule_check *
out_of(void *check)
{
    return check;
}

static ph_code
read_table(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_relation(reader, node, "table", &out_of(into)->table);
}

static ph_code
read_columns(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_names(reader, node, "columns", &out_of(into)->columns);
}

static ph_code
read_references(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_relation(reader, node, "references", &out_of(into)->references);
}

static ph_code
read_key(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_names(reader, node, "key", &out_of(into)->reference_columns);
}

static ph_code
read_database(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_text(reader, node, "database", &out_of(into)->database);
}

static ph_code
read_as(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    struct ph_rule_check *check = into;

    if (node->kind != PH_YAML_LIST || node->n == 0)
        return ph_read_fail(reader, node, "as: expected a list of tables, found %s",
                            node->kind == PH_YAML_LIST ? "an empty one" : ph_yaml_kind_name(node));
    struct ph_rule_name *others = PH_ARENA_ARRAY(reader->arena, struct ph_rule_name, node->n);
    if (others == NULL)
        return ph_read_no_memory(reader);
    check->others = others;
    for (const struct ph_yaml_node *item = node->first; item != NULL; item = item->next)
        PH_TRY(ph_read_relation(reader, item, "as", &others[check->n_others++]));
    return PH_OK;
}

static ph_code
read_fail(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_flag(reader, node, "fail", &out_of(into)->is_failure);
}

static ph_code
read_on(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    const char *side;

    PH_TRY(ph_read_text(reader, node, "on", &side));
    out_of(into)->on_source = strcmp(side, "source") == 0;
    if (!out_of(into)->on_source && strcmp(side, "target") != 0)
        return ph_read_fail(reader, node, "on: expected source or target, found \"%.100s\"", side);
    return PH_OK;
}

/* ---- kinds ---- */

static ph_code
set_name(struct ph_rules_reader *reader, const char *kind, struct ph_rule_check *check)
{
    struct ph_buf text;

    ph_buf_init(&text, (size_t)1 << 20);
    ph_buf_printf(&text, "%s %s.%s", kind, check->table.schema, check->table.name);
    for (uint32_t i = 0; i < check->columns.n; i++)
        ph_buf_printf(&text, "%s%s", i == 0 ? " (" : ", ", check->columns.items[i].text);
    ph_buf_puts(&text, check->columns.n > 0 ? ")" : "");
    check->name = ph_buf_ok(&text) ? ph_arena_strdup(reader->arena, ph_buf_text(&text)) : NULL;
    ph_buf_free(&text);
    return check->name != NULL ? PH_OK : ph_read_no_memory(reader);
}

static ph_code
read_matrix(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    static const struct ph_read_key keys[] = {{"table", read_table, true},
                                              {"columns", read_columns, true},
                                              {"fail", read_fail, false},
                                              {"on", read_on, false},
                                              {NULL, NULL, false}};

    out_of(into)->kind = PH_CHECK_MATRIX;
    PH_TRY(ph_read_mapping(reader, node, "matrix", keys, into));
    return set_name(reader, "matrix", into);
}

static ph_code
read_orphans(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    static const struct ph_read_key keys[] = {
        {"table", read_table, true}, {"columns", read_columns, true},
        {"key", read_key, true},     {"references", read_references, true},
        {"fail", read_fail, false},  {"database", read_database, false},
        {"on", read_on, false},      {NULL, NULL, false},
    };
    struct ph_rule_check *check = into;

    check->kind = PH_CHECK_ORPHANS;
    PH_TRY(ph_read_mapping(reader, node, "orphans", keys, into));
    if (check->columns.n != check->reference_columns.n)
        return ph_read_fail(reader, node,
                            "orphans: %u in \"columns\", %u in \"key\"; expected as "
                            "many",
                            check->columns.n, check->reference_columns.n);
    return set_name(reader, "orphans", into);
}

static ph_code
read_same_count(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    static const struct ph_read_key keys[] = {{"table", read_table, true},
                                              {"as", read_as, true},
                                              {"fail", read_fail, false},
                                              {"on", read_on, false},
                                              {NULL, NULL, false}};

    out_of(into)->kind = PH_CHECK_SAME_COUNT;
    PH_TRY(ph_read_mapping(reader, node, "same_count", keys, into));
    return set_name(reader, "same_count", into);
}

static ph_code
read_unique(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    static const struct ph_read_key keys[] = {{"table", read_table, true},
                                              {"columns", read_columns, true},
                                              {"fail", read_fail, false},
                                              {"on", read_on, false},
                                              {NULL, NULL, false}};

    out_of(into)->kind = PH_CHECK_UNIQUE;
    PH_TRY(ph_read_mapping(reader, node, "unique", keys, into));
    return set_name(reader, "unique", into);
}

/* What stands beside the kind of check. */
static bool
is_beside(const struct ph_yaml_node *key)
{
    return key->kind == PH_YAML_SCALAR && key->text != NULL &&
           (strcmp(key->text, "fail") == 0 || strcmp(key->text, "on") == 0);
}

static ph_code
read_check(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
           struct ph_rule_check *out)
{
    static const struct ph_read_key keys[] = {
        {"matrix", read_matrix, false},
        {"orphans", read_orphans, false},
        {"same_count", read_same_count, false},
        {"unique", read_unique, false},
        {"fail", read_fail, false},
        {"on", read_on, false},
        {NULL, NULL, false},
    };
    const char *expected = "one of matrix, orphans, same_count and unique";
    uint32_t n_kinds = 0;

    out->place = node->place;
    if (node->kind != PH_YAML_MAPPING)
        return ph_read_fail_type(reader, node, "checks", "a mapping with one check");
    for (const struct ph_yaml_node *key = node->first; key != NULL; key = key->next->next)
        n_kinds += !is_beside(key);
    PH_TRY(ph_read_mapping(reader, node, "checks", keys, out));
    if (n_kinds != 1)
        return ph_read_fail(reader, node, "checks: expected %s in an entry, found %u of them",
                            expected, n_kinds);
    if (out->kind == PH_CHECK_SAME_COUNT)
        out->is_failure = true;
    return PH_OK;
}

ph_code
ph_read_checks(struct ph_rules_reader *reader, const struct ph_yaml_node *node)
{
    if (node->kind != PH_YAML_LIST)
        return ph_read_fail_type(reader, node, "checks", "a list of checks");
    struct ph_rule_check *checks = PH_ARENA_ARRAY(reader->arena, struct ph_rule_check, node->n);
    if (checks == NULL)
        return ph_read_no_memory(reader);
    reader->rules->checks = checks;
    for (const struct ph_yaml_node *item = node->first; item != NULL; item = item->next)
        PH_TRY(read_check(reader, item, &checks[reader->rules->n_checks++]));
    return PH_OK;
}
