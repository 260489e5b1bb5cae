/* What a job's publication names: whole partitioned tables by their root, others one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "job/publish.h"
#include "rules/ruleset.h"

#include <string.h>

enum { ROOT, PART_1, SUB, PART_2, PLAIN, UNLOGGED, FOREIGN_PART, RELS };

static struct ph_rel rels[RELS];
static struct ph_catalog catalog;
static struct ph_table_plan tables[RELS];
static struct ph_plan plan;
static struct ph_arena arena;
static struct ph_publish_list list;

static int
begin(void **state)
{
    (void)state;
    ph_arena_init(&arena, 1 << 20);
    for (uint32_t i = 0; i < RELS; i++)
        rels[i] = (struct ph_rel){.oid = 100 + i,
                                  .kind = PH_REL_TABLE,
                                  .persistence = 'p',
                                  .replica_identity = 'd',
                                  .root_oid = 100 + i};
    rels[ROOT].kind = rels[SUB].kind = PH_REL_PARTITIONED;
    for (uint32_t i = PART_1; i <= PART_2; i++) {
        rels[i].is_partition = true;
        rels[i].root_oid = 100 + ROOT;
    }
    rels[UNLOGGED].persistence = 'u';
    rels[FOREIGN_PART].kind = PH_REL_FOREIGN;
    rels[FOREIGN_PART].root_oid = 100 + ROOT;
    catalog = (struct ph_catalog){.rels = rels, .n_rels = RELS, .version_num = 150020};
    plan = (struct ph_plan){.tables = tables};
    return 0;
}

static int
end(void **state)
{
    (void)state;
    ph_arena_reset(&arena);
    return 0;
}

static void
copies(uint32_t rel)
{
    tables[plan.n_tables] = (struct ph_table_plan){.index = plan.n_tables, .source = &rels[rel]};
    plan.n_tables++;
}

static void
publishes(uint32_t n, ...)
{
    va_list args;

    assert_int_equal(ph_publish_list_make(&catalog, &plan, &arena, &list, NULL), PH_OK);
    assert_int_equal(list.n, n);
    va_start(args, n);
    for (uint32_t i = 0; i < n; i++)
        assert_ptr_equal(list.rels[i], &rels[va_arg(args, int)]);
    va_end(args);
}

static void
root_for_all_parts(void **state)
{
    (void)state;
    copies(PART_2);
    copies(PLAIN);
    copies(PART_1);
    copies(UNLOGGED);
    publishes(2, ROOT, PLAIN);
}

static void
parts_when_one_is_left_out(void **state)
{
    (void)state;
    copies(PART_2);
    copies(PLAIN);
    publishes(2, PART_2, PLAIN);
}

static void
configuration_tables_stay_out(void **state)
{
    (void)state;
    copies(PLAIN);
    tables[0].where[PH_SOURCE] = tables[0].where[PH_TARGET] = "WHERE true";
    publishes(0);
    assert_false(list.with_generated);
}

/* ---- row filters ---- */

static const struct ph_route low = {.row_filter = "(a < 1)"};
static const struct ph_route high = {.row_filter = "(a > 9)"};
static const struct ph_route whole = {.row_filter = NULL};

static void
goes(uint32_t rel, const struct ph_route *route)
{
    copies(rel);
    tables[plan.n_tables - 1].route = route;
}

static void
a_row_is_sent_that_any_route_takes(void **state)
{
    (void)state;
    goes(PLAIN, &low);
    goes(PART_2, &whole);
    goes(PLAIN, &high);
    publishes(2, PLAIN, PART_2);
    assert_string_equal(list.filters[0], "(a < 1) OR (a > 9)");
    assert_null(list.filters[1]);
}

static void
all_are_sent_when_one_route_takes_all(void **state)
{
    (void)state;
    goes(PLAIN, &low);
    goes(PLAIN, &whole);
    goes(PLAIN, &high);
    publishes(1, PLAIN);
    assert_null(list.filters[0]);
}

/* A partitioned table has none of its own: a part that is made later comes whole. */
static void
parts_have_their_filters_beside_the_root(void **state)
{
    (void)state;
    goes(PART_1, &low);
    goes(PART_2, &whole);
    publishes(2, ROOT, PART_1);
    assert_null(list.filters[0]);
    assert_string_equal(list.filters[1], "(a < 1)");
}

static void
none_before_15(void **state)
{
    (void)state;
    catalog.version_num = 140010;
    goes(PLAIN, &low);
    publishes(1, PLAIN);
    assert_null(list.filters[0]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(root_for_all_parts, begin, end),
        cmocka_unit_test_setup_teardown(parts_when_one_is_left_out, begin, end),
        cmocka_unit_test_setup_teardown(configuration_tables_stay_out, begin, end),
        cmocka_unit_test_setup_teardown(a_row_is_sent_that_any_route_takes, begin, end),
        cmocka_unit_test_setup_teardown(all_are_sent_when_one_route_takes_all, begin, end),
        cmocka_unit_test_setup_teardown(parts_have_their_filters_beside_the_root, begin, end),
        cmocka_unit_test_setup_teardown(none_before_15, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
