/*
 * Arithmetic on integers and floats, with PostgreSQL's errors as PH_RULE_BAD; numeric's is in
 * op_number_numeric.c. The second operand is another column, or a constant: then it is the state,
 * as a value of the type.
 */
#include <math.h>
#include <stdlib.h>

#include "rules/op_cast.h"
#include "rules/op_constants.h"
#include "rules/op_families.h"
#include "rules/op_parts.h"

/* ---- integers ---- */

struct int_type {
    int32_t bytes;
    int64_t least;
    int64_t most;
};

static const struct int_type type_int2 = {2, INT16_MIN, INT16_MAX};
static const struct int_type type_int4 = {4, INT32_MIN, INT32_MAX};
static const struct int_type type_int8 = {8, INT64_MIN, INT64_MAX};

static enum ph_rule_result
take_int(struct ph_rule_call *call, const struct ph_value *value, const struct int_type *type,
         int64_t *out)
{
    if (value->len != type->bytes)
        return ph_rule_bad(call, "not a valid integer");
    *out = type->bytes == 2   ? ph_rule_get_i16(value)
           : type->bytes == 4 ? ph_rule_get_i32(value)
                              : ph_rule_get_i64(value);
    return PH_RULE_OK;
}

static enum ph_rule_result
give_int(struct ph_rule_call *call, int64_t value, const struct int_type *type,
         struct ph_value *out)
{
    if (value < type->least || value > type->most)
        return ph_rule_bad(call, "out of range of the integer type");
    if (type->bytes == 8)
        return ph_op_give_i64(call, value, out);
    return type->bytes == 4 ? ph_op_give_i32(call, (int32_t)value, out)
                            : ph_op_give_i16(call, (int16_t)value, out);
}

typedef enum ph_rule_result int_fn(struct ph_rule_call *call, int64_t a, int64_t b, int64_t *out);

static enum ph_rule_result
overflow(struct ph_rule_call *call)
{
    return ph_rule_bad(call, "out of range of the integer type");
}

static enum ph_rule_result
int_add(struct ph_rule_call *call, int64_t a, int64_t b, int64_t *out)
{
    return __builtin_add_overflow(a, b, out) ? overflow(call) : PH_RULE_OK;
}

static enum ph_rule_result
int_subtract(struct ph_rule_call *call, int64_t a, int64_t b, int64_t *out)
{
    return __builtin_sub_overflow(a, b, out) ? overflow(call) : PH_RULE_OK;
}

static enum ph_rule_result
int_multiply(struct ph_rule_call *call, int64_t a, int64_t b, int64_t *out)
{
    return __builtin_mul_overflow(a, b, out) ? overflow(call) : PH_RULE_OK;
}

static enum ph_rule_result
int_divide(struct ph_rule_call *call, int64_t a, int64_t b, int64_t *out)
{
    if (b == 0)
        return ph_rule_bad(call, "division by zero");
    if (b == -1) /* the hardware traps on the smallest number */
        return int_subtract(call, 0, a, out);
    *out = a / b;
    return PH_RULE_OK;
}

static enum ph_rule_result
int_modulo(struct ph_rule_call *call, int64_t a, int64_t b, int64_t *out)
{
    if (b == 0)
        return ph_rule_bad(call, "division by zero");
    *out = b == -1 ? 0 : a % b;
    return PH_RULE_OK;
}

/* The largest multiple of b that is not above a. */
static enum ph_rule_result
int_bucket(struct ph_rule_call *call, int64_t a, int64_t b, int64_t *out)
{
    int64_t above = a % b;

    return int_subtract(call, a, above < 0 ? above + b : above, out);
}

static enum ph_rule_result
int_binary(struct ph_rule_call *call, const struct ph_value *args, const struct int_type *type,
           int_fn *compute, struct ph_value *out)
{
    int64_t a;
    int64_t b;
    int64_t result;

    PH_OP_TRY(take_int(call, &args[0], type, &a));
    PH_OP_TRY(take_int(call, ph_op_second(call, args), type, &b));
    PH_OP_TRY(compute(call, a, b, &result));
    return give_int(call, result, type, out);
}

static enum ph_rule_result
int_negate(struct ph_rule_call *call, const struct ph_value *args, const struct int_type *type,
           struct ph_value *out)
{
    int64_t value;

    PH_OP_TRY(take_int(call, &args[0], type, &value));
    PH_OP_TRY(int_subtract(call, 0, value, &value));
    return give_int(call, value, type, out);
}

