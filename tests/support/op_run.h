/*
 * Operators run one call at a time, for tests: found by name and signature, prepared with
 * parameters, given values. Header only, so that unit tests and fuzzers have it without the rest.
 */
#ifndef PH_TEST_OP_RUN_H
#define PH_TEST_OP_RUN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "rules/ops.h"

#define OP_RUN_ARGS 4

struct op_run {
    const struct ph_rule_op *op;
    struct ph_rule_call call;
    struct ph_arena arena;
};

static inline const struct ph_rule_op *
op_find(const char *name, const char *signature)
{
    for (const struct ph_rule_family *family = ph_rule_families; family->name != NULL; family++) {
        for (uint32_t i = 0; i < family->n_ops; i++) {
            const struct ph_rule_op *op = &family->ops[i];
            if (strcmp(op->name, name) == 0 && strcmp(op->signature, signature) == 0)
                return op;
        }
    }
    return NULL;
}

static inline void *
op_run_alloc(void *arena, size_t len)
{
    return ph_arena_alloc(arena, len);
}

/* As many arguments as the signature has; two of "...". */
static inline uint32_t
op_count_args(const struct ph_rule_op *op)
{
    const char *end = strstr(op->signature, "->");
    uint32_t n = 1;

    for (const char *at = op->signature; at < end; at++)
        n += *at == ',' || strncmp(at, "...", 3) == 0;
    return n;
}

/* `secret` NULL: none. false: it refuses the parameters, run->call.message says why. */
static inline bool
op_run_begin_with(struct op_run *run, const struct ph_rule_op *op, const char *const *params,
                  uint32_t n_params, uint32_t n_args, const char *secret)
{
    memset(run, 0, sizeof *run);
    run->op = op;
    ph_arena_init(&run->arena, (size_t)1 << 30);
    run->call = (struct ph_rule_call){
        .params = params,
        .n_params = n_params,
        .n_args = n_args,
        .arena = &run->arena,
        .alloc = op_run_alloc,
        .secret = (const uint8_t *)secret,
        .secret_len = secret == NULL ? 0 : strlen(secret),
        .row_key = {NULL, PH_VALUE_NULL},
    };
    return op->prepare == NULL || op->prepare(&run->call);
}

/* With a secret and a key of a row, where it needs them. `op` NULL, not in the library, ends it. */
static inline bool
op_run_begin(struct op_run *run, const struct ph_rule_op *op, const char *const *params,
             uint32_t n_params, uint32_t n_args)
{
    if (op == NULL)
        abort();
    bool has_secret = (op->flags & PH_RULE_SECRET) != 0;
    bool is_ready = op_run_begin_with(run, op, params, n_params, n_args,
                                      has_secret ? "0123456789abcdef0123456789abcdef" : NULL);

    if ((op->flags & PH_RULE_KEYED) != 0)
        run->call.row_key = (struct ph_value){(const uint8_t *)"\0\0\0\4\0\0\0\7", 8};
    return is_ready;
}

/* What the generated code does for one operator; the result lives until the next call. */
static inline enum ph_rule_result
op_run_call(struct op_run *run, const struct ph_value *args, struct ph_value *out)
{
    ph_arena_reset(&run->arena);
    run->call.message[0] = '\0';
    for (uint32_t i = 0; i < run->call.n_args; i++) {
        if (args[i].len == PH_VALUE_NULL && (run->op->flags & PH_RULE_TAKES_NULL) == 0) {
            *out = args[i];
            return PH_RULE_OK;
        }
    }
    return run->op->run(&run->call, args, out);
}

static inline void
op_run_end(struct op_run *run)
{
    if (run->op->release != NULL && run->call.state != NULL)
        run->op->release(&run->call);
    ph_arena_reset(&run->arena);
}

#endif
