/*
 * Casts between numbers, and of bool and int4: PostgreSQL's rounding (to even of floats, half away
 * from zero of numeric) and its ranges. One function reads the source's type, one writes the
 * target's; a row is a pair of them.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "rules/num.h"
#include "rules/op_cast.h"
#include "rules/op_families.h"
#include "rules/shortest.h"

#define INT8_BOUND 9223372036854775808.0 /* 2^63 */

bool
ph_cast_prepare(struct ph_rule_call *call)
{
    return ph_op_params(call, 0, 1);
}

/* ---- from integers ---- */

static enum ph_rule_result
int_to_int2(struct ph_rule_call *call, int64_t value, struct ph_value *out)
{
    if (value < INT16_MIN || value > INT16_MAX)
        return ph_rule_bad(call, "out of range of int2");
    return ph_op_give_i16(call, (int16_t)value, out);
}

static enum ph_rule_result
int_to_int4(struct ph_rule_call *call, int64_t value, struct ph_value *out)
{
    if (value < INT32_MIN || value > INT32_MAX)
        return ph_rule_bad(call, "out of range of int4");
    return ph_op_give_i32(call, (int32_t)value, out);
}

static enum ph_rule_result
int_to_int8(struct ph_rule_call *call, int64_t value, struct ph_value *out)
{
    return ph_op_give_i64(call, value, out);
}

static enum ph_rule_result
int_to_float4(struct ph_rule_call *call, int64_t value, struct ph_value *out)
{
    return ph_op_give_f4(call, (float)value, out);
}

static enum ph_rule_result
int_to_float8(struct ph_rule_call *call, int64_t value, struct ph_value *out)
{
    return ph_op_give_f8(call, (double)value, out);
}

static enum ph_rule_result
int_to_numeric(struct ph_rule_call *call, int64_t value, struct ph_value *out)
{
    struct ph_num num;

    PH_OP_TRY(ph_num_of_int(call, value, &num));
    return ph_num_give(call, &num, out);
}

static enum ph_rule_result
int_to_bool(struct ph_rule_call *call, int64_t value, struct ph_value *out)
{
    return ph_op_give_bool(call, value != 0, out);
}

/* ---- from floats ---- */

/* Rounded to even, if it is within [-bound, bound). */
static enum ph_rule_result
float_to_int(struct ph_rule_call *call, double value, double bound, int64_t *out)
{
    value = rint(value);
    if (isnan(value) || value < -bound || value >= bound)
        return ph_rule_bad(call, "out of range of the integer type");
    *out = (int64_t)value;
    return PH_RULE_OK;
}

static enum ph_rule_result
float_to_int2(struct ph_rule_call *call, double value, struct ph_value *out)
{
    int64_t whole;

    PH_OP_TRY(float_to_int(call, value, 32768.0, &whole));
    return ph_op_give_i16(call, (int16_t)whole, out);
}

static enum ph_rule_result
float_to_int4(struct ph_rule_call *call, double value, struct ph_value *out)
{
    int64_t whole;

    PH_OP_TRY(float_to_int(call, value, 2147483648.0, &whole));
    return ph_op_give_i32(call, (int32_t)whole, out);
}

static enum ph_rule_result
float_to_int8(struct ph_rule_call *call, double value, struct ph_value *out)
{
    int64_t whole;

    PH_OP_TRY(float_to_int(call, value, INT8_BOUND, &whole));
    return ph_op_give_i64(call, whole, out);
}

static enum ph_rule_result
float_to_float4(struct ph_rule_call *call, double value, struct ph_value *out)
{
    float narrow = (float)value;

    if (isinf(narrow) && !isinf(value))
        return ph_rule_bad(call, "out of range of float4");
    if (narrow == 0 && value != 0)
        return ph_rule_bad(call, "too small for float4");
    return ph_op_give_f4(call, narrow, out);
}

static enum ph_rule_result
float_to_float8(struct ph_rule_call *call, double value, struct ph_value *out)
{
    return ph_op_give_f8(call, value, out);
}

/* With as many digits as are certain. */
static enum ph_rule_result
print_to_numeric(struct ph_rule_call *call, double value, int digits, struct ph_value *out)
{
    char text[64];
    struct ph_num num;

    if (isnan(value) || isinf(value))
        num = (struct ph_num){.kind = isnan(value) ? PH_NUM_NAN
                                      : value > 0  ? PH_NUM_PLUS_INFINITY
                                                   : PH_NUM_MINUS_INFINITY};
    else {
        int len = snprintf(text, sizeof text, "%.*g", digits, value);
        struct ph_span span = {(const uint8_t *)text, (size_t)len};
        PH_OP_TRY(ph_num_parse(call, span, &num));
    }
    return ph_num_give(call, &num, out);
}

static enum ph_rule_result
float8_to_numeric(struct ph_rule_call *call, double value, struct ph_value *out)
{
    return print_to_numeric(call, value, DBL_DIG, out);
}

static enum ph_rule_result
float4_to_numeric(struct ph_rule_call *call, double value, struct ph_value *out)
{
    return print_to_numeric(call, value, FLT_DIG, out);
}

/* ---- from numeric ---- */

static enum ph_rule_result
numeric_to_int2(struct ph_rule_call *call, struct ph_num num, struct ph_value *out)
{
    int64_t whole;

    PH_OP_TRY(ph_num_to_int(call, &num, INT16_MIN, INT16_MAX, &whole));
    return ph_op_give_i16(call, (int16_t)whole, out);
}

