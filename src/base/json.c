#include "base/json.h"

#include <stdint.h>
#include <string.h>

size_t
ph_utf8_len(const unsigned char *at, size_t left)
{
    size_t len = at[0] < 0x80 ? 1 : at[0] < 0xC2 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;

    if (len == 0 || len > left || at[0] > 0xF4)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    }
    if ((at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F) ||
        (at[0] == 0xF0 && at[1] < 0x90) || (at[0] == 0xF4 && at[1] > 0x8F))
        return 0; /* overlong, a surrogate, or beyond U+10FFFF */
    return len;
}

static void
put_ascii(struct ph_buf *out, unsigned char c)
{
    switch (c) {
    case '"':
        ph_buf_puts(out, "\\\"");
        break;
    case '\\':
        ph_buf_puts(out, "\\\\");
        break;
    case '\n':
        ph_buf_puts(out, "\\n");
        break;
    case '\t':
        ph_buf_puts(out, "\\t");
        break;
    default:
        if (c < 0x20 || c == 0x7F)
            ph_buf_printf(out, "\\u%04x", (unsigned)c);
        else
            ph_buf_putc(out, (char)c);
    }
}

void
ph_json_put_string(struct ph_buf *out, const char *text, size_t len)
{
    const unsigned char *at = (const unsigned char *)text;

    ph_buf_putc(out, '"');
    for (size_t i = 0; i < len;) {
        size_t n = ph_utf8_len(at + i, len - i);

        if (n == 0)
            ph_buf_puts(out, "\xEF\xBF\xBD");
        else if (n == 1)
            put_ascii(out, at[i]);
        else
            ph_buf_append(out, at + i, n);
        i += n == 0 ? 1 : n;
    }
    ph_buf_putc(out, '"');
}