static enum ph_rule_result
int_abs(struct ph_rule_call *call, const struct ph_value *args, const struct int_type *type,
        struct ph_value *out)
{
    int64_t value;

    PH_OP_TRY(take_int(call, &args[0], type, &value));
    if (value < 0)
        PH_OP_TRY(int_subtract(call, 0, value, &value));
    return give_int(call, value, type, out);
}

static enum ph_rule_result
int_compare(struct ph_rule_call *call, const struct ph_value *a, const struct ph_value *b, int *out)
{
    const struct int_type *type = a->len == 2 ? &type_int2 : a->len == 4 ? &type_int4 : &type_int8;
    int64_t left;
    int64_t right;

    PH_OP_TRY(take_int(call, a, type, &left));
    PH_OP_TRY(take_int(call, b, type, &right));
    *out = (left > right) - (left < right);
    return PH_RULE_OK;
}

/* ---- floats: float4 is computed in double and rounded once, which is exact enough ---- */

enum float_type { TYPE_FLOAT4, TYPE_FLOAT8 };

static enum ph_rule_result
take_float(struct ph_rule_call *call, const struct ph_value *value, enum float_type type,
           double *out)
{
    float narrow;

    if (type == TYPE_FLOAT8)
        return ph_op_take_f8(call, value, out);
    PH_OP_TRY(ph_op_take_f4(call, value, &narrow));
    *out = (double)narrow;
    return PH_RULE_OK;
}

static double
rounded(double value, enum float_type type)
{
    return type == TYPE_FLOAT4 ? (double)(float)value : value;
}

static enum ph_rule_result
give_float(struct ph_rule_call *call, double value, enum float_type type, struct ph_value *out)
{
    return type == TYPE_FLOAT4 ? ph_op_give_f4(call, (float)value, out)
                               : ph_op_give_f8(call, value, out);
}

typedef enum ph_rule_result float_fn(struct ph_rule_call *call, double a, double b,
                                     enum float_type type, double *out);

static enum ph_rule_result
float_overflow(struct ph_rule_call *call)
{
    return ph_rule_bad(call, "out of range of the float type");
}

static enum ph_rule_result
float_add(struct ph_rule_call *call, double a, double b, enum float_type type, double *out)
{
    *out = rounded(a + b, type);
    return isinf(*out) && !isinf(a) && !isinf(b) ? float_overflow(call) : PH_RULE_OK;
}

static enum ph_rule_result
float_subtract(struct ph_rule_call *call, double a, double b, enum float_type type, double *out)
{
    *out = rounded(a - b, type);
    return isinf(*out) && !isinf(a) && !isinf(b) ? float_overflow(call) : PH_RULE_OK;
}

static enum ph_rule_result
float_multiply(struct ph_rule_call *call, double a, double b, enum float_type type, double *out)
{
    *out = rounded(a * b, type);
    if ((isinf(*out) && !isinf(a) && !isinf(b)) || (*out == 0 && a != 0 && b != 0))
        return float_overflow(call);
    return PH_RULE_OK;
}

static enum ph_rule_result
float_divide(struct ph_rule_call *call, double a, double b, enum float_type type, double *out)
{
    if (b == 0 && !isnan(a))
        return ph_rule_bad(call, "division by zero");
    *out = rounded(a / b, type);
    if ((isinf(*out) && !isinf(a)) || (*out == 0 && a != 0 && !isinf(b)))
        return float_overflow(call);
    return PH_RULE_OK;
}

static enum ph_rule_result
float_bucket(struct ph_rule_call *call, double a, double b, enum float_type type, double *out)
{
    PH_OP_TRY(float_divide(call, a, b, type, out));
    return float_multiply(call, floor(*out), b, type, out);
}

static enum ph_rule_result
float_binary(struct ph_rule_call *call, const struct ph_value *args, enum float_type type,
             float_fn *compute, struct ph_value *out)
{
    double a;
    double b;
    double result;

    PH_OP_TRY(take_float(call, &args[0], type, &a));
    PH_OP_TRY(take_float(call, ph_op_second(call, args), type, &b));
    PH_OP_TRY(compute(call, a, b, type, &result));
    return give_float(call, result, type, out);
}

static enum ph_rule_result
float_negate(struct ph_rule_call *call, const struct ph_value *args, enum float_type type,
             struct ph_value *out)
{
    double value;