static enum ph_rule_result
numeric_to_int4(struct ph_rule_call *call, struct ph_num num, struct ph_value *out)
{
    int64_t whole;

    PH_OP_TRY(ph_num_to_int(call, &num, INT32_MIN, INT32_MAX, &whole));
    return ph_op_give_i32(call, (int32_t)whole, out);
}

static enum ph_rule_result
numeric_to_int8(struct ph_rule_call *call, struct ph_num num, struct ph_value *out)
{
    int64_t whole;

    PH_OP_TRY(ph_num_to_int(call, &num, INT64_MIN, INT64_MAX, &whole));
    return ph_op_give_i64(call, whole, out);
}

/* By its text, as the server does. */
static enum ph_rule_result
numeric_by_text(struct ph_rule_call *call, const struct ph_num *num, ph_rule_run_fn *from_text,
                struct ph_value *out)
{
    struct ph_op_text text = ph_op_text_of(call, 64);
    struct ph_value value;

    ph_num_put(num, &text);
    PH_OP_TRY(ph_op_text_give(&text, &value));
    return from_text(call, &value, out);
}

static enum ph_rule_result
numeric_to_float4(struct ph_rule_call *call, struct ph_num num, struct ph_value *out)
{
    return numeric_by_text(call, &num, ph_cast_text_to_float4, out);
}

static enum ph_rule_result
numeric_to_float8(struct ph_rule_call *call, struct ph_num num, struct ph_value *out)
{
    return numeric_by_text(call, &num, ph_cast_text_to_float8, out);
}

/* ---- rows ---- */

enum ph_rule_result
ph_cast_bool_to_int4(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    bool value;

    PH_OP_TRY(ph_op_take_bool(call, &args[0], &value));
    return ph_op_give_i32(call, value, out);
}

#define CAST(name, type, take, give)                                                               \
    enum ph_rule_result name(struct ph_rule_call *call, const struct ph_value *args,               \
                             struct ph_value *out)                                                 \
    {                                                                                              \
        type value;                                                                                \
        PH_OP_TRY(take(call, &args[0], &value));                                                   \
        return give(call, value, out);                                                             \
    }

CAST(ph_cast_int2_to_int4, int16_t, ph_op_take_i16, int_to_int4)
CAST(ph_cast_int2_to_int8, int16_t, ph_op_take_i16, int_to_int8)
CAST(ph_cast_int2_to_float4, int16_t, ph_op_take_i16, int_to_float4)
CAST(ph_cast_int2_to_float8, int16_t, ph_op_take_i16, int_to_float8)
CAST(ph_cast_int2_to_numeric, int16_t, ph_op_take_i16, int_to_numeric)
CAST(ph_cast_int4_to_int2, int32_t, ph_op_take_i32, int_to_int2)
CAST(ph_cast_int4_to_int8, int32_t, ph_op_take_i32, int_to_int8)
CAST(ph_cast_int4_to_float4, int32_t, ph_op_take_i32, int_to_float4)
CAST(ph_cast_int4_to_float8, int32_t, ph_op_take_i32, int_to_float8)
CAST(ph_cast_int4_to_numeric, int32_t, ph_op_take_i32, int_to_numeric)
CAST(ph_cast_int4_to_bool, int32_t, ph_op_take_i32, int_to_bool)
CAST(ph_cast_int8_to_int2, int64_t, ph_op_take_i64, int_to_int2)
CAST(ph_cast_int8_to_int4, int64_t, ph_op_take_i64, int_to_int4)
CAST(ph_cast_int8_to_float4, int64_t, ph_op_take_i64, int_to_float4)
CAST(ph_cast_int8_to_float8, int64_t, ph_op_take_i64, int_to_float8)
CAST(ph_cast_int8_to_numeric, int64_t, ph_op_take_i64, int_to_numeric)
CAST(ph_cast_float4_to_int2, float, ph_op_take_f4, float_to_int2)
CAST(ph_cast_float4_to_int4, float, ph_op_take_f4, float_to_int4)
CAST(ph_cast_float4_to_int8, float, ph_op_take_f4, float_to_int8)
CAST(ph_cast_float4_to_float8, float, ph_op_take_f4, float_to_float8)
CAST(ph_cast_float4_to_numeric, float, ph_op_take_f4, float4_to_numeric)
CAST(ph_cast_float8_to_int2, double, ph_op_take_f8, float_to_int2)
CAST(ph_cast_float8_to_int4, double, ph_op_take_f8, float_to_int4)
CAST(ph_cast_float8_to_int8, double, ph_op_take_f8, float_to_int8)
CAST(ph_cast_float8_to_float4, double, ph_op_take_f8, float_to_float4)
CAST(ph_cast_float8_to_numeric, double, ph_op_take_f8, float8_to_numeric)
CAST(ph_cast_numeric_to_int2, struct ph_num, ph_num_take, numeric_to_int2)
CAST(ph_cast_numeric_to_int4, struct ph_num, ph_num_take, numeric_to_int4)
CAST(ph_cast_numeric_to_int8, struct ph_num, ph_num_take, numeric_to_int8)
CAST(ph_cast_numeric_to_float4, struct ph_num, ph_num_take, numeric_to_float4)
CAST(ph_cast_numeric_to_float8, struct ph_num, ph_num_take, numeric_to_float8)

const struct ph_rule_op ph_cast_number_ops[] = {PH_CASTS_OF_NUMBERS(PH_CAST_ROW)};
