/* Writes messages of pgoutput by hand, for tests. */
#ifndef PH_TEST_PGOUTPUT_BYTES_H
#define PH_TEST_PGOUTPUT_BYTES_H

#include "base/buf.h"
#include "base/bytes.h"

static inline void
put_u16(struct ph_buf *out, uint16_t v)
{
    uint8_t raw[2];
    ph_store_u16(raw, v);
    ph_buf_append(out, raw, sizeof raw);
}

static inline void
put_u32(struct ph_buf *out, uint32_t v)
{
    uint8_t raw[4];
    ph_store_u32(raw, v);
    ph_buf_append(out, raw, sizeof raw);
}

static inline void
put_u64(struct ph_buf *out, uint64_t v)
{
    uint8_t raw[8];
    ph_store_u64(raw, v);
    ph_buf_append(out, raw, sizeof raw);
}

static inline void
put_text(struct ph_buf *out, const char *text)
{
    ph_buf_append(out, text, strlen(text) + 1);
}

/* A message's type and, inside a block, the xid behind it (0: none). */
static inline void
start(struct ph_buf *out, char type, uint32_t xid)
{
    ph_buf_clear(out);
    ph_buf_putc(out, type);
    if (xid != 0)
        put_u32(out, xid);
}

/*
 * A tuple by one word per column: "-" NULL, "~" unchanged, "#…" binary, anything else text.
 */
static inline void
put_tuple(struct ph_buf *out, char mark, const char *const *columns, uint16_t n)
{
    ph_buf_putc(out, mark);
    put_u16(out, n);
    for (uint16_t i = 0; i < n; i++) {
        const char *text = columns[i];
        if (strcmp(text, "-") == 0 || strcmp(text, "~") == 0) {
            ph_buf_putc(out, text[0] == '-' ? 'n' : 'u');
            continue;
        }
        bool binary = text[0] == '#';
        text += binary ? 1 : 0;
        ph_buf_putc(out, binary ? 'b' : 't');
        put_u32(out, (uint32_t)strlen(text));
        ph_buf_puts(out, text);
    }
}

/* Columns (k int4 in key, then v1, v2 … text), of a table `name`. */
static inline void
put_relation(struct ph_buf *out, uint32_t xid, uint32_t oid, const char *name, uint16_t n)
{
    start(out, 'R', xid);
    put_u32(out, oid);
    put_text(out, "public");
    put_text(out, name);
    ph_buf_putc(out, 'd');
    put_u16(out, n);
    for (uint16_t i = 0; i < n; i++) {
        char column[8] = "k";
        if (i > 0) {
            ph_buf_putc(out, '\0');
            column[0] = 'v';
            column[1] = (char)('0' + i % 10);
        } else {
            ph_buf_putc(out, '\1');
        }
        put_text(out, column);
        put_u32(out, i == 0 ? 23 : 25);
        put_u32(out, UINT32_MAX);
    }
}

static inline void
put_begin(struct ph_buf *out, uint64_t lsn, uint32_t xid)
{
    start(out, 'B', 0);
    put_u64(out, lsn);
    put_u64(out, 1000000);
    put_u32(out, xid);
}

static inline void
put_commit(struct ph_buf *out, uint64_t lsn)
{
    start(out, 'C', 0);
    ph_buf_putc(out, '\0');
    put_u64(out, lsn);
    put_u64(out, lsn + 8);
    put_u64(out, 1000000);
}

static inline void
put_block_start(struct ph_buf *out, uint32_t xid, uint8_t first)
{
    start(out, 'S', xid);
    ph_buf_putc(out, (char)first);
}

static inline void
put_block_commit(struct ph_buf *out, uint32_t xid, uint64_t lsn)
{
    start(out, 'c', xid);
    ph_buf_putc(out, '\0');
    put_u64(out, lsn);
    put_u64(out, lsn + 8);
    put_u64(out, 1000000);
}

static inline void
put_block_abort(struct ph_buf *out, uint32_t top, uint32_t sub)
{
    start(out, 'A', top);
    put_u32(out, sub);
}

#endif
