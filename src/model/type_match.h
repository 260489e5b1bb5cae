/*
 * Can a column's values go from the source's type to the target's, and how?
 *
 * Types are compared by what they are made of, as far down as it goes: domains by their base,
 * arrays by their element, composites by the names and types of their attributes, enums by their
 * labels, ranges by their subtype; base types by qualified name, those of an extension by
 * extension, name and version. OIDs and the names of user types do not matter: a differing OID that
 * is embedded in the bytes is rewritten on the way (wire/oid_remap.h).
 *
 * Dropped attributes of a composite do not matter either: record_send leaves them out and
 * record_recv counts the live ones only (tried on 13 to 18).
 *
 * Pure functions of two immutable catalogs, any thread.
 */
#ifndef PH_MODEL_TYPE_MATCH_H
#define PH_MODEL_TYPE_MATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "model/catalog.h"
#include "model/plan.h"

enum ph_match {                 /* ordered: a whole is as its worst part */
                PH_MATCH_PASS,  /* binary, the bytes as they are */
                PH_MATCH_REMAP, /* binary, embedded OIDs are rewritten */
                PH_MATCH_TEXT,  /* text only; `reason` says why */
                PH_MATCH_NONE   /* cannot go; `reason` says why */
};

struct ph_type_match {
    enum ph_match kind;
    bool may_change;  /* the types differ so that the target may write a value in another form (1.0
                         as 1.00): comparing byte for byte may then report differences */
    char reason[160]; /* one phrase for TEXT and NONE: "reg* types name objects by OID" */
};

#define PH_TYPE_DEPTH_MAX 32 /* nesting of arrays, composites, …; beyond it text is used */

/* The type behind all domains, or NULL when the catalog lacks it. */
const struct ph_type *ph_type_base(const struct ph_catalog *catalog, ph_oid oid);
bool ph_type_is_array(const struct ph_type *type);
/* Whether a column of it has no NULLs: its own constraint, or a domain's that is its type. */
bool ph_type_column_not_null(const struct ph_catalog *catalog, const struct ph_column *column);
/*
 * The length or precision that the server gives values of the column, or elements where it is an
 * array: its own, or that of a domain on the way down to the base type; -1: none.
 */
int32_t ph_type_column_typmod(const struct ph_catalog *catalog, const struct ph_column *column);
/*
 * The operator by which values of that base type are equal, with its schema: `OPERATOR("s".=)`.
 * search_path is empty in pghaul's sessions, where a bare = would be that of a type it can be cast
 * to: citext would be compared as text, and without its index.
 */
void ph_type_put_equals(const struct ph_type *base, struct ph_buf *out);

void ph_type_match(const struct ph_catalog *source, ph_oid source_oid,
                   const struct ph_catalog *target, ph_oid target_oid, struct ph_type_match *out);
/* The same, and the lengths and precisions (typmod). */
void ph_type_match_column(const struct ph_catalog *source, const struct ph_column *source_column,
                          const struct ph_catalog *target, const struct ph_column *target_column,
                          struct ph_type_match *out);

struct ph_table_match {
    enum ph_format format;
    bool may_change;  /* of at least one column */
    char reason[256]; /* of the format, one phrase for `plan`: "binary", "column c: …" */
};

/*
 * All columns of a table (name, type and typmod of both sides are read): binary unless a column
 * needs text. PH_E_TYPES, with the column named, when one cannot go. Both columns' `source` and
 * `target` must be set.
 */
ph_code ph_type_match_table(const struct ph_plan_column *columns, uint32_t n_columns,
                            const struct ph_catalog *source, const struct ph_catalog *target,
                            struct ph_table_match *out, struct ph_error *err) PH_MUST_CHECK;

#endif
