/*
 * What pgcrypto can check or read back: password hashes by its crypt(), cipher texts by its
 * decrypt_iv(). Salt and IV are made of the row's key, so that the same row is the same every night
 * and equal values in different rows are not.
 *
 * The value is no part of the salt: who learned the secret could then try passwords against it as
 * fast as HMAC is, not as slow as bcrypt. It is part of the IV, since CBC under one IV would show
 * how far two versions of a row's text agree; the secret gives that text away in any case.
 */
#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "rules/mask_families.h"
#include "rules/mask_parts.h"

#define SALT_SIZE 16
#define BLOCK_SIZE 16
#define KEY_SIZE 32
#define BCRYPT_LEN 60
#define BCRYPT_COST 10
#define BCRYPT_COST_MIN 4
#define BCRYPT_COST_MAX 20

/* ---- bcrypt ---- */

struct bcrypt {
    struct ph_prf prf;
    int64_t cost;
    struct crypt_data scratch;
};

static void
release_bcrypt(struct ph_rule_call *call)
{
    ph_mask_free(call, sizeof(struct bcrypt));
}

static bool
prepare_bcrypt(struct ph_rule_call *call)
{
    struct bcrypt *bcrypt = ph_mask_state(call, sizeof *bcrypt);

    if (bcrypt == NULL)
        return false;
    bcrypt->cost = BCRYPT_COST;
    if (ph_mask_param_int(call, 0, BCRYPT_COST_MIN, BCRYPT_COST_MAX, &bcrypt->cost) &&
        ph_prf_init_label(&bcrypt->prf, call, "pghaul bcrypt salt"))
        return true;
    release_bcrypt(call);
    return false;
}

static bool
starts_with(struct ph_span text, const char *prefix)
{
    size_t len = strlen(prefix);

    return text.len >= len && memcmp(text.data, prefix, len) == 0;
}

static bool
is_bcrypt(struct ph_span text)
{
    if (text.len != BCRYPT_LEN || !starts_with(text, "$2") ||
        strchr("abxy", text.data[2]) == NULL || text.data[2] == '\0' || text.data[3] != '$' ||
        text.data[6] != '$')
        return false;
    for (size_t i = 4; i < BCRYPT_LEN; i++) {
        uint8_t c = text.data[i];
        if (i != 6 && c != '.' && c != '/' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') &&
            (c < 'a' || c > 'z'))
            return false;
    }
    return true;
}

/* What crypt(3) and argon2 write: $method$parameters$hash. The shortest is md5-crypt's. */
static bool
is_password_hash(struct ph_span text)
{
    static const char *const methods[] = {"$1$",  "$5$", "$6$",     "$y$",
                                          "$gy$", "$7$", "$argon2", "$scrypt$"};
    size_t n_dollars = 0;

    if (is_bcrypt(text))
        return true;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
        n_dollars += text.data[i] == '$';
    }
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (starts_with(text, methods[i]))
            return text.len >= 26 && n_dollars >= 3;
    return false;
}

static enum ph_rule_result
run_bcrypt(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct bcrypt *bcrypt = call->state;
    struct ph_span in = ph_mask_span(&args[0]);
    uint8_t random[PH_PRF_SIZE];
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];

    if (is_password_hash(in)) {
        *out = args[0];
        return PH_RULE_OK;
    }
    if (call->row_key.data == NULL || call->row_key.len <= 0)
        return ph_rule_bad(call, "the row has no key");
    if (in.len >= CRYPT_MAX_PASSPHRASE_SIZE || memchr(in.data, '\0', in.len) != NULL)
        return ph_rule_bad(call, "not a password");
    char *phrase = ph_rule_alloc(call, in.len + 1);
    uint8_t *hash = ph_mask_room(call, BCRYPT_LEN, out);
    if (phrase == NULL || hash == NULL)
        return PH_RULE_NO_MEMORY;
    memcpy(phrase, in.data, in.len);
    phrase[in.len] = '\0';
    ph_prf(&bcrypt->prf, ph_mask_span(&call->row_key), random);
    const char *made = NULL;
    if (crypt_gensalt_rn("$2a$", (unsigned long)bcrypt->cost, (const char *)random, SALT_SIZE,
                         setting, sizeof setting) != NULL)
        made = crypt_rn(phrase, setting, &bcrypt->scratch, sizeof bcrypt->scratch);
    OPENSSL_cleanse(phrase, in.len);
    if (made == NULL || strlen(made) != BCRYPT_LEN)
        return ph_rule_bad(call, "crypt() does not do bcrypt");
    memcpy(hash, made, BCRYPT_LEN);
    return PH_RULE_OK;
}

/* ---- encrypt: the IV, then AES-256-CBC with PKCS padding ---- */

struct encrypt {
    EVP_CIPHER_CTX *aes;
    struct ph_prf prf; /* the IV's */
};

