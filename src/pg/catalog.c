/*
 * Reading the catalog: the database's own facts, sequences, extensions, and the order of the parts.
 *
 * Rejected: the pg_*_is_visible and information_schema views (slow, and they hide by right), and
 * one query per table (a round trip each). Strings are copied into the catalog's arena, so that a
 * server's answer lives only while it is read.
 */
#include "pg/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "pg/catalog_read.h"

/* A catalog of a hundred thousand tables fits; a server gone mad does not take the machine. */
#define CATALOG_LIMIT_BYTES ((size_t)1 << 30)
/* Sequences in one statement: planning a UNION ALL of n is quadratic (5,000 by 500: 0.5 s). */
#define SEQUENCE_BATCH 50u

ph_code
ph_catalog_query(struct ph_catalog_reader *reader, const char *sql, const char *param,
                 struct ph_result **result)
{
    const char *params[] = {param};

    return ph_conn_query(reader->conn, sql, param == NULL ? 0 : 1, params, result, reader->err);
}

const char *
ph_catalog_text(struct ph_catalog_reader *reader, const struct ph_result *result, int row,
                int column)
{
    if (ph_result_is_null(result, row, column))
        return NULL;
    const char *copy = ph_arena_strdup(&reader->out->arena, ph_result_text(result, row, column));
    if (copy == NULL)
        reader->no_memory = true;
    return copy == NULL ? "" : copy;
}

ph_code
ph_catalog_array(struct ph_catalog_reader *reader, uint32_t n, size_t size, void **array)
{
    *array = ph_arena_alloc_array(&reader->out->arena, n == 0 ? 1 : n, size);
    if (*array == NULL)
        return PH_FAIL(reader->err, PH_E_MEMORY, "the catalog does not fit in memory");
    return PH_OK;
}

char
ph_catalog_char(const struct ph_result *result, int row, int column)
{
    return ph_result_text(result, row, column)[0];
}

static void
copy_text(char *out, size_t size, const struct ph_result *result, int column)
{
    snprintf(out, size, "%s", ph_result_text(result, 0, column));
}

#define DATABASE_SQL(provider)                                                                     \
    "SELECT d.datname, pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, " provider ","   \
    " pg_is_in_recovery(), current_setting('is_superuser') = 'on', current_user,"                  \
    " has_function_privilege('pg_control_system()', 'EXECUTE'),"                                   \
    " (SELECT count(*) FROM pg_largeobject_metadata),"                                             \
    " (SELECT reset_val FROM pg_settings WHERE name = 'lc_monetary')"                              \
    " FROM pg_database d WHERE d.datname = current_database()"

static ph_code
read_database(struct ph_catalog_reader *reader)
{
    struct ph_catalog *out = reader->out;
    struct ph_result *result = NULL;

    PH_TRY(ph_catalog_query(
        reader, reader->version >= 150000 ? DATABASE_SQL("d.datlocprovider") : DATABASE_SQL("''"),
        NULL, &result));
    copy_text(out->database, sizeof out->database, result, 0);
    copy_text(out->encoding, sizeof out->encoding, result, 1);
    copy_text(out->collate, sizeof out->collate, result, 2);
    copy_text(out->ctype, sizeof out->ctype, result, 3);
    out->locale_provider = ph_catalog_char(result, 0, 4);
    out->is_standby = ph_result_bool(result, 0, 5);
    out->is_superuser = ph_result_bool(result, 0, 6);
    out->user = ph_catalog_text(reader, result, 0, 7);
    bool may_see_control = ph_result_bool(result, 0, 8);
    out->large_objects = (uint64_t)ph_result_i64(result, 0, 9);
    copy_text(out->lc_monetary, sizeof out->lc_monetary, result, 10); /* not the session's own */
    ph_result_free(result);
    if (!may_see_control)
        return PH_OK;
    return ph_conn_value(reader->conn, "SELECT system_identifier FROM pg_control_system()",
                         out->system_id, sizeof out->system_id, reader->err);
}

/* Servers since 15 can grant the right, managed ones have their own ways: only trying tells. */
static ph_code
try_replica_role(struct ph_conn *conn, bool *can, struct ph_error *err)
{
    struct ph_error ignored = {.code = PH_OK};

    PH_TRY(ph_conn_exec(conn, "SAVEPOINT ph_catalog", err));
    ph_code rc = ph_conn_exec(conn, "SET LOCAL session_replication_role = 'replica'", &ignored);
    if (rc == PH_E_CONNECT || rc == PH_E_STOPPED) {
        if (err != NULL)
            *err = ignored;
        return rc;
    }
    *can = rc == PH_OK;
    return ph_conn_exec(conn, "ROLLBACK TO SAVEPOINT ph_catalog; RELEASE ph_catalog", err);
}

