#include "rules/json_path.h"

#include <stdlib.h>

/* One step of an array literal, unescaped into `to`; false: it is not well formed. */
static bool
take_quoted(struct ph_cursor *in, uint8_t **to)
{
    in->at++;
    while (in->at < in->end && *in->at != '"') {
        if (*in->at == '\\')
            in->at++;
        if (in->at == in->end)
            return false;
        *(*to)++ = *in->at++;
    }
    if (in->at == in->end)
        return false;
    in->at++;
    return true;
}

static bool
take_bare(struct ph_cursor *in, uint8_t **to)
{
    const uint8_t *begin = *to;

    while (in->at < in->end && *in->at != ',' && *in->at != '}') {
        if (*in->at == '"' || *in->at == '{' || *in->at == '\\')
            return false;
        *(*to)++ = *in->at++;
    }
    while (*to > begin && ph_op_is_space((*to)[-1]))
        (*to)--;
    return *to > begin;
}

/* {a,"b c",0} */
static bool
split_literal(struct ph_span text, uint8_t *to, struct ph_json_path *path)
{
    struct ph_cursor in = ph_cursor_of(text.data + 1, text.len - 1);

    if (text.len == 2 && text.data[1] == '}')
        return true;
    for (;;) {
        uint8_t *begin = to;
        while (in.at < in.end && ph_op_is_space(*in.at))
            in.at++;
        if (in.at == in.end || !(*in.at == '"' ? take_quoted(&in, &to) : take_bare(&in, &to)))
            return false;
        path->steps[path->n++] = (struct ph_span){begin, (size_t)(to - begin)};
        while (in.at < in.end && ph_op_is_space(*in.at))
            in.at++;
        if (in.at == in.end)
            return false;
        if (*in.at++ == '}')
            return in.at == in.end;
        if (in.at[-1] != ',')
            return false;
    }
}

/* a.b.0 */
static bool
split_points(struct ph_span text, uint8_t *to, struct ph_json_path *path)
{
    memcpy(to, text.data, text.len);
    for (size_t begin = 0; begin <= text.len;) {
        size_t end = begin;
        while (end < text.len && to[end] != '.')
            end++;
        if (end == begin)
            return false;
        path->steps[path->n++] = (struct ph_span){to + begin, end - begin};
        begin = end + 1;
    }
    return true;
}

struct ph_json_path *
ph_json_path_new(struct ph_rule_call *call, const char *text)
{
    struct ph_span span = {(const uint8_t *)text, strlen(text)};
    size_t steps_bytes = (span.len + 1) * sizeof(struct ph_span);
    struct ph_json_path *path = calloc(1, sizeof *path + steps_bytes + span.len + 1);

    if (path == NULL) {
        (void)ph_rule_bad(call, "out of memory");
        return NULL;
    }
    path->steps = (struct ph_span *)(path + 1);
    uint8_t *room = (uint8_t *)path->steps + steps_bytes;
    bool is_good =
        text[0] == '{' ? split_literal(span, room, path) : split_points(span, room, path);
    if (!is_good) {
        (void)ph_rule_bad(call, "not a path as \"a.b.0\" or \"{a,b,0}\"");
        free(path);
        return NULL;
    }
    return path;
}

bool
ph_json_step_index(struct ph_span step, int64_t *out)
{
    char text[24];
    char *end;

    if (step.len == 0 || step.len >= sizeof text)
        return false;
    memcpy(text, step.data, step.len);
    text[step.len] = '\0';
    *out = strtoll(text, &end, 10);
    return end == text + step.len && *out >= INT32_MIN && *out <= INT32_MAX;
}

struct ph_json *
ph_json_member(struct ph_json *object, struct ph_span key)
{
    struct ph_json *found = NULL;

    for (struct ph_json *child = object->first; child != NULL; child = child->next) {
        if (child->key.len == key.len &&
            (key.len == 0 || memcmp(child->key.data, key.data, key.len) == 0))
            found = child;
    }
    return found;
}

struct ph_json *
ph_json_element(struct ph_json *array, int64_t index)
{
    if (index < 0)
        index += array->n;
    if (index < 0 || index >= array->n)
        return NULL;
    struct ph_json *child = array->first;
    for (; index > 0; index--)
        child = child->next;
    return child;
}

struct ph_json *
ph_json_find(struct ph_json *root, const struct ph_json_path *path)
{
    struct ph_json *node = root;
    int64_t index;

    for (uint32_t i = 0; i < path->n && node != NULL; i++) {
        if (node->kind == PH_JSON_OBJECT)
            node = ph_json_member(node, path->steps[i]);
        else if (node->kind == PH_JSON_ARRAY && ph_json_step_index(path->steps[i], &index))
            node = ph_json_element(node, index);
        else
            node = NULL;
    }
    return node;
}
