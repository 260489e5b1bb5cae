/*
 * Relations with their columns, indexes and foreign keys.
 *
 * Everything comes ordered by relation oid, so that the parts are joined by walking both lists at
 * once. Sizes are taken of the main forks of heap and TOAST only: pg_table_size looks at eight more
 * files a table, which is most of the time of reading a catalog with thousands of tables. Indexes
 * of tables below 1 MB are not looked at on disk for the same reason.
 */
#include "pg/catalog_read.h"

#include <stdlib.h>

#include "base/buf.h"

#define PAGE_BYTES 8192u
#define LARGE_BYTES ((uint64_t)1 << 20)

enum rel_field {
    REL_OID,
    REL_SCHEMA,
    REL_NAME,
    REL_KIND,
    REL_PERSISTENCE,
    REL_IDENTITY,
    REL_OWNER,
    REL_AM,
    REL_EXTENSION,
    REL_CONFIG_WHERE,
    REL_IS_PARTITION,
    REL_PARENT,
    REL_PARTITION_KEY,
    REL_PARTITION_BOUND,
    REL_HAS_CHILDREN,
    REL_RLS,
    REL_RLS_FORCED,
    REL_RLS_HIDES,
    REL_CAN_READ,
    REL_IS_OWNED,
    REL_USER_TRIGGERS,
    REL_ALWAYS_TRIGGERS,
    REL_HEAP_BYTES,
    REL_TOAST_BYTES,
    REL_TUPLES,
    REL_FILENODE
};

/* The rights a copy needs: SELECT on the source, INSERT and (for the proof) SELECT on the target.
 */
#define RELS_SQL(rights)                                                                           \
    "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident,"             \
    " pg_get_userbyid(c.relowner), am.amname, e.extname, cfg.condition, c.relispartition,"         \
    " CASE WHEN c.relispartition THEN pi.inhparent END,"                                           \
    " CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,"                                \
    " CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END,"                     \
    " c.relkind <> 'p' AND c.relhassubclass AND EXISTS (SELECT FROM pg_inherits ch"                \
    " WHERE ch.inhparent = c.oid),"                                                                \
    " c.relrowsecurity, c.relforcerowsecurity, c.relrowsecurity AND row_security_active(c.oid),"   \
    " has_schema_privilege(n.oid, 'USAGE')" rights ", pg_has_role(c.relowner, 'USAGE'),"           \
    " coalesce(t.by_users, false), coalesce(t.always, false),"                                     \
    " CASE WHEN c.relkind IN ('r', 'm') THEN pg_relation_size(c.oid) END,"                         \
    " CASE WHEN c.reltoastrelid <> 0 THEN pg_relation_size(c.reltoastrelid) END, c.reltuples,"     \
    " c.relfilenode"                                                                               \
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"                               \
    " LEFT JOIN pg_am am ON am.oid = c.relam"                                                      \
    " LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid"               \
    " AND d.objsubid = 0 AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'"          \
    " LEFT JOIN pg_extension e ON e.oid = d.refobjid"                                              \
    " LEFT JOIN (SELECT u.relid, u.condition FROM pg_extension x,"                                 \
    " unnest(x.extconfig, x.extcondition) AS u(relid, condition)) cfg ON cfg.relid = c.oid"        \
    " LEFT JOIN pg_inherits pi ON c.relispartition AND pi.inhrelid = c.oid"                        \
    " LEFT JOIN (SELECT tgrelid,"                                                                  \
    " bool_or((NOT tgisinternal OR tgconstraint = 0) AND tgenabled <> 'D') AS by_users,"           \
    " bool_or(tgenabled IN ('A', 'R')) AS always"                                                  \
    " FROM pg_trigger GROUP BY tgrelid) t ON t.tgrelid = c.oid"                                    \
    " WHERE c.relkind IN ('r', 'p', 'f', 'm', 'S', 'v') AND" PH_CATALOG_USER_SCHEMA(               \
        "n") " ORDER BY c.oid"

