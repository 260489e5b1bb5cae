/*
 * JSON by paths: a value taken, set, deleted. On jsonb it is what jsonb_set, #- and #>> do. On json
 * the text beside what changes stays as it is written; of members with equal keys the last counts,
 * and all are deleted.
 */
#include <stdlib.h>

#include "rules/json_path.h"
#include "rules/op_families.h"

static bool
prepare_path(struct ph_rule_call *call)
{
    if (!ph_op_params(call, 1, 1))
        return false;
    call->state = ph_json_path_new(call, call->params[0]);
    return call->state != NULL;
}

/* ---- json_get ---- */

static enum ph_rule_result
give_text(struct ph_rule_call *call, struct ph_json *node, struct ph_value *out)
{
    if (node == NULL || node->kind == PH_JSON_NULL)
        return ph_op_give_null(out);
    if (node->kind == PH_JSON_STRING)
        return ph_op_give(call, node->text.data, node->text.len, out);
    return ph_op_give(call, node->raw.data, node->raw.len, out);
}

/* By jsonb's rules, since an escape that stands for no character makes no text. */
static enum ph_rule_result
get_json(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_json *root;

    PH_OP_TRY(ph_json_parse(call, ph_op_span(&args[0]), PH_JSON_AS_JSONB, &root));
    return give_text(call, ph_json_find(root, call->state), out);
}

static enum ph_rule_result
get_jsonb(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_span text;
    struct ph_json *root;

    PH_OP_TRY(ph_jsonb_text(call, &args[0], &text));
    PH_OP_TRY(ph_json_parse(call, text, PH_JSON_AS_JSONB, &root));
    return give_text(call, ph_json_find(root, call->state), out);
}

/* ---- where a path leads ---- */

enum place_kind { PLACE_NOWHERE, PLACE_AT, PLACE_FIRST, PLACE_LAST };

struct place {
    enum place_kind kind;
    struct ph_json *parent;
    struct ph_json *node; /* of PLACE_AT */
    struct ph_span key;   /* of what would be put FIRST or LAST, when the parent is an object */
};

static enum ph_rule_result
place_in_array(struct ph_rule_call *call, struct ph_json *array, struct ph_span step,
               struct place *out)
{
    int64_t index;

    if (!ph_json_step_index(step, &index))
        return ph_rule_bad(call, "a step of the path is no number, and there is an array");
    out->node = ph_json_element(array, index);
    if (out->node != NULL)
        out->kind = PLACE_AT;
    else
        out->kind = index < 0 || array->n == 0 ? PLACE_FIRST : PLACE_LAST;
    return PH_RULE_OK;
}

/* The last step may lead to what is not there yet; any other then leads nowhere. */
static enum ph_rule_result
find_place(struct ph_rule_call *call, struct ph_json *root, struct place *out)
{
    const struct ph_json_path *path = call->state;
    struct ph_json *node = root;

    *out = (struct place){.kind = PLACE_NOWHERE};
    if (node->kind != PH_JSON_OBJECT && node->kind != PH_JSON_ARRAY)
        return ph_rule_bad(call, "no object or array, so that a path leads nowhere");
    for (uint32_t i = 0; i < path->n; i++) {
        *out = (struct place){.kind = PLACE_LAST, .parent = node, .key = path->steps[i]};
        if (node->kind == PH_JSON_ARRAY) {
            PH_OP_TRY(place_in_array(call, node, path->steps[i], out));
        } else if (node->kind == PH_JSON_OBJECT) {
            out->node = ph_json_member(node, path->steps[i]);
            out->kind = out->node != NULL ? PLACE_AT : PLACE_LAST;
        } else {
            out->kind = PLACE_NOWHERE;
        }
        bool is_last = i + 1 == path->n;
        if (!is_last && out->kind != PLACE_AT)
            out->kind = PLACE_NOWHERE;
        if (out->kind == PLACE_NOWHERE)
            break;
        node = out->node;
    }
    return PH_RULE_OK;
}

