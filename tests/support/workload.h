/*
 * A random workload over several sessions, the same one for the same seed: all kinds of statements
 * on the tables of tests/data/workload.sql, in transactions that interleave, with savepoints,
 * rollbacks, prepared transactions and some that are large enough to be streamed.
 *
 * One statement runs at a time; what would wait for a lock of another session gives up at once, as
 * do violations of constraints, and counts as part of the workload. Any other error fails the test.
 * The environment sets the seed (PH_WORKLOAD_SEED), and a file that all statements are written to
 * (PH_WORKLOAD_LOG).
 *
 * The cluster needs max_prepared_transactions, and transactions are streamed with
 * logical_decoding_work_mem = 64kB (WORKLOAD_CONF). Main thread only.
 */
#ifndef PH_TEST_WORKLOAD_H
#define PH_TEST_WORKLOAD_H

#include "support/pgcluster.h"

#include <stdint.h>

/* autovacuum would take locks that statements give up for. */
#define WORKLOAD_CONF                                                                              \
    "max_prepared_transactions = 20\nlogical_decoding_work_mem = 64kB\nautovacuum = off\n"

/* Regular expression of the schemas that are to be followed. */
#define WORKLOAD_SCHEMAS "^(w|Odd \"Sch)$"

struct workload;

struct workload_counts { /* for reading */
    unsigned statements;
    unsigned failed; /* of them */
    unsigned commits;
    unsigned rollbacks;
    unsigned rollbacks_to; /* a savepoint */
    unsigned prepared;
};

/* The tables, empty but for a few. The database is there. */
void workload_make(const struct pg_test_cluster *cluster, const char *dbname);

/* What makes them, as a script for psql. */
const char *workload_schema(void);

/* PH_WORKLOAD_SEED, or one of the clock. Prints it. */
uint64_t workload_seed(void);

/* Opens the sessions. The caller ends it with workload_end. */
struct workload *workload_begin(const struct pg_test_cluster *cluster, const char *dbname,
                                uint64_t seed);

/* So many steps: each begins or ends a transaction, or runs a statement in one. */
void workload_steps(struct workload *workload, unsigned steps);

/* Ends all transactions, prepared ones among them, as it happens. */
void workload_settle(struct workload *workload);

struct workload_counts workload_counts(const struct workload *workload);

/* Settles, and closes the sessions. */
void workload_end(struct workload *workload);

#endif
