/*
 * What the two COPY formats have in common: the shape of a table's rows, and what a walk over their
 * bytes gives back.
 *
 * A walk takes whole rows from the front of a buffer and leaves a row that is cut short where it
 * is; the caller keeps those bytes and comes again with more behind them. Nothing is copied: all
 * spans point into the caller's buffer. Pure functions, any thread.
 *
 * The digest of a row is taken of its *image*: binary, the fields' lengths and bytes without the
 * field count; text, the line without its newline. Its bucket is chosen by the key's fields, or by
 * the image's own hash when there is no key. Both sides of a comparison use the same format.
 */
#ifndef PH_WIRE_COPY_ROW_H
#define PH_WIRE_COPY_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/digest.h"

struct ph_copy_shape {
    const uint16_t *key_fields; /* positions, strictly ascending, all below n_fields; not owned */
    uint32_t n_key_fields;      /* 0: keyless */
    uint32_t n_fields;          /* at most INT16_MAX */
    size_t max_row_bytes;       /* a longer row is PH_E_ROW_TOO_LARGE; > 0 */
};

/* Of one call; the caller adds up. */
struct ph_copy_walked {
    size_t consumed; /* whole rows, and the end marker when it came */
    uint64_t rows;
    bool ended; /* the end marker was there; nothing may follow it */
};

enum ph_copy_item {
    PH_COPY_ROW,  /* one row was taken */
    PH_COPY_MORE, /* the buffer ends inside a row (or is empty): come again with more bytes */
    PH_COPY_END   /* the end marker; `raw` covers it */
};

struct ph_copy_row {
    enum ph_copy_item item;
    struct ph_span raw;     /* all its bytes: the next row starts behind them */
    struct ph_span image;   /* what the digest hashes */
    uint64_t key_hash;      /* what chooses the bucket */
    struct ph_hash128 hash; /* of the image */
};

#endif