static const char RELS_OF_SOURCE[] = RELS_SQL(" AND has_table_privilege(c.oid, 'SELECT')");
static const char RELS_OF_TARGET[] = RELS_SQL(" AND has_table_privilege(c.oid, 'SELECT')"
                                              " AND has_table_privilege(c.oid, 'INSERT')");

static void
fill_rel_names(struct ph_catalog_reader *reader, const struct ph_result *result, int row,
               struct ph_rel *rel)
{
    rel->oid = ph_result_u32(result, row, REL_OID);
    rel->schema = ph_catalog_text(reader, result, row, REL_SCHEMA);
    rel->name = ph_catalog_text(reader, result, row, REL_NAME);
    rel->owner = ph_catalog_text(reader, result, row, REL_OWNER);
    rel->access_method = ph_catalog_text(reader, result, row, REL_AM);
    rel->extension = ph_catalog_text(reader, result, row, REL_EXTENSION);
    rel->config_where = ph_catalog_text(reader, result, row, REL_CONFIG_WHERE);
    rel->is_config = rel->config_where != NULL;
    rel->partition_key = ph_catalog_text(reader, result, row, REL_PARTITION_KEY);
    rel->partition_bound = ph_catalog_text(reader, result, row, REL_PARTITION_BOUND);
}

static void
fill_rel_facts(const struct ph_catalog_reader *reader, const struct ph_result *result, int row,
               struct ph_rel *rel)
{
    rel->kind = (enum ph_rel_kind)ph_catalog_char(result, row, REL_KIND);
    rel->persistence = ph_catalog_char(result, row, REL_PERSISTENCE);
    rel->replica_identity = ph_catalog_char(result, row, REL_IDENTITY);
    rel->is_partition = ph_result_bool(result, row, REL_IS_PARTITION);
    rel->parent_oid = ph_result_u32(result, row, REL_PARENT);
    rel->has_inheritance_children = ph_result_bool(result, row, REL_HAS_CHILDREN);
    rel->rls_enabled = ph_result_bool(result, row, REL_RLS);
    rel->rls_forced = ph_result_bool(result, row, REL_RLS_FORCED);
    rel->rls_hides = ph_result_bool(result, row, REL_RLS_HIDES);
    rel->can_read = ph_result_bool(result, row, REL_CAN_READ);
    rel->is_owned = ph_result_bool(result, row, REL_IS_OWNED);
    rel->has_user_triggers = ph_result_bool(result, row, REL_USER_TRIGGERS);
    rel->has_always_triggers = ph_result_bool(result, row, REL_ALWAYS_TRIGGERS);
    rel->pages = (uint64_t)ph_result_i64(result, row, REL_HEAP_BYTES) / PAGE_BYTES;
    rel->toast_bytes = (uint64_t)ph_result_i64(result, row, REL_TOAST_BYTES);
    rel->bytes = rel->pages * PAGE_BYTES + rel->toast_bytes;
    rel->tuples = strtod(ph_result_text(result, row, REL_TUPLES), NULL);
    rel->filenode = ph_result_u32(result, row, REL_FILENODE);
    /* Servers before 14 have 0 for "never analysed". */
    if (reader->version < 140000 && !(rel->tuples > 0) && rel->pages > 0)
        rel->tuples = -1;
}

static void
find_roots(struct ph_catalog *catalog)
{
    for (uint32_t i = 0; i < catalog->n_rels; i++) {
        const struct ph_rel *at = &catalog->rels[i];
        while (at->is_partition) {
            const struct ph_rel *parent = ph_catalog_rel(catalog, at->parent_oid);
            if (parent == NULL)
                break;
            at = parent;
        }
        catalog->rels[i].root_oid = at->oid;
    }
}