ph_code
ph_catalog_can_set_replica_role(struct ph_conn *conn, bool *can, struct ph_error *err)
{
    PH_TRY(ph_conn_exec(conn, "BEGIN", err));
    PH_TRY(try_replica_role(conn, can, err));
    return ph_conn_exec(conn, "ROLLBACK", err);
}

static const char SEQUENCES_SQL[] =
    "SELECT c.oid, n.nspname, c.relname, d.refobjid,"
    " has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid"
    " AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')"
    " WHERE c.relkind = 'S' AND" PH_CATALOG_USER_SCHEMA("n") "ORDER BY c.oid";

static ph_code
read_sequences(struct ph_catalog_reader *reader)
{
    struct ph_catalog *catalog = reader->out;
    struct ph_result *result = NULL;
    void *array = NULL;

    PH_TRY(ph_catalog_query(reader, SEQUENCES_SQL, NULL, &result));
    int n = ph_result_rows(result);
    ph_code rc = ph_catalog_array(reader, (uint32_t)n, sizeof(struct ph_sequence_state), &array);
    if (rc == PH_OK) {
        catalog->sequences = array;
        catalog->n_sequences = (uint32_t)n;
    }
    for (int row = 0; rc == PH_OK && row < n; row++) {
        catalog->sequences[row] = (struct ph_sequence_state){
            .oid = ph_result_u32(result, row, 0),
            .schema = ph_catalog_text(reader, result, row, 1),
            .name = ph_catalog_text(reader, result, row, 2),
            .owned_by = ph_result_u32(result, row, 3),
            .can_read = ph_result_bool(result, row, 4),
        };
    }
    ph_result_free(result);
    return rc;
}

static ph_code
read_extensions(struct ph_catalog_reader *reader)
{
    struct ph_catalog *catalog = reader->out;
    struct ph_result *result = NULL;
    void *array = NULL;

    PH_TRY(ph_catalog_query(reader,
                            "SELECT e.extname, e.extversion, n.nspname FROM pg_extension e"
                            " JOIN pg_namespace n ON n.oid = e.extnamespace ORDER BY e.oid",
                            NULL, &result));
    int n = ph_result_rows(result);
    ph_code rc = ph_catalog_array(reader, (uint32_t)n, sizeof(struct ph_extension), &array);
    if (rc == PH_OK) {
        catalog->extensions = array;
        catalog->n_extensions = (uint32_t)n;
    }
    for (int row = 0; rc == PH_OK && row < n; row++) {
        catalog->extensions[row] = (struct ph_extension){
            .name = ph_catalog_text(reader, result, row, 0),
            .version = ph_catalog_text(reader, result, row, 1),
            .schema = ph_catalog_text(reader, result, row, 2),
        };
    }
    ph_result_free(result);
    return rc;
}

static ph_code
read_schemas(struct ph_catalog_reader *reader)
{
    struct ph_result *result = NULL;
    void *array = NULL;

    PH_TRY(ph_catalog_query(reader,
                            "SELECT n.nspname FROM pg_namespace n"
                            " WHERE" PH_CATALOG_USER_SCHEMA("n") "ORDER BY n.nspname",
                            NULL, &result));
    int n = ph_result_rows(result);
    ph_code rc = ph_catalog_array(reader, (uint32_t)n, sizeof(const char *), &array);
    const char **schemas = array;
    for (int row = 0; rc == PH_OK && row < n; row++)
        schemas[row] = ph_catalog_text(reader, result, row, 0);
    if (rc == PH_OK) {
        reader->out->schemas = schemas;
        reader->out->n_schemas = (uint32_t)n;
    }
    ph_result_free(result);
    return rc;
}

ph_code
ph_catalog_read(struct ph_conn *conn, struct ph_catalog *out, struct ph_error *err)
{
    struct ph_catalog_reader reader = {
        .conn = conn,
        .out = out,
        .err = err,
        .version = ph_conn_version(conn),
        .side = ph_conn_endpoint(conn)->side,
    };

    *out = (struct ph_catalog){.version_num = reader.version};
    ph_arena_init(&out->arena, CATALOG_LIMIT_BYTES);
    PH_TRY(ph_conn_exec(conn, "SET LOCAL jit = off", err));
    PH_TRY(read_database(&reader));
    if (reader.side == PH_TARGET)
        PH_TRY(try_replica_role(conn, &out->can_set_replica_role, err));
    PH_TRY(ph_catalog_read_rels(&reader));
    PH_TRY(ph_catalog_read_columns(&reader));
    PH_TRY(ph_catalog_read_indexes(&reader));
    PH_TRY(ph_catalog_read_foreign_keys(&reader));
    PH_TRY(ph_catalog_read_types(&reader));
    PH_TRY(read_sequences(&reader));
    PH_TRY(read_extensions(&reader));
    PH_TRY(read_schemas(&reader));
    if (reader.no_memory)
        return PH_FAIL(err, PH_E_MEMORY, "the catalog does not fit in memory");
    return PH_OK;
}