static void
release_encrypt(struct ph_rule_call *call)
{
    struct encrypt *encrypt = call->state;

    if (encrypt != NULL)
        EVP_CIPHER_CTX_free(encrypt->aes);
    ph_mask_free(call, sizeof *encrypt);
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "env:NAME": the variable has the key in hex. Read once, so the same for every row. */
static bool
key_of_env(struct ph_rule_call *call, const char *param, uint8_t key[KEY_SIZE])
{
    if (strncmp(param, "env:", 4) != 0)
        return ph_mask_refuse(call, "the key's parameter is env:NAME");
    const char *hex = getenv(param + 4);
    if (hex == NULL || strlen(hex) != (size_t)2 * KEY_SIZE)
        return ph_mask_refuse(call, "the key's variable does not have 64 hex digits");
    for (size_t i = 0; i < KEY_SIZE; i++) {
        int high = hex_digit(hex[2 * i]);
        int low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return ph_mask_refuse(call, "the key's variable does not have 64 hex digits");
        key[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool
prepare_encrypt(struct ph_rule_call *call)
{
    struct encrypt *encrypt = ph_mask_state(call, sizeof *encrypt);
    const char *param = ph_mask_param(call, 0);
    uint8_t key[KEY_SIZE];

    if (encrypt == NULL)
        return false;
    bool ok = ph_prf_init_label(&encrypt->prf, call, "pghaul encrypt iv") &&
              (param == NULL ? ph_mask_key(call, "pghaul encrypt key", key)
                             : key_of_env(call, param, key));
    if (ok) {
        encrypt->aes = EVP_CIPHER_CTX_new();
        ok = encrypt->aes != NULL &&
             EVP_EncryptInit_ex(encrypt->aes, EVP_aes_256_cbc(), NULL, key, NULL) == 1;
        if (!ok)
            ph_mask_refuse(call, "libcrypto does not do AES-256-CBC");
    }
    OPENSSL_cleanse(key, sizeof key);
    if (!ok)
        release_encrypt(call);
    return ok;
}

static size_t
cipher_len(size_t len)
{
    return BLOCK_SIZE + len / BLOCK_SIZE * BLOCK_SIZE + BLOCK_SIZE;
}

static enum ph_rule_result
cipher(struct ph_rule_call *call, struct ph_span in, uint8_t *to)
{
    const struct encrypt *encrypt = call->state;
    uint8_t random[PH_PRF_SIZE];
    int len = 0;
    int rest = 0;

    ph_prf_two(&encrypt->prf, ph_mask_span(&call->row_key), in, random);
    memcpy(to, random, BLOCK_SIZE);
    if (EVP_EncryptInit_ex(encrypt->aes, NULL, NULL, NULL, to) != 1 ||
        EVP_EncryptUpdate(encrypt->aes, to + BLOCK_SIZE, &len, in.data, (int)in.len) != 1 ||
        EVP_EncryptFinal_ex(encrypt->aes, to + BLOCK_SIZE + len, &rest) != 1)
        return ph_rule_bad(call, "AES failed");
    return PH_RULE_OK;
}

static enum ph_rule_result
check_row(struct ph_rule_call *call, struct ph_span in)
{
    if (call->row_key.data == NULL || call->row_key.len <= 0)
        return ph_rule_bad(call, "the row has no key");
    /* what the target may hold of it in base64 */
    if (in.len > ((size_t)1 << 30) / 4 * 3 - 64)
        return ph_rule_bad(call, "too long to be encrypted");
    return PH_RULE_OK;
}

static enum ph_rule_result
encrypt_bytes(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_span in = ph_mask_span(&args[0]);
    enum ph_rule_result rc = check_row(call, in);

    if (rc != PH_RULE_OK)
        return rc;
    uint8_t *to = ph_mask_room(call, cipher_len(in.len), out);
    return to == NULL ? PH_RULE_NO_MEMORY : cipher(call, in, to);
}

/* In base64 without line breaks, which decode(…, 'base64') reads. */
static enum ph_rule_result
encrypt_text(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_span in = ph_mask_span(&args[0]);
    size_t len = cipher_len(in.len);
    enum ph_rule_result rc = check_row(call, in);

    if (rc != PH_RULE_OK)
        return rc;
    uint8_t *bytes = ph_rule_alloc(call, len);
    uint8_t *text = ph_mask_room(call, (len + 2) / 3 * 4, out); /* and one for the terminator */
    if (bytes == NULL || text == NULL)
        return PH_RULE_NO_MEMORY;
    rc = cipher(call, in, bytes);
    if (rc == PH_RULE_OK)
        EVP_EncodeBlock(text, bytes, (int)len);
    return rc;
}

#define BCRYPT (PH_RULE_SECRET | PH_RULE_KEYED | PH_RULE_MAY_BAD)
#define CIPHER (PH_RULE_SECRET | PH_RULE_KEYED | PH_RULE_MAY_BAD | PH_RULE_MASK | PH_RULE_INJECTIVE)
#define CIPHER_ROW(types, run, help)                                                               \
    {                                                                                              \
        "encrypt", types, "key?", CIPHER, run, prepare_encrypt, release_encrypt, help              \
    }

const struct ph_rule_op ph_encrypt_ops[PH_ENCRYPT_OPS] = {
    {"bcrypt", "text -> text", "cost?", BCRYPT, run_bcrypt, prepare_bcrypt, release_bcrypt,
     "a password's hash for crypt(); hashes of passwords stay as they are"},
    CIPHER_ROW("text -> text", encrypt_text, "AES-256-CBC behind its IV, in base64"),
    CIPHER_ROW("text -> bytea", encrypt_bytes, "AES-256-CBC behind its IV"),
    CIPHER_ROW("bytea -> bytea", encrypt_bytes, "AES-256-CBC behind its IV"),
    CIPHER_ROW("bytea -> text", encrypt_text, "AES-256-CBC behind its IV, in base64"),
};
