/* How far a follow is behind in time, and whether that is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "job/follow_parts.h"

#include <stdlib.h>

#define S UINT64_C(1000000000)
#define NEVER (-1.0)

/* Years from the clock here. */
#define SOURCE_US INT64_C(1000000000000000)

static struct ph_source_clock source;
static struct ph_receiver_look receiver;
static struct ph_applier_look applier;
static struct ph_follow_progress out;

static int
begin(void **state)
{
    (void)state;
    source = (struct ph_source_clock){0};
    receiver = (struct ph_receiver_look){
        .state = PH_RECEIVER_STREAMING, .last_sent_us = SOURCE_US, .last_input_ns = 100 * S};
    applier = (struct ph_applier_look){.applied_us = SOURCE_US - 2500000};
    return 0;
}

static void
judge(uint64_t now_ns)
{
    ph_follow_judge_source(&source, &receiver, &applier, now_ns, &out);
}

static bool
about(double a, double b)
{
    return a - b < 0.001 && b - a < 0.001;
}

static void
seconds_are_of_the_sources_clock(void **state)
{
    (void)state;
    judge(100 * S);
    assert_true(about(out.lag_s, 2.5));
    judge(104 * S); /* nothing new was heard */
    assert_true(about(out.lag_s, 6.5));
    assert_true(out.is_heard && about(out.heard_s, 4));
    receiver.last_sent_us += 10000000;
    receiver.last_input_ns = 110 * S;
    judge(110 * S);
    assert_true(about(out.lag_s, 12.5));
    applier.applied_us = receiver.last_sent_us + 1; /* sent a moment after that clock was read */
    judge(110 * S);
    assert_true(about(out.lag_s, 0));
}

static void
nothing_waits_only_where_the_source_is_heard(void **state)
{
    (void)state;
    applier.is_idle = true;
    judge(129 * S);
    assert_true(out.is_heard && about(out.lag_s, 0));
    judge(131 * S); /* the network may be gone without a word */
    assert_true(!out.is_heard && about(out.lag_s, NEVER) && about(out.heard_s, 31));
    receiver.state = PH_RECEIVER_WAITING;
    judge(101 * S);
    assert_true(!out.is_heard && about(out.lag_s, NEVER) && about(out.heard_s, 1));
    receiver.state = PH_RECEIVER_PAUSED;
    judge(101 * S);
    assert_false(out.is_heard);
}

/* What lies here while the source is away grows older all the same. */
static void
a_backlog_ages_without_its_source(void **state)
{
    (void)state;
    judge(100 * S);
    receiver.state = PH_RECEIVER_WAITING;
    judge(3700 * S);
    assert_true(!out.is_heard && about(out.lag_s, 3602.5) && about(out.heard_s, 3600));
}

static void
nothing_was_heard_yet(void **state)
{
    (void)state;
    receiver = (struct ph_receiver_look){.state = PH_RECEIVER_CONNECTING};
    judge(100 * S);
    assert_true(!out.is_heard && about(out.lag_s, NEVER) && about(out.heard_s, NEVER));
    applier = (struct ph_applier_look){.is_idle = true};
    judge(100 * S);
    assert_true(!out.is_heard && about(out.lag_s, NEVER));
    begin(NULL);
    applier.applied_us = 0; /* heard, and nothing applied */
    judge(100 * S);
    assert_true(out.is_heard && about(out.lag_s, NEVER));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(seconds_are_of_the_sources_clock, begin),
        cmocka_unit_test_setup(nothing_waits_only_where_the_source_is_heard, begin),
        cmocka_unit_test_setup(a_backlog_ages_without_its_source, begin),
        cmocka_unit_test_setup(nothing_was_heard_yet, begin),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
