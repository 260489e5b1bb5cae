/*
 * Growing byte buffer, born with a maximum. One owner. A failed append sets `failed` and changes
 * nothing else, so a run of appends may be checked once at the end (ph_buf_ok).
 */
#ifndef PH_BASE_BUF_H
#define PH_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ph_buf {
    uint8_t *data; /* terminated by a 0 byte that does not count, once anything was appended */
    size_t len;
    size_t cap;
    size_t limit_bytes;
    bool failed;
};

void ph_buf_init(struct ph_buf *buf, size_t limit_bytes);
void ph_buf_free(struct ph_buf *buf);  /* frees the bytes; the buffer may be used again */
void ph_buf_clear(struct ph_buf *buf); /* keeps the memory */
bool ph_buf_reserve(struct ph_buf *buf, size_t more);
void ph_buf_append(struct ph_buf *buf, const void *data, size_t len);
void ph_buf_puts(struct ph_buf *buf, const char *text);
void ph_buf_putc(struct ph_buf *buf, char c);
void ph_buf_printf(struct ph_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ph_buf_vprintf(struct ph_buf *buf, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
/* SQL quoting, always quoted: "a""b", 'it''s' (E'' form when it has a backslash). */
void ph_buf_put_ident(struct ph_buf *buf, const char *name);
void ph_buf_put_literal(struct ph_buf *buf, const char *text);
/* "schema"."name" */
void ph_buf_put_qualified(struct ph_buf *buf, const char *schema, const char *name);
/* The text so far; "" when empty. Valid until the next append. */
const char *ph_buf_text(const struct ph_buf *buf);

static inline bool
ph_buf_ok(const struct ph_buf *buf)
{
    return !buf->failed;
}

#endif
