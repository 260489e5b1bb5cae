/*
 * What the ledger keeps of the target's own rows: for a table of which columns are preserved, a
 * table in schema pghaul with the key, those columns, and whether the row stays whole. It is made
 * in the transaction that empties the table, and goes when the values are proven to be back; until
 * then it is the only place that has them.
 */
#ifndef PH_PG_LEDGER_PRESERVED_H
#define PH_PG_LEDGER_PRESERVED_H

#include "base/buf.h"
#include "pg/ledger.h"

#define PH_PRESERVED_NAME 32
#define PH_PRESERVED_KEYS 32u /* INDEX_MAX_KEYS */

/* The name of that table, without its schema. */
void ph_preserved_name(const char *job, const struct ph_rel *target, char out[PH_PRESERVED_NAME]);
/*
 * SELECT of the target's rows: k0, k1, … the key, c0, c1, … the columns, `whole` whether the row
 * stays as it is. Of a table whose route preserves columns.
 */
void ph_preserved_put_select(const struct ph_table_plan *table, struct ph_buf *sql);

enum ph_preserved_found {
    PH_PRESERVED_NONE,
    PH_PRESERVED_ASIDE, /* all that the table had; it may be half loaded by now */
    PH_PRESERVED_REST   /* of a copy that has ended: what had not come back by then */
};
/* What this job has set aside; PH_E_JOB_OTHER when by another key or condition or of other columns.
 */
ph_code ph_preserved_find(struct ph_conn *conn, const char *job, const struct ph_table_plan *table,
                          enum ph_preserved_found *found, struct ph_error *err) PH_MUST_CHECK;
/*
 * Statements that set the rows aside, for the transaction that empties the table; with a rest of
 * an earlier copy they are added to it, and win. Not for what is aside already.
 */
void ph_preserved_put_aside(const char *job, const struct ph_table_plan *table,
                            enum ph_preserved_found found, struct ph_buf *sql);
/* How many rows were set aside, and how many of them stay whole. */
struct ph_preserved_counts {
    uint64_t rows; /* of which the columns are preserved */
    uint64_t whole;
};
ph_code ph_preserved_count(struct ph_conn *conn, const char *job, const struct ph_rel *target,
                           struct ph_preserved_counts *out, struct ph_error *err) PH_MUST_CHECK;
/* How many of a chunk's rows were left out, beside its receipt and in its transaction. */
ph_code ph_preserved_left_out(struct ph_conn *conn, const char *job, const struct ph_chunk *chunk,
                              uint64_t n, struct ph_error *err) PH_MUST_CHECK;
/* What has come back is none of it any more: in the caller's transaction. */
ph_code ph_preserved_leave_rest(struct ph_conn *conn, const char *job,
                                const struct ph_table_plan *table,
                                struct ph_error *err) PH_MUST_CHECK;
/* Drop it, in the caller's transaction. Fine when there is none. */
ph_code ph_preserved_drop(struct ph_conn *conn, const char *job, const struct ph_rel *target,
                          struct ph_error *err) PH_MUST_CHECK;
struct ph_preserved_aside {
    const char *job;
    const char *schema;
    const char *name;
    const char *kept_in; /* the table of schema pghaul */
};
/* All that jobs have set aside and not given back, in `arena`. None when there is no ledger. */
ph_code ph_preserved_list(struct ph_conn *conn, struct ph_arena *arena,
                          struct ph_preserved_aside **out, uint32_t *n,
                          struct ph_error *err) PH_MUST_CHECK;
/* With the rest of the ledger. PH_E_NOT_READY when the job still has rows aside, which would be
 * lost. */
ph_code ph_preserved_forget(struct ph_conn *conn, const char *job,
                            struct ph_error *err) PH_MUST_CHECK;

#endif
