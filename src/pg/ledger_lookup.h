/* The ledger of lookups: what their tables held, and what rows did not find in them. */
#ifndef PH_PG_LEDGER_LOOKUP_H
#define PH_PG_LEDGER_LOOKUP_H

#include "base/arena.h"
#include "base/buf.h"
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

/*
 * Where rows that found nothing are counted: in the copy by chunk, whose number is the place; of
 * the stream by session, since two that add to the same count would wait for each other.
 */
enum ph_orphans_of { PH_ORPHANS_GROUPS = -1, PH_ORPHANS_EARLY = -2 };

struct ph_ledger_orphan {
    uint32_t table;
    int32_t place;
    const char *column; /* of the target */
    const char *lookup; /* "public.plans.id" */
    const char *value;  /* "(plan_id=7)"; "": others */
    uint64_t rows;
};

/*
 * The statement that counts them, to go out in the transaction of the rows: begun with the first
 * in an empty `sql`, longer with each one; once a chunk. With the second it adds to what the place
 * has counted before.
 */
void ph_ledger_put_orphan(struct ph_buf *sql, const char *job,
                          const struct ph_ledger_orphan *orphan);
void ph_ledger_put_orphans_add(struct ph_buf *sql);

struct ph_ledger_orphans_told { /* of a column of a table */
    uint32_t table;
    const char *column;
    const char *lookup;
    uint64_t rows;
    const char *values; /* the most frequent ones with their numbers */
};

/* All of the job, in the order of tables and columns; `out` and texts in `arena`. */
enum ph_orphans_told_of { PH_ORPHANS_OF_COPY, PH_ORPHANS_OF_STREAM };
ph_code ph_ledger_load_orphans(struct ph_conn *conn, const char *job, enum ph_orphans_told_of of,
                               struct ph_arena *arena, struct ph_ledger_orphans_told **out,
                               uint32_t *n, struct ph_error *err) PH_MUST_CHECK;

#endif
