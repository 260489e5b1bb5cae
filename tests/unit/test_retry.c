#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/stop.h"
#include "job/retry.h"

struct script {
    unsigned failures; /* of the first attempts */
    ph_code code;      /* that they fail with */
    unsigned attempts;
    unsigned again;
    bool stop; /* is wished during the first attempt */
};

static ph_code
play(void *arg, enum ph_try which, struct ph_error *err)
{
    struct script *script = arg;

    script->again += which == PH_TRY_AGAIN;
    if (script->stop)
        ph_stop_request();
    if (script->attempts++ < script->failures)
        return PH_FAIL(err, script->code, "away");
    return PH_OK;
}

static bool
helps(const void *arg, const struct ph_error *err)
{
    (void)arg;
    return err->code == PH_E_CONNECT;
}

static ph_code
run(struct script *script)
{
    struct ph_retry retry = {.attempt = play, .may_help = helps, .arg = script};
    struct ph_error err;

    ph_error_reset(&err);
    return ph_retry_run(&retry, &err);
}

static void
test_until_it_is_there(void **state)
{
    struct script script = {.failures = 2, .code = PH_E_CONNECT};

    (void)state;
    assert_int_equal(run(&script), PH_OK);
    assert_int_equal(script.attempts, 3);
    assert_int_equal(script.again, 2);
}

static void
test_only_what_may_help(void **state)
{
    struct script script = {.failures = 2, .code = PH_E_SQL};

    (void)state;
    assert_int_equal(run(&script), PH_E_SQL);
    assert_int_equal(script.attempts, 1);
}

static void
test_a_stop_ends_it(void **state)
{
    struct script script = {.failures = 2, .code = PH_E_CONNECT, .stop = true};
    struct ph_error err;

    (void)state;
    assert_int_equal(ph_stop_init(&err), PH_OK);
    assert_int_equal(run(&script), PH_E_CONNECT);
    assert_int_equal(script.attempts, 1);
    ph_stop_reset();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_until_it_is_there),
        cmocka_unit_test(test_only_what_may_help),
        cmocka_unit_test(test_a_stop_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
