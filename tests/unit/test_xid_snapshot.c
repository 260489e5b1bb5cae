/* Snapshots as text, 32-bit ids across a wrapped counter, and what makes an epoch admissible. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/xid_snapshot.h"

static struct ph_arena arena;
static struct ph_error err;

static int
begin(void **state)
{
    (void)state;
    ph_arena_init(&arena, 1 << 20);
    ph_error_reset(&err);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    ph_arena_reset(&arena);
    return 0;
}

static struct ph_xid_snapshot
parse(const char *text)
{
    struct ph_xid_snapshot snapshot = {0};

    if (ph_xid_snapshot_parse(&arena, text, &snapshot, &err) != PH_OK)
        fail_msg("%s: %s", text, err.message);
    return snapshot;
}

static void
reads(void **state)
{
    struct ph_xid_snapshot s = parse("10:20:10,14,19");

    (void)state;
    assert_true(s.xmin == 10 && s.xmax == 20 && s.n_xip == 3);
    assert_true(s.xip[0] == 10 && s.xip[1] == 14 && s.xip[2] == 19);
    s = parse("756:754:"); /* of a slot: all below xmin, nothing else */
    assert_true(s.xmin == 756 && s.xmax == 756 && s.n_xip == 0);
    s = parse("4294967296745:4294967296745:");
    assert_true(s.xmin == UINT64_C(4294967296745) && s.n_xip == 0);
    assert_true(parse("18446744073709551615:18446744073709551615:").xmin == UINT64_MAX);
}

static void
refuses(void **state)
{
    static const char *const texts[] = {"",
                                        ":",
                                        "10",
                                        "10:20",
                                        "10:20:10,",
                                        "10:20:,10",
                                        "20:10:15",
                                        "10:20:9",
                                        "10:20:20",
                                        "10:20:1x",
                                        "10:20:14,14",
                                        "10:20:15,14",
                                        "0:20:",
                                        "-1:20:",
                                        " 10:20:",
                                        "10:20: 14",
                                        "10:20:14 ",
                                        "10:20:14,,15",
                                        "10:20:14:",
                                        "10:20:14\n",
                                        "1:18446744073709551616:",
                                        "10:99999999999999999999:"};
    struct ph_xid_snapshot s = {.xmin = 5};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(ph_xid_snapshot_parse(&arena, texts[i], &s, &err), PH_E_PROTOCOL);
    assert_true(s.xmin == 5);
    ph_arena_reset(&arena);
    ph_arena_init(&arena, 1);
    assert_int_equal(ph_xid_snapshot_parse(&arena, "1:2:1", &s, &err), PH_E_MEMORY);
}

static void
sees(void **state)
{
    struct ph_xid_snapshot s = parse("10:20:10,14,19");

    (void)state;
    for (uint64_t xid = 3; xid < 30; xid++)
        assert_int_equal(ph_xid_snapshot_sees(&s, xid),
                         xid < 20 && xid != 10 && xid != 14 && xid != 19);
}

/* TRAPS 71 */
static void
trap_71_widens_across_the_wrap(void **state)
{
    struct ph_xid_snapshot s = parse("4294967290:4294967300:4294967290,4294967298");

    (void)state;
    assert_true(ph_xid_widen(&s, 4294967290u) == UINT64_C(4294967290));
    assert_true(ph_xid_widen(&s, 4294967289u) == UINT64_C(4294967289));
    assert_true(ph_xid_widen(&s, 2) == UINT64_C(4294967298));
    assert_true(ph_xid_widen(&s, 3) == UINT64_C(4294967299));
    assert_false(ph_xid_snapshot_sees(&s, ph_xid_widen(&s, 2)));
    assert_true(ph_xid_snapshot_sees(&s, ph_xid_widen(&s, 3)));
    assert_false(ph_xid_snapshot_sees(&s, ph_xid_widen(&s, 4)));
    s = parse("4294967300:4294967305:4294967300"); /* the other way: before the wrap */
    assert_true(ph_xid_widen(&s, 4294967295u) == UINT64_C(4294967295));
    assert_true(ph_xid_snapshot_sees(&s, ph_xid_widen(&s, 4294967295u)));
    s = parse("12884901891:12884901900:");
    assert_true(ph_xid_widen(&s, 5) == UINT64_C(12884901893));
    assert_true(ph_xid_widen(&s, 4294967295u) == UINT64_C(12884901887));
}

/* TRAPS 78 */
static void
trap_78_admissible(void **state)
{
    struct ph_xid_snapshot first = parse("100:120:105,110");
    struct ph_xid_snapshot later = parse("105:130:105,110,125");
    uint64_t xid = 0;

    (void)state;
    assert_true(ph_xid_snapshot_is_admissible(&first, &first, &xid));
    assert_true(ph_xid_snapshot_is_admissible(&later, &first, &xid));
    assert_true(xid == 0);
    later = parse("105:130:105,107"); /* 107 is committed for the slot, in progress here */
    assert_false(ph_xid_snapshot_is_admissible(&later, &first, &xid));
    assert_true(xid == 107);
    later = parse("99:130:99"); /* below everything the slot waited for */
    assert_false(ph_xid_snapshot_is_admissible(&later, &first, &xid));
    assert_true(xid == 99);
    assert_false(ph_xid_snapshot_is_admissible(&later, &first, NULL));
}

/* The last of all transactions waits for its commit: its id is not below xmax then. */
static void
trap_78_beyond_xmax(void **state)
{
    struct ph_xid_snapshot first = parse("100:120:118,119");
    struct ph_xid_snapshot later = parse("117:117:");
    uint64_t xid = 0;

    (void)state;
    assert_false(ph_xid_snapshot_is_admissible(&later, &first, &xid));
    assert_true(xid == 117);
    later = parse("118:118:");
    assert_true(ph_xid_snapshot_is_admissible(&later, &first, &xid));
    first = parse("100:120:118");
    assert_false(ph_xid_snapshot_is_admissible(&later, &first, &xid));
    assert_true(xid == 119);
    later = parse("90:90:");
    assert_false(ph_xid_snapshot_is_admissible(&later, &first, &xid));
    assert_true(xid == 90);
}

/* TRAPS 79 */
static void
trap_79_after(void **state)
{
    struct ph_xid_snapshot snapshot = parse("119:140:119");

    (void)state;
    assert_false(ph_xid_snapshot_is_after(&snapshot, 120));
    snapshot = parse("120:140:120");
    assert_true(ph_xid_snapshot_is_after(&snapshot, 120));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads, begin, end),
        cmocka_unit_test_setup_teardown(refuses, begin, end),
        cmocka_unit_test_setup_teardown(sees, begin, end),
        cmocka_unit_test_setup_teardown(trap_71_widens_across_the_wrap, begin, end),
        cmocka_unit_test_setup_teardown(trap_78_admissible, begin, end),
        cmocka_unit_test_setup_teardown(trap_78_beyond_xmax, begin, end),
        cmocka_unit_test_setup_teardown(trap_79_after, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
