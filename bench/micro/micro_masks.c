/*
 * What hashes and masks cost per value, without any server: `ninja micro_masks`, release build.
 * Each operator runs over values that differ; median and spread of 151 short runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "rules/ops.h"

#define RUNS 151
#define N_VALUES 1024u
#define RUN_NS UINT64_C(2000000) /* short, so that most are not interrupted */

struct sample {
    const char *op;
    const char *signature;
    const char *format; /* of a text with a number in it; NULL: an integer of 8 bytes */
    const char *params[2];
};

static const struct sample samples[] = {
    {"hmac", "text -> text", "person%06u@example.net", {NULL}},
    {"sha256", "text -> text", "person%06u@example.net", {NULL}},
    {"md5", "text -> text", "person%06u@example.net", {NULL}},
    {"hash_int", "int8 -> int8", NULL, {NULL}},
    {"encrypt", "text -> bytea", "person%06u@example.net", {NULL}},
    {"encrypt", "text -> text", "person%06u@example.net", {NULL}},
    {"bcrypt", "text -> text", "password %u", {"4"}},
    {"mask_name", "text -> text", "Jane Roe the %uth", {NULL}},
    {"mask_email", "text -> text", "person%06u@example.net", {NULL}},
    {"mask_address", "text -> text", "%u Main Street, 12345 Springfield", {NULL}},
    {"mask_phone", "text -> text", "+49 30 1%06u", {NULL}},
    {"mask_fpe", "text -> text", "AB-%06u", {NULL}},
    {"mask_fpe", "text -> text", "Order of %06u, abcdefghijkl 0000", {NULL}},
    {"mask_card", "text -> text", "4111 1111 11%06u", {NULL}},
    {"mask_iban", "text -> text", "DE89 3704 0044 0532 %06u", {NULL}},
    {"mask_text", "text -> text", "Dear Mr. %06u, I saw you on Monday in the park.", {NULL}},
    {"mask_first", "text -> text", "secret %06u", {"2"}},
    {"mask_json", "json -> json", "{\"name\": \"person %06u\", \"tags\": [\"a\", \"b\"]}", {NULL}},
    {"mask_uuid", "uuid -> uuid", "%016u", {NULL}},
    {"uuid_v5", "text -> uuid", "person%06u@example.net", {"dns"}},
    {"mask_int", "int8 -> int8", NULL, {NULL}},
    {"mask_int", "int8 -> int8", NULL, {"1", "1000000000"}},
    {"mask_number", "int8 -> int8", NULL, {"1", "1000000"}},
    {"mask_date", "timestamptz -> timestamptz", NULL, {NULL}},
};

static uint8_t arena[1 << 20];
static size_t arena_used;

static void *
take(void *ignored, size_t len)
{
    (void)ignored;
    len = (len + 15) & ~(size_t)15;
    if (len > sizeof arena - arena_used)
        return NULL;
    arena_used += len;
    return arena + arena_used - len;
}

static const struct ph_rule_op *
find(const struct sample *sample)
{
    for (const struct ph_rule_family *family = ph_rule_families; family->name != NULL; family++)
        for (uint32_t i = 0; i < family->n_ops; i++)
            if (strcmp(family->ops[i].name, sample->op) == 0 &&
                strcmp(family->ops[i].signature, sample->signature) == 0)
                return &family->ops[i];
    fprintf(stderr, "no operator %s(%s)\n", sample->op, sample->signature);
    exit(1);
}

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void
fill(const struct sample *sample, struct ph_value *values)
{
    static char texts[N_VALUES][80];

    for (uint32_t i = 0; i < N_VALUES; i++) {
        int len = 8;
        ph_store_u64((uint8_t *)texts[i], 1000 + i);
        if (sample->format != NULL) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            len = snprintf(texts[i], sizeof texts[i], sample->format, i);
#pragma GCC diagnostic pop
        }
        values[i] = (struct ph_value){(const uint8_t *)texts[i], len};
    }
}

static double
one_run(const struct ph_rule_op *op, struct ph_rule_call *call, const struct ph_value *values)
{
    uint64_t start = ph_clock_ns();
    uint64_t spent = 0;
    uint64_t n = 0;
    struct ph_value out;

    for (; spent < RUN_NS; spent = ph_clock_ns() - start) {
        for (uint32_t i = 0; i < 64; i++, n++) {
            arena_used = 0;
            if (op->run(call, &values[n % N_VALUES], &out) != PH_RULE_OK) {
                fprintf(stderr, "%s: %s\n", op->name, call->message);
                exit(1);
            }
        }
    }
    return (double)spent / (double)n;
}

static void
run(const struct sample *sample)
{
    static const char secret[] = "a secret";
    const struct ph_rule_op *op = find(sample);
    struct ph_value values[N_VALUES];
    double ns[RUNS];
    struct ph_rule_call call = {.params = sample->params,
                                .n_params =
                                    (sample->params[0] != NULL) + (sample->params[1] != NULL),
                                .secret = (const uint8_t *)secret,
                                .secret_len = sizeof secret - 1,
                                .row_key = {(const uint8_t *)"\0\0\0\4\0\0\0\1", 8},
                                .alloc = take};

    fill(sample, values);
    if (op->prepare != NULL && !op->prepare(&call)) {
        fprintf(stderr, "%s: %s\n", op->name, call.message);
        exit(1);
    }
    for (int i = 0; i < RUNS; i++)
        ns[i] = one_run(op, &call, values);
    qsort(ns, RUNS, sizeof ns[0], by_value);
    printf("%-14s %-20s %-34s %9.1f ns  (%.1f to %.1f)\n", op->name, op->signature,
           sample->format == NULL ? "" : sample->format, ns[RUNS / 2], ns[0], ns[RUNS - 1]);
    if (op->release != NULL)
        op->release(&call);
}

int
main(void)
{
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
        run(&samples[i]);
    return 0;
}
