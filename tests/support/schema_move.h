/*
 * Moving a schema without rows between two test clusters, step by step. For tests of src/pg's
 * schema modules; every failure fails the test.
 */
#ifndef PH_TEST_SCHEMA_MOVE_H
#define PH_TEST_SCHEMA_MOVE_H

#include <stdint.h>

#include "model/finding.h"
#include "pg/archive.h"
#include "pg/ddl_step.h"
#include "support/pgcluster.h"

struct move {
    const struct pg_test_cluster *src;
    const struct pg_test_cluster *dst;
    const char *from; /* databases */
    const char *to;
    struct ph_endpoint source;
    struct ph_endpoint target;
    struct ph_archive_params params;
    struct ph_archive archive;
    struct ph_conn *conn; /* to the target */
    uint32_t done;        /* entries of pre-data, as the hook was told */
    int warnings;
};

struct wanted { /* a selection */
    const char *schema;
    const char *oids; /* "|OID\n" of each selected relation */
    char left_out[2000];
};

struct ledger { /* keys of steps that are done */
    const char *keys[500];
    int n;
    struct wanted *wanted; /* NULL: everything */
};

#define MOVE_CHECK(expr) move_check((expr), &err, #expr)
void move_check(ph_code code, const struct ph_error *err, const char *what);

/* Dumps and opens the archive of database `from` of `src`, connects to `to` of `dst`. */
void move_begin(struct move *move, const struct pg_test_cluster *src, const char *from,
                const struct pg_test_cluster *dst, const char *to);
void move_end(struct move *move);
void move_pre_data(struct move *move);
void move_build_steps(struct move *move, struct ledger *ledger, uint64_t split_bytes,
                      struct ph_steps *steps);
/*
 * Copies no row: the tables are said to be done one by one while steps already run. Every some
 * steps all is forgotten but the ledger, with other sizes: what was split stays split.
 */
void move_post_data(struct move *move, struct wanted *wanted, uint64_t split_bytes,
                    int forget_after);
bool wanted_has_rel(void *arg, ph_oid oid);

/* pg_dump of both databases, with `option`, is the same text. */
void move_assert_same_dump(const struct move *move, const char *option);
/* ph_schema_compare; the caller resets the findings. */
void move_compare(struct move *move, struct ph_findings *findings);
/* "error index app.x: missing on the target\n" for each. */
const char *move_findings_text(const struct ph_findings *findings);
void move_assert_no_difference(struct move *move);

#endif
