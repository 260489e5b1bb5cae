/*
 * `tables:`. What stands beside `into:` is read into a route of its own, which every entry of
 * `into:` begins as: rules of columns are inherited one by one, `drop` and `keep` are added to,
 * everything else is replaced by what the entry says itself.
 */
#include <stdio.h>
#include <string.h>

#include "rules/read_parts.h"

struct route { /* while it is read */
    struct ph_rule_route *out;
    const struct ph_rule_route *base; /* whose columns `out` began with; NULL: none */
    const struct ph_yaml_node *into;  /* of a table; NULL: not given */
};

static struct ph_rule_route *
out_of(void *route)
{
    return ((struct route *)route)->out;
}

/* ---- columns ---- */

/* The columns of `out` with space for n more, of its own. */
static ph_code
extend_columns(struct ph_rules_reader *reader, struct ph_rule_route *out,
               const struct ph_yaml_node *node, size_t n)
{
    if (out->n_columns + n > PH_READ_COLUMNS_MAX)
        return ph_read_fail(reader, node, "%zu rules; a table has at most %u columns",
                            out->n_columns + n, PH_READ_COLUMNS_MAX);
    struct ph_rule_column *columns =
        PH_ARENA_ARRAY(reader->arena, struct ph_rule_column, out->n_columns + n);
    if (columns == NULL)
        return ph_read_no_memory(reader);
    if (out->n_columns > 0)
        memcpy(columns, out->columns, out->n_columns * sizeof *columns);
    out->columns = columns;
    return PH_OK;
}

static struct ph_rule_column *
column_named(struct ph_rule_route *out, const char *name)
{
    for (uint32_t i = 0; i < out->n_columns; i++) {
        if (strcmp(out->columns[i].target.text, name) == 0)
            return &out->columns[i];
    }
    return NULL;
}

/* Whether a column of `out` is still the one that it began with. */
static bool
is_inherited(const struct route *route, const struct ph_rule_column *column)
{
    size_t position = (size_t)(column - route->out->columns);

    return route->base != NULL && position < route->base->n_columns &&
           column->target.text == route->base->columns[position].target.text;
}

/* Put it in the place of an inherited rule of the same column, or behind the others. */
static ph_code
put_column(struct ph_rules_reader *reader, struct route *route, const struct ph_yaml_node *node,
           const struct ph_rule_column *column)
{
    struct ph_rule_column *there = column_named(route->out, column->target.text);

    if (there == NULL)
        there = &route->out->columns[route->out->n_columns++];
    else if (!is_inherited(route, there))
        return ph_read_fail(reader, node, "\"%.64s\" has a rule already, in line %u",
                            column->target.text, there->target.place.line);
    *there = *column;
    return PH_OK;
}

static ph_code
read_columns(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    struct route *route = into;

    PH_TRY(ph_read_keys(reader, node, "columns", "a mapping, e.g. {title: {from: name}}"));
    PH_TRY(extend_columns(reader, route->out, node, node->n));
    for (const struct ph_yaml_node *key = node->first; key != NULL; key = key->next->next) {
        struct ph_rule_column column = {0};
        PH_TRY(ph_read_column(reader, key, key->next, &column));
        PH_TRY(put_column(reader, route, key, &column));
    }
    return PH_OK;
}

static ph_code
read_keep(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    struct route *route = into;
    struct ph_rule_words names = {0};

    if (node->kind == PH_YAML_SCALAR && node->text != NULL && strcmp(node->text, "all") == 0) {
        route->out->keeps_all = true;
        return PH_OK;
    }
    if (node->kind != PH_YAML_LIST)
        return ph_read_fail_type(reader, node, "keep", "a list of columns, e.g. [a, b], or all");
    PH_TRY(ph_read_names(reader, node, "keep", &names));
    PH_TRY(extend_columns(reader, route->out, node, names.n));
    const struct ph_yaml_node *item = node->first;
    for (uint32_t i = 0; i < names.n; i++, item = item->next) {
        struct ph_rule_column column = {.target = names.items[i], .kind = PH_RULE_KEEP};
        PH_TRY(put_column(reader, route, item, &column));
    }
    return PH_OK;
}

