#include "pg/snapshot.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/failpoint.h"

#define BEGIN_READING "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

ph_code
ph_snapshot_export(struct ph_conn *conn, char id[64], struct ph_error *err)
{
    PH_TRY(ph_conn_exec(conn, BEGIN_READING, err));
    return ph_conn_value(conn, "SELECT pg_catalog.pg_export_snapshot()", id, 64, err);
}

ph_code
ph_snapshot_import(struct ph_conn *conn, const char *id, struct ph_error *err)
{
    PH_TRY(ph_conn_exec(conn, BEGIN_READING, err));
    ph_code rc = ph_conn_execf(conn, err, "SET TRANSACTION SNAPSHOT '%s'", id);
    if (rc != PH_OK && rc != PH_E_CONNECT && rc != PH_E_STOPPED) {
        char cause[sizeof err->message];
        snprintf(cause, sizeof cause, "%s", err->message);
        return PH_FAIL(err, PH_E_SNAPSHOT_LOST, "snapshot %s cannot be imported: %s", id, cause);
    }
    return rc;
}

ph_code
ph_snapshot_check(struct ph_conn *conn, const struct ph_snapshot_mark *mark, struct ph_error *err)
{
    struct ph_result *r;
    char pid[16];
    char start[32];

    if (mark->visible[0] == '\0')
        return PH_OK;
    snprintf(pid, sizeof pid, "%d", mark->backend_pid);
    snprintf(start, sizeof start, "%lld", (long long)mark->backend_start);
    const char *params[] = {mark->visible, pid, start};
    PH_TRY(ph_conn_query(
        conn,
        "SELECT pg_catalog.left(pg_catalog.pg_current_snapshot()::text, 255) = $1 AND EXISTS"
        " (SELECT FROM pg_catalog.pg_stat_activity WHERE pid = $2::int AND"
        " (pg_catalog.date_part('epoch', backend_start) * 1000000)::bigint = $3::bigint)",
        3, params, &r, err));
    bool same = ph_result_rows(r) == 1 && ph_result_bool(r, 0, 0);
    ph_result_free(r);
    if (same)
        return PH_OK;
    return PH_FAIL(err, PH_E_SNAPSHOT_LOST,
                   "the snapshot's id now belongs to another snapshot of the source");
}

/* Whether all storage that the snapshot sees is the present one. */
static void
put_check(const struct ph_rel *rel, struct ph_buf *sql)
{
    ph_buf_puts(sql, "SELECT coalesce(bool_and(relfilenode = pg_catalog.pg_relation_filenode(oid)),"
                     " true) FROM pg_catalog.pg_class WHERE ");
    if (rel->kind == PH_REL_PARTITIONED)
        ph_buf_printf(sql,
                      "relkind = 'r' AND oid IN"
                      " (SELECT relid FROM pg_catalog.pg_partition_tree(%u::pg_catalog.oid))",
                      rel->oid);
    else
        ph_buf_printf(sql, "oid = %u", rel->oid);
}

ph_code
ph_snapshot_lock(struct ph_conn *conn, const struct ph_rel *rel, struct ph_error *err)
{
    struct ph_buf sql;
    char same[8] = "";

    ph_buf_init(&sql, 4096);
    ph_buf_puts(&sql, rel->kind == PH_REL_PARTITIONED ? "LOCK TABLE " : "LOCK TABLE ONLY ");
    ph_buf_put_qualified(&sql, rel->schema, rel->name);
    ph_buf_puts(&sql, " IN ACCESS SHARE MODE");
    ph_code rc = ph_conn_exec(conn, ph_buf_text(&sql), err);
    PH_FAILPOINT(after_source_lock);
    ph_buf_clear(&sql);
    put_check(rel, &sql);
    if (rc == PH_OK)
        rc = ph_conn_value(conn, ph_buf_text(&sql), same, sizeof same, err);
    ph_buf_free(&sql);
    PH_TRY(rc);
    if (same[0] == 't')
        return PH_OK;
    PH_FAIL(err, PH_E_TABLE_CHANGED,
            "the table was truncated or rewritten after the snapshot was taken");
    ph_error_object(err, "%s.%s", rel->schema, rel->name);
    return PH_E_TABLE_CHANGED;
}