/* ---- jsonb ---- */

static enum ph_rule_result
parse_jsonb(struct ph_rule_call *call, const struct ph_value *arg, struct ph_json **out)
{
    struct ph_span text;

    PH_OP_TRY(ph_jsonb_text(call, arg, &text));
    return ph_json_parse(call, text, PH_JSON_AS_JSONB, out);
}

static void
put_into_tree(const struct place *place, struct ph_json *value)
{
    value->key = place->key;
    switch (place->kind) {
    case PLACE_NOWHERE:
        break;
    case PLACE_AT:
        ph_json_replace(place->node, value);
        break;
    case PLACE_FIRST:
        ph_json_prepend(place->parent, value);
        break;
    case PLACE_LAST:
        ph_json_append(place->parent, value);
        break;
    }
}

static enum ph_rule_result
set_jsonb(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_json *root;
    struct ph_json *value;
    struct place place;

    PH_OP_TRY(parse_jsonb(call, &args[0], &root));
    PH_OP_TRY(find_place(call, root, &place));
    PH_OP_TRY(ph_json_parse(call, ph_op_param_text(call, 1), PH_JSON_AS_JSONB, &value));
    put_into_tree(&place, value);
    return ph_jsonb_give(call, root, out);
}

/* Whether the child is what is to be deleted; of an object's members all with that key. */
static bool
is_deleted(const struct place *place, const struct ph_json *child)
{
    if (place->parent->kind == PH_JSON_ARRAY)
        return child == place->node;
    return child->key.len == place->key.len &&
           (child->key.len == 0 || memcmp(child->key.data, place->key.data, child->key.len) == 0);
}

static void
delete_from_tree(const struct place *place)
{
    struct ph_json *parent = place->parent;
    struct ph_json *child = parent->first;

    parent->first = NULL;
    parent->last = NULL;
    parent->n = 0;
    while (child != NULL) {
        struct ph_json *next = child->next;
        child->next = NULL;
        if (!is_deleted(place, child))
            ph_json_append(parent, child);
        child = next;
    }
}

/* #- takes an empty array or object as it is, whatever the path says. */
static enum ph_rule_result
find_deleted(struct ph_rule_call *call, struct ph_json *root, struct place *out)
{
    bool is_empty = (root->kind == PH_JSON_OBJECT || root->kind == PH_JSON_ARRAY) && root->n == 0;

    *out = (struct place){.kind = PLACE_NOWHERE};
    return is_empty ? PH_RULE_OK : find_place(call, root, out);
}

static enum ph_rule_result
delete_jsonb(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_json *root;
    struct place place;

    PH_OP_TRY(parse_jsonb(call, &args[0], &root));
    PH_OP_TRY(find_deleted(call, root, &place));
    if (place.kind == PLACE_AT)
        delete_from_tree(&place);
    return ph_jsonb_give(call, root, out);
}

/* ---- json: its text is put together of what was there ---- */

static void
append_between(struct ph_op_text *out, const uint8_t *begin, const uint8_t *end)
{
    ph_op_text_append(out, begin, (size_t)(end - begin));
}

static const uint8_t *
end_of(struct ph_span span)
{
    return span.data + span.len;
}

/* Where the child begins, with its key. */
static const uint8_t *
begin_of(const struct ph_json *child)
{
    return child->raw_key.data != NULL ? child->raw_key.data : child->raw.data;
}

static void
put_new(const struct place *place, struct ph_span value, struct ph_op_text *out)
{
    if (place->parent->kind == PH_JSON_OBJECT) {
        ph_json_put_quoted(place->key, out);
        ph_op_text_puts(out, ": ");
    }
    ph_op_text_append(out, value.data, value.len);
}

