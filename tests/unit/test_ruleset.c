/* Rules from the job file to compiled code and rows: what comes out of what. */
#include "rules/hidden.h"
#include "rules_case.h"

#include <sys/stat.h>
#include <unistd.h>

#define assert_row(number, row, expected)                                                          \
    assert_string_equal(fake_run(&fake, number, row), expected)

/* ---- columns ---- */

static void
campaigns(const char *source, const char *target)
{
    table_on_both("public.campaigns", source, target);
}

#define PHASES                                                                                     \
    "maps:\n  phase: {domain_generation: generation, dns_validation: dns, http_validation: http,"  \
    " comprehensive: generation}\n"

static void
maps_sets_and_passes(void **state)
{
    uint32_t n;

    (void)state;
    campaigns("id int4*, campaign_type text, launch_sequence bool, note text",
              "id int4*, phase phase!, note text, org int4!");
    fake_must_make(&fake, PHASES "tables:\n  public.campaigns:\n    columns:\n"
                                 "      phase: {map: phase, from: campaign_type}\n"
                                 "      note: {set: \"x*/y\\\"?\"}\n      org: {set: 42}\n"
                                 "    drop: [launch_sequence]\n");
    const struct ph_route *made = ph_ruleset_of(fake.set, fake.source.rels[0].oid, &n);
    assert_int_equal(n, 1);
    assert_ptr_equal(made, route(0));
    assert_string_equal(made->name, "public.campaigns -> public.campaigns");
    assert_true(made->has_program);
    assert_false(made->outputs[1].is_injective);
    assert_true(made->outputs[0].is_injective);
    assert_int_equal(made->n_key_inputs, 1);
    assert_null(ph_ruleset_of(fake.set, 1, &n));
    assert_row(0, "7|dns_validation", "7|dns|x*/y\"?|42");
    assert_row(0, "7|domain_generation", "7|generation|x*/y\"?|42");
    assert_row(0, "7|comprehensive", "7|generation|x*/y\"?|42");
    assert_row(0, "7|dns_validatiom",
               "BAD phase: the map phase does not have the value \"dns_validatiom\"");
    assert_row(0, "7|-", "BAD phase: is NULL, and the column is NOT NULL");
    assert_row(0, "7|~", "7|~|x*/y\"?|42");
}

static void
a_map_has_every_else(void **state)
{
    static const struct {
        const char *otherwise;
        const char *expected;
    } cases[] = {
        {"error", "BAD b: the map m does not have the value \"zz\""},
        {"quarantine", "QUARANTINE b: the map m does not have the value \"zz\""},
        {"null", "1|-"},
        {"keep", "1|zz"},
        {"{value: other}", "1|other"},
    };

    (void)state;
    campaigns("id int4*, a text", "id int4*, b text");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char job[512];
        snprintf(job, sizeof job,
                 "maps: {m: {x: one, y: two, null: none}}\ntables:\n  campaigns:\n    columns:\n"
                 "      b: {map: m, from: a, else: %s}\n",
                 cases[i].otherwise);
        fake_must_make(&fake, job);
        assert_row(0, "1|x", "1|one");
        assert_row(0, "1|y", "1|two");
        assert_row(0, "1|-", "1|none");
        assert_row(0, "1|zz", cases[i].expected);
    }
}

/* Keys of many lengths, some of them prefixes, some with the same letters: none is mistaken. */
static void
a_large_map_finds_each_key(void **state)
{
    char job[32768] = "maps:\n  m:\n";
    char row[64];
    char expected[64];

    (void)state;
    campaigns("id int4*, a text", "id int4*, b text");
    for (int i = 0; i < 500; i++)
        snprintf(job + strlen(job), sizeof job - strlen(job), "    \"k%d%.*s\": v%d\n", i * 7919,
                 i % 9, "abcdefghi", i);
    strncat(job, "tables: {campaigns: {columns: {b: {map: m, from: a, else: null}}}}\n",
            sizeof job - strlen(job) - 1);
    fake_must_make(&fake, job);
    for (int i = 0; i < 500; i++) {
        snprintf(row, sizeof row, "%d|k%d%.*s", i, i * 7919, i % 9, "abcdefghi");
        snprintf(expected, sizeof expected, "%d|v%d", i, i);
        assert_row(0, row, expected);
        row[strlen(row) - 1]++;
        snprintf(expected, sizeof expected, "%d|-", i);
        if (i % 9 > 0)
            assert_row(0, row, expected);
    }
    assert_row(0, "1|", "1|-");
}

