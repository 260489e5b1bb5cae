/*
 * Casts of json, jsonb and text. A jsonb's send format is a version and what jsonb_out prints; the
 * server reads that again and would print it the same, so it is printed here as the server does:
 * the digest of what is sent is then the digest of what is read back.
 */
#include "rules/json_tree.h"
#include "rules/op_cast.h"
#include "rules/op_families.h"

static enum ph_rule_result
text_to_json(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_json *node;

    PH_OP_TRY(ph_json_parse(call, ph_op_span(&args[0]), PH_JSON_AS_JSON, &node));
    return ph_op_give(call, args[0].data, (size_t)args[0].len, out);
}

static enum ph_rule_result
to_jsonb(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_json *node;

    PH_OP_TRY(ph_json_parse(call, ph_op_span(&args[0]), PH_JSON_AS_JSONB, &node));
    return ph_jsonb_give(call, node, out);
}

static enum ph_rule_result
from_jsonb(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_span text;

    PH_OP_TRY(ph_jsonb_text(call, &args[0], &text));
    return ph_op_give(call, text.data, text.len, out);
}

#define ROW(signature, flags, run, help)                                                           \
    {                                                                                              \
        "cast", signature, "type?", flags, run, ph_cast_prepare, NULL, help                        \
    }

const struct ph_rule_op ph_cast_json_ops[PH_CAST_JSON_OPS] = {
    ROW("json -> text", PH_RULE_INJECTIVE, ph_cast_text_to_text, "its text"),
    ROW("jsonb -> text", PH_RULE_INJECTIVE, from_jsonb, "its text"),
    ROW("jsonb -> json", PH_RULE_INJECTIVE, from_jsonb, "its text"),
    ROW("text -> json", PH_RULE_MAY_BAD | PH_RULE_INJECTIVE, text_to_json,
        "the same text; bad when it is not JSON"),
    ROW("text -> jsonb", PH_RULE_MAY_BAD, to_jsonb, "the same JSON; bad when it is none"),
    ROW("json -> jsonb", PH_RULE_MAY_BAD, to_jsonb, "the same JSON"),
};
