#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mask_run.h"

#include "rules/mask_letter.h"

#include <jansson.h>

static void
shown_parts(void **context)
{
    const char *const two[] = {"2"};
    const char *const minus[] = {"-1"};
    struct mask mask;

    (void)context;
    assert_true(mask_try(&mask, "mask_first", "text -> text", two, 1, NULL));
    assert_string_equal(mask_text(&mask, "secret"), "se****");
    assert_string_equal(mask_text(&mask, "äöüß"), "äö**");
    assert_string_equal(mask_text(&mask, "日本語"), "日本*");
    assert_string_equal(mask_text(&mask, "ab"), "**");
    assert_string_equal(mask_text(&mask, ""), "");
    assert_int_equal(mask_bytes(&mask, "ab\xff", 3), PH_RULE_BAD);
    mask_end(&mask);
    assert_true(mask_try(&mask, "mask_last", "text -> text", two, 1, NULL));
    assert_string_equal(mask_text(&mask, "secret"), "****et");
    assert_string_equal(mask_text(&mask, "äöüß"), "**üß");
    assert_string_equal(mask_text(&mask, "ab"), "**");
    mask_end(&mask);
    assert_false(mask_try(&mask, "mask_last", "text -> text", NULL, 0, NULL));
    mask_end(&mask);
    assert_false(mask_try(&mask, "mask_last", "text -> text", minus, 1, NULL));
    mask_end(&mask);
}

static void
text(void **context)
{
    static const char in[] = "Dear Müller, 日本 I saw you on 24 May at 9:30 — yours, J. R. 😀";
    struct mask mask;
    struct ph_cursor before = ph_cursor_of(in, sizeof in - 1);
    struct ph_letter x;
    struct ph_letter y;
    char first[512];

    (void)context;
    assert_true(mask_try(&mask, "mask_text", "text -> text", NULL, 0, MASK_SECRET));
    snprintf(first, sizeof first, "%s", mask_text(&mask, in));
    struct ph_cursor after = ph_cursor_of(first, strlen(first));
    while (ph_letter_take(&before, &x)) {
        assert_true(ph_letter_take(&after, &y));
        assert_int_equal(x.first, y.first);
        assert_int_equal(x.radix, y.radix);
    }
    assert_true(after.at == after.end);
    assert_string_not_equal(first, in);
    assert_string_equal(mask_text(&mask, in), first);
    assert_string_equal(mask_text(&mask, "Dear"), "Revi");
    assert_int_equal(mask_bytes(&mask, "ab\xff", 3), PH_RULE_BAD);
    mask_end(&mask);
}

static void
json(void **context)
{
    static const char in[] =
        "{\"name\" : \"J\\u00e4ne \\\"Roe\\\"\\n\", \"n\": [1, -20.5e7, null, true, "
        "{\"a\": \"b:\", \"\": \"\"}], \"pair\": \"\\ud83d\\ude00\"}";
    const char *const numbers[] = {"numbers"};
    const char *const wrong[] = {"all"};
    struct mask mask;
    char first[512];

    (void)context;
    assert_true(mask_try(&mask, "mask_json", "json -> json", NULL, 0, MASK_SECRET));
    snprintf(first, sizeof first, "%s", mask_text(&mask, in));
    json_t *tree = json_loads(first, 0, NULL);
    assert_non_null(tree);
    assert_null(strstr(first, "Roe"));
    assert_non_null(strstr(first, "{\"name\" : \""));
    assert_non_null(strstr(first, "[1, -20.5e7, null, true, {\"a\": \""));
    assert_non_null(strstr(first, "\\ud83d\\ude00"));
    json_decref(tree);
    for (size_t len = 0; len < strlen(in); len++) /* any part of it: no crash */
        mask_bytes(&mask, in, len);
    assert_int_equal(mask_bytes(&mask, "\"a", 2), PH_RULE_BAD);
    assert_int_equal(mask_bytes(&mask, "\"\\u12x4\"", 8), PH_RULE_BAD);
    assert_int_equal(mask_bytes(&mask, "\"\\u\"   ", 7), PH_RULE_BAD);
    mask_end(&mask);
    assert_true(mask_try(&mask, "mask_json", "jsonb -> jsonb", numbers, 1, MASK_SECRET));
    assert_int_equal(mask_bytes(&mask, "{}", 2), PH_RULE_BAD);
    assert_int_equal(mask_bytes(&mask, "\001", 1), PH_RULE_BAD);
    snprintf(first, sizeof first, "\001{\"a\": [123456, -0.5, 1e9, \"b\"]}");
    const char *got = mask_text(&mask, first);
    assert_int_equal(strlen(got), strlen(first));
    assert_null(strstr(got, "123456"));
    assert_non_null(strstr(got, "-0."));
    assert_non_null(strstr(got, "e9"));
    tree = json_loads(got + 1, 0, NULL);
    assert_non_null(tree);
    json_decref(tree);
    mask_end(&mask);
    assert_false(mask_try(&mask, "mask_json", "jsonb -> jsonb", wrong, 1, MASK_SECRET));
    mask_end(&mask);
}

/* A letter that two escapes make is masked as the same one in UTF-8 is, and makes two again. */
static void
json_pairs(void **context)
{
    static const char *const kept[] = {"\"\\ud842\"", "\"\\ud842\\u0020\\udfb7\"", "\"\\ud842\\n\"",
                                       "\"\\ud83d\\ude00\"", "\"\\ud842\\ud842\""};
    struct mask mask;

    (void)context;
    assert_true(mask_try(&mask, "mask_json", "json -> json", NULL, 0, MASK_SECRET));
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        assert_string_equal(mask_text(&mask, kept[i]), kept[i]);
    const char *got = mask_text(&mask, "\"\\uD842\\uDFB7\"");
    assert_string_not_equal(got, "\"\\ud842\\udfb7\"");
    assert_int_equal(strlen(got), 14);
    json_t *letter = json_loads(got, JSON_DECODE_ANY, NULL);
    assert_non_null(letter);
    struct ph_cursor in = ph_cursor_of(json_string_value(letter), json_string_length(letter));
    struct ph_letter made;
    assert_true(ph_letter_take(&in, &made));
    assert_true(in.at == in.end);
    assert_int_equal(made.first, 0x20000); /* Han, extended */
    json_decref(letter);
    mask_end(&mask);
}

/* numeric has no negative zero, so the server would not print what was made here. */
static void
jsonb_minus_zero(void **context)
{
    const char *const numbers[] = {"numbers"};
    struct mask jsonb;
    struct mask json;
    char in[32];
    size_t n_zeros = 0;

    (void)context;
    assert_true(mask_try(&jsonb, "mask_json", "jsonb -> jsonb", numbers, 1, MASK_SECRET));
    assert_true(mask_try(&json, "mask_json", "json -> json", numbers, 1, MASK_SECRET));
    for (int i = 1; i < 100; i++) {
        snprintf(in, sizeof in, "\001-0.%02d", i);
        const char *made = mask_text(&jsonb, in);
        const char *plain = mask_text(&json, in + 1);
        bool is_zero = strcmp(plain, "-0.00") == 0;
        n_zeros += is_zero;
        assert_string_not_equal(made + 1, "-0.00");
        if (!is_zero) /* all others are masked alike */
            assert_string_equal(made + 1, plain);
    }
    assert_true(n_zeros > 0);
    mask_end(&jsonb);
    mask_end(&json);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shown_parts),
        cmocka_unit_test(text),
        cmocka_unit_test(json),
        cmocka_unit_test(json_pairs),
        cmocka_unit_test(jsonb_minus_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
