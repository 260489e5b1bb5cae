/*
 * Casts of arrays, element by element; their shape stays. The header of an array names its
 * elements' type: of character types it is `text`, unless the parameter names another.
 */
#include <stdlib.h>

#include "rules/array.h"
#include "rules/op_cast.h"
#include "rules/op_families.h"

/* pg_type's, fixed for ever. */
enum {
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_FLOAT8 = 701,
    OID_NUMERIC = 1700,
    OID_UUID = 2950
};

static enum ph_rule_result
cast_array(struct ph_rule_call *call, const struct ph_value *arg, ph_rule_run_fn *element,
           uint32_t element_type, struct ph_value *out)
{
    struct ph_op_text text = ph_op_text_of(call, 2 * (size_t)arg->len);
    struct ph_array array;

    PH_OP_TRY(ph_array_take(call, arg, &array));
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

/* ---- arrays of character types ---- */

static const struct {
    const char *name;
    uint32_t oid;
} text_types[] = {
    {"text", OID_TEXT}, {"varchar", 1043}, {"character varying", 1043},
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
    return OID_TEXT;
}

static enum ph_rule_result
cast_to_text_array(struct ph_rule_call *call, const struct ph_value *arg, ph_rule_run_fn *element,
                   struct ph_value *out)
{
    uint32_t type = call->n_params > 0 ? text_type(call->params[0]) : (uint32_t)OID_TEXT;

    return cast_array(call, arg, element, type, out);
}

#define TO_TEXT(name, element)                                                                     \
    static enum ph_rule_result name(struct ph_rule_call *call, const struct ph_value *args,        \
                                    struct ph_value *out)                                          \
    {                                                                                              \
        return cast_to_text_array(call, &args[0], element, out);                                   \
    }
#define ELEMENTS(name, element, type)                                                              \
    static enum ph_rule_result name(struct ph_rule_call *call, const struct ph_value *args,        \
                                    struct ph_value *out)                                          \
    {                                                                                              \
        return cast_array(call, &args[0], element, type, out);                                     \
    }

TO_TEXT(text_to_text, ph_cast_text_to_text)
TO_TEXT(int2_to_text, ph_cast_int2_to_text)
TO_TEXT(int4_to_text, ph_cast_int4_to_text)
TO_TEXT(int8_to_text, ph_cast_int8_to_text)
TO_TEXT(float8_to_text, ph_cast_float8_to_text)
TO_TEXT(numeric_to_text, ph_cast_numeric_to_text)
TO_TEXT(bool_to_text, ph_cast_bool_to_text)
TO_TEXT(uuid_to_text, ph_cast_uuid_to_text)
TO_TEXT(date_to_text, ph_cast_date_to_text)
TO_TEXT(timestamp_to_text, ph_cast_timestamp_to_text)
ELEMENTS(int2_to_int4, ph_cast_int2_to_int4, OID_INT4)
ELEMENTS(int2_to_int8, ph_cast_int2_to_int8, OID_INT8)
ELEMENTS(int4_to_int2, ph_cast_int4_to_int2, OID_INT2)
ELEMENTS(int4_to_int8, ph_cast_int4_to_int8, OID_INT8)
ELEMENTS(int8_to_int4, ph_cast_int8_to_int4, OID_INT4)
ELEMENTS(int4_to_float8, ph_cast_int4_to_float8, OID_FLOAT8)
ELEMENTS(int4_to_numeric, ph_cast_int4_to_numeric, OID_NUMERIC)
ELEMENTS(int8_to_numeric, ph_cast_int8_to_numeric, OID_NUMERIC)
ELEMENTS(float4_to_float8, ph_cast_float4_to_float8, OID_FLOAT8)
ELEMENTS(float8_to_numeric, ph_cast_float8_to_numeric, OID_NUMERIC)
ELEMENTS(numeric_to_int4, ph_cast_numeric_to_int4, OID_INT4)
ELEMENTS(numeric_to_int8, ph_cast_numeric_to_int8, OID_INT8)
ELEMENTS(numeric_to_float8, ph_cast_numeric_to_float8, OID_FLOAT8)
ELEMENTS(text_to_int4, ph_cast_text_to_int4, OID_INT4)
ELEMENTS(text_to_int8, ph_cast_text_to_int8, OID_INT8)
ELEMENTS(text_to_numeric, ph_cast_text_to_numeric, OID_NUMERIC)
ELEMENTS(text_to_float8, ph_cast_text_to_float8, OID_FLOAT8)
ELEMENTS(text_to_uuid, ph_cast_text_to_uuid, OID_UUID)

#define ROW(signature, flags, run)                                                                 \
    {                                                                                              \
        "cast", signature, "type?", flags, run, ph_cast_prepare, NULL,                             \
            "every element as `cast` does"                                                         \
    }
#define SAME PH_RULE_INJECTIVE
#define BAD PH_RULE_MAY_BAD

const struct ph_rule_op ph_cast_array_ops[PH_CAST_ARRAY_OPS] = {
    ROW("text[] -> text[]", SAME, text_to_text),
    ROW("int2[] -> text[]", SAME, int2_to_text),
    ROW("int4[] -> text[]", SAME, int4_to_text),
    ROW("int8[] -> text[]", SAME, int8_to_text),
    ROW("float8[] -> text[]", SAME, float8_to_text),
    ROW("numeric[] -> text[]", SAME, numeric_to_text),
    ROW("bool[] -> text[]", SAME, bool_to_text),
    ROW("uuid[] -> text[]", SAME, uuid_to_text),
    ROW("date[] -> text[]", SAME, date_to_text),
    ROW("timestamp[] -> text[]", SAME, timestamp_to_text),
    ROW("int2[] -> int4[]", SAME, int2_to_int4),
    ROW("int2[] -> int8[]", SAME, int2_to_int8),
    ROW("int4[] -> int2[]", SAME | BAD, int4_to_int2),
    ROW("int4[] -> int8[]", SAME, int4_to_int8),
    ROW("int8[] -> int4[]", SAME | BAD, int8_to_int4),
    ROW("int4[] -> float8[]", SAME, int4_to_float8),
    ROW("int4[] -> numeric[]", SAME, int4_to_numeric),
    ROW("int8[] -> numeric[]", SAME, int8_to_numeric),
    ROW("float4[] -> float8[]", SAME, float4_to_float8),
    ROW("float8[] -> numeric[]", 0, float8_to_numeric),
    ROW("numeric[] -> int4[]", BAD, numeric_to_int4),
    ROW("numeric[] -> int8[]", BAD, numeric_to_int8),
    ROW("numeric[] -> float8[]", BAD, numeric_to_float8),
    ROW("text[] -> int4[]", BAD, text_to_int4),
    ROW("text[] -> int8[]", BAD, text_to_int8),
    ROW("text[] -> numeric[]", BAD, text_to_numeric),
    ROW("text[] -> float8[]", BAD, text_to_float8),
    ROW("text[] -> uuid[]", BAD, text_to_uuid),
};
