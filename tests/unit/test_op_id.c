#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mask_run.h"

static void
uuid_v5(void **context)
{
    const char *const dns[] = {"dns"};
    const char *const own[] = {"6ba7b811-9dad-11d1-80B4-00c04fd430c8"};
    const char *const bad[] = {"example", "", "6ba7b811-9dad-11d1-80b4-00c04fd430c",
                               "6ba7b8119dad"};
    struct mask mask;
    uint8_t four[4];

    (void)context;
    assert_true(mask_try(&mask, "uuid_v5", "text -> uuid", dns, 1, NULL));
    assert_int_equal(mask_bytes(&mask, "www.example.com", 15), PH_RULE_OK);
    assert_string_equal(mask_hex(&mask), "2ed6657de927568b95e12665a8aea6a2");
    mask_end(&mask);
    assert_true(mask_try(&mask, "uuid_v5", "text -> uuid", own, 1, NULL));
    assert_int_equal(mask_bytes(&mask, "-42", 3), PH_RULE_OK);
    char first[512];
    snprintf(first, sizeof first, "%s", mask_hex(&mask));
    mask_end(&mask);
    assert_true(mask_try(&mask, "uuid_v5", "int4 -> uuid", own, 1, NULL));
    ph_rule_put_i32(four, -42);
    assert_int_equal(mask_bytes(&mask, four, 4), PH_RULE_OK);
    assert_string_equal(mask_hex(&mask), first);
    assert_int_equal(mask_bytes(&mask, four, 3), PH_RULE_BAD);
    mask_end(&mask);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(mask_try(&mask, "uuid_v5", "text -> uuid", &bad[i], 1, NULL));
        mask_end(&mask);
    }
}

static void
uuids_stay_different(void **context)
{
    uint64_t *hashes = malloc(MASK_MANY * sizeof *hashes);
    uint8_t uuid[16] = {1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12};
    struct mask mask;

    (void)context;
    assert_true(mask_try(&mask, "mask_uuid", "uuid -> uuid", NULL, 0, MASK_SECRET));
    for (uint32_t i = 0; i < MASK_MANY; i++) {
        ph_store_u32(uuid + (i % 2 == 0 ? 0 : 12), i);
        assert_int_equal(mask_bytes(&mask, uuid, 16), PH_RULE_OK);
        assert_int_equal(mask.out.data[6] >> 4, 4);
        assert_int_equal(mask.out.data[8] >> 6, 2);
        hashes[i] = mask_fold(&mask.out);
    }
    assert_int_equal(mask_repeats(hashes, MASK_MANY), 0);
    assert_int_equal(mask_bytes(&mask, uuid, 15), PH_RULE_BAD);
    free(hashes);
    mask_end(&mask);
}

static int64_t
int8_of(struct mask *mask, int64_t value)
{
    uint8_t bytes[8];

    ph_rule_put_i64(bytes, value);
    assert_int_equal(mask_bytes(mask, bytes, 8), PH_RULE_OK);
    return ph_rule_get_i64(&mask->out);
}

static void
ints_within_a_range(void **context)
{
    const char *const range[] = {"-5", "94"};
    const char *const all[] = {"-9223372036854775808", "9223372036854775807"};
    const char *const wrong[] = {"5", "4"};
    const char *const large[] = {"0", "40000"};
    bool seen[100] = {false};
    struct mask mask;
    uint8_t bytes[8];

    (void)context;
    assert_true(mask_try(&mask, "mask_int", "int8 -> int8", range, 2, MASK_SECRET));
    for (int64_t i = -5; i < 95; i++) {
        int64_t got = int8_of(&mask, i);
        assert_true(got >= -5 && got < 95 && !seen[got + 5]);
        seen[got + 5] = true;
    }
    ph_rule_put_i64(bytes, 95);
    assert_int_equal(mask_bytes(&mask, bytes, 8), PH_RULE_BAD);
    assert_int_equal(mask_bytes(&mask, bytes, 5), PH_RULE_BAD);
    mask_end(&mask);
    assert_true(mask_try(&mask, "mask_int", "int8 -> int8", all, 2, MASK_SECRET));
    assert_true(int8_of(&mask, INT64_MIN) != int8_of(&mask, INT64_MAX));
    mask_end(&mask);
    assert_false(mask_try(&mask, "mask_int", "int4 -> int4", wrong, 2, MASK_SECRET));
    mask_end(&mask);
    assert_false(mask_try(&mask, "mask_int", "int4 -> int4", wrong, 1, MASK_SECRET));
    mask_end(&mask);
    assert_false(mask_try(&mask, "mask_int", "int2 -> int2", large, 2, MASK_SECRET));
    mask_end(&mask);
}

static void
ints_keep_their_digits(void **context)
{
    struct mask mask;
    uint64_t *hashes = malloc(MASK_MANY * sizeof *hashes);
    bool *seen = calloc(65536, 1);
    uint8_t bytes[2];

    (void)context;
    assert_true(mask_try(&mask, "mask_int", "int2 -> int2", NULL, 0, MASK_SECRET));
    for (int i = INT16_MIN; i <= INT16_MAX; i++) {
        char before[16];
        char after[16];
        ph_rule_put_i16(bytes, (int16_t)i);
        assert_int_equal(mask_bytes(&mask, bytes, 2), PH_RULE_OK);
        int got = ph_rule_get_i16(&mask.out);
        assert_false(seen[got + 32768]);
        seen[got + 32768] = true;
        assert_int_equal(snprintf(before, 16, "%d", i), snprintf(after, 16, "%d", got));
    }
    mask_end(&mask);
    assert_true(mask_try(&mask, "mask_int", "int8 -> int8", NULL, 0, MASK_SECRET));
    for (uint32_t i = 0; i < MASK_MANY; i++)
        hashes[i] = (uint64_t)int8_of(&mask, 1000000 + i);
    assert_int_equal(mask_repeats(hashes, MASK_MANY), 0);
    assert_true(int8_of(&mask, INT64_MIN) < -1000000000000000000);
    assert_true(int8_of(&mask, INT64_MAX) >= 1000000000000000000);
    mask_end(&mask);
    free(hashes);
    free(seen);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uuid_v5),
        cmocka_unit_test(uuids_stay_different),
        cmocka_unit_test(ints_within_a_range),
        cmocka_unit_test(ints_keep_their_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
