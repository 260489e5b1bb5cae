#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mask_run.h"

#include <crypt.h>
#include <openssl/evp.h>

static const struct ph_value row_1 = {(const uint8_t *)"\0\0\0\4\0\0\0\1", 8};
static const struct ph_value row_2 = {(const uint8_t *)"\0\0\0\4\0\0\0\2", 8};
static const char *const quick[] = {"4"};

static void
bcrypt(void **context)
{
    struct crypt_data scratch = {.input = {0}};
    struct mask mask;
    char first[512];

    (void)context;
    assert_true(mask_try(&mask, "bcrypt", "text -> text", quick, 1, MASK_SECRET));
    assert_string_equal(mask_text(&mask, "pw"), "<bad: the row has no key>");
    mask.run.call.row_key = row_1;
    snprintf(first, sizeof first, "%s", mask_text(&mask, "pässword"));
    assert_memory_equal(first, "$2a$04$", 7);
    assert_string_equal(crypt_rn("pässword", first, &scratch, sizeof scratch), first);
    assert_string_equal(mask_text(&mask, "pässword"), first);
    mask.run.call.row_key = row_2;
    assert_string_not_equal(mask_text(&mask, "pässword"), first);
    assert_memory_equal(mask_text(&mask, ""), "$2a$04$", 7);
    mask_end(&mask);
    assert_true(mask_try(&mask, "bcrypt", "text -> text", quick, 1, "another"));
    mask.run.call.row_key = row_1;
    assert_string_not_equal(mask_text(&mask, "pässword"), first);
    mask_end(&mask);
    assert_true(mask_try(&mask, "bcrypt", "text -> text", NULL, 0, MASK_SECRET));
    mask.run.call.row_key = row_1;
    assert_memory_equal(mask_text(&mask, "pw"), "$2a$10$", 7);
    mask_end(&mask);
}

static void
hashes_are_kept(void **context)
{
    static const char *const kept[] = {
        "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
        "$2b$12$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
        "$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
        "$1$O3JMY.Tw$AdLnLjQ/5jXF9.MTp3gHv/",
        "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI68OTLiBFdcbYEdFCoEO"
        "faS35inz1",
        "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$RdescudvJCsgt3ub+b7daw",
    };
    static const char *const hashed[] = {
        "$2a$10$short",
        "$1$abc",
        "$6$ is not a hash $ but a password $ with blanks",
        "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lh y",
        "hello$1$O3JMY.Tw$AdLnLjQ/5jXF9.MTp3gHv/",
    };
    struct mask mask;

    (void)context;
    assert_true(mask_try(&mask, "bcrypt", "text -> text", quick, 1, MASK_SECRET));
    mask.run.call.row_key = row_1;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        assert_string_equal(mask_text(&mask, kept[i]), kept[i]);
    for (size_t i = 0; i < sizeof hashed / sizeof hashed[0]; i++)
        assert_memory_equal(mask_text(&mask, hashed[i]), "$2a$04$", 7);
    assert_int_equal(mask_bytes(&mask, "a\0b", 3), PH_RULE_BAD);
    mask_end(&mask);
}

static void
bcrypt_cost(void **context)
{
    const char *const low[] = {"3"};
    struct mask mask;

    (void)context;
    assert_false(mask_try(&mask, "bcrypt", "text -> text", low, 1, MASK_SECRET));
    assert_string_equal(mask.run.call.message, "a parameter is out of range");
    mask_end(&mask);
}

/* Into `text`, which is large enough; its length, -1 when the padding is wrong. */
static int
decrypt(const uint8_t *value, int len, const uint8_t key[32], uint8_t *text)
{
    EVP_CIPHER_CTX *aes = EVP_CIPHER_CTX_new();
    int n = 0;
    int rest = 0;
    bool ok = EVP_DecryptInit_ex(aes, EVP_aes_256_cbc(), NULL, key, value) == 1 &&
              EVP_DecryptUpdate(aes, text, &n, value + 16, len - 16) == 1 &&
              EVP_DecryptFinal_ex(aes, text + n, &rest) == 1;

    EVP_CIPHER_CTX_free(aes);
    return ok ? n + rest : -1;
}

#define KEY_HEX "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
static const uint8_t key_bytes[] = {
    0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81,
    0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4};

static void
encrypt(void **context)
{
    const char *const env[] = {"env:PH_TEST_KEY"};
    static const char plain[] = "sixteen bytes 16sixteen bytes 16!";
    uint8_t first[80];
    uint8_t text[80];
    struct mask mask;

    (void)context;
    setenv("PH_TEST_KEY", KEY_HEX, 1);
    assert_true(mask_try(&mask, "encrypt", "text -> bytea", env, 1, MASK_SECRET));
    assert_int_equal(mask_bytes(&mask, "x", 1), PH_RULE_BAD);
    mask.run.call.row_key = row_1;
    for (int len = 0; len <= 33; len++) {
        assert_int_equal(mask_bytes(&mask, plain, (size_t)len), PH_RULE_OK);
        assert_int_equal(mask.out.len, 16 + (len / 16 + 1) * 16);
        assert_int_equal(decrypt(mask.out.data, mask.out.len, key_bytes, text), len);
        assert_memory_equal(text, plain, len);
    }
    assert_int_equal(mask.out.len, 64);
    memcpy(first, mask.out.data, 64);
    mask_bytes(&mask, plain, 33);
    assert_memory_equal(first, mask.out.data, 64);
    mask.run.call.row_key = row_2;
    mask_bytes(&mask, plain, 33);
    assert_memory_not_equal(first, mask.out.data, 16);
    mask_end(&mask);
}

/* Key and secret tell nothing of one another in the result: both change it. */
static void
encrypt_keys(void **context)
{
    const char *const env[] = {"env:PH_TEST_KEY"};
    const char *const word[] = {"sesame"};
    struct mask mask;
    char first[512];

    (void)context;
    assert_true(mask_try(&mask, "encrypt", "text -> text", NULL, 0, MASK_SECRET));
    mask.run.call.row_key = row_1;
    snprintf(first, sizeof first, "%s", mask_text(&mask, "plain"));
    assert_int_equal(strlen(first), 44);
    mask_end(&mask);
    assert_true(mask_try(&mask, "encrypt", "text -> text", NULL, 0, "another"));
    mask.run.call.row_key = row_1;
    assert_string_not_equal(mask_text(&mask, "plain"), first);
    mask_end(&mask);
    setenv("PH_TEST_KEY", KEY_HEX "00", 1);
    assert_false(mask_try(&mask, "encrypt", "text -> text", env, 1, MASK_SECRET));
    mask_end(&mask);
    setenv("PH_TEST_KEY", "x", 1);
    assert_false(mask_try(&mask, "encrypt", "text -> text", env, 1, MASK_SECRET));
    mask_end(&mask);
    assert_false(mask_try(&mask, "encrypt", "text -> text", word, 1, MASK_SECRET));
    assert_string_equal(mask.run.call.message, "the key's parameter is env:NAME");
    mask_end(&mask);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bcrypt),  cmocka_unit_test(hashes_are_kept), cmocka_unit_test(bcrypt_cost),
        cmocka_unit_test(encrypt), cmocka_unit_test(encrypt_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
