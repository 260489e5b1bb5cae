/*
 * Keys whose order is computed here, so that a change of the stream can be told the range that its
 * row lies in: integers, uuid, and dates and times, whose bytes on the wire order as the server
 * does. No type with a collation.
 *
 * Plain values; any thread.
 */
#ifndef PH_MODEL_RANGE_KEY_H
#define PH_MODEL_RANGE_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "model/change.h"

struct ph_range_type {
    uint8_t width; /* of the binary form, in bytes; 0: no such type */
    bool is_signed;
    bool has_text;    /* it is understood as text, too */
    const char *send; /* the server's function that gives the binary form */
};

/* Of a base type by its name in pg_catalog. */
struct ph_range_type ph_range_type_named(const char *name);

struct ph_range_key { /* ordered by hi, then lo */
    uint64_t hi;
    uint64_t lo;
};

/* false: it is no value of that type, or of a form that the type is not understood in. */
bool ph_range_key_read(const struct ph_range_type *type, const struct ph_field *field,
                       struct ph_range_key *out);

static inline bool
ph_range_key_is_less(const struct ph_range_key *a, const struct ph_range_key *b)
{
    return a->hi != b->hi ? a->hi < b->hi : a->lo < b->lo;
}

#endif
