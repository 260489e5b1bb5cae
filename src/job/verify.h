/*
 * `pghaul verify`: is what is on the target what is on the source? Between any two
 * databases, whoever copied them; no ledger is needed. A job that follows is compared while it does
 * (verify_live.h).
 *
 * Each side is read under one exported snapshot. Rows are hashed by lanes on both sides, buckets
 * that differ are read again down to the row, then come sequences, schema objects and large
 * objects. With --repair, rows that differ are mended on the target, one transaction a table.
 */
#ifndef PH_JOB_VERIFY_H
#define PH_JOB_VERIFY_H

#include "job/run.h"
#include "job/select.h"
#include "model/plan.h"
#include "pg/conn.h"

/* PH_OK: nothing differs (after repair, if asked). PH_E_DIFFERENT: see the report's findings. */
ph_code ph_job_verify(struct ph_run *run, struct ph_error *err);

#define PH_VERIFY_LISTED 1000u /* differing rows that are named, of each table */

/* ---- for the copy's own proof ---- */

struct ph_verify_rows_params {
    const struct ph_options *options;
    struct ph_conn *source;                    /* in a transaction under the copy's snapshot */
    struct ph_conn *target;                    /* in a repeatable-read transaction */
    const struct ph_table_plan *const *tables; /* one, or all that share a target */
    uint32_t n_tables;
    struct ph_report *report;
};
/*
 * Reads tables whose digests differ again, down to the rows, and puts what it finds into the
 * report. *n is the number of differing rows, 0 when there are none after all. The connections'
 * thread.
 */
ph_code ph_verify_table_rows(const struct ph_verify_rows_params *params, uint64_t *n,
                             struct ph_error *err);

struct ph_verify_rest_params {
    const struct ph_options *options;
    struct ph_conn *source; /* in transactions whose snapshots count */
    struct ph_conn *target;
    struct ph_catalog *source_catalog; /* their sequences' values are read here */
    struct ph_catalog *target_catalog;
    const struct ph_selection *selection; /* of the source's catalog */
    const struct ph_ruleset *ruleset;     /* NULL: there are no rules */
    struct ph_report *report;
    bool is_one_database; /* there is one set of sequences */
    bool follows; /* what the stream does not bring is not compared: it is carried now and then */
    bool leaves_objects; /* large objects are brought to what the source has later on */
};
/*
 * Sequences, large objects, and constraints of the target that nothing enforced while rows were
 * written. *n: how many things differ.
 */
ph_code ph_verify_rest(const struct ph_verify_rest_params *params, uint32_t *n,
                       struct ph_error *err);
/* The schema, as far as it is selected. *n: how many objects are missing or different. */
ph_code ph_verify_schema(const struct ph_verify_rest_params *params, uint32_t *n,
                         struct ph_error *err);

#endif