static void
integers_and_booleans_are_mapped(void **state)
{
    (void)state;
    campaigns("id int4*, a int4, f bool", "id int4*, a text, f int4");
    fake_must_make(&fake, "maps: {m: {1: one, 256: many}, f: {true: 1, false: 0}}\n"
                          "tables: {campaigns: {columns: {a: {map: m}, f: {map: f}}}}\n");
    assert_row(0, "1|1|true", "1|one|1");
    assert_row(0, "1|256|false", "1|many|0");
    assert_row(0, "1|16777216|false", "BAD a: the map m does not have the value");
}

static void
types_are_cast_where_they_differ(void **state)
{
    (void)state;
    campaigns("id int4*, a int4, b text, c old_phase", "id int8*, a text, b int8, c phase");
    fake_must_make(&fake, "tables: {campaigns: {}}\n");
    assert_true(route(0)->has_program);
    assert_row(0, "1|22|333|generation", "1|22|333|generation");
    assert_row(0, "1|-|x|generation", "BAD b: not an integer");
    assert_row(0, "1|-|3|domain_generation", "BAD c: is no value of the column's enum");
}

static void
chains_and_defaults(void **state)
{
    (void)state;
    campaigns("id int4*, a text, b int4, c text, d text", "id int4*, a text, b int8, cd text");
    fake_must_make(&fake, "maps: {m: {AB: found}}\n"
                          "tables:\n  campaigns:\n    columns:\n"
                          "      a: {do: [trim, upper, {map: m, else: keep}, {default: nothing}]}\n"
                          "      b: {default: 99}\n"
                          "      cd: {do: [{concat: \"-\"}], from: [c, d]}\n");
    assert_row(0, "1|  ab |-|x|y", "1|found|99|x-y");
    assert_row(0, "1|q|5|x|-", "1|Q|5|x");
    assert_row(0, "1|-|5|x|~", "1|nothing|5|~");
}

static void
a_renamed_table_needs_no_program(void **state)
{
    (void)state;
    fake_table(&fake.source, "public.posts", "id int4*, body text, old int4, kind old_phase");
    fake_table(&fake.target, "app.articles", "id int4*, content varchar, kind text, made date=");
    fake_must_make(&fake, "tables:\n  posts:\n    into: app.articles\n"
                          "    columns: {content: {from: body}}\n    drop: [old]\n");
    assert_false(route(0)->has_program);
    assert_int_equal(route(0)->n_inputs, 0);
    assert_int_equal(route(0)->n_outputs, 3);
    assert_string_equal(route(0)->outputs[1].source->name, "body");
    assert_string_equal(route(0)->outputs[1].words, "from body");
    assert_string_equal(route(0)->outputs[2].source->name, "kind");
    assert_null(route(0)->no_stream);
}

/* Every value as it is: the very bytes, whatever they are. */
static void
identity_gives_the_same_bytes(void **state)
{
    uint8_t bytes[64];
    uint64_t random = 88172645463325252u;
    struct ph_rule_outcome outcome;

    (void)state;
    campaigns("id int4*, a text, b numeric, c int4[], d jsonb, e varchar(500)",
              "id int4*, a text, b numeric, c int4[], d jsonb, e varchar(500), s int4");
    fake_must_make(&fake, "tables: {campaigns: {columns: {s: {set: 1}}}}\n");
    for (int i = 0; i < 2000; i++) {
        struct ph_value in[6];
        struct ph_value out[7];
        for (int k = 0; k < 6; k++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            bytes[i % 64] = (uint8_t)random;
            in[k] = (struct ph_value){bytes + random % 32, (int32_t)(random >> 8) % 32 - 2};
            if (in[k].len < PH_VALUE_UNCHANGED || (k == 0 && in[k].len < 0))
                in[k].len = 3;
        }
        assert_int_equal(ph_rule_begin_row(fake.machine, route(0), in, &outcome, &fake.err), PH_OK);
        assert_int_equal(outcome.rows, 1);
        assert_int_equal(ph_rule_take_row(fake.machine, 0, out, &outcome, &fake.err), PH_OK);
        for (int k = 0; k < 6; k++) {
            assert_int_equal(out[k].len, in[route(0)->outputs[k].input].len);
            assert_ptr_equal(out[k].data, in[route(0)->outputs[k].input].data);
        }
    }
}

/* ---- what must fit ---- */

