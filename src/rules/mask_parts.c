/*
 * The low-level SHA-256 of libcrypto is called deprecated there, and is used here all the same: a
 * copy of its state is 112 bytes, where one of an EVP context allocates twice for every value.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "rules/mask_parts.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#define BLOCK 64
#define SHORT_MAX (BLOCK - 9) /* bytes that fit into one block with the padding of SHA-256 */

void
ph_sha256(struct ph_span data, uint8_t out[PH_PRF_SIZE])
{
    SHA256_CTX hash;

    SHA256_Init(&hash);
    SHA256_Update(&hash, data.data, data.len);
    SHA256_Final(out, &hash);
}

void
ph_prf_init(struct ph_prf *prf, struct ph_span key)
{
    uint8_t padded[BLOCK] = {0};

    if (key.len > BLOCK)
        ph_sha256(key, padded);
    else if (key.len > 0)
        memcpy(padded, key.data, key.len);
    for (size_t i = 0; i < BLOCK; i++)
        padded[i] ^= 0x36;
    SHA256_Init(&prf->inner);
    SHA256_Update(&prf->inner, padded, BLOCK);
    for (size_t i = 0; i < BLOCK; i++)
        padded[i] ^= 0x36 ^ 0x5c;
    SHA256_Init(&prf->outer);
    SHA256_Update(&prf->outer, padded, BLOCK);
    OPENSSL_cleanse(padded, sizeof padded);
}

static void
finish(const struct ph_prf *prf, SHA256_CTX *hash, uint8_t out[PH_PRF_SIZE])
{
    uint8_t inner[PH_PRF_SIZE];

    SHA256_Final(inner, hash);
    *hash = prf->outer;
    SHA256_Update(hash, inner, sizeof inner);
    SHA256_Final(out, hash);
}

/* The hash `after` one block more, the last one: `len` bytes and room for the padding. */
static void
finish_block(const SHA256_CTX *after, uint8_t block[BLOCK], size_t len, uint8_t out[PH_PRF_SIZE])
{
    SHA256_CTX hash;

    memcpy(hash.h, after->h, sizeof hash.h);
    block[len] = 0x80;
    memset(block + len + 1, 0, SHORT_MAX - len);
    ph_store_u64(block + BLOCK - 8, (BLOCK + len) * 8);
    SHA256_Transform(&hash, block);
    for (size_t i = 0; i < 8; i++)
        ph_store_u32(out + 4 * i, hash.h[i]);
}

/* Of a short message that lies in `block`. Update and Final would take half as long as the hashing
 * itself, and most values are short. */
static void
run_short(const struct ph_prf *prf, uint8_t block[BLOCK], size_t len, uint8_t out[PH_PRF_SIZE])
{
    finish_block(&prf->inner, block, len, block);
    finish_block(&prf->outer, block, PH_PRF_SIZE, out);
}

void
ph_prf(const struct ph_prf *prf, struct ph_span data, uint8_t out[PH_PRF_SIZE])
{
    if (data.len <= SHORT_MAX) {
        uint8_t block[BLOCK];
        if (data.len > 0)
            memcpy(block, data.data, data.len);
        run_short(prf, block, data.len, out);
        return;
    }
    SHA256_CTX hash = prf->inner;
    SHA256_Update(&hash, data.data, data.len);
    finish(prf, &hash, out);
}

void
ph_prf_two(const struct ph_prf *prf, struct ph_span first, struct ph_span second,
           uint8_t out[PH_PRF_SIZE])
{
    uint8_t block[BLOCK];

    ph_store_u64(block, first.len);
    if (8 + first.len + second.len <= SHORT_MAX) {
        if (first.len > 0)
            memcpy(block + 8, first.data, first.len);
        if (second.len > 0)
            memcpy(block + 8 + first.len, second.data, second.len);
        run_short(prf, block, 8 + first.len + second.len, out);
        return;
    }
    SHA256_CTX hash = prf->inner;
    SHA256_Update(&hash, block, 8);
    SHA256_Update(&hash, first.data, first.len);
    SHA256_Update(&hash, second.data, second.len);
    finish(prf, &hash, out);
}

