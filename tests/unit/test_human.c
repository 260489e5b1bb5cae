#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/human.h"

static void
bytes(void **context)
{
    char out[PH_HUMAN_SIZE];

    (void)context;
    assert_string_equal(ph_human_bytes(0, out), "0 B");
    assert_string_equal(ph_human_bytes(1023, out), "1023 B");
    assert_string_equal(ph_human_bytes(1536, out), "1.5 kB");
    assert_string_equal(ph_human_bytes((1u << 20) - 1, out), "1.0 MB");
    assert_string_equal(ph_human_bytes(UINT64_C(812) << 20, out), "812 MB");
    assert_string_equal(ph_human_bytes(UINT64_MAX, out), "16.0 EB");
}

static void
counts(void **context)
{
    char out[PH_HUMAN_SIZE];

    (void)context;
    assert_string_equal(ph_human_count(0, out), "0");
    assert_string_equal(ph_human_count(999, out), "999");
    assert_string_equal(ph_human_count(12345678, out), "12,345,678");
    assert_string_equal(ph_human_count(UINT64_MAX, out), "18446744073709551615");
    assert_string_equal(ph_human_short(-1, out), "0");
    assert_string_equal(ph_human_short(999, out), "999");
    assert_string_equal(ph_human_short(12345, out), "12.3k");
    assert_string_equal(ph_human_short(999960, out), "1.0M");
    assert_string_equal(ph_human_short(4.5e6, out), "4.5M");
    assert_string_equal(ph_human_short(123456789, out), "123M");
}

static void
seconds(void **context)
{
    char out[PH_HUMAN_SIZE];

    (void)context;
    assert_string_equal(ph_human_seconds(-1, out), "0.00 s");
    assert_string_equal(ph_human_seconds(0.42, out), "0.42 s");
    assert_string_equal(ph_human_seconds(12.34, out), "12.3 s");
    assert_string_equal(ph_human_seconds(187, out), "3:07 min");
    assert_string_equal(ph_human_seconds(3723, out), "1:02:03 h");
    assert_string_equal(ph_human_seconds(1e300, out), "833333:20:00 h");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes),
        cmocka_unit_test(counts),
        cmocka_unit_test(seconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