static void
lengths_fit_or_are_told(void **state)
{
    (void)state;
    campaigns("id int4*, a text, b text, c int4", "id int4*, a varchar(3), b bpchar(4), c int4!");
    fake_must_make(&fake, "tables:\n  campaigns:\n    columns:\n      a: {do: [trim]}\n"
                          "      b: {do: [trim]}\n    on_bad: quarantine\n");
    assert_true(route(0)->quarantines);
    assert_row(0, "1|abc|x|1", "1|abc|x   |1");
    assert_row(0, "1|\303\244\303\266\303\274|\303\244|1",
               "1|\303\244\303\266\303\274|\303\244   |1");
    assert_row(0, "1|abcd|x|1", "QUARANTINE a: is longer than the column");
    assert_row(0, "1|-|abcde|1", "QUARANTINE b: is longer than the column");
    assert_row(0, "1|-|-|-", "QUARANTINE c: is NULL, and the column is NOT NULL");
}

/* A numeric in send format: groups of four digits. */
static struct ph_value
numeric(int16_t weight, uint16_t sign, uint16_t scale, const int16_t *groups, int16_t n)
{
    uint8_t *bytes = ph_arena_alloc(&fake.arena, 8 + 2 * (size_t)n);

    ph_rule_put_i16(bytes, n);
    ph_rule_put_i16(bytes + 2, weight);
    ph_rule_put_i16(bytes + 4, (int16_t)sign);
    ph_rule_put_i16(bytes + 6, (int16_t)scale);
    for (int16_t i = 0; i < n; i++)
        ph_rule_put_i16(bytes + 8 + 2 * i, groups[i]);
    return (struct ph_value){bytes, 8 + 2 * n};
}

static void
assert_numeric(struct ph_value in, const char *message, struct ph_value expected)
{
    struct ph_rule_outcome outcome;
    struct ph_value row[] = {fake_value(&fake, 23, "1"), in};
    struct ph_value out[2];

    assert_int_equal(ph_rule_begin_row(fake.machine, route(0), row, &outcome, &fake.err), PH_OK);
    assert_int_equal(ph_rule_take_row(fake.machine, 0, out, &outcome, &fake.err), PH_OK);
    if (message == NULL && outcome.verdict != PH_ROW_TAKEN)
        fail_msg("%s", outcome.message);
    if (message != NULL) {
        assert_string_equal(outcome.message, message);
        return;
    }
    assert_int_equal(out[1].len, expected.len);
    assert_memory_equal(out[1].data, expected.data, (size_t)expected.len);
}

static void
numerics_are_rounded_as_the_server_does(void **state)
{
    const int16_t in[] = {1, 2345, 6750};
    const int16_t rounded[] = {1, 2345, 6800};
    const int16_t nines[] = {9999, 9999};
    const int16_t small[] = {40};
    const int16_t large[] = {1, 0, 0};
    const struct ph_value none = {NULL, -1};

    (void)state;
    campaigns("id int4*, a numeric", "id int4*, a numeric(7,2)");
    fake_must_make(&fake, "tables: {campaigns: {on_bad: quarantine}}\n");
    assert_numeric(numeric(1, 0, 4, in, 3), NULL, numeric(1, 0, 2, rounded, 3));
    assert_numeric(numeric(1, 0x4000, 4, in, 3), NULL, numeric(1, 0x4000, 2, rounded, 3));
    assert_numeric(numeric(0, 0, 4, nines, 2), NULL, numeric(1, 0, 2, (int16_t[]){1}, 1));
    assert_numeric(numeric(-1, 0, 4, small, 1), NULL, numeric(0, 0, 2, NULL, 0));
    assert_numeric(numeric(0, 0, 0, NULL, 0), NULL, numeric(0, 0, 2, NULL, 0));
    assert_numeric(numeric(1, 0, 0, (int16_t[]){9}, 1), NULL, numeric(1, 0, 2, (int16_t[]){9}, 1));
    assert_numeric(numeric(1, 0, 0, (int16_t[]){10}, 1), "has more digits than the column", none);
    assert_numeric(numeric(2, 0, 0, large, 1), "has more digits than the column", none);
    assert_numeric(numeric(0, 0xC000, 0, NULL, 0), NULL, numeric(0, 0xC000, 0, NULL, 0));
    assert_numeric(numeric(0, 0xD000, 0, NULL, 0),
                   "is infinite, which the column's precision does not allow", none);
    assert_numeric((struct ph_value){(const uint8_t *)"x", 1}, "is not a numeric", none);
}

/* ---- shapes ---- */

