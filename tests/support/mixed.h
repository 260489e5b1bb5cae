/*
 * A small database of everything that a copy treats differently: about 20 MB, filled in a second.
 *
 * `public.big` has no key, holds duplicates and is large enough to be split with MIXED_SPLIT into
 * three chunks; `public.orders` is loaded frozen; the others are small and share transactions.
 */
#ifndef PH_TEST_MIXED_H
#define PH_TEST_MIXED_H

#include "support/pgcluster.h"

#define MIXED_SPLIT "4500kB"

/* Makes the database and fills it. */
void mixed_new(const struct pg_test_cluster *cluster, const char *dbname);

/* Only its empty tables with their keys, triggers and foreign keys, owned by `owner`. */
void mixed_new_empty(const struct pg_test_cluster *cluster, const char *dbname, const char *owner);

#endif
