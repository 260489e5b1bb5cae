#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/xid_spans.h"

static void
has_between(const struct ph_xid_spans *spans, uint32_t first, uint32_t last)
{
    assert_false(ph_xid_spans_have(spans, first - 1));
    assert_true(ph_xid_spans_have(spans, first));
    assert_true(ph_xid_spans_have(spans, last));
    assert_false(ph_xid_spans_have(spans, last + 1));
}

static void
test_empty(void **state)
{
    struct ph_xid_spans spans = {0};

    (void)state;
    assert_false(ph_xid_spans_have(&spans, 0));
    assert_false(ph_xid_spans_have(&spans, 7));
    ph_xid_spans_clear(&spans);
}

static void
test_apart(void **state)
{
    struct ph_xid_spans spans = {0};

    (void)state;
    for (uint32_t i = 1; i <= 1000; i++)
        assert_true(ph_xid_spans_add(&spans, i * 10, i * 10 + 3));
    assert_int_equal(spans.n, 1000);
    for (uint32_t i = 1; i <= 1000; i++)
        has_between(&spans, i * 10, i * 10 + 3);
    ph_xid_spans_clear(&spans);
}

/* The parent of some that were rolled back before: what lies between is of it too. */
static void
test_parent_after_children(void **state)
{
    struct ph_xid_spans spans = {0};

    (void)state;
    assert_true(ph_xid_spans_add(&spans, 5, 5));
    assert_true(ph_xid_spans_add(&spans, 12, 14));
    assert_true(ph_xid_spans_add(&spans, 20, 30));
    assert_true(ph_xid_spans_add(&spans, 10, 4));
    assert_int_equal(spans.n, 2);
    has_between(&spans, 5, 5);
    has_between(&spans, 10, 30);
    ph_xid_spans_clear(&spans);
}

static void
test_child_after_parent(void **state)
{
    struct ph_xid_spans spans = {0};

    (void)state;
    assert_true(ph_xid_spans_add(&spans, 10, 20));
    assert_true(ph_xid_spans_add(&spans, 15, 25));
    assert_int_equal(spans.n, 1);
    has_between(&spans, 10, 25);
    ph_xid_spans_clear(&spans);
}

static void
test_wrapped(void **state)
{
    struct ph_xid_spans spans = {0};

    (void)state;
    assert_true(ph_xid_spans_add(&spans, 4294967290u, 4294967292u));
    assert_true(ph_xid_spans_add(&spans, 4294967294u, 10));
    assert_true(ph_xid_spans_add(&spans, 20, 21));
    has_between(&spans, 4294967290u, 4294967292u);
    has_between(&spans, 4294967294u, 10);
    assert_true(ph_xid_spans_have(&spans, 4294967295u));
    assert_true(ph_xid_spans_have(&spans, 3));
    has_between(&spans, 20, 21);
    ph_xid_spans_clear(&spans);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_apart),
        cmocka_unit_test(test_parent_after_children),
        cmocka_unit_test(test_child_after_parent),
        cmocka_unit_test(test_wrapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
