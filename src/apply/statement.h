/*
 * Statements made of a group: text and parameters, to be sent one after the other, pipelined as far
 * as they allow it. No connection here.
 *
 * PH_FOLD_NET: DELETEs from the tables of the highest level (children) down, then UPDATEs, then
 * INSERTs from the lowest level (parents) up. A table with changes that could not be folded goes
 * by itself, part after part, where its INSERTs would be. PH_FOLD_REPLAY: every change by itself in
 * the order it was added; by row an UPDATE is a DELETE and an INSERT.
 *
 * A statement has at most so many rows or bytes (one row may be larger). Its text depends only on
 * table, kind and columns, never on values or numbers of rows, so it may be prepared and kept by
 * its full text. All parameters are binary; their types stand in the text, so their OIDs may be
 * given as 0. The session needs search_path '' and the plan settings of the apply connection (no
 * custom plans, no hash or merge joins, no sequential scans), but for `wants_scan`.
 */
#ifndef PH_APPLY_STATEMENT_H
#define PH_APPLY_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apply/fold.h"
#include "base/buf.h"
#include "base/bytes.h"

enum ph_apply_kind {
    PH_APPLY_NONE, /* no more */
    PH_APPLY_DELETE,
    PH_APPLY_UPDATE,
    PH_APPLY_INSERT,
    PH_APPLY_COPY /* a piece of COPY … FROM STDIN; not within a pipeline */
};

struct ph_apply_statement {
    enum ph_apply_kind kind;
    const struct ph_apply_table *table;
    const char *sql; /* terminated */
    const struct ph_span *params;
    uint32_t n_params;
    uint32_t n_rows;        /* in the arrays, or in this piece of a COPY */
    uint64_t expected_rows; /* that must be hit; a COPY's are summed up by the caller */
    bool may_miss;   /* fewer are no conflict: a cascade took them, or they are overwritten */
    bool wants_scan; /* no index to find rows by: let the planner have hash joins and scans */
    bool is_single;  /* one change by itself */
    uint64_t change; /* replay: number of the change, from 0 as added */
    /* COPY */
    struct ph_span data;
    bool begins; /* first piece: begin COPY with `sql` */
    bool ends;   /* last piece: end it, and it should have taken all rows */
};

struct ph_apply_limits {
    uint32_t rows;      /* of a statement; 0: 1,000 */
    size_t bytes;       /* of its parameters; 0: 1 MB */
    uint32_t copy_rows; /* inserts into one table from which COPY is used; 0: never */
};

struct ph_apply_statements;

/* NULL without memory. The caller's (ph_apply_statements_free). One thread. */
struct ph_apply_statements *ph_apply_statements_new(const struct ph_apply_limits *limits);
void ph_apply_statements_free(struct ph_apply_statements *statements); /* NULL is fine */
/* From the next begin on, as ph_apply_limits.copy_rows. */
void ph_apply_statements_copy_from(struct ph_apply_statements *statements, uint32_t rows);

/*
 * From the beginning. The group must stay as it is until the last statement was taken; it may be
 * gone through again, which gives the same. PH_E_MEMORY; PH_E_CONSTRAINT: of a group of PH_FOLD_NET
 * whose order matters (`has_actions`), so that it must go by PH_FOLD_REPLAY.
 */
ph_code ph_apply_statements_begin(struct ph_apply_statements *statements, struct ph_fold *fold,
                                  struct ph_error *err) PH_MUST_CHECK;
/*
 * The next one, NONE at the end. All it points to is valid until the next call of this or begin.
 * PH_E_MEMORY.
 */
ph_code ph_apply_statements_next(struct ph_apply_statements *statements,
                                 struct ph_apply_statement *out,
                                 struct ph_error *err) PH_MUST_CHECK;

/*
 * Which rows of a statement are (not) on the target: append a query that gives their numbers, from
 * 0, one per row. It takes the first *n_params parameters of the statement. Of an INSERT into a
 * table without a key nothing can be said: *n_params is 0 and nothing appended.
 */
enum ph_apply_find { PH_FIND_MISSING, PH_FIND_PRESENT };
void ph_apply_put_find(const struct ph_apply_statement *statement, enum ph_apply_find find,
                       struct ph_buf *out, uint32_t *n_params);
/* "INSERT", "UPDATE", "DELETE". */
const char *ph_apply_verb(enum ph_apply_kind kind);

/*
 * Appends what stands for a value of the key that messages may not tell; false: it may be told.
 * `text`: without data when the value is none.
 */
typedef bool ph_apply_stand_in(const struct ph_apply_table *table,
                               const struct ph_apply_column *column, struct ph_span text,
                               struct ph_buf *out);
/*
 * "(id=5, name=abc)": the key of a row of the statement (an UPDATE that changes it: the old one),
 * always terminated. Integers, uuids and texts are printed, other values in hex. `stand_in` NULL:
 * all may be told.
 */
void ph_apply_key_text(const struct ph_apply_statement *statement, uint32_t row,
                       ph_apply_stand_in *stand_in, char *out, size_t size);

/*
 * TRUNCATE of these tables in one statement, appended; none of them may be `is_part`. Never
 * CASCADE: the source named them all. `others`: names besides, each with a comma before it.
 */
void ph_apply_put_truncate(const struct ph_apply_table *const *tables, uint32_t n_tables,
                           const char *others, bool restart_identity, struct ph_buf *out);

#endif
