/* Every form of docs/rules.md, and every mistake with the place it is found at. */
#include "options_case.h"
#include "rules/read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct ph_job_rules *
rules_of(const char *text)
{
    if (parse(text) != PH_OK)
        fail_msg("%s: %s\n%s", err.object, err.message, text);
    assert_non_null(options.rules);
    return options.rules;
}

/* The one table of "tables: {t: {…}}". */
static const struct ph_rule_table *
table_of(const char *keys)
{
    char text[2048];

    snprintf(text, sizeof text, "maps: {phase: {a: b}}\ntables: {public.t: {%s}}", keys);
    const struct ph_job_rules *rules = rules_of(text);
    assert_int_equal(rules->n_tables, 1);
    return &rules->tables[0];
}

static const struct ph_rule_column *
column_of(const char *rule)
{
    char text[1024];

    snprintf(text, sizeof text, "columns: {c: %s}", rule);
    const struct ph_rule_route *route = &table_of(text)->routes[0];
    assert_int_equal(route->n_columns, 1);
    assert_string_equal(route->columns[0].target.text, "c");
    return &route->columns[0];
}

/* Refused at that place ("2:5") with a message that holds `part`. */
static void
refused(const char *text, const char *place, const char *part)
{
    char object[64];

    snprintf(object, sizeof object, "job.yaml:%s", place);
    refused_at(text, object, part);
    assert_null(options.rules);
}

/* The same of "tables: {t: {…}}": places in the second line, behind "tables: {t: {". */
static void
refused_in_table(const char *keys, unsigned column, const char *part)
{
    char text[2048];
    char place[32];

    snprintf(text, sizeof text, "maps: {phase: {a: b}}\ntables: {t: {%s}}", keys);
    snprintf(place, sizeof place, "2:%u", 13 + column);
    refused(text, place, part);
}

static void
refused_in_column(const char *rule, unsigned column, const char *part)
{
    char text[1024];

    snprintf(text, sizeof text, "columns: {c: %s}", rule);
    refused_in_table(text, 13 + column, part);
}

static void
words_are(const struct ph_rule_words *words, const char *expected)
{
    char text[256] = "";

    for (uint32_t i = 0; i < words->n; i++) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s%s", i > 0 ? "," : "", words->items[i].text);
    }
    assert_string_equal(text, expected);
}

static void
name_is(const struct ph_rule_name *name, const char *schema, const char *table)
{
    assert_string_equal(name->schema, schema);
    assert_string_equal(name->name, table);
}

/* ---- what is right ---- */

static void
the_example(void **context)
{
    (void)context;
    const struct ph_job_rules *rules =
        rules_of("source: service=prod\n"
                 "tables:\n"
                 "  public.campaigns:\n"
                 "    columns:\n"
                 "      current_phase: {map: phase, from: campaign_type, else: error}\n"
                 "      contact:       {mask: email}\n"
                 "      notes:         {set: null}\n"
                 "      score:         {c: \"my_rules.so:score\", from: [opens, clicks]}\n"
                 "    drop: [campaign_type, launch_sequence]\n"
                 "checks:\n"
                 "  - matrix: {table: public.campaigns, columns: [current_phase, phase_status]}\n"
                 "secret: {env: PGHAUL_SECRET}\n"
                 "policy: classify\n"
                 "maps:\n"
                 "  phase: {domain_generation: generation, dns_validation: dns_validation}\n");

    assert_string_equal(options.source, "service=prod");
    assert_string_equal(rules->file, "job.yaml");
    assert_true(rules->classify);
    assert_string_equal(rules->secret_env, "PGHAUL_SECRET");
    assert_null(rules->secret_file);
    assert_int_equal(rules->n_maps, 1);
    assert_int_equal(rules->maps[0].n_pairs, 2);
    assert_string_equal(rules->maps[0].pairs[0].to.text, "generation");
    assert_int_equal(rules->maps[0].place.line, 15);
    name_is(&rules->tables[0].source, "public", "campaigns");
    assert_int_equal(rules->tables[0].source.place.line, 3);
    assert_int_equal(rules->tables[0].n_routes, 1);
    const struct ph_rule_route *route = &rules->tables[0].routes[0];
    name_is(&route->into, "public", "campaigns");
    assert_int_equal(route->n_columns, 4);
    words_are(&route->drop, "campaign_type,launch_sequence");
    assert_ptr_equal(route->columns[0].steps[0].map, &rules->maps[0]);
    words_are(&route->columns[0].from, "campaign_type");
    assert_string_equal(route->columns[1].steps[0].op, "mask_email");
    assert_int_equal(route->columns[2].kind, PH_RULE_SET);
    assert_null(route->columns[2].constant.text);
    assert_string_equal(route->columns[3].steps[0].op, "score");
    assert_string_equal(route->columns[3].steps[0].library, "my_rules.so");
    assert_int_equal(rules->n_checks, 1);
    assert_string_equal(rules->checks[0].name,
                        "matrix public.campaigns (current_phase, phase_status)");
}

