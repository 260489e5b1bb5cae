/*
 * Elements of arrays and of JSON arrays as rows. The generated C asks for the count first, then for
 * one element after the other: the first question takes the whole value apart into `state`, which
 * no later row sees, since each begins with that question.
 *
 * JSON is taken apart as text: elements stay as the source wrote them (1.10 is not 1.1).
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "rules/inner_ops.h"

struct elements {
    struct ph_value *items;
    uint32_t n;
    uint32_t cap;
};

bool
ph_inner_prepare_elements(struct ph_rule_call *call)
{
    call->state = calloc(1, sizeof(struct elements));
    return call->state != NULL;
}

void
ph_inner_release_elements(struct ph_rule_call *call)
{
    struct elements *elements = call->state;

    if (elements != NULL)
        free(elements->items);
    free(elements);
    call->state = NULL;
}

static bool
add(struct elements *elements, const uint8_t *data, int64_t len)
{
    if (elements->n == elements->cap) {
        uint32_t cap = elements->cap == 0 ? 64 : elements->cap * 2;
        struct ph_value *items = realloc(elements->items, cap * sizeof *items);
        if (items == NULL)
            return false;
        elements->items = items;
        elements->cap = cap;
    }
    elements->items[elements->n++] = (struct ph_value){data, (int32_t)len};
    return true;
}

static enum ph_rule_result
give_count(struct ph_rule_call *call, const struct elements *elements, struct ph_value *out)
{
    uint8_t *bytes = ph_rule_alloc(call, 4);

    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    ph_rule_put_i32(bytes, (int32_t)elements->n);
    *out = (struct ph_value){bytes, 4};
    return PH_RULE_OK;
}

/* ---- arrays ---- */

#define DIMENSIONS_MAX 6

static enum ph_rule_result
split_array(struct ph_rule_call *call, const struct ph_value *value)
{
    struct elements *elements = call->state;
    struct ph_cursor in = ph_cursor_of(value->data, (size_t)value->len);
    uint32_t dimensions;
    uint32_t ignored;
    struct ph_span element;
    int32_t len;

    if (!ph_take_u32(&in, &dimensions) || !ph_take_u32(&in, &ignored) ||
        !ph_take_u32(&in, &ignored) || dimensions > DIMENSIONS_MAX)
        return ph_rule_bad(call, "is not an array");
    for (uint32_t i = 0; i < 2 * dimensions; i++) {
        if (!ph_take_u32(&in, &ignored))
            return ph_rule_bad(call, "is not an array");
    }
    while (ph_cursor_left(&in) > 0) {
        if (!ph_take_i32(&in, &len) || len < PH_VALUE_NULL ||
            !ph_take_span(&in, len < 0 ? 0 : (size_t)len, &element))
            return ph_rule_bad(call, "is not an array");
        if (!add(elements, element.data, len))
            return PH_RULE_NO_MEMORY;
    }
    return PH_RULE_OK;
}

/* args: the array, and -1 for the count or the number of an element. */
enum ph_rule_result
ph_inner_array_elements(struct ph_rule_call *call, const struct ph_value *args,
                        struct ph_value *out)
{
    struct elements *elements = call->state;
    int32_t wanted = ph_rule_get_i32(&args[1]);

    if (wanted >= 0) {
        *out = elements->items[wanted];
        return PH_RULE_OK;
    }
    elements->n = 0;
    if (args[0].len >= 0) {
        enum ph_rule_result rc = split_array(call, &args[0]);
        if (rc != PH_RULE_OK)
            return rc;
    }
    return give_count(call, elements, out);
}

/* ---- JSON ---- */

static bool
is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The end of a string that begins at `at`, behind its quote. */
static const uint8_t *
skip_string(const uint8_t *at, const uint8_t *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\' && at + 1 < end)
            at++;
    }
    return at < end ? at + 1 : end;
}

/* The end of one element: a comma or bracket of the array itself. The server has checked it. */
static const uint8_t *
skip_element(const uint8_t *at, const uint8_t *end)
{
    int depth = 0;

    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            continue;
        }
        if (depth == 0 && (*at == ',' || *at == ']'))
            return at;
        depth += (*at == '[' || *at == '{') - (*at == ']' || *at == '}');
        at++;
    }
    return end;
}

static bool
is_word(const uint8_t *at, const uint8_t *end, const char *word)
{
    size_t len = strlen(word);

    return (size_t)(end - at) == len && memcmp(at, word, len) == 0;
}

static enum ph_rule_result
split_json(struct ph_rule_call *call, const uint8_t *at, const uint8_t *end)
{
    while (at < end && is_blank(*at))
        at++;
    while (end > at && is_blank(end[-1]))
        end--;
    if (is_word(at, end, "null"))
        return PH_RULE_OK;
    if (end - at < 2 || *at != '[' || end[-1] != ']')
        return ph_rule_bad(call, "is JSON, but not an array");
    at++;
    for (;;) {
        while (at < end && is_blank(*at))
            at++;
        if (at < end && *at == ']')
            return PH_RULE_OK; /* empty */
        const uint8_t *stop = skip_element(at, end);
        const uint8_t *last = stop;
        while (last > at && is_blank(last[-1]))
            last--;
        if (!add(call->state, at, last - at))
            return PH_RULE_NO_MEMORY;
        if (stop >= end || *stop == ']')
            return PH_RULE_OK;
        at = stop + 1;
    }
}

