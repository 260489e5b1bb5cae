#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_vectors.h"

/* {a,NULL,bc} */
static const uint8_t three[] = {0, 0, 0, 1, 0, 0, 0,   1,   0,   0,   0,   25, 0, 0, 0, 3,   0,  0,
                                0, 1, 0, 0, 0, 1, 'a', 255, 255, 255, 255, 0,  0, 0, 2, 'b', 'c'};
static const uint8_t none[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25};

static void
gives(const char *name, const char *signature, const char *param, const char *second,
      struct ph_value arg, const char *wanted, int32_t wanted_len)
{
    const char *params[] = {param, second};
    uint32_t n_params = (param != NULL) + (second != NULL);
    struct ph_value out;
    struct op_run run;

    assert_true(op_run_begin(&run, op_find(name, signature), params, n_params, 1));
    assert_int_equal(op_run_call(&run, &arg, &out), PH_RULE_OK);
    assert_int_equal(out.len, wanted_len);
    if (wanted_len > 0)
        assert_memory_equal(out.data, wanted, (size_t)wanted_len);
    op_run_end(&run);
}

static void
test_arrays(void **state)
{
    const struct ph_value arg = {three, sizeof three};
    const struct ph_value empty = {none, sizeof none};

    (void)state;
    gives("array_length", "any[] -> int4", NULL, NULL, arg, "\0\0\0\3", 4);
    gives("array_length", "any[] -> int4", "2", NULL, arg, NULL, -1);
    gives("array_length", "any[] -> int4", NULL, NULL, empty, NULL, -1);
    gives("array_element", "any[] -> any", "3", NULL, arg, "bc", 2);
    gives("array_element", "any[] -> any", "2", NULL, arg, NULL, -1);
    gives("array_element", "any[] -> any", "0", NULL, arg, NULL, -1);
    gives("array_element", "any[] -> any", "4", NULL, arg, NULL, -1);
    gives("array_join", "text[] -> text", ", ", NULL, arg, "a, bc", 5);
    gives("array_join", "text[] -> text", ",", "-", arg, "a,-,bc", 6);
    gives("array_join", "text[] -> text", ",", "-", empty, "", 0);
}

/* Every place where the bytes may end too early, or say something that is not there. */
static void
test_bad_arrays(void **state)
{
    struct ph_value out;
    struct op_run run;
    const char *params[] = {","};

    (void)state;
    assert_true(op_run_begin(&run, op_find("array_join", "text[] -> text"), params, 1, 1));
    for (int32_t len = 0; len < (int32_t)sizeof three; len++) {
        struct ph_value arg = {three, len};
        assert_int_equal(op_run_call(&run, &arg, &out), PH_RULE_BAD);
        assert_string_equal(run.call.message, "not a valid array");
    }
    static const int places[] = {3, 12, 15, 20};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        uint8_t bytes[sizeof three];
        struct ph_value arg = {bytes, sizeof bytes};
        memcpy(bytes, three, sizeof bytes);
        bytes[places[i]] = 0x80;
        assert_int_equal(op_run_call(&run, &arg, &out), PH_RULE_BAD);
    }
    op_run_end(&run);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_bad_arrays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