static void
files_without_rules(void **context)
{
    (void)context;
    assert_int_equal(parse("source: a"), PH_OK);
    assert_null(options.rules);
    const struct ph_job_rules *rules = rules_of("tables: {}\nmaps: {}\nchecks: []");
    assert_int_equal(rules->n_tables + rules->n_maps + rules->n_checks, 0);
    rules = rules_of("secret: {file: /etc/secret}");
    assert_string_equal(rules->secret_file, "/etc/secret");
    assert_null(rules->secret_env);
    assert_false(rules->classify);
}

static void
nulls(void **context)
{
    (void)context;
    const struct ph_rule_map *map =
        &rules_of("maps: {m: {null: a, 'null': b, x: null, y: \"null\", z: ~, '': '', 42: true}}")
             ->maps[0];
    assert_int_equal(map->n_pairs, 7);
    assert_null(map->pairs[0].from.text);
    assert_string_equal(map->pairs[1].from.text, "null");
    assert_null(map->pairs[2].to.text);
    assert_string_equal(map->pairs[3].to.text, "null");
    assert_null(map->pairs[4].to.text);
    assert_string_equal(map->pairs[5].from.text, "");
    assert_string_equal(map->pairs[5].to.text, "");
    assert_string_equal(map->pairs[6].from.text, "42");
    assert_string_equal(map->pairs[6].to.text, "true");
    assert_null(column_of("{set: ~}")->constant.text);
    assert_null(column_of("{set: }")->constant.text);
    assert_string_equal(column_of("{set: 'null'}")->constant.text, "null");
    assert_string_equal(column_of("{set: ''}")->constant.text, "");
    assert_string_equal(
        rules_of("tables:\n t:\n  columns:\n   c:\n    set: |\n     two\n     lines\n")
            ->tables[0]
            .routes[0]
            .columns[0]
            .constant.text,
        "two\nlines\n");
}

static void
names_of_relations(void **context)
{
    static const struct {
        const char *text;
        const char *schema;
        const char *name;
    } cases[] = {
        {"posts", "public", "posts"},  {"app.posts", "app", "posts"},
        {"app.Posts", "app", "Posts"}, {"\"a.b\".\"c\"\"d\"", "a.b", "c\"d"},
        {"\"a b\"", "public", "a b"},  {"s.\"x\"", "s", "x"},
        {"\"s\".x", "s", "x"},
    };
    static const char *const wrong[] = {"",       ".",      "a.",   ".a",   "a.b.c", "\"a",
                                        "\"a\"b", "a\"b\"", "\"\"", "a..b", "a.\"b", "\"a\"\""};
    struct ph_arena arena;
    const char *why;
    struct ph_rule_name name;

    (void)context;
    ph_arena_init(&arena, 100000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(ph_rule_name_parse(cases[i].text, &arena, &name, &why));
        name_is(&name, cases[i].schema, cases[i].name);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (ph_rule_name_parse(wrong[i], &arena, &name, &why) || why == NULL)
            fail_msg("%s", wrong[i]);
    }
    ph_arena_reset(&arena);
}

static void
forms_of_into(void **context)
{
    (void)context;
    const struct ph_rule_table *table = table_of("into: archive.t");
    assert_int_equal(table->n_routes, 1);
    name_is(&table->routes[0].into, "archive", "t");
    assert_int_equal(table->routes[0].into.place.column, 27);
    table = table_of("into: [a, 's.\"b.c\"']");
    assert_int_equal(table->n_routes, 2);
    name_is(&table->routes[0].into, "public", "a");
    name_is(&table->routes[1].into, "s", "b.c");
    table = table_of("into: [a, {table: b, where: x > 2, columns: {d: keep}}, {table: c}], where: "
                     "x > 1, on_bad: quarantine, sample: 50%");
    assert_int_equal(table->n_routes, 3);
    assert_string_equal(table->routes[0].where.text, "x > 1");
    assert_string_equal(table->routes[1].where.text, "x > 2");
    assert_string_equal(table->routes[2].where.text, "x > 1");
    assert_int_equal(table->routes[0].n_columns, 0);
    assert_int_equal(table->routes[1].n_columns, 1);
    assert_int_equal(table->routes[2].n_columns, 0);
    assert_int_equal(table->routes[1].on_bad, PH_BAD_QUARANTINE);
    assert_true(table->routes[2].sample > 0.499 && table->routes[2].sample < 0.501);
    table = table_of("");
    name_is(&table->routes[0].into, "public", "t");
    assert_int_equal(table->routes[0].on_bad, PH_BAD_DEFAULT);
    assert_null(table->routes[0].where.text);
}