static bool
has_word(const struct ph_rule_words *words, const char *text)
{
    for (uint32_t i = 0; i < words->n; i++) {
        if (strcmp(words->items[i].text, text) == 0)
            return true;
    }
    return false;
}

static ph_code
read_drop(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    struct ph_rule_words *drop = &out_of(into)->drop;
    struct ph_rule_words own = {0};

    PH_TRY(ph_read_names(reader, node, "drop", &own));
    struct ph_rule_word *all = PH_ARENA_ARRAY(reader->arena, struct ph_rule_word, drop->n + own.n);
    if (all == NULL)
        return ph_read_no_memory(reader);
    uint32_t n = drop->n;
    if (n > 0)
        memcpy(all, drop->items, n * sizeof *all);
    for (uint32_t i = 0; i < own.n; i++) {
        if (!has_word(drop, own.items[i].text))
            all[n++] = own.items[i];
    }
    *drop = (struct ph_rule_words){all, n};
    return PH_OK;
}

/* ---- which rows ---- */

static ph_code
read_where(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_word(reader, node, "where", &out_of(into)->where);
}

/* "0.1" or "10%"; false: neither. */
static bool
parse_share(const char *text, double *out)
{
    double unit = 1;
    bool has_digit = false;

    *out = 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        *out = *out * 10 + (*text - '0');
        has_digit = true;
    }
    if (*text == '.') {
        for (text++; *text >= '0' && *text <= '9'; text++) {
            unit /= 10;
            *out += (*text - '0') * unit;
            has_digit = true;
        }
    }
    if (*text == '%') {
        *out /= 100;
        text++;
    }
    return has_digit && *text == '\0' && *out > 0 && *out <= 1;
}

static ph_code
read_sample(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    const char *expected = "a share of the rows, e.g. 10% or 0.1";

    if (node->kind != PH_YAML_SCALAR || node->text == NULL)
        return ph_read_fail_type(reader, node, "sample", expected);
    if (!parse_share(node->text, &out_of(into)->sample))
        return ph_read_fail(reader, node, "sample: \"%.100s\" is wrong; expected %s", node->text,
                            expected);
    return PH_OK;
}

static ph_code
read_on_bad(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    static const char *const words[] = {"error", "quarantine", NULL};
    unsigned position = 0;

    PH_TRY(ph_read_choice(reader, node, "on_bad", words, &position));
    out_of(into)->on_bad = position == 0 ? PH_BAD_ERROR : PH_BAD_QUARANTINE;
    return PH_OK;
}

static ph_code
read_backup(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    PH_TRY(ph_read_text(reader, node, "backup", &out_of(into)->backup));
    return out_of(into)->backup != NULL
               ? PH_OK
               : ph_read_fail(reader, node, "backup: expected the name of a schema");
}

static ph_code
read_preserve_rows(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_word(reader, node, "rows", &out_of(into)->preserve);
}

static ph_code
read_preserve_columns(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_names(reader, node, "columns", &out_of(into)->preserve_columns);
}

static ph_code
read_preserve(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    static const struct ph_read_key keys[] = {{"rows", read_preserve_rows, false},
                                              {"columns", read_preserve_columns, false},
                                              {NULL, NULL, false}};

    out_of(into)->preserve = (struct ph_rule_word){0};
    out_of(into)->preserve_columns = (struct ph_rule_words){0};
    if (node->kind == PH_YAML_SCALAR)
        return ph_read_word(reader, node, "preserve", &out_of(into)->preserve);
    PH_TRY(ph_read_mapping(reader, node, "preserve", keys, into));
    if (node->n == 0)
        return ph_read_fail(reader, node, "preserve: expected \"rows\", \"columns\" or both");
    return PH_OK;
}

