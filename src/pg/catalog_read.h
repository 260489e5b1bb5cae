/* Inside pg/catalog*.c only: the parts of ph_catalog_read and what they share. */
#ifndef PH_PG_CATALOG_READ_H
#define PH_PG_CATALOG_READ_H

#include "model/catalog.h"
#include "pg/conn.h"

#define PH_CATALOG_SQL_LIMIT ((size_t)64 << 20)

struct ph_catalog_reader {
    struct ph_conn *conn;
    struct ph_catalog *out;
    struct ph_error *err;
    int version;
    enum ph_side side;
    bool no_memory; /* a string did not fit; looked at once at the end */
};

/* Relations of users' schemas; those of the server and of pghaul itself are nobody's to copy. */
#define PH_CATALOG_USER_SCHEMA(n)                                                                  \
    " " n ".nspname !~ '^pg_' AND " n ".nspname NOT IN ('information_schema', 'pghaul') "

/* `param` is $1, or NULL for a statement without. */
ph_code ph_catalog_query(struct ph_catalog_reader *reader, const char *sql, const char *param,
                         struct ph_result **result);
/* Text of a value in the catalog's arena; NULL for SQL NULL. */
const char *ph_catalog_text(struct ph_catalog_reader *reader, const struct ph_result *result,
                            int row, int column);
/* Zeroed array in the catalog's arena; never NULL for n of 0. PH_E_MEMORY. */
ph_code ph_catalog_array(struct ph_catalog_reader *reader, uint32_t n, size_t size, void **array);
char ph_catalog_char(const struct ph_result *result, int row, int column);

ph_code ph_catalog_read_rels(struct ph_catalog_reader *reader);
ph_code ph_catalog_read_columns(struct ph_catalog_reader *reader);
ph_code ph_catalog_read_indexes(struct ph_catalog_reader *reader);
ph_code ph_catalog_read_foreign_keys(struct ph_catalog_reader *reader);
ph_code ph_catalog_read_types(struct ph_catalog_reader *reader);

#endif
