/*
 * When are two keys the same? The server finds rows by the type's own equality, for which 1.0 is
 * 1.00, so changes are folded by a canonical form: bytes that are equal exactly when the server
 * calls the values equal. Where that cannot be derived from the bytes, the table is not folded.
 */
#ifndef PH_APPLY_KEY_H
#define PH_APPLY_KEY_H

#include "apply/table.h"
#include "base/bytes.h"

/*
 * How values of this column are compared, on either side; UNKNOWN when the two sides differ in it,
 * for nondeterministic collations, and for all types not known to be simple.
 */
enum ph_key_kind ph_key_kind_of(const struct ph_catalog *source, const struct ph_catalog *target,
                                const struct ph_plan_column *column);

/*
 * Write the canonical form of one field, length and bytes, to `out`, which has room for
 * PH_KEY_ROOM(len) bytes. Returns how many were written. Bytes that are no value of the type
 * are kept as they are: the server will judge them.
 */
#define PH_KEY_ROOM(len) ((len) + 8)
size_t ph_key_put(const struct ph_apply_column *column, struct ph_span value, uint8_t *out);

#endif
