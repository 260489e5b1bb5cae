/*
 * The two COPY directions. The server sends one CopyData payload a row; they are packed into the
 * caller's batch. Towards the server, payloads need not follow rows.
 *
 * What is here goes through libpq, for connections encrypted by GSS; the others take conn_direct.c.
 */
#include <stdlib.h>
#include <string.h>

#include "pg/conn_internal.h"

/* libpq keeps what it has not sent yet: slices bound that buffer to a small multiple of this. */
#define SLICE_BYTES ((size_t)65536)

static ph_code
begin(struct ph_conn *conn, const char *sql, ExecStatusType wanted, struct ph_error *err)
{
    ph_code rc =
        ph_direct_begin(conn, sql, wanted == PGRES_COPY_OUT ? 'H' : 'G', &conn->direct, err);

    if (rc != PH_OK || conn->direct) {
        conn->copying = rc == PH_OK;
        return rc;
    }
    PGresult *result = PQexec(conn->pg, sql);
    if (result == NULL || PQresultStatus(result) != wanted)
        rc = ph_conn_fail(conn, result, err);
    else
        conn->copying = true;
    PQclear(result);
    return rc;
}

/* Take all results that are left; the first bad one counts. */
static ph_code
finish(struct ph_conn *conn, uint64_t *rows, struct ph_error *err)
{
    ph_code rc = PH_OK;
    PGresult *result;

    conn->copying = false;
    while ((result = PQgetResult(conn->pg)) != NULL) {
        if (PQresultStatus(result) == PGRES_COMMAND_OK) {
            if (rows != NULL)
                *rows = strtoull(PQcmdTuples(result), NULL, 10);
        } else if (rc == PH_OK) {
            rc = ph_conn_fail(conn, result, err);
        }
        ExecStatusType status = PQresultStatus(result);
        PQclear(result);
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
            break;
    }
    if (rc == PH_OK && PQstatus(conn->pg) != CONNECTION_OK)
        rc = ph_conn_fail(conn, NULL, err);
    return rc;
}

ph_code
ph_conn_copy_out_begin(struct ph_conn *conn, const char *sql, struct ph_error *err)
{
    return begin(conn, sql, PGRES_COPY_OUT, err);
}

/* Put a payload into the batch, or keep it for the next call. */
static bool
place(struct ph_conn *conn, uint8_t *into, size_t size, size_t *len)
{
    size_t need = (size_t)conn->pending_len;

    if (need > size - *len)
        return false;
    memcpy(into + *len, conn->pending, need);
    *len += need;
    PQfreemem(conn->pending);
    conn->pending = NULL;
    return true;
}

ph_code
ph_conn_copy_out_read(struct ph_conn *conn, uint8_t *into, size_t size, size_t *len,
                      struct ph_error *err)
{
    *len = 0;
    if (!conn->copying)
        return PH_OK;
    if (conn->direct)
        return ph_direct_read(conn, into, size, len, err);
    for (;;) {
        if (conn->pending == NULL) {
            conn->pending_len = PQgetCopyData(conn->pg, &conn->pending, 0);
            if (conn->pending_len == -1)
                return finish(conn, NULL, err);
            if (conn->pending_len < 0)
                return ph_conn_fail(conn, NULL, err);
        }
        if (place(conn, into, size, len))
            continue;
        if (*len > 0)
            return PH_OK;
        *len = (size_t)conn->pending_len;
        memcpy(into, conn->pending, size < PH_COPY_SHOWN_BYTES ? size : PH_COPY_SHOWN_BYTES);
        return PH_FAIL(err, PH_E_ROW_TOO_LARGE, "a row of %d bytes does not fit into a batch",
                       conn->pending_len);
    }
}

ph_code
ph_conn_copy_in_begin(struct ph_conn *conn, const char *sql, struct ph_error *err)
{
    return begin(conn, sql, PGRES_COPY_IN, err);
}

ph_code
ph_conn_copy_in_write(struct ph_conn *conn, const uint8_t *data, size_t len, struct ph_error *err)
{
    if (conn->direct)
        return ph_direct_write(conn, data, len, err);
    while (len > 0) {
        size_t slice = len < SLICE_BYTES ? len : SLICE_BYTES;
        if (PQputCopyData(conn->pg, (const char *)data, (int)slice) != 1)
            return ph_conn_fail(conn, NULL, err);
        data += slice;
        len -= slice;
    }
    return PH_OK;
}

ph_code
ph_conn_copy_in_end(struct ph_conn *conn, uint64_t *rows, struct ph_error *err)
{
    *rows = 0;
    if (conn->direct)
        return ph_direct_end(conn, rows, err);
    if (PQputCopyEnd(conn->pg, NULL) != 1) {
        conn->copying = false;
        return ph_conn_fail(conn, NULL, err);
    }
    return finish(conn, rows, err);
}

void
ph_conn_copy_in_abort(struct ph_conn *conn, const char *reason)
{
    if (!conn->copying)
        return;
    if (conn->direct)
        ph_direct_abort(conn, reason);
    else if (PQputCopyEnd(conn->pg, reason) == 1)
        (void)finish(conn, NULL, NULL);
    conn->copying = false;
}
