/*
 * Copying and comparing large objects (see large_object.h).
 *
 * The first bytes of a batch of objects travel in one statement each way, since most are small;
 * what is longer follows in pieces. lo_get and lo_put need no more than rights on the object,
 * unlike the catalog that holds the pages.
 */
#include "pg/large_object.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/failpoint.h"
#include "base/stop.h"

#define BATCH 200u
#define HEAD_BYTES 8192 /* also in copy_heads' statement */
#define PIECE_BYTES 262144
#define SQL_LIMIT_BYTES ((size_t)32 << 20)

struct batch {
    uint32_t oids[BATCH];
    bool skip[BATCH];
    bool goes[BATCH]; /* what the target has of it, before it is copied */
    uint32_t n;
};

static ph_code
next_batch(struct ph_conn *conn, uint32_t after, struct batch *batch, struct ph_error *err)
{
    struct ph_result *result;
    char sql[200];

    snprintf(sql, sizeof sql,
             "SELECT oid FROM pg_catalog.pg_largeobject_metadata WHERE oid > %u ORDER BY oid"
             " LIMIT %u",
             after, BATCH);
    PH_TRY(ph_conn_query(conn, sql, 0, NULL, &result, err));
    batch->n = (uint32_t)ph_result_rows(result);
    for (uint32_t i = 0; i < batch->n; i++) {
        batch->oids[i] = ph_result_u32(result, (int)i, 0);
        batch->skip[i] = batch->goes[i] = false;
    }
    ph_result_free(result);
    return PH_OK;
}

static void
put_array(struct ph_buf *sql, const struct batch *batch)
{
    ph_buf_puts(sql, "'{");
    for (uint32_t i = 0; i < batch->n; i++)
        ph_buf_printf(sql, "%s%u", i == 0 ? "" : ",", batch->oids[i]);
    ph_buf_puts(sql, "}'::pg_catalog.oid[]");
}

/* A query made of text, the batch's oids as an array, and text. */
static ph_code
query_batch(struct ph_conn *conn, const char *before, const struct batch *batch, const char *after,
            struct ph_result **result, struct ph_error *err)
{
    struct ph_buf sql;
    ph_code rc;

    ph_buf_init(&sql, SQL_LIMIT_BYTES);
    ph_buf_puts(&sql, before);
    put_array(&sql, batch);
    ph_buf_puts(&sql, after);
    rc = ph_buf_ok(&sql) ? ph_conn_query(conn, ph_buf_text(&sql), 0, NULL, result, err)
                         : PH_FAIL(err, PH_E_MEMORY, "no memory for a list of large objects");
    ph_buf_free(&sql);
    return rc;
}

static int
find_oid(const struct batch *batch, uint32_t oid)
{
    for (uint32_t i = 0; i < batch->n; i++) {
        if (batch->oids[i] == oid)
            return (int)i;
    }
    return -1;
}

static int
compare_oids(const void *left, const void *right)
{
    const uint32_t *a = left;
    const uint32_t *b = right;

    return *a < *b ? -1 : *a > *b;
}

static bool
goes_again(const struct ph_large_objects *objects, uint32_t oid)
{
    return objects->n_again > 0 && bsearch(&oid, objects->again, objects->n_again,
                                           sizeof *objects->again, compare_oids) != NULL;
}

static ph_code
skip_existing(const struct ph_large_objects *objects, struct batch *batch, struct ph_error *err)
{
    struct ph_result *result;

    PH_TRY(query_batch(objects->target,
                       "SELECT oid FROM pg_catalog.pg_largeobject_metadata WHERE oid = ANY(", batch,
                       ")", &result, err));
    for (int row = 0; row < ph_result_rows(result); row++) {
        int at = find_oid(batch, ph_result_u32(result, row, 0));

        if (at < 0)
            continue;
        batch->goes[at] = goes_again(objects, batch->oids[at]);
        batch->skip[at] = !batch->goes[at];
    }
    ph_result_free(result);
    return PH_OK;
}

/* Rest of an object whose first HEAD_BYTES are in. */
static ph_code
copy_rest(const struct ph_large_objects *objects, uint32_t oid, uint64_t *bytes,
          struct ph_error *err)
{
    int64_t offset = HEAD_BYTES;
    size_t got = PIECE_BYTES;

