/*
 * NULL in place of a value, and a value in place of NULL.
 */
#include "rules/num.h"
#include "rules/op_cast.h"
#include "rules/op_constants.h"
#include "rules/op_families.h"

static enum ph_rule_result
default_value(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    (void)call;
    *out = args[0].len == PH_VALUE_NULL ? args[1] : args[0];
    return PH_RULE_OK;
}

static enum ph_rule_result
null_if_empty(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    (void)call;
    *out = args[0].len == 0 ? (struct ph_value){NULL, PH_VALUE_NULL} : args[0];
    return PH_RULE_OK;
}

static enum ph_rule_result
coalesce(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    uint32_t i = 0;

    while (i + 1 < call->n_args && args[i].len == PH_VALUE_NULL)
        i++;
    *out = args[i];
    return PH_RULE_OK;
}

/* ---- null_if: state is the value ---- */

/* Types whose equal values have equal bytes. */
static enum ph_rule_result
null_if_bytes(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct ph_value *wanted = call->state;
    bool is_equal =
        args[0].len == wanted->len &&
        (wanted->len == 0 || memcmp(args[0].data, wanted->data, (size_t)wanted->len) == 0);

    *out = is_equal ? (struct ph_value){NULL, PH_VALUE_NULL} : args[0];
    return PH_RULE_OK;
}

static enum ph_rule_result
null_if_numeric(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_num value;
    struct ph_num wanted;

    PH_OP_TRY(ph_num_take(call, &args[0], &value));
    PH_OP_TRY(ph_num_take(call, call->state, &wanted));
    *out = ph_num_compare(&value, &wanted) == 0 ? (struct ph_value){NULL, PH_VALUE_NULL} : args[0];
    return PH_RULE_OK;
}

#define PREPARE(type)                                                                              \
    static bool prepare_##type(struct ph_rule_call *call)                                          \
    {                                                                                              \
        return ph_op_prepare_constant(call, ph_cast_text_to_##type);                               \
    }

PREPARE(text)
PREPARE(int2)
PREPARE(int4)
PREPARE(int8)
PREPARE(numeric)
PREPARE(bool)
PREPARE(uuid)
PREPARE(date)
PREPARE(timestamp)
PREPARE(timestamptz)

#define NULL_IF(type, run)                                                                         \
    {                                                                                              \
        "null_if", #type " -> " #type, "value", PH_RULE_MAY_NULL, run, prepare_##type,             \
            ph_op_free_state, "NULL instead of that value"                                         \
    }

const struct ph_rule_op ph_null_ops[PH_NULL_OPS] = {
    {"default", "any, any -> any", NULL, PH_RULE_TAKES_NULL, default_value, NULL, NULL,
     "the second instead of NULL"},
    {"coalesce", "any, any... -> any", NULL, PH_RULE_TAKES_NULL, coalesce, NULL, NULL,
     "the first that is not NULL"},
    {"null_if_empty", "text -> text", NULL, PH_RULE_MAY_NULL, null_if_empty, NULL, NULL,
     "NULL instead of an empty text"},
    NULL_IF(text, null_if_bytes),
    NULL_IF(int2, null_if_bytes),
    NULL_IF(int4, null_if_bytes),
    NULL_IF(int8, null_if_bytes),
    NULL_IF(numeric, null_if_numeric),
    NULL_IF(bool, null_if_bytes),
    NULL_IF(uuid, null_if_bytes),
    NULL_IF(date, null_if_bytes),
    NULL_IF(timestamp, null_if_bytes),
    NULL_IF(timestamptz, null_if_bytes),
};