    PH_OP_TRY(take_float(call, &args[0], type, &value));
    return give_float(call, -value, type, out);
}

static enum ph_rule_result
float_abs(struct ph_rule_call *call, const struct ph_value *args, enum float_type type,
          struct ph_value *out)
{
    double value;

    PH_OP_TRY(take_float(call, &args[0], type, &value));
    return give_float(call, fabs(value), type, out);
}

static enum ph_rule_result
float8_round(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    double value;

    PH_OP_TRY(ph_op_take_f8(call, &args[0], &value));
    return ph_op_give_f8(call, rint(value), out);
}

/* NaN is larger than all. */
static enum ph_rule_result
float_compare(struct ph_rule_call *call, const struct ph_value *a, const struct ph_value *b,
              int *out)
{
    enum float_type type = a->len == 4 ? TYPE_FLOAT4 : TYPE_FLOAT8;
    double left;
    double right;

    PH_OP_TRY(take_float(call, a, type, &left));
    PH_OP_TRY(take_float(call, b, type, &right));
    if (isnan(left) || isnan(right))
        *out = (isnan(left) != 0) - (isnan(right) != 0);
    else
        *out = (left > right) - (left < right);
    return PH_RULE_OK;
}

/* ---- rows, in one order for every type ---- */

#define BAD PH_RULE_MAY_BAD
#define ONE (PH_RULE_MAY_BAD | PH_RULE_INJECTIVE)
#define NUMBER(name, type, flags, run, prepare, help)                                              \
    {                                                                                              \
        name, type " -> " type, "number", flags, run, prepare, ph_op_free_state, help              \
    }
#define COLUMN(name, type, run, help)                                                              \
    {                                                                                              \
        name, type ", " type " -> " type, NULL, BAD, run, NULL, NULL, help                         \
    }
#define PLAIN(name, type, flags, run, help)                                                        \
    {                                                                                              \
        name, type " -> " type, NULL, flags, run, NULL, NULL, help                                 \
    }
#define BUCKET(type, flags, run, prepare)                                                          \
    {                                                                                              \
        "bucket", type " -> " type, "width", flags, run, prepare, ph_op_free_state,                \
            "the largest multiple of the width that is not above it"                               \
    }
#define CLAMP(type, run, prepare)                                                                  \
    {                                                                                              \
        "clamp", type " -> " type, "least, most", 0, run, prepare, ph_op_release_clamp,            \
            "the nearest number from least to most"                                                \
    }

