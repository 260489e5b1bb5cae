#include "rules/mask_perm.h"

#include <math.h>
#include <openssl/crypto.h>

#define ROUNDS 10
#define STRING_ROUNDS 8

static bool
begin_aes(struct ph_perm *perm, struct ph_rule_call *call, const char *label)
{
    uint8_t key[PH_PRF_SIZE];

    bool ok = ph_mask_key(call, label, key) && ph_aes_init(&perm->aes, key);
    OPENSSL_cleanse(key, sizeof key);
    return ok;
}

bool
ph_perm_init(struct ph_perm *perm, struct ph_rule_call *call, const char *label)
{
    if (!ph_prf_init_label(&perm->prf, call, label))
        return false;
    if (begin_aes(perm, call, label))
        return true;
    ph_perm_free(perm);
    return ph_mask_refuse(call, "libcrypto does not do AES-128");
}

void
ph_perm_free(struct ph_perm *perm)
{
    ph_aes_free(&perm->aes);
}

bool
ph_mask_prepare_perm(struct ph_rule_call *call, const char *label)
{
    struct ph_perm *perm = ph_mask_state(call, sizeof *perm);

    if (perm == NULL)
        return false;
    if (ph_perm_init(perm, call, label))
        return true;
    ph_mask_free(call, sizeof *perm);
    return false;
}

void
ph_mask_release_perm(struct ph_rule_call *call)
{
    if (call->state != NULL)
        ph_perm_free(call->state);
    ph_mask_free(call, sizeof(struct ph_perm));
}

/* *to += F(from) modulo n */
static bool
add(const struct ph_perm *perm, uint64_t place, uint64_t from, uint64_t n, uint64_t *to)
{
    uint64_t f;

    if (!ph_aes_word(&perm->aes, place, from, &f))
        return false;
    if (n == 0) {
        *to += f;
        return true;
    }
    *to += (uint64_t)((unsigned __int128)f * n >> 64); /* F as a fraction of n */
    if (*to >= n)
        *to -= n;
    return true;
}

bool
ph_perm_pair(const struct ph_perm *perm, uint64_t tweak, uint64_t n_left, uint64_t n_right,
             uint64_t pair[2])
{
    for (uint64_t round = 0; round < ROUNDS; round += 2) {
        if (!add(perm, tweak << 8 | round, pair[1], n_left, &pair[0]) ||
            !add(perm, tweak << 8 | (round + 1), pair[0], n_right, &pair[1]))
            return false;
    }
    return true;
}

/* The least s with s * s >= n; 0 is 2^64. */
static uint64_t
root_above(uint64_t n)
{
    if (n == 0)
        return UINT64_C(1) << 32;
    uint64_t s = (uint64_t)sqrt((double)n);
    while (s > 0 && (unsigned __int128)(s - 1) * (s - 1) >= n)
        s--;
    while ((unsigned __int128)s * s < n)
        s++;
    return s;
}

bool
ph_perm_below(const struct ph_perm *perm, uint64_t tweak, uint64_t n, uint64_t *value)
{
    uint64_t n_left = root_above(n);
    uint64_t n_right = n == 0 ? n_left : (n - 1) / n_left + 1;
    uint64_t mixed = 0;

    if (n == 1)
        return true;
    /* permutations of different sizes have nothing in common */
    if (!add(perm, tweak << 8 | 255, n, 0, &mixed))
        return false;
    tweak = mixed >> 8;
    do {
        uint64_t pair[2] = {*value / n_right, *value % n_right};
        if (!ph_perm_pair(perm, tweak, n_left, n_right, pair))
            return false;
        *value = pair[0] * n_right + pair[1];
    } while (n != 0 && *value >= n);
    return true;
}

/* Both as one number, when all of them are below 2^63. */
static bool
as_number(const uint32_t *places, const uint32_t *radix, size_t n, uint64_t *value, uint64_t *size)
{
    *value = 0;
    *size = 1;
    for (size_t i = 0; i < n; i++) {
        if (__builtin_mul_overflow(*size, radix[i], size) || *size > UINT64_C(1) << 63)
            return false;
        *value = *value * radix[i] + places[i];
    }
    return true;
}

/* The places from `to` on get F of those from `from` on added. */
static void
add_places(const struct ph_perm *perm, uint8_t *message, size_t n_from, const uint32_t *from,
           size_t n_to, uint32_t *to, const uint32_t *radix)
{
    struct ph_draw draw;

    for (size_t i = 0; i < n_from; i++)
        ph_store_u16(message + 9 + 2 * i, (uint16_t)from[i]);
    ph_draw_init(&draw, &perm->prf, (struct ph_span){message, 9 + 2 * n_from});
    for (size_t i = 0; i < n_to; i++)
        to[i] = (to[i] + ph_draw_below(&draw, radix[i])) % radix[i];
}

static enum ph_rule_result
permute_long(const struct ph_perm *perm, struct ph_rule_call *call, uint32_t *places,
             const uint32_t *radix, size_t n)
{
    size_t half = n / 2;
    uint8_t *message = ph_rule_alloc(call, 9 + 2 * (n - half));

    if (message == NULL)
        return PH_RULE_NO_MEMORY;
    ph_store_u64(message + 1, n);
    for (uint8_t round = 0; round < STRING_ROUNDS; round += 2) {
        message[0] = round;
        add_places(perm, message, n - half, places + half, half, places, radix);
        message[0] = (uint8_t)(round + 1);
        add_places(perm, message, half, places, n - half, places + half, radix + half);
    }
    return PH_RULE_OK;
}

enum ph_rule_result
ph_perm_places(const struct ph_perm *perm, struct ph_rule_call *call, uint32_t *places,
               const uint32_t *radix, size_t n)
{
    uint64_t value;
    uint64_t size;

    if (!as_number(places, radix, n, &value, &size))
        return permute_long(perm, call, places, radix, n);
    if (!ph_perm_below(perm, 0, size, &value))
        return ph_rule_bad(call, "AES failed");
    for (size_t i = n; i-- > 0;) {
        places[i] = (uint32_t)(value % radix[i]);
        value /= radix[i];
    }
    return PH_RULE_OK;
}