ph_code
ph_catalog_read_rels(struct ph_catalog_reader *reader)
{
    struct ph_catalog *catalog = reader->out;
    struct ph_result *result = NULL;
    void *rels = NULL;

    PH_TRY(ph_catalog_query(reader, reader->side == PH_TARGET ? RELS_OF_TARGET : RELS_OF_SOURCE,
                            NULL, &result));
    int n = ph_result_rows(result);
    ph_code rc = ph_catalog_array(reader, (uint32_t)n, sizeof *catalog->rels, &rels);
    if (rc == PH_OK) {
        catalog->rels = rels;
        catalog->n_rels = (uint32_t)n;
    }
    for (int row = 0; rc == PH_OK && row < n; row++) {
        fill_rel_names(reader, result, row, &catalog->rels[row]);
        fill_rel_facts(reader, result, row, &catalog->rels[row]);
    }
    ph_result_free(result);
    if (rc == PH_OK)
        find_roots(catalog);
    return rc;
}

/* Also of views: rules and reports name their columns. */
static const char COLUMNS_SQL[] =
    "SELECT a.attrelid, a.attname, a.attnum, a.atttypid, a.atttypmod,"
    " format_type(a.atttypid, a.atttypmod), a.attnotnull,"
    " a.atthasdef OR t.typdefault IS NOT NULL, a.attgenerated, a.attidentity, a.attisdropped,"
    " NOT coalesce(l.collisdeterministic, true), a.attcollation >= 16384"
    " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_type t ON t.oid = a.atttypid"
    " LEFT JOIN pg_collation l ON l.oid = a.attcollation"
    " WHERE a.attnum > 0 AND c.relkind IN ('r', 'p', 'f', 'm', 'v')"
    " AND" PH_CATALOG_USER_SCHEMA("n") "ORDER BY a.attrelid, a.attnum";

static void
fill_column(struct ph_catalog_reader *reader, const struct ph_result *result, int row,
            struct ph_column *column)
{
    *column = (struct ph_column){
        .name = ph_catalog_text(reader, result, row, 1),
        .attnum = (int16_t)ph_result_i64(result, row, 2),
        .type_oid = ph_result_u32(result, row, 3),
        .typmod = (int32_t)ph_result_i64(result, row, 4),
        .type_text = ph_catalog_text(reader, result, row, 5),
        .not_null = ph_result_bool(result, row, 6),
        .has_default = ph_result_bool(result, row, 7),
        .generated = ph_catalog_char(result, row, 8),
        .identity = ph_catalog_char(result, row, 9),
        .nondeterministic = ph_result_bool(result, row, 11),
        .own_collation = ph_result_bool(result, row, 12),
    };
}

ph_code
ph_catalog_read_columns(struct ph_catalog_reader *reader)
{
    struct ph_catalog *catalog = reader->out;
    struct ph_result *result = NULL;
    void *array = NULL;

    PH_TRY(ph_catalog_query(reader, COLUMNS_SQL, NULL, &result));
    int n = ph_result_rows(result);
    int row = 0;
    ph_code rc = ph_catalog_array(reader, (uint32_t)n, sizeof(struct ph_column), &array);
    struct ph_column *next = array;
    for (uint32_t i = 0; rc == PH_OK && i < catalog->n_rels; i++) {
        struct ph_rel *rel = &catalog->rels[i];
        rel->columns = next;
        for (; row < n && ph_result_u32(result, row, 0) <= rel->oid; row++) {
            if (ph_result_u32(result, row, 0) < rel->oid)
                continue;
            if (ph_result_bool(result, row, 10)) {
                rel->n_dropped++;
                continue;
            }
            fill_column(reader, result, row, next++);
            rel->n_columns++;
        }
    }
    ph_result_free(result);
    return rc;
}

