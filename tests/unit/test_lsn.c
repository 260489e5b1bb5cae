/* WAL positions and the values of --until: what is read, what is refused, and the way back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/lsn.h"

#include <string.h>

static void
there_and_back(void **state)
{
    static const char *const texts[] = {"0/0", "16/B374D848", "0/1", "FFFFFFFF/FFFFFFFF", "1/0"};
    char out[PH_LSN_TEXT];
    ph_lsn lsn;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_true(ph_lsn_parse(texts[i], &lsn));
        assert_string_equal(ph_lsn_print(lsn, out), texts[i]);
    }
    assert_true(ph_lsn_parse("16/b374d848", &lsn));
    assert_true(lsn == UINT64_C(0x16B374D848));
    assert_true(ph_lsn_parse("00000016/0000000a", &lsn));
    assert_true(lsn == UINT64_C(0x160000000A));
}

static void
not_a_position(void **state)
{
    static const char *const texts[] = {"",     "/",     "1/",         "/1",          "1",
                                        "1/2/", "1/2 ",  " 1/2",       "1 /2",        "g/1",
                                        "1/g",  "-1/2",  "0x1/2",      "123456789/1", "1/123456789",
                                        "1//2", "1/2\n", "1/\xc3\xa4", "+1/2"};
    ph_lsn lsn = 7;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(ph_lsn_parse(texts[i], &lsn));
    assert_true(lsn == 7);
}

static void
until(void **state)
{
    struct ph_until value = {PH_UNTIL_STOPPED, 3};
    char text[PH_UNTIL_TEXT];

    (void)state;
    assert_false(ph_until_parse("", &value));
    assert_false(ph_until_parse("Now", &value));
    assert_false(ph_until_parse("caught up", &value));
    assert_false(ph_until_parse("0/0", &value));
    assert_true(value.kind == PH_UNTIL_STOPPED && value.lsn == 3);
    assert_true(ph_until_parse("now", &value) && value.kind == PH_UNTIL_NOW);
    assert_true(ph_until_parse("caught-up", &value) && value.kind == PH_UNTIL_CAUGHT_UP);
    assert_true(ph_until_parse("0/16B3748", &value) && value.kind == PH_UNTIL_LSN);
    assert_true(value.lsn == 0x16B3748);
    assert_string_equal(ph_until_print(&value, text), "0/16B3748");
    assert_string_equal(ph_until_print(&(struct ph_until){PH_UNTIL_NOW, 0}, text), "now");
    assert_string_equal(ph_until_print(&(struct ph_until){PH_UNTIL_CAUGHT_UP, 0}, text),
                        "caught-up");
    assert_string_equal(ph_until_print(&(struct ph_until){PH_UNTIL_STOPPED, 0}, text), "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(not_a_position),
        cmocka_unit_test(until),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
