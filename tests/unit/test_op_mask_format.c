#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mask_run.h"

#include "rules/mask_letter.h"

static void
begin(struct mask *mask, const char *name)
{
    assert_true(mask_try(mask, name, "text -> text", NULL, 0, MASK_SECRET));
}

/* Digits as 9, letters as a or A, others as they are. */
static const char *
shape(const char *text, char out[256])
{
    size_t i = 0;

    for (; text[i] != '\0' && i < 255; i++) {
        char c = text[i];
        out[i] = (char)(c >= '0' && c <= '9'   ? '9'
                        : c >= 'a' && c <= 'z' ? 'a'
                        : c >= 'A' && c <= 'Z' ? 'A'
                                               : c);
    }
    out[i] = '\0';
    return out;
}

static void
expect_shape(struct mask *mask, const char *text)
{
    char want[256];
    char got[256];

    assert_string_equal(shape(mask_text(mask, text), got), shape(text, want));
}

static void
fpe_keeps_the_shape(void **context)
{
    static const char *const texts[] = {"",     "a",         "7",           "AB-123 xy",
                                        "@#.-", "SW1A 1AA",  "2024-W07/99", "x_y.z",
                                        "é",    "日本語 42", "Ω≈ç√",        "emoji 😀 stays"};
    struct mask mask;

    (void)context;
    begin(&mask, "mask_fpe");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(mask_bytes(&mask, texts[i], strlen(texts[i])), PH_RULE_OK);
        assert_int_equal(mask.out.len, strlen(texts[i]));
    }
    expect_shape(&mask, "AB-123 xy");
    expect_shape(&mask, "The quick brown Fox, aged 12, jumps over 3 lazy dogs: (x) 0815.");
    assert_string_not_equal(mask_text(&mask, "日本語 42"), "日本語 42");
    assert_int_equal(mask_bytes(&mask, "a\xff", 2), PH_RULE_BAD);
    assert_int_equal(mask_bytes(&mask, "\xc3", 1), PH_RULE_BAD);
    assert_int_equal(mask_bytes(&mask, "\xed\xa0\x80", 3), PH_RULE_BAD);
    mask_end(&mask);
}

/* All of the domain, so that a permutation shows as one. */
static void
fpe_is_a_permutation(void **context)
{
    static const struct {
        const char *format;
        uint32_t n;
    } domains[] = {
        {"%01u", 10}, {"%02u", 100}, {"%03u", 1000}, {"x%04u", 10000}, {"%06u", 1000000}};
    uint64_t *hashes = malloc(1000000 * sizeof *hashes);
    struct mask mask;

    (void)context;
    begin(&mask, "mask_fpe");
    for (size_t d = 0; d < sizeof domains / sizeof domains[0]; d++) {
        uint32_t n = domains[d].n > MASK_SOME ? MASK_SOME : domains[d].n;
        uint32_t n_same = 0;
        for (uint32_t i = 0; i < n; i++) {
            char text[16];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(text, sizeof text, domains[d].format, i);
#pragma GCC diagnostic pop
            assert_int_equal(mask_bytes(&mask, text, strlen(text)), PH_RULE_OK);
            hashes[i] = mask_fold(&mask.out);
            n_same += memcmp(mask.out.data, text, strlen(text)) == 0;
        }
        assert_int_equal(mask_repeats(hashes, n), 0);
        assert_in_range(n_same, 0, 10);
    }
    free(hashes);
    mask_end(&mask);
}

static void
fpe_of_long_text_stays_different(void **context)
{
    uint64_t *hashes = malloc(MASK_SOME / 10 * sizeof *hashes);
    struct mask mask;

    (void)context;
    begin(&mask, "mask_fpe");
    for (uint32_t i = 0; i < MASK_SOME / 10; i++) {
        char text[64];
        snprintf(text, sizeof text, "Order of %06u, abcdefghijkl 0000", i);
        assert_int_equal(mask_bytes(&mask, text, strlen(text)), PH_RULE_OK);
        hashes[i] = mask_fold(&mask.out);
    }
    assert_int_equal(mask_repeats(hashes, MASK_SOME / 10), 0);
    free(hashes);
    mask_end(&mask);
}

