/* The rule of the epochs: which changes the copy has, and when that is no longer asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/epoch_filter.h"

static struct ph_epoch_filter filter;
static struct ph_error err;

static int
begin(void **state)
{
    (void)state;
    ph_error_reset(&err);
    ph_epoch_filter_init(&filter);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    ph_epoch_filter_reset(&filter);
    return 0;
}

static void
epoch(uint32_t number, ph_lsn lsn, const char *snapshot)
{
    assert_int_equal(ph_epoch_filter_add_epoch(&filter, number, lsn, snapshot, &err), PH_OK);
}

static void
table(ph_oid oid, uint32_t number)
{
    assert_int_equal(ph_epoch_filter_add_table(&filter, oid, 0, number, &err), PH_OK);
}

static void
decides(uint32_t xid, ph_lsn commit_lsn, ph_oid oid, enum ph_epoch_verdict expected)
{
    struct ph_source_txn txn = {xid, commit_lsn};

    assert_int_equal(ph_epoch_filter_decide(&filter, &txn, oid, 0), expected);
}

static void
both_halves_of_the_rule(void **state)
{
    (void)state;
    epoch(1, 1000, "10:20:10,14");
    table(500, 1);
    decides(9, 999, 500, PH_EPOCH_SKIP);
    decides(12, 999, 500, PH_EPOCH_SKIP);
    decides(14, 999, 500, PH_EPOCH_APPLY); /* below L and not seen: a commit that waited */
    decides(25, 999, 500, PH_EPOCH_APPLY);
    decides(12, 1000, 500, PH_EPOCH_APPLY); /* its id was used again, or 2^31 went by */
    decides(12, 5000, 500, PH_EPOCH_APPLY);
    decides(9, 999, 501, PH_EPOCH_UNKNOWN);
    assert_true(ph_epoch_filter_is_open(&filter, 999));
    assert_false(ph_epoch_filter_is_open(&filter, 1000));
}

static void
each_table_by_its_own_epoch(void **state)
{
    (void)state;
    epoch(3, 3000, "30:30:");
    epoch(1, 1000, "10:10:");
    table(500, 1);
    table(501, 3);
    decides(20, 900, 500, PH_EPOCH_APPLY);
    decides(20, 900, 501, PH_EPOCH_SKIP);
    decides(9, 2000, 500, PH_EPOCH_APPLY);
    decides(9, 2000, 501, PH_EPOCH_SKIP);
    assert_true(ph_epoch_filter_consistent_point(&filter) == 3000);
    table(500, 3); /* copied anew */
    decides(20, 900, 500, PH_EPOCH_SKIP);
    assert_int_equal(ph_epoch_filter_add_table(&filter, 502, 0, 2, &err), PH_E_LEDGER);
    assert_int_equal(ph_epoch_filter_add_epoch(&filter, 4, 1, "nonsense", &err), PH_E_PROTOCOL);
}

/* One table of the source along two routes. */
static void
each_route_by_its_own_epoch(void **state)
{
    const struct ph_source_txn txn = {20, 900};

    (void)state;
    epoch(1, 1000, "10:10:");
    epoch(2, 3000, "30:30:");
    assert_int_equal(ph_epoch_filter_add_table(&filter, 500, 7, 1, &err), PH_OK);
    assert_int_equal(ph_epoch_filter_add_table(&filter, 500, 8, 2, &err), PH_OK);
    assert_int_equal(ph_epoch_filter_decide(&filter, &txn, 500, 7), PH_EPOCH_APPLY);
    assert_int_equal(ph_epoch_filter_decide(&filter, &txn, 500, 8), PH_EPOCH_SKIP);
    assert_int_equal(ph_epoch_filter_decide(&filter, &txn, 500, 9), PH_EPOCH_UNKNOWN);
}

static void
retirement(void **state)
{
    (void)state;
    epoch(1, 1000, "10:10:");
    epoch(2, 3000, "30:30:");
    table(500, 1);
    table(501, 2);
    assert_false(ph_epoch_filter_retire(&filter, 999));
    decides(5, 500, 500, PH_EPOCH_SKIP);
    assert_false(ph_epoch_filter_retire(&filter, 1000));
    decides(5, 500, 500, PH_EPOCH_APPLY);
    decides(5, 1500, 501, PH_EPOCH_SKIP);
    assert_true(ph_epoch_filter_is_open(&filter, 2999));
    assert_true(ph_epoch_filter_retire(&filter, 3000));
    assert_false(ph_epoch_filter_is_open(&filter, 1));
    decides(5, 1500, 501, PH_EPOCH_APPLY);
    assert_true(ph_epoch_filter_consistent_point(&filter) == 3000);
}

/* TRAPS 71: the counter passes 2^32 between the epochs; and 2^31 ids after L all looks visible. */
static void
trap_71_wrapped_ids(void **state)
{
    (void)state;
    epoch(1, 1000, "4294967290:4294967300:4294967292");
    table(500, 1);
    decides(4294967289u, 500, 500, PH_EPOCH_SKIP);
    decides(4294967292u, 500, 500, PH_EPOCH_APPLY);
    decides(2, 500, 500, PH_EPOCH_SKIP);   /* 4294967298 */
    decides(10, 500, 500, PH_EPOCH_APPLY); /* 4294967306 */
    decides(2147483648u + 100, 2000, 500, PH_EPOCH_APPLY);
}

