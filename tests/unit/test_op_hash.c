#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/hmac.h>

#include "mask_run.h"

static void
sha256(void **context)
{
    struct mask mask;

    (void)context;
    assert_true(mask_try(&mask, "sha256", "text -> text", NULL, 0, NULL));
    assert_string_equal(mask_text(&mask, "abc"),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(mask_text(&mask, ""),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    mask_end(&mask);
    assert_true(mask_try(&mask, "sha256", "bytea -> bytea", NULL, 0, NULL));
    assert_int_equal(mask_bytes(&mask, "abc", 3), PH_RULE_OK);
    assert_string_equal(mask_hex(&mask),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    mask_end(&mask);
}

static void
md5(void **context)
{
    struct mask mask;

    (void)context;
    assert_true(mask_try(&mask, "md5", "text -> text", NULL, 0, NULL));
    for (int i = 0; i < 2; i++)
        assert_string_equal(mask_text(&mask, "abc"), "900150983cd24fb0d6963f7d28e17f72");
    assert_string_equal(mask_text(&mask, ""), "d41d8cd98f00b204e9800998ecf8427e");
    mask_end(&mask);
}

/* RFC 4231 */
static void
hmac(void **context)
{
    char key[132];
    struct mask mask;

    (void)context;
    assert_true(mask_try(&mask, "hmac", "text -> text", NULL, 0, "Jefe"));
    assert_string_equal(mask_text(&mask, "what do ya want for nothing?"),
                        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    mask_end(&mask);
    memset(key, 0x0b, 20);
    key[20] = '\0';
    assert_true(mask_try(&mask, "hmac", "bytea -> bytea", NULL, 0, key));
    assert_int_equal(mask_bytes(&mask, "Hi There", 8), PH_RULE_OK);
    assert_string_equal(mask_hex(&mask),
                        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    mask_end(&mask);
    memset(key, 0xaa, 131);
    key[131] = '\0';
    assert_true(mask_try(&mask, "hmac", "bytea -> text", NULL, 0, key));
    assert_string_equal(mask_text(&mask, "Test Using Larger Than Block-Size Key - Hash Key First"),
                        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    mask_end(&mask);
}

/* Messages of one block take another way than longer ones. */
static void
hmac_of_all_lengths(void **context)
{
    struct mask mask;
    char message[200];

    (void)context;
    assert_true(mask_try(&mask, "hmac", "bytea -> bytea", NULL, 0, "Jefe"));
    for (size_t len = 1; len < sizeof message; len++) {
        uint8_t expected[32];
        memset(message, (int)('0' + len % 70), len);
        assert_non_null(
            HMAC(EVP_sha256(), "Jefe", 4, (const uint8_t *)message, len, expected, NULL));
        assert_int_equal(mask_bytes(&mask, message, len), PH_RULE_OK);
        assert_int_equal(mask.out.len, 32);
        assert_memory_equal(mask.out.data, expected, 32);
    }
    mask_end(&mask);
}

static void
hmac_length(void **context)
{
    const char *const half[] = {"32"};
    const char *const few[] = {"8"};
    const char *const none[] = {"0"};
    const char *const words[] = {"8 digits"};
    struct mask mask;

    (void)context;
    assert_true(mask_try(&mask, "hmac", "text -> text", half, 1, "Jefe"));
    assert_string_equal(mask_text(&mask, "what do ya want for nothing?"),
                        "5bdcc146bf60754e6a042426089575c7");
    mask_end(&mask);
    assert_false(mask_try(&mask, "hmac", "text -> text", few, 1, "Jefe"));
    assert_string_equal(mask.call.message, "a parameter is out of range");
    mask_end(&mask);
    assert_true(mask_try(&mask, "hmac_short", "text -> text", few, 1, "Jefe"));
    assert_string_equal(mask_text(&mask, "what do ya want for nothing?"), "5bdcc146");
    mask_end(&mask);
    assert_false(mask_try(&mask, "hmac_short", "text -> text", none, 1, "Jefe"));
    mask_end(&mask);
    assert_false(mask_try(&mask, "hmac_short", "text -> text", words, 1, "Jefe"));
    assert_string_equal(mask.call.message, "a parameter is not a whole number");
    mask_end(&mask);
}

static size_t
repeats_of_ints(const char *signature, uint32_t width)
{
    uint64_t *hashes = malloc(MASK_MANY * sizeof *hashes);
    struct mask mask;
    uint8_t bytes[8];

    assert_true(mask_try(&mask, "hash_int", signature, NULL, 0, MASK_SECRET));
    for (uint32_t i = 0; i < MASK_MANY; i++) {
        ph_store_u64(bytes, (uint64_t)i - 1000);
        assert_int_equal(mask_bytes(&mask, bytes + 8 - width, width), PH_RULE_OK);
        assert_int_equal(mask.out.len, width);
        hashes[i] = width == 4 ? ph_load_u32(mask.out.data) : ph_load_u64(mask.out.data);
    }
    mask_end(&mask);
    size_t repeats = mask_repeats(hashes, MASK_MANY);
    free(hashes);
    return repeats;
}

static void
ints_stay_different(void **context)
{
    struct mask mask;

    (void)context;
    assert_int_equal(repeats_of_ints("int4 -> int4", 4), 0);
    assert_int_equal(repeats_of_ints("int8 -> int8", 8), 0);
    assert_true(mask_try(&mask, "hash_int", "int8 -> int8", NULL, 0, MASK_SECRET));
    assert_int_equal(mask_bytes(&mask, "1234", 4), PH_RULE_BAD);
    mask_end(&mask);
}

/* What needs a secret says so, and another one gives other values. */
static void
secrets(void **context)
{
    (void)context;
    for (const struct ph_rule_family *family = ph_rule_families; family->name != NULL; family++) {
        for (uint32_t i = 0; i < family->n_ops; i++) {
            const struct ph_rule_op *op = &family->ops[i];
            struct mask mask;
            assert_non_null(op->name);
            if ((op->flags & PH_RULE_SECRET) == 0)
                continue;
            assert_false(mask_try(&mask, op->name, op->signature, NULL, 0, NULL));
            assert_string_not_equal(mask.call.message, "");
            mask_end(&mask);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256),      cmocka_unit_test(md5),
        cmocka_unit_test(hmac),        cmocka_unit_test(hmac_of_all_lengths),
        cmocka_unit_test(hmac_length), cmocka_unit_test(ints_stay_different),
        cmocka_unit_test(secrets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