    while (got == PIECE_BYTES) {
        char sql[120];
        char oid_text[16];
        char offset_text[24];
        struct ph_result *piece;
        ph_code rc = PH_OK;

        PH_TRY(ph_stop_check(err));
        snprintf(oid_text, sizeof oid_text, "%u", oid);
        snprintf(offset_text, sizeof offset_text, "%" PRId64, offset);
        snprintf(sql, sizeof sql, "SELECT pg_catalog.lo_get(%u, %" PRId64 ", %d)", oid, offset,
                 PIECE_BYTES);
        PH_TRY(ph_conn_query(objects->source, sql, 0, NULL, &piece, err));
        got = (ph_result_span(piece, 0, 0).len - 2) / 2; /* "\x" and two digits each */
        if (got > 0) {
            const char *params[] = {oid_text, offset_text, ph_result_text(piece, 0, 0)};

            rc = ph_conn_expect(objects->target,
                                "SELECT pg_catalog.lo_put($1::oid, $2::bigint, $3::bytea)", 3,
                                params, 1, err);
        }
        ph_result_free(piece);
        PH_TRY(rc);
        offset += (int64_t)got;
        *bytes += got;
    }
    return PH_OK;
}

static ph_code
copy_heads(const struct ph_large_objects *objects, const struct batch *batch, bool *is_longer,
           uint64_t *bytes, struct ph_error *err)
{
    struct ph_result *heads;
    struct ph_buf sql;
    uint32_t n = 0;
    ph_code rc;

    PH_TRY(query_batch(objects->source, "SELECT pg_catalog.lo_get(o, 0, 8192) FROM unnest(", batch,
                       ") WITH ORDINALITY AS u(o, i) ORDER BY i", &heads, err));
    ph_buf_init(&sql, SQL_LIMIT_BYTES);
    for (uint32_t i = 0; i < batch->n; i++) {
        struct ph_span hex = ph_result_span(heads, (int)i, 0);

        is_longer[i] = !batch->skip[i] && hex.len == 2 + 2 * (size_t)HEAD_BYTES;
        if (batch->skip[i])
            continue;
        ph_buf_printf(&sql, "%s pg_catalog.lo_from_bytea(%u, '", n++ == 0 ? "SELECT" : ",",
                      batch->oids[i]);
        ph_buf_append(&sql, hex.data, hex.len);
        ph_buf_puts(&sql, "')");
        *bytes += (hex.len - 2) / 2;
    }
    ph_result_free(heads);
    if (n == 0)
        rc = PH_OK;
    else if (ph_buf_ok(&sql))
        rc = ph_conn_exec(objects->target, ph_buf_text(&sql), err);
    else
        rc = PH_FAIL(err, PH_E_MEMORY, "no memory for a batch of large objects");
    ph_buf_free(&sql);
    return rc;
}

/* Statements that give the copies their owner, grants and comment, made by the source. */
static const char properties_sql[] =
    "SELECT m.oid, format('ALTER LARGE OBJECT %s OWNER TO %I', m.oid,"
    "  pg_catalog.pg_get_userbyid(m.lomowner)),"
    " (SELECT format('REVOKE ALL ON LARGE OBJECT %s FROM PUBLIC, %I; ', m.oid,"
    "   pg_catalog.pg_get_userbyid(m.lomowner)) || coalesce(pg_catalog.string_agg(format("
    "   'GRANT %s ON LARGE OBJECT %s TO %s%s', a.privilege_type, m.oid, CASE WHEN a.grantee = 0"
    "   THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END,"
    "   CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), '; '), '')"
    "  FROM pg_catalog.aclexplode(m.lomacl) a WHERE m.lomacl IS NOT NULL),"
    " format('COMMENT ON LARGE OBJECT %s IS %L', m.oid,"
    "  pg_catalog.obj_description(m.oid, 'pg_largeobject')),"
    " pg_catalog.obj_description(m.oid, 'pg_largeobject') IS NULL, m.lomacl IS NULL"
    " FROM pg_catalog.pg_largeobject_metadata m WHERE m.oid = ANY(";

static ph_code
copy_properties(const struct ph_large_objects *objects, const struct batch *batch,
                struct ph_error *err)
{
    struct ph_result *result;
    struct ph_buf sql;
    ph_code rc = PH_OK;

