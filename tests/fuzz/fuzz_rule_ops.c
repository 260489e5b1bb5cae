/*
 * Every operator on arbitrary bytes: parameters, and values of whatever type it takes. It may
 * refuse the parameters and call the values bad; what it gives must lie in memory and have a
 * length.
 *
 *   byte  which operator, in the order of the tables
 *   byte  the operator once more (there are more than 256), then how many arguments and parameters
 *   each parameter: length, bytes; then each argument: length (255 is NULL), bytes
 *
 * When the bytes end, what is left of them is one argument more and the others are empty.
 */
#include "../support/op_run.h"

#include "base/bytes.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define PARAMS_MAX 3u
#define MEMORY_MAX ((size_t)64 << 20)

static const struct ph_rule_op *
choose(uint32_t number)
{
    uint32_t n = 0;

    for (const struct ph_rule_family *family = ph_rule_families; family->name != NULL; family++)
        n += family->n_ops;
    number %= n;
    const struct ph_rule_family *family = ph_rule_families;
    for (; number >= family->n_ops; family++)
        number -= family->n_ops;
    return &family->ops[number];
}

static uint8_t
take(struct ph_cursor *in)
{
    uint8_t byte = 0;

    (void)ph_take_u8(in, &byte);
    return byte;
}

/* A copy of exactly its size, so that a sanitizer sees one byte too many. */
static uint8_t *
take_bytes(struct ph_cursor *in, size_t len, size_t *taken)
{
    struct ph_span bytes;

    *taken = len < ph_cursor_left(in) ? len : ph_cursor_left(in);
    CHECK(ph_take_span(in, *taken, &bytes));
    uint8_t *copy = malloc(*taken + (*taken == 0));
    CHECK(copy != NULL);
    if (*taken > 0)
        memcpy(copy, bytes.data, *taken);
    return copy;
}

static char *
take_param(struct ph_cursor *in)
{
    size_t len;
    uint8_t *bytes = take_bytes(in, take(in), &len);
    char *text = malloc(len + 1);

    CHECK(text != NULL);
    memcpy(text, bytes, len);
    text[len] = '\0';
    free(bytes);
    return text;
}

static void
check_result(const struct op_run *run, const struct ph_value *out)
{
    volatile uint8_t sum = 0;

    CHECK(out->len >= PH_VALUE_NULL);
    CHECK(out->len >= 0 || (run->op->flags & (PH_RULE_MAY_NULL | PH_RULE_TAKES_NULL)) != 0);
    for (int32_t i = 0; i < out->len; i++)
        sum = (uint8_t)(sum + out->data[i]);
}

static void
run_values(struct op_run *run, struct ph_cursor *in, uint32_t n_args)
{
    struct ph_value args[OP_RUN_ARGS] = {{NULL, 0}};
    struct ph_value first;
    struct ph_value second;
    bool has_null = false;

    for (uint32_t i = 0; i < n_args; i++) {
        uint8_t len = take(in);
        size_t taken;
        bool is_last = i + 1 == n_args;
        args[i].data = take_bytes(in, is_last ? ph_cursor_left(in) : len, &taken);
        args[i].len = len == 255 ? PH_VALUE_NULL : (int32_t)taken;
        has_null = has_null || args[i].len < 0;
    }
    if (!has_null || (run->op->flags & PH_RULE_TAKES_NULL) != 0) {
        enum ph_rule_result rc = op_run_call(run, args, &first);
        if (rc == PH_RULE_OK) {
            check_result(run, &first);
            /* The same again: no state that one row leaves for the next. */
            int32_t len = first.len;
            uint8_t *kept = malloc(len > 0 ? (size_t)len : 1);
            CHECK(kept != NULL);
            if (len > 0)
                memcpy(kept, first.data, (size_t)len);
            CHECK(op_run_call(run, args, &second) == PH_RULE_OK && second.len == len);
            CHECK(len <= 0 || memcmp(kept, second.data, (size_t)len) == 0);
            free(kept);
        }
        CHECK(rc != PH_RULE_BAD || run->call.message[0] != '\0');
    }
    for (uint32_t i = 0; i < n_args; i++)
        free((void *)(uintptr_t)args[i].data);
}

/* Every step of bcrypt's cost doubles the time, and 20 takes a minute; what is no cost stays. */
static void
cap_cost(const struct ph_rule_op *op, char **params, uint32_t *n_params)
{
    if (strcmp(op->name, "bcrypt") != 0)
        return;
    if (*n_params == 0) {
        params[(*n_params)++] = strdup("4"); /* the default is 10 */
        CHECK(params[0] != NULL);
    } else if (strtol(params[0], NULL, 10) > 4 && strtol(params[0], NULL, 10) <= 20) {
        memcpy(params[0], "4", 2);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ph_cursor in = ph_cursor_of(data, len);
    uint32_t number = take(&in);
    uint32_t more = take(&in);
    const struct ph_rule_op *op = choose(number + 256 * (more & 1));
    uint32_t n_params = (more >> 1) % (PARAMS_MAX + 1);
    char *params[PARAMS_MAX + 1] = {NULL};
    struct op_run run;

    for (uint32_t i = 0; i < n_params; i++)
        params[i] = take_param(&in);
    cap_cost(op, params, &n_params);
    if (op_run_begin(&run, op, (const char *const *)params, n_params, op_count_args(op))) {
        run.arena.limit_bytes = MEMORY_MAX;
        run_values(&run, &in, run.call.n_args);
    } else {
        CHECK(run.call.message[0] != '\0');
    }
    op_run_end(&run);
    for (uint32_t i = 0; i < n_params; i++)
        free(params[i]);
    return 0;
}