static enum ph_rule_result
set_json(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_span text = ph_op_span(&args[0]);
    struct ph_span value = ph_op_param_text(call, 1);
    struct ph_op_text changed = ph_op_text_of(call, text.len + value.len + 16);
    struct ph_json *root;
    struct place place;

    PH_OP_TRY(ph_json_parse(call, text, PH_JSON_AS_JSON, &root));
    PH_OP_TRY(find_place(call, root, &place));
    if (place.kind == PLACE_NOWHERE)
        return ph_op_give(call, text.data, text.len, out);
    if (place.kind == PLACE_AT) {
        append_between(&changed, text.data, place.node->raw.data);
        ph_op_text_append(&changed, value.data, value.len);
        append_between(&changed, end_of(place.node->raw), end_of(text));
        return ph_op_text_give(&changed, out);
    }
    bool goes_last = place.kind == PLACE_LAST && place.parent->n > 0;
    const uint8_t *at = goes_last ? end_of(place.parent->last->raw) : place.parent->raw.data + 1;
    append_between(&changed, text.data, at);
    if (goes_last)
        ph_op_text_puts(&changed, ", ");
    put_new(&place, value, &changed);
    if (!goes_last && place.parent->n > 0)
        ph_op_text_puts(&changed, ", ");
    append_between(&changed, at, end_of(text));
    return ph_op_text_give(&changed, out);
}

static enum ph_rule_result
delete_json(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_span text = ph_op_span(&args[0]);
    struct ph_op_text changed = ph_op_text_of(call, text.len);
    bool is_first = true;
    struct ph_json *root;
    struct place place;

    PH_OP_TRY(ph_json_parse(call, text, PH_JSON_AS_JSON, &root));
    PH_OP_TRY(find_deleted(call, root, &place));
    if (place.kind != PLACE_AT)
        return ph_op_give(call, text.data, text.len, out);
    append_between(&changed, text.data, begin_of(place.parent->first));
    for (const struct ph_json *child = place.parent->first; child != NULL; child = child->next) {
        if (is_deleted(&place, child))
            continue;
        if (!is_first)
            ph_op_text_puts(&changed, ", ");
        append_between(&changed, begin_of(child), end_of(child->raw));
        is_first = false;
    }
    append_between(&changed, end_of(place.parent->last->raw), end_of(text));
    return ph_op_text_give(&changed, out);
}

/* ---- what stands behind json_set ---- */

static enum ph_rule_result
read_value(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_json *node;

    PH_OP_TRY(ph_json_parse(call, ph_op_span(&args[0]), PH_JSON_AS_JSONB, &node));
    return ph_jsonb_give(call, node, out);
}

static bool
prepare_set(struct ph_rule_call *call)
{
    if (!ph_op_params(call, 2, 2))
        return false;
    struct ph_value *value = ph_op_constant(call, 1, read_value);
    if (value == NULL)
        return false;
    free(value);
    call->state = ph_json_path_new(call, call->params[0]);
    return call->state != NULL;
}

#define BAD PH_RULE_MAY_BAD

const struct ph_rule_op ph_json_ops[PH_JSON_OPS] = {
    {"json_get", "json -> text", "path", PH_RULE_MAY_NULL | BAD, get_json, prepare_path,
     ph_op_free_state, "what stands at the path, as text; NULL when there is nothing"},
    {"json_get", "jsonb -> text", "path", PH_RULE_MAY_NULL, get_jsonb, prepare_path,
     ph_op_free_state, "what stands at the path, as text; NULL when there is nothing"},
    {"json_set", "json -> json", "path, value", BAD, set_json, prepare_set, ph_op_free_state,
     "with the value, which is JSON, at the path"},
    {"json_set", "jsonb -> jsonb", "path, value", BAD, set_jsonb, prepare_set, ph_op_free_state,
     "with the value, which is JSON, at the path"},
    {"json_delete", "json -> json", "path", BAD, delete_json, prepare_path, ph_op_free_state,
     "without what stands at the path"},
    {"json_delete", "jsonb -> jsonb", "path", BAD, delete_jsonb, prepare_path, ph_op_free_state,
     "without what stands at the path"},
};
