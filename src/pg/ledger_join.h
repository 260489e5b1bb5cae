/*
 * The part of the ledger that adding tables to a job that follows needs. As pg/ledger.h: on the
 * connection given, in its current transaction, on its thread.
 *
 * Order of what is written, so that a kill at any point can be gone on from:
 *   begin_join (the phase is back at the schema, whatever snapshot there was is lost) → the
 *   publication gets the tables → published → an epoch, schema, plan, rows, proof as of any copy →
 *   in one transaction: the verdict and end_join.
 * While ph_ledger_job.joining is set only the command with the wider selection goes on.
 */
#ifndef PH_PG_LEDGER_JOIN_H
#define PH_PG_LEDGER_JOIN_H

#include <stdint.h>

#include "base/arena.h"
#include "pg/ledger.h"

/* As ph_selection_write made them, of the tables that the job has; in `arena`. */
ph_code ph_ledger_load_patterns(struct ph_conn *conn, const char *job, struct ph_arena *arena,
                                const char **patterns, struct ph_error *err);

struct ph_ledger_place {
    const char *schema;
    const char *name;
};

/* The tables that the job had before its `joins`-th addition. */
struct ph_ledger_tables {
    const ph_oid *oids;                    /* on the source, ascending; in `arena` */
    const struct ph_ledger_place *targets; /* where their rows go, in the same order; in `arena` */
    uint32_t n;
    uint32_t n_lots; /* numbers that are taken: 0 to n - 1 */
    uint32_t n_groups;
};
ph_code ph_ledger_load_tables_before(struct ph_conn *conn, const char *job, uint32_t joins,
                                     struct ph_arena *arena, struct ph_ledger_tables *out,
                                     struct ph_error *err);

/* Counts job->joins up. `selection` is that of the wider patterns. In a transaction of its own. */
ph_code ph_ledger_begin_join(struct ph_conn *conn, struct ph_ledger_job *job, const char *selection,
                             struct ph_error *err);
/* The publication has the tables; `xid` was given out on the source afterwards. */
ph_code ph_ledger_published(struct ph_conn *conn, const char *job, uint64_t xid,
                            struct ph_error *err);
/* The job is of the wider patterns now. */
ph_code ph_ledger_end_join(struct ph_conn *conn, struct ph_ledger_job *job, const char *selection,
                           const char *patterns, struct ph_error *err);

#endif