bool
ph_mask_key(struct ph_rule_call *call, const char *label, uint8_t out[PH_PRF_SIZE])
{
    struct ph_prf prf;

    if (call->secret == NULL || call->secret_len == 0)
        return ph_mask_refuse(call, "needs the job's secret");
    ph_prf_init(&prf, (struct ph_span){(const uint8_t *)label, strlen(label)});
    ph_prf(&prf, (struct ph_span){call->secret, call->secret_len}, out);
    return true;
}

bool
ph_prf_init_label(struct ph_prf *prf, struct ph_rule_call *call, const char *label)
{
    uint8_t key[PH_PRF_SIZE];

    if (!ph_mask_key(call, label, key))
        return false;
    ph_prf_init(prf, (struct ph_span){key, sizeof key});
    OPENSSL_cleanse(key, sizeof key);
    return true;
}

void
ph_draw_seed(struct ph_draw *draw, const struct ph_prf *prf, const uint8_t seed[PH_PRF_SIZE])
{
    draw->prf = prf;
    memcpy(draw->seed, seed, PH_PRF_SIZE);
    for (size_t i = 0; i < 4; i++)
        draw->words[i] = ph_load_u64(seed + 8 * i);
    draw->n_used = 0;
    draw->pool = 0;
    draw->spent = 0;
}

void
ph_draw_init(struct ph_draw *draw, const struct ph_prf *prf, struct ph_span value)
{
    uint8_t seed[PH_PRF_SIZE];

    ph_prf(prf, value, seed);
    ph_draw_seed(draw, prf, seed);
}

uint64_t
ph_draw_word(struct ph_draw *draw)
{
    if (draw->n_used > 0 && draw->n_used % 4 == 0) {
        uint8_t message[PH_PRF_SIZE + 4];
        uint8_t block[PH_PRF_SIZE];
        memcpy(message, draw->seed, PH_PRF_SIZE);
        ph_store_u32(message + PH_PRF_SIZE, draw->n_used / 4);
        ph_prf(draw->prf, (struct ph_span){message, sizeof message}, block);
        for (size_t i = 0; i < 4; i++)
            draw->words[i] = ph_load_u64(block + 8 * i);
    }
    return draw->words[draw->n_used++ % 4];
}

/* The word is read as a fraction: its product with n has the number above the point, and what is
 * left below it serves the next, until fewer than 32 bits are left. */
uint32_t
ph_draw_below(struct ph_draw *draw, uint32_t n)
{
    if (draw->spent == 0 || draw->spent > UINT32_MAX / n) {
        draw->pool = ph_draw_word(draw);
        draw->spent = 1;
    }
    unsigned __int128 product = (unsigned __int128)draw->pool * n;
    draw->pool = (uint64_t)product;
    draw->spent *= n;
    return (uint32_t)(product >> 64);
}

bool
ph_mask_param_int(struct ph_rule_call *call, uint32_t i, int64_t least, int64_t most, int64_t *out)
{
    const char *text = ph_mask_param(call, i);
    char *end;

    if (text == NULL)
        return true;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0)
        return ph_mask_refuse(call, "a parameter is not a whole number");
    if (value < least || value > most)
        return ph_mask_refuse(call, "a parameter is out of range");
    *out = value;
    return true;
}

void *
ph_mask_state(struct ph_rule_call *call, size_t size)
{
    call->state = calloc(1, size);
    if (call->state == NULL)
        ph_mask_refuse(call, "out of memory");
    return call->state;
}

void
ph_mask_free(struct ph_rule_call *call, size_t size)
{
    if (call->state != NULL)
        OPENSSL_cleanse(call->state, size);
    free(call->state);
    call->state = NULL;
}

bool
ph_mask_prepare_prf(struct ph_rule_call *call, const char *label)
{
    struct ph_prf *prf = ph_mask_state(call, sizeof *prf);

    if (prf == NULL)
        return false;
    if (ph_prf_init_label(prf, call, label))
        return true;
    ph_mask_free(call, sizeof *prf);
    return false;
}

void
ph_mask_release_prf(struct ph_rule_call *call)
{
    ph_mask_free(call, sizeof(struct ph_prf));
}

void
ph_mask_hex(const uint8_t *bytes, size_t n_digits, uint8_t *out)
{
    for (size_t i = 0; i < n_digits; i++)
        out[i] = (uint8_t) "0123456789abcdef"[i % 2 == 0 ? bytes[i / 2] >> 4 : bytes[i / 2] & 15];
}