static void
entries_and_their_table(void **context)
{
    (void)context;
    const struct ph_rule_table *table =
        table_of("into: [{table: a, columns: {x: {set: 2}, z: keep}, drop: [p, q], keep: [w]}, "
                 "{table: b, keep: [x, y]}, {table: c, keep: all}, d], "
                 "columns: {x: {set: 1}, y: {from: old}}, drop: [p]");
    const struct ph_rule_route *route = &table->routes[0];
    assert_int_equal(route->n_columns, 4);
    assert_string_equal(route->columns[0].constant.text, "2"); /* in the place of the table's */
    assert_string_equal(route->columns[1].target.text, "y");
    words_are(&route->columns[1].from, "old");
    assert_string_equal(route->columns[2].target.text, "z");
    assert_string_equal(route->columns[3].target.text, "w");
    assert_int_equal(route->columns[3].kind, PH_RULE_KEEP);
    words_are(&route->drop, "p,q");
    route = &table->routes[1];
    assert_int_equal(route->n_columns, 2);
    assert_int_equal(route->columns[0].kind, PH_RULE_KEEP);
    assert_int_equal(route->columns[1].kind, PH_RULE_KEEP);
    words_are(&route->drop, "p");
    assert_false(route->keeps_all);
    route = &table->routes[2];
    assert_true(route->keeps_all);
    assert_string_equal(route->columns[0].constant.text, "1");
    route = &table->routes[3];
    assert_int_equal(route->n_columns, 2);
    assert_false(route->keeps_all);
}

static void
rules_without_steps(void **context)
{
    (void)context;
    const struct ph_rule_column *column = column_of("{from: old}");
    assert_int_equal(column->kind, PH_RULE_TAKE);
    words_are(&column->from, "old");
    assert_int_equal(column->n_steps, 0);
    assert_int_equal(column_of("keep")->kind, PH_RULE_KEEP);
    assert_int_equal(column_of("'keep'")->kind, PH_RULE_KEEP);
    column = column_of("{set: 42}");
    assert_int_equal(column->kind, PH_RULE_SET);
    assert_string_equal(column->constant.text, "42");
    column = column_of("{lookup: {table: plans, key: id, value: name}, from: plan_id}");
    assert_int_equal(column->kind, PH_RULE_LOOKUP);
    name_is(&column->lookup.table, "public", "plans");
    assert_string_equal(column->lookup.key.text, "id");
    assert_string_equal(column->lookup.value.text, "name");
    words_are(&column->from, "plan_id");
    assert_null(column->lookup.database);
    assert_false(column->lookup.is_constant);
    assert_int_equal(column->lookup.otherwise, PH_ELSE_NULL);
    assert_int_equal(column_of("{lookup: {table: p, key: i, value: n}}")->from.n, 0);
    column = column_of("{lookup: {table: p, key: i, value: n, database: service=x, constant: true},"
                       " else: {value: none}}");
    assert_string_equal(column->lookup.database, "service=x");
    assert_true(column->lookup.is_constant);
    assert_int_equal(column->lookup.otherwise, PH_ELSE_VALUE);
    assert_string_equal(column->lookup.else_value.text, "none");
    column = column_of("{lookup: {table: p, key: i, value: n, database: source}, else: error}");
    assert_null(column->lookup.database);
    assert_int_equal(column->lookup.otherwise, PH_ELSE_ERROR);
}

static void
rules_of_one_step(void **context)
{
    (void)context;
    const struct ph_rule_column *column = column_of("{map: phase}");
    assert_int_equal(column->kind, PH_RULE_TAKE);
    assert_int_equal(column->n_steps, 1);
    assert_string_equal(column->steps[0].op, "map");
    assert_string_equal(column->steps[0].map->name, "phase");
    assert_int_equal(column->steps[0].otherwise, PH_ELSE_ERROR);
    assert_int_equal(column_of("{map: phase, else: error}")->steps[0].otherwise, PH_ELSE_ERROR);
    assert_int_equal(column_of("{map: phase, else: quarantine}")->steps[0].otherwise,
                     PH_ELSE_QUARANTINE);
    assert_int_equal(column_of("{map: phase, else: null}")->steps[0].otherwise, PH_ELSE_NULL);
    assert_int_equal(column_of("{map: phase, else: 'null'}")->steps[0].otherwise, PH_ELSE_NULL);
    assert_int_equal(column_of("{map: phase, else: keep}")->steps[0].otherwise, PH_ELSE_KEEP);
    assert_int_equal(column_of("{map: phase, else: {value: null}}")->steps[0].otherwise,
                     PH_ELSE_NULL);
    column = column_of("{map: phase, from: old, else: {value: other}}");
    assert_int_equal(column->steps[0].otherwise, PH_ELSE_VALUE);
    assert_string_equal(column->steps[0].else_value.text, "other");
    words_are(&column->from, "old");
    assert_string_equal(column_of("{mask: email}")->steps[0].op, "mask_email");
    column = column_of("{mask: {range: [1, 10]}}");
    assert_string_equal(column->steps[0].op, "mask_range");
    words_are(&column->steps[0].params, "1,10");
    column = column_of("{default: ''}");
    assert_string_equal(column->steps[0].op, "default");
    words_are(&column->steps[0].params, "");
    assert_int_equal(column->steps[0].params.n, 1);
    column = column_of("{c: 'C:/my.so:f', from: [a, b], params: [x, 'null', 3]}");
    assert_string_equal(column->steps[0].library, "C:/my.so");
    assert_string_equal(column->steps[0].op, "f");
    words_are(&column->steps[0].params, "x,null,3");
    words_are(&column->from, "a,b");
    words_are(&column_of("{c: 'a.so:f', params: x}")->steps[0].params, "x");
}