/* $1: the tables whose indexes are worth looking at on disk. */
static const char INDEXES_SQL[] =
    "SELECT i.indrelid, i.indexrelid, x.relname, i.indisunique, i.indisprimary,"
    " i.indisvalid AND i.indisready, i.indimmediate, i.indpred IS NOT NULL,"
    " i.indexprs IS NOT NULL, CASE WHEN x.relkind <> 'i' THEN 0"
    " WHEN big.oid IS NOT NULL THEN pg_relation_size(i.indexrelid)"
    " ELSE greatest(x.relpages, 1)::bigint * 8192 END, i.indnkeyatts, i.indkey,"
    " i.indisreplident,"
    /* a column since 15 */
    " CASE WHEN i.indisunique THEN to_jsonb(i)->>'indnullsnotdistinct' = 'true' END,"
    " i.indisexclusion,"
    /* the expressions' variables; dependencies would have the predicate's among them */
    " CASE WHEN i.indexprs IS NOT NULL AND (i.indisunique OR i.indisexclusion) THEN"
    " (SELECT array_to_string(array_agg(DISTINCT m[1]), ' ') FROM"
    " regexp_matches(i.indexprs::text, ':varattno ([0-9]+)', 'g') m) END"
    " FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"
    " JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN unnest($1::oid[]) AS big(oid) ON big.oid = i.indrelid"
    " WHERE" PH_CATALOG_USER_SCHEMA("n") "ORDER BY i.indrelid, i.indexrelid";

/* The first `n` of "3 1 2". */
static ph_code
read_attnums(struct ph_catalog_reader *reader, const char *text, uint32_t n, const int16_t **out)
{
    void *array = NULL;
    char *at = NULL;

    PH_TRY(ph_catalog_array(reader, n, sizeof(int16_t), &array));
    int16_t *attnums = array;
    for (uint32_t i = 0; i < n; i++) {
        attnums[i] = (int16_t)strtol(text, &at, 10);
        text = at;
    }
    *out = attnums;
    return PH_OK;
}

/* int2vector prints as "3 1 2"; what INCLUDE adds comes after the keys. */
static ph_code
fill_keys(struct ph_catalog_reader *reader, const char *indkey, uint32_t n_keys,
          struct ph_index *index)
{
    index->n_keys = n_keys;
    return read_attnums(reader, indkey, n_keys, &index->key_attnums);
}

/* "3 1"; NULL: none. */
static ph_code
fill_expressions(struct ph_catalog_reader *reader, const char *attnums, struct ph_index *index)
{
    if (attnums == NULL || attnums[0] == '\0')
        return PH_OK;
    index->n_expression_attnums = 1;
    for (const char *at = attnums; *at != '\0'; at++)
        index->n_expression_attnums += *at == ' ';
    return read_attnums(reader, attnums, index->n_expression_attnums, &index->expression_attnums);
}

static ph_code
fill_index(struct ph_catalog_reader *reader, const struct ph_result *result, int row,
           struct ph_index *index)
{
    *index = (struct ph_index){
        .oid = ph_result_u32(result, row, 1),
        .name = ph_catalog_text(reader, result, row, 2),
        .is_unique = ph_result_bool(result, row, 3),
        .is_primary = ph_result_bool(result, row, 4),
        .is_valid = ph_result_bool(result, row, 5),
        .is_immediate = ph_result_bool(result, row, 6),
        .is_partial = ph_result_bool(result, row, 7),
        .has_expressions = ph_result_bool(result, row, 8),
        .is_identity = ph_result_bool(result, row, 12),
        .nulls_are_equal = ph_result_bool(result, row, 13),
        .is_exclusion = ph_result_bool(result, row, 14),
        .bytes = (uint64_t)ph_result_i64(result, row, 9),
    };
    PH_TRY(fill_expressions(reader, ph_result_text(result, row, 15), index));
    return fill_keys(reader, ph_result_text(result, row, 11), ph_result_u32(result, row, 10),
                     index);
}

static void
put_large_rels(const struct ph_catalog *catalog, struct ph_buf *out)
{
    const char *separator = "{";

    for (uint32_t i = 0; i < catalog->n_rels; i++) {
        if (catalog->rels[i].bytes < LARGE_BYTES)
            continue;
        ph_buf_printf(out, "%s%u", separator, catalog->rels[i].oid);
        separator = ",";
    }
    ph_buf_puts(out, *separator == '{' ? "{}" : "}");
}

