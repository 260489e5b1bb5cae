#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_vectors.h"

static void
test_numbers(void **state)
{
    static const struct op_vector vectors[] = {
        {"cast", "int8 -> int4", OP_NO_PARAMS, {"2147483647"}, "2147483647"},
        {"cast", "int8 -> int4", OP_NO_PARAMS, {"2147483648"}, "BAD"},
        {"cast", "int4 -> int2", {"int2"}, {"-32768"}, "-32768"},
        {"cast", "int4 -> int2", OP_NO_PARAMS, {"-32769"}, "BAD"},
        {"cast", "int4 -> int2", OP_NO_PARAMS, {NULL}, NULL},
        {"cast", "float8 -> int4", OP_NO_PARAMS, {"2.5"}, "2"},
        {"cast", "float8 -> int4", OP_NO_PARAMS, {"-3.5"}, "-4"},
        {"cast", "float8 -> int8", OP_NO_PARAMS, {"9223372036854775807"}, "BAD"},
        {"cast", "float8 -> int8", OP_NO_PARAMS, {"NaN"}, "BAD"},
        {"cast", "float8 -> float4", OP_NO_PARAMS, {"1e39"}, "BAD"},
        {"cast", "float8 -> float4", OP_NO_PARAMS, {"1e-60"}, "BAD"},
        {"cast", "float8 -> float4", OP_NO_PARAMS, {"-Infinity"}, "-Infinity"},
        {"cast", "float8 -> numeric", OP_NO_PARAMS, {"0.1"}, "0.1"},
        {"cast", "float8 -> numeric", OP_NO_PARAMS, {"1e20"}, "100000000000000000000"},
        {"cast", "float4 -> numeric", OP_NO_PARAMS, {"123456789"}, "123457000"},
        {"cast", "numeric -> int4", OP_NO_PARAMS, {"2.5"}, "3"},
        {"cast", "numeric -> int4", OP_NO_PARAMS, {"-2.5"}, "-3"},
        {"cast", "numeric -> int4", OP_NO_PARAMS, {"0.49999999999999999999"}, "0"},
        {"cast", "numeric -> int8", OP_NO_PARAMS, {"9223372036854775807.4"}, "9223372036854775807"},
        {"cast", "numeric -> int8", OP_NO_PARAMS, {"9223372036854775807.5"}, "BAD"},
        {"cast", "numeric -> int4", OP_NO_PARAMS, {"NaN"}, "BAD"},
        {"cast", "numeric -> float8", OP_NO_PARAMS, {"1e400"}, "BAD"},
        {"cast", "int8 -> numeric", OP_NO_PARAMS, {"-9223372036854775808"}, "-9223372036854775808"},
        {"cast", "bool -> int4", OP_NO_PARAMS, {"yes"}, "1"},
        {"cast", "int4 -> bool", OP_NO_PARAMS, {"-7"}, "true"},
        {"cast", "int4 -> bool", OP_NO_PARAMS, {"0"}, "false"},
    };

    (void)state;
    OP_VECTORS_CHECK(vectors);
}