static void
chains(void **context)
{
    (void)context;
    const struct ph_rule_column *column =
        column_of("{do: [trim, {substring: [1, 10]}, {cast: text}, {map: phase, else: keep}, "
                  "{mask: name}, {default: x}, {c: 'a.so:f', params: [1]}, {upper: []}], from: a}");
    assert_int_equal(column->kind, PH_RULE_TAKE);
    assert_int_equal(column->n_steps, 8);
    assert_string_equal(column->steps[0].op, "trim");
    assert_int_equal(column->steps[0].params.n, 0);
    assert_string_equal(column->steps[1].op, "substring");
    words_are(&column->steps[1].params, "1,10");
    words_are(&column->steps[2].params, "text");
    assert_non_null(column->steps[3].map);
    assert_int_equal(column->steps[3].otherwise, PH_ELSE_KEEP);
    assert_string_equal(column->steps[4].op, "mask_name");
    assert_string_equal(column->steps[5].op, "default");
    assert_string_equal(column->steps[6].library, "a.so");
    assert_string_equal(column->steps[7].op, "upper");
    assert_int_equal(column->steps[7].params.n, 0);
    assert_int_equal(column->steps[1].place.line, 2);
    column = column_of("{do: [{else: null, map: phase}]}");
    assert_int_equal(column->steps[0].otherwise, PH_ELSE_NULL);
}

static void
which_rows(void **context)
{
    static const struct {
        const char *text;
        double share;
    } shares[] = {{"10%", 0.1}, {"0.1", 0.1}, {"100%", 1}, {"1", 1}, {".5", 0.5}, {"2.5%", 0.025}};
    char text[64];

    (void)context;
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        snprintf(text, sizeof text, "sample: %s", shares[i].text);
        double share = table_of(text)->routes[0].sample;
        assert_true(share > shares[i].share - 1e-12 && share < shares[i].share + 1e-12);
    }
    const struct ph_rule_route *route = &table_of("where: \"a = 'x'\"")->routes[0];
    assert_string_equal(route->where.text, "a = 'x'");
    assert_int_equal(route->where.place.column, 28);
    route = &table_of("backup: old")->routes[0];
    assert_string_equal(route->backup, "old");
    route = &table_of("preserve: environment = 1")->routes[0];
    assert_string_equal(route->preserve.text, "environment = 1");
    assert_int_equal(route->preserve_columns.n, 0);
    route = &table_of("preserve: {rows: a > 1, columns: [api_key]}")->routes[0];
    assert_string_equal(route->preserve.text, "a > 1");
    words_are(&route->preserve_columns, "api_key");
    assert_int_equal(table_of("on_bad: error")->routes[0].on_bad, PH_BAD_ERROR);
    assert_int_equal(table_of("on_bad: quarantine")->routes[0].on_bad, PH_BAD_QUARANTINE);
}

static void
shapes(void **context)
{
    (void)context;
    const struct ph_rule_route *route =
        &table_of("unpivot: {columns: [likes, shares], name: metric, value: n, nulls: skip}")
             ->routes[0];
    assert_true(route->unpivot.is_there && !route->unpivot.keeps_null && !route->each.is_there);
    words_are(&route->unpivot.columns, "likes,shares");
    assert_string_equal(route->unpivot.name.text, "metric");
    assert_string_equal(route->unpivot.value.text, "n");
    route = &table_of("unpivot: {columns: [a], name: m, value: n, nulls: keep}")->routes[0];
    assert_true(route->unpivot.keeps_null);
    route = &table_of("each: {column: tags, value: tag, position: n}")->routes[0];
    assert_true(route->each.is_there);
    assert_string_equal(route->each.column.text, "tags");
    assert_string_equal(route->each.position.text, "n");
    route = &table_of("each: {column: tags, value: tag}")->routes[0];
    assert_null(route->each.position.text);
    route = &table_of("merge: {key: [k, l], after: [a, {table: s.b, key: [x, y]}]}")->routes[0];
    assert_true(route->merge.is_there);
    assert_int_equal(route->merge.n_after, 2);
    name_is(&route->merge.after[1], "s", "b");
    words_are(&route->merge.keys[0], "k,l");
    words_are(&route->merge.keys[1], "x,y");
    route = &table_of("dedup: {key: [handle], prefer: [scraped_at desc, id]}")->routes[0];
    assert_true(route->dedup.is_there);
    words_are(&route->dedup.key, "handle");
    words_are(&route->dedup.prefer, "scraped_at desc,id");
}

