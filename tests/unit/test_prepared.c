#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg/prepared.h"

/* TRAPS 68 */
static void
test_text_and_types_are_the_key(void **state)
{
    static const ph_oid types[] = {23, 25};
    static const ph_oid others[] = {23, 1043};
    struct ph_prepared_set set;

    (void)state;
    ph_prepared_init(&set, 10);
    assert_null(ph_prepared_find(&set, "SELECT 1", NULL, 0));
    uint32_t plain = ph_prepared_add(&set, "SELECT 1", NULL, 0, 1)->number;
    uint32_t typed = ph_prepared_add(&set, "SELECT 1", types, 2, 1)->number;
    assert_int_not_equal(plain, typed);
    assert_int_equal(ph_prepared_find(&set, "SELECT 1", NULL, 0)->number, plain);
    assert_int_equal(ph_prepared_find(&set, "SELECT 1", types, 2)->number, typed);
    assert_null(ph_prepared_find(&set, "SELECT 1", others, 2));
    assert_null(ph_prepared_find(&set, "SELECT 1", types, 1));
    assert_null(ph_prepared_find(&set, "SELECT 11", NULL, 0));
    ph_prepared_reset(&set);
}

static void
test_least_recently_used_goes(void **state)
{
    struct ph_prepared_set set;
    uint32_t gone;

    (void)state;
    ph_prepared_init(&set, 2);
    uint32_t a = ph_prepared_add(&set, "a", NULL, 0, 1)->number;
    uint32_t b = ph_prepared_add(&set, "b", NULL, 0, 1)->number;
    ph_prepared_confirm(&set, a);
    ph_prepared_confirm(&set, b);
    assert_false(ph_prepared_let_go(&set, &gone));
    assert_non_null(ph_prepared_find(&set, "a", NULL, 0));
    ph_prepared_add(&set, "c", NULL, 0, 1);
    assert_true(ph_prepared_let_go(&set, &gone));
    assert_int_equal(gone, b);
    assert_false(ph_prepared_let_go(&set, &gone));
    assert_null(ph_prepared_find(&set, "b", NULL, 0));
    ph_prepared_keep_stale(&set, b);
    assert_true(ph_prepared_let_go(&set, &gone));
    assert_int_equal(gone, b);
    ph_prepared_reset(&set);
}

static void
test_only_what_is_there_goes(void **state)
{
    struct ph_prepared_set set;
    uint32_t gone;

    (void)state;
    ph_prepared_init(&set, 1);
    uint32_t numbers[40];
    for (uint32_t i = 0; i < 40; i++) {
        char sql[] = {(char)('A' + i), '\0'};
        numbers[i] = ph_prepared_add(&set, sql, NULL, 0, 1)->number;
    }
    assert_false(ph_prepared_let_go(&set, &gone));
    for (uint32_t i = 0; i < 20; i++)
        ph_prepared_refuse(&set, numbers[i]);
    assert_false(ph_prepared_let_go(&set, &gone));
    ph_prepared_confirm(&set, numbers[30]);
    assert_true(ph_prepared_let_go(&set, &gone));
    assert_int_equal(gone, numbers[30]);
    ph_prepared_reset(&set);
}

/* A preparation whose fate is not known is asked for again; the first may turn up all the same. */
static void
test_renewed(void **state)
{
    struct ph_prepared_set set;
    uint32_t gone;

    (void)state;
    ph_prepared_init(&set, 5);
    struct ph_prepared *item = ph_prepared_add(&set, "a", NULL, 0, 1);
    uint32_t first = item->number;
    ph_prepared_renew(&set, item, 2);
    assert_int_not_equal(item->number, first);
    assert_int_equal(item->stretch, 2);
    ph_prepared_confirm(&set, first);
    assert_false(item->confirmed);
    assert_true(ph_prepared_let_go(&set, &gone));
    assert_int_equal(gone, first);
    ph_prepared_confirm(&set, item->number);
    assert_true(item->confirmed);
    ph_prepared_reset(&set);
}

static void
test_forgotten(void **state)
{
    struct ph_prepared_set set;
    uint32_t gone;

    (void)state;
    ph_prepared_init(&set, 5);
    uint32_t a = ph_prepared_add(&set, "a", NULL, 0, 1)->number;
    uint32_t b = ph_prepared_add(&set, "b", NULL, 0, 1)->number;
    ph_prepared_confirm(&set, a);
    ph_prepared_forget(&set);
    assert_null(ph_prepared_find(&set, "a", NULL, 0));
    assert_true(ph_prepared_let_go(&set, &gone));
    assert_int_equal(gone, a);
    assert_false(ph_prepared_let_go(&set, &gone));
    ph_prepared_confirm(&set, b);
    assert_true(ph_prepared_let_go(&set, &gone));
    assert_int_equal(gone, b);
    ph_prepared_reset(&set);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_and_types_are_the_key),
        cmocka_unit_test(test_least_recently_used_goes),
        cmocka_unit_test(test_only_what_is_there_goes),
        cmocka_unit_test(test_renewed),
        cmocka_unit_test(test_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