static void
test_text(void **state)
{
    static const struct op_vector vectors[] = {
        {"cast", "text -> int4", {"int4"}, {" \t+12 "}, "12"},
        {"cast", "text -> int4", {"int4"}, {"12a"}, "BAD"},
        {"cast", "text -> int4", {"int4"}, {""}, "BAD"},
        {"cast", "text -> int2", {"int2"}, {"99999999999999999999999"}, "BAD"},
        {"cast", "text -> int8", {"int8"}, {"-9223372036854775808"}, "-9223372036854775808"},
        {"cast", "text -> float8", {"float8"}, {"1e23"}, "9.999999999999999e+22"},
        {"cast", "text -> float8", {"float8"}, {"5e-324"}, "5e-324"},
        {"cast", "text -> float8", {"float8"}, {"1e-400"}, "BAD"},
        {"cast", "text -> float8", {"float8"}, {"0.30000000000000004"}, "0.30000000000000004"},
        {"cast", "text -> float8", {"float8"}, {"100000000000000"}, "100000000000000"},
        {"cast", "text -> float8", {"float8"}, {"1000000000000000"}, "1e+15"},
        {"cast", "text -> float8", {"float8"}, {"0.0001"}, "0.0001"},
        {"cast", "text -> float8", {"float8"}, {"0.00001"}, "1e-05"},
        {"cast", "text -> float8", {"float8"}, {"-0"}, "-0"},
        {"cast", "text -> float4", {"float4"}, {"123456.7"}, "123456.7"},
        {"cast", "text -> float4", {"float4"}, {"1234567"}, "1.234567e+06"},
        {"cast", "text -> numeric", {"numeric"}, {" -00123.4500 "}, "-123.4500"},
        {"cast", "text -> numeric", {"numeric"}, {"1.5e-3"}, "0.0015"},
        {"cast", "text -> numeric", {"numeric"}, {"15e3"}, "15000"},
        {"cast", "text -> numeric", {"numeric"}, {"-0.00"}, "0.00"},
        {"cast", "text -> numeric", {"numeric"}, {"."}, "BAD"},
        {"cast", "text -> numeric", {"numeric"}, {"1e200000"}, "BAD"},
        {"cast", "text -> numeric", {"numeric"}, {"-inf"}, "-Infinity"},
        {"cast", "text -> bool", {"bool"}, {" TRU "}, "true"},
        {"cast", "text -> bool", {"bool"}, {"of"}, "false"},
        {"cast", "text -> bool", {"bool"}, {"o"}, "BAD"},
        {"cast",
         "text -> uuid",
         {"uuid"},
         {"{A0EEBC999C0B4EF8BB6D6BB9BD380A11}"},
         "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
        {"cast", "text -> uuid", {"uuid"}, {"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1"}, "BAD"},
        {"cast", "text -> bytea", {"bytea"}, {"\\xde AD"}, "\\xdead"},
        {"cast", "text -> bytea", {"bytea"}, {"a\\\\\\001"}, "\\x615c01"},
        {"cast", "text -> bytea", {"bytea"}, {"\\x1"}, "BAD"},
        {"cast", "text -> text", OP_NO_PARAMS, {"as it is"}, "as it is"},
    };

    (void)state;
    OP_VECTORS_CHECK(vectors);
}

static void
test_times(void **state)
{
    static const struct op_vector vectors[] = {
        {"cast", "text -> date", {"date"}, {"2024-02-29"}, "2024-02-29"},
        {"cast", "text -> date", {"date"}, {"2023-02-29"}, "BAD"},
        {"cast", "text -> date", {"date"}, {"4714-11-24 BC"}, "4714-11-24 BC"},
        {"cast", "text -> date", {"date"}, {"4714-11-23 BC"}, "BAD"},
        {"cast", "text -> date", {"date"}, {"5874897-12-31"}, "5874897-12-31"},
        {"cast", "text -> date", {"date"}, {"-infinity"}, "-infinity"},
        {"cast", "text -> date", {"date"}, {"yesterday"}, "BAD"},
        {"cast",
         "text -> timestamp",
         {"timestamp"},
         {"2024-01-02T03:04:05.6789Z"},
         "2024-01-02 03:04:05.6789"},
        {"cast", "text -> timestamp", {"timestamp"}, {"1999-12-31 24:00"}, "2000-01-01 00:00:00"},
        {"cast", "text -> timestamp", {"timestamp"}, {"294277-01-01"}, "BAD"},
        {"cast",
         "text -> timestamptz",
         {"timestamptz"},
         {"2024-01-02 03:04:05+05:30"},
         "2024-01-01 21:34:05+00"},
        {"cast",
         "text -> timestamptz",
         {"timestamptz", "Europe/Berlin"},
         {"2024-07-01 12:00"},
         "2024-07-01 10:00:00+00"},
        {"cast",
         "timestamp -> timestamptz",
         {"timestamptz", "Europe/Berlin"},
         {"2024-03-31 02:30:00"},
         "2024-03-31 01:30:00+00"},
        {"cast",
         "timestamp -> timestamptz",
         {"timestamptz", "Europe/Berlin"},
         {"2024-10-27 02:30:00"},
         "2024-10-27 01:30:00+00"},
        {"cast",
         "timestamptz -> timestamp",
         {"timestamp", "America/New_York"},
         {"2024-01-01 00:00:00+00"},
         "2023-12-31 19:00:00"},
        {"cast", "timestamptz -> timestamp", {"timestamp", "Nowhere/Land"}, {NULL}, "REFUSED"},
        {"cast", "timestamptz -> timestamp", {"timestamp", "PST"}, {NULL}, "REFUSED"},
        {"cast",
         "timestamptz -> date",
         {"date", "Asia/Tokyo"},
         {"2024-01-01 15:00Z"},
         "2024-01-02"},
        {"cast", "timestamp -> date", OP_NO_PARAMS, {"1999-12-31 23:59:59"}, "1999-12-31"},
        {"cast", "date -> timestamp", OP_NO_PARAMS, {"infinity"}, "infinity"},
        {"cast", "date -> timestamp", OP_NO_PARAMS, {"294277-01-01"}, "BAD"},
        {"cast",
         "timestamptz -> text",
         {"text", "Asia/Kolkata"},
         {"2024-01-01 00:00Z"},
         "2024-01-01 05:30:00+05:30"},
    };

    (void)state;
    OP_VECTORS_CHECK(vectors);
}

static void
test_json(void **state)
{
    static const struct op_vector vectors[] = {
        {"cast", "text -> json", {"json"}, {" {\"b\":1 , \"a\":[ ]}"}, " {\"b\":1 , \"a\":[ ]}"},
        {"cast", "text -> json", {"json"}, {"{\"a\":01}"}, "BAD"},
        {"cast", "text -> json", {"json"}, {"[1,]"}, "BAD"},
        {"cast", "text -> json", {"json"}, {"\"\\ud800\""}, "\"\\ud800\""},
        {"cast", "text -> jsonb", {"jsonb"}, {"\"\\ud800\""}, "BAD"},
        {"cast", "text -> jsonb", {"jsonb"}, {"\"\\u0000\""}, "BAD"},
        {"cast",
         "text -> jsonb",
         {"jsonb"},
         {"{\"bb\":1e2,\"c\":1.50,\"a\":{\"x\":null},\"c\":[true,false ]}"},
         "{\"a\": {\"x\": null}, \"c\": [true, false], \"bb\": 100}"},
        {"cast",
         "text -> jsonb",
         {"jsonb"},
         {"\"\\u00e4\\n\\u0001\\/\""},
         "\"\xc3\xa4\\n\\u0001/\""},
        {"cast", "text -> jsonb", {"jsonb"}, {"\"\\ud83d\\ude00\""}, "\"\xf0\x9f\x98\x80\""},
        {"cast", "text -> jsonb", {"jsonb"}, {"-0.0"}, "0.0"},
        {"cast", "text -> jsonb", {"jsonb"}, {"1e1000000"}, "BAD"},
        {"cast", "text -> jsonb", {"jsonb"}, {" {} "}, "{}"},
    };

    (void)state;
    OP_VECTORS_CHECK(vectors);
}

/* The bytes themselves, so that vectors do not only agree with each other. */
static void
test_bytes(void **state)
{
    static const uint8_t array[] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0,   0,   0,   2,
                                    0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7,  255, 255, 255, 255};
    static const uint8_t longer[] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 20, 0, 0, 0,   2,   0,   0,
                                     0, 1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0,  0, 7, 255, 255, 255, 255};
    static const uint8_t numeric[] = {0, 2, 0, 0, 0x40, 0, 0, 1, 0, 12, 19, 136};
    const char *varchar[] = {"varchar(10)[]"};
    struct ph_value arg = {array, sizeof array};
    struct ph_value out;
    struct op_run run;

    (void)state;
    assert_true(op_run_begin(&run, op_find("cast", "int4[] -> int8[]"), NULL, 0, 1));
    assert_int_equal(op_run_call(&run, &arg, &out), PH_RULE_OK);
    assert_int_equal(out.len, sizeof longer);
    assert_memory_equal(out.data, longer, sizeof longer);
    arg.len--;
    assert_int_equal(op_run_call(&run, &arg, &out), PH_RULE_BAD);
    arg.len++;
    op_run_end(&run);
    assert_true(op_run_begin(&run, op_find("cast", "int4[] -> text[]"), varchar, 1, 1));
    assert_int_equal(op_run_call(&run, &arg, &out), PH_RULE_OK);
    assert_int_equal(out.data[10] << 8 | out.data[11], 1043);
    op_run_end(&run);
    arg = (struct ph_value){(const uint8_t *)"-12.5", 5};
    assert_true(op_run_begin(&run, op_find("cast", "text -> numeric"), NULL, 0, 1));
    assert_int_equal(op_run_call(&run, &arg, &out), PH_RULE_OK);
    assert_int_equal(out.len, sizeof numeric);
    assert_memory_equal(out.data, numeric, sizeof numeric);
    op_run_end(&run);
}

/* Every row of the tables is whole. */
static void
test_tables(void **state)
{
    (void)state;
    for (const struct ph_rule_family *family = ph_rule_families; family->name != NULL; family++) {
        for (uint32_t i = 0; i < family->n_ops; i++) {
            const struct ph_rule_op *op = &family->ops[i];
            assert_non_null(op->name);
            assert_non_null(op->run);
            assert_non_null(op->help);
            assert_non_null(strstr(op->signature, " -> "));
            assert_ptr_equal(op_find(op->name, op->signature), op);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_text),  cmocka_unit_test(test_times),
        cmocka_unit_test(test_json),    cmocka_unit_test(test_bytes), cmocka_unit_test(test_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
