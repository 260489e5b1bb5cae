#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>

#include "base/clock.h"
#include "base/stop.h"

static bool
readable(void)
{
    struct pollfd poller = {.fd = ph_stop_fd(), .events = POLLIN};

    return poll(&poller, 1, 0) == 1;
}

static void
signal_sets_wish_and_wakes(void **context)
{
    struct ph_error err;

    (void)context;
    assert_int_equal(ph_stop_init(&err), PH_OK);
    assert_false(ph_stop_requested());
    assert_int_equal(ph_stop_check(&err), PH_OK);
    assert_false(readable());
    raise(SIGTERM);
    assert_true(ph_stop_requested());
    assert_true(readable());
    assert_true(readable());
    assert_int_equal(ph_stop_signal(), SIGTERM);
    raise(SIGTERM);
    assert_int_equal(ph_stop_check(&err), PH_E_STOPPED);
    assert_string_equal(err.message, "stopped by SIGTERM");
    ph_stop_reset();
    assert_false(ph_stop_requested());
    assert_int_equal(ph_stop_fd(), -1);
}

static void
second_interrupt_has_its_default_meaning(void **context)
{
    struct sigaction now;

    (void)context;
    assert_int_equal(ph_stop_init(NULL), PH_OK);
    raise(SIGINT);
    sigaction(SIGINT, NULL, &now);
    assert_true(now.sa_handler == SIG_DFL);
    assert_int_equal(ph_stop_signal(), SIGINT);
    ph_stop_reset();
}

static void
wait_ends_early_only_with_the_wish(void **context)
{
    uint64_t start = ph_clock_ns();

    (void)context;
    assert_int_equal(ph_stop_init(NULL), PH_OK);
    assert_false(ph_stop_wait_ms(30));
    assert_true(ph_clock_seconds_since(start) >= 0.03);
    ph_stop_request();
    assert_true(ph_stop_wait_ms(60000));
    assert_true(ph_clock_seconds_since(start) < 30);
    ph_stop_reset();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signal_sets_wish_and_wakes),
        cmocka_unit_test(second_interrupt_has_its_default_meaning),
        cmocka_unit_test(wait_ends_early_only_with_the_wish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