static void
columns_become_rows(void **state)
{
    (void)state;
    fake_table(&fake.source, "public.posts", "id int4*, likes int4, shares int4, views int4");
    fake_table(&fake.target, "public.metrics", "id int4*, metric text*, amount int8, source text");
    fake_must_make(&fake, "tables:\n  posts:\n    into: metrics\n    columns: {source: {set: s}}\n"
                          "    unpivot: {columns: [likes, shares, views], name: metric,"
                          " value: amount}\n");
    assert_true(route(0)->makes_rows);
    assert_true(route(0)->needs_old_row);
    /* inputs: likes, shares, views, id */
    assert_row(0, "10|20|30|1", "1|likes|10|s;1|shares|20|s;1|views|30|s");
    assert_row(0, "10|-|30|1", "1|likes|10|s;1|views|30|s");
    assert_row(0, "-|-|-|1", "");
    fake_must_make(&fake, "tables:\n  posts:\n    into: metrics\n    columns: {source: {set: s}}\n"
                          "    unpivot: {columns: [likes, shares, views], name: metric,"
                          " value: amount, nulls: keep}\n");
    assert_false(route(0)->needs_old_row);
    assert_row(0, "10|-|30|1", "1|likes|10|s;1|shares|-|s;1|views|30|s");
    assert_row(0, "10|~|30|1", "1|likes|10|s;1|shares|~|s;1|views|30|s");
}

static void
json_elements_become_rows(void **state)
{
    (void)state;
    fake_table(&fake.source, "public.posts", "id int4*, tags json");
    fake_table(&fake.target, "public.tags", "id int4*, n int4*, tag text");
    fake_must_make(&fake, "tables:\n  posts:\n    into: tags\n"
                          "    each: {column: tags, value: tag, position: n}\n");
    assert_row(0, "[\"a\", \"b,]\\\"\" , 1.10, null, {\"x\": [1, 2]}]|7",
               "7|1|a;7|2|b,]\";7|3|1.10;7|4|-;7|5|{\"x\": [1, 2]}");
    assert_row(0, "[]|7", "");
    assert_row(0, " [ ] |7", "");
    assert_row(0, "-|7", "");
    assert_row(0, "null|7", "");
    assert_row(0, "[\"\\u00e4\\ud83d\\ude00\\n\"]|7", "7|1|\303\244\360\237\230\200\n");
    assert_row(0, "{}|7", "BAD id: is JSON, but not an array");
}

/* json may hold escapes that are no character: PostgreSQL makes no text of them either. */
static void
json_escapes_that_no_text_can_hold(void **state)
{
    static const char *const wrong[] = {
        "\\ud800",        "\\ud800x",      "\\ud800\\n", "\\ud800\\u0041", "\\udc00",
        "\\ud800\\ud800", "\\ud83d\\ude0", "\\u0000",    "\\udfff\\ud800", "x\\ud800",
    };
    char row[64];

    (void)state;
    fake_table(&fake.source, "public.posts", "id int4*, tags json");
    fake_table(&fake.target, "public.tags", "id int4*, n int4*, tag text");
    fake_must_make(&fake, "tables:\n  posts:\n    into: tags\n"
                          "    each: {column: tags, value: tag, position: n}\n");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(row, sizeof row, "[\"%s\"]|7", wrong[i]);
        assert_row(0, row, "BAD tag: has a JSON string that no text can hold");
    }
    assert_row(0, "[\"\\udbff\\udfff\", \"\\ud800\\udc00\"]|7",
               "7|1|\xf4\x8f\xbf\xbf;7|2|\xf0\x90\x80\x80");
}

static void
values_of_made_rows_go_through_a_chain(void **state)
{
    (void)state;
    fake_table(&fake.source, "public.posts", "id int4*, tags json");
    fake_table(&fake.target, "public.tags", "id int4*, n int4*, tag varchar(4)");
    fake_must_make(&fake, "tables:\n  posts:\n    into: tags\n"
                          "    columns: {tag: {do: [trim, upper]}}\n    on_bad: quarantine\n"
                          "    each: {column: tags, value: tag, position: n}\n");
    assert_row(0, "[\" a\", \"b \", null]|7", "7|1|A;7|2|B;7|3|-");
    fake_table(&fake.source, "public.counts", "id int4*, likes int4, shares int4");
    fake_table(&fake.target, "public.metrics", "id int4*, metric text*, amount text");
    fake_must_make(&fake, "tables:\n  counts:\n    into: metrics\n"
                          "    columns: {amount: {from: $value, do: [{cast: text}]}}\n"
                          "    unpivot: {columns: [likes, shares], name: metric, value: amount}\n");
    assert_row(0, "10|20|1", "1|likes|10;1|shares|20");
}

