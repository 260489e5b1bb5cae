#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
ph_buf_init(struct ph_buf *buf, size_t limit_bytes)
{
    *buf = (struct ph_buf){.limit_bytes = limit_bytes};
}

void
ph_buf_free(struct ph_buf *buf)
{
    free(buf->data);
    ph_buf_init(buf, buf->limit_bytes);
}

void
ph_buf_clear(struct ph_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->data != NULL)
        buf->data[0] = 0;
}

bool
ph_buf_reserve(struct ph_buf *buf, size_t more)
{
    if (buf->failed || more >= SIZE_MAX - buf->len || buf->len + more > buf->limit_bytes) {
        buf->failed = true;
        return false;
    }
    size_t need = buf->len + more + 1;
    if (need <= buf->cap)
        return true;
    size_t cap = buf->cap < 128 ? 128 : buf->cap;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    uint8_t *data = realloc(buf->data, cap);
    if (data == NULL) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

void
ph_buf_append(struct ph_buf *buf, const void *data, size_t len)
{
    if (!ph_buf_reserve(buf, len))
        return;
    if (len > 0)
        memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = 0;
}

void
ph_buf_puts(struct ph_buf *buf, const char *text)
{
    ph_buf_append(buf, text, strlen(text));
}

void
ph_buf_putc(struct ph_buf *buf, char c)
{
    ph_buf_append(buf, &c, 1);
}

void
ph_buf_vprintf(struct ph_buf *buf, const char *format, va_list args)
{
    va_list again;

    va_copy(again, args);
    int needed = vsnprintf(NULL, 0, format, args);
    if (needed < 0)
        buf->failed = true;
    else if (ph_buf_reserve(buf, (size_t)needed)) {
        vsnprintf((char *)buf->data + buf->len, (size_t)needed + 1, format, again);
        buf->len += (size_t)needed;
    }
    va_end(again);
}

void
ph_buf_printf(struct ph_buf *buf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    ph_buf_vprintf(buf, format, args);
    va_end(args);
}

static void
put_quoted(struct ph_buf *buf, const char *text, char quote, char also)
{
    ph_buf_putc(buf, quote);
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == quote || *p == also)
            ph_buf_putc(buf, *p);
        ph_buf_putc(buf, *p);
    }
    ph_buf_putc(buf, quote);
}

void
ph_buf_put_ident(struct ph_buf *buf, const char *name)
{
    put_quoted(buf, name, '"', '"');
}

void
ph_buf_put_literal(struct ph_buf *buf, const char *text)
{
    if (strchr(text, '\\') == NULL) {
        put_quoted(buf, text, '\'', '\'');
        return;
    }
    ph_buf_puts(buf, " E");
    put_quoted(buf, text, '\'', '\\');
}

void
ph_buf_put_qualified(struct ph_buf *buf, const char *schema, const char *name)
{
    ph_buf_put_ident(buf, schema);
    ph_buf_putc(buf, '.');
    ph_buf_put_ident(buf, name);
}

const char *
ph_buf_text(const struct ph_buf *buf)
{
    return buf->data == NULL ? "" : (const char *)buf->data;
}