/* ---- shapes ---- */

static ph_code
read_unpivot_columns(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_names(reader, node, "columns", &out_of(into)->unpivot.columns);
}

static ph_code
read_unpivot_name(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_word(reader, node, "name", &out_of(into)->unpivot.name);
}

static ph_code
read_unpivot_value(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_word(reader, node, "value", &out_of(into)->unpivot.value);
}

static ph_code
read_unpivot_nulls(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    static const char *const words[] = {"skip", "keep", NULL};
    unsigned position = 0;

    PH_TRY(ph_read_choice(reader, node, "nulls", words, &position));
    out_of(into)->unpivot.keeps_null = position == 1;
    return PH_OK;
}

static ph_code
read_unpivot(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    static const struct ph_read_key keys[] = {
        {"columns", read_unpivot_columns, true},
        {"name", read_unpivot_name, true},
        {"value", read_unpivot_value, true},
        {"nulls", read_unpivot_nulls, false},
        {NULL, NULL, false},
    };

    out_of(into)->unpivot = (struct ph_rule_unpivot){.is_there = true, .place = node->place};
    return ph_read_mapping(reader, node, "unpivot", keys, into);
}

static ph_code
read_each_column(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_word(reader, node, "column", &out_of(into)->each.column);
}

static ph_code
read_each_value(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_word(reader, node, "value", &out_of(into)->each.value);
}

static ph_code
read_each_position(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_word(reader, node, "position", &out_of(into)->each.position);
}

static ph_code
read_each(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    static const struct ph_read_key keys[] = {{"column", read_each_column, true},
                                              {"value", read_each_value, true},
                                              {"position", read_each_position, false},
                                              {NULL, NULL, false}};

    out_of(into)->each = (struct ph_rule_each){.is_there = true, .place = node->place};
    return ph_read_mapping(reader, node, "each", keys, into);
}

static ph_code
read_merge_key(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_names(reader, node, "key", &out_of(into)->merge.key);
}

struct after { /* one entry of `after:` */
    struct ph_rule_name *name;
    struct ph_rule_words *key;
};

static ph_code
read_after_table(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_relation(reader, node, "table", ((struct after *)into)->name);
}

static ph_code
read_after_key(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_names(reader, node, "key", ((struct after *)into)->key);
}

static ph_code
read_merge_after(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    static const struct ph_read_key keys[] = {
        {"table", read_after_table, true}, {"key", read_after_key, false}, {NULL, NULL, false}};
    struct ph_rule_merge *merge = &out_of(into)->merge;

    if (node->kind != PH_YAML_LIST || node->n == 0)
        return ph_read_fail(reader, node, "after: expected a list of tables, found %s",
                            node->kind == PH_YAML_LIST ? "an empty one" : ph_yaml_kind_name(node));
    struct ph_rule_name *names = PH_ARENA_ARRAY(reader->arena, struct ph_rule_name, node->n);
    struct ph_rule_words *words = PH_ARENA_ARRAY(reader->arena, struct ph_rule_words, node->n);
    if (names == NULL || words == NULL)
        return ph_read_no_memory(reader);
    merge->after = names;
    merge->keys = words;
    for (const struct ph_yaml_node *item = node->first; item != NULL; item = item->next) {
        struct after after = {&names[merge->n_after], &words[merge->n_after]};
        if (item->kind == PH_YAML_MAPPING)
            PH_TRY(ph_read_mapping(reader, item, "after", keys, &after));
        else
            PH_TRY(ph_read_relation(reader, item, "after", after.name));
        merge->n_after++;
    }
    return PH_OK;
}