/* `$value`, `$position` and `$name` beside columns, in rules of other columns. */
static void
parts_of_made_rows_are_arguments(void **state)
{
    (void)state;
    fake_table(&fake.source, "public.posts", "id text*, tags json");
    fake_table(&fake.target, "public.tags",
               "id text*, n int8*, tag text, label text, slug text, rank int8");
    fake_must_make(&fake, "tables:\n  posts:\n    into: tags\n    columns:\n"
                          "      label: {do: [{concat: \":\"}], from: [id, $value]}\n"
                          "      slug: {do: [trim, lower], from: $value}\n"
                          "      rank: {from: $position}\n"
                          "    each: {column: tags, value: tag, position: n}\n");
    assert_row(0, "[\" A\", null, \"b\"]|7", "7|1| A|7: A|a|1;7|2|-|7|-|2;7|3|b|7:b|b|3");
    assert_int_equal(route(0)->outputs[3].n_reads, 2);
    assert_true(route(0)->outputs[3].is_mixed);
    assert_false(route(0)->outputs[4].is_mixed);
    assert_string_equal(route(0)->outputs[3].words,
                        "from id, an element of the array, through concat");
    assert_string_equal(route(0)->outputs[4].words,
                        "an element of the array, through trim, through lower");
    assert_string_equal(route(0)->outputs[5].words, "the position of the element, as int8");
    fake_table(&fake.source, "public.counts", "id text*, likes text, shares text");
    fake_table(&fake.target, "public.metrics", "id text*, metric text*, amount text, what text");
    fake_must_make(&fake, "tables:\n  counts:\n    into: metrics\n    columns:\n"
                          "      what: {do: [{concat: \"=\"}], from: [$name, $value, id]}\n"
                          "    unpivot: {columns: [likes, shares], name: metric, value: amount,"
                          " nulls: keep}\n");
    assert_row(0, "10|20|1", "1|likes|10|likes=10=1;1|shares|20|shares=20=1");
    assert_row(0, "10|~|1", "1|likes|10|likes=10=1;1|shares|~|~");
    assert_true(route(0)->outputs[3].is_mixed);
    assert_int_equal(route(0)->outputs[3].n_reads, 3);
}

/* The value's own column may take others too, and a name be all that a key needs. */
static void
parts_of_made_rows_fill_keys(void **state)
{
    (void)state;
    fake.params.follows = true;
    fake_table(&fake.source, "public.counts", "id text*, likes text, shares text");
    fake.source.rels[0].replica_identity = 'f';
    fake_table(&fake.target, "public.metrics", "id text*, kind text*, amount text, metric text");
    fake_must_make(&fake, "tables:\n  counts:\n    into: metrics\n    columns:\n"
                          "      kind: {from: $name}\n"
                          "      amount: {do: [concat], from: [$value, $name]}\n"
                          "    unpivot: {columns: [likes, shares], name: metric, value: amount,"
                          " nulls: keep}\n");
    assert_null(route(0)->no_stream);
    assert_row(0, "10|-|1", "1|likes|10likes|likes;1|shares|shares|shares");
}

static struct ph_value
text_array(const char *const *items, uint32_t n)
{
    uint8_t *bytes = ph_arena_alloc(&fake.arena, 256);
    int32_t len = 20;

    ph_rule_put_i32(bytes, n > 0);
    ph_rule_put_i32(bytes + 4, 0);
    ph_rule_put_i32(bytes + 8, 25);
    if (n == 0)
        return (struct ph_value){bytes, 12};
    ph_rule_put_i32(bytes + 12, (int32_t)n);
    ph_rule_put_i32(bytes + 16, 1);
    for (uint32_t i = 0; i < n; i++) {
        int32_t item = items[i] == NULL ? -1 : (int32_t)strlen(items[i]);
        ph_rule_put_i32(bytes + len, item);
        len += 4;
        if (item > 0)
            memcpy(bytes + len, items[i], (size_t)item);
        len += item > 0 ? item : 0;
    }
    return (struct ph_value){bytes, len};
}

static void
array_elements_become_rows(void **state)
{
    static const char *const items[] = {"1", NULL, "", "44"};
    struct ph_value in[2];

    (void)state;
    fake_table(&fake.source, "public.posts", "id int4*, tags text[]");
    fake_table(&fake.target, "public.tags", "id int4*, n int8*, tag text");
    fake_must_make(&fake, "tables:\n  posts:\n    into: tags\n"
                          "    each: {column: tags, value: tag, position: n}\n");
    in[0] = text_array(items, 4);
    in[1] = fake_value(&fake, 23, "7");
    assert_string_equal(fake_run_values(&fake, route(0), in), "7|1|1;7|2|-;7|3|;7|4|44");
    in[0] = text_array(items, 0);
    assert_string_equal(fake_run_values(&fake, route(0), in), "");
    in[0].len = 11;
    assert_string_equal(fake_run_values(&fake, route(0), in), "BAD id: is not an array");
}