static void
all_checks(void **context)
{
    (void)context;
    const struct ph_job_rules *rules = rules_of(
        "checks:\n"
        "  - matrix: {table: t, columns: [a, b], fail: true}\n"
        "  - orphans: {table: t, columns: [campaign_id], references: s.campaigns, key: [id],\n"
        "              database: \"service=other\"}\n"
        "    fail: yes\n"
        "  - same_count: {table: p, as: [x, y.z]}\n"
        "  - unique: {table: t, columns: [id]}\n"
        "    fail: false\n");
    assert_int_equal(rules->n_checks, 4);
    const struct ph_rule_check *check = rules->checks;
    assert_int_equal(check->kind, PH_CHECK_MATRIX);
    words_are(&check->columns, "a,b");
    assert_true(check->is_failure);
    assert_int_equal(check->place.line, 2);
    check++;
    assert_int_equal(check->kind, PH_CHECK_ORPHANS);
    name_is(&check->references, "s", "campaigns");
    words_are(&check->reference_columns, "id");
    assert_string_equal(check->database, "service=other");
    assert_true(check->is_failure);
    check++;
    assert_int_equal(check->kind, PH_CHECK_SAME_COUNT);
    assert_int_equal(check->n_others, 2);
    name_is(&check->others[1], "y", "z");
    assert_string_equal(check->name, "same_count public.p");
    assert_true(check->is_failure);
    check++;
    assert_int_equal(check->kind, PH_CHECK_UNIQUE);
    assert_false(check->is_failure);
}

/* ---- mistakes ---- */

static void
mistakes_at_the_top(void **context)
{
    (void)context;
    refused("tabels: {}", "1:1", "did you mean \"tables\"?");
    refused("chekcs: []", "1:1", "did you mean \"checks\"?");
    refused("maps: {}\nmaps: {}", "2:1", "maps: given twice");
    refused("tables: [a]", "1:9", "tables: expected a mapping of tables, found a list");
    refused("tables:", "1:8", "found nothing");
    refused("maps: x", "1:7", "maps: expected a mapping of maps, found a single value");
    refused("checks: {}", "1:9", "checks: expected a list of checks, found a mapping");
    refused("policy: clasify", "1:9",
            "policy: \"clasify\" is wrong; expected classify; did you mean \"classify\"?");
    refused("policy: [classify]", "1:9", "found a list");
    refused("secret: abc", "1:9", "expected {env: VARIABLE} or {file: PATH}");
    refused("secret: {}", "1:9", "found neither");
    refused("secret: {env: A, file: B}", "1:9", "found both");
    refused("secret: {evn: A}", "1:10",
            "unknown key \"evn\" under \"secret\"; did you mean \"env\"?");
    refused("secret: {env: }", "1:15", "env: expected a single value, found nothing");
    refused("secret: {env: ''}", "1:15", "env: the value is empty");
    refused("secret: {env: A, env: B}", "1:18", "\"env\" is given twice");
    refused("maps: {m: [a]}", "1:11", "m: expected a mapping of values, found a list");
    refused("maps: {m: {a: b, c: d, a: e}}", "1:24", "m: \"a\" is given twice, first in line 1");
    refused("maps: {m: {~: b, null: d}}", "1:18", "m: \"null\" is given twice");
    refused("maps: {m: {a: b}, m: {}}", "1:19", "maps: \"m\" is given twice");
    refused("maps: {m: {a: [b]}}", "1:15", "m: expected a single value, found a list");
    refused("maps: {m: {[a]: b}}", "1:12", "a word for a key");
    refused("maps: {null: {}}", "1:8", "found nothing");
    refused("maps: {m: {a: \"x\\0y\"}}", "1:15", "zero byte");
    refused("maps: {m: &a {}}\ntables: *a", "2:9", "aliases");
    refused("maps: {m: !!str a}", "1:11", "tags");
}