/* Whatever comes in, what comes out is UTF-8 of the same length. */
static void
fpe_of_any_unicode(void **context)
{
    struct mask mask;
    uint32_t state = 7;

    (void)context;
    begin(&mask, "mask_fpe");
    for (int i = 0; i < 20000; i++) {
        uint8_t text[64];
        size_t len = 0;
        size_t n_in;
        size_t n_out;
        for (int k = 0; k < 12; k++) {
            struct ph_letter letter;
            uint32_t bits = (state = state * 1664525u + 1013904223u) >> 8;
            uint32_t code = bits % (k % 2 == 0 ? 0x3000 : 0x110000);
            if (code == 0 || (code >= 0xd800 && code < 0xe000))
                continue;
            ph_letter_of(code, &letter);
            assert_int_equal(ph_letter_code(&letter, letter.index), code);
            ph_letter_put(&letter, letter.index, text + len);
            len += letter.len;
        }
        assert_int_equal(mask_bytes(&mask, text, len), PH_RULE_OK);
        assert_int_equal(mask.out.len, len);
        assert_true(ph_letter_count((struct ph_span){text, len}, &n_in));
        assert_true(ph_letter_count((struct ph_span){mask.out.data, len}, &n_out));
        assert_int_equal(n_in, n_out);
    }
    mask_end(&mask);
}

/* Every alphabet is the alphabet of all of its characters. */
static void
alphabets_are_closed(void **context)
{
    (void)context;
    for (uint32_t code = 1; code <= 0x10ffff; code += code < 0x3100 ? 1 : 7) {
        struct ph_letter letter;
        struct ph_letter first;
        struct ph_letter last;
        if (code >= 0xd800 && code < 0xe000)
            continue;
        ph_letter_of(code, &letter);
        ph_letter_of(ph_letter_code(&letter, 0), &first);
        ph_letter_of(ph_letter_code(&letter, letter.radix - 1), &last);
        if (letter.index >= letter.radix || letter.radix > 65536 || first.index != 0 ||
            first.radix != letter.radix || last.first != letter.first ||
            last.index != letter.radix - 1 || first.len != letter.len || last.len != letter.len)
            fail_msg("U+%04X", code);
    }
}

static void
phones_keep_their_country(void **context)
{
    static const char *const kept[][2] = {
        {"+49 30 1234567", "+49"},  {"+1 (212) 555-0100", "+1"},
        {"+358401234567", "+358"},  {"0049 30 1234567", "0049"},
        {"030/1234567", "0"},       {"(+44) 020 7946 0000", "(+44) 0"},
        {"+7 495 000-00-00", "+7"},
    };
    struct mask mask;
    char text[512];

    (void)context;
    begin(&mask, "mask_phone");
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        expect_shape(&mask, kept[i][0]);
        snprintf(text, sizeof text, "%s", mask_text(&mask, kept[i][0]));
        assert_memory_equal(text, kept[i][1], strlen(kept[i][1]));
        assert_string_not_equal(text, kept[i][0]);
    }
    assert_string_equal(mask_text(&mask, "+49"), "+49");
    assert_string_equal(mask_text(&mask, "+"), "+");
    assert_string_equal(mask_text(&mask, ""), "");
    assert_true(mask_text(&mask, "5551234")[0] != '0');
    /* the format is no part of the number */
    char digits[32] = "";
    snprintf(text, sizeof text, "%s", mask_text(&mask, "+49 30 1234567"));
    for (const char *c = text; *c != '\0'; c++)
        if (*c != ' ')
            strncat(digits, c, 1);
    assert_string_equal(mask_text(&mask, "+49301234567"), digits);
    expect_shape(&mask, "Office: 030 1234 ext 5");
    mask_end(&mask);
}

static void
phones_stay_different(void **context)
{
    struct mask mask;

    (void)context;
    begin(&mask, "mask_phone");
    assert_int_equal(mask_repeats_of(&mask, "+49 30 %07u", MASK_SOME), 0);
    assert_int_equal(mask_repeats_of(&mask, "%u", MASK_SOME), 0);
    mask_end(&mask);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fpe_keeps_the_shape),
        cmocka_unit_test(fpe_is_a_permutation),
        cmocka_unit_test(fpe_of_long_text_stays_different),
        cmocka_unit_test(fpe_of_any_unicode),
        cmocka_unit_test(alphabets_are_closed),
        cmocka_unit_test(phones_keep_their_country),
        cmocka_unit_test(phones_stay_different),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
