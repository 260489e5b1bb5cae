/*
 * --data-only: making an existing schema ready for rows.
 *
 * Under replica role nothing of the target fires but what is marked to. Without the right to that
 * the owner disables user triggers; foreign keys then stay enforced and the plan is in their order.
 * See set_aside.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "job/copy_parts.h"

#define TABLES_A_QUESTION 50u

void
ph_copy_put_target(struct ph_buf *sql, const struct ph_rel *rel)
{
    ph_buf_puts(sql, rel->kind == PH_REL_PARTITIONED ? "" : "ONLY ");
    ph_buf_put_qualified(sql, rel->schema, rel->name);
}

/* Rows that an extension ships, or that a rule preserves, are none of ours. */
static void
put_condition(struct ph_buf *sql, const struct ph_table_plan *table)
{
    if (table->where[PH_TARGET] != NULL)
        ph_buf_printf(sql, " %s", table->where[PH_TARGET]);
}

/* ---- emptiness ---- */

static bool
is_first_with_target(const struct ph_plan *plan, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++) {
        if (plan->tables[i].target == plan->tables[index].target)
            return false;
    }
    return true;
}

static void
not_empty(struct ph_findings *findings, const struct ph_rel *rel)
{
    char object[300];
    struct ph_finding_params params = {
        PH_FINDING_ERROR, PH_E_TARGET_NOT_EMPTY, "target", object,
        "empty it, leave it out with --exclude, or give --truncate --yes"};

    snprintf(object, sizeof object, "%s.%s", rel->schema, rel->name);
    ph_finding_add(findings, &params, "the table already has rows on the target");
}

/* Asks for up to TABLES_A_QUESTION tables from *next on at once. */
static ph_code
find_rows_in(struct ph_job *job, uint32_t *next, struct ph_findings *findings, struct ph_error *err)
{
    struct ph_plan *plan = &job->plan;
    struct ph_result *r;
    struct ph_buf sql;

    ph_buf_init(&sql, (size_t)1 << 20);
    for (uint32_t n = 0; n < TABLES_A_QUESTION && *next < plan->n_tables; n++, (*next)++) {
        ph_buf_printf(&sql, "%sSELECT %u WHERE %sEXISTS (SELECT FROM ", n > 0 ? " UNION ALL " : "",
                      *next, plan->tables[*next].is_beside ? "false AND " : "");
        ph_copy_put_target(&sql, plan->tables[*next].target);
        put_condition(&sql, &plan->tables[*next]);
        ph_buf_puts(&sql, ")");
    }
    ph_code rc = ph_buf_ok(&sql)
                     ? ph_conn_query(job->target_control, ph_buf_text(&sql), 0, NULL, &r, err)
                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    PH_TRY(rc);
    for (int i = 0; i < ph_result_rows(r); i++) {
        uint32_t table = ph_result_u32(r, i, 0);
        if (is_first_with_target(plan, table))
            not_empty(findings, plan->tables[table].target);
    }
    ph_result_free(r);
    return PH_OK;
}

static ph_code
find_rows(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    uint32_t next = 0;

    while (next < job->plan.n_tables)
        PH_TRY(find_rows_in(job, &next, findings, err));
    return PH_OK;
}

/* Once more, where the first write follows at once. */
static ph_code
check_empty(struct ph_job *job, struct ph_error *err)
{
    struct ph_findings findings;

    ph_findings_init(&findings);
    ph_code rc = find_rows(job, &findings, err);
    if (rc == PH_OK && findings.n_errors > 0) {
        rc = PH_FAIL(err, findings.items[0].code, "%s", findings.items[0].cause);
        ph_error_object(err, "%s", findings.items[0].object);
        ph_error_hint(err, "%s", findings.items[0].cure);
    }
    ph_findings_reset(&findings);
    return rc;
}

/* ---- TRUNCATE ---- */

/* Whether the table or a partition of it is truncated. */
static bool
has_family_in_plan(const struct ph_job *job, const struct ph_rel *rel)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (job->plan.tables[i].target->root_oid == rel->root_oid && !job->plan.tables[i].is_beside)
            return true;
    }
    return false;
}

/* PostgreSQL refuses to truncate what is referred to by a table that is not truncated with it. */
static void
check_references(struct ph_job *job, struct ph_findings *findings)
{
    const struct ph_catalog *target = &job->target_catalog;
    char object[300];
    struct ph_finding_params params = {
        PH_FINDING_ERROR, PH_E_NOT_READY, "target", object,
        "select the tables that refer to it as well, or drop their foreign keys for the time of "
        "the copy"};

    for (uint32_t i = 0; i < target->n_foreign_keys; i++) {
        const struct ph_foreign_key *key = &target->foreign_keys[i];
        const struct ph_rel *from = ph_catalog_rel(target, key->rel_oid);
        const struct ph_rel *to = ph_catalog_rel(target, key->ref_oid);
        if (from == NULL || to == NULL || !has_family_in_plan(job, to) ||
            has_family_in_plan(job, from))
            continue;
        snprintf(object, sizeof object, "%s.%s", to->schema, to->name);
        ph_finding_add(findings, &params,
                       "it cannot be truncated: %s.%s, which is not selected, refers to it (%s)",
                       from->schema, from->name, key->name);
    }
}

/* ---- before the first write, and the write ---- */

ph_code
ph_copy_check_target(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    if (job->options->truncate) {
        check_references(job, findings);
        PH_TRY(ph_copy_check_backups(job, findings, err));
    } else {
        PH_TRY(find_rows(job, findings, err));
    }
    PH_TRY(ph_copy_check_preserved(job, findings, err));
    PH_TRY(ph_copy_check_collisions(job, findings, err));
    PH_TRY(ph_copy_check_partitions(job, findings, err));
    PH_TRY(ph_copy_check_constraints(job, findings, err));
    return ph_copy_check_set_aside(job, findings, err);
}

/* What is there stays: rows that are preserved whole. */
static ph_code
keep_preserved(struct ph_job *job, struct ph_error *err)
{
    struct ph_buf sql;

    ph_buf_init(&sql, (size_t)64 << 20);
    ph_code rc = ph_copy_put_preserved(job, NULL, &sql, err);
    if (rc == PH_OK)
        rc = ph_buf_ok(&sql) ? ph_conn_exec(job->target_control, ph_buf_text(&sql), err)
                             : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    return rc;
}

static ph_code
prepare(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(ph_copy_set_aside(job, err));
    if (job->options->truncate)
        return PH_OK;
    PH_TRY(check_empty(job, err));
    return keep_preserved(job, err);
}

ph_code
ph_copy_begin_quiet(struct ph_job *job, struct ph_error *err)
{
    return ph_conn_exec(job->target_control,
                        job->target_catalog.can_set_replica_role
                            ? "BEGIN; SET LOCAL session_replication_role = replica"
                            : "BEGIN",
                        err);
}

/* A kill leaves either everything as it was, or all of it in the ledger. */
ph_code
ph_copy_prepare_target(struct ph_job *job, struct ph_error *err)
{
    struct ph_conn *conn = job->target_control;

    PH_TRY(ph_copy_begin_quiet(job, err));
    ph_code rc = prepare(job, err);
    PH_FAILPOINT(before_prepare_commit);
    if (rc != PH_OK) {
        (void)ph_conn_exec(conn, "ROLLBACK", NULL);
        return rc;
    }
    PH_TRY(ph_conn_exec(conn, "COMMIT", err));
    return job->options->truncate ? ph_copy_truncate(job, err) : PH_OK;
}
