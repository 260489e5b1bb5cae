/*
 * What hashes and masks are made of: results, parameters, and the keyed function under the job's
 * secret that every mask draws from.
 *
 * Each operator has a key of its own, HMAC-SHA-256 of the secret under the operator's label, so
 * that no operator's result tells anything about another's, and the plain `hmac`, whose key is the
 * secret itself, can be made to compute none of them. Pure but for allocations; one thread's.
 */
#ifndef PH_RULES_MASK_PARTS_H
#define PH_RULES_MASK_PARTS_H

#include <openssl/sha.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "pghaul/rule.h"

#define PH_PRF_SIZE 32

/* HMAC-SHA-256 with its key schedule done: both hashes after the block that has the key. */
struct ph_prf {
    SHA256_CTX inner;
    SHA256_CTX outer;
};

void ph_prf_init(struct ph_prf *prf, struct ph_span key);
/* Under the operator's key. false: the job has no secret, message says so. */
bool ph_prf_init_label(struct ph_prf *prf, struct ph_rule_call *call, const char *label);
void ph_prf(const struct ph_prf *prf, struct ph_span data, uint8_t out[PH_PRF_SIZE]);
/* Of two parts, the first with its length, so that no other two give the same. */
void ph_prf_two(const struct ph_prf *prf, struct ph_span first, struct ph_span second,
                uint8_t out[PH_PRF_SIZE]);

void ph_sha256(struct ph_span data, uint8_t out[PH_PRF_SIZE]);

/* The operator's key: HMAC-SHA-256 with `label` as the key and the secret as the message. */
bool ph_mask_key(struct ph_rule_call *call, const char *label, uint8_t out[PH_PRF_SIZE]);

/* ---- an endless row of random numbers that a value stands for ---- */

struct ph_draw {
    const struct ph_prf *prf;
    uint8_t seed[PH_PRF_SIZE];
    uint64_t words[4];
    uint32_t n_used; /* of words, over all blocks */
    uint64_t pool;   /* what is left of the word that small numbers come from */
    uint64_t spent;  /* how many values it has given, as a product; 0: no word yet */
};

void ph_draw_init(struct ph_draw *draw, const struct ph_prf *prf, struct ph_span value);
void ph_draw_seed(struct ph_draw *draw, const struct ph_prf *prf, const uint8_t seed[PH_PRF_SIZE]);
uint64_t ph_draw_word(struct ph_draw *draw);
/* 0 to n - 1; 1 <= n <= 2^31. Several come from one word. */
uint32_t ph_draw_below(struct ph_draw *draw, uint32_t n);

/* ---- values and parameters ---- */

static inline struct ph_span
ph_mask_span(const struct ph_value *value)
{
    return (struct ph_span){value->data, value->len < 0 ? 0 : (size_t)value->len};
}

/* Room for a result of `len` bytes, which `out` becomes. NULL: no memory. */
static inline uint8_t *
ph_mask_room(struct ph_rule_call *call, size_t len, struct ph_value *out)
{
    uint8_t *bytes = len > INT32_MAX ? NULL : ph_rule_alloc(call, len + 1);

    if (bytes != NULL)
        *out = (struct ph_value){bytes, (int32_t)len};
    return bytes;
}

/* For `return ph_mask_refuse(call, "...")` in prepare. */
static inline bool
ph_mask_refuse(struct ph_rule_call *call, const char *why)
{
    (void)ph_rule_bad(call, why);
    return false;
}

/* NULL: it is not given. */
static inline const char *
ph_mask_param(const struct ph_rule_call *call, uint32_t i)
{
    return i < call->n_params ? call->params[i] : NULL;
}

/* A decimal integer; `out` stays as it is when it is not given. */
bool ph_mask_param_int(struct ph_rule_call *call, uint32_t i, int64_t least, int64_t most,
                       int64_t *out);

/* State in zeroed memory. NULL: none, message says so. */
void *ph_mask_state(struct ph_rule_call *call, size_t size);
/* `release` where the state is one block: it may hold keys and is wiped. */
void ph_mask_free(struct ph_rule_call *call, size_t size);

/* prepare, run and release of operators whose state is a struct ph_prf. */
bool ph_mask_prepare_prf(struct ph_rule_call *call, const char *label);
void ph_mask_release_prf(struct ph_rule_call *call);

/* Lower-case hex digits, the first n of them. */
void ph_mask_hex(const uint8_t *bytes, size_t n_digits, uint8_t *out);

#endif
