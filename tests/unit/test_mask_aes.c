/* AES-128 by the processor's instructions and by libcrypto are one function. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "rules/mask_aes.h"

/* FIPS 197, C.1 */
static void
test_vector(void **state)
{
    uint8_t key[PH_AES_BLOCK];
    struct ph_aes aes[2];

    (void)state;
    for (uint8_t i = 0; i < sizeof key; i++)
        key[i] = i;
    assert_true(ph_aes_init(&aes[0], key));
    assert_true(ph_aes_init_evp(&aes[1], key));
    for (int i = 0; i < 2; i++) {
        uint64_t word;
        assert_true(ph_aes_word(&aes[i], UINT64_C(0x0011223344556677), UINT64_C(0x8899aabbccddeeff),
                                &word));
        assert_int_equal(word, UINT64_C(0x69c4e0d86a7b0430));
        ph_aes_free(&aes[i]);
    }
}

static void
test_both_ways(void **state)
{
    uint64_t seed[2] = {UINT64_C(0x9e3779b97f4a7c15), 1};

    (void)state;
    for (int keys = 0; keys < 200; keys++) {
        struct ph_aes native;
        struct ph_aes evp;
        uint8_t key[PH_AES_BLOCK];
        ph_store_u64(key, seed[0]);
        ph_store_u64(key + 8, seed[1]);
        assert_true(ph_aes_init(&native, key));
        assert_true(ph_aes_init_evp(&evp, key));
        for (int i = 0; i < 50; i++) {
            uint64_t words[2];
            assert_true(ph_aes_word(&native, seed[0], seed[1], &words[0]));
            assert_true(ph_aes_word(&evp, seed[0], seed[1], &words[1]));
            assert_int_equal(words[0], words[1]);
            seed[1] = seed[0] ^ (uint64_t)i;
            seed[0] = words[0];
        }
        ph_aes_free(&native);
        ph_aes_free(&evp);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector),
        cmocka_unit_test(test_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
