/*
 * --data-only: making an existing schema ready for rows, and leaving it as it was.
 *
 * Under replica role nothing of the target fires but triggers that were enabled for it; without the
 * right to that role all user triggers fire and foreign keys stay enforced, and the plan is in
 * their order. What fires is disabled; that is committed DDL, so the ledger holds the statement
 * that restores it before it is done, and restores it at the end, on stop and by `clean`.
 */
#include <stdio.h>

#include "base/failpoint.h"
#include "job/copy_parts.h"

static void
put_target(struct ph_buf *sql, const struct ph_table_plan *table)
{
    ph_buf_put_qualified(sql, table->target->schema, table->target->name);
}

/* ---- emptiness ---- */

static ph_code
check_empty(struct ph_job *job, const struct ph_table_plan *table, struct ph_error *err)
{
    struct ph_buf sql;
    char found[8];

    ph_buf_init(&sql, 4096);
    ph_buf_puts(&sql, "SELECT EXISTS (SELECT FROM ");
    put_target(&sql, table);
    ph_buf_puts(&sql, ")");
    ph_code rc = ph_conn_value(job->target_control, ph_buf_text(&sql), found, sizeof found, err);
    ph_buf_free(&sql);
    if (rc == PH_OK && found[0] == 't') {
        rc = PH_FAIL(err, PH_E_TARGET_NOT_EMPTY, "the table already has rows on the target");
        ph_error_object(err, "%s.%s", table->target->schema, table->target->name);
        ph_error_hint(err, "empty it, leave it out with --exclude, or give --truncate --yes");
    }
    return rc;
}

static bool
is_first_with_target(const struct ph_plan *plan, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++) {
        if (plan->tables[i].target == plan->tables[index].target)
            return false;
    }
    return true;
}

/* One statement for all: tables that refer to each other can only be truncated together. */
static ph_code
truncate_all(struct ph_job *job, struct ph_error *err)
{
    struct ph_buf sql;
    bool any = false;

    ph_buf_init(&sql, (size_t)64 << 20);
    ph_buf_puts(&sql, "TRUNCATE ");
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (!is_first_with_target(&job->plan, i))
            continue;
        ph_buf_puts(&sql, any ? ", " : "");
        ph_buf_puts(&sql, job->plan.tables[i].target->kind == PH_REL_PARTITIONED ? "" : "ONLY ");
        put_target(&sql, &job->plan.tables[i]);
        any = true;
    }
    ph_code rc = !any              ? PH_OK
                 : ph_buf_ok(&sql) ? ph_conn_exec(job->target_control, ph_buf_text(&sql), err)
                                   : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    if (rc == PH_E_SQL) {
        err->code = PH_E_NOT_READY;
        ph_error_hint(err, "select the tables that refer to these as well, or drop their foreign "
                           "keys for the time of the copy");
        return PH_E_NOT_READY;
    }
    return rc;
}

/* ---- triggers ---- */

static ph_code
set_triggers_aside(struct ph_job *job, const struct ph_table_plan *table, struct ph_error *err)
{
    struct ph_conn *conn = job->target_control;
    struct ph_result *r;
    char oid[16];
    ph_code rc = PH_OK;

    snprintf(oid, sizeof oid, "%u", table->target->oid);
    /* what fires in the loading sessions: under replica role all but the ordinary ones */
    const char *params[] = {oid, job->target_catalog.can_set_replica_role ? "{A,R}" : "{O,A}"};
    /* each trigger on its own: one that was disabled before, or ENABLE ALWAYS, must stay so */
    PH_TRY(ph_conn_query(
        conn,
        "SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', t.tgrelid::regclass, t.tgname),"
        " format('ALTER TABLE %s ENABLE %s TRIGGER %I', t.tgrelid::regclass,"
        " CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, t.tgname),"
        " t.tgrelid::regclass::text || ' trigger ' || t.tgname"
        " FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal AND"
        " t.tgenabled = ANY ($2::\"char\"[]) AND t.tgrelid = $1::oid ORDER BY t.tgname",
        2, params, &r, err));
    for (int i = 0; rc == PH_OK && i < ph_result_rows(r); i++) {
        rc = ph_ledger_set_aside(conn, job->options->name, ph_result_text(r, i, 2),
                                 ph_result_text(r, i, 1), err);
        PH_FAILPOINT(after_set_aside);
        if (rc == PH_OK)
            rc = ph_conn_exec(conn, ph_result_text(r, i, 0), err);
    }
    ph_result_free(r);
    return rc;
}

static ph_code
set_all_aside(struct ph_job *job, struct ph_error *err)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (is_first_with_target(&job->plan, i))
            PH_TRY(set_triggers_aside(job, &job->plan.tables[i], err));
    }
    return PH_OK;
}

static ph_code
check_or_truncate(struct ph_job *job, struct ph_error *err)
{
    if (job->options->truncate)
        return truncate_all(job, err);
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        if (is_first_with_target(&job->plan, i))
            PH_TRY(check_empty(job, &job->plan.tables[i], err));
    }
    return PH_OK;
}

/* A kill leaves either everything as it was, or all of it done. */
static ph_code
in_one_transaction(struct ph_job *job, ph_code (*work)(struct ph_job *, struct ph_error *),
                   struct ph_error *err)
{
    struct ph_conn *conn = job->target_control;

    PH_TRY(ph_conn_exec(conn, "BEGIN", err));
    ph_code rc = work(job, err);
    PH_FAILPOINT(before_prepare_commit);
    if (rc == PH_OK)
        return ph_conn_exec(conn, "COMMIT", err);
    (void)ph_conn_exec(conn, "ROLLBACK", NULL);
    return rc;
}

ph_code
ph_copy_prepare_target(struct ph_job *job, struct ph_error *err)
{
    return in_one_transaction(job, check_or_truncate, err);
}

ph_code
ph_copy_set_aside(struct ph_job *job, struct ph_error *err)
{
    return in_one_transaction(job, set_all_aside, err);
}
