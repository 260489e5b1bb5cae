/*
 * Hashes: of what everybody can compute again, and of what only who has the secret can.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "rules/mask_families.h"
#include "rules/mask_perm.h"

#define HEX_DIGITS ((size_t)2 * PH_PRF_SIZE)
#define MD5_SIZE 16

static enum ph_rule_result
give_hex(struct ph_rule_call *call, const uint8_t *hash, size_t n_digits, struct ph_value *out)
{
    uint8_t *text = ph_mask_room(call, n_digits, out);

    if (text == NULL)
        return PH_RULE_NO_MEMORY;
    ph_mask_hex(hash, n_digits, text);
    return PH_RULE_OK;
}

static enum ph_rule_result
sha256_hex(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    uint8_t hash[PH_PRF_SIZE];

    ph_sha256(ph_mask_span(&args[0]), hash);
    return give_hex(call, hash, HEX_DIGITS, out);
}

static enum ph_rule_result
sha256_bytes(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    uint8_t *hash = ph_mask_room(call, PH_PRF_SIZE, out);

    if (hash == NULL)
        return PH_RULE_NO_MEMORY;
    ph_sha256(ph_mask_span(&args[0]), hash);
    return PH_RULE_OK;
}

/* ---- md5 ---- */

struct md5 {
    EVP_MD *type;
    EVP_MD_CTX *context;
};

static void
release_md5(struct ph_rule_call *call)
{
    struct md5 *md5 = call->state;

    if (md5 == NULL)
        return;
    EVP_MD_CTX_free(md5->context);
    EVP_MD_free(md5->type);
    ph_mask_free(call, sizeof *md5);
}

static bool
prepare_md5(struct ph_rule_call *call)
{
    struct md5 *md5 = ph_mask_state(call, sizeof *md5);

    if (md5 == NULL)
        return false;
    md5->type = EVP_MD_fetch(NULL, "MD5", NULL);
    md5->context = EVP_MD_CTX_new();
    if (md5->type != NULL && md5->context != NULL)
        return true;
    release_md5(call);
    return ph_mask_refuse(call, "libcrypto does not do MD5");
}

static enum ph_rule_result
md5_hex(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct md5 *md5 = call->state;
    struct ph_span in = ph_mask_span(&args[0]);
    uint8_t hash[EVP_MAX_MD_SIZE];

    if (EVP_DigestInit_ex(md5->context, md5->type, NULL) != 1 ||
        EVP_DigestUpdate(md5->context, in.data, in.len) != 1 ||
        EVP_DigestFinal_ex(md5->context, hash, NULL) != 1)
        return ph_rule_bad(call, "MD5 failed");
    return give_hex(call, hash, (size_t)2 * MD5_SIZE, out);
}

/* ---- hmac: the key is the secret itself, as in pgcrypto's hmac(value, secret, 'sha256') ---- */

struct hmac {
    struct ph_prf prf;
    int64_t n_digits;
};

static bool
prepare_hmac(struct ph_rule_call *call, int64_t least)
{
    if (call->secret == NULL || call->secret_len == 0)
        return ph_mask_refuse(call, "needs the job's secret");
    struct hmac *hmac = ph_mask_state(call, sizeof *hmac);
    if (hmac == NULL)
        return false;
    hmac->n_digits = (int64_t)HEX_DIGITS;
    if (!ph_mask_param_int(call, 0, least, (int64_t)HEX_DIGITS, &hmac->n_digits)) {
        ph_mask_free(call, sizeof *hmac);
        return false;
    }
    ph_prf_init(&hmac->prf, (struct ph_span){call->secret, call->secret_len});
    return true;
}

/* Half of the hash is enough for values to stay different. */
static bool
prepare_hmac_long(struct ph_rule_call *call)
{
    return prepare_hmac(call, (int64_t)HEX_DIGITS / 2);
}

static bool
prepare_hmac_short(struct ph_rule_call *call)
{
    return prepare_hmac(call, 1);
}

static void
release_hmac(struct ph_rule_call *call)
{
    ph_mask_free(call, sizeof(struct hmac));
}

