#include "flow/query_scan.h"

#include <stdlib.h>

#include "base/buf.h"
#include "wire/copy_binary.h"

#define FIRST_BUFFER ((size_t)256 << 10)
#define SQL_LIMIT ((size_t)4 << 20)
#define ROW_EXTRA 64u /* lengths of fields beside what a row's limit is about */

struct query_scan {
    const struct ph_query_scan_params *params;
    struct ph_copy_shape shape;
    struct ph_span *fields;
    uint8_t *buffer;
    size_t capacity;
    size_t kept; /* bytes at its front that are a row cut short */
    bool header_done;
    bool ended;
    ph_query_row *visit;
    void *arg;
};

static ph_code
grow(struct query_scan *scan, size_t capacity, struct ph_error *err)
{
    if (capacity > scan->shape.max_row_bytes + FIRST_BUFFER)
        return PH_FAIL(err, PH_E_ROW_TOO_LARGE, "a row of %zu bytes is larger than --max-row",
                       capacity);
    uint8_t *buffer = realloc(scan->buffer, capacity);
    if (buffer == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a row of %zu bytes", capacity);
    scan->buffer = buffer;
    scan->capacity = capacity;
    return PH_OK;
}

/* *len is 0 at the end of the COPY. */
static ph_code
read_more(struct query_scan *scan, size_t *len, struct ph_error *err)
{
    struct ph_budget *budget = scan->params->budget;

    if (budget != NULL)
        ph_budget_gate(budget, scan);
    for (;;) {
        ph_code rc = ph_conn_copy_out_read(scan->params->conn, scan->buffer + scan->kept,
                                           scan->capacity - scan->kept, len, err);
        if (rc == PH_OK && budget != NULL)
            ph_budget_used(budget, *len);
        if (rc != PH_E_ROW_TOO_LARGE || *len <= scan->capacity - scan->kept)
            return rc;
        ph_error_reset(err);
        PH_TRY(grow(scan, scan->kept + *len, err));
    }
}

static ph_code
walk(struct query_scan *scan, struct ph_span bytes, size_t *consumed, struct ph_error *err)
{
    struct ph_copy_row row;

    *consumed = 0;
    if (!scan->header_done) {
        PH_TRY(ph_copy_binary_header(bytes, consumed, err));
        scan->header_done = *consumed > 0;
        if (!scan->header_done)
            return PH_OK;
    }
    for (;;) {
        struct ph_span rest = {bytes.data + *consumed, bytes.len - *consumed};
        PH_TRY(ph_copy_binary_next(&scan->shape, rest, scan->fields, &row, err));
        if (row.item == PH_COPY_MORE)
            return PH_OK;
        *consumed += row.raw.len;
        scan->ended = row.item == PH_COPY_END;
        if (scan->ended)
            return PH_OK;
        PH_TRY(scan->visit(scan->arg, scan->fields, err));
    }
}

static ph_code
scan_rows(struct query_scan *scan, struct ph_error *err)
{
    for (;;) {
        size_t len;
        size_t consumed;
        PH_TRY(read_more(scan, &len, err));
        if (len == 0)
            break;
        if (scan->params->bytes != NULL)
            *scan->params->bytes += len;
        struct ph_span bytes = {scan->buffer, scan->kept + len};
        PH_TRY(walk(scan, bytes, &consumed, err));
        scan->kept = bytes.len - consumed;
        memmove(scan->buffer, scan->buffer + consumed, scan->kept);
    }
    if (scan->kept > 0 || !scan->ended)
        return PH_FAIL(err, PH_E_PROTOCOL, "the COPY stopped inside a row");
    return PH_OK;
}

static ph_code
begin(struct query_scan *scan, struct ph_error *err)
{
    struct ph_buf sql;

    scan->fields = calloc((size_t)scan->params->n_fields + 1, sizeof *scan->fields);
    if (scan->fields == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    PH_TRY(grow(scan, FIRST_BUFFER, err));
    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_printf(&sql, "COPY (%s) TO STDOUT (FORMAT binary)", scan->params->select);
    ph_code rc = ph_buf_ok(&sql)
                     ? ph_conn_copy_out_begin(scan->params->conn, ph_buf_text(&sql), err)
                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    return rc;
}

ph_code
ph_query_scan(const struct ph_query_scan_params *params, ph_query_row *visit, void *arg,
              struct ph_error *err)
{
    struct query_scan scan = {
        .params = params,
        .shape = {.n_fields = params->n_fields,
                  .max_row_bytes = params->max_row_bytes + ROW_EXTRA * (params->n_fields + 1)},
        .visit = visit,
        .arg = arg,
    };
    ph_code rc = begin(&scan, err);

    if (rc == PH_OK)
        rc = scan_rows(&scan, err);
    free(scan.fields);
    free(scan.buffer);
    return rc;
}
