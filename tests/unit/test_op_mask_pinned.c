/*
 * TRAPS 60. One value of each mask for ever: who masked a database with an older pghaul gets the
 * same from this one. A change of any of these is a change of every masked database.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mask_run.h"

static const struct {
    const char *name;
    const char *signature;
    const char *value; /* its bytes */
    size_t len;
    const char *params[2];
    const char *want; /* in hex */
} pinned[] = {
#define TEXT(text) text, sizeof text - 1
    {"hash_int", "int4 -> int4", TEXT("\0\0\0\052"), {NULL}, "7a7ccf66"},
    {"hash_int", "int8 -> int8", TEXT("\0\0\0\0\0\0\0\052"), {NULL}, "45db16d6ef31cc71"},
    {"bcrypt",
     "text -> text",
     TEXT("password"),
     {"4"},
     "243261243034247a77306d2f564f33476e77414c35687864486944384f317969467a4478475575446638572f57556"
     "730626b5869525066713872442e"},
    {"encrypt",
     "text -> text",
     TEXT("plain"),
     {NULL},
     "4b546b4644697170344c4a656e44427444444d545959614e4a7036374150564f5a7831614c4c485773744d3d"},
    {"encrypt",
     "bytea -> bytea",
     TEXT("plain"),
     {NULL},
     "2939050e2aa9e0b25e9c306d0c331361868d269ebb00f54e671d5a2cb1d6b2d3"},
    {"mask_uuid",
     "uuid -> uuid",
     TEXT("0123456\1070123456\177"),
     {NULL},
     "8082f16e21ae317d0ded333f9b5038f3"},
    {"mask_int", "int2 -> int2", TEXT("\0\052"), {NULL}, "0049"},
    {"mask_int", "int8 -> int8", TEXT("\0\0\0\0\0\1\0\0"), {NULL}, "00000000000031a8"},
    {"mask_int", "int4 -> int4", TEXT("\0\0\0\052"), {"1", "1000000"}, "000e9c0f"},
    {"mask_fpe", "text -> text", TEXT("AB-12 xy"), {NULL}, "43432d393920716c"},
    {"mask_fpe",
     "text -> text",
     TEXT("A longer text of 42 letters, with Umlaut \303\244"),
     {NULL},
     "5720717a6f69646e20706c6c7520696620363420697578726467762c206a687862204b767378687520c3a6"},
    {"mask_phone", "text -> text", TEXT("+49 30 1234567"), {NULL}, "2b34392034342030373531383332"},
    {"mask_card",
     "text -> text",
     TEXT("4111 1111 1111 1111"),
     {NULL},
     "34313131203131373320313634332031333239"},
    {"mask_iban",
     "text -> text",
     TEXT("DE89 3704 0044 0532 0130 00"),
     {NULL},
     "444537362033323732203331353420343631362036303239203139"},
    {"mask_text",
     "text -> text",
     TEXT("Dear J\303\244ne, 42!"),
     {NULL},
     "567573612053c3ad746f2c20333121"},
    {"mask_json",
     "json -> json",
     TEXT("[\"ab c\", 12.5]"),
     {"numbers"},
     "5b226361206e222c2034322e395d"},
    {"mask_bool", "bool -> bool", TEXT("\1"), {NULL}, "01"},
    {"mask_date", "date -> date", TEXT("\0\0\1\0"), {NULL}, "ffffffac"},
    {"mask_date", "timestamp -> timestamp", TEXT("\0\0\0\0\0\0\1\0"), {"30"}, "fffffdccbc718100"},
    {"mask_ip", "inet -> inet", TEXT("\2\040\0\4\012\0\0\1"), {NULL}, "02200004864f3e1a"},
    {"mask_ip", "cidr -> cidr", TEXT("\2\020\1\4\012\1\0\0"), {NULL}, "02100104ffd90000"},
    {"mask_number", "int4 -> int4", TEXT("\0\0\0\052"), {"1", "1000"}, "0000033b"},
    {"mask_number",
     "numeric -> numeric",
     TEXT("\0\1\0\0\0\0\0\2\0\7"),
     {"0", "1000"},
     "000200000000000203570fa0"},
    {"mask_number",
     "float8 -> float8",
     TEXT("\077\360\0\0\0\0\0\0"),
     {"0", "1"},
     "3fecea709564a9b8"},
};

static void
values_are_for_ever(void **context)
{
    (void)context;
    for (size_t i = 0; i < sizeof pinned / sizeof pinned[0]; i++) {
        struct mask mask;
        uint32_t n = (pinned[i].params[0] != NULL) + (pinned[i].params[1] != NULL);
        assert_true(
            mask_try(&mask, pinned[i].name, pinned[i].signature, pinned[i].params, n, MASK_SECRET));
        mask.run.call.row_key = (struct ph_value){(const uint8_t *)"\0\0\0\4\0\0\0\1", 8};
        assert_int_equal(mask_bytes(&mask, pinned[i].value, pinned[i].len), PH_RULE_OK);
        if (strcmp(mask_hex(&mask), pinned[i].want) != 0)
            fail_msg("%s(%s): %s", pinned[i].name, pinned[i].signature, mask_hex(&mask));
        mask_end(&mask);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values_are_for_ever)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
