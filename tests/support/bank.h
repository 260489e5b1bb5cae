/*
 * Money that moves between accounts in several sessions at once, each in a thread of its own:
 * updates, changes of keys, rows deleted and inserted again, two tables, savepoints, prepared
 * transactions and some large enough to be streamed. At every commit the sum of all balances is the
 * same, and every transfer is counted by both of its accounts.
 *
 * The threads outlive crashes of the server: they connect again and go on.
 */
#ifndef PH_TEST_BANK_H
#define PH_TEST_BANK_H

#include "support/pgcluster.h"

#include <libpq-fe.h>
#include <stdint.h>

struct bank;

/*
 * Schema `bank` in a database that is there, with some megabytes beside the accounts so that a copy
 * takes its time. The cluster needs max_prepared_transactions.
 */
void bank_make(const struct pg_test_cluster *cluster, const char *dbname);

/* Opens it for business. The caller ends it with bank_end, which waits for what is under way. */
struct bank *bank_begin(const struct pg_test_cluster *cluster, const char *dbname, uint64_t seed);
void bank_end(struct bank *bank);

/* Transfers that were committed so far. */
uint64_t bank_transfers(const struct bank *bank);

/*
 * "" when the books are right as one statement sees them; otherwise what is wrong, or why they
 * could not be read ("error: …"). Lives until the program ends.
 */
const char *bank_wrong(PGconn *conn);

#endif
