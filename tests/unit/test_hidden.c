/* What messages may tell of a table that goes along several routes. */
#include "rules_case.h"

#include "rules/hidden.h"

#define SECRET "secret: {env: PGHAUL_SECRET}\n"

static void
hides(uint32_t number, const char *column, bool is_hidden)
{
    const struct ph_column *found = ph_rel_column_named(route(number)->source, column);

    if (ph_route_hides_column(route(number), found) != is_hidden)
        fail_msg("%s: %s is %s", route(number)->name, column, is_hidden ? "told" : "hidden");
    for (uint32_t i = 0; i < route(number)->n_inputs; i++) {
        if (route(number)->inputs[i].column == found)
            assert_int_equal(ph_route_hides(route(number), i), is_hidden);
    }
}

/* One with a program and no mask, one without a program. */
static void
what_another_route_masks_is_hidden(void **state)
{
    (void)state;
    fake_table(&fake.source, "public.acct", "email text*, nr int4!, name text, age text");
    fake_table(&fake.target, "public.a1", "email text*, name text");
    fake_table(&fake.target, "public.a2", "name text, age int4");
    fake_table(&fake.target, "public.a3", "email text*, name text, age text");
    fake_must_make(&fake,
                   SECRET "tables:\n  acct:\n    into:\n"
                          "      - {table: a1, columns: {email: {mask: email}}, drop: [age]}\n"
                          "      - {table: a2, columns: {age: {do: [{cast: int4}]}},"
                          " drop: [email]}\n"
                          "      - {table: a3}\n"
                          "    drop: [nr]\n");
    assert_false(route(2)->has_program);
    for (uint32_t i = 0; i < 3; i++) {
        hides(i, "email", true);
        hides(i, "nr", true);
        hides(i, "name", false);
        hides(i, "age", i == 0);
        assert_false(ph_route_hides_result(route(i), 1));
    }
    assert_false(ph_route_hides_result(route(0), 0)); /* a mask */
    assert_true(ph_route_hides_result(route(2), 0));
}

/* Entries of their own, and columns in another order. */
static void
partitions_are_one_table(void **state)
{
    (void)state;
    struct ph_rel *root = fake_table(&fake.source, "public.acct", "id int4*, email text");
    struct ph_rel *one = fake_table(&fake.source, "public.one", "id int4*, email text");
    struct ph_rel *two = fake_table(&fake.source, "public.two", "email text, id int4*");

    root->kind = PH_REL_PARTITIONED;
    one->is_partition = two->is_partition = true;
    one->parent_oid = two->parent_oid = one->root_oid = two->root_oid = root->oid;
    fake_table(&fake.target, "public.one", "id int4*, email text");
    fake_table(&fake.target, "public.two", "email text, id int4*");
    fake_must_make(&fake, SECRET "tables:\n  one: {columns: {email: {mask: email}}}\n"
                                 "  two: {columns: {email: {do: [upper]}}}\n");
    for (uint32_t i = 0; i < 2; i++) {
        hides(i, "email", true);
        hides(i, "id", false);
    }
}

/* What stands for a value is what the documentation's formula makes of the column's text. */
static void
values_are_hidden_as_text(void **state)
{
    static const struct {
        const char *type;
        uint8_t value[16];
        size_t len;
        const char *text;
    } cases[] = {
        {"int4", {0xff, 0xff, 0xff, 0xfe}, 4, "-2"},
        {"numeric", {0, 2, 0, 0, 0, 0, 0, 1, 0, 1, 0x13, 0x88}, 12, "1.5"},
        {"date", {0, 0, 0, 1}, 4, "2000-01-02"},
        {"timestamptz", {0}, 8, "2000-01-01 00:00:00+00"},
        {"bool", {1}, 1, "true"},
        {"bytea", {0xab, 0x01}, 2, "\\xab01"},
        {"citext", "Abc", 3, "Abc"},
        {"phase", "dns", 3, "dns"},
        {"bpchar(5)", "ab   ", 5, "ab"},
        {"varchar(5)", "ab   ", 5, "ab   "},
        {"uuid", {0x10}, 16, "10000000-0000-0000-0000-000000000000"},
        {"point", {0xab, 0x01}, 2, "ab01"},
    };
    static const struct ph_rules_in_use secret = {.secret = (const uint8_t *)"key",
                                                  .secret_len = 3};
    char columns[80];
    char out[PH_HIDDEN_SIZE];
    char expected[PH_HIDDEN_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin_again();
        snprintf(columns, sizeof columns, "k %s*, email text", cases[i].type);
        fake_table(&fake.source, "public.acct", columns);
        fake_table(&fake.target, "public.acct", "email text");
        fake_must_make(&fake,
                       SECRET "tables: {acct: {columns: {email: {mask: email}}, drop: [k]}}\n");
        ph_hidden_value(route(0), &secret, &route(0)->source->columns[0],
                        (struct ph_span){cases[i].value, cases[i].len}, out);
        ph_hidden_text(&secret,
                       (struct ph_span){(const uint8_t *)cases[i].text, strlen(cases[i].text)},
                       expected);
        if (strcmp(out, expected) != 0)
            fail_msg("%s: %s, not that of %s", cases[i].type, out, cases[i].text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        rules_test(what_another_route_masks_is_hidden),
        rules_test(partitions_are_one_table),
        rules_test(values_are_hidden_as_text),
    };

    return rules_run("test_hidden", tests);
}
