/*
 * Casts of json, jsonb and text. A jsonb's send format is a version and what jsonb_out prints; the
 * server reads that again and would print it the same, so it is printed here as the server does:
 * the digest of what is sent is then the digest of what is read back.
 */
#include "rules/json_tree.h"
#include "rules/op_cast.h"
#include "rules/op_families.h"

enum ph_rule_result
ph_cast_text_to_json(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_json *node;

    PH_OP_TRY(ph_json_parse(call, ph_op_span(&args[0]), PH_JSON_AS_JSON, &node));
    return ph_op_give(call, args[0].data, (size_t)args[0].len, out);
}

enum ph_rule_result
ph_cast_to_jsonb(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_json *node;

    PH_OP_TRY(ph_json_parse(call, ph_op_span(&args[0]), PH_JSON_AS_JSONB, &node));
    return ph_jsonb_give(call, node, out);
}

enum ph_rule_result
ph_cast_from_jsonb(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_span text;

    PH_OP_TRY(ph_jsonb_text(call, &args[0], &text));
    return ph_op_give(call, text.data, text.len, out);
}

const struct ph_rule_op ph_cast_json_ops[] = {PH_CASTS_OF_JSON(PH_CAST_ROW)};
