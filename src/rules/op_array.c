/*
 * Arrays: their length, one element, all of them joined.
 */
#include <stdlib.h>

#include "rules/array.h"
#include "rules/op_cast.h"
#include "rules/op_families.h"

static bool
prepare_position(struct ph_rule_call *call, uint32_t least, const char *what, int64_t missing)
{
    int64_t value = missing;

    if (!ph_op_params(call, least, 1) ||
        (call->n_params > 0 && !ph_op_param_int(call, 0, what, INT32_MIN, INT32_MAX, &value)))
        return false;
    int64_t *state = malloc(sizeof *state);
    if (state == NULL)
        return ph_op_refuse(call, "out of memory");
    *state = value;
    call->state = state;
    return true;
}

static bool
prepare_length(struct ph_rule_call *call)
{
    return prepare_position(call, 0, "dimension", 1);
}

static bool
prepare_element(struct ph_rule_call *call)
{
    return prepare_position(call, 1, "position", 0);
}

/* NULL where there is no such dimension, so for an empty array. */
static enum ph_rule_result
array_length(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const int64_t *dimension = call->state;
    struct ph_array array;

    PH_OP_TRY(ph_array_take(call, &args[0], &array));
    if (*dimension < 1 || *dimension > array.n_dimensions)
        return ph_op_give_null(out);
    return ph_op_give_i32(call, array.lengths[*dimension - 1], out);
}

/* By the array's own subscripts, which mostly begin at 1. */
static enum ph_rule_result
array_element(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const int64_t *position = call->state;
    struct ph_array array;

    PH_OP_TRY(ph_array_take(call, &args[0], &array));
    if (array.n_dimensions != 1 || *position < array.lower_bounds[0] ||
        *position >= (int64_t)array.lower_bounds[0] + array.lengths[0])
        return ph_op_give_null(out);
    for (int64_t skipped = *position - array.lower_bounds[0]; skipped >= 0; skipped--)
        PH_OP_TRY(ph_array_next(call, &array, out));
    return PH_RULE_OK;
}

static bool
prepare_join(struct ph_rule_call *call)
{
    return ph_op_params(call, 1, 2);
}

/* array_to_string: NULLs are left out, or are what the second parameter says. */
static enum ph_rule_result
join(struct ph_rule_call *call, const struct ph_value *arg, ph_rule_run_fn *to_text,
     struct ph_value *out)
{
    struct ph_span separator = ph_op_param_text(call, 0);
    struct ph_op_text text = ph_op_text_of(call, (size_t)arg->len);
    bool is_first = true;
    struct ph_array array;

    PH_OP_TRY(ph_array_take(call, arg, &array));
    while (array.n > 0) {
        struct ph_value value;
        PH_OP_TRY(ph_array_next(call, &array, &value));
        if (value.len < 0 && call->n_params < 2)
            continue;
        if (!is_first)
            ph_op_text_append(&text, separator.data, separator.len);
        is_first = false;
        if (value.len < 0) {
            ph_op_text_puts(&text, call->params[1]);
        } else {
            PH_OP_TRY(to_text(call, &value, &value));
            ph_op_text_append(&text, value.data, (size_t)value.len);
        }
    }
    return ph_op_text_give(&text, out);
}

#define JOIN(type)                                                                                 \
    static enum ph_rule_result join_##type(struct ph_rule_call *call, const struct ph_value *args, \
                                           struct ph_value *out)                                   \
    {                                                                                              \
        return join(call, &args[0], ph_cast_##type##_to_text, out);                                \
    }

JOIN(text)
JOIN(int2)
JOIN(int4)
JOIN(int8)
JOIN(float8)
JOIN(numeric)
JOIN(uuid)
JOIN(date)

#define JOIN_ROW(type)                                                                             \
    {                                                                                              \
        "array_join", #type "[] -> text", "separator, null?", 0, join_##type, prepare_join, NULL,  \
            "the elements as text, with the separator between"                                     \
    }

const struct ph_rule_op ph_array_ops[PH_ARRAY_OPS] = {
    {"array_length", "any[] -> int4", "dimension?", PH_RULE_MAY_NULL, array_length, prepare_length,
     ph_op_free_state, "the number of elements; NULL for an empty array"},
    {"array_element", "any[] -> any", "position", PH_RULE_MAY_NULL, array_element, prepare_element,
     ph_op_free_state, "the element at that subscript; NULL when there is none"},
    JOIN_ROW(text),
    JOIN_ROW(int2),
    JOIN_ROW(int4),
    JOIN_ROW(int8),
    JOIN_ROW(float8),
    JOIN_ROW(numeric),
    JOIN_ROW(uuid),
    JOIN_ROW(date),
};
