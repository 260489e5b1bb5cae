/* The end of a follow: what the stream does not bring. */
#include <stdio.h>

#include "base/log.h"
#include "job/copy_parts.h"
#include "job/follow_parts.h"

#define SQL_LIMIT ((size_t)1 << 20)

/* Those that read others come after them: by the longest way down to the tables. */
static const char views_sql[] =
    "WITH RECURSIVE dep AS (SELECT DISTINCT r.ev_class AS view, d.refobjid AS ref"
    " FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.objid = r.oid"
    " AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
    " AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.ev_class),"
    " walk AS (SELECT c.oid, c.oid AS at, 0 AS depth FROM pg_catalog.pg_class c"
    " WHERE c.relkind = 'm' AND c.relispopulated UNION ALL SELECT w.oid, dep.ref, w.depth + 1"
    " FROM walk w JOIN dep ON dep.view = w.at WHERE w.depth < 100)"
    " SELECT n.nspname, c.relname FROM (SELECT oid, max(depth) AS depth FROM walk GROUP BY oid) v"
    " JOIN pg_catalog.pg_class c ON c.oid = v.oid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY v.depth, 1, 2";

static void
refresh(struct ph_job *job, const char *schema, const char *name)
{
    struct ph_error err;
    struct ph_buf sql;
    char label[160];

    ph_error_reset(&err);
    snprintf(label, sizeof label, "%s.%s", schema, name);
    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_puts(&sql, "REFRESH MATERIALIZED VIEW ");
    ph_buf_put_qualified(&sql, schema, name);
    if (ph_buf_ok(&sql) && ph_conn_exec(job->target_control, ph_buf_text(&sql), &err) != PH_OK)
        ph_report_add_finding(&job->run->report, PH_FINDING_WARNING, "materialized view", label,
                              "not refreshed: %s", err.message);
    ph_buf_free(&sql);
}

static ph_code
refresh_views(struct ph_job *job, struct ph_error *err)
{
    struct ph_result *r;

    PH_TRY(ph_conn_query(job->target_control, views_sql, 0, NULL, &r, err));
    for (int i = 0; i < ph_result_rows(r); i++) {
        const char *schema = ph_result_text(r, i, 0);
        const char *name = ph_result_text(r, i, 1);
        const struct ph_rel *rel = ph_catalog_rel_named(&job->source_catalog, schema, name);
        if (rel != NULL && ph_selection_has_oid(&job->selection, &job->source_catalog, rel->oid))
            refresh(job, schema, name);
    }
    ph_result_free(r);
    return PH_OK;
}

/* New ones come along; of those that were there, what was written since is not known. */
static ph_code
carry_large_objects(struct ph_job *job, struct ph_error *err)
{
    if (!ph_copy_has_large_objects(job))
        return PH_OK;
    PH_TRY(
        ph_conn_exec(job->source_control, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err));
    ph_code rc = ph_copy_large_objects(job, err);
    (void)ph_conn_exec(job->source_control, "ROLLBACK", NULL);
    PH_TRY(rc);
    ph_report_add_finding(&job->run->report, PH_FINDING_WARNING, "large objects", "",
                          "changes made to large objects since the copy began are not carried "
                          "over by the stream; new ones were copied at its end");
    return PH_OK;
}

ph_code
ph_follow_carry_rest(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(refresh_views(job, err));
    return carry_large_objects(job, err);
}