static ph_code
query_indexes(struct ph_catalog_reader *reader, struct ph_result **result)
{
    struct ph_buf large;

    ph_buf_init(&large, PH_CATALOG_SQL_LIMIT);
    put_large_rels(reader->out, &large);
    ph_code rc = ph_buf_ok(&large)
                     ? ph_catalog_query(reader, INDEXES_SQL, ph_buf_text(&large), result)
                     : PH_FAIL(reader->err, PH_E_MEMORY, "no memory for the list of tables");
    ph_buf_free(&large);
    return rc;
}

ph_code
ph_catalog_read_indexes(struct ph_catalog_reader *reader)
{
    struct ph_catalog *catalog = reader->out;
    struct ph_result *result = NULL;
    void *array = NULL;

    PH_TRY(query_indexes(reader, &result));
    int n = ph_result_rows(result);
    int row = 0;
    ph_code rc = ph_catalog_array(reader, (uint32_t)n, sizeof(struct ph_index), &array);
    struct ph_index *next = array;
    for (uint32_t i = 0; rc == PH_OK && i < catalog->n_rels; i++) {
        struct ph_rel *rel = &catalog->rels[i];
        rel->indexes = next;
        for (; rc == PH_OK && row < n && ph_result_u32(result, row, 0) <= rel->oid; row++) {
            if (ph_result_u32(result, row, 0) < rel->oid)
                continue;
            rc = fill_index(reader, result, row, next++);
            rel->n_indexes++;
        }
    }
    ph_result_free(result);
    return rc;
}

/* Those that a partition has from its parent are left out: the parent's stands for them. */
#define FOREIGN_KEYS_SQL(enforced)                                                                 \
    "SELECT k.oid, k.conname, k.conrelid, k.confrelid, k.condeferrable, k.convalidated,"           \
    " " enforced ", k.confdeltype, k.confupdtype, k.conindid, cardinality(k.conkey),"              \
    " array_to_string(k.conkey, ' '), array_to_string(k.confkey, ' ')"                             \
    " FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"                                  \
    " JOIN pg_namespace n ON n.oid = c.relnamespace"                                               \
    " WHERE k.contype = 'f' AND k.conparentid = 0 AND" PH_CATALOG_USER_SCHEMA(                     \
        "n") "ORDER BY k.oid"

ph_code
ph_catalog_read_foreign_keys(struct ph_catalog_reader *reader)
{
    struct ph_catalog *catalog = reader->out;
    struct ph_result *result = NULL;
    void *array = NULL;

    PH_TRY(ph_catalog_query(reader,
                            reader->version >= 180000 ? FOREIGN_KEYS_SQL("k.conenforced")
                                                      : FOREIGN_KEYS_SQL("true"),
                            NULL, &result));
    int n = ph_result_rows(result);
    ph_code rc = ph_catalog_array(reader, (uint32_t)n, sizeof(struct ph_foreign_key), &array);
    if (rc == PH_OK) {
        catalog->foreign_keys = array;
        catalog->n_foreign_keys = (uint32_t)n;
    }
    for (int row = 0; rc == PH_OK && row < n; row++) {
        catalog->foreign_keys[row] = (struct ph_foreign_key){
            .oid = ph_result_u32(result, row, 0),
            .name = ph_catalog_text(reader, result, row, 1),
            .rel_oid = ph_result_u32(result, row, 2),
            .ref_oid = ph_result_u32(result, row, 3),
            .deferrable = ph_result_bool(result, row, 4),
            .validated = ph_result_bool(result, row, 5),
            .enforced = ph_result_bool(result, row, 6),
            .on_delete = ph_catalog_char(result, row, 7),
            .on_update = ph_catalog_char(result, row, 8),
            .ref_index = ph_result_u32(result, row, 9),
            .n_attnums = ph_result_u32(result, row, 10),
        };
        rc =
            read_attnums(reader, ph_result_text(result, row, 11),
                         catalog->foreign_keys[row].n_attnums, &catalog->foreign_keys[row].attnums);
        if (rc == PH_OK)
            rc = read_attnums(reader, ph_result_text(result, row, 12),
                              catalog->foreign_keys[row].n_attnums,
                              &catalog->foreign_keys[row].ref_attnums);
    }
    ph_result_free(result);
    return rc;
}
