/* Statements in binary: parameters and results; the whole answer at once, or row by row. */
#include <limits.h>

#include "pg/conn_internal.h"

#define BINARY_PARAMS_MAX 32u

struct params {
    const char *values[BINARY_PARAMS_MAX];
    int lengths[BINARY_PARAMS_MAX];
    int formats[BINARY_PARAMS_MAX];
};

static ph_code
put_params(const struct ph_span *from, uint32_t n, struct params *out, struct ph_error *err)
{
    if (n > BINARY_PARAMS_MAX)
        return PH_FAIL(err, PH_E_INTERNAL, "%u parameters", n);
    for (uint32_t i = 0; i < n; i++) {
        if (from[i].len > INT_MAX)
            return PH_FAIL(err, PH_E_ROW_TOO_LARGE, "a parameter of %zu bytes", from[i].len);
        out->values[i] = (const char *)from[i].data;
        out->lengths[i] = (int)from[i].len;
        out->formats[i] = 1;
    }
    return PH_OK;
}

ph_code
ph_conn_query_binary(struct ph_conn *conn, const char *sql, uint32_t n_params,
                     const uint32_t *types, const struct ph_span *params, struct ph_result **out,
                     struct ph_error *err)
{
    struct params p;

    *out = NULL;
    PH_TRY(put_params(params, n_params, &p, err));
    return ph_conn_take_result(
        conn, PQexecParams(conn->pg, sql, (int)n_params, types, p.values, p.lengths, p.formats, 1),
        out, err);
}

ph_code
ph_conn_rows_begin(struct ph_conn *conn, const char *sql, uint32_t n_params, const uint32_t *types,
                   const struct ph_span *params, struct ph_error *err)
{
    struct params p;

    PH_TRY(put_params(params, n_params, &p, err));
    if (PQsendQueryParams(conn->pg, sql, (int)n_params, types, p.values, p.lengths, p.formats, 1) ==
            1 &&
        PQsetSingleRowMode(conn->pg) == 1)
        return PH_OK;
    return ph_conn_fail(conn, NULL, err);
}

ph_code
ph_conn_rows_next(struct ph_conn *conn, struct ph_result **out, struct ph_error *err)
{
    PGresult *pg = PQgetResult(conn->pg);
    ExecStatusType status = PQresultStatus(pg);

    *out = NULL;
    if (status == PGRES_SINGLE_TUPLE)
        return ph_conn_take_result(conn, pg, out, err);
    ph_code rc = status == PGRES_TUPLES_OK ? PH_OK : ph_conn_fail(conn, pg, err);
    for (; pg != NULL; pg = PQgetResult(conn->pg))
        PQclear(pg);
    return rc;
}
