#include "flow/lookup_read.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/stop.h"
#include "wire/copy_binary.h"

#define READ_BYTES ((size_t)64 << 10)
#define SQL_LIMIT ((size_t)8 << 20)

struct reading {
    struct ph_conn *conn;
    ph_lookup_take *take;
    struct ph_lookups *lookups;
    uint32_t number;
    uint8_t *buffer;
    size_t capacity;
    size_t kept; /* bytes at its front that are a row cut short */
    bool has_header;
    bool has_ended;
    struct ph_error *err;
};

static struct ph_value
value_of(struct ph_span field)
{
    if (field.data == NULL)
        return (struct ph_value){NULL, PH_VALUE_NULL};
    return (struct ph_value){field.data, (int32_t)field.len};
}

static ph_code
take_rows(struct reading *reading, size_t len)
{
    const struct ph_copy_shape shape = {.n_fields = 2, .max_row_bytes = INT32_MAX};
    struct ph_span rest = {reading->buffer, reading->kept + len};
    struct ph_span fields[2];
    struct ph_copy_row row;
    size_t consumed = 0;

    if (!reading->has_header)
        PH_TRY(ph_copy_binary_header(rest, &consumed, reading->err));
    reading->has_header |= consumed > 0;
    rest = (struct ph_span){rest.data + consumed, rest.len - consumed};
    while (reading->has_header && !reading->has_ended) {
        PH_TRY(ph_copy_binary_next(&shape, rest, fields, &row, reading->err));
        if (row.item == PH_COPY_MORE)
            break;
        rest = (struct ph_span){rest.data + row.raw.len, rest.len - row.raw.len};
        reading->has_ended = row.item == PH_COPY_END;
        if (row.item == PH_COPY_ROW)
            PH_TRY(reading->take(reading->lookups, reading->number, value_of(fields[0]),
                                 value_of(fields[1]), reading->err));
    }
    memmove(reading->buffer, rest.data, rest.len);
    reading->kept = rest.len;
    return PH_OK;
}

static ph_code
make_room(struct reading *reading, size_t bytes)
{
    uint8_t *larger = realloc(reading->buffer, bytes);

    if (larger == NULL)
        return PH_FAIL(reading->err, PH_E_MEMORY, "no memory for a row of a lookup");
    reading->buffer = larger;
    reading->capacity = bytes;
    return PH_OK;
}

static ph_code
read_some(struct reading *reading, size_t *len)
{
    for (;;) {
        size_t room = reading->capacity - reading->kept;
        ph_code rc = ph_conn_copy_out_read(reading->conn, reading->buffer + reading->kept, room,
                                           len, reading->err);
        if (rc != PH_E_ROW_TOO_LARGE || *len <= room)
            return rc;
        ph_error_reset(reading->err);
        PH_TRY(make_room(reading, reading->kept + *len));
    }
}

static ph_code
read_all(struct reading *reading, const char *select)
{
    struct ph_buf sql;
    size_t len = 1;

    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_printf(&sql, "COPY (%s) TO STDOUT (FORMAT binary)", select);
    ph_code rc = ph_buf_ok(&sql)
                     ? ph_conn_copy_out_begin(reading->conn, ph_buf_text(&sql), reading->err)
                     : PH_FAIL(reading->err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    while (rc == PH_OK && len > 0) {
        rc = ph_stop_check(reading->err);
        if (rc == PH_OK)
            rc = read_some(reading, &len);
        if (rc == PH_OK && len > 0)
            rc = take_rows(reading, len);
    }
    if (rc == PH_OK && !reading->has_ended)
        rc = PH_FAIL(reading->err, PH_E_PROTOCOL, "the COPY stopped inside a row");
    return rc;
}

ph_code
ph_lookup_read(struct ph_conn *conn, const char *sql, ph_lookup_take *take,
               struct ph_lookups *lookups, uint32_t number, struct ph_error *err)
{
    struct reading reading = {
        .conn = conn, .take = take, .lookups = lookups, .number = number, .err = err};
    ph_code rc = make_room(&reading, READ_BYTES);

    if (rc == PH_OK)
        rc = read_all(&reading, sql);
    free(reading.buffer);
    return rc;
}
