/*
 * The share of rows that `sample` takes: the first 32 bits of md5 over the key's fields as text,
 * with '|' between them, below a limit. The source's SELECT computes the same.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "rules/inner_ops.h"

#define NUMBER_MAX 24
#define UUID_TEXT 36

static bool
put_uuid(EVP_MD_CTX *md5, const struct ph_value *value)
{
    static const char hex[] = "0123456789abcdef";
    char text[UUID_TEXT];
    int at = 0;

    if (value->len != 16)
        return false;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        text[at++] = hex[value->data[i] >> 4];
        text[at++] = hex[value->data[i] & 15];
    }
    return EVP_DigestUpdate(md5, text, sizeof text) == 1;
}

static bool
put_field(EVP_MD_CTX *md5, const char *class, const struct ph_value *value)
{
    char number[NUMBER_MAX];
    long long i;

    if (strcmp(class, "text") == 0)
        return EVP_DigestUpdate(md5, value->data, (size_t)value->len) == 1;
    if (strcmp(class, "uuid") == 0)
        return put_uuid(md5, value);
    if (strcmp(class, "int2") == 0 && value->len == 2)
        i = ph_rule_get_i16(value);
    else if (strcmp(class, "int4") == 0 && value->len == 4)
        i = ph_rule_get_i32(value);
    else if (strcmp(class, "int8") == 0 && value->len == 8)
        i = ph_rule_get_i64(value);
    else
        return false;
    int len = snprintf(number, sizeof number, "%lld", i);
    return EVP_DigestUpdate(md5, number, (size_t)len) == 1;
}

/* state: the digest's context, and the limit from the parameters each time. */
bool
ph_inner_prepare_sample(struct ph_rule_call *call)
{
    call->state = EVP_MD_CTX_new();
    return call->state != NULL;
}

void
ph_inner_release_sample(struct ph_rule_call *call)
{
    EVP_MD_CTX_free(call->state);
    call->state = NULL;
}

enum ph_rule_result
ph_inner_sample(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    static const uint8_t yes[] = {1};
    static const uint8_t no[] = {0};
    EVP_MD_CTX *md5 = call->state;
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned int len;

    if (EVP_DigestInit_ex(md5, EVP_md5(), NULL) != 1)
        return ph_rule_bad(call, "md5 cannot be computed here");
    for (uint32_t i = 0; i < call->n_args; i++) {
        if (args[i].len < 0 || (i > 0 && EVP_DigestUpdate(md5, "|", 1) != 1) ||
            !put_field(md5, call->params[i + 1], &args[i]))
            return ph_rule_bad(call, "the key has a value that is not of its type");
    }
    if (EVP_DigestFinal_ex(md5, digest, &len) != 1)
        return ph_rule_bad(call, "md5 cannot be computed here");
    uint32_t hash = (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 |
                    (uint32_t)digest[2] << 8 | digest[3];
    *out = (struct ph_value){hash < strtoull(call->params[0], NULL, 10) ? yes : no, 1};
    return PH_RULE_OK;
}
