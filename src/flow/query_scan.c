#include "flow/query_scan.h"

#include <stdlib.h>

#include "base/buf.h"
#include "flow/copy_window.h"
#include "wire/copy_binary.h"

#define SQL_LIMIT ((size_t)8 << 20)
#define ROW_EXTRA 64u /* lengths of fields beside what a row's limit is about */

struct query_scan {
    const struct ph_query_scan_params *params;
    struct ph_copy_window window;
    struct ph_copy_binary_walk walk;
    ph_query_row *visit;
    void *arg;
};

static ph_code
visit_row(void *arg, const struct ph_copy_row *row, struct ph_error *err)
{
    struct query_scan *scan = arg;

    (void)row;
    return scan->visit(scan->arg, scan->walk.fields, err);
}

/* *len is 0 at the end of the COPY. */
static ph_code
read_some(struct query_scan *scan, struct ph_span *bytes, size_t *len, struct ph_error *err)
{
    const struct ph_query_scan_params *params = scan->params;

    if (params->budget != NULL)
        ph_budget_gate(params->budget, scan);
    PH_TRY(ph_copy_window_read(&scan->window, bytes, len, err));
    if (params->budget != NULL)
        ph_budget_used(params->budget, *len);
    if (params->bytes != NULL)
        *params->bytes += *len;
    return PH_OK;
}

static ph_code
scan_rows(struct query_scan *scan, struct ph_error *err)
{
    for (;;) {
        struct ph_span bytes;
        size_t len;
        size_t consumed;
        PH_TRY(read_some(scan, &bytes, &len, err));
        if (len == 0)
            break;
        PH_TRY(ph_copy_binary_walk(&scan->walk, bytes, &consumed, err));
        ph_copy_window_keep(&scan->window, bytes, consumed);
    }
    if (!scan->walk.has_ended)
        return PH_FAIL(err, PH_E_PROTOCOL, "the COPY stopped inside a row");
    return PH_OK;
}

static ph_code
begin(struct query_scan *scan, struct ph_error *err)
{
    const struct ph_query_scan_params *params = scan->params;
    size_t max_bytes = params->max_row_bytes + ROW_EXTRA * ((size_t)params->n_fields + 1);
    struct ph_buf sql;

    scan->walk = (struct ph_copy_binary_walk){
        .shape = {.n_fields = params->n_fields, .max_row_bytes = max_bytes},
        .fields = calloc((size_t)params->n_fields + 1, sizeof *scan->walk.fields),
        .visit = visit_row,
        .arg = scan,
    };
    if (scan->walk.fields == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    PH_TRY(ph_copy_window_open(&scan->window, params->conn, max_bytes, err));
    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_printf(&sql, "COPY (%s) TO STDOUT (FORMAT binary)", params->select);
    ph_code rc = ph_buf_ok(&sql) ? ph_conn_copy_out_begin(params->conn, ph_buf_text(&sql), err)
                                 : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    return rc;
}

ph_code
ph_query_scan(const struct ph_query_scan_params *params, ph_query_row *visit, void *arg,
              struct ph_error *err)
{
    struct query_scan scan = {.params = params, .visit = visit, .arg = arg};
    ph_code rc = begin(&scan, err);

    if (rc == PH_OK)
        rc = scan_rows(&scan, err);
    free(scan.walk.fields);
    ph_copy_window_free(&scan.window);
    return rc;
}
