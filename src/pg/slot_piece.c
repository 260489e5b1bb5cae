/* See slot_piece.h. */
#include "pg/slot_piece.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "model/lsn.h"
#include "pg/stream_options.h"
#include "wire/copy_binary.h"

#define STATEMENT_BYTES ((size_t)1 << 20)
#define FIRST_BYTES ((size_t)1 << 20)
#define NAME_PART 40

ph_code
ph_slot_copy(struct ph_conn *conn, const char *slot, char copy[PH_SLOT_COPY_NAME],
             struct ph_error *err)
{
    struct ph_result *r = NULL;

    /* the copy of a run that was killed may still be there */
    snprintf(copy, PH_SLOT_COPY_NAME, "%.*s_%d", NAME_PART, slot, ph_conn_backend_pid(conn));
    const char *const params[] = {slot, copy};
    ph_code rc =
        ph_conn_query(conn, "SELECT pg_catalog.pg_copy_logical_replication_slot($1, $2, true)", 2,
                      params, &r, err);
    ph_result_free(r);
    return rc;
}

ph_code
ph_slot_flushed(struct ph_conn *conn, ph_lsn *lsn, int64_t *clock_us, struct ph_error *err)
{
    struct ph_result *r = NULL;

    *lsn = 0;
    PH_TRY(ph_conn_query(conn,
                         "SELECT CASE WHEN pg_catalog.pg_is_in_recovery()"
                         " THEN pg_catalog.pg_last_wal_replay_lsn()"
                         " ELSE pg_catalog.pg_current_wal_flush_lsn() END,"
                         " (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint",
                         0, NULL, &r, err));
    bool ok = ph_lsn_parse(ph_result_text(r, 0, 0), lsn);
    *clock_us = ph_result_i64(r, 0, 1);
    ph_result_free(r);
    return ok ? PH_OK : PH_FAIL(err, PH_E_PROTOCOL, "the server does not say where its WAL ends");
}

void
ph_slot_piece_reset(struct ph_slot_piece *piece)
{
    free(piece->bytes);
    *piece = (struct ph_slot_piece){0};
}

static ph_code
make_room(struct ph_slot_piece *piece, size_t size, struct ph_error *err)
{
    if (size <= piece->size)
        return PH_OK;
    uint8_t *bytes = realloc(piece->bytes, size);
    if (bytes == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory for a change of %zu bytes", size);
    piece->bytes = bytes;
    piece->size = size;
    return PH_OK;
}

ph_code
ph_slot_piece_begin(struct ph_conn *conn, const struct ph_stream_params *params, ph_lsn upto,
                    struct ph_slot_piece *piece, struct ph_error *err)
{
    char lsn[PH_LSN_TEXT];
    struct ph_buf sql;

    PH_TRY(make_room(piece, FIRST_BYTES, err));
    piece->len = piece->at = 0;
    piece->begun = false;
    ph_buf_init(&sql, STATEMENT_BYTES);
    ph_buf_puts(&sql, "COPY (SELECT data FROM pg_catalog.pg_logical_slot_get_binary_changes(");
    ph_buf_put_literal(&sql, params->slot);
    ph_buf_printf(&sql, ", '%s', NULL, ", ph_lsn_print(upto, lsn));
    ph_put_stream_options(&sql, ph_conn_version(conn), params, PH_OPTIONS_OF_FUNCTION);
    ph_buf_puts(&sql, ")) TO STDOUT (FORMAT binary)");
    ph_code rc = ph_buf_ok(&sql) ? ph_conn_copy_out_begin(conn, ph_buf_text(&sql), err)
                                 : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    return rc;
}

static ph_code
read_more(struct ph_conn *conn, struct ph_slot_piece *piece, struct ph_error *err)
{
    struct ph_error why = {0};

    piece->at = 0;
    ph_code rc = ph_conn_copy_out_read(conn, piece->bytes, piece->size, &piece->len, &why);
    if (rc == PH_E_ROW_TOO_LARGE) {
        PH_TRY(make_room(piece, piece->len, err));
        rc = ph_conn_copy_out_read(conn, piece->bytes, piece->size, &piece->len, &why);
    }
    if (rc != PH_OK && err != NULL)
        *err = why;
    return rc;
}

static ph_code
take_header(struct ph_slot_piece *piece, struct ph_error *err)
{
    size_t consumed;

    PH_TRY(ph_copy_binary_header((struct ph_span){piece->bytes, piece->len}, &consumed, err));
    if (consumed == 0)
        return PH_FAIL(err, PH_E_PROTOCOL, "the changes of a slot begin with half a header");
    piece->begun = true;
    piece->at = consumed;
    return PH_OK;
}

/* One row of one value; payloads hold whole rows. *got false: the trailer. */
static ph_code
take_row(struct ph_slot_piece *piece, struct ph_span *message, bool *got, struct ph_error *err)
{
    struct ph_cursor in = ph_cursor_of(piece->bytes + piece->at, piece->len - piece->at);
    int16_t fields;
    int32_t len;

    *got = false;
    if (!ph_take_i16(&in, &fields))
        return PH_FAIL(err, PH_E_PROTOCOL, "the changes of a slot end in the middle of a row");
    if (fields == 1) {
        if (!ph_take_i32(&in, &len) || len < 0 || !ph_take_span(&in, (size_t)len, message))
            return PH_FAIL(err, PH_E_PROTOCOL, "the changes of a slot end in the middle of a row");
        *got = true;
    } else if (fields != -1) {
        return PH_FAIL(err, PH_E_PROTOCOL, "a change of a slot has %d columns instead of one",
                       fields);
    }
    piece->at = (size_t)(in.at - piece->bytes);
    return PH_OK;
}

ph_code
ph_slot_piece_next(struct ph_conn *conn, struct ph_slot_piece *piece, struct ph_span *message,
                   bool *got, bool *read, struct ph_error *err)
{
    *got = *read = false;
    for (;;) {
        if (piece->at == piece->len) {
            *read = true;
            PH_TRY(read_more(conn, piece, err));
            if (piece->len == 0)
                return PH_OK;
        }
        if (!piece->begun)
            PH_TRY(take_header(piece, err));
        if (piece->at == piece->len)
            continue;
        PH_TRY(take_row(piece, message, got, err));
        if (*got)
            return PH_OK;
    }
}

ph_code
ph_slot_advance(struct ph_conn *conn, const char *slot, ph_lsn lsn, struct ph_error *err)
{
    char text[PH_LSN_TEXT];
    const char *const params[] = {slot, ph_lsn_print(lsn, text)};
    struct ph_result *r = NULL;
    ph_code rc = ph_conn_query(
        conn, "SELECT pg_catalog.pg_replication_slot_advance($1, $2::pg_catalog.pg_lsn)", 2, params,
        &r, err);

    ph_result_free(r);
    return rc;
}
