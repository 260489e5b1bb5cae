/*
 * Vectors of operators, written as text: arguments go through `cast` from text, the result through
 * `cast` to text. "BAD" and NULL stand for themselves.
 */
#ifndef PH_TEST_OP_VECTORS_H
#define PH_TEST_OP_VECTORS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/op_run.h"

struct op_vector {
    const char *name;
    const char *signature;
    const char *params[4]; /* as many as are not NULL */
    const char *args[3];
    const char *result;
};

#define OP_NO_PARAMS                                                                               \
    {                                                                                              \
        NULL                                                                                       \
    }

/* Converts between text and a type by `cast`; the value is kept in `keep`. */
static inline void
op_vector_cast(const char *from, const char *to, struct ph_value *value, struct ph_arena *keep)
{
    char signature[80];
    struct op_run run;
    struct ph_value out;

    if (strcmp(from, to) == 0 || value->len < 0)
        return;
    snprintf(signature, sizeof signature, "%s -> %s", from, to);
    const struct ph_rule_op *op = op_find("cast", signature);
    if (op == NULL || !op_run_begin(&run, op, NULL, 0, 1) ||
        op_run_call(&run, value, &out) != PH_RULE_OK)
        fail_msg("no cast %s of \"%.*s\"", signature, (int)value->len, (const char *)value->data);
    uint8_t *bytes = ph_arena_alloc(keep, (size_t)out.len + 1);
    memcpy(bytes, out.data, (size_t)out.len);
    *value = (struct ph_value){bytes, out.len};
    op_run_end(&run);
}

/* The type that stands at `at`, into `type`; returns where the next one begins. */
static inline const char *
op_vector_type(const char *at, char type[32])
{
    size_t len = strcspn(at, ",. ");

    memcpy(type, at, len);
    type[len] = '\0';
    at += len;
    if (strncmp(at, "...", 3) == 0)
        return at; /* stays: the same type once more */
    return at + strspn(at, ", ");
}

static inline uint32_t
op_vector_args(const struct op_vector *vector, struct ph_value *args, struct ph_arena *keep)
{
    const char *at = vector->signature;
    char type[32];
    uint32_t n = 0;

    while (n < 3 && strncmp(at, "->", 2) != 0) {
        bool repeats = strncmp(at, "...", 3) == 0;
        if (!repeats)
            at = op_vector_type(at, type);
        else if (vector->args[n] == NULL)
            break;
        const char *text = vector->args[n];
        args[n] = (struct ph_value){(const uint8_t *)text, text == NULL ? -1 : (int)strlen(text)};
        op_vector_cast("text", type, &args[n], keep);
        n++;
    }
    return n;
}

static inline void
op_vector_check(const struct op_vector *vector)
{
    const struct ph_rule_op *op = op_find(vector->name, vector->signature);
    struct ph_value args[3];
    struct ph_value out;
    struct ph_arena keep;
    struct op_run run;
    uint32_t n_params = 0;

    if (op == NULL)
        fail_msg("no operator %s: %s", vector->name, vector->signature);
    ph_arena_init(&keep, 1 << 26);
    while (n_params < 4 && vector->params[n_params] != NULL)
        n_params++;
    uint32_t n_args = op_vector_args(vector, args, &keep);
    if (!op_run_begin(&run, op, vector->params, n_params, n_args)) {
        if (vector->result == NULL || strcmp(vector->result, "REFUSED") != 0)
            fail_msg("%s refuses its parameters: %s", vector->name, run.call.message);
        op_run_end(&run);
        ph_arena_reset(&keep);
        return;
    }
    enum ph_rule_result rc = op_run_call(&run, args, &out);
    const char *wanted = vector->result == NULL ? "NULL" : vector->result;
    if (rc != PH_RULE_OK) {
        if (strcmp(wanted, "BAD") != 0)
            fail_msg("%s of %s is bad (%s), not %s", vector->name, vector->args[0],
                     run.call.message, wanted);
    } else {
        const char *type = strstr(vector->signature, "-> ") + 3;
        op_vector_cast(type, "text", &out, &keep);
        struct ph_value text = out.len < 0 ? (struct ph_value){(const uint8_t *)"NULL", 4} : out;
        if ((size_t)text.len != strlen(wanted) || memcmp(text.data, wanted, (size_t)text.len) != 0)
            fail_msg("%s of %s is \"%.*s\", not \"%s\"", vector->name, vector->args[0],
                     (int)text.len, (const char *)text.data, wanted);
    }
    op_run_end(&run);
    ph_arena_reset(&keep);
}

#define OP_VECTORS_CHECK(vectors)                                                                  \
    do {                                                                                           \
        for (size_t i_ = 0; i_ < sizeof(vectors) / sizeof(vectors)[0]; i_++)                       \
            op_vector_check(&(vectors)[i_]);                                                       \
    } while (0)

#endif
