/*
 * Whether two databases are the same, by plain SQL and pg_dump: nothing of pghaul's own digests or
 * catalogs takes part. What differs fails the test with its name.
 */
#ifndef PH_TEST_SAME_H
#define PH_TEST_SAME_H

#include "support/pgcluster.h"

/*
 * Every table (its own rows only, duplicates counted), materialized view and sequence outside
 * schema pghaul, and every large object.
 */
void same_rows(const struct pg_test_cluster *src, const char *src_db,
               const struct pg_test_cluster *dst, const char *dst_db);

/*
 * Every table in the schemas whose names match the regular expression, its own rows only; nothing
 * of sequences. Rows that differ are shown.
 */
void same_tables(const struct pg_test_cluster *src, const char *src_db,
                 const struct pg_test_cluster *dst, const char *dst_db, const char *schemas);

/* The digest of one table by plain SQL: "rows md5". */
const char *same_digest(const struct pg_test_cluster *cluster, const char *dbname,
                        const char *table);

/* pg_dump --schema-only of both is the same text. */
void same_schema(const struct pg_test_cluster *src, const char *src_db,
                 const struct pg_test_cluster *dst, const char *dst_db);

/* No session of pghaul is left on the server, waiting a little for those that are ending. */
void same_no_sessions(const struct pg_test_cluster *cluster);

#endif
