/* The shares of --memory: together no more than it, and at the smallest there is room for lanes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/lane.h"
#include "job/memory.h"
#include "rules/job_rules.h"

#define MB ((size_t)1 << 20)

static struct ph_options
options_of(size_t megabytes, struct ph_job_rules *rules)
{
    return (struct ph_options){.memory_bytes = megabytes * MB, .rules = rules};
}

static void
lanes_fit(void **state)
{
    struct ph_job_rules rules = {0};

    (void)state;
    for (size_t megabytes = 32; megabytes <= 1024; megabytes += 8) {
        for (uint32_t lanes = 1; lanes <= 64; lanes++) {
            struct ph_options with = options_of(megabytes, &rules);
            struct ph_options without = options_of(megabytes, NULL);
            if (ph_memory_for_lanes(lanes) > megabytes * MB)
                continue;
            size_t batch = ph_memory_of_batch(&with, lanes);
            assert_true(batch >= ph_lane_batch_bytes(0));
            assert_true(16 * MB + ph_memory_of_lookups(&with) +
                            lanes * (MB / 2 + (PH_LANE_BATCHES + PH_LANE_MORE + 2) * batch) <=
                        megabytes * MB);
            assert_true(ph_memory_of_batch(&without, lanes) >= batch);
        }
    }
}

/* What processors choose, eight lanes at most, is fine with the smallest value. */
static void
smallest_is_enough_for_eight(void **state)
{
    (void)state;
    assert_true(ph_memory_for_lanes(8) <= 32 * MB);
    assert_true(ph_memory_for_lanes(64) > 64 * MB);
}

/* Of a value that no command has set nothing is left. */
static void
nothing_is_below_zero(void **state)
{
    struct ph_options none = options_of(0, NULL);

    (void)state;
    assert_int_equal(ph_memory_of_proof(&none), 0);
    assert_int_equal(ph_memory_of_group(&none), 0);
    assert_int_equal(ph_memory_of_batch(&none, 8), ph_lane_batch_bytes(0));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_fit),
        cmocka_unit_test(smallest_is_enough_for_eight),
        cmocka_unit_test(nothing_is_below_zero),
    };

    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
