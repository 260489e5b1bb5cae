#include "rules/mask_aes.h"

#include <string.h>

#include "base/bytes.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define NATIVE __attribute__((target("aes,sse2")))

static bool
has_native(void)
{
    return __builtin_cpu_supports("aes") != 0;
}

/* The next round key (FIPS 197, 5.2); `word` has what KeyGenAssist made of the last one. */
NATIVE static __m128i
next_key(__m128i key, __m128i word)
{
    key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
    key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
    return _mm_xor_si128(key, _mm_shuffle_epi32(word, 0xff));
}

NATIVE static void
expand_native(struct ph_aes *aes, const uint8_t key[PH_AES_BLOCK])
{
    __m128i keys[PH_AES_ROUND_KEYS];

    memcpy(&keys[0], key, PH_AES_BLOCK);
/* the constant is part of the instruction */
#define EXPAND(i, constant)                                                                        \
    keys[i] = next_key(keys[(i)-1], _mm_aeskeygenassist_si128(keys[(i)-1], constant))
    EXPAND(1, 0x01);
    EXPAND(2, 0x02);
    EXPAND(3, 0x04);
    EXPAND(4, 0x08);
    EXPAND(5, 0x10);
    EXPAND(6, 0x20);
    EXPAND(7, 0x40);
    EXPAND(8, 0x80);
    EXPAND(9, 0x1b);
    EXPAND(10, 0x36);
#undef EXPAND
    memcpy(aes->keys, keys, sizeof aes->keys);
    explicit_bzero(keys, sizeof keys);
}

/* In registers all the way: a block that was just stored in halves cannot be loaded at once. */
NATIVE static uint64_t
word_native(const struct ph_aes *aes, uint64_t first, uint64_t second)
{
    const __m128i *keys = (const __m128i *)aes->keys;
    __m128i block =
        _mm_set_epi64x((int64_t)__builtin_bswap64(second), (int64_t)__builtin_bswap64(first));

    block = _mm_xor_si128(block, _mm_loadu_si128(&keys[0]));
    for (int i = 1; i < PH_AES_ROUND_KEYS - 1; i++)
        block = _mm_aesenc_si128(block, _mm_loadu_si128(&keys[i]));
    block = _mm_aesenclast_si128(block, _mm_loadu_si128(&keys[PH_AES_ROUND_KEYS - 1]));
    return __builtin_bswap64((uint64_t)_mm_cvtsi128_si64(block));
}
#else
static bool
has_native(void)
{
    return false;
}

static void
expand_native(struct ph_aes *aes, const uint8_t key[PH_AES_BLOCK])
{
    (void)aes;
    (void)key;
}

static uint64_t
word_native(const struct ph_aes *aes, uint64_t first, uint64_t second)
{
    (void)aes;
    return first ^ second;
}
#endif

bool
ph_aes_init(struct ph_aes *aes, const uint8_t key[PH_AES_BLOCK])
{
    if (!has_native())
        return ph_aes_init_evp(aes, key);
    aes->evp = NULL;
    expand_native(aes, key);
    return true;
}

bool
ph_aes_init_evp(struct ph_aes *aes, const uint8_t key[PH_AES_BLOCK])
{
    aes->evp = EVP_CIPHER_CTX_new();
    if (aes->evp != NULL && EVP_EncryptInit_ex(aes->evp, EVP_aes_128_ecb(), NULL, key, NULL) == 1 &&
        EVP_CIPHER_CTX_set_padding(aes->evp, 0) == 1)
        return true;
    ph_aes_free(aes);
    return false;
}

void
ph_aes_free(struct ph_aes *aes)
{
    EVP_CIPHER_CTX_free(aes->evp);
    aes->evp = NULL;
}

bool
ph_aes_word(const struct ph_aes *aes, uint64_t first, uint64_t second, uint64_t *out)
{
    uint8_t block[PH_AES_BLOCK];

    if (aes->evp == NULL) {
        *out = word_native(aes, first, second);
        return true;
    }
    ph_store_u64(block, first);
    ph_store_u64(block + 8, second);
    if (EVP_Cipher(aes->evp, block, block, sizeof block) <= 0)
        return false;
    *out = ph_load_u64(block);
    return true;
}