static void
mistakes_in_tables(void **context)
{
    (void)context;
    refused("tables: {t: archive.t}", "1:13", "t: expected a mapping, found a single value");
    refused("tables: {t: {}, public.t: {}}", "1:17",
            "tables: \"public.t\" is given twice, first in line 1");
    refused("tables: {'\"a.b\".c': {}, 'a.\"b.c\"': {}, t: 1}", "1:43", "expected a mapping");
    refused("tables: {a.b.c: {}}", "1:10", "not the name of a table: it has more than two parts");
    refused("tables: {'a.': {}}", "1:10", "a part of it is empty");
    refused("tables: {'\"a': {}}", "1:10", "a quote is not closed");
    refused("tables: {'a\"b\"': {}}", "1:10", "a quote is in the middle");
    refused("tables: {[a]: {}}", "1:10", "expected the name of a table");
    refused_in_table("colums: {}", 1,
                     "unknown key \"colums\" under \"t\"; did you mean \"columns\"?");
    refused_in_table("table: x", 1, "unknown key \"table\"");
    refused_in_table("zzzzzz: x", 1, "unknown key \"zzzzzz\" under \"t\"");
    refused_in_table("drop: [a], drop: [b]", 12, "t: \"drop\" is given twice");
    refused_in_table("into: {table: a}", 7,
                     "into: expected a table, or a list of tables, found a "
                     "mapping");
    refused_in_table("into: []", 7, "an empty one");
    refused_in_table("into: ", 7, "found nothing");
    refused_in_table("into: [{columns: {}}]", 8, "into: \"table\" is missing");
    refused_in_table("into: [{table: a, into: b}]", 19, "unknown key \"into\"");
    refused_in_table("into: [[a]]", 8, "expected the name of a table, e.g. public.posts");
    refused_in_table("drop: a", 7,
                     "drop: expected a list of names, e.g. [a, b], found a single value");
    refused_in_table("drop: []", 7, "found an empty one");
    refused_in_table("drop: [a, a]", 11, "drop: \"a\" is given twice");
    refused_in_table("drop: [[a]]", 8, "drop: expected a single value, found a list");
    refused_in_table("drop: [null]", 8, "found nothing");
    refused_in_table("keep: some", 7, "keep: expected a list of columns, e.g. [a, b], or all");
    refused_in_table("keep: [a], columns: {a: {set: 1}}", 22,
                     "\"a\" has a rule already, in line 2");
    refused_in_table("columns: {a: {set: 1}}, keep: [b, a]", 35, "\"a\" has a rule already");
    refused_in_table("keep: [a], drop: [a]", 0, "\"a\" is kept and dropped");
    refused_in_table("into: [{table: x, columns: {a: keep}, keep: [a]}], columns: {a: {set: 1}}",
                     46, "\"a\" has a rule already");
    refused_in_table("into: [{table: x, keep: [a]}], drop: [a]", 8, "kept and dropped");
    refused_in_table("columns: [a]", 10, "columns: expected a mapping, e.g. {title: {from: name}}");
    refused_in_table("columns: {a: keep, a: keep}", 20, "columns: \"a\" is given twice");
    refused_in_table("where: ", 8, "where: expected a single value, found nothing");
    refused_in_table("where: ''", 8, "where: the value is empty");
    refused_in_table("where: [a]", 8, "where: expected a single value, found a list");
    refused_in_table("on_bad: quarantin", 9, "did you mean \"quarantine\"?");
    refused_in_table("on_bad: {}", 9, "expected error or quarantine, found a mapping");
}

static void
mistakes_in_shapes(void **context)
{
    static const char *const shares[] = {"0",    "0%",  "101%", "1.5", "ten", "-1",
                                         "10 %", "1e3", "5%%",  ".",   "''",  "0x1"};
    char text[64];

    (void)context;
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        snprintf(text, sizeof text, "sample: %s", shares[i]);
        refused_in_table(text, 9, "expected a share of the rows, e.g. 10% or 0.1");
    }
    refused_in_table("sample: [1]", 9, "found a list");
    refused_in_table("preserve: {}", 11, "expected \"rows\", \"columns\" or both");
    refused_in_table("preserve: {row: x}", 12, "did you mean \"rows\"?");
    refused_in_table("preserve: {columns: a}", 21, "expected a list of names");
    refused_in_table("backup: []", 9, "backup");
    refused_in_table("backup: \"\"", 9, "the value is empty");
    refused_in_table("preserve: []", 11, "preserve: expected a mapping, found a list");
    refused_in_table("unpivot: {columns: [a], name: b}", 10, "unpivot: \"value\" is missing");
    refused_in_table("unpivot: {columns: [a], name: b, value: c, nulls: no}", 51,
                     "nulls: \"no\" is wrong; expected skip or keep");
    refused_in_table("unpivot: [a]", 10, "unpivot: expected a mapping");
    refused_in_table("unpivot: {columns: [a, a], name: b, value: c}", 24, "\"a\" is given twice");
    refused_in_table("each: {column: a}", 7, "each: \"value\" is missing");
    refused_in_table("each: {column: [a], value: v}", 16, "column: expected a single value");
    refused_in_table("each: {colum: a}", 8, "did you mean \"column\"?");
    refused_in_table("merge: {key: [a]}", 8, "merge: \"after\" is missing");
    refused_in_table("merge: {key: [a], after: b}", 26, "after: expected a list of tables");
    refused_in_table("merge: {key: [a], after: []}", 26, "an empty one");
    refused_in_table("merge: {key: [a], after: [{key: [b]}]}", 27, "after: \"table\" is missing");
    refused_in_table("merge: {key: [a], after: [{table: b, key: [c, d]}]}", 8,
                     "merge: the key of \"b\" has 2 columns, that of this table 1");
    refused_in_table("dedup: {key: [a]}", 8, "dedup: \"prefer\" is missing");
    refused_in_table("dedup: {key: a, prefer: [b]}", 14, "key: expected a list of names");
}

