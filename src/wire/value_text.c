#include "wire/value_text.h"

#include <ctype.h>

#define VALUE_BYTES 64u /* that are shown */

void
ph_value_put_integer(struct ph_span value, struct ph_buf *out)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < value.len; i++)
        bits = bits << 8 | value.data[i];
    if (value.len < 8 && (value.data[0] & 0x80) != 0)
        bits |= ~UINT64_C(0) << (8 * value.len);
    ph_buf_printf(out, "%lld", (long long)(int64_t)bits);
}

void
ph_value_put_text(struct ph_span value, struct ph_buf *out)
{
    for (size_t i = 0; i < value.len && i < VALUE_BYTES; i++)
        ph_buf_putc(out, iscntrl(value.data[i]) ? '?' : (char)value.data[i]);
    if (value.len > VALUE_BYTES)
        ph_buf_puts(out, "…");
}

void
ph_value_put_hex(struct ph_span value, bool is_uuid, struct ph_buf *out)
{
    for (size_t i = 0; i < value.len && i < VALUE_BYTES; i++) {
        bool is_part = is_uuid && (i == 4 || i == 6 || i == 8 || i == 10);
        ph_buf_printf(out, "%s%02x", is_part ? "-" : "", (unsigned)value.data[i]);
    }
    if (value.len > VALUE_BYTES)
        ph_buf_puts(out, "…");
}
