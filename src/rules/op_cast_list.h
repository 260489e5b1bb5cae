/*
 * All casts of one value: X(from, to, run, flags, help), where the operator runs ph_cast_<run>. The
 * tables of op_cast*.c are made of these lists, and that of arrays of all of them: what can be cast
 * by itself can be cast as an element.
 */
#ifndef PH_RULES_OP_CAST_LIST_H
#define PH_RULES_OP_CAST_LIST_H

#define PH_CAST_SAME PH_RULE_INJECTIVE
#define PH_CAST_SAME_OR_BAD (PH_RULE_INJECTIVE | PH_RULE_MAY_BAD)

#define PH_CASTS_OF_NUMBERS(X)                                                                     \
    X(int2, int4, int2_to_int4, PH_CAST_SAME, "the same number")                                   \
    X(int2, int8, int2_to_int8, PH_CAST_SAME, "the same number")                                   \
    X(int2, float4, int2_to_float4, PH_CAST_SAME, "the same number")                               \
    X(int2, float8, int2_to_float8, PH_CAST_SAME, "the same number")                               \
    X(int2, numeric, int2_to_numeric, PH_CAST_SAME, "the same number")                             \
    X(int4, int2, int4_to_int2, PH_CAST_SAME_OR_BAD, "the same number, bad when out of range")     \
    X(int4, int8, int4_to_int8, PH_CAST_SAME, "the same number")                                   \
    X(int4, float4, int4_to_float4, 0, "the nearest number")                                       \
    X(int4, float8, int4_to_float8, PH_CAST_SAME, "the same number")                               \
    X(int4, numeric, int4_to_numeric, PH_CAST_SAME, "the same number")                             \
    X(int8, int2, int8_to_int2, PH_CAST_SAME_OR_BAD, "the same number, bad when out of range")     \
    X(int8, int4, int8_to_int4, PH_CAST_SAME_OR_BAD, "the same number, bad when out of range")     \
    X(int8, float4, int8_to_float4, 0, "the nearest number")                                       \
    X(int8, float8, int8_to_float8, 0, "the nearest number")                                       \
    X(int8, numeric, int8_to_numeric, PH_CAST_SAME, "the same number")                             \
    X(float4, int2, float4_to_int2, PH_RULE_MAY_BAD,                                               \
      "rounded half to even, bad when out of range")                                               \
    X(float4, int4, float4_to_int4, PH_RULE_MAY_BAD,                                               \
      "rounded half to even, bad when out of range")                                               \
    X(float4, int8, float4_to_int8, PH_RULE_MAY_BAD,                                               \
      "rounded half to even, bad when out of range")                                               \
    X(float4, float8, float4_to_float8, PH_CAST_SAME, "the same number")                           \
    X(float4, numeric, float4_to_numeric, 0, "with the 6 digits that are certain")                 \
    X(float8, int2, float8_to_int2, PH_RULE_MAY_BAD,                                               \
      "rounded half to even, bad when out of range")                                               \
    X(float8, int4, float8_to_int4, PH_RULE_MAY_BAD,                                               \
      "rounded half to even, bad when out of range")                                               \
    X(float8, int8, float8_to_int8, PH_RULE_MAY_BAD,                                               \
      "rounded half to even, bad when out of range")                                               \
    X(float8, float4, float8_to_float4, PH_RULE_MAY_BAD,                                           \
      "the nearest number, bad when out of range")                                                 \
    X(float8, numeric, float8_to_numeric, 0, "with the 15 digits that are certain")                \
    X(numeric, int2, numeric_to_int2, PH_RULE_MAY_BAD,                                             \
      "rounded half away from zero, bad when out of range")                                        \
    X(numeric, int4, numeric_to_int4, PH_RULE_MAY_BAD,                                             \
      "rounded half away from zero, bad when out of range")                                        \
    X(numeric, int8, numeric_to_int8, PH_RULE_MAY_BAD,                                             \
      "rounded half away from zero, bad when out of range")                                        \
    X(numeric, float4, numeric_to_float4, PH_RULE_MAY_BAD,                                         \
      "the nearest number, bad when out of range")                                                 \
    X(numeric, float8, numeric_to_float8, PH_RULE_MAY_BAD,                                         \
      "the nearest number, bad when out of range")                                                 \
    X(bool, int4, bool_to_int4, PH_CAST_SAME, "1 for true, 0 for false")                           \
    X(int4, bool, int4_to_bool, 0, "false for 0, true otherwise")

