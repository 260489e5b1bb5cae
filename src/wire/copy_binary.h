/*
 * COPY … (FORMAT binary) as bytes: header, tuples, trailer.
 *
 *   header   "PGCOPY\n\377\r\n\0", flags i32, length of the extension area i32, that many bytes
 *   tuple    number of fields i16, then per field: length i32 (-1: NULL), that many bytes
 *   trailer  i16 -1
 *
 * PostgreSQL puts one tuple into one CopyData message, the header before the first, the trailer
 * into a message of its own; nothing here relies on it. See copy_row.h for what walks have in
 * common.
 */
#ifndef PH_WIRE_COPY_BINARY_H
#define PH_WIRE_COPY_BINARY_H

#include "base/buf.h"
#include "base/error.h"
#include "wire/copy_row.h"

#define PH_COPY_BINARY_HEADER_SIZE                                                                 \
    19u /* without extension area, as every server up to 18 sends it */

/*
 * Check the header at the front of `bytes`. `*consumed` is its size, or 0 when it is not all there
 * yet. PH_E_PROTOCOL: no header; PH_E_UNSUPPORTED: a critical flag (OIDs of before 12) is set.
 */
ph_code ph_copy_binary_header(struct ph_span bytes, size_t *consumed,
                              struct ph_error *err) PH_MUST_CHECK;

/*
 * Walk all whole tuples at the front of `bytes` (behind the header) and put their digests into
 * `set`. PH_E_PROTOCOL: wrong field count, impossible length, bytes behind the trailer;
 * PH_E_ROW_TOO_LARGE as soon as the lengths say so. On failure `walked` holds what went before.
 */
ph_code ph_copy_binary_digest(const struct ph_copy_shape *shape, struct ph_span bytes,
                              struct ph_digest_set *set, struct ph_copy_walked *walked,
                              struct ph_error *err) PH_MUST_CHECK;

/*
 * Take one tuple from the front of `bytes`. `fields` (may be NULL) has room for shape->n_fields
 * spans; a NULL field has data NULL. The same checks, hashes and bucket as the digest.
 */
ph_code ph_copy_binary_next(const struct ph_copy_shape *shape, struct ph_span bytes,
                            struct ph_span *fields, struct ph_copy_row *row,
                            struct ph_error *err) PH_MUST_CHECK;

/*
 * A walk over a whole COPY whose bytes come piece by piece. The caller sets the first four;
 * `fields` has room for shape.n_fields spans and holds the row's while `visit` is called.
 */
struct ph_copy_binary_walk {
    struct ph_copy_shape shape;
    struct ph_span *fields; /* borrowed; may be NULL */
    ph_code (*visit)(void *arg, const struct ph_copy_row *row, struct ph_error *err);
    void *arg;
    bool has_header; /* the header has come */
    bool has_ended;  /* the end marker has come; before it the COPY is not whole */
};

/*
 * Visit all whole rows at the front of `bytes`, which begin where the last call's *consumed ended;
 * the header of the first is passed over. Errors of the header, of next, and the visitor's.
 */
ph_code ph_copy_binary_walk(struct ph_copy_binary_walk *walk, struct ph_span bytes,
                            size_t *consumed, struct ph_error *err) PH_MUST_CHECK;

/* The encoder: header, then per row the field count and each field, then the trailer. */
void ph_copy_binary_put_header(struct ph_buf *out);
void ph_copy_binary_put_count(struct ph_buf *out, uint32_t n_fields);
void ph_copy_binary_put_field(struct ph_buf *out, struct ph_span field); /* data NULL: NULL */
void ph_copy_binary_put_trailer(struct ph_buf *out);

#endif
