#include "job/target_views.h"

#include <stdio.h>

#include "base/stop.h"
#include "pg/ddl.h"

#define SQL_LIMIT ((size_t)16 << 20)

/* From each materialized view down to what it reads; its depth is the longest way to a table. */
static const char views_sql[] =
    "WITH RECURSIVE dep AS (SELECT DISTINCT r.ev_class AS view, d.refobjid AS ref"
    " FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.objid = r.oid"
    " AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
    " AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.ev_class),"
    " walk AS (SELECT c.oid, c.oid AS at, 0 AS depth FROM pg_catalog.pg_class c"
    " WHERE c.relkind = 'm' UNION ALL SELECT w.oid, dep.ref, w.depth + 1"
    " FROM walk w JOIN dep ON dep.view = w.at WHERE w.depth < 100),"
    " tree AS (SELECT oid, oid AS top FROM pg_catalog.pg_class WHERE oid = ANY ($1::oid[])"
    " UNION SELECT i.inhparent, t.top FROM pg_catalog.pg_inherits i JOIN tree t ON t.oid = "
    "i.inhrelid)"
    " SELECT n.nspname, c.relname FROM (SELECT oid, max(depth) AS depth, bool_or(at IN (SELECT oid"
    " FROM tree)) AS reads FROM walk GROUP BY oid) v JOIN pg_catalog.pg_class c ON c.oid = v.oid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE v.reads"
    " AND (c.relispopulated OR $2::bool) ORDER BY v.depth, 1, 2";

/* The session is pinned (conn.h) until here and from the end of the transaction on. */
static void
put_refresh(struct ph_buf *sql, const char *schema, const char *name)
{
    ph_buf_puts(sql, PH_DDL_BEGIN);
    ph_ddl_put_settings(sql, PH_DDL_USER_SETTINGS);
    ph_buf_puts(sql, "REFRESH MATERIALIZED VIEW ");
    ph_buf_put_qualified(sql, schema, name);
    ph_buf_puts(sql, "; COMMIT");
}

static void
refresh(struct ph_job *job, const char *schema, const char *name)
{
    struct ph_error why;
    struct ph_buf sql;
    char label[160];

    ph_error_reset(&why);
    snprintf(label, sizeof label, "%s.%s", schema, name);
    ph_buf_init(&sql, SQL_LIMIT);
    put_refresh(&sql, schema, name);
    if (ph_buf_ok(&sql) && ph_conn_exec(job->target_control, ph_buf_text(&sql), &why) != PH_OK) {
        ph_report_add_finding(&job->run->report, PH_FINDING_WARNING, "materialized view", label,
                              "not refreshed: %s", why.message);
        (void)ph_conn_leave_transaction(job->target_control, NULL);
    }
    ph_buf_free(&sql);
}

ph_code
ph_target_views_refresh(struct ph_job *job, struct ph_error *err)
{
    struct ph_buf oids;
    struct ph_result *r;

    ph_buf_init(&oids, SQL_LIMIT);
    ph_buf_putc(&oids, '{');
    for (uint32_t i = 0; i < job->plan.n_tables; i++)
        ph_buf_printf(&oids, "%s%u", i == 0 ? "" : ",", job->plan.tables[i].target->oid);
    ph_buf_putc(&oids, '}');
    const char *params[] = {ph_buf_text(&oids), job->options->data_only ? "true" : "false"};
    ph_code rc = ph_buf_ok(&oids)
                     ? ph_conn_query(job->target_control, views_sql, 2, params, &r, err)
                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&oids);
    PH_TRY(rc);
    for (int i = 0; rc == PH_OK && i < ph_result_rows(r); i++) {
        rc = ph_stop_check(err);
        if (rc == PH_OK)
            refresh(job, ph_result_text(r, i, 0), ph_result_text(r, i, 1));
    }
    ph_result_free(r);
    return rc;
}
