#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_vectors.h"

#define I4 "int4 -> int4"
#define I4_2 "int4, int4 -> int4"
#define I8 "int8 -> int8"
#define F8 "float8 -> float8"
#define N "numeric -> numeric"
#define N2 "numeric, numeric -> numeric"

static void
test_integers(void **state)
{
    static const struct op_vector vectors[] = {
        {"add", I4, {"5"}, {"2147483642"}, "2147483647"},
        {"add", I4, {"5"}, {"2147483643"}, "BAD"},
        {"add", I4_2, OP_NO_PARAMS, {"-3", "2"}, "-1"},
        {"add", I4, {"x"}, {"1"}, "REFUSED"},
        {"add", I4, {"5000000000"}, {"1"}, "REFUSED"},
        {"subtract", I8, {"1"}, {"-9223372036854775808"}, "BAD"},
        {"multiply", I8, {"4"}, {"4611686018427387904"}, "BAD"},
        {"multiply", "int2 -> int2", {"-1"}, {"-32768"}, "BAD"},
        {"divide", I4, {"2"}, {"-7"}, "-3"},
        {"divide", I4, {"0"}, {"-7"}, "REFUSED"},
        {"divide", I4_2, OP_NO_PARAMS, {"7", "0"}, "BAD"},
        {"divide", I8, {"-1"}, {"-9223372036854775808"}, "BAD"},
        {"modulo", I8, {"-1"}, {"-9223372036854775808"}, "0"},
        {"modulo", I4, {"3"}, {"-7"}, "-1"},
        {"negate", I4, OP_NO_PARAMS, {"-2147483648"}, "BAD"},
        {"abs", I4, OP_NO_PARAMS, {"-5"}, "5"},
        {"bucket", I4, {"10"}, {"-1"}, "-10"},
        {"bucket", I4, {"10"}, {"19"}, "10"},
        {"bucket", I4, {"0"}, {"19"}, "REFUSED"},
        {"bucket", I4, {"10"}, {"-2147483648"}, "BAD"},
        {"clamp", I4, {"0", "10"}, {"-1"}, "0"},
        {"clamp", I4, {"0", "10"}, {"11"}, "10"},
        {"clamp", I4, {"0", "10"}, {"5"}, "5"},
        {"clamp", I4, {"10", "0"}, {"5"}, "REFUSED"},
        {"clamp", I4, {"1", "x"}, {"5"}, "REFUSED"},
    };

    (void)state;
    OP_VECTORS_CHECK(vectors);
}

static void
test_floats(void **state)
{
    static const struct op_vector vectors[] = {
        {"add", F8, {"0.1"}, {"0.2"}, "0.30000000000000004"},
        {"add", F8, {"1e308"}, {"1e308"}, "BAD"},
        {"add", F8, {"1"}, {"Infinity"}, "Infinity"},
        {"multiply", F8, {"1e-300"}, {"1e-300"}, "BAD"},
        {"divide", "float8, float8 -> float8", OP_NO_PARAMS, {"1", "-0"}, "BAD"},
        {"divide", "float8, float8 -> float8", OP_NO_PARAMS, {"NaN", "0"}, "NaN"},
        {"divide", F8, {"-0"}, {"1"}, "REFUSED"},
        {"add", "float4 -> float4", {"0.1"}, {"0.2"}, "0.3"},
        {"round", F8, OP_NO_PARAMS, {"2.5"}, "2"},
        {"bucket", F8, {"0.5"}, {"-0.1"}, "-0.5"},
        {"bucket", F8, {"NaN"}, {"1"}, "REFUSED"},
        {"clamp", F8, {"0", "1"}, {"NaN"}, "1"},
    };

    (void)state;
    OP_VECTORS_CHECK(vectors);
}

static void
test_numeric(void **state)
{
    static const struct op_vector vectors[] = {
        {"add", N, {"0.005"}, {"9999.995"}, "10000.000"},
        {"add", N2, OP_NO_PARAMS, {"Infinity", "-Infinity"}, "NaN"},
        {"subtract", N, {"1.00"}, {"1"}, "0.00"},
        {"subtract", N, {"10000"}, {"0.0001"}, "-9999.9999"},
        {"multiply", N, {"-0.10"}, {"99999999.9"}, "-9999999.990"},
        {"multiply", N2, OP_NO_PARAMS, {"Infinity", "0"}, "NaN"},
        {"divide", N, {"3"}, {"1"}, "0.33333333333333333333"},
        {"divide", N, {"7"}, {"100000000000000000000"}, "14285714285714285714"},
        {"divide", N2, OP_NO_PARAMS, {"1", "0"}, "BAD"},
        {"divide", N, {"Infinity"}, {"5"}, "0"},
        {"divide",
         N,
         {"10000.00010001"},
         {"123456789012345678901234567890"},
         "12345678777765434433691347.01765284"},
        {"modulo", N, {"0.3"}, {"-1"}, "-0.1"},
        {"modulo", N2, OP_NO_PARAMS, {"5", "Infinity"}, "5"},
        {"round", N, {"2"}, {"-1.005"}, "-1.01"},
        {"round", N, OP_NO_PARAMS, {"9999.5"}, "10000"},
        {"round", N, {"-3"}, {"1500"}, "2000"},
        {"round", N, {"-5"}, {"1500"}, "0"},
        {"round", N, {"4"}, {"1"}, "1.0000"},
        {"round", N, {"x"}, {"1"}, "REFUSED"},
        {"negate", N, OP_NO_PARAMS, {"0.00"}, "0.00"},
        {"negate", N, OP_NO_PARAMS, {"-Infinity"}, "Infinity"},
        {"abs", N, OP_NO_PARAMS, {"-1.50"}, "1.50"},
        {"bucket", N, {"0.25"}, {"-0.1"}, "-0.25"},
        {"bucket", N, {"0.25"}, {"0.74"}, "0.50"},
        {"bucket", N, {"-1"}, {"0.74"}, "REFUSED"},
        {"clamp", N, {"0", "1.50"}, {"NaN"}, "1.50"},
        {"clamp", N, {"0", "1.50"}, {"0.00"}, "0.00"},
    };

    (void)state;
    OP_VECTORS_CHECK(vectors);
}

/* Bytes that are no numeric: too short, too long, no digit, no sign, no scale. */
static void
test_bad_bytes(void **state)
{
    static const uint8_t numerics[][10] = {
        {0, 1, 0, 0, 0, 0, 0, 0},
        {0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10},
        {0, 1, 0, 0, 0x12, 0x34, 0, 0, 0, 1},
        {0, 1, 0, 0, 0, 0, 0x40, 0, 0, 1},
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
    };
    static const int32_t lengths[] = {8, 10, 10, 10, 10};
    struct ph_value out;
    struct op_run run;

    (void)state;
    assert_true(op_run_begin(&run, op_find("abs", N), NULL, 0, 1));
    for (int i = 0; i < 5; i++) {
        struct ph_value arg = {numerics[i], lengths[i]};
        assert_int_equal(op_run_call(&run, &arg, &out), PH_RULE_BAD);
        assert_string_equal(run.call.message, "not a valid numeric");
    }
    op_run_end(&run);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_numeric),
        cmocka_unit_test(test_bad_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
