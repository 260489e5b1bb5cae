/* See publication.h. */
#include "pg/publication.h"

#include <string.h>

#include "base/buf.h"

#define BATCH 500u
#define SQL_LIMIT_BYTES ((size_t)16 << 20)

/* A filter in the form that its note has; by columns' numbers, so that renaming changes nothing. */
#define NOTE_OF_FILTER "r.prrelid || ':' || pg_catalog.left(pg_catalog.md5(r.prqual::text), 12)"

static const char *
filter_of(const struct ph_publication_params *params, uint32_t i)
{
    return params->filters == NULL ? NULL : params->filters[i];
}

static void
put_table(struct ph_buf *sql, const struct ph_publication_params *params, uint32_t i,
          bool with_filter)
{
    const struct ph_rel *rel = params->rels[i];
    const char *filter = with_filter ? filter_of(params, i) : NULL;

    ph_buf_puts(sql, rel->kind == PH_REL_PARTITIONED ? "" : "ONLY ");
    ph_buf_put_qualified(sql, rel->schema, rel->name);
    if (filter != NULL)
        ph_buf_printf(sql, " WHERE (%s)", filter);
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
    bool with_filters = strcmp(verb, "ADD") == 0;
    struct ph_buf sql;
    ph_code rc = PH_OK;

    ph_buf_init(&sql, SQL_LIMIT_BYTES);
    for (uint32_t i = 0; i < params->n_rels && rc == PH_OK;) {
        uint32_t end_of_batch = params->n_rels - i < BATCH ? params->n_rels : i + BATCH;

        ph_buf_clear(&sql);
        ph_buf_puts(&sql, "ALTER PUBLICATION ");
        ph_buf_put_ident(&sql, params->name);
        ph_buf_printf(&sql, " %s TABLE ", verb);
        for (const char *comma = ""; i < end_of_batch; i++, comma = ", ") {
            ph_buf_puts(&sql, comma);
            put_table(&sql, params, i, with_filters);
        }
        rc = run(conn, &sql, err);
    }
    ph_buf_free(&sql);
    return rc;
}

/* ---- notes of filters ---- */

/* '{1,2}' of the tables with a filter; '{}': there are none. */
static void
put_filtered(struct ph_buf *out, const struct ph_publication_params *params)
{
    const char *separator = "";

    ph_buf_putc(out, '{');
    for (uint32_t i = 0; i < params->n_rels; i++) {
        if (filter_of(params, i) == NULL)
            continue;
        ph_buf_printf(out, "%s%u", separator, params->rels[i]->oid);
        separator = ",";
    }
    ph_buf_putc(out, '}');
}

static ph_code
put_note(struct ph_conn *conn, const char *name, const char *note, struct ph_error *err)
{
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_LIMIT_BYTES);
    ph_buf_puts(&sql, "COMMENT ON PUBLICATION ");
    ph_buf_put_ident(&sql, name);
    ph_buf_puts(&sql, " IS ");
    ph_buf_put_literal(&sql, note);
    ph_code rc = run(conn, &sql, err);
    ph_buf_free(&sql);
    return rc;
}

