#include "rules/json_tree.h"

#include <stdlib.h>

#include "rules/num.h"

#define JSONB_VERSION 1

struct parser {
    struct ph_rule_call *call;
    struct ph_cursor in;
    enum ph_json_rules rules;
    uint32_t depth;
};

static enum ph_rule_result
bad(const struct parser *parser)
{
    return ph_rule_bad(parser->call, "not valid JSON");
}

static void
skip_spaces(struct ph_cursor *in)
{
    while (in->at < in->end &&
           (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
        in->at++;
}

static bool
take_char(struct ph_cursor *in, char c)
{
    if (in->at == in->end || *in->at != (uint8_t)c)
        return false;
    in->at++;
    return true;
}

/* ---- strings ---- */

static bool
take_hex4(struct ph_cursor *in, uint32_t *out)
{
    *out = 0;
    if (ph_cursor_left(in) < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        uint8_t c = *in->at++;
        uint8_t lower = c | 0x20;
        if (c >= '0' && c <= '9')
            *out = *out << 4 | (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            *out = *out << 4 | (uint32_t)(lower - 'a' + 10);
        else
            return false;
    }
    return true;
}

/* Behind \u: one code point, of one or two escapes. false: it stands for no character. */
static bool
take_code_point(struct ph_cursor *in, bool *is_hex, uint32_t *out)
{
    uint32_t low = 0;

    *is_hex = take_hex4(in, out);
    if (!*is_hex || *out == 0 || (*out >= 0xdc00 && *out <= 0xdfff))
        return false;
    if (*out < 0xd800 || *out > 0xdbff)
        return true;
    if (!take_char(in, '\\') || !take_char(in, 'u'))
        return false;
    *is_hex = take_hex4(in, &low);
    if (!*is_hex || low < 0xdc00 || low > 0xdfff)
        return false;
    *out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

/* What stands behind a backslash, decoded to `to`. */
static enum ph_rule_result
take_escape(struct parser *parser, uint8_t **to)
{
    static const char names[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    struct ph_cursor *in = &parser->in;
    uint32_t code;
    bool is_hex;

    if (in->at == in->end)
        return bad(parser);
    uint8_t c = *in->at++;
    if (c == 'u') {
        struct ph_cursor after = *in;
        if (take_code_point(&after, &is_hex, &code)) {
            *in = after;
            *to += ph_op_utf8_put(*to, code);
            return PH_RULE_OK;
        }
        if (!is_hex || !take_hex4(in, &code))
            return bad(parser);
        if (parser->rules == PH_JSON_AS_JSONB)
            return ph_rule_bad(parser->call, "an escape in JSON that stands for no character");
        /* json keeps it as it is written; here it is what no text can have. */
        *to += ph_op_utf8_put(*to, 0xfffd);
        return PH_RULE_OK;
    }
    const char *name = c == '\0' ? NULL : strchr(names, c);
    if (name == NULL)
        return bad(parser);
    *(*to)++ = (uint8_t)meant[name - names];
    return PH_RULE_OK;
}

static enum ph_rule_result
take_string(struct parser *parser, struct ph_span *raw, struct ph_span *text)
{
    struct ph_cursor *in = &parser->in;
    const uint8_t *begin = in->at;

    if (!take_char(in, '"'))
        return bad(parser);
    const uint8_t *end = in->at;
    bool has_escape = false;
    for (; end < in->end && *end != '"'; end++) {
        if (*end == '\\') {
            has_escape = true;
            end++;
        }
    }
    if (end >= in->end)
        return bad(parser);
    *text = (struct ph_span){in->at, (size_t)(end - in->at)};
    uint8_t *decoded = has_escape ? ph_rule_alloc(parser->call, text->len + 1) : NULL;
    uint8_t *to = decoded;
    if (has_escape && decoded == NULL)
        return PH_RULE_NO_MEMORY;
    while (in->at < end) {
        size_t len = ph_op_utf8_len((struct ph_span){in->at, (size_t)(end - in->at)});
        if (len == 0 || *in->at < 0x20)
            return bad(parser);
        if (has_escape && *in->at == '\\') {
            in->at++;
            PH_OP_TRY(take_escape(parser, &to));
            continue;
        }
        if (has_escape) {
            memcpy(to, in->at, len);
            to += len;
        }
        in->at += len;
    }
    if (in->at != end)
        return bad(parser);
    in->at++;
    if (has_escape)
        *text = (struct ph_span){decoded, (size_t)(to - decoded)};
    *raw = (struct ph_span){begin, (size_t)(in->at - begin)};
    return PH_RULE_OK;
}

/* ---- the others ---- */

static bool
skip_digits(struct ph_cursor *in)
{
    const uint8_t *begin = in->at;

    while (in->at < in->end && *in->at >= '0' && *in->at <= '9')
        in->at++;
    return in->at > begin;
}

static bool
skip_number(struct ph_cursor *in)
{
    (void)take_char(in, '-');
    if (!take_char(in, '0') && !skip_digits(in))
        return false;
    if (take_char(in, '.') && !skip_digits(in))
        return false;
    if (take_char(in, 'e') || take_char(in, 'E')) {
        if (!take_char(in, '-'))
            (void)take_char(in, '+');
        return skip_digits(in);
    }
    return true;
}

static bool
skip_word(struct ph_cursor *in, const char *word)
{
    struct ph_span span;
    size_t len = strlen(word);

    if (ph_cursor_left(in) < len || memcmp(in->at, word, len) != 0)
        return false;
    return ph_take_span(in, len, &span);
}

static enum ph_rule_result
take_scalar(struct parser *parser, struct ph_json *node)
{
    struct ph_cursor *in = &parser->in;

    switch (*in->at) {
    case 'n':
        node->kind = PH_JSON_NULL;
        return skip_word(in, "null") ? PH_RULE_OK : bad(parser);
    case 't':
        node->kind = PH_JSON_TRUE;
        return skip_word(in, "true") ? PH_RULE_OK : bad(parser);
    case 'f':
        node->kind = PH_JSON_FALSE;
        return skip_word(in, "false") ? PH_RULE_OK : bad(parser);
    case '"':
        node->kind = PH_JSON_STRING;
        return take_string(parser, &node->raw, &node->text);
    default:
        node->kind = PH_JSON_NUMBER;
        return skip_number(in) ? PH_RULE_OK : bad(parser);
    }
}

static enum ph_rule_result take_value(struct parser *parser, struct ph_json **out);

void
ph_json_append(struct ph_json *parent, struct ph_json *child)
{
    if (parent->first == NULL)
        parent->first = child;
    else
        parent->last->next = child;
    parent->last = child;
    parent->n++;
}

void
ph_json_prepend(struct ph_json *parent, struct ph_json *child)
{
    child->next = parent->first;
    parent->first = child;
    if (parent->last == NULL)
        parent->last = child;
    parent->n++;
}

void
ph_json_replace(struct ph_json *node, const struct ph_json *value)
{
    struct ph_json old = *node;

    *node = *value;
    node->key = old.key;
    node->raw_key = old.raw_key;
    node->next = old.next;
}

static enum ph_rule_result
take_member(struct parser *parser, struct ph_json **out)
{
    struct ph_span raw;
    struct ph_span key;

    skip_spaces(&parser->in);
    PH_OP_TRY(take_string(parser, &raw, &key));
    skip_spaces(&parser->in);
    if (!take_char(&parser->in, ':'))
        return bad(parser);
    PH_OP_TRY(take_value(parser, out));
    (*out)->key = key;
    (*out)->raw_key = raw;
    return PH_RULE_OK;
}

static enum ph_rule_result
take_container(struct parser *parser, struct ph_json *node, char end)
{
    parser->in.at++;
    skip_spaces(&parser->in);
    if (take_char(&parser->in, end))
        return PH_RULE_OK;
    if (++parser->depth > PH_JSON_DEPTH_MAX)
        return ph_rule_bad(parser->call, "JSON is nested too deeply");
    do {
        struct ph_json *child;
        if (node->kind == PH_JSON_OBJECT)
            PH_OP_TRY(take_member(parser, &child));
        else
            PH_OP_TRY(take_value(parser, &child));
        ph_json_append(node, child);
        skip_spaces(&parser->in);
    } while (take_char(&parser->in, ','));
    parser->depth--;
    return take_char(&parser->in, end) ? PH_RULE_OK : bad(parser);
}

static enum ph_rule_result
take_value(struct parser *parser, struct ph_json **out)
{
    struct ph_json *node = ph_rule_alloc(parser->call, sizeof *node);

    if (node == NULL)
        return PH_RULE_NO_MEMORY;
    *node = (struct ph_json){.kind = PH_JSON_NULL};
    *out = node;
    skip_spaces(&parser->in);
    const uint8_t *begin = parser->in.at;
    if (begin == parser->in.end)
        return bad(parser);
    if (*begin == '{' || *begin == '[') {
        node->kind = *begin == '{' ? PH_JSON_OBJECT : PH_JSON_ARRAY;
        PH_OP_TRY(take_container(parser, node, *begin == '{' ? '}' : ']'));
    } else {
        PH_OP_TRY(take_scalar(parser, node));
    }
    node->raw = (struct ph_span){begin, (size_t)(parser->in.at - begin)};
    return PH_RULE_OK;
}

enum ph_rule_result
ph_json_parse(struct ph_rule_call *call, struct ph_span text, enum ph_json_rules rules,
              struct ph_json **out)
{
    struct parser parser = {call, ph_cursor_of(text.data, text.len), rules, 0};

    PH_OP_TRY(take_value(&parser, out));
    skip_spaces(&parser.in);
    return parser.in.at == parser.in.end ? PH_RULE_OK : bad(&parser);
}

/* ---- jsonb ---- */

void
ph_json_put_quoted(struct ph_span text, struct ph_op_text *out)
{
    static const char names[] = "\b\f\n\r\t\"\\";
    static const char written[] = "bfnrt\"\\";
    static const char hex[] = "0123456789abcdef";

    ph_op_text_putc(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        const char *name = c == 0 || (c >= ' ' && c != '"' && c != '\\') ? NULL : strchr(names, c);
        if (name != NULL) {
            ph_op_text_putc(out, '\\');
            ph_op_text_putc(out, written[name - names]);
        } else if (c < ' ') {
            ph_op_text_puts(out, "\\u00");
            ph_op_text_putc(out, hex[c >> 4]);
            ph_op_text_putc(out, hex[c & 15]);
        } else {
            ph_op_text_putc(out, (char)c);
        }
    }
    ph_op_text_putc(out, '"');
}

struct member {
    struct ph_json *node;
    uint32_t position;
};

static int
compare_keys(struct ph_span a, struct ph_span b)
{
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return a.len == 0 ? 0 : memcmp(a.data, b.data, a.len);
}

static int
compare_members(const void *a, const void *b)
{
    const struct member *left = a;
    const struct member *right = b;
    int order = compare_keys(left->node->key, right->node->key);

    if (order != 0)
        return order;
    return (left->position > right->position) - (left->position < right->position);
}

/* By key; of equal ones the last stays. */
static enum ph_rule_result
sort_members(struct ph_rule_call *call, struct ph_json *node)
{
    struct member *members = ph_rule_alloc(call, ((size_t)node->n + 1) * sizeof *members);
    uint32_t n = 0;

    if (members == NULL)
        return PH_RULE_NO_MEMORY;
    for (struct ph_json *child = node->first; child != NULL; child = child->next, n++)
        members[n] = (struct member){child, n};
    qsort(members, n, sizeof *members, compare_members);
    node->first = NULL;
    node->last = NULL;
    node->n = 0;
    for (uint32_t i = 0; i < n; i++) {
        bool is_last =
            i + 1 == n || compare_keys(members[i].node->key, members[i + 1].node->key) != 0;
        if (is_last) {
            members[i].node->next = NULL;
            ph_json_append(node, members[i].node);
        }
    }
    return PH_RULE_OK;
}

static enum ph_rule_result
put_number(struct ph_rule_call *call, struct ph_span raw, struct ph_op_text *out)
{
    struct ph_num num;

    PH_OP_TRY(ph_num_parse(call, raw, &num));
    ph_num_put(&num, out);
    return PH_RULE_OK;
}

static enum ph_rule_result
put_container(struct ph_rule_call *call, struct ph_json *node, struct ph_op_text *out)
{
    bool is_object = node->kind == PH_JSON_OBJECT;

    if (is_object)
        PH_OP_TRY(sort_members(call, node));
    ph_op_text_putc(out, is_object ? '{' : '[');
    for (struct ph_json *child = node->first; child != NULL; child = child->next) {
        if (child != node->first)
            ph_op_text_puts(out, ", ");
        if (is_object) {
            ph_json_put_quoted(child->key, out);
            ph_op_text_puts(out, ": ");
        }
        PH_OP_TRY(ph_json_put_canonical(call, child, out));
    }
    ph_op_text_putc(out, is_object ? '}' : ']');
    return PH_RULE_OK;
}

enum ph_rule_result
ph_json_put_canonical(struct ph_rule_call *call, struct ph_json *node, struct ph_op_text *out)
{
    switch (node->kind) {
    case PH_JSON_NULL:
        ph_op_text_puts(out, "null");
        return PH_RULE_OK;
    case PH_JSON_TRUE:
        ph_op_text_puts(out, "true");
        return PH_RULE_OK;
    case PH_JSON_FALSE:
        ph_op_text_puts(out, "false");
        return PH_RULE_OK;
    case PH_JSON_NUMBER:
        return put_number(call, node->raw, out);
    case PH_JSON_STRING:
        ph_json_put_quoted(node->text, out);
        return PH_RULE_OK;
    case PH_JSON_ARRAY:
    case PH_JSON_OBJECT:
        return put_container(call, node, out);
    }
    return PH_RULE_OK;
}

enum ph_rule_result
ph_jsonb_text(struct ph_rule_call *call, const struct ph_value *value, struct ph_span *out)
{
    if (value->len < 1 || value->data[0] != JSONB_VERSION)
        return ph_rule_bad(call, "not a valid jsonb");
    *out = (struct ph_span){value->data + 1, (size_t)value->len - 1};
    return PH_RULE_OK;
}

enum ph_rule_result
ph_jsonb_give(struct ph_rule_call *call, struct ph_json *node, struct ph_value *out)
{
    struct ph_op_text text = ph_op_text_of(call, node->raw.len + 16);

    ph_op_text_putc(&text, JSONB_VERSION);
    PH_OP_TRY(ph_json_put_canonical(call, node, &text));
    return ph_op_text_give(&text, out);
}
