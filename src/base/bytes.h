/*
 * Bytes: spans, the one checked reader (cursor), and all big-endian access.
 *
 * Every decoder takes from a ph_cursor; a take that does not fit returns false and moves nothing,
 * so each length is checked in one place against what is really there. Pure values, any thread.
 */
#ifndef PH_BASE_BYTES_H
#define PH_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A view of bytes owned by somebody else; never terminated. */
struct ph_span {
    const uint8_t *data;
    size_t len;
};

struct ph_cursor {
    const uint8_t *at;
    const uint8_t *end; /* at <= end always */
};

static inline uint16_t
ph_load_u16(const uint8_t *p)
{
    return (uint16_t)((uint16_t)(p[0] << 8) | p[1]);
}

static inline uint32_t
ph_load_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t
ph_load_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

static inline void
ph_store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void
ph_store_u32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

static inline void
ph_store_u64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

static inline struct ph_cursor
ph_cursor_of(const void *data, size_t len)
{
    const uint8_t *p = data;
    return (struct ph_cursor){p, p + len};
}

static inline size_t
ph_cursor_left(const struct ph_cursor *in)
{
    return (size_t)(in->end - in->at);
}

static inline bool
ph_take_u8(struct ph_cursor *in, uint8_t *out)
{
    if (ph_cursor_left(in) < 1)
        return false;
    *out = *in->at++;
    return true;
}

static inline bool
ph_take_u16(struct ph_cursor *in, uint16_t *out)
{
    if (ph_cursor_left(in) < 2)
        return false;
    *out = ph_load_u16(in->at);
    in->at += 2;
    return true;
}

static inline bool
ph_take_i16(struct ph_cursor *in, int16_t *out)
{
    uint16_t v;
    if (!ph_take_u16(in, &v))
        return false;
    *out = (int16_t)v;
    return true;
}

static inline bool
ph_take_u32(struct ph_cursor *in, uint32_t *out)
{
    if (ph_cursor_left(in) < 4)
        return false;
    *out = ph_load_u32(in->at);
    in->at += 4;
    return true;
}

static inline bool
ph_take_i32(struct ph_cursor *in, int32_t *out)
{
    uint32_t v;
    if (!ph_take_u32(in, &v))
        return false;
    *out = (int32_t)v;
    return true;
}

static inline bool
ph_take_u64(struct ph_cursor *in, uint64_t *out)
{
    if (ph_cursor_left(in) < 8)
        return false;
    *out = ph_load_u64(in->at);
    in->at += 8;
    return true;
}

/* A view of the next `len` bytes; nothing is copied. */
static inline bool
ph_take_span(struct ph_cursor *in, size_t len, struct ph_span *out)
{
    if (ph_cursor_left(in) < len)
        return false;
    *out = (struct ph_span){in->at, len};
    in->at += len;
    return true;
}

#endif
