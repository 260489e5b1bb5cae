#include "rules/op_constants.h"

#include <stdlib.h>

#include "base/arena.h"

bool
ph_op_prepare_constant(struct ph_rule_call *call, ph_rule_run_fn *from_text)
{
    if (!ph_op_params(call, 1, 1))
        return false;
    call->state = ph_op_constant(call, 0, from_text);
    return call->state != NULL;
}

#define COMPARE_MEMORY ((size_t)16 << 20)

static void *
arena_alloc(void *arena, size_t len)
{
    return ph_arena_alloc(arena, len);
}

/* In `prepare`, where there is no row whose memory could be used. */
static bool
compare_constants(const struct ph_value *a, const struct ph_value *b, ph_op_compare_fn *compare,
                  int *out)
{
    struct ph_arena arena;
    struct ph_rule_call call = {.arena = &arena, .alloc = arena_alloc};

    ph_arena_init(&arena, COMPARE_MEMORY);
    enum ph_rule_result rc = compare(&call, a, b, out);
    ph_arena_reset(&arena);
    return rc == PH_RULE_OK;
}

/* How the constant compares to a word that every number type reads. */
static bool
compare_to(struct ph_rule_call *call, const char *word, ph_rule_run_fn *from_text,
           ph_op_compare_fn *compare, int *out)
{
    const char *params[] = {word};
    struct ph_rule_call inner = {.params = params, .n_params = 1};
    struct ph_value *value = ph_op_constant(&inner, 0, from_text);
    bool is_known = value != NULL && compare_constants(call->state, value, compare, out);

    free(value);
    return is_known;
}

static bool
refuse_constant(struct ph_rule_call *call, const char *why)
{
    ph_op_free_state(call);
    return ph_op_refuse(call, why);
}

bool
ph_op_prepare_divisor(struct ph_rule_call *call, ph_rule_run_fn *from_text,
                      ph_op_compare_fn *compare)
{
    int order;

    if (!ph_op_prepare_constant(call, from_text))
        return false;
    if (!compare_to(call, "0", from_text, compare, &order) || order == 0)
        return refuse_constant(call, "division by zero");
    return true;
}

bool
ph_op_prepare_width(struct ph_rule_call *call, ph_rule_run_fn *from_text, ph_op_compare_fn *compare)
{
    int order;

    if (!ph_op_prepare_constant(call, from_text))
        return false;
    if (!compare_to(call, "0", from_text, compare, &order) || order <= 0)
        return refuse_constant(call, "the width must be above zero");
    if (compare_to(call, "Infinity", from_text, compare, &order) && order >= 0)
        return refuse_constant(call, "the width must be a finite number");
    return true;
}

/* ---- clamp ---- */

struct bounds {
    struct ph_value *least;
    struct ph_value *most;
};

void
ph_op_release_clamp(struct ph_rule_call *call)
{
    struct bounds *bounds = call->state;

    if (bounds == NULL)
        return;
    free(bounds->least);
    free(bounds->most);
    ph_op_free_state(call);
}

bool
ph_op_prepare_clamp(struct ph_rule_call *call, ph_rule_run_fn *from_text, ph_op_compare_fn *compare)
{
    int order;

    if (!ph_op_params(call, 2, 2))
        return false;
    struct bounds *bounds = calloc(1, sizeof *bounds);
    if (bounds == NULL)
        return ph_op_refuse(call, "out of memory");
    call->state = bounds;
    bounds->least = ph_op_constant(call, 0, from_text);
    if (bounds->least != NULL)
        bounds->most = ph_op_constant(call, 1, from_text);
    bool is_good =
        bounds->most != NULL && compare(call, bounds->least, bounds->most, &order) == PH_RULE_OK;
    if (is_good && order > 0) {
        is_good = false;
        (void)ph_rule_bad(call, "the least is above the most");
    }
    if (!is_good)
        ph_op_release_clamp(call);
    return is_good;
}

enum ph_rule_result
ph_op_clamp(struct ph_rule_call *call, const struct ph_value *args, ph_op_compare_fn *compare,
            struct ph_value *out)
{
    const struct bounds *bounds = call->state;
    int to_least;
    int to_most;

    if (args[0].len < 0)
        return ph_rule_bad(call, "not a number");
    PH_OP_TRY(compare(call, &args[0], bounds->least, &to_least));
    PH_OP_TRY(compare(call, &args[0], bounds->most, &to_most));
    const struct ph_value *nearest = to_least < 0  ? bounds->least
                                     : to_most > 0 ? bounds->most
                                                   : &args[0];
    uint8_t *copy = ph_rule_alloc(call, (size_t)nearest->len + 1);
    if (copy == NULL)
        return PH_RULE_NO_MEMORY;
    memcpy(copy, nearest->data, (size_t)nearest->len);
    return ph_op_give(call, copy, (size_t)nearest->len, out);
}
