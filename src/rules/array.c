#include "rules/array.h"

#define ELEMENTS_MAX 134217727u /* of the server */

static enum ph_rule_result
bad(struct ph_rule_call *call)
{
    return ph_rule_bad(call, "not a valid array");
}

enum ph_rule_result
ph_array_take(struct ph_rule_call *call, const struct ph_value *value, struct ph_array *out)
{
    uint64_t n = 1;

    out->in = ph_cursor_of(value->data, (size_t)value->len);
    if (!ph_take_u32(&out->in, &out->n_dimensions) || !ph_take_u32(&out->in, &out->has_nulls) ||
        !ph_take_u32(&out->in, &out->element_type) || out->n_dimensions > PH_ARRAY_DIMENSIONS_MAX)
        return bad(call);
    for (uint32_t i = 0; i < out->n_dimensions; i++) {
        if (!ph_take_i32(&out->in, &out->lengths[i]) ||
            !ph_take_i32(&out->in, &out->lower_bounds[i]) || out->lengths[i] < 0)
            return bad(call);
        n *= (uint32_t)out->lengths[i];
        if (n > ELEMENTS_MAX)
            return bad(call);
    }
    out->n = out->n_dimensions == 0 ? 0 : (uint32_t)n;
    return ph_cursor_left(&out->in) < 4 * (size_t)out->n ? bad(call) : PH_RULE_OK;
}

enum ph_rule_result
ph_array_next(struct ph_rule_call *call, struct ph_array *array, struct ph_value *out)
{
    struct ph_span bytes;
    int32_t len;

    if (!ph_take_i32(&array->in, &len) || len < PH_VALUE_NULL)
        return bad(call);
    if (!ph_take_span(&array->in, len < 0 ? 0 : (size_t)len, &bytes))
        return bad(call);
    *out = (struct ph_value){bytes.data, len};
    array->n--;
    return PH_RULE_OK;
}

static void
put_u32(uint32_t value, struct ph_op_text *out)
{
    uint8_t bytes[4];

    ph_store_u32(bytes, value);
    ph_op_text_append(out, bytes, sizeof bytes);
}

void
ph_array_put_header(const struct ph_array *array, uint32_t element_type, struct ph_op_text *out)
{
    put_u32(array->n_dimensions, out);
    put_u32(array->has_nulls, out);
    put_u32(element_type, out);
    for (uint32_t i = 0; i < array->n_dimensions; i++) {
        put_u32((uint32_t)array->lengths[i], out);
        put_u32((uint32_t)array->lower_bounds[i], out);
    }
}

void
ph_array_put_element(const struct ph_value *value, struct ph_op_text *out)
{
    put_u32((uint32_t)value->len, out);
    if (value->len > 0)
        ph_op_text_append(out, value->data, (size_t)value->len);
}
