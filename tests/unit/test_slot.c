/* What a source's version and settings say about its slots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg/slot.h"

/* TRAPS 25: past faults of servers that lose changes. */
static void
trap_25_servers_with_known_faults(void **state)
{
    (void)state;
    assert_int_equal(ph_slot_mended_minor(130020), 21);
    assert_int_equal(ph_slot_mended_minor(130021), 0);
    assert_int_equal(ph_slot_mended_minor(140017), 18);
    assert_int_equal(ph_slot_mended_minor(150000), 13);
    assert_int_equal(ph_slot_mended_minor(150013), 0);
    assert_int_equal(ph_slot_mended_minor(160008), 9);
    assert_int_equal(ph_slot_mended_minor(170004), 5);
    assert_int_equal(ph_slot_mended_minor(170005), 0);
    assert_int_equal(ph_slot_mended_minor(180000), 0);
}

/* TRAPS 77: no server of these tests has the setting; where there is none, nothing is refused. */
static void
trap_77_allowed_plugins(void **state)
{
    (void)state;
    assert_true(ph_slot_allows_pgoutput("pgoutput"));
    assert_true(ph_slot_allows_pgoutput("pgoutput, test_decoding"));
    assert_true(ph_slot_allows_pgoutput("test_decoding,\"pgoutput\" , wal2json"));
    assert_false(ph_slot_allows_pgoutput(""));
    assert_false(ph_slot_allows_pgoutput(" , "));
    assert_false(ph_slot_allows_pgoutput("test_decoding"));
    assert_false(ph_slot_allows_pgoutput("my_pgoutput, pgoutput2"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_25_servers_with_known_faults),
        cmocka_unit_test(trap_77_allowed_plugins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