static void
one_row_goes_to_several_tables(void **state)
{
    uint32_t n;

    (void)state;
    fake_table(&fake.source, "public.posts", "id int4*, body text, likes int4");
    fake_table(&fake.target, "public.posts_core", "id int4*, likes int4");
    fake_table(&fake.target, "public.posts_content", "post_id int4*, body text");
    fake_must_make(&fake, "tables:\n  posts:\n    into:\n      - posts_core\n"
                          "      - {table: posts_content, columns: {post_id: {from: id},"
                          " body: {do: [upper]}}}\n");
    assert_non_null(ph_ruleset_of(fake.set, fake.source.rels[0].oid, &n));
    assert_int_equal(n, 2);
    assert_false(route(0)->has_program);
    assert_true(route(1)->has_program);
    assert_row(1, "1|x", "1|X");
}

/* ---- the object ---- */

static const char simple[] = "tables: {campaigns: {columns: {a: {do: [upper]}}}}\n";

static time_t
mtime_of(const char *path)
{
    struct stat is;

    assert_int_equal(stat(path, &is), 0);
    return is.st_mtim.tv_nsec + is.st_mtim.tv_sec * 1000000000;
}

static void
the_object_is_cached_and_checked(void **state)
{
    char path[256];
    char print[64];

    (void)state;
    campaigns("id int4*, a text", "id int4*, a text");
    fake_must_make(&fake, simple);
    snprintf(print, sizeof print, "%s", ph_ruleset_fingerprint(fake.set));
    assert_int_equal(strlen(print), 32);
    snprintf(path, sizeof path, "%s/%s.so", fake.dir, print);
    time_t first = mtime_of(path);
    fake_must_make(&fake, simple);
    assert_string_equal(ph_ruleset_fingerprint(fake.set), print);
    assert_int_equal(mtime_of(path), first);
    assert_int_equal(chmod(path, 0722), 0);
    assert_int_equal(fake_make(&fake, simple), PH_E_COMPILER);
    assert_non_null(strstr(fake.err.message, "can be written by others"));
    assert_int_equal(chmod(path, 0700), 0);
    fake.source.columns[0][1].not_null = true;
    fake_must_make(&fake, simple);
    assert_string_not_equal(ph_ruleset_fingerprint(fake.set), print);
}

static void
an_object_is_built_elsewhere(void **state)
{
    char path[256];
    char code[256];

    (void)state;
    campaigns("id int4*, a text", "id int4*, a text");
    snprintf(path, sizeof path, "%s/elsewhere.so", fake.dir);
    snprintf(code, sizeof code, "%s/kept.c", fake.dir);
    fake.params.keep_c = code;
    fake_must_make(&fake, simple);
    assert_int_equal(access(code, R_OK), 0);
    fake.params.keep_c = NULL;
    assert_int_equal(ph_ruleset_build(&fake.params, path, &fake.err), PH_OK);
    fake.params.object = path;
    fake_must_make(&fake, simple);
    assert_row(0, "1|x", "1|X");
    assert_int_equal(fake_make(&fake, "tables: {campaigns: {columns: {a: {do: [lower]}}}}\n"),
                     PH_E_COMPILER);
    assert_non_null(strstr(fake.err.message, "made of other rules"));
}

/* ---- marks of secrets and libraries ---- */

static const char *
marks(const char *secret)
{
    char *out = ph_arena_alloc(&fake.arena, PH_RULE_MARKS_SIZE);

    assert_int_equal(ph_ruleset_marks(fake.set,
                                      (struct ph_span){(const uint8_t *)secret, strlen(secret)},
                                      out, &fake.err),
                     PH_OK);
    return out;
}

