/*
 * Rows of a query, one after the other as they come, by COPY in binary: for whoever looks at values
 * of a table without keeping them.
 */
#ifndef PH_FLOW_QUERY_SCAN_H
#define PH_FLOW_QUERY_SCAN_H

#include "base/budget.h"
#include "base/bytes.h"
#include "base/error.h"
#include "pg/conn.h"

/* `fields`: params.n_fields of them, data NULL for NULL; good until it returns. */
typedef ph_code ph_query_row(void *arg, const struct ph_span *fields, struct ph_error *err);

struct ph_query_scan_params {
    struct ph_conn *conn;
    const char *select; /* the query, without COPY */
    uint32_t n_fields;
    size_t max_row_bytes;
    struct ph_budget *budget; /* of the rate of reading; NULL: there is no limit */
    _Atomic uint64_t *bytes;  /* what came is added; may be NULL */
};

/* Memory for the largest row. PH_E_ROW_TOO_LARGE, the visitor's and the connection's errors. */
ph_code ph_query_scan(const struct ph_query_scan_params *params, ph_query_row *visit, void *arg,
                      struct ph_error *err) PH_MUST_CHECK;

#endif
