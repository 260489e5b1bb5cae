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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        rules_test(positions_end_where_smallint_does),
    };

    return rules_run("ph_rules_values", tests);
}
