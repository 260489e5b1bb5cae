#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mask_run.h"

static bool
luhn_valid(const char *text)
{
    int sum = 0;
    int n = 0;

    for (size_t i = strlen(text); i-- > 0;) {
        if (text[i] < '0' || text[i] > '9')
            continue;
        int digit = (text[i] - '0') * (n++ % 2 == 0 ? 1 : 2);
        sum += digit / 10 + digit % 10;
    }
    return n > 0 && sum % 10 == 0;
}

/* MOD 97-10 as the standard tells it: four characters to the end, letters from 10. */
static bool
iban_valid(const char *text)
{
    char bare[64];
    size_t n = 0;
    unsigned rest = 0;

    for (; *text != '\0'; text++)
        if (*text != ' ')
            bare[n++] = (char)(*text >= 'a' ? *text - 32 : *text);
    for (size_t i = 0; i < n; i++) {
        char c = bare[(i + 4) % n];
        rest = c <= '9' ? (rest * 10 + (unsigned)(c - '0')) % 97
                        : (rest * 100 + (unsigned)(c - 'A') + 10) % 97;
    }
    return rest == 1;
}

static void
cards_are_valid(void **context)
{
    static const char *const cards[] = {"4111 1111 1111 1111", "5500-0000-0000-0004",
                                        "378282246310005", "6011000990139424", "30569309025904"};
    const char *const none[] = {"0"};
    struct mask mask;
    char got[512];

    (void)context;
    assert_true(mask_try(&mask, "mask_card", "text -> text", NULL, 0, MASK_SECRET));
    for (size_t i = 0; i < sizeof cards / sizeof cards[0]; i++) {
        assert_true(luhn_valid(cards[i]));
        snprintf(got, sizeof got, "%s", mask_text(&mask, cards[i]));
        assert_true(luhn_valid(got));
        assert_memory_equal(got, cards[i], 6);
        assert_string_not_equal(got, cards[i]);
        for (size_t c = 0; cards[i][c] != '\0'; c++)
            assert_int_equal(cards[i][c] >= '0', got[c] >= '0');
    }
    assert_false(luhn_valid(mask_text(&mask, "4111 1111 1111 1112")));
    assert_string_equal(mask_text(&mask, "4111"), "<bad: not a card number>");
    assert_string_equal(mask_text(&mask, "4111 1111 1111 111x"), "<bad: not a card number>");
    mask_end(&mask);
    assert_true(mask_try(&mask, "mask_card", "text -> text", none, 1, MASK_SECRET));
    assert_true(luhn_valid(mask_text(&mask, cards[0])));
    mask_end(&mask);
}

static void
cards_stay_different(void **context)
{
    struct mask mask;

    (void)context;
    assert_true(mask_try(&mask, "mask_card", "text -> text", NULL, 0, MASK_SECRET));
    assert_int_equal(mask_repeats_of(&mask, "41111111%08u", MASK_SOME), 0);
    mask_end(&mask);
}

static void
ibans_are_valid(void **context)
{
    static const char *const ibans[] = {
        "DE89 3704 0044 0532 0130 00",     "GB29NWBK60161331926819",
        "FR1420041010050500013M02606",     "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S", "ch93 0076 2011 6238 5295 7"};
    struct mask mask;
    char got[512];

    (void)context;
    assert_true(mask_try(&mask, "mask_iban", "text -> text", NULL, 0, MASK_SECRET));
    for (size_t i = 0; i < sizeof ibans / sizeof ibans[0]; i++) {
        assert_true(iban_valid(ibans[i]));
        snprintf(got, sizeof got, "%s", mask_text(&mask, ibans[i]));
        assert_true(iban_valid(got));
        assert_memory_equal(got, ibans[i], 2);
        assert_string_not_equal(got + 4, ibans[i] + 4);
        assert_int_equal(strlen(got), strlen(ibans[i]));
    }
    assert_false(iban_valid(mask_text(&mask, "DE88 3704 0044 0532 0130 00")));
    assert_string_equal(mask_text(&mask, "not one"), "<bad: not an IBAN>");
    assert_string_equal(mask_text(&mask, "DE89 3704-0044 0532 0130 00"), "<bad: not an IBAN>");
    assert_string_equal(mask_text(&mask, ""), "<bad: not an IBAN>");
    mask_end(&mask);
}

static void
ibans_stay_different(void **context)
{
    struct mask mask;

    (void)context;
    assert_true(mask_try(&mask, "mask_iban", "text -> text", NULL, 0, MASK_SECRET));
    /* all check digits, and accounts */
    assert_int_equal(mask_repeats_of(&mask, "DE%02u370400440532013000", 100), 0);
    assert_int_equal(mask_repeats_of(&mask, "DE89370400440532%06u", MASK_SOME), 0);
    mask_end(&mask);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cards_are_valid),
        cmocka_unit_test(cards_stay_different),
        cmocka_unit_test(ibans_are_valid),
        cmocka_unit_test(ibans_stay_different),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