    PH_TRY(query_batch(objects->source, properties_sql, batch, ")", &result, err));
    ph_buf_init(&sql, SQL_LIMIT_BYTES);
    for (int row = 0; row < ph_result_rows(result); row++) {
        int at = find_oid(batch, ph_result_u32(result, row, 0));

        if (at < 0 || batch->skip[at])
            continue;
        if (!objects->no_owner)
            ph_buf_printf(&sql, "%s;\n", ph_result_text(result, row, 1));
        if (!objects->no_acl && !ph_result_bool(result, row, 5))
            ph_buf_printf(&sql, "%s;\n", ph_result_text(result, row, 2));
        if (!objects->no_comments && !ph_result_bool(result, row, 4))
            ph_buf_printf(&sql, "%s;\n", ph_result_text(result, row, 3));
    }
    ph_result_free(result);
    if (sql.len > 0)
        rc = ph_buf_ok(&sql)
                 ? ph_conn_exec(objects->target, ph_buf_text(&sql), err)
                 : PH_FAIL(err, PH_E_MEMORY, "no memory for properties of large objects");
    ph_buf_free(&sql);
    return rc;
}

static ph_code
unlink_batch(const struct ph_large_objects *objects, const struct batch *batch,
             struct ph_error *err)
{
    struct ph_result *result;

    PH_TRY(query_batch(objects->target, "SELECT pg_catalog.lo_unlink(o) FROM unnest(", batch, ") o",
                       &result, err));
    ph_result_free(result);
    return PH_OK;
}

static ph_code
unlink_old(const struct ph_large_objects *objects, const struct batch *batch, struct ph_error *err)
{
    struct batch old = {0};

    for (uint32_t i = 0; i < batch->n; i++) {
        if (batch->goes[i])
            old.oids[old.n++] = batch->oids[i];
    }
    return old.n == 0 ? PH_OK : unlink_batch(objects, &old, err);
}

static ph_code
copy_batch(const struct ph_large_objects *objects, const struct batch *batch, uint64_t *bytes,
           struct ph_error *err)
{
    bool is_longer[BATCH];

    PH_TRY(ph_conn_exec(objects->target, "BEGIN; SET LOCAL synchronous_commit = off", err));
    PH_TRY(unlink_old(objects, batch, err));
    PH_TRY(copy_heads(objects, batch, is_longer, bytes, err));
    for (uint32_t i = 0; i < batch->n; i++) {
        ph_code rc = is_longer[i] ? copy_rest(objects, batch->oids[i], bytes, err) : PH_OK;

        if (rc != PH_OK) {
            ph_error_object(err, "large object %u", batch->oids[i]);
            return rc;
        }
    }
    PH_TRY(copy_properties(objects, batch, err));
    PH_FAILPOINT(large_objects_before_commit);
    return ph_conn_exec(objects->target, "COMMIT", err);
}

ph_code
ph_large_objects_copy(const struct ph_large_objects *objects, uint64_t *n, uint64_t *bytes,
                      struct ph_error *err)
{
    struct batch batch = {.n = BATCH};
    uint32_t after = 0;

    *n = 0;
    *bytes = 0;
    while (batch.n == BATCH) {
        uint32_t missing = 0;
        ph_code rc;

        PH_TRY(ph_stop_check(err));
        PH_TRY(next_batch(objects->source, after, &batch, err));
        if (batch.n == 0)
            break;
        after = batch.oids[batch.n - 1];
        PH_TRY(skip_existing(objects, &batch, err));
        for (uint32_t i = 0; i < batch.n; i++)
            missing += !batch.skip[i];
        if (missing == 0)
            continue;
        rc = copy_batch(objects, &batch, bytes, err);
        if (rc != PH_OK) {
            if (ph_conn_is_alive(objects->target))
                (void)ph_conn_exec(objects->target, "ROLLBACK", NULL);
            return rc;
        }
        *n += missing;
        if (objects->on_progress != NULL)
            objects->on_progress(objects->arg, *n, *bytes);
    }
    return PH_OK;
}

ph_code
ph_large_objects_remove(const struct ph_large_objects *objects, const uint32_t *oids, uint32_t n,
                        struct ph_error *err)
{
    for (uint32_t i = 0; i < n;) {
        struct batch batch = {0};

        while (batch.n < BATCH && i < n)
            batch.oids[batch.n++] = oids[i++];
        PH_TRY(ph_stop_check(err));
        PH_TRY(unlink_batch(objects, &batch, err));
    }
    return PH_OK;
}

ph_code
ph_large_objects_count(struct ph_conn *conn, uint64_t *n, struct ph_error *err)
{
    char text[24];

    PH_TRY(ph_conn_value(conn, "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata", text,
                         sizeof text, err));
    *n = strtoull(text, NULL, 10);
    return PH_OK;
}
