/*
 * COPY … (FORMAT text) as bytes, with the default delimiter and NULL string.
 *
 * A row is a line; newlines, tabs, carriage returns and backslashes inside values are sent escaped,
 * so a raw newline always ends a row and a raw tab always parts two fields. `\N` is NULL, a line
 * `\.` is the end (servers of today just stop instead). The image of a row is its line without the
 * newline, its key fields are raw, still escaped. See copy_row.h for what walks have in common.
 */
#ifndef PH_WIRE_COPY_TEXT_H
#define PH_WIRE_COPY_TEXT_H

#include "base/buf.h"
#include "base/error.h"
#include "wire/copy_row.h"

/*
 * Walk all whole lines at the front of `bytes` and put their digests into `set`.
 * PH_E_PROTOCOL: wrong number of fields, bytes behind the end marker; PH_E_ROW_TOO_LARGE as soon as
 * a line is longer than the limit. On failure `walked` holds what went before.
 */
ph_code ph_copy_text_digest(const struct ph_copy_shape *shape, struct ph_span bytes,
                            struct ph_digest_set *set, struct ph_copy_walked *walked,
                            struct ph_error *err) PH_MUST_CHECK;

/*
 * Take one line from the front of `bytes`. `fields` (may be NULL) has room for shape->n_fields
 * spans, escaped as they are; a NULL field has data NULL. The same checks, hashes and bucket as the
 * digest.
 */
ph_code ph_copy_text_next(const struct ph_copy_shape *shape, struct ph_span bytes,
                          struct ph_span *fields, struct ph_copy_row *row,
                          struct ph_error *err) PH_MUST_CHECK;

/* Append a value with what must be escaped escaped; data NULL: \N. Tabs and newline are the
 * caller's. */
void ph_copy_text_put_field(struct ph_buf *out, struct ph_span value);
/* Append a field of ph_copy_text_next without its escapes; those that servers write are known. */
void ph_copy_text_unescape(struct ph_span field, struct ph_buf *out);

#endif
