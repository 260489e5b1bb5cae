/*
 * Rewriting what send-format values carry of the source, to what the target would send, in place:
 * OIDs, and what arrays say of NULLs that they have no longer.
 *
 * array_send puts the element type's OID into the array header, record_send puts the type's OID
 * before every attribute; ranges, multiranges and domains carry none but may hold values that do.
 * OIDs have a fixed width, so no length ever changes. What has to be rewritten is compiled once per
 * table into a small program per column, from both catalogs' types; applying it checks every length
 * and every OID it expects. Immutable; any thread may apply it.
 */
#ifndef PH_WIRE_OID_REMAP_H
#define PH_WIRE_OID_REMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/catalog.h"
#include "model/plan.h"

struct ph_oid_remap;

/*
 * The program for rows of these columns. `*out` lives in `arena`; NULL when no column has anything
 * to rewrite: bytes pass through. PH_E_INTERNAL when the types do not match (ph_type_match first).
 */
ph_code ph_oid_remap_compile(const struct ph_plan_column *columns, uint32_t n_columns,
                             const struct ph_catalog *source, const struct ph_catalog *target,
                             struct ph_arena *arena, const struct ph_oid_remap **out,
                             struct ph_error *err) PH_MUST_CHECK;

/*
 * Rewrite one tuple: field count and fields, as COPY BINARY has it, exactly `len` bytes.
 * PH_E_PROTOCOL when a length does not fit or an OID is not what the source's catalog says; the
 * tuple is then partly rewritten.
 */
ph_code ph_oid_remap_apply(const struct ph_oid_remap *remap, uint8_t *tuple, size_t len,
                           struct ph_error *err) PH_MUST_CHECK;

/*
 * Rewrite the value of one column (a position in the columns that were compiled), in place.
 * PH_E_PROTOCOL as above.
 */
ph_code ph_oid_remap_field(const struct ph_oid_remap *remap, uint32_t column, uint8_t *bytes,
                           size_t len, struct ph_error *err) PH_MUST_CHECK;
/* Whether that column has anything to rewrite; `remap` may be NULL. */
bool ph_oid_remap_needs(const struct ph_oid_remap *remap, uint32_t column);

/*
 * Rewrite all whole tuples at the front of a buffer (behind the header), up to the trailer, or to a
 * tuple that is cut short. `*consumed`: the bytes that are done (trailer not counted).
 */
ph_code ph_oid_remap_apply_all(const struct ph_oid_remap *remap, uint8_t *bytes, size_t len,
                               size_t *consumed, struct ph_error *err) PH_MUST_CHECK;

#endif
