/*
 * Arithmetic on numeric, exact and with the scales that PostgreSQL chooses.
 */
#include <stdlib.h>

#include "rules/num.h"
#include "rules/op_cast.h"
#include "rules/op_constants.h"
#include "rules/op_families.h"

#define SCALE_MAX 2000 /* of round() */

typedef enum ph_rule_result num_fn(struct ph_rule_call *call, const struct ph_num *a,
                                   const struct ph_num *b, struct ph_num *out);

static enum ph_rule_result
binary(struct ph_rule_call *call, const struct ph_value *args, num_fn *compute,
       struct ph_value *out)
{
    struct ph_num a;
    struct ph_num b;
    struct ph_num result;

    PH_OP_TRY(ph_num_take(call, &args[0], &a));
    PH_OP_TRY(ph_num_take(call, ph_op_second(call, args), &b));
    PH_OP_TRY(compute(call, &a, &b, &result));
    return ph_num_give(call, &result, out);
}

#define BINARY(name, compute)                                                                      \
    static enum ph_rule_result numeric_##name(struct ph_rule_call *call,                           \
                                              const struct ph_value *args, struct ph_value *out)   \
    {                                                                                              \
        return binary(call, args, compute, out);                                                   \
    }

/* The largest multiple of b, which is above zero, that is not above a. */
static enum ph_rule_result
bucket(struct ph_rule_call *call, const struct ph_num *a, const struct ph_num *b,
       struct ph_num *out)
{
    struct ph_num above;
    struct ph_num rest;

    *out = *a;
    if (a->kind != PH_NUM_FINITE)
        return PH_RULE_OK;
    PH_OP_TRY(ph_num_modulo(call, a, b, &above));
    if (above.is_negative) {
        rest = above;
        PH_OP_TRY(ph_num_add(call, &rest, b, &above));
    }
    return ph_num_subtract(call, a, &above, out);
}

BINARY(add, ph_num_add)
BINARY(subtract, ph_num_subtract)
BINARY(multiply, ph_num_multiply)
BINARY(divide, ph_num_divide)
BINARY(modulo, ph_num_modulo)
BINARY(bucket, bucket)

static enum ph_rule_result
numeric_negate(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_num num;

    PH_OP_TRY(ph_num_take(call, &args[0], &num));
    num = ph_num_negated(num);
    return ph_num_give(call, &num, out);
}

static enum ph_rule_result
numeric_abs(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_num num;

    PH_OP_TRY(ph_num_take(call, &args[0], &num));
    if (num.is_negative || num.kind == PH_NUM_MINUS_INFINITY)
        num = ph_num_negated(num);
    return ph_num_give(call, &num, out);
}

static bool
prepare_round(struct ph_rule_call *call)
{
    int64_t digits = 0;

    if (!ph_op_params(call, 0, 1) ||
        (call->n_params > 0 && !ph_op_param_int(call, 0, "digits", -SCALE_MAX, SCALE_MAX, &digits)))
        return false;
    int32_t *state = malloc(sizeof *state);
    if (state == NULL)
        return ph_op_refuse(call, "out of memory");
    *state = (int32_t)digits;
    call->state = state;
    return true;
}

static enum ph_rule_result
numeric_round(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_num num;
    struct ph_num result;
    const int32_t *digits = call->state;

    PH_OP_TRY(ph_num_take(call, &args[0], &num));
    PH_OP_TRY(ph_num_round(call, &num, *digits, PH_NUM_HALF_AWAY, &result));
    return ph_num_give(call, &result, out);
}

static enum ph_rule_result
compare(struct ph_rule_call *call, const struct ph_value *a, const struct ph_value *b, int *out)
{
    struct ph_num left;
    struct ph_num right;

    PH_OP_TRY(ph_num_take(call, a, &left));
    PH_OP_TRY(ph_num_take(call, b, &right));
    *out = ph_num_compare(&left, &right);
    return PH_RULE_OK;
}

static enum ph_rule_result
numeric_clamp(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    return ph_op_clamp(call, args, compare, out);
}

static bool
prepare_numeric(struct ph_rule_call *call)
{
    return ph_op_prepare_constant(call, ph_cast_text_to_numeric);
}

static bool
prepare_divisor(struct ph_rule_call *call)
{
    return ph_op_prepare_divisor(call, ph_cast_text_to_numeric, compare);
}

static bool
prepare_width(struct ph_rule_call *call)
{
    return ph_op_prepare_width(call, ph_cast_text_to_numeric, compare);
}

static bool
prepare_clamp(struct ph_rule_call *call)
{
    return ph_op_prepare_clamp(call, ph_cast_text_to_numeric, compare);
}

#define BAD PH_RULE_MAY_BAD
#define ONE (PH_RULE_MAY_BAD | PH_RULE_INJECTIVE)
#define WITH_NUMBER(name, flags, run, prepare, help)                                               \
    {                                                                                              \
        name, "numeric -> numeric", "number", flags, run, prepare, ph_op_free_state, help          \
    }
#define WITH_COLUMN(name, run, help)                                                               \
    {                                                                                              \
        name, "numeric, numeric -> numeric", NULL, BAD, run, NULL, NULL, help                      \
    }

const struct ph_rule_op ph_numeric_ops[PH_NUMERIC_OPS] = {
    WITH_NUMBER("add", BAD, numeric_add, prepare_numeric, "a number added"),
    WITH_COLUMN("add", numeric_add, "the sum"),
    WITH_NUMBER("subtract", BAD, numeric_subtract, prepare_numeric, "a number taken off"),
    WITH_COLUMN("subtract", numeric_subtract, "the difference"),
    WITH_NUMBER("multiply", BAD, numeric_multiply, prepare_numeric, "multiplied by a number"),
    WITH_COLUMN("multiply", numeric_multiply, "the product"),
    WITH_NUMBER("divide", BAD, numeric_divide, prepare_divisor, "divided by a number"),
    WITH_COLUMN("divide", numeric_divide, "the quotient"),
    WITH_NUMBER("modulo", BAD, numeric_modulo, prepare_divisor, "the rest of the division"),
    WITH_COLUMN("modulo", numeric_modulo, "the rest of the division"),
    {"negate", "numeric -> numeric", NULL, PH_RULE_INJECTIVE, numeric_negate, NULL, NULL,
     "the number with the other sign"},
    {"abs", "numeric -> numeric", NULL, 0, numeric_abs, NULL, NULL, "the number without its sign"},
    {"round", "numeric -> numeric", "digits?", 0, numeric_round, prepare_round, ph_op_free_state,
     "rounded half away from zero, to digits behind the point; before it when negative"},
    {"bucket", "numeric -> numeric", "width", 0, numeric_bucket, prepare_width, ph_op_free_state,
     "the largest multiple of the width that is not above it"},
    {"clamp", "numeric -> numeric", "least, most", 0, numeric_clamp, prepare_clamp,
     ph_op_release_clamp, "the nearest number from least to most"},
};
