/*
 * Casts of arrays, element by element, one for each cast of a value; their shape stays. The header
 * of an array names its elements' type: of character types it is `text`, unless the parameter names
 * another.
 */
#include <stdlib.h>

#include "rules/array.h"
#include "rules/op_cast.h"
#include "rules/op_families.h"

/* pg_type's, fixed for ever. */
enum {
    OID_bool = 16,
    OID_bytea = 17,
    OID_int8 = 20,
    OID_int2 = 21,
    OID_int4 = 23,
    OID_text = 25,
    OID_json = 114,
    OID_float4 = 700,
    OID_float8 = 701,
    OID_date = 1082,
    OID_timestamp = 1114,
    OID_timestamptz = 1184,
    OID_numeric = 1700,
    OID_uuid = 2950,
    OID_jsonb = 3802
};

static const struct {
    const char *name;
    uint32_t oid;
} text_types[] = {
    {"text", OID_text}, {"varchar", 1043}, {"character varying", 1043},
    {"bpchar", 1042},   {"char", 1042},    {"character", 1042},
    {"name", 19},
};

/* Of "varchar(20)[]" or "varchar"; `text` when it is none of those above. */
static uint32_t
text_type(const char *name)
{
    size_t len = strcspn(name, "([");

    for (size_t i = 0; i < sizeof text_types / sizeof text_types[0]; i++) {
        struct ph_span span = {(const uint8_t *)name, len};
        if (ph_op_is_word(span, text_types[i].name))
            return text_types[i].oid;
    }
    return OID_text;
}

/* By the elements: the header may say so of an array that lost its NULLs. */
static enum ph_rule_result
look_for_nulls(struct ph_rule_call *call, struct ph_array array, uint32_t *found)
{
    struct ph_value value;

    *found = 0;
    while (array.n > 0) {
        PH_OP_TRY(ph_array_next(call, &array, &value));
        *found |= value.len < 0;
    }
    return PH_RULE_OK;
}

static enum ph_rule_result
cast_array(struct ph_rule_call *call, const struct ph_value *arg, ph_rule_run_fn *element,
           uint32_t element_type, struct ph_value *out)
{
    struct ph_op_text text = ph_op_text_of(call, 2 * (size_t)arg->len);
    struct ph_array array;

    if (element_type == OID_text && call->n_params > 0)
        element_type = text_type(call->params[0]);
    PH_OP_TRY(ph_array_take(call, arg, &array));
    PH_OP_TRY(look_for_nulls(call, array, &array.has_nulls));
    ph_array_put_header(&array, element_type, &text);
    while (array.n > 0) {
        struct ph_value value;
        PH_OP_TRY(ph_array_next(call, &array, &value));
        if (value.len >= 0)
            PH_OP_TRY(element(call, &value, &value));
        ph_array_put_element(&value, &text);
    }
    return ph_op_text_give(&text, out);
}

#define ELEMENTS(from, to, run, flags, help)                                                       \
    static enum ph_rule_result from##_elements_to_##to(                                            \
        struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)              \
    {                                                                                              \
        return cast_array(call, &args[0], ph_cast_##run, OID_##to, out);                           \
    }

PH_CASTS_WITHOUT_ZONE(ELEMENTS)
PH_CASTS_IN_A_ZONE(ELEMENTS)

#define ROW(from, to, run, flags, help)                                                            \
    {"cast", #from "[] -> " #to "[]",       "type?",                                               \
     flags,  from##_elements_to_##to,       ph_cast_prepare,                                       \
     NULL,   "every element as `cast` does"},
#define ZONED_ROW(from, to, run, flags, help)                                                      \
    {"cast",                                                                                       \
     #from "[] -> " #to "[]",                                                                      \
     "type?, zone?",                                                                               \
     flags,                                                                                        \
     from##_elements_to_##to,                                                                      \
     ph_cast_prepare_zone,                                                                         \
     ph_cast_release_zone,                                                                         \
     "every element as `cast` does"},

const struct ph_rule_op ph_cast_array_ops[] = {PH_CASTS_WITHOUT_ZONE(ROW)
                                                   PH_CASTS_IN_A_ZONE(ZONED_ROW)};
