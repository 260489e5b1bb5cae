#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/nearest.h"

#include <string.h>

static void
distances(void **context)
{
    char long_word[100];

    (void)context;
    assert_int_equal(ph_edit_distance("", ""), 0);
    assert_int_equal(ph_edit_distance("jobs", "jobs"), 0);
    assert_int_equal(ph_edit_distance("job", "jobs"), 1);
    assert_int_equal(ph_edit_distance("jbos", "jobs"), 1);
    assert_int_equal(ph_edit_distance("kitten", "sitting"), 3);
    assert_int_equal(ph_edit_distance("", "abc"), 3);
    memset(long_word, 'a', sizeof long_word);
    long_word[99] = '\0';
    assert_true(ph_edit_distance(long_word, "a") == SIZE_MAX);
    long_word[63] = '\0';
    assert_int_equal(ph_edit_distance(long_word, "a"), 62);
}

static void
offers(void **context)
{
    struct ph_nearest nearest = {.word = "memroy"};

    (void)context;
    ph_nearest_offer(&nearest, "max-row");
    assert_null(nearest.best);
    ph_nearest_offer(&nearest, "memory");
    ph_nearest_offer(&nearest, "mem");
    assert_string_equal(nearest.best, "memory");
    nearest = (struct ph_nearest){.word = "x"};
    ph_nearest_offer(&nearest, "dir");
    assert_null(nearest.best);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(distances), cmocka_unit_test(offers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
