/*
 * A table as the stream's changes are applied to it: the target's relation, which field of the
 * stream goes into which of its columns and how, and the key that rows are found by.
 *
 * Made of the plan, both catalogs and what the stream announces about the table; made anew when
 * that is announced anew. Immutable; any thread may read it.
 *
 * How values travel. A statement has one array per column as its parameter, in array_send's format.
 * The array's element type is the target's own type,
 * whose array type the catalog knows; for columns that are arrays themselves (they have no array
 * type), a domain over the array type in schema pghaul, which has one. Those domains must be made
 * beforehand (ph_apply_domains). A value that comes as text goes as text and is cast. A value that
 * comes in binary although the two types differ goes as the source's type and is cast by its text.
 */
#ifndef PH_APPLY_TABLE_H
#define PH_APPLY_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "model/catalog.h"
#include "model/change.h"
#include "model/plan.h"

enum ph_carry {
    PH_CARRY_BINARY,  /* the target's type, its OIDs rewritten */
    PH_CARRY_TEXT,    /* text, cast to the target's type */
    PH_CARRY_VIA_TEXT /* the source's type, which both servers have; cast by its text */
};

/* When two values of a key are the same although their bytes differ. */
enum ph_key_kind {
    PH_KEY_BYTES,   /* never */
    PH_KEY_NUMERIC, /* 1.0 is 1.00 */
    PH_KEY_FLOAT,   /* -0 is 0 */
    PH_KEY_BPCHAR,  /* trailing spaces do not count */
    PH_KEY_UNKNOWN  /* only the server knows */
};

struct ph_apply_column {
    const char *name;      /* on the target */
    uint32_t field;        /* position in the stream's fields */
    uint32_t remap_column; /* position for ph_oid_remap_field, with `needs_remap` */
    bool needs_remap;
    bool is_key;
    bool is_identity_always; /* GENERATED ALWAYS AS IDENTITY: cannot be SET */
    bool compares_exactly;   /* NOT NULL on the target, and = holds for equal bytes only */
    enum ph_carry carry;
    enum ph_key_kind key_kind;
    ph_oid element_oid;    /* of the parameter's array */
    const char *param_sql; /* the parameter's type, quoted: "pg_catalog"."_int4" */
    const char *open_sql;  /* before the value: "", or the call of a function that cast_sql ends */
    const char *cast_sql;  /* behind the value: "" or ::"pg_catalog"."text"::"app"."mood" */
    const char *image_sql; /* behind a value that is compared by its text: the target's length and
                              precision, "" where they are the source's */
    const char *equals;    /* "=" or OPERATOR("schema".=) */
    const char *type_name; /* of the target's base type, for messages */
};

/*
 * A column of the target that changes do not bring, being from before it. What new rows have in it
 * is what the source filled in later, whatever the target's default is by now.
 */
struct ph_apply_fill {
    const char *name;
    const char *value_sql; /* a literal without a type, or NULL as SQL has it */
};

enum ph_apply_way {
    PH_APPLY_BY_KEY,  /* changes are folded per key */
    PH_APPLY_BY_ROW,  /* no key: rows are counted by their whole image */
    PH_APPLY_IN_ORDER /* the key's equality is the server's secret, or there is none and rows are
                         referred to: one change after the other */
};

