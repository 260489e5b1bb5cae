/*
 * The bytes of a COPY TO STDOUT as they come, for whoever walks over its rows one by one: what was
 * read lies in one piece, a row that was cut short in front of what comes next. Grows to the
 * largest row. One thread at a time.
 */
#ifndef PH_FLOW_COPY_WINDOW_H
#define PH_FLOW_COPY_WINDOW_H

#include "base/bytes.h"
#include "base/error.h"
#include "pg/conn.h"

/* What an open window has room for: rows up to about this size need no growing. */
#define PH_COPY_WINDOW_BYTES ((size_t)256 << 10)

struct ph_copy_window {
    struct ph_conn *conn; /* borrowed; its COPY has begun before the first read */
    size_t max_bytes;     /* that the largest row may have */
    uint8_t *bytes;
    size_t capacity;
    size_t kept; /* bytes at its front that are a row cut short */
};

/* Free the window in any case. PH_E_MEMORY. */
ph_code ph_copy_window_open(struct ph_copy_window *window, struct ph_conn *conn, size_t max_bytes,
                            struct ph_error *err) PH_MUST_CHECK;
void ph_copy_window_free(struct ph_copy_window *window); /* a zeroed one is fine */

/*
 * Read on. *bytes is all that is there and not walked over yet, the window's own, which the caller
 * may write into, until keep; *len of them are new, 0 at the end of the COPY. PH_E_ROW_TOO_LARGE
 * and the connection's errors.
 */
ph_code ph_copy_window_read(struct ph_copy_window *window, struct ph_span *bytes, size_t *len,
                            struct ph_error *err) PH_MUST_CHECK;

/* `consumed` of what read gave were whole rows; the rest is kept. */
void ph_copy_window_keep(struct ph_copy_window *window, struct ph_span bytes, size_t consumed);

#endif
