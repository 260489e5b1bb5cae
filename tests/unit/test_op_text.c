#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_vectors.h"

#define T "text -> text"

static void
test_null(void **state)
{
    static const struct op_vector vectors[] = {
        {"null_if_empty", T, OP_NO_PARAMS, {""}, NULL},
        {"null_if_empty", T, OP_NO_PARAMS, {" "}, " "},
        {"null_if", T, {"n/a"}, {"n/a"}, NULL},
        {"null_if", T, {"n/a"}, {"n/b"}, "n/b"},
        {"null_if", T, {""}, {""}, NULL},
        {"null_if", T, OP_NO_PARAMS, {"x"}, "REFUSED"},
        {"null_if", "int4 -> int4", {"-1"}, {"-1"}, NULL},
        {"null_if", "int4 -> int4", {"x"}, {"-1"}, "REFUSED"},
        {"null_if", "numeric -> numeric", {"0"}, {"0.00"}, NULL},
        {"null_if", "numeric -> numeric", {"0"}, {"0.01"}, "0.01"},
        {"null_if", "date -> date", {"1970-01-01"}, {"1970-01-01"}, NULL},
    };
    struct ph_value args[2] = {{NULL, -1}, {(const uint8_t *)"d", 1}};
    struct ph_value out;
    struct op_run run;

    (void)state;
    OP_VECTORS_CHECK(vectors);
    assert_true(op_run_begin(&run, op_find("default", "any, any -> any"), NULL, 0, 2));
    assert_int_equal(op_run_call(&run, args, &out), PH_RULE_OK);
    assert_ptr_equal(out.data, args[1].data);
    args[0] = (struct ph_value){(const uint8_t *)"", 0};
    assert_int_equal(op_run_call(&run, args, &out), PH_RULE_OK);
    assert_int_equal(out.len, 0);
    op_run_end(&run);
}

static void
test_parts(void **state)
{
    static const struct op_vector vectors[] = {
        {"concat", "text... -> text", {", "}, {"a", "b", "c"}, "a, b, c"},
        {"concat", "text... -> text", OP_NO_PARAMS, {"a", "b"}, "ab"},
        {"concat", "text... -> text", {"-"}, {NULL}, ""},
        {"split", T, {"@", "1"}, {"x@y@z"}, "x"},
        {"split", T, {"@", "-1"}, {"x@y@z"}, "z"},
        {"split", T, {"@", "-4"}, {"x@y@z"}, ""},
        {"split", T, {"@", "4"}, {"x@y@z"}, ""},
        {"split", T, {"@", "0"}, {"x"}, "REFUSED"},
        {"split", T, {"", "1"}, {"x@y"}, "x@y"},
        {"substring", T, {"2"}, {"\xc3\xa4\xc3\xb6\xc3\xbc"}, "\xc3\xb6\xc3\xbc"},
        {"substring", T, {"2", "1"}, {"\xc3\xa4\xc3\xb6\xc3\xbc"}, "\xc3\xb6"},
        {"substring", T, {"-1", "3"}, {"abc"}, "a"},
        {"substring", T, {"9", "3"}, {"abc"}, ""},
        {"substring", T, {"1", "-1"}, {"abc"}, "REFUSED"},
        {"substring", T, {"2"}, {"a\xff"}, "\xff"},
        {"substring", T, {"3"}, {"a\xff"}, "BAD"},
        {"left", T, {"2"}, {"abc"}, "ab"},
        {"left", T, {"-2"}, {"abc"}, "a"},
        {"left", T, {"-5"}, {"abc"}, ""},
        {"right", T, {"2"}, {"abc"}, "bc"},
        {"right", T, {"-2"}, {"abc"}, "c"},
        {"right", T, {"0"}, {"abc"}, ""},
        {"right", T, {"7"}, {"abc"}, "abc"},
        {"lpad", T, {"5", "xy"}, {"hi"}, "xyxhi"},
        {"lpad", T, {"1"}, {"hi"}, "h"},
        {"lpad", T, {"-1"}, {"hi"}, ""},
        {"lpad", T, {"4", ""}, {"hi"}, "hi"},
        {"lpad", T, {"2000000000"}, {"hi"}, "BAD"},
        {"rpad", T, {"4"}, {"hi"}, "hi  "},
        {"trim", T, OP_NO_PARAMS, {"  a b "}, "a b"},
        {"trim", T, {"x\xc3\xa4"}, {"\xc3\xa4xa\xc3\xa4"}, "a"},
        {"ltrim", T, OP_NO_PARAMS, {" \ta "}, "\ta "},
        {"rtrim", T, {"z"}, {"azz"}, "a"},
        {"trim", T, {"z"}, {"zzz"}, ""},
        {"replace", T, {"a", "bb"}, {"banana"}, "bbbnbbnbb"},
        {"replace", T, {"", "bb"}, {"banana"}, "banana"},
        {"replace", T, {"banana", ""}, {"banana"}, ""},
        {"length", "text -> int4", OP_NO_PARAMS, {"\xf0\x9f\x98\x80\xc3\xa4z"}, "3"},
        {"length", "text -> int4", OP_NO_PARAMS, {"\xc3"}, "BAD"},
    };

    (void)state;
    OP_VECTORS_CHECK(vectors);
}