static enum ph_rule_result
hmac_hex(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct hmac *hmac = call->state;
    uint8_t hash[PH_PRF_SIZE];

    ph_prf(&hmac->prf, ph_mask_span(&args[0]), hash);
    return give_hex(call, hash, (size_t)hmac->n_digits, out);
}

static enum ph_rule_result
hmac_bytes(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct hmac *hmac = call->state;
    uint8_t *hash = ph_mask_room(call, PH_PRF_SIZE, out);

    if (hash == NULL)
        return PH_RULE_NO_MEMORY;
    ph_prf(&hmac->prf, ph_mask_span(&args[0]), hash);
    return PH_RULE_OK;
}

/* ---- hash_int ---- */

static bool
prepare_hash_int(struct ph_rule_call *call)
{
    return ph_mask_prepare_perm(call, "pghaul hash_int");
}

static enum ph_rule_result
hash_int4(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    if (args[0].len != 4)
        return ph_rule_bad(call, "not an integer");
    uint64_t value = ph_load_u32(args[0].data);
    uint8_t *bytes = ph_mask_room(call, 4, out);
    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    if (!ph_perm_below(call->state, 0, UINT64_C(1) << 32, &value))
        return ph_rule_bad(call, "AES failed");
    ph_store_u32(bytes, (uint32_t)value);
    return PH_RULE_OK;
}

static enum ph_rule_result
hash_int8(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    if (args[0].len != 8)
        return ph_rule_bad(call, "not a bigint");
    uint64_t value = ph_load_u64(args[0].data);
    uint8_t *bytes = ph_mask_room(call, 8, out);
    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    if (!ph_perm_below(call->state, 0, 0, &value))
        return ph_rule_bad(call, "AES failed");
    ph_store_u64(bytes, value);
    return PH_RULE_OK;
}

#define HASH PH_RULE_INJECTIVE
#define KEYED (PH_RULE_INJECTIVE | PH_RULE_SECRET | PH_RULE_MASK)
#define SHORT (PH_RULE_SECRET | PH_RULE_MASK)
#define PERMUTED (KEYED | PH_RULE_MAY_BAD)
#define MD5_ROW(type)                                                                              \
    {                                                                                              \
        "md5", #type " -> text", NULL, PH_RULE_MAY_BAD, md5_hex, prepare_md5, release_md5,         \
            "MD5 in hex, as md5() gives it"                                                        \
    }
#define HMAC_ROW(name, types, params, flags, run, length, help)                                    \
    {                                                                                              \
        name, types, params, flags, run, prepare_hmac_##length, release_hmac, help                 \
    }
#define INT_ROW(type)                                                                              \
    {                                                                                              \
        "hash_int", #type " -> " #type, NULL, PERMUTED, hash_##type, prepare_hash_int,             \
            ph_mask_release_perm, "another integer for each, any of the type"                      \
    }

static const char hmac_help[] = "HMAC-SHA-256 under the secret, in hex: all or 32 and more digits";

const struct ph_rule_op ph_hash_ops[PH_HASH_OPS] = {
    {"sha256", "text -> text", NULL, HASH, sha256_hex, NULL, NULL, "SHA-256 in hex"},
    {"sha256", "text -> bytea", NULL, HASH, sha256_bytes, NULL, NULL, "SHA-256"},
    {"sha256", "bytea -> bytea", NULL, HASH, sha256_bytes, NULL, NULL, "SHA-256"},
    {"sha256", "bytea -> text", NULL, HASH, sha256_hex, NULL, NULL, "SHA-256 in hex"},
    MD5_ROW(text),
    MD5_ROW(bytea),
    HMAC_ROW("hmac", "text -> text", "length?", KEYED, hmac_hex, long, hmac_help),
    HMAC_ROW("hmac", "text -> bytea", NULL, KEYED, hmac_bytes, long, "HMAC-SHA-256"),
    HMAC_ROW("hmac", "bytea -> bytea", NULL, KEYED, hmac_bytes, long, "HMAC-SHA-256"),
    HMAC_ROW("hmac", "bytea -> text", "length?", KEYED, hmac_hex, long, hmac_help),
    HMAC_ROW("hmac_short", "text -> text", "length", SHORT, hmac_hex, short,
             "the first digits of hmac, one or more: different values may give the same"),
    INT_ROW(int4),
    INT_ROW(int8),
};