static void
mistakes_in_columns(void **context)
{
    (void)context;
    refused_in_column("kep", 1,
                      "the rule of \"c\": expected \"keep\" or a mapping, e.g. {from: "
                      "old_name}, found a single value");
    refused_in_column("", 1, "found nothing");
    refused_in_column("{}", 1, "found an empty one");
    refused_in_column("[a]", 1, "found a list");
    refused_in_column("{form: a}", 2,
                      "unknown key \"form\" in the rule of \"c\"; did you mean "
                      "\"from\"?");
    refused_in_column("{zzzzzz: a}", 2, "unknown key \"zzzzzz\"");
    refused_in_column("{[a]: b}", 2, "key: expected a word, found a list");
    refused_in_column("{from: a, from: b}", 11, "\"from\" is given twice");
    refused_in_column("{set: a, set: b}", 10, "\"set\" is given twice");
    refused_in_column("{set: a, mask: b}", 10, "\"set\" and \"mask\" in one rule");
    refused_in_column("{set: a, from: b}", 16, "\"from\" does not go with \"set\"");
    refused_in_column("{set: [a]}", 7, "set: expected a single value, found a list");
    refused_in_column("{from: [a, b]}", 8, "several columns need an operator");
    refused_in_column("{from: []}", 8, "from: the list is empty");
    refused_in_column("{from: }", 8, "from: expected a value or a list of them, found nothing");
    refused_in_column("{from: a, else: keep}", 17,
                      "\"else\" goes with \"map\" and \"lookup\" only");
    refused_in_column("{mask: a, params: [1]}", 19, "\"params\" goes with \"c\" only");
    refused_in_column("{map: phse}", 7,
                      "map \"phse\" is not under \"maps\"; did you mean \"phase\"?");
    refused_in_column("{map: zzz}", 7, "map \"zzz\" is not under \"maps\"");
    refused_in_column("{map: {a: b}}", 7, "map: expected the name of a map under maps:");
    refused_in_column("{map: phase, else: eror}", 20, "did you mean \"error\"?");
    refused_in_column("{map: phase, else: [a]}", 20,
                      "expected error, quarantine, null, keep or {value: V}");
    refused_in_column("{map: phase, else: {}}", 20, "else: \"value\" is missing");
    refused_in_column("{map: phase, else: {value: [a]}}", 28, "else: expected a single value");
    refused_in_column("{mask: [email]}", 8, "mask: expected an operator");
    refused_in_column("{mask: ''}", 8, "mask: the value is empty");
    refused_in_column("{default: null}", 11, "default: expected a value for NULL, found nothing");
    refused_in_column("{default: [1]}", 11, "default: expected a value for NULL, found a list");
    refused_in_column("{c: score}", 5, "expected a library and an operator of it");
    refused_in_column("{c: ':score'}", 5, "expected a library");
    refused_in_column("{c: 'a.so:'}", 5, "expected a library");
    refused_in_column("{c: 'a.so:f', params: {a: b}}", 23, "params: expected a constant");
    refused_in_column("{c: 'a.so:f', params: [null]}", 24,
                      "params: expected a constant, found "
                      "nothing");
    refused_in_column("{lookup: x}", 10, "lookup: expected a mapping");
    refused_in_column("{lookup: {table: a, key: b}}", 10, "lookup: \"value\" is missing");
    refused_in_column("{lookup: {table: a, key: b, value: c}, else: keep}", 46,
                      "a lookup has nothing to keep");
    refused_in_column("{lookup: {table: a, key: b, value: c, database: target}}", 49,
                      "cannot be looked up in the target, which the job itself fills");
    refused_in_column("{lookup: {tabel: a}}", 11, "did you mean \"table\"?");
    refused_in_column("{lookup: {table: a, key: b, value: c}, from: [d, e]}", 46, "by one column");
    refused_in_column("{do: trim}", 6, "do: expected a list of operators");
    refused_in_column("{do: []}", 6, "found an empty one");
    refused_in_column("{do: [[trim]]}", 7, "do: expected an operator");
    refused_in_column("{do: [null]}", 7, "do: expected an operator");
    refused_in_column("{do: [{a: 1, b: 2}]}", 7, "do: expected an operator");
    refused_in_column("{do: [{trim: }]}", 14, "trim: expected a constant, found nothing");
    refused_in_column("{do: [{substring: {a: 1}}]}", 19, "substring: expected a constant");
    refused_in_column("{do: [{set: 1}]}", 8, "\"set\" is a rule by itself, not a step");
    refused_in_column("{do: [{do: [trim]}]}", 8, "\"do\" is a rule by itself");
    refused_in_column("{do: [{map: phase, from: a}]}", 26, "\"from\" stands beside \"do\"");
    refused_in_column("{do: [{map: phase, mask: a}]}", 20, "\"map\" and \"mask\" in one rule");
    refused_in_column("{do: [{mask: a, else: keep}]}", 23,
                      "\"else\" goes with \"map\" and \"lookup\" only");
}

