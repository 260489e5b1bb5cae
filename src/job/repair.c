#include "job/repair.h"

#include <stdio.h>

#include "base/failpoint.h"
#include "job/memory.h"
#include "job/repair_parts.h"
#include "job/verify_parts.h"

/* Differences held at a time; a table with more is mended in rounds of the same transaction. */
#define LISTED_AT_A_TIME 50000u

ph_code
ph_repair_open(const struct ph_endpoint *target, const struct ph_catalog *catalog,
               struct ph_conn **conn, enum ph_repair_mode *mode, struct ph_error *err)
{
    *mode = catalog->can_set_replica_role ? PH_REPAIR_REPLICA : PH_REPAIR_ENFORCED;
    PH_TRY(ph_conn_open(target, "repair", conn, err));
    return *mode == PH_REPAIR_REPLICA
               ? ph_conn_exec(*conn, "SET session_replication_role = replica", err)
               : PH_OK;
}

/* The lock comes before the transaction's snapshot, so the snapshot sees what the lock protects. */
ph_code
ph_repair_begin(const struct ph_repair_params *params, unsigned wait_ms, struct ph_error *err)
{
    struct ph_buf sql;

    ph_buf_init(&sql, 4096);
    ph_buf_printf(&sql,
                  "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL lock_timeout = %u; LOCK TABLE ",
                  wait_ms);
    ph_row_scan_put_from(params->tables[0], PH_TARGET, &sql);
    ph_buf_puts(&sql, " IN SHARE ROW EXCLUSIVE MODE; SET LOCAL lock_timeout = 0");
    ph_code rc = ph_conn_exec(params->target, ph_buf_text(&sql), err);
    ph_buf_free(&sql);
    return rc;
}

static ph_code
run_round(struct ph_repair *repair, uint64_t *left, struct ph_error *err)
{
    struct ph_bucket_mask mask;
    struct ph_row_diff diff = {0};
    ph_code rc = ph_bucket_mask_read(&repair->diff, &mask, err);

    *left = 0;
    repair->diff.mask = &mask;
    if (rc == PH_OK && mask.n_unequal > 0) {
        rc = ph_row_diff_run(&repair->diff, &diff, err);
        *left = ph_row_diff_total(&diff);
        if (rc == PH_OK)
            rc = ph_repair_apply(repair, &diff, err);
    }
    repair->diff.mask = NULL;
    ph_row_diff_free(&diff);
    ph_bucket_mask_free(&mask);
    return rc;
}

/* Each round compares first; the last one finds nothing to do. */
static ph_code
run_rounds(struct ph_repair *repair, struct ph_error *err)
{
    uint64_t before = UINT64_MAX;
    uint64_t left;

    for (;;) {
        PH_TRY(run_round(repair, &left, err));
        if (left == 0)
            return PH_OK;
        if (left >= before)
            return PH_FAIL(err, PH_E_DIFFERENT,
                           "%llu rows still differ when they are mended: what the target generates "
                           "or its triggers do is not the same",
                           (unsigned long long)left);
        before = left;
    }
}

/* The statements bring the source's own values, not what rules make of them. */
static ph_code
refuse_routes(const struct ph_repair_params *params, struct ph_error *err)
{
    for (uint32_t i = 0; i < params->n_tables; i++) {
        if (params->tables[i]->route != NULL)
            return PH_FAIL(
                err, PH_E_DIFFERENT,
                "rows that rules have made are not mended one by one: empty the table and "
                "copy it again, as a job of its own");
    }
    return PH_OK;
}

ph_code
ph_repair_table(const struct ph_repair_params *params, struct ph_repaired *out,
                struct ph_error *err)
{
    struct ph_result *acting = NULL;
    struct ph_repair repair = {
        .params = params,
        .diff = {.tables = params->tables,
                 .n_tables = params->n_tables,
                 .source = params->source,
                 .target = params->target,
                 .budget_bytes = ph_memory_of_proof(params->options),
                 .max_row_bytes = params->options->max_row_bytes,
                 .max_listed = LISTED_AT_A_TIME},
        .out = out,
    };

    *out = (struct ph_repaired){0};
    PH_TRY(refuse_routes(params, err));
    ph_code rc = params->has_begun ? PH_OK : ph_repair_begin(params, 0, err);
    if (rc == PH_OK)
        rc = ph_repair_set_aside(&repair, &acting, err);
    if (rc == PH_OK)
        rc = run_rounds(&repair, err);
    if (rc == PH_OK)
        rc = ph_repair_put_back(&repair, acting, err);
    PH_FAILPOINT(before_repair_commit);
    if (rc == PH_OK)
        rc = ph_conn_exec(params->target, "COMMIT", err);
    ph_result_free(acting);
    return rc;
}