/* As the server has them: whoever reads them later sees whether somebody else made others. */
static ph_code
note_filters(struct ph_conn *conn, const struct ph_publication_params *params, struct ph_error *err)
{
    struct ph_result *r = NULL;
    struct ph_buf oids;

    ph_buf_init(&oids, SQL_LIMIT_BYTES);
    put_filtered(&oids, params);
    if (!ph_buf_ok(&oids) || oids.len == 2) {
        bool is_none = ph_buf_ok(&oids);
        ph_buf_free(&oids);
        return is_none ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    const char *values[] = {params->name, ph_buf_text(&oids)};
    ph_code rc = ph_conn_query(
        conn,
        "SELECT coalesce(pg_catalog.obj_description(p.oid, 'pg_publication'),"
        " 'row filters by pghaul:') || ' ' || pg_catalog.string_agg(" NOTE_OF_FILTER ", ' '"
        " ORDER BY r.prrelid) FROM pg_catalog.pg_publication p"
        " JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid WHERE p.pubname = $1"
        " AND r.prrelid = ANY ($2::pg_catalog.oid[]) AND r.prqual IS NOT NULL GROUP BY p.oid",
        2, values, &r, err);
    ph_buf_free(&oids);
    PH_TRY(rc);
    rc = ph_result_rows(r) == 1 ? put_note(conn, params->name, ph_result_text(r, 0, 0), err)
                                : PH_FAIL(err, PH_E_INTERNAL, "no row filter was made");
    ph_result_free(r);
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
    if (rc == PH_OK)
        rc = note_filters(conn, params, err);
    return end(conn, params, rc, err);
}

ph_code
ph_publication_add(struct ph_conn *conn, const struct ph_publication_params *params,
                   struct ph_error *err)
{
    ph_code rc = begin(conn, params->lock_wait_ms, err);

    if (rc == PH_OK)
        rc = alter(conn, params, "ADD", err);
    if (rc == PH_OK)
        rc = note_filters(conn, params, err);
    return end(conn, params, rc, err);
}

ph_code
ph_publication_remove(struct ph_conn *conn, const struct ph_publication_params *params,
                      struct ph_error *err)
{
    ph_code rc = begin(conn, params->lock_wait_ms, err);

    if (rc == PH_OK)
        rc = alter(conn, params, "DROP", err);
    return end(conn, params, rc, err);
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
            ? "SELECT t.relid, t.qual IS NOT NULL, r.prattrs IS NOT NULL,"
              " coalesce(pg_catalog.strpos(pg_catalog.obj_description(p.oid, 'pg_publication')"
              " || ' ', ' ' || " NOTE_OF_FILTER " || ' ') > 0, false)"
              " FROM pg_catalog.pg_get_publication_tables($1) t"
              " LEFT JOIN (pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p"
              " ON p.oid = r.prpubid AND p.pubname = $1) ON r.prrelid = t.relid ORDER BY 1"
            : "SELECT relid, false, false, false FROM pg_catalog.pg_get_publication_tables($1)"
              " ORDER BY 1";
    struct ph_result *r = NULL;

    PH_TRY(ph_conn_query(conn, sql, 1, &name, &r, err));
    out->n_rels = (uint32_t)ph_result_rows(r);
    struct ph_published_rel *rels = PH_ARENA_ARRAY(arena, struct ph_published_rel, out->n_rels);
    for (uint32_t i = 0; rels != NULL && i < out->n_rels; i++)
        rels[i] = (struct ph_published_rel){.oid = ph_result_u32(r, (int)i, 0),
                                            .has_row_filter = ph_result_bool(r, (int)i, 1),
                                            .has_column_list = ph_result_bool(r, (int)i, 2),
                                            .is_noted = ph_result_bool(r, (int)i, 3)};
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

#define TREE_SQL                                                                                   \
    "WITH tree AS (SELECT o AS relid, o AS by FROM pg_catalog.unnest($2::pg_catalog.oid[]) o"      \
    " UNION SELECT o, a::pg_catalog.oid FROM pg_catalog.unnest($2::pg_catalog.oid[]) o,"           \
    " pg_catalog.pg_partition_ancestors(o) a)"                                                     \
    " SELECT coalesce(pg_catalog.array_agg(x ORDER BY x)::text, '') FROM"                          \
    " (SELECT '0 p' || oid AS x FROM pg_catalog.pg_publication WHERE pubname = $1"                 \
    " UNION SELECT t.relid || ' r' || r.oid FROM pg_catalog.pg_publication p"                      \
    " JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid"                                   \
    " JOIN tree t ON t.by = r.prrelid WHERE p.pubname = $1"
#define BY_SCHEMA_SQL                                                                              \
    " UNION SELECT t.relid || ' n' || n.oid FROM pg_catalog.pg_publication p"                      \
    " JOIN pg_catalog.pg_publication_namespace n ON n.pnpubid = p.oid"                             \
    " JOIN pg_catalog.pg_class c ON c.relnamespace = n.pnnspid"                                    \
    " JOIN tree t ON t.by = c.oid WHERE p.pubname = $1"

ph_code
ph_publication_read_rows(struct ph_conn *conn, const char *name, const char *tables,
                         struct ph_result **out, struct ph_error *err)
{
    const char *params[] = {name, tables};

    return ph_conn_query(
        conn, ph_conn_version(conn) >= 150000 ? TREE_SQL BY_SCHEMA_SQL ") rows" : TREE_SQL ") rows",
        2, params, out, err);
}