#define INT_ROWS(type)                                                                             \
    NUMBER("add", #type, ONE, type##_add, prepare_##type, "a number added"),                       \
        COLUMN("add", #type, type##_add, "the sum"),                                               \
        NUMBER("subtract", #type, ONE, type##_subtract, prepare_##type, "a number taken off"),     \
        COLUMN("subtract", #type, type##_subtract, "the difference"),                              \
        NUMBER("multiply", #type, BAD, type##_multiply, prepare_##type, "multiplied by a number"), \
        COLUMN("multiply", #type, type##_multiply, "the product"),                                 \
        NUMBER("divide", #type, BAD, type##_divide, prepare_divisor_##type,                        \
               "divided by a number, the rest is left out"),                                       \
        COLUMN("divide", #type, type##_divide, "the quotient, the rest is left out"),              \
        NUMBER("modulo", #type, BAD, type##_modulo, prepare_divisor_##type,                        \
               "the rest of the division"),                                                        \
        COLUMN("modulo", #type, type##_modulo, "the rest of the division"),                        \
        PLAIN("negate", #type, ONE, type##_negate, "the number with the other sign"),              \
        PLAIN("abs", #type, BAD, type##_abs, "the number without its sign"),                       \
        BUCKET(#type, BAD, type##_bucket, prepare_width_##type),                                   \
        CLAMP(#type, int_clamp, prepare_clamp_##type)
#define FLOAT_ROWS(type)                                                                           \
    NUMBER("add", #type, BAD, type##_add, prepare_##type, "a number added"),                       \
        COLUMN("add", #type, type##_add, "the sum"),                                               \
        NUMBER("subtract", #type, BAD, type##_subtract, prepare_##type, "a number taken off"),     \
        COLUMN("subtract", #type, type##_subtract, "the difference"),                              \
        NUMBER("multiply", #type, BAD, type##_multiply, prepare_##type, "multiplied by a number"), \
        COLUMN("multiply", #type, type##_multiply, "the product"),                                 \
        NUMBER("divide", #type, BAD, type##_divide, prepare_divisor_##type,                        \
               "divided by a number"),                                                             \
        COLUMN("divide", #type, type##_divide, "the quotient"),                                    \
        PLAIN("negate", #type, PH_RULE_INJECTIVE, type##_negate,                                   \
              "the number with the other sign"),                                                   \
        PLAIN("abs", #type, 0, type##_abs, "the number without its sign"),                         \
        CLAMP(#type, float_clamp, prepare_clamp_##type)

/* ---- one function for every type and operator ---- */

#define WRAP(name, call_it)                                                                        \
    static enum ph_rule_result name(struct ph_rule_call *call, const struct ph_value *args,        \
                                    struct ph_value *out)                                          \
    {                                                                                              \
        return call_it;                                                                            \
    }
#define INT_BINARY(name)                                                                           \
    WRAP(int2_##name, int_binary(call, args, &type_int2, int_##name, out))                         \
    WRAP(int4_##name, int_binary(call, args, &type_int4, int_##name, out))                         \
    WRAP(int8_##name, int_binary(call, args, &type_int8, int_##name, out))
#define FLOAT_BINARY(name)                                                                         \
    WRAP(float4_##name, float_binary(call, args, TYPE_FLOAT4, float_##name, out))                  \
    WRAP(float8_##name, float_binary(call, args, TYPE_FLOAT8, float_##name, out))
#define UNARY(name)                                                                                \
    WRAP(int2_##name, int_##name(call, args, &type_int2, out))                                     \
    WRAP(int4_##name, int_##name(call, args, &type_int4, out))                                     \
    WRAP(int8_##name, int_##name(call, args, &type_int8, out))                                     \
    WRAP(float4_##name, float_##name(call, args, TYPE_FLOAT4, out))                                \
    WRAP(float8_##name, float_##name(call, args, TYPE_FLOAT8, out))
#define PREPARE(type, compare)                                                                     \
    static bool prepare_##type(struct ph_rule_call *call)                                          \
    {                                                                                              \
        return ph_op_prepare_constant(call, ph_cast_text_to_##type);                               \
    }                                                                                              \
    static bool prepare_divisor_##type(struct ph_rule_call *call)                                  \
    {                                                                                              \
        return ph_op_prepare_divisor(call, ph_cast_text_to_##type, compare);                       \
    }                                                                                              \
    static bool prepare_clamp_##type(struct ph_rule_call *call)                                    \
    {                                                                                              \
        return ph_op_prepare_clamp(call, ph_cast_text_to_##type, compare);                         \
    }
#define PREPARE_WIDTH(type, compare)                                                               \
    static bool prepare_width_##type(struct ph_rule_call *call)                                    \
    {                                                                                              \
        return ph_op_prepare_width(call, ph_cast_text_to_##type, compare);                         \
    }

INT_BINARY(add)
INT_BINARY(subtract)
INT_BINARY(multiply)
INT_BINARY(divide)
INT_BINARY(modulo)
INT_BINARY(bucket)
FLOAT_BINARY(add)
FLOAT_BINARY(subtract)
FLOAT_BINARY(multiply)
FLOAT_BINARY(divide)
WRAP(float8_bucket, float_binary(call, args, TYPE_FLOAT8, float_bucket, out))
UNARY(negate)
UNARY(abs)
WRAP(int_clamp, ph_op_clamp(call, args, int_compare, out))
WRAP(float_clamp, ph_op_clamp(call, args, float_compare, out))

PREPARE(int2, int_compare)
PREPARE(int4, int_compare)
PREPARE(int8, int_compare)
PREPARE(float4, float_compare)
PREPARE(float8, float_compare)
PREPARE_WIDTH(int2, int_compare)
PREPARE_WIDTH(int4, int_compare)
PREPARE_WIDTH(int8, int_compare)
PREPARE_WIDTH(float8, float_compare)

const struct ph_rule_op ph_number_ops[PH_NUMBER_OPS] = {
    INT_ROWS(int2),
    INT_ROWS(int4),
    INT_ROWS(int8),
    FLOAT_ROWS(float4),
    FLOAT_ROWS(float8),
    BUCKET("float8", BAD, float8_bucket, prepare_width_float8),
    PLAIN("round", "float8", 0, float8_round, "rounded half to even"),
};
