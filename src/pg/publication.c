/* See publication.h. */
#include "pg/publication.h"

#include "base/buf.h"

#define BATCH 500u
#define SQL_LIMIT_BYTES ((size_t)16 << 20)

static void
put_tables(struct ph_buf *sql, const struct ph_rel *const *rels, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        ph_buf_puts(sql, i > 0 ? ", " : "");
        ph_buf_puts(sql, rels[i]->kind == PH_REL_PARTITIONED ? "" : "ONLY ");
        ph_buf_put_qualified(sql, rels[i]->schema, rels[i]->name);
    }
}

static ph_code
run(struct ph_conn *conn, const struct ph_buf *sql, struct ph_error *err)
{
    return ph_buf_ok(sql) ? ph_conn_exec(conn, ph_buf_text(sql), err)
                          : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

static ph_code
begin(struct ph_conn *conn, int lock_wait_ms, struct ph_error *err)
{
    PH_TRY(ph_conn_exec(conn, "BEGIN", err));
    return ph_conn_execf(conn, err, "SET LOCAL lock_timeout = %d", lock_wait_ms);
}

static ph_code
end(struct ph_conn *conn, const struct ph_publication_params *params, ph_code rc,
    struct ph_error *err)
{
    if (rc == PH_OK)
        rc = ph_conn_exec(conn, "COMMIT", err);
    if (rc != PH_OK) {
        (void)ph_conn_leave_transaction(conn, NULL);
        ph_error_note(err, "publication %s", params->name);
    }
    return rc;
}

/* ALTER PUBLICATION in statements of some hundred tables each. */
static ph_code
alter(struct ph_conn *conn, const struct ph_publication_params *params, const char *verb,
      struct ph_error *err)
{
    struct ph_buf sql;
    ph_code rc = PH_OK;

    ph_buf_init(&sql, SQL_LIMIT_BYTES);
    for (uint32_t i = 0; i < params->n_rels && rc == PH_OK; i += BATCH) {
        uint32_t left = params->n_rels - i;

        ph_buf_clear(&sql);
        ph_buf_puts(&sql, "ALTER PUBLICATION ");
        ph_buf_put_ident(&sql, params->name);
        ph_buf_printf(&sql, " %s TABLE ", verb);
        put_tables(&sql, params->rels + i, left < BATCH ? left : BATCH);
        rc = run(conn, &sql, err);
    }
    ph_buf_free(&sql);
    return rc;
}

ph_code
ph_publication_create(struct ph_conn *conn, const struct ph_publication_params *params,
                      struct ph_error *err)
{
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_LIMIT_BYTES);
    ph_buf_puts(&sql, "CREATE PUBLICATION ");
    ph_buf_put_ident(&sql, params->name);
    ph_buf_printf(&sql,
                  " WITH (publish = 'insert, update, delete, truncate',"
                  " publish_via_partition_root = %s%s)",
                  params->partitions == PH_PUBLISH_AS_ROOT ? "true" : "false",
                  params->with_generated ? ", publish_generated_columns = stored" : "");
    ph_code rc = begin(conn, params->lock_wait_ms, err);
    if (rc == PH_OK)
        rc = run(conn, &sql, err);
    ph_buf_free(&sql);
    if (rc == PH_OK)
        rc = alter(conn, params, "ADD", err);
    return end(conn, params, rc, err);
}

static ph_code
alter_whole(struct ph_conn *conn, const struct ph_publication_params *params, const char *verb,
            struct ph_error *err)
{
    ph_code rc = begin(conn, params->lock_wait_ms, err);

    if (rc == PH_OK)
        rc = alter(conn, params, verb, err);
    return end(conn, params, rc, err);
}

ph_code
ph_publication_add(struct ph_conn *conn, const struct ph_publication_params *params,
                   struct ph_error *err)
{
    return alter_whole(conn, params, "ADD", err);
}

ph_code
ph_publication_remove(struct ph_conn *conn, const struct ph_publication_params *params,
                      struct ph_error *err)
{
    return alter_whole(conn, params, "DROP", err);
}

ph_code
ph_publication_drop(struct ph_conn *conn, const char *name, struct ph_error *err)
{
    struct ph_buf sql;

    ph_buf_init(&sql, 4096);
    ph_buf_puts(&sql, "DROP PUBLICATION IF EXISTS ");
    ph_buf_put_ident(&sql, name);
    ph_code rc = run(conn, &sql, err);
    ph_buf_free(&sql);
    return rc;
}

static ph_code
read_rels(struct ph_conn *conn, const char *name, struct ph_arena *arena,
          struct ph_publication *out, struct ph_error *err)
{
    /* a list of all columns is what a table without one has, too */
    const char *sql =
        ph_conn_version(conn) >= 150000
            ? "SELECT t.relid, t.qual IS NOT NULL,"
              " r.prattrs IS NOT NULL FROM pg_catalog.pg_get_publication_tables($1) t"
              " LEFT JOIN (pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p"
              " ON p.oid = r.prpubid AND p.pubname = $1) ON r.prrelid = t.relid ORDER BY 1"
            : "SELECT relid, false, false FROM pg_catalog.pg_get_publication_tables($1) ORDER BY 1";
    struct ph_result *r = NULL;

    PH_TRY(ph_conn_query(conn, sql, 1, &name, &r, err));
    out->n_rels = (uint32_t)ph_result_rows(r);
    struct ph_published_rel *rels = PH_ARENA_ARRAY(arena, struct ph_published_rel, out->n_rels);
    for (uint32_t i = 0; rels != NULL && i < out->n_rels; i++)
        rels[i] = (struct ph_published_rel){.oid = ph_result_u32(r, (int)i, 0),
                                            .has_row_filter = ph_result_bool(r, (int)i, 1),
                                            .has_column_list = ph_result_bool(r, (int)i, 2)};
    ph_result_free(r);
    out->rels = rels;
    return rels != NULL || out->n_rels == 0 ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

ph_code
ph_publication_read(struct ph_conn *conn, const char *name, struct ph_arena *arena,
                    struct ph_publication *out, bool *found, struct ph_error *err)
{
    struct ph_result *r = NULL;
    const char *sql =
        ph_conn_version(conn) >= 150000
            ? "SELECT puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot,"
              " EXISTS (SELECT FROM pg_catalog.pg_publication_namespace WHERE pnpubid = p.oid)"
              " FROM pg_catalog.pg_publication p WHERE pubname = $1"
            : "SELECT puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot, false"
              " FROM pg_catalog.pg_publication WHERE pubname = $1";

    *out = (struct ph_publication){0};
    PH_TRY(ph_conn_query(conn, sql, 1, &name, &r, err));
    *found = ph_result_rows(r) == 1;
    if (*found) {
        out->for_all_tables = ph_result_bool(r, 0, 0);
        out->inserts = ph_result_bool(r, 0, 1);
        out->updates = ph_result_bool(r, 0, 2);
        out->deletes = ph_result_bool(r, 0, 3);
        out->truncates = ph_result_bool(r, 0, 4);
        out->partitions = ph_result_bool(r, 0, 5) ? PH_PUBLISH_AS_ROOT : PH_PUBLISH_AS_LEAF;
        out->for_schemas = ph_result_bool(r, 0, 6);
    }
    ph_result_free(r);
    return *found ? read_rels(conn, name, arena, out, err) : PH_OK;
}