#define HIGH_SURROGATES 0xD800u /* the first halves of pairs */
#define LOW_SURROGATES 0xDC00u

static int
hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static uint32_t
hex4(const uint8_t *at)
{
    return (uint32_t)(hex_digit(at[0]) << 12 | hex_digit(at[1]) << 8 | hex_digit(at[2]) << 4 |
                      hex_digit(at[3]));
}

static uint8_t *
put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (uint8_t)c;
    } else if (c < 0x800) {
        *out++ = (uint8_t)(0xC0 | c >> 6);
        *out++ = (uint8_t)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *out++ = (uint8_t)(0xE0 | c >> 12);
        *out++ = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        *out++ = (uint8_t)(0x80 | (c & 0x3F));
    } else {
        *out++ = (uint8_t)(0xF0 | c >> 18);
        *out++ = (uint8_t)(0x80 | (c >> 12 & 0x3F));
        *out++ = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        *out++ = (uint8_t)(0x80 | (c & 0x3F));
    }
    return out;
}

static bool
is_surrogate(uint32_t c, uint32_t first)
{
    return c >= first && c < first + 0x400;
}

/* Behind the u: a character, or the two halves of one. NULL: neither, as half a pair alone. */
static const uint8_t *
take_unicode(const uint8_t *at, const uint8_t *end, uint8_t **out)
{
    if (end - at < 4)
        return NULL;
    uint32_t c = hex4(at);
    at += 4;
    if (is_surrogate(c, HIGH_SURROGATES) && end - at >= 6 && at[0] == '\\' && at[1] == 'u' &&
        is_surrogate(hex4(at + 2), LOW_SURROGATES)) {
        c = 0x10000 + ((c - HIGH_SURROGATES) << 10) + (hex4(at + 2) - LOW_SURROGATES);
        at += 6;
    }
    if (c == 0 || is_surrogate(c, HIGH_SURROGATES) || is_surrogate(c, LOW_SURROGATES))
        return NULL;
    *out = put_utf8(*out, c);
    return at;
}

/* One escape behind its backslash; NULL: it is none. Never longer than what it stands for. */
static const uint8_t *
take_escape(const uint8_t *at, const uint8_t *end, uint8_t **out)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";

    if (at >= end)
        return NULL;
    const char *found = memchr(from, *at, sizeof from - 1);
    if (found != NULL) {
        *(*out)++ = (uint8_t)to[found - from];
        return at + 1;
    }
    return *at == 'u' ? take_unicode(at + 1, end, out) : NULL;
}

static enum ph_rule_result
unquote(struct ph_rule_call *call, const struct ph_value *element, struct ph_value *out)
{
    const uint8_t *at = element->data + 1;
    const uint8_t *end = element->data + element->len - 1;
    uint8_t *bytes = ph_rule_alloc(call, (size_t)element->len);
    uint8_t *put = bytes;

    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    while (at < end) {
        if (*at != '\\') {
            *put++ = *at++;
            continue;
        }
        at = take_escape(at + 1, end, &put);
        if (at == NULL)
            return ph_rule_bad(call, "has a JSON string that no text can hold");
    }
    *out = (struct ph_value){bytes, (int32_t)(put - bytes)};
    return PH_RULE_OK;
}

static enum ph_rule_result
give_json(struct ph_rule_call *call, const struct ph_value *element, struct ph_value *out)
{
    *out = *element;
    if (strcmp(call->params[0], "json") == 0)
        return PH_RULE_OK;
    if (strcmp(call->params[0], "jsonb") == 0) {
        uint8_t *bytes = ph_rule_alloc(call, (size_t)element->len + 1);
        if (bytes == NULL)
            return PH_RULE_NO_MEMORY;
        bytes[0] = 1; /* jsonb_send's version */
        memcpy(bytes + 1, element->data, (size_t)element->len);
        *out = (struct ph_value){bytes, element->len + 1};
        return PH_RULE_OK;
    }
    if (is_word(element->data, element->data + element->len, "null")) {
        *out = (struct ph_value){NULL, PH_VALUE_NULL};
        return PH_RULE_OK;
    }
    if (element->len >= 2 && element->data[0] == '"')
        return unquote(call, element, out);
    return PH_RULE_OK;
}

enum ph_rule_result
ph_inner_json_elements(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct elements *elements = call->state;
    int32_t wanted = ph_rule_get_i32(&args[1]);

    if (wanted >= 0)
        return give_json(call, &elements->items[wanted], out);
    elements->n = 0;
    if (args[0].len > 0) {
        /* jsonb has a version in front, which no JSON text begins with */
        bool is_jsonb = args[0].data[0] == 1;
        enum ph_rule_result rc =
            split_json(call, args[0].data + is_jsonb, args[0].data + args[0].len);
        if (rc != PH_RULE_OK)
            return rc;
    }
    return give_count(call, elements, out);
}
