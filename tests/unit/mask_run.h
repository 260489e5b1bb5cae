/*
 * Runs one operator of the table on values, for tests of masks. Its results live until mask_end.
 */
#ifndef PH_TEST_MASK_RUN_H
#define PH_TEST_MASK_RUN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "rules/ops.h"

#define MASK_ARENA ((size_t)4 << 20)

struct mask {
    const struct ph_rule_op *op;
    struct ph_rule_call call;
    uint8_t *arena;
    size_t used;
    struct ph_value out;
    char text[512];
};

static void *
mask_alloc(void *arena, size_t len)
{
    struct mask *mask = arena;

    len = (len + 15) & ~(size_t)15;
    if (len > MASK_ARENA - mask->used)
        return NULL;
    mask->used += len;
    return mask->arena + mask->used - len;
}

static inline const struct ph_rule_op *
mask_find(const char *name, const char *signature)
{
    for (const struct ph_rule_family *family = ph_rule_families; family->name != NULL; family++)
        for (uint32_t i = 0; i < family->n_ops; i++)
            if (strcmp(family->ops[i].name, name) == 0 &&
                strcmp(family->ops[i].signature, signature) == 0)
                return &family->ops[i];
    return NULL;
}

#define MASK_SECRET "the secret of the tests"

/* One parameter at most, or NULL; false: prepare refused, call.message says why. */
static inline bool
mask_try(struct mask *mask, const char *name, const char *signature, const char *const *params,
         uint32_t n_params, const char *secret)
{
    memset(mask, 0, sizeof *mask);
    mask->op = mask_find(name, signature);
    if (mask->op == NULL)
        return false;
    mask->arena = malloc(MASK_ARENA);
    mask->call = (struct ph_rule_call){.params = params,
                                       .n_params = n_params,
                                       .secret = (const uint8_t *)secret,
                                       .secret_len = secret == NULL ? 0 : strlen(secret),
                                       .row_key = {NULL, PH_VALUE_NULL},
                                       .arena = mask,
                                       .alloc = mask_alloc};
    return mask->op->prepare == NULL || mask->op->prepare(&mask->call);
}

static inline void
mask_end(struct mask *mask)
{
    if (mask->op != NULL && mask->op->release != NULL)
        mask->op->release(&mask->call);
    free(mask->arena);
}

/* As the generated code does: NULL is not passed to who does not take it. */
static inline enum ph_rule_result
mask_values(struct mask *mask, const struct ph_value *args)
{
    mask->used = 0;
    mask->call.message[0] = '\0';
    if (args[0].len == PH_VALUE_NULL && (mask->op->flags & PH_RULE_TAKES_NULL) == 0) {
        mask->out = args[0];
        return PH_RULE_OK;
    }
    return mask->op->run(&mask->call, args, &mask->out);
}

static inline enum ph_rule_result
mask_bytes(struct mask *mask, const void *data, size_t len)
{
    struct ph_value arg = {data, (int32_t)len};

    return mask_values(mask, &arg);
}

/* A text in, a text out; what is bad is "<bad: why>". */
static inline const char *
mask_text(struct mask *mask, const char *text)
{
    enum ph_rule_result rc = mask_bytes(mask, text, strlen(text));

    if (rc != PH_RULE_OK)
        snprintf(mask->text, sizeof mask->text, "<bad: %s>", mask->call.message);
    else
        snprintf(mask->text, sizeof mask->text, "%.*s", (int)mask->out.len,
                 (const char *)mask->out.data);
    return mask->text;
}

/* The result in hex. */
static inline const char *
mask_hex(struct mask *mask)
{
    for (int32_t i = 0; i < mask->out.len && i < 250; i++)
        snprintf(mask->text + 2 * i, 3, "%02x", mask->out.data[i]);
    return mask->text;
}

/* ---- whether n results are all different: sorted by 64 bits of each ---- */

static inline int
mask_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static inline uint64_t
mask_fold(const struct ph_value *value)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (int32_t i = 0; i < value->len; i++)
        hash = (hash ^ value->data[i]) * UINT64_C(1099511628211);
    return hash ^ hash >> 29;
}

/* Number of values that another one has as well. */
static inline size_t
mask_repeats(uint64_t *hashes, size_t n)
{
    size_t repeats = 0;

    qsort(hashes, n, sizeof *hashes, mask_compare);
    for (size_t i = 1; i < n; i++)
        repeats += hashes[i] == hashes[i - 1];
    return repeats;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MASK_MANY 50000u
#else
#define MASK_MANY 1000000u
#endif
/* Of operators that take texts apart, which are slow when nothing is optimised. */
#ifdef __OPTIMIZE__
#define MASK_SOME MASK_MANY
#else
#define MASK_SOME (MASK_MANY / 5)
#endif

/* Runs it on `format` with each number below n; how many results are not unique or bad. */
static inline size_t
mask_repeats_of(struct mask *mask, const char *format, uint32_t n)
{
    uint64_t *hashes = malloc(n * sizeof *hashes);
    size_t n_bad = 0;
    char text[64];

    for (uint32_t i = 0; i < n; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        int len = snprintf(text, sizeof text, format, i);
#pragma GCC diagnostic pop
        n_bad += mask_bytes(mask, text, (size_t)len) != PH_RULE_OK;
        hashes[i] = mask_fold(&mask->out);
    }
    n_bad += mask_repeats(hashes, n);
    free(hashes);
    return n_bad;
}

#endif