static void
keys_have_marks(void **state)
{
    (void)state;
    campaigns("id int4*, a text, b text", "id int4*, a text, b text");
    fake_must_make(&fake, "secret: {env: X}\ntables: {campaigns: {columns: {a: {mask: email}}}}");
    assert_string_equal(marks("12345678"), marks("12345678"));
    assert_string_equal(ph_ruleset_marks_differ(marks("12345678"), marks("12345679")),
                        "the secret");
    assert_null(ph_ruleset_marks_differ("", marks("12345679")));
    assert_null(strstr(marks("12345678"), "12345678"));
    fake_must_make(&fake, "secret: {env: X}\ntables: {campaigns: {columns: {a: {do: [upper]}}}}");
    assert_null(ph_ruleset_marks_differ(marks("12345678"), marks("12345679")));
    char key[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    assert_int_equal(setenv("PH_KEY", key, 1), 0);
    fake_must_make(&fake, "secret: {env: X}\n"
                          "tables: {campaigns: {columns: {a: {do: [{encrypt: \"env:PH_KEY\"}]}}}}");
    const char *then = marks("12345678");
    key[0] = '1';
    assert_int_equal(setenv("PH_KEY", key, 1), 0);
    assert_string_equal(ph_ruleset_marks_differ(then, marks("12345678")), "a key of `encrypt`");
    assert_int_equal(unsetenv("PH_KEY"), 0);
}

/* ---- users' libraries ---- */

static const char library_c[] =
    "#include <pghaul/rule.h>\n"
    "static enum ph_rule_result\n"
    "add(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)\n{\n"
    "    uint8_t *bytes = ph_rule_alloc(call, 4);\n"
    "    if (bytes == NULL)\n        return PH_RULE_NO_MEMORY;\n"
    "    int32_t sum = 0;\n"
    "    for (uint32_t i = 0; i < call->n_args; i++)\n        sum += ph_rule_get_i32(&args[i]);\n"
    "    if (sum < 0)\n        return ph_rule_bad(call, \"is below zero\");\n"
    "    ph_rule_put_i32(bytes, sum);\n    *out = (struct ph_value){bytes, 4};\n"
    "    return PH_RULE_OK;\n}\n"
    "static enum ph_rule_result\n"
    "key(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)\n{\n"
    "    (void)args;\n    *out = call->row_key;\n    return PH_RULE_OK;\n}\n"
    "static const struct ph_rule_op ops[] = {\n"
    "    {.name = \"add\", .signature = \"int4... -> int4\", .run = add},\n"
    "    {.name = \"key\", .signature = \"any -> bytea\", .flags = PH_RULE_KEYED, .run = key},\n"
    "};\n"
    "const struct ph_rule_library ph_rule_library = {PH_RULE_ABI, ops, 2};\n";

static void
compile_library(const char *path, const char *flags)
{
    char command[1024];

    snprintf(command, sizeof command, "cc -shared -fPIC %s -I%s/../include -o %s %s/my.c", flags,
             PH_TEST_DIR, path, fake.dir);
    FILE *file = popen(command, "r");
    assert_non_null(file);
    assert_int_equal(pclose(file), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

static void
a_library_takes_part(void **state)
{
    char path[256];
    char job[1024];
    FILE *file;

    (void)state;
    campaigns("id int4*, a int4, b int4", "id int4*, c int4, k bytea");
    snprintf(path, sizeof path, "%s/my.c", fake.dir);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(library_c, file);
    fclose(file);
    snprintf(path, sizeof path, "%s/my.so", fake.dir);
    compile_library(path, "-O0");
    snprintf(job, sizeof job,
             "tables:\n  campaigns:\n    columns:\n      c: {c: \"%s:add\", from: [a, b, id]}\n"
             "      k: {c: \"%s:key\", from: a}\n",
             path, path);
    fake_must_make(&fake, job);
    assert_true(route(0)->outputs[2].is_keyed);
    const struct ph_value in[] = {fake_value(&fake, 23, "1"), fake_value(&fake, 23, "2"),
                                  fake_value(&fake, 23, "3")};
    const char *row = fake_run_values(&fake, route(0), in);
    assert_memory_equal(row, "1|6|\0\0\0\4\0\0\0\1", 12);
    assert_row(0, "1|-9|3", "BAD c: is below zero");
    assert_row(0, "1|-|3", "1|-|-");
    const char *then = marks("12345678");
    assert_int_equal(unlink(path), 0);
    compile_library(path, "-O2");
    assert_string_equal(ph_ruleset_marks_differ(then, marks("12345678")), "a library of operators");
    assert_int_equal(chmod(path, 0777), 0);
    assert_int_equal(fake_make(&fake, job), PH_E_COMPILER);
    assert_non_null(strstr(fake.err.message, "can be written by others"));
}

/* ---- what masks hide ---- */

#define SECRET "secret: {env: PGHAUL_SECRET}\n"

static void
hides(uint32_t output, const char *mask, uint32_t n_hidden, const char *first)
{
    const struct ph_route_output *at = &route(0)->outputs[output];

    if (mask == NULL) {
        assert_null(at->mask);
        return;
    }
    assert_string_equal(at->mask, mask);
    assert_int_equal(at->n_hidden, n_hidden);
    assert_string_equal(route(0)->inputs[at->reads[0]].column->name, first);
}

static void
masks_are_told(void **state)
{
    (void)state;
    campaigns("id int4*, email text, first text, last text, born date, pass text, note text",
              "id int4*, email text, whole text, born date, pass text, note text, upper text");
    fake_must_make(&fake, SECRET "tables:\n  public.campaigns:\n    columns:\n"
                                 "      email: {do: [trim, lower, {mask: email}, upper]}\n"
                                 "      whole: {do: [concat, {mask: text}], from: [first, last]}\n"
                                 "      born: {do: [{mask_date: 30}], from: [born, id]}\n"
                                 "      pass: {do: [bcrypt]}\n"
                                 "      upper: {do: [upper, sha256], from: note}\n");
    hides(0, NULL, 0, NULL);
    hides(1, "mask_email", 1, "email");
    hides(2, "mask_text", 2, "first");
    hides(3, "mask_date", 1, "born");
    hides(4, "bcrypt", 1, "pass");
    hides(5, NULL, 0, NULL);
    hides(6, NULL, 0, NULL);
}

/* What messages may tell of a row: not what is masked, nor, beside a mask, what is dropped. */
static void
what_masks_hide_is_not_told(void **state)
{
    static const struct ph_rules_in_use secret = {.secret = (const uint8_t *)"key",
                                                  .secret_len = 3};
    static const char fox[] = "The quick brown fox jumps over the lazy dog";
    const struct ph_span text = {(const uint8_t *)fox, sizeof fox - 1};
    char out[PH_HIDDEN_SIZE];

    (void)state;
    campaigns("id int4*, nr int4*, email text, note text", "id int4*, email text, note text");
    for (int i = 0; i < 2; i++) {
        fake_must_make(&fake, i == 0 ? SECRET "tables: {public.campaigns: {drop: [nr], columns: "
                                              "{email: {mask: email}, note: {do: [upper]}}}}"
                                     : "tables: {public.campaigns: {drop: [nr], columns: {note: "
                                       "{do: [upper]}}}}");
        for (uint32_t k = 0; k < route(0)->n_inputs; k++) {
            const char *name = route(0)->inputs[k].column->name;
            bool is_hidden = i == 0 && (strcmp(name, "email") == 0 || strcmp(name, "nr") == 0);
            assert_int_equal(ph_route_hides(route(0), k), is_hidden);
        }
        assert_int_equal(ph_route_hides_of(route(0), 1), i == 0);
        assert_false(ph_route_hides_of(route(0), 2));
        assert_false(ph_route_hides_of(route(0), 9));
    }
    ph_hidden_text(&secret, text, out);
    assert_string_equal(out, "hmac:f7bc83f430538424");
    ph_hidden_text(NULL, text, out);
    assert_string_equal(out, "(hidden)");
}

static void
a_mask_of_columns_as_rows_hides_them_all(void **state)
{
    (void)state;
    fake_table(&fake.source, "public.people", "id int4*, home text, work text");
    fake_table(&fake.target, "public.phones", "id int4*, kind text*, number text");
    fake_must_make(&fake,
                   SECRET "tables:\n  people:\n    into: phones\n"
                          "    unpivot: {columns: [home, work], name: kind, value: number}\n"
                          "    columns: {number: {do: [trim, {mask: phone}], from: $value}}\n");
    hides(2, "mask_phone", 2, "home");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        rules_test(masks_are_told),
        rules_test(what_masks_hide_is_not_told),
        rules_test(a_mask_of_columns_as_rows_hides_them_all),
        rules_test(maps_sets_and_passes),
        rules_test(a_map_has_every_else),
        rules_test(a_large_map_finds_each_key),
        rules_test(integers_and_booleans_are_mapped),
        rules_test(types_are_cast_where_they_differ),
        rules_test(chains_and_defaults),
        rules_test(a_renamed_table_needs_no_program),
        rules_test(identity_gives_the_same_bytes),
        rules_test(values_of_made_rows_go_through_a_chain),
        rules_test(parts_of_made_rows_are_arguments),
        rules_test(parts_of_made_rows_fill_keys),
        rules_test(lengths_fit_or_are_told),
        rules_test(numerics_are_rounded_as_the_server_does),
        rules_test(columns_become_rows),
        rules_test(json_elements_become_rows),
        rules_test(json_escapes_that_no_text_can_hold),
        rules_test(array_elements_become_rows),
        rules_test(one_row_goes_to_several_tables),
        rules_test(the_object_is_cached_and_checked),
        rules_test(an_object_is_built_elsewhere),
        rules_test(keys_have_marks),
        rules_test(a_library_takes_part),
    };

    return rules_run("test_ruleset", tests);
}
