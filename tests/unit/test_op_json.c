#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_vectors.h"

#define J "json -> json"
#define JB "jsonb -> jsonb"
#define JT "json -> text"

static void
test_get(void **state)
{
    static const struct op_vector vectors[] = {
        {"json_get", JT, {"a.b.1"}, {"{\"a\": {\"b\": [1, {\"x\" :2}]}}"}, "{\"x\" :2}"},
        {"json_get", JT, {"a"}, {"{\"a\": 1, \"a\": \"\\u00e4\"}"}, "\xc3\xa4"},
        {"json_get", JT, {"{a.b,-1}"}, {"{\"a.b\": [1, 1.50]}"}, "1.50"},
        {"json_get", JT, {"{\"q\\\"x\"}"}, {"{\"q\\\"x\": true}"}, "true"},
        {"json_get", JT, {"a"}, {"{\"a\": null}"}, NULL},
        {"json_get", JT, {"a.b"}, {"{\"a\": 1}"}, NULL},
        {"json_get", JT, {"a"}, {"[1]"}, NULL},
        {"json_get", JT, {"{}"}, {"[1 ]"}, "[1 ]"},
        {"json_get", JT, {"a"}, {"{\"a\": \"\\ud800\"}"}, "BAD"},
        {"json_get", JT, {"a..b"}, {"1"}, "REFUSED"},
        {"json_get", JT, {""}, {"1"}, "REFUSED"},
        {"json_get", JT, {"{a"}, {"1"}, "REFUSED"},
        {"json_get", JT, {"{"}, {"1"}, "REFUSED"},
        {"json_get", JT, {"{\"a}"}, {"1"}, "REFUSED"},
        {"json_get",
         "jsonb -> text",
         {"a.0"},
         {"{\"a\": [{\"cc\":1,\"b\":2}]}"},
         "{\"b\": 2, \"cc\": 1}"},
    };

    (void)state;
    OP_VECTORS_CHECK(vectors);
}

static void
test_json(void **state)
{
    static const struct op_vector vectors[] = {
        {"json_set", J, {"a", "[ 1]"}, {" {\"b\":1 ,\"a\" : 2 }"}, " {\"b\":1 ,\"a\" : [ 1] }"},
        {"json_set", J, {"c\"", "1"}, {"{\"b\":1 }"}, "{\"b\":1, \"c\\\"\": 1 }"},
        {"json_set", J, {"c", "1"}, {"{ }"}, "{\"c\": 1 }"},
        {"json_set", J, {"c.d", "1"}, {"{ }"}, "{ }"},
        {"json_set", J, {"5", "1"}, {"[0]"}, "[0, 1]"},
        {"json_set", J, {"-5", "1"}, {"[0]"}, "[1, 0]"},
        {"json_set", J, {"0", "1"}, {"[]"}, "[1]"},
        {"json_set", J, {"x", "1"}, {"[]"}, "BAD"},
        {"json_set", J, {"x", "1"}, {"7"}, "BAD"},
        {"json_set", J, {"x", "nope"}, {"7"}, "REFUSED"},
        {"json_delete", J, {"a"}, {"{\"a\":1,\"b\" :2 , \"a\": 3}"}, "{\"b\" :2}"},
        {"json_delete", J, {"x.1"}, {"{\"x\": [ 1,2 , 3 ]}"}, "{\"x\": [ 1, 3 ]}"},
        {"json_delete", J, {"0"}, {"[1]"}, "[]"},
        {"json_delete", J, {"x"}, {"[]"}, "[]"},
        {"json_delete", J, {"x"}, {"[1]"}, "BAD"},
    };

    (void)state;
    OP_VECTORS_CHECK(vectors);
}

static void
test_jsonb(void **state)
{
    static const struct op_vector vectors[] = {
        {"json_set",
         JB,
         {"a", "{\"zz\":1e1,\"y\":2}"},
         {"{\"bb\":1,\"c\":3}"},
         "{\"a\": {\"y\": 2, \"zz\": 10}, \"c\": 3, \"bb\": 1}"},
        {"json_set", JB, {"c.-1", "9"}, {"{\"c\":[1,2]}"}, "{\"c\": [1, 9]}"},
        {"json_set", JB, {"c.x", "9"}, {"{\"c\":1}"}, "{\"c\": 1}"},
        {"json_delete", JB, {"c"}, {"{\"c\":1}"}, "{}"},
        {"json_delete", JB, {"c.1"}, {"{\"c\":[1,2]}"}, "{\"c\": [1]}"},
        {"json_delete", JB, {"c"}, {"\"c\""}, "BAD"},
    };

    (void)state;
    OP_VECTORS_CHECK(vectors);
}

/* Depth is bounded, so that no value can exhaust the stack. */
static void
test_depth(void **state)
{
    enum { DEPTH = 100000 };
    char *text = malloc(2 * DEPTH);
    struct ph_value arg = {(const uint8_t *)text, 2 * DEPTH};
    struct ph_value out;
    struct op_run run;

    (void)state;
    memset(text, '[', DEPTH);
    memset(text + DEPTH, ']', DEPTH);
    assert_true(op_run_begin(&run, op_find("cast", "text -> jsonb"), NULL, 0, 1));
    assert_int_equal(op_run_call(&run, &arg, &out), PH_RULE_BAD);
    arg = (struct ph_value){(const uint8_t *)text + DEPTH - 900, 1800};
    assert_int_equal(op_run_call(&run, &arg, &out), PH_RULE_OK);
    assert_int_equal(out.len, 1801);
    op_run_end(&run);
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_jsonb),
        cmocka_unit_test(test_depth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