static void
test_letters(void **state)
{
    static const struct op_vector vectors[] = {
        {"lower", T, OP_NO_PARAMS, {"AbZ@[`{"}, "abz@[`{"},
        {"upper", T, OP_NO_PARAMS, {"abz@[`{"}, "ABZ@[`{"},
        {"lower", T, OP_NO_PARAMS, {"\xc3\x84\xce\xa3"}, "\xc3\xa4\xcf\x82"},
        {"upper",
         T,
         OP_NO_PARAMS,
         {"stra\xc3\x9f"
          "e"},
         "STRASSE"},
        {"upper", T, OP_NO_PARAMS, {"\xff"}, "BAD"},
        {"initcap", T, OP_NO_PARAMS, {"hello WORLD o'neil"}, "Hello World O'neil"},
        {"unaccent",
         T,
         OP_NO_PARAMS,
         {"Cr\xc3\xa8me Br\xc3\xbbl\xc3\xa9"
          "e \xc3\x9f"},
         "Creme Brulee ss"},
        {"transliterate",
         T,
         {"Any-Latin; Latin-ASCII"},
         {"\xce\x91\xce\xb8\xce\xae\xce\xbd\xce\xb1"},
         "Athena"},
        {"transliterate", T, {"no such thing"}, {"x"}, "REFUSED"},
        {"lower", T, {"x"}, {"x"}, "REFUSED"},
    };

    (void)state;
    OP_VECTORS_CHECK(vectors);
}

static void
test_regexp(void **state)
{
    static const struct op_vector vectors[] = {
        {"regexp_replace", T, {"b+", "X"}, {"abbcb"}, "aXcb"},
        {"regexp_replace", T, {"b+", "X", "g"}, {"abbcb"}, "aXcX"},
        {"regexp_replace", T, {"b*", "-", "g"}, {"abc"}, "-a--c-"},
        {"regexp_replace", T, {"x*", "-", "g"}, {"\xc3\xa4"}, "-\xc3\xa4-"},
        {"regexp_replace", T, {"(.)(.)", "\\2\\1\\&\\\\\\9\\q", "g"}, {"abc"}, "baab\\\\qc"},
        {"regexp_replace", T, {"^.$", "x", "gn"}, {"a\nb"}, "x\nx"},
        {"regexp_replace", T, {"^.$", "x", "g"}, {"a\nb"}, "a\nb"},
        {"regexp_replace", T, {"\\d+", "#", "i"}, {"no"}, "no"},
        {"regexp_replace", T, {"A", "#", "i"}, {"a"}, "#"},
        {"regexp_replace", T, {"(", "#"}, {"a"}, "REFUSED"},
        {"regexp_replace", T, {"a", "#", "q"}, {"a"}, "REFUSED"},
        {"regexp_replace",
         T,
         {"(a+)+$", "#"},
         {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"},
         "BAD"},
        {"regexp_replace", T, {"(?=ab\\K)", "#"}, {"ab"}, "REFUSED"},
        {"regexp_replace", T, {"a", "#"}, {"\xff"}, "BAD"},
    };

    (void)state;
    OP_VECTORS_CHECK(vectors);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_null),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_letters),
        cmocka_unit_test(test_regexp),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
