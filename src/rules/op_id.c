/*
 * Ids made of others: UUIDs by name, and permutations under the secret, so that keys stay unique
 * and references to them, through the same operator, stay references.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "rules/mask_families.h"
#include "rules/mask_perm.h"

#define UUID_SIZE 16
#define SHA1_SIZE 20

/* ---- uuid_v5: RFC 4122, SHA-1 of namespace and name ---- */

struct uuid_v5 {
    EVP_MD *type;
    EVP_MD_CTX *context;
    uint8_t namespace[UUID_SIZE];
};

static void
release_uuid_v5(struct ph_rule_call *call)
{
    struct uuid_v5 *state = call->state;

    if (state == NULL)
        return;
    EVP_MD_CTX_free(state->context);
    EVP_MD_free(state->type);
    ph_mask_free(call, sizeof *state);
}

static bool
parse_uuid(const char *text, uint8_t out[UUID_SIZE])
{
    size_t n = 0;

    for (size_t i = 0; text[i] != '\0'; i++) {
        const char *digits = "0123456789abcdef";
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i] != '-')
                return false;
            continue;
        }
        char c = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] + 32) : text[i];
        const char *at = strchr(digits, c);
        if (at == NULL || n == (size_t)2 * UUID_SIZE)
            return false;
        out[n / 2] = (uint8_t)(out[n / 2] << 4 | (at - digits));
        n++;
    }
    return n == (size_t)2 * UUID_SIZE;
}

static bool
parse_namespace(const char *text, uint8_t out[UUID_SIZE])
{
    static const char *const names[] = {"dns", "url", "oid", "x500"};
    static const uint8_t last[] = {0x10, 0x11, 0x12, 0x14};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            bool ok = parse_uuid("6ba7b800-9dad-11d1-80b4-00c04fd430c8", out);
            out[3] = last[i];
            return ok;
        }
    }
    return parse_uuid(text, out);
}

static bool
prepare_uuid_v5(struct ph_rule_call *call)
{
    struct uuid_v5 *state = ph_mask_state(call, sizeof *state);
    const char *namespace = ph_mask_param(call, 0);

    if (state == NULL)
        return false;
    if (namespace == NULL || !parse_namespace(namespace, state->namespace)) {
        release_uuid_v5(call);
        return ph_mask_refuse(call, "the namespace is dns, url, oid, x500 or a uuid");
    }
    state->type = EVP_MD_fetch(NULL, "SHA1", NULL);
    state->context = EVP_MD_CTX_new();
    if (state->type != NULL && state->context != NULL)
        return true;
    release_uuid_v5(call);
    return ph_mask_refuse(call, "libcrypto does not do SHA-1");
}

static enum ph_rule_result
uuid_v5_of(struct ph_rule_call *call, struct ph_span name, struct ph_value *out)
{
    const struct uuid_v5 *state = call->state;
    uint8_t hash[EVP_MAX_MD_SIZE];
    uint8_t *uuid = ph_mask_room(call, UUID_SIZE, out);

    if (uuid == NULL)
        return PH_RULE_NO_MEMORY;
    if (EVP_DigestInit_ex(state->context, state->type, NULL) != 1 ||
        EVP_DigestUpdate(state->context, state->namespace, UUID_SIZE) != 1 ||
        EVP_DigestUpdate(state->context, name.data, name.len) != 1 ||
        EVP_DigestFinal_ex(state->context, hash, NULL) != 1)
        return ph_rule_bad(call, "SHA-1 failed");
    memcpy(uuid, hash, UUID_SIZE);
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x50);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
    return PH_RULE_OK;
}

static enum ph_rule_result
uuid_v5_text(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    return uuid_v5_of(call, ph_mask_span(&args[0]), out);
}

/* An integer's name is its decimal text. */
static enum ph_rule_result
uuid_v5_int(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    char text[24];

    if (args[0].len != 4 && args[0].len != 8)
        return ph_rule_bad(call, "not an integer");
    int64_t value = args[0].len == 4 ? ph_rule_get_i32(&args[0]) : ph_rule_get_i64(&args[0]);
    int len = snprintf(text, sizeof text, "%lld", (long long)value);
    return uuid_v5_of(call, (struct ph_span){(const uint8_t *)text, (size_t)len}, out);
}

/* ---- mask_uuid: the 122 bits that are not version and variant, which stay ---- */

static bool
prepare_uuid(struct ph_rule_call *call)
{
    return ph_mask_prepare_perm(call, "pghaul mask_uuid");
}

static enum ph_rule_result
mask_uuid(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const uint64_t low_12 = 0xfff;
    const uint64_t low_61 = (UINT64_C(1) << 61) - 1;

    if (args[0].len != UUID_SIZE)
        return ph_rule_bad(call, "not a uuid");
    uint64_t high = ph_load_u64(args[0].data);
    uint64_t low = ph_load_u64(args[0].data + 8);
    uint8_t *uuid = ph_mask_room(call, UUID_SIZE, out);
    if (uuid == NULL)
        return PH_RULE_NO_MEMORY;
    uint64_t version = high >> 12 & 0xf;
    uint64_t variant = low >> 62;
    /* 48 bits, 12 bits and the highest of the 62 behind the variant; the other 61 */
    uint64_t pair[2] = {(high >> 16) << 13 | (high & low_12) << 1 | (low >> 61 & 1), low & low_61};
    if (!ph_perm_pair(call->state, version << 2 | variant, low_61 + 1, low_61 + 1, pair))
        return ph_rule_bad(call, "AES failed");
    ph_store_u64(uuid, pair[0] >> 13 << 16 | version << 12 | (pair[0] >> 1 & low_12));
    ph_store_u64(uuid + 8, variant << 62 | (pair[0] & 1) << 61 | pair[1]);
    return PH_RULE_OK;
}

