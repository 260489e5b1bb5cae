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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        rules_test(what_another_route_masks_is_hidden),
        rules_test(partitions_are_one_table),
    };

    return rules_run("test_hidden", tests);
}