/* Keys of earlier tables that were not said are the same columns; said ones are as many. */
static ph_code
read_merge(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    static const struct ph_read_key keys[] = {
        {"key", read_merge_key, true}, {"after", read_merge_after, true}, {NULL, NULL, false}};
    struct ph_rule_merge *merge = &out_of(into)->merge;

    *merge = (struct ph_rule_merge){.is_there = true, .place = node->place};
    PH_TRY(ph_read_mapping(reader, node, "merge", keys, into));
    struct ph_rule_words *words =
        PH_ARENA_ARRAY(reader->arena, struct ph_rule_words, merge->n_after);
    if (words == NULL)
        return ph_read_no_memory(reader);
    for (uint32_t i = 0; i < merge->n_after; i++) {
        words[i] = merge->keys[i].n > 0 ? merge->keys[i] : merge->key;
        if (words[i].n != merge->key.n)
            return ph_read_fail(reader, node,
                                "merge: the key of \"%.64s\" has %u columns, that of "
                                "this table %u",
                                merge->after[i].name, words[i].n, merge->key.n);
    }
    merge->keys = words;
    return PH_OK;
}

static ph_code
read_dedup_key(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_names(reader, node, "key", &out_of(into)->dedup.key);
}

static ph_code
read_dedup_prefer(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_names(reader, node, "prefer", &out_of(into)->dedup.prefer);
}

static ph_code
read_dedup(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    static const struct ph_read_key keys[] = {
        {"key", read_dedup_key, true}, {"prefer", read_dedup_prefer, true}, {NULL, NULL, false}};

    out_of(into)->dedup = (struct ph_rule_dedup){.is_there = true, .place = node->place};
    return ph_read_mapping(reader, node, "dedup", keys, into);
}

/* ---- tables ---- */

static ph_code
read_into(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    (void)reader;
    ((struct route *)into)->into = node;
    return PH_OK;
}

static ph_code
read_entry_table(struct ph_rules_reader *reader, const struct ph_yaml_node *node, void *into)
{
    return ph_read_relation(reader, node, "table", &out_of(into)->into);
}

#define ROUTE_KEYS                                                                                 \
    {"columns", read_columns, false}, {"drop", read_drop, false}, {"keep", read_keep, false},      \
        {"where", read_where, false}, {"sample", read_sample, false},                              \
        {"unpivot", read_unpivot, false}, {"each", read_each, false},                              \
        {"merge", read_merge, false}, {"dedup", read_dedup, false},                                \
        {"preserve", read_preserve, false}, {"backup", read_backup, false},                        \
    {                                                                                              \
        "on_bad", read_on_bad, false                                                               \
    }

/* A column that is kept, or made by a rule of the same name without `from`, is not dropped. */
static ph_code
check_drop(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
           struct ph_rule_route *out)
{
    for (uint32_t i = 0; i < out->drop.n; i++) {
        const struct ph_rule_column *column = column_named(out, out->drop.items[i].text);
        if (column != NULL && column->kind == PH_RULE_KEEP)
            return ph_read_fail(reader, node, "\"%.64s\" is kept and dropped", column->target.text);
    }
    return PH_OK;
}

static ph_code
read_entry(struct ph_rules_reader *reader, const struct ph_yaml_node *node,
           const struct ph_rule_route *base, struct ph_rule_route *out)
{
    static const struct ph_read_key keys[] = {
        {"table", read_entry_table, true}, ROUTE_KEYS, {NULL, NULL, false}};
    struct route route = {.out = out, .base = base};

    *out = *base;
    if (node->kind != PH_YAML_MAPPING)
        return ph_read_relation(reader, node, "into", &out->into);
    PH_TRY(
        extend_columns(reader, out, node, 0)); /* its own: what it says again takes their places */
    PH_TRY(ph_read_mapping(reader, node, "into", keys, &route));
    return check_drop(reader, node, out);
}