/* ---- mask_int: within low and high, or among numbers of as many digits and the same sign ---- */

struct mask_int {
    struct ph_perm perm;
    bool has_range;
    int64_t low;
    int64_t high;
};

static void
release_int(struct ph_rule_call *call)
{
    struct mask_int *state = call->state;

    if (state != NULL)
        ph_perm_free(&state->perm);
    ph_mask_free(call, sizeof *state);
}

static bool
prepare_int(struct ph_rule_call *call, int64_t least, int64_t most)
{
    struct mask_int *state = ph_mask_state(call, sizeof *state);

    if (state == NULL)
        return false;
    state->has_range = call->n_params == 2;
    bool ok = call->n_params == 0 || call->n_params == 2
                  ? ph_mask_param_int(call, 0, least, most, &state->low) &&
                        ph_mask_param_int(call, 1, least, most, &state->high)
                  : ph_mask_refuse(call, "takes low and high, or neither");
    if (ok && state->low > state->high)
        ok = ph_mask_refuse(call, "low is above high");
    if (ok && ph_perm_init(&state->perm, call, "pghaul mask_int"))
        return true;
    release_int(call);
    return false;
}

static bool
prepare_int2(struct ph_rule_call *call)
{
    return prepare_int(call, INT16_MIN, INT16_MAX);
}

static bool
prepare_int4(struct ph_rule_call *call)
{
    return prepare_int(call, INT32_MIN, INT32_MAX);
}

static bool
prepare_int8(struct ph_rule_call *call)
{
    return prepare_int(call, INT64_MIN, INT64_MAX);
}

/* The numbers from *low to *high that have as many digits as `value` has; `most` bounds them. */
static void
digits_range(uint64_t value, uint64_t most, uint64_t *low, uint64_t *high)
{
    *low = 0;
    *high = 9;
    while (*high < value) {
        *low = *high + 1;
        *high = *high > most / 10 ? most : *high * 10 + 9;
    }
    if (*high > most)
        *high = most;
}

static enum ph_rule_result
permute_int(struct ph_rule_call *call, int64_t value, uint64_t most, int64_t *result)
{
    const struct mask_int *state = call->state;
    uint64_t low = (uint64_t)state->low;
    uint64_t high = (uint64_t)state->high;
    bool negative = value < 0 && !state->has_range;
    uint64_t number = negative ? -(uint64_t)value : (uint64_t)value;

    if (state->has_range && (value < state->low || value > state->high))
        return ph_rule_bad(call, "outside of low and high");
    if (!state->has_range)
        digits_range(number, negative ? most + 1 : most, &low, &high);
    if (negative && low == 0) /* there is no other zero to become */
        low = 1;
    number -= low;
    if (!ph_perm_below(&state->perm, negative, high - low + 1, &number))
        return ph_rule_bad(call, "AES failed");
    number += low;
    *result = (int64_t)(negative ? -number : number);
    return PH_RULE_OK;
}

static enum ph_rule_result
mask_int(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    int32_t width = args[0].len;
    int64_t value;

    if (width != 2 && width != 4 && width != 8)
        return ph_rule_bad(call, "not an integer");
    if (width == 8)
        value = ph_rule_get_i64(&args[0]);
    else
        value = width == 4 ? ph_rule_get_i32(&args[0]) : ph_rule_get_i16(&args[0]);
    uint64_t most = UINT64_MAX >> (65 - 8 * width);
    enum ph_rule_result rc = permute_int(call, value, most, &value);
    if (rc != PH_RULE_OK)
        return rc;
    uint8_t *bytes = ph_mask_room(call, 8, out);
    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    ph_store_u64(bytes, (uint64_t)value);
    *out = (struct ph_value){bytes + 8 - width, width};
    return PH_RULE_OK;
}

#define V5 (PH_RULE_INJECTIVE | PH_RULE_MAY_BAD)
#define MASK (PH_RULE_INJECTIVE | PH_RULE_MAY_BAD | PH_RULE_SECRET | PH_RULE_MASK)
#define V5_ROW(type, run)                                                                          \
    {                                                                                              \
        "uuid_v5", #type " -> uuid", "namespace", V5, run, prepare_uuid_v5, release_uuid_v5,       \
            "the uuid of that name in a namespace: dns, url, oid, x500 or a uuid"                  \
    }
#define INT_ROW(type)                                                                              \
    {                                                                                              \
        "mask_int", #type " -> " #type, "low?, high?", MASK, mask_int, prepare_##type,             \
            release_int, "another number of as many digits, or between low and high"               \
    }

const struct ph_rule_op ph_id_ops[PH_ID_OPS] = {
    V5_ROW(text, uuid_v5_text),
    V5_ROW(int4, uuid_v5_int),
    V5_ROW(int8, uuid_v5_int),
    {"mask_uuid", "uuid -> uuid", NULL, MASK, mask_uuid, prepare_uuid, ph_mask_release_perm,
     "another uuid of the same version"},
    INT_ROW(int2),
    INT_ROW(int4),
    INT_ROW(int8),
};
