#include "flow/copy_window.h"

#include <stdlib.h>
#include <string.h>

static ph_code
grow(struct ph_copy_window *window, size_t capacity, struct ph_error *err)
{
    if (capacity > window->max_bytes + PH_COPY_WINDOW_BYTES)
        return PH_FAIL(err, PH_E_ROW_TOO_LARGE, "a row of %zu bytes is larger than --max-row",
                       capacity);
    uint8_t *bytes = realloc(window->bytes, capacity);
    if (bytes == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a row of %zu bytes", capacity);
    window->bytes = bytes;
    window->capacity = capacity;
    return PH_OK;
}

ph_code
ph_copy_window_open(struct ph_copy_window *window, struct ph_conn *conn, size_t max_bytes,
                    struct ph_error *err)
{
    *window = (struct ph_copy_window){.conn = conn, .max_bytes = max_bytes};
    return grow(window, PH_COPY_WINDOW_BYTES, err);
}

void
ph_copy_window_free(struct ph_copy_window *window)
{
    free(window->bytes);
    *window = (struct ph_copy_window){0};
}

ph_code
ph_copy_window_read(struct ph_copy_window *window, struct ph_span *bytes, size_t *len,
                    struct ph_error *err)
{
    for (;;) {
        size_t room = window->capacity - window->kept;
        ph_code rc =
            ph_conn_copy_out_read(window->conn, window->bytes + window->kept, room, len, err);
        if (rc == PH_OK)
            *bytes = (struct ph_span){window->bytes, window->kept + *len};
        if (rc != PH_E_ROW_TOO_LARGE || *len <= room)
            return rc;
        ph_error_reset(err);
        PH_TRY(grow(window, window->kept + *len, err));
    }
}

void
ph_copy_window_keep(struct ph_copy_window *window, struct ph_span bytes, size_t consumed)
{
    window->kept = bytes.len - consumed;
    memmove(window->bytes, window->bytes + consumed, window->kept);
}