static void
mistakes_in_checks(void **context)
{
    (void)context;
    refused("checks: [matrix]", "1:10", "checks: expected a mapping with one check");
    refused("checks: [{}]", "1:10", "found 0 of them");
    refused("checks: [{fail: true}]", "1:10", "found 0 of them");
    refused("checks: [{on: source}]", "1:10", "found 0 of them");
    refused("checks: [{on: here, unique: {table: t, columns: [a]}}]", "1:15", "source or target");
    refused("checks: [{matrx: {}}]", "1:11", "did you mean \"matrix\"?");
    refused("checks: [{matrix: {table: t}}]", "1:19", "matrix: \"columns\" is missing");
    refused("checks: [{matrix: {table: t, columns: [a]}, unique: {table: t, columns: [a]}}]",
            "1:10", "found 2 of them");
    refused("checks: [{matrix: {table: t, columns: [a]}, fail: maybe}]", "1:51",
            "expected true or false");
    refused("checks: [{matrix: {table: t, columns: [a]}, fail: [a]}]", "1:51",
            "expected true or false, found a list");
    refused("checks: [{orphans: {table: t, columns: [a], references: b, key: [c, d]}}]", "1:20",
            "orphans: 1 in \"columns\", 2 in \"key\"");
    refused("checks: [{orphans: {table: t, columns: [a], key: [c]}}]", "1:20",
            "\"references\" is missing");
    refused("checks: [{same_count: {table: t, as: x}}]", "1:38", "as: expected a list of tables");
    refused("checks: [{same_count: {table: t, as: []}}]", "1:38", "an empty one");
}

static void
bounds(void **context)
{
    char *text = malloc(4 << 20);
    size_t len = 0;

    (void)context;
    assert_non_null(text);
    memcpy(text, "maps: {m: {a: ", 14);
    memset(text + 14, '[', 40);
    text[54] = '\0';
    refused(text, "1:29", "nested deeper than 16"); /* two mappings and fourteen lists are in it */
    /* 200 tables and a map of 50,000 entries are read; a line that is wrong at the end is found */
    len = (size_t)snprintf(text, 100, "maps:\n  m:\n");
    for (int i = 0; i < 50000; i++)
        len += (size_t)snprintf(text + len, 100, "    value number %d: other %d\n", i, i);
    len += (size_t)snprintf(text + len, 100, "tables:\n");
    for (int i = 0; i < 200; i++)
        len += (size_t)snprintf(text + len, 100, "  app.t%d: {columns: {a: {map: m}}}\n", i);
    const struct ph_job_rules *rules = rules_of(text);
    assert_int_equal(rules->n_tables, 200);
    assert_int_equal(rules->maps[0].n_pairs, 50000);
    ph_options_free(&options);
    snprintf(text + len, 100, "  app.t7: {}\n");
    refused(text, "50204:3", "tables: \"app.t7\" is given twice, first in line 50011");
    len = (size_t)snprintf(text, 100, "checks: [");
    for (int i = 0; i < 1000001; i++) {
        memcpy(text + len, "a, ", 3);
        len += 3;
    }
    memcpy(text + len, "]", 2);
    assert_int_equal(parse(text), PH_E_JOBFILE);
    assert_string_equal(err.message, "more than 1000000 values");
    len = (size_t)snprintf(text, 100, "tables: {t: {drop: [");
    for (int i = 0; i < 1601; i++)
        len += (size_t)snprintf(text + len, 100, "c%d, ", i);
    snprintf(text + len, 100, "]}}");
    refused(text, "1:20", "drop: 1601 names; a table has at most 1600 columns");
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        options_test(the_example),
        options_test(files_without_rules),
        options_test(nulls),
        options_test(names_of_relations),
        options_test(forms_of_into),
        options_test(entries_and_their_table),
        options_test(rules_without_steps),
        options_test(rules_of_one_step),
        options_test(chains),
        options_test(which_rows),
        options_test(shapes),
        options_test(all_checks),
        options_test(mistakes_at_the_top),
        options_test(mistakes_in_tables),
        options_test(mistakes_in_shapes),
        options_test(mistakes_in_columns),
        options_test(mistakes_in_checks),
        options_test(bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
