#include "job/leak_text.h"

bool
ph_leak_is_escaped(struct ph_span text)
{
    if (text.len == 0)
        return false;
    if (memchr(text.data, '\\', text.len) != NULL)
        return true;
    for (const uint8_t *at = text.data, *end = at + text.len; at + 1 < end; at++) {
        at = memchr(at, '"', (size_t)(end - at - 1));
        if (at == NULL)
            return false;
        if (at[1] == '"')
            return true;
    }
    return false;
}

/* The four hex digits at `at`; -1: they are none. */
static int32_t
take_hex(const uint8_t *at, const uint8_t *end)
{
    int32_t value = 0;

    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i];
        uint8_t small = (uint8_t)(c | 0x20);
        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if (small >= 'a' && small <= 'f')
            value = value * 16 + (small - 'a' + 10);
        else
            return -1;
    }
    return value;
}

static void
put_character(uint32_t c, struct ph_buf *out)
{
    uint8_t bytes[4];
    size_t n;

    if (c < 0x80) {
        bytes[0] = (uint8_t)c;
        n = 1;
    } else if (c < 0x800) {
        bytes[0] = (uint8_t)(0xC0 | c >> 6);
        bytes[1] = (uint8_t)(0x80 | (c & 0x3F));
        n = 2;
    } else if (c < 0x10000) {
        bytes[0] = (uint8_t)(0xE0 | c >> 12);
        bytes[1] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        bytes[2] = (uint8_t)(0x80 | (c & 0x3F));
        n = 3;
    } else {
        bytes[0] = (uint8_t)(0xF0 | c >> 18);
        bytes[1] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
        bytes[2] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        bytes[3] = (uint8_t)(0x80 | (c & 0x3F));
        n = 4;
    }
    ph_buf_append(out, bytes, n);
}

/* Behind \u; how many bytes it took, 0 when it is none. */
static size_t
put_unicode(const uint8_t *at, const uint8_t *end, struct ph_buf *out)
{
    int32_t high = take_hex(at, end);

    if (high < 0)
        return 0;
    if ((high & 0xFC00) == 0xD800 && end - at >= 10 && at[4] == '\\' && at[5] == 'u') {
        int32_t low = take_hex(at + 6, end);
        if (low >= 0 && (low & 0xFC00) == 0xDC00) {
            put_character(0x10000 + ((uint32_t)high - 0xD800) * 0x400 + ((uint32_t)low - 0xDC00),
                          out);
            return 10;
        }
    }
    put_character((uint32_t)high, out);
    return 4;
}

/* The same character as in a text that is not quoted: an array has a line's end as it is. */
static char
meant_by(uint8_t letter)
{
    switch (letter) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    default:
        return (char)letter;
    }
}

void
ph_leak_unescape(struct ph_span text, struct ph_buf *out)
{
    const uint8_t *end = text.data + text.len;

    for (const uint8_t *at = text.data; at < end; at++) {
        if (*at == '"' && at + 1 < end && at[1] == '"') {
            ph_buf_putc(out, '"');
            at++;
            continue;
        }
        if (*at != '\\' || at + 1 == end) {
            ph_buf_putc(out, (char)*at);
            continue;
        }
        at++;
        size_t taken = *at == 'u' ? put_unicode(at + 1, end, out) : 0;
        if (taken > 0)
            at += taken;
        else
            ph_buf_putc(out, meant_by(*at));
    }
}

/* ---- leaves ---- */

/* Behind the quote at `at` that ends a string. */
static const uint8_t *
end_of_string(const uint8_t *at, const uint8_t *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\' && at + 1 < end)
            at++;
    }
    return at < end ? at + 1 : end;
}

static bool
is_key(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at < end && *at == ':';
}

static bool
visit_string(struct ph_span inside, struct ph_buf *scratch, ph_leak_leaf *visit, void *arg)
{
    if (inside.len == 0 || memchr(inside.data, '\\', inside.len) == NULL)
        return visit(arg, inside);
    ph_buf_clear(scratch);
    ph_leak_unescape(inside, scratch);
    return ph_buf_ok(scratch) && visit(arg, (struct ph_span){scratch->data, scratch->len});
}

bool
ph_leak_each_leaf(struct ph_span json, enum ph_leak_leaves which, struct ph_buf *scratch,
                  ph_leak_leaf *visit, void *arg)
{
    const uint8_t *at = json.data;
    const uint8_t *end = at + json.len;

    while (at < end) {
        const uint8_t *from = at;
        if (*at == '"') {
            at = end_of_string(at, end);
            size_t len = (size_t)(at - from);
            if (len >= 2 && !is_key(at, end) &&
                !visit_string((struct ph_span){from + 1, len - 2}, scratch, visit, arg))
                return false;
        } else if (*at == '-' || (*at >= '0' && *at <= '9')) {
            while (at < end && strchr("+-.eE0123456789", *at) != NULL && *at != '\0')
                at++;
            if (which == PH_LEAK_STRINGS_AND_NUMBERS &&
                !visit(arg, (struct ph_span){from, (size_t)(at - from)}))
                return false;
        } else {
            at++;
        }
    }
    return true;
}
