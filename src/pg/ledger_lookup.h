/* The ledger of lookups: what their tables held, and what rows did not find in them. */
#ifndef PH_PG_LEDGER_LOOKUP_H
#define PH_PG_LEDGER_LOOKUP_H

#include "base/arena.h"
#include "model/plan.h"
#include "pg/ledger.h"

/*
 * What was looked up in under the epoch, and, in *last, under the newest that says so: digests of
 * rules/lookup.h in `arena`, "" when nothing was written down.
 */
ph_code ph_ledger_load_lookups(struct ph_conn *conn, const char *job, uint32_t epoch,
                               struct ph_arena *arena, const char **of_epoch, const char **last,
                               struct ph_error *err) PH_MUST_CHECK;
ph_code ph_ledger_save_lookups(struct ph_conn *conn, const char *job, uint32_t epoch,
                               const char *digest, struct ph_error *err) PH_MUST_CHECK;

struct ph_ledger_orphan {
    const char *column; /* of the target */
    const char *lookup; /* "public.plans.id" */
    const char *value;  /* "(plan_id=7)"; "": others */
    uint64_t rows;
};

/* In the transaction of the chunk's rows. */
ph_code ph_ledger_add_orphan(struct ph_conn *conn, const char *job, const struct ph_chunk *chunk,
                             const struct ph_ledger_orphan *orphan,
                             struct ph_error *err) PH_MUST_CHECK;

struct ph_ledger_orphans_told { /* of a column of a table */
    uint32_t table;
    const char *column;
    const char *lookup;
    uint64_t rows;
    const char *values; /* the most frequent ones with their numbers */
};

/* All of the job, in the order of tables and columns; `out` and texts in `arena`. */
ph_code ph_ledger_load_orphans(struct ph_conn *conn, const char *job, struct ph_arena *arena,
                               struct ph_ledger_orphans_told **out, uint32_t *n,
                               struct ph_error *err) PH_MUST_CHECK;

#endif