ph_code
ph_catalog_read_now(struct ph_conn *conn, struct ph_catalog *out, struct ph_error *err)
{
    *out = (struct ph_catalog){0};
    PH_TRY(ph_conn_exec(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ", err));
    ph_code rc = ph_catalog_read(conn, out, err);
    (void)ph_conn_exec(conn, "ROLLBACK", NULL);
    return rc;
}

/* One SELECT for up to SEQUENCE_BATCH sequences from *next on; the row says which one it is. */
static uint32_t
put_batch(const struct ph_catalog *catalog, uint32_t *next, struct ph_buf *sql)
{
    uint32_t n = 0;

    ph_buf_clear(sql);
    for (; *next < catalog->n_sequences && n < SEQUENCE_BATCH; (*next)++) {
        const struct ph_sequence_state *sequence = &catalog->sequences[*next];
        if (!sequence->can_read)
            continue;
        ph_buf_printf(sql, "%sSELECT %u, last_value, is_called FROM ",
                      n++ == 0 ? "" : " UNION ALL ", *next);
        ph_buf_put_qualified(sql, sequence->schema, sequence->name);
    }
    return n;
}

static ph_code
read_batch(struct ph_conn *conn, struct ph_catalog *catalog, const char *sql, struct ph_error *err)
{
    struct ph_result *result = NULL;

    PH_TRY(ph_conn_exec(conn, "SAVEPOINT ph_catalog", err));
    PH_TRY(ph_conn_query(conn, sql, 0, NULL, &result, err));
    for (int row = 0; row < ph_result_rows(result); row++) {
        uint32_t at = ph_result_u32(result, row, 0);
        if (at >= catalog->n_sequences)
            continue;
        catalog->sequences[at].last_value = ph_result_i64(result, row, 1);
        catalog->sequences[at].is_called = ph_result_bool(result, row, 2);
    }
    ph_result_free(result);
    /* Rolling back gives the batch's locks back: thousands would not fit the lock table. */
    return ph_conn_exec(conn, "ROLLBACK TO SAVEPOINT ph_catalog; RELEASE ph_catalog", err);
}

ph_code
ph_catalog_read_sequences(struct ph_conn *conn, struct ph_catalog *catalog, struct ph_error *err)
{
    struct ph_buf sql;
    uint32_t next = 0;
    ph_code rc = PH_OK;

    ph_buf_init(&sql, PH_CATALOG_SQL_LIMIT);
    while (rc == PH_OK && put_batch(catalog, &next, &sql) > 0) {
        rc = ph_buf_ok(&sql) ? read_batch(conn, catalog, ph_buf_text(&sql), err)
                             : PH_FAIL(err, PH_E_MEMORY, "no memory for a list of sequences");
    }
    ph_buf_free(&sql);
    return rc;
}

/* pg_stats shows only what the role may read anyway. */
static const char HISTOGRAM_SQL[] =
    "SELECT b FROM pg_stats s, unnest(s.histogram_bounds::text::text[]) WITH ORDINALITY AS u(b, i)"
    " WHERE s.schemaname = $1 AND s.tablename = $2 AND s.attname = $3 AND NOT s.inherited"
    " ORDER BY i";

ph_code
ph_catalog_read_correlation(struct ph_conn *conn, const struct ph_rel *rel,
                            const struct ph_column *column, double *out, struct ph_error *err)
{
    const char *params[] = {rel->schema, rel->name, column->name};
    struct ph_result *r;

    PH_TRY(ph_conn_query(conn,
                         "SELECT pg_catalog.abs(correlation) FROM pg_catalog.pg_stats"
                         " WHERE schemaname = $1 AND tablename = $2 AND attname = $3"
                         " AND NOT inherited AND correlation IS NOT NULL",
                         3, params, &r, err));
    if (ph_result_rows(r) == 1)
        *out = strtod(ph_result_text(r, 0, 0), NULL);
    ph_result_free(r);
    return PH_OK;
}

ph_code
ph_catalog_read_histogram(struct ph_conn *conn, const struct ph_rel *rel,
                          const struct ph_column *column, struct ph_arena *arena,
                          const char *const **bounds, uint32_t *n, struct ph_error *err)
{
    const char *params[] = {rel->schema, rel->name, column->name};
    struct ph_result *result = NULL;

    *n = 0;
    PH_TRY(ph_conn_query(conn, HISTOGRAM_SQL, 3, params, &result, err));
    int rows = ph_result_rows(result);
    const char **array = PH_ARENA_ARRAY(arena, const char *, (size_t)rows + 1);
    bool ok = array != NULL;
    for (int row = 0; ok && row < rows; row++) {
        array[row] = ph_arena_strdup(arena, ph_result_text(result, row, 0));
        ok = array[row] != NULL;
    }
    ph_result_free(result);
    if (!ok)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a histogram");
    *bounds = array;
    *n = (uint32_t)rows;
    return PH_OK;
}