#define PH_CASTS_OF_TEXT(X)                                                                        \
    X(text, text, text_to_text, PH_RULE_INJECTIVE, "the same text")                                \
    X(int2, text, int2_to_text, PH_RULE_INJECTIVE, "decimal digits")                               \
    X(int4, text, int4_to_text, PH_RULE_INJECTIVE, "decimal digits")                               \
    X(int8, text, int8_to_text, PH_RULE_INJECTIVE, "decimal digits")                               \
    X(float4, text, float4_to_text, PH_RULE_INJECTIVE,                                             \
      "the fewest digits that read back as the same")                                              \
    X(float8, text, float8_to_text, PH_RULE_INJECTIVE,                                             \
      "the fewest digits that read back as the same")                                              \
    X(numeric, text, numeric_to_text, PH_RULE_INJECTIVE, "decimal digits")                         \
    X(bool, text, bool_to_text, PH_RULE_INJECTIVE, "true or false")                                \
    X(uuid, text, uuid_to_text, PH_RULE_INJECTIVE, "the usual form, in lower case")                \
    X(bytea, text, bytea_to_text, PH_RULE_INJECTIVE, "\\x and hexadecimal digits")                 \
    X(text, int2, text_to_int2, PH_RULE_MAY_BAD, "decimal digits; bad when it is anything else")   \
    X(text, int4, text_to_int4, PH_RULE_MAY_BAD, "decimal digits; bad when it is anything else")   \
    X(text, int8, text_to_int8, PH_RULE_MAY_BAD, "decimal digits; bad when it is anything else")   \
    X(text, float4, text_to_float4, PH_RULE_MAY_BAD, "the nearest number; bad when it is none")    \
    X(text, float8, text_to_float8, PH_RULE_MAY_BAD, "the nearest number; bad when it is none")    \
    X(text, numeric, text_to_numeric, PH_RULE_MAY_BAD, "the number; bad when it is none")          \
    X(text, bool, text_to_bool, PH_RULE_MAY_BAD,                                                   \
      "true, yes, on, 1, false, no, off, 0 or their begin")                                        \
    X(text, uuid, text_to_uuid, PH_RULE_MAY_BAD, "hexadecimal digits with or without hyphens")     \
    X(text, bytea, text_to_bytea, PH_RULE_MAY_BAD, "\\x and hexadecimal digits, or bytea's escapes")

#define PH_CASTS_OF_TIMES(X)                                                                       \
    X(date, timestamp, date_to_timestamp, PH_RULE_INJECTIVE | PH_RULE_MAY_BAD, "its midnight")     \
    X(timestamp, date, timestamp_to_date, 0, "its day")                                            \
    X(date, text, date_to_text, PH_RULE_INJECTIVE, "YYYY-MM-DD")                                   \
    X(timestamp, text, timestamp_to_text, PH_RULE_INJECTIVE, "YYYY-MM-DD HH:MM:SS")                \
    X(text, date, text_to_date, PH_RULE_MAY_BAD, "the ISO form")                                   \
    X(text, timestamp, text_to_timestamp, PH_RULE_MAY_BAD, "the ISO form")

/* Their second parameter is a zone. */
#define PH_CASTS_IN_A_ZONE(X)                                                                      \
    X(date, timestamptz, date_to_timestamptz, PH_RULE_MAY_BAD, "midnight in the zone")             \
    X(timestamptz, date, timestamptz_to_date, 0, "its day in the zone")                            \
    X(timestamp, timestamptz, timestamp_to_timestamptz, PH_RULE_MAY_BAD,                           \
      "the moment when clocks of the zone show it")                                                \
    X(timestamptz, timestamp, timestamptz_to_timestamp, PH_RULE_MAY_BAD,                           \
      "what clocks of the zone show then")                                                         \
    X(timestamptz, text, timestamptz_to_text, PH_RULE_INJECTIVE,                                   \
      "YYYY-MM-DD HH:MM:SS+OO in the zone")                                                        \
    X(text, timestamptz, text_to_timestamptz, PH_RULE_MAY_BAD,                                     \
      "the ISO form; in the zone when no offset is said")

#define PH_CASTS_OF_JSON(X)                                                                        \
    X(json, text, text_to_text, PH_RULE_INJECTIVE, "its text")                                     \
    X(jsonb, text, from_jsonb, PH_RULE_INJECTIVE, "its text")                                      \
    X(jsonb, json, from_jsonb, PH_RULE_INJECTIVE, "its text")                                      \
    X(text, json, text_to_json, PH_RULE_MAY_BAD | PH_RULE_INJECTIVE,                               \
      "the same text; bad when it is not JSON")                                                    \
    X(text, jsonb, to_jsonb, PH_RULE_MAY_BAD, "the same JSON; bad when it is none")                \
    X(json, jsonb, to_jsonb, PH_RULE_MAY_BAD, "the same JSON")

#define PH_CASTS_WITHOUT_ZONE(X)                                                                   \
    PH_CASTS_OF_NUMBERS(X)                                                                         \
    PH_CASTS_OF_TEXT(X)                                                                            \
    PH_CASTS_OF_TIMES(X)                                                                           \
    PH_CASTS_OF_JSON(X)

#endif
