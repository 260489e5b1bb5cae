/* Values that a column's type holds in a form of its own: what rules make of them, and for them. */
#include "rules_case.h"

#define assert_row(number, row, expected)                                                          \
    assert_string_equal(fake_run(&fake, number, row), expected)

/* ---- each ---- */

/* As many elements as smallint has positions are taken, and one more makes the row bad. */
static void
positions_end_where_smallint_does(void **state)
{
    static const char last[] = ";7|32767|0";
    static const char one_more[] = "BAD n: is a position past what smallint holds";
    const size_t n = 32768;
    char *tags = ph_arena_alloc(&fake.arena, 2 * n + 1);
    struct ph_value in[2];

    (void)state;
    assert_non_null(tags);
    fake_table(&fake.source, "public.posts", "id int4*, tags json");
    fake_table(&fake.target, "public.tags", "id int4*, n int2*, tag text");
    fake_must_make(&fake, "tables:\n  posts:\n    into: tags\n"
                          "    each: {column: tags, value: tag, position: n}\n");
    for (size_t i = 0; i < n; i++)
        memcpy(tags + 2 * i, ",0", 2);
    tags[0] = '[';
    in[1] = fake_value(&fake, 23, "7");
    for (size_t i = n - 1; i <= n; i++) {
        const char *end = i < n ? last : one_more;
        tags[2 * i] = ']';
        in[0] = (struct ph_value){(const uint8_t *)tags, (int32_t)(2 * i + 1)};
        const char *made = fake_run_values(&fake, route(0), in);
        assert_string_equal(made + strlen(made) - strlen(end), end);
        tags[2 * i] = ',';
    }
}

/* ---- character(n) ---- */

/* As PostgreSQL makes text of it: what blanks there are at the end comes to no step. */
static void
padding_is_no_part_of_a_value(void **state)
{
    static const struct {
        const char *rule;
        const char *made; /* of "abc  ", in a text */
    } cases[] = {
        {"{map: m, else: null}", "OK"},
        {"{map: blanks, else: null}", "OK"},
        {"{map: other, else: keep}", "abc"},
        {"{do: [{null_if: abc}]}", "-"},
        {"{do: [{null_if: \"abc  \"}]}", "-"},
        {"{do: [{null_if: \" abc\"}]}", "abc"},
        {"{do: [length]}", "3"},
        {"{do: [{right: 2}]}", "bc"},
        {"{do: [{replace: [c, d]}]}", "abd"},
        {"{do: [{rpad: [4, x]}]}", "abcx"},
        {"{do: [md5]}", "900150983cd24fb0d6963f7d28e17f72"},
        {"{do: [{cast: text}]}", "abc"},
        {"{do: [{cast: varchar}, upper]}", "ABC"},
        {"{do: [coalesce, {right: 1}], from: [a, b]}", "c"},
        {"{default: x}", "abc"},
        {"{mask: {first: 3}}", "***"},
        {"{mask: {last: 2}}", "*bc"},
        /* through the output function, which has them */
        {"{do: [{concat: \"-\"}], from: [a, b]}", "abc  -x"},
        {"{do: [{cast: bytea}, md5]}", "e064eb42184b85b78176eb3ba2462c24"},
    };
    char job[512];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin_again();
        fake_table(&fake.source, "public.t", "a bpchar(5), b text");
        fake_table(&fake.target, "public.t", "a text");
        snprintf(job, sizeof job,
                 "maps: {m: {abc: OK}, blanks: {\"abc \": OK}, other: {ab: OK}}\n"
                 "tables: {t: {columns: {a: %s}, drop: [b]}}\n",
                 cases[i].rule);
        fake_must_make(&fake, job);
        assert_row(0, route(0)->n_inputs == 1 ? "abc  " : "abc  |x", cases[i].made);
    }
}

