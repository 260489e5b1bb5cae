/*
 * All types of the database, with what their bytes are made of: enum labels, attributes of
 * composites (of tables only where their row type is used as a type), base and element types.
 */
#include "pg/catalog_read.h"

/* Multiranges came with 14; a range is the element of its multirange, the subtype of itself. */
#define TYPES_SQL(multirange_join, multirange)                                                     \
    "SELECT t.oid, n.nspname, t.typname, t.typtype, t.typcategory,"                                \
    " CASE WHEN t.typlen = -1 THEN t.typelem ELSE 0 END, t.typarray, t.typbasetype, t.typrelid,"   \
    " coalesce(" multirange "r.rngsubtype, 0),"                                                    \
    " t.typsend::oid <> 0 AND t.typreceive::oid <> 0, e.extname, e.extversion, t.typnotnull,"      \
    " t.typtypmod"                                                                                 \
    " FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"                                \
    " LEFT JOIN pg_range r ON r.rngtypid = t.oid" multirange_join                                  \
    " LEFT JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid"                \
    " AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'"                             \
    " LEFT JOIN pg_extension e ON e.oid = d.refobjid ORDER BY t.oid"

static const char TYPES_BEFORE_14[] = TYPES_SQL("", "");
static const char TYPES_SINCE_14[] = TYPES_SQL(
    " LEFT JOIN pg_range m ON m.rngmultitypid = t.oid AND t.typtype = 'm'", "m.rngtypid, ");

static void
fill_type(struct ph_catalog_reader *reader, const struct ph_result *result, int row,
          struct ph_type *type)
{
    *type = (struct ph_type){
        .oid = ph_result_u32(result, row, 0),
        .schema = ph_catalog_text(reader, result, row, 1),
        .name = ph_catalog_text(reader, result, row, 2),
        .kind = ph_catalog_char(result, row, 3),
        .category = ph_catalog_char(result, row, 4),
        .elem_oid = ph_result_u32(result, row, 5),
        .array_oid = ph_result_u32(result, row, 6),
        .base_oid = ph_result_u32(result, row, 7),
        .relid = ph_result_u32(result, row, 8),
        .subtype_oid = ph_result_u32(result, row, 9),
        .has_binary = ph_result_bool(result, row, 10),
        .extension = ph_catalog_text(reader, result, row, 11),
        .extension_version = ph_catalog_text(reader, result, row, 12),
        .not_null = ph_result_bool(result, row, 13),
        .typmod = (int32_t)ph_result_i64(result, row, 14),
    };
}

static const char LABELS_SQL[] =
    "SELECT enumtypid, enumlabel FROM pg_enum ORDER BY enumtypid, enumsortorder";

static ph_code
read_labels(struct ph_catalog_reader *reader)
{
    struct ph_catalog *catalog = reader->out;
    struct ph_result *result = NULL;
    void *array = NULL;

    PH_TRY(ph_catalog_query(reader, LABELS_SQL, NULL, &result));
    int n = ph_result_rows(result);
    int row = 0;
    ph_code rc = ph_catalog_array(reader, (uint32_t)n, sizeof(const char *), &array);
    const char **next = array;
    for (uint32_t i = 0; rc == PH_OK && i < catalog->n_types; i++) {
        struct ph_type *type = &catalog->types[i];
        type->labels = next;
        for (; row < n && ph_result_u32(result, row, 0) <= type->oid; row++) {
            if (ph_result_u32(result, row, 0) < type->oid)
                continue;
            *next++ = ph_catalog_text(reader, result, row, 1);
            type->n_labels++;
        }
    }
    ph_result_free(result);
    return rc;
}

/*
 * A table's row type counts when something has it, or its array, as its type. System catalogs' row
 * types are never columns of a user's table.
 */
static const char ATTRIBUTES_SQL[] =
    "WITH used AS (SELECT atttypid AS oid FROM pg_attribute WHERE atttypid >= 16384"
    " UNION SELECT typbasetype FROM pg_type WHERE typbasetype >= 16384"
    " UNION SELECT rngsubtype FROM pg_range WHERE rngsubtype >= 16384)"
    " SELECT c.reltype, a.attname, a.atttypid, a.attisdropped"
    " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    " JOIN pg_type t ON t.oid = c.reltype JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE a.attnum > 0 AND (c.relkind = 'c' OR (c.relkind IN ('r', 'p', 'f', 'v', 'm')"
    " AND (t.oid IN (SELECT oid FROM used) OR t.typarray IN (SELECT oid FROM used))))"
    " AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
    " ORDER BY c.reltype, a.attnum";

static ph_code
read_attributes(struct ph_catalog_reader *reader)
{
    struct ph_catalog *catalog = reader->out;
    struct ph_result *result = NULL;
    void *array = NULL;

    PH_TRY(ph_catalog_query(reader, ATTRIBUTES_SQL, NULL, &result));
    int n = ph_result_rows(result);
    int row = 0;
    ph_code rc = ph_catalog_array(reader, (uint32_t)n, sizeof(struct ph_attribute), &array);
    struct ph_attribute *next = array;
    for (uint32_t i = 0; rc == PH_OK && i < catalog->n_types; i++) {
        struct ph_type *type = &catalog->types[i];
        type->attributes = next;
        for (; row < n && ph_result_u32(result, row, 0) <= type->oid; row++) {
            if (ph_result_u32(result, row, 0) < type->oid)
                continue;
            *next++ = (struct ph_attribute){
                .name = ph_catalog_text(reader, result, row, 1),
                .type_oid = ph_result_u32(result, row, 2),
                .dropped = ph_result_bool(result, row, 3),
            };
            type->n_attributes++;
        }
    }
    ph_result_free(result);
    return rc;
}

ph_code
ph_catalog_read_types(struct ph_catalog_reader *reader)
{
    struct ph_catalog *catalog = reader->out;
    struct ph_result *result = NULL;
    void *array = NULL;

    PH_TRY(ph_catalog_query(reader, reader->version >= 140000 ? TYPES_SINCE_14 : TYPES_BEFORE_14,
                            NULL, &result));
    int n = ph_result_rows(result);
    ph_code rc = ph_catalog_array(reader, (uint32_t)n, sizeof(struct ph_type), &array);
    if (rc == PH_OK) {
        catalog->types = array;
        catalog->n_types = (uint32_t)n;
    }
    for (int row = 0; rc == PH_OK && row < n; row++)
        fill_type(reader, result, row, &catalog->types[row]);
    ph_result_free(result);
    if (rc == PH_OK)
        rc = read_labels(reader);
    if (rc == PH_OK)
        rc = read_attributes(reader);
    return rc;
}