/* The table's routes, of what stands beside `into:` and in it. */
static ph_code
make_routes(struct ph_rules_reader *reader, const struct ph_yaml_node *into,
            struct ph_rule_route *base, struct ph_rule_table *table)
{
    bool is_list = into != NULL && into->kind == PH_YAML_LIST;
    size_t n = into != NULL && is_list ? into->n : 1;

    if (into != NULL && (into->kind == PH_YAML_MAPPING || n == 0))
        return ph_read_fail(reader, into, "into: expected a table, or a list of tables, found %s",
                            is_list ? "an empty one" : ph_yaml_kind_name(into));
    table->routes = PH_ARENA_ARRAY(reader->arena, struct ph_rule_route, n);
    if (table->routes == NULL)
        return ph_read_no_memory(reader);
    if (into == NULL)
        base->into = table->source;
    if (!is_list) {
        table->n_routes = 1;
        table->routes[0] = *base;
    }
    if (into == NULL)
        return PH_OK;
    if (!is_list)
        return ph_read_relation(reader, into, "into", &table->routes[0].into);
    for (const struct ph_yaml_node *item = into->first; item != NULL; item = item->next)
        PH_TRY(read_entry(reader, item, base, &table->routes[table->n_routes++]));
    return PH_OK;
}

static ph_code
read_table(struct ph_rules_reader *reader, const struct ph_yaml_node *name,
           const struct ph_yaml_node *node, struct ph_rule_table *out)
{
    static const struct ph_read_key keys[] = {
        {"into", read_into, false}, ROUTE_KEYS, {NULL, NULL, false}};
    struct ph_rule_route base = {0};
    struct route route = {.out = &base};

    PH_TRY(ph_read_relation(reader, name, "tables", &out->source));
    PH_TRY(ph_read_mapping(reader, node, name->text, keys, &route));
    PH_TRY(check_drop(reader, node, &base));
    return make_routes(reader, route.into, &base, out);
}

/* "posts" and "public.posts" are one table. */
static ph_code
check_tables(struct ph_rules_reader *reader, const struct ph_yaml_node *node)
{
    const struct ph_yaml_node **names =
        PH_ARENA_ARRAY(reader->arena, const struct ph_yaml_node *, node->n);
    struct ph_yaml_node *full = PH_ARENA_ARRAY(reader->arena, struct ph_yaml_node, node->n);

    if (names == NULL || full == NULL)
        return ph_read_no_memory(reader);
    for (uint32_t i = 0; i < node->n; i++) {
        const struct ph_rule_name *source = &reader->rules->tables[i].source;
        full[i].place = source->place;
        /* quoted, so that a dot in a name is another one */
        full[i].text = ph_arena_printf(reader->arena, "%zu %s.%s", strlen(source->schema),
                                       source->schema, source->name);
        if (full[i].text == NULL)
            return ph_read_no_memory(reader);
        names[i] = &full[i];
    }
    const struct ph_yaml_node *twice;
    const struct ph_yaml_node *before;
    if (ph_yaml_twice(reader->arena, names, node->n, &twice, &before) != PH_YAML_OK)
        return ph_read_no_memory(reader);
    if (twice == NULL)
        return PH_OK;
    return ph_read_fail(reader, twice, "tables: \"%.100s\" is given twice, first in line %u",
                        strchr(twice->text, ' ') + 1, before->place.line);
}

ph_code
ph_read_tables(struct ph_rules_reader *reader, const struct ph_yaml_node *node)
{
    if (node->kind != PH_YAML_MAPPING)
        return ph_read_fail_type(reader, node, "tables", "a mapping of tables");
    struct ph_rule_table *tables = PH_ARENA_ARRAY(reader->arena, struct ph_rule_table, node->n);
    if (tables == NULL)
        return ph_read_no_memory(reader);
    reader->rules->tables = tables;
    for (const struct ph_yaml_node *key = node->first; key != NULL; key = key->next->next)
        PH_TRY(read_table(reader, key, key->next, &tables[reader->rules->n_tables++]));
    return check_tables(reader, node);
}