/* Each value by its own column's type. */
static void
padding_of_made_rows(void **state)
{
    (void)state;
    fake_table(&fake.source, "public.t", "a bpchar(5), b text");
    fake_table(&fake.target, "public.t", "k text, v bpchar(4), size int4");
    fake_must_make(&fake, "tables: {t: {columns: {v: {do: [lower]}, size: {do: [length], from: "
                          "$value}}, unpivot: {columns: [a, b], name: k, value: v}}}");
    assert_row(0, "AB   |A ", "a|ab  |2;b|a   |2");
    begin_again();
    fake_table(&fake.source, "public.t", "a bpchar(5), b bpchar(3)");
    fake_table(&fake.target, "public.t", "k text, v text");
    fake_must_make(&fake,
                   "maps: {m: {\"a \": A}}\ntables: {t: {columns: {v: {map: m, else: keep}}, "
                   "unpivot: {columns: [a, b], name: k, value: v}}}");
    assert_row(0, "ab   |a  ", "a|ab;b|A");
}

static void
blanks_do_not_tell_keys_of_a_map_apart(void **state)
{
    (void)state;
    table_on_both("public.t", "a bpchar(5)", "a text");
    refused("maps: {m: {\"abc \": x, abc: y}}\ntables: {t: {columns: {a: {map: m}}}}",
            "the map m has 'abc' twice: blanks at the end mean nothing in character(n)");
}

/* ---- encodings ---- */

/* A job file is UTF-8; its letters would be other ones in the bytes of other databases. */
static void
letters_that_the_database_has_in_other_bytes(void **state)
{
    static const char *const rules[] = {
        "{set: Kü}",
        "{default: Kü}",
        "{map: keys}",
        "{map: values}",
        "{map: ascii, else: {value: Kü}}",
        "{do: [{null_if: Kü}]}",
        "{do: [{concat: ü}], from: [a, b]}",
        "{do: [{map: keys}, lower]}",
    };
    static const char *const encodings[] = {"LATIN1", "EUC_JP", "UTF8", "SQL_ASCII"};
    char job[512];

    (void)state;
    for (size_t i = 0; i < 4 * sizeof rules / sizeof rules[0]; i++) {
        const char *encoding = encodings[i % 4];
        begin_again();
        fake_table(&fake.source, "public.t", "a text, b text");
        fake_table(&fake.target, "public.t", "a varchar(9)");
        snprintf(fake.source.catalog.encoding, 32, "%s", encoding);
        snprintf(fake.target.catalog.encoding, 32, "%s", encoding);
        snprintf(job, sizeof job,
                 "maps: {keys: {Kü: x}, values: {x: Kü}, ascii: {x: y}}\n"
                 "tables: {t: {columns: {a: %s}, drop: [b]}}\n",
                 rules[i / 4]);
        if (i % 4 < 2)
            refused(job, "' is not ASCII, so this file has it in UTF-8, and the database is in ");
        else if (fake_make(&fake, job) != PH_OK)
            fail_msg("%s: %s", job, fake.err.message);
    }
}

static void
conditions_in_other_bytes(void **state)
{
    (void)state;
    table_on_both("public.t", "a text", "a text");
    snprintf(fake.source.catalog.encoding, 32, "LATIN1");
    snprintf(fake.target.catalog.encoding, 32, "LATIN1");
    refused("tables: {t: {where: \"a = 'Kü'\"}}", "is not ASCII");
    refused("tables: {t: {where: \"a ~ 'ü'\"}}", "is not ASCII");
    refused("tables: {t: {preserve: \"a = 'Kü'\"}}", "is not ASCII");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        rules_test(positions_end_where_smallint_does),
        rules_test(padding_is_no_part_of_a_value),
        rules_test(padding_of_made_rows),
        rules_test(blanks_do_not_tell_keys_of_a_map_apart),
        rules_test(letters_that_the_database_has_in_other_bytes),
        rules_test(conditions_in_other_bytes),
    };

    return rules_run("ph_rules_values", tests);
}
