/*
 * Runs one operator of the table on values, for tests of masks. Its results live until mask_end.
 */
#ifndef PH_TEST_MASK_RUN_H
#define PH_TEST_MASK_RUN_H

#include "../support/op_run.h"
#include "base/bytes.h"

struct mask {
    struct op_run run;
    struct ph_value out;
    char text[512];
};

#define MASK_SECRET "the secret of the tests"

/* false: there is no such operator, or prepare refused, run.call.message says why. */
static inline bool
mask_try(struct mask *mask, const char *name, const char *signature, const char *const *params,
         uint32_t n_params, const char *secret)
{
    const struct ph_rule_op *op = op_find(name, signature);

    memset(mask, 0, sizeof *mask);
    return op != NULL &&
           op_run_begin_with(&mask->run, op, params, n_params, op_count_args(op), secret);
}

static inline void
mask_end(struct mask *mask)
{
    if (mask->run.op != NULL)
        op_run_end(&mask->run);
}

static inline enum ph_rule_result
mask_values(struct mask *mask, const struct ph_value *args)
{
    return op_run_call(&mask->run, args, &mask->out);
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
        snprintf(mask->text, sizeof mask->text, "<bad: %s>", mask->run.call.message);
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