struct ph_apply_table {
    uint32_t index;                   /* small and unique among the tables of a stream */
    const struct ph_table_plan *plan; /* of the plan, also where rules stand between */
    const struct ph_rel *target;
    const char *label;      /* schema.name of the target, for messages */
    const char *target_sql; /* ONLY "schema"."name", for a partitioned one without ONLY */
    enum ph_apply_way way;
    const struct ph_apply_column *columns; /* the key's first, then in target order */
    uint32_t n_columns;
    uint32_t n_keys; /* 0: rows are found by their whole image */
    const struct ph_apply_fill *fills;
    uint32_t n_fills;
    uint32_t n_stream_fields; /* what a change of this table must have */
    bool key_is_bytes;        /* all keys are PH_KEY_BYTES */
    bool keeps_identity;      /* a column outside of the key is_identity_always */
    bool key_is_identity;     /* one of the key is */
    bool has_index;           /* one of the target leads to the rows of a key */
    bool may_reorder;         /* no other unique index: rows do not stand in each other's way */
    bool may_split_moves;     /* a change of the key, or of a row without one, may go as DELETE and
                                 INSERT: may_reinsert, and the target has no columns of its own */
    bool may_reinsert;      /* a row may go and come again: no enforced key refers to the rows, nor
                               acts upon such without a key */
    bool may_miss;          /* a DELETE may hit less: an enforced key cascades into this table */
    bool may_miss_moves;    /* so may a change of the key, or of a row without one: an enforced
                               key has done it already */
    bool has_actions;       /* an enforced key acts upon its rows, or for its rows upon others:
                               changes of it go in the source's order unless they fold whole */
    bool can_copy;          /* COPY may take its rows */
    bool copies_text;       /* that COPY is in text format */
    bool is_part;           /* one partition of the source whose rows are among others in the
                               target: TRUNCATE of it is not TRUNCATE of the target */
    uint32_t level;         /* of the plan: parents have lower ones */
    const char *const *own; /* columns of the target's own (ph_plan_is_own): whatever the stream
                               says of a row, they keep what they have */
    uint32_t n_own;
    const struct ph_oid_remap *remap;
    const char *insert_sql; /* texts of the frequent statements */
    const char *delete_sql;
    const char *copy_sql;
};

struct ph_apply_table_params {
    uint32_t index;
    const struct ph_table_plan *plan;
    /* Rules stand between: `plan` and `rel` are made up, of rows as the rules give them, and this
     * is the table of the plan; NULL: `plan` itself. */
    const struct ph_table_plan *behind;
    const bool *keys; /* per column of the plan: rows are found by these; NULL: by what the stream
                         or an index says */
    const struct ph_stream_rel *rel; /* need not outlive the call */
    ph_lsn commit; /* of the transaction; 0: of one whose late columns are all still to come */
    const struct ph_catalog *source;
    const struct ph_catalog *target; /* read when the domains had been made */
    enum ph_format stream;           /* BINARY: the stream was begun with option binary */
    bool enforces_keys;              /* foreign keys of the target are checked while applying */
};

/*
 * All of `*out` lives in `arena` and refers to the plan and both catalogs.
 * PH_E_TYPES: the stream announces columns or types that the plan does not have, or lacks
 * some that it has, late ones when nobody can tell what the source filled in; PH_E_UNSUPPORTED: a
 * value would come in a form that cannot go on (ask ph_apply_stream_format before the stream
 * begins); PH_E_LEDGER: a domain is missing; PH_E_MEMORY.
 */
ph_code ph_apply_table_build(const struct ph_apply_table_params *params, struct ph_arena *arena,
                             const struct ph_apply_table **out, struct ph_error *err) PH_MUST_CHECK;

/* The index by which rows are found under REPLICA IDENTITY FULL, NULL: by all that they are. The
 * plan may be of a table that the target does not have yet. */
const struct ph_index *ph_apply_full_key(const struct ph_table_plan *plan, bool *of_target);

/*
 * Names of the columns of the target's own, in `arena`; NULL: no memory. A late column is none,
 * also for changes from before it came: the job fills it.
 */
const char *const *ph_apply_own_columns(const struct ph_table_plan *plan, struct ph_arena *arena,
                                        uint32_t *n);

/*
 * The format that a stream with these tables may have: BINARY unless the values of a column are
 * fit for text only (they would name objects of the source by OID, or could not be sent at all);
 * `why` (may be NULL) is then filled as an error is.
 */
enum ph_format ph_apply_stream_format(const struct ph_plan *plan, const struct ph_catalog *source,
                                      const struct ph_catalog *target, struct ph_error *why);

/*
 * Append the statements that make the domains which the plan's columns need and the target's
 * catalog does not have, each ended by ";\n". Schema pghaul must be there. Nothing is appended when
 * none is missing; afterwards the target's catalog must be read again. With more than 256 of them
 * one may be named twice. The errors of ph_apply_table_build.
 */
ph_code ph_apply_domains(const struct ph_plan *plan, const struct ph_catalog *source,
                         const struct ph_catalog *target, enum ph_format stream, struct ph_buf *out,
                         struct ph_error *err) PH_MUST_CHECK;

#endif