/* TRAPS 82: a subtransaction's id looks visible, so only the top-level one may be asked about. */
static void
trap_82_subtransactions_look_visible(void **state)
{
    (void)state;
    epoch(1, 1000, "10:20:10");
    table(500, 1);
    decides(10, 500, 500, PH_EPOCH_APPLY);
    decides(11, 500, 500, PH_EPOCH_SKIP); /* its subtransaction: below xmax, never in xip */
}

static void
many_tables(void **state)
{
    (void)state;
    epoch(1, 1000, "10:10:");
    epoch(2, 1000, "20:20:");
    for (ph_oid oid = 1; oid < 20000; oid++)
        table(oid * 3, 1 + oid % 2);
    for (ph_oid oid = 1; oid < 20000; oid++) {
        decides(15, 500, oid * 3, oid % 2 == 1 ? PH_EPOCH_SKIP : PH_EPOCH_APPLY);
        decides(15, 500, oid * 3 + 1, PH_EPOCH_UNKNOWN);
    }
    for (uint32_t number = 3; number < 100; number++)
        epoch(number, number * 100, "10:10:");
    decides(15, 500, 3, PH_EPOCH_SKIP);
}

/* TRAPS 66: a table in three ranges, of which the middle one is of a later epoch. */
static void
trap_66_each_range_by_its_own_epoch(void **state)
{
    static const struct ph_range_key bounds[] = {{0, 100}, {0, 200}};
    static const uint32_t epochs[] = {1, 2, 1};
    static const uint32_t unknown[] = {1, 9, 1};
    struct ph_epoch_ranges ranges = {"id", ph_range_type_named("oid"), 3, bounds, epochs};
    const struct ph_source_txn txn = {15, 500};

    (void)state;
    epoch(1, 1000, "10:10:");
    epoch(2, 3000, "20:20:");
    assert_int_equal(ph_epoch_filter_add_ranges(&filter, 500, 0, &ranges, &err), PH_OK);
    decides(5, 500, 500, PH_EPOCH_SKIP);   /* all agree */
    decides(25, 500, 500, PH_EPOCH_APPLY); /* so they do */
    decides(15, 500, 500, PH_EPOCH_BY_RANGE);
    decides(15, 3000, 500, PH_EPOCH_APPLY);
    const struct ph_epoch_ranges *of = ph_epoch_filter_ranges(&filter, 500, 0);
    assert_string_equal(of->column, "id");
    assert_int_equal(ph_epoch_range_of(of, &(struct ph_range_key){0, 0}), 0);
    assert_int_equal(ph_epoch_range_of(of, &(struct ph_range_key){0, 99}), 0);
    assert_int_equal(ph_epoch_range_of(of, &(struct ph_range_key){0, 100}), 1);
    assert_int_equal(ph_epoch_range_of(of, &(struct ph_range_key){0, 199}), 1);
    assert_int_equal(ph_epoch_range_of(of, &(struct ph_range_key){0, 200}), 2);
    assert_int_equal(ph_epoch_range_of(of, &(struct ph_range_key){1, 0}), 2);
    assert_int_equal(ph_epoch_filter_decide_in(&filter, &txn, of, 0), PH_EPOCH_APPLY);
    assert_int_equal(ph_epoch_filter_decide_in(&filter, &txn, of, 1), PH_EPOCH_SKIP);
    assert_int_equal(ph_epoch_filter_decide_in(&filter, &txn, of, 2), PH_EPOCH_APPLY);
    assert_false(ph_epoch_filter_retire(&filter, 1000));
    decides(5, 500, 500, PH_EPOCH_BY_RANGE);
    assert_true(ph_epoch_filter_retire(&filter, 3000));
    decides(15, 500, 500, PH_EPOCH_APPLY);
    ranges.epochs = unknown;
    assert_int_equal(ph_epoch_filter_add_ranges(&filter, 501, 0, &ranges, &err), PH_E_LEDGER);
    ranges.epochs = epochs;
    ranges.bounds = (const struct ph_range_key[]){{0, 200}, {0, 200}};
    assert_int_equal(ph_epoch_filter_add_ranges(&filter, 501, 0, &ranges, &err), PH_E_LEDGER);
}

static void
nothing_known(void **state)
{
    (void)state;
    decides(1, 1, 1, PH_EPOCH_UNKNOWN);
    assert_false(ph_epoch_filter_is_open(&filter, 1));
    assert_true(ph_epoch_filter_consistent_point(&filter) == 0);
    assert_true(ph_epoch_filter_retire(&filter, 1));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_halves_of_the_rule, begin, end),
        cmocka_unit_test_setup_teardown(each_table_by_its_own_epoch, begin, end),
        cmocka_unit_test_setup_teardown(each_route_by_its_own_epoch, begin, end),
        cmocka_unit_test_setup_teardown(retirement, begin, end),
        cmocka_unit_test_setup_teardown(trap_71_wrapped_ids, begin, end),
        cmocka_unit_test_setup_teardown(trap_82_subtransactions_look_visible, begin, end),
        cmocka_unit_test_setup_teardown(many_tables, begin, end),
        cmocka_unit_test_setup_teardown(trap_66_each_range_by_its_own_epoch, begin, end),
        cmocka_unit_test_setup_teardown(nothing_known, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
