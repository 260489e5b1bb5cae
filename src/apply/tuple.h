/*
 * A row image as it is kept in a group: the fields in the order of table->columns, so the key
 * first, each a length and that many bytes: what COPY BINARY has behind its field count, and what
 * array_send has per element. Negative lengths stand for NULL and for a value that did not come.
 */
#ifndef PH_APPLY_TUPLE_H
#define PH_APPLY_TUPLE_H

#include "apply/store.h"
#include "apply/table.h"
#include "base/bytes.h"

#define PH_TUPLE_NULL UINT32_MAX
#define PH_TUPLE_UNCHANGED (UINT32_MAX - 1)

struct ph_tuple {
    uint8_t *data;
    size_t len;
    bool is_partial; /* has fields that did not come */
};

/* Bytes of one field, its length included. */
static inline size_t
ph_tuple_field_size(const uint8_t *field)
{
    uint32_t len = ph_load_u32(field);

    return len >= PH_TUPLE_UNCHANGED ? 4 : 4 + (size_t)len;
}

/* Of the first `n` fields. */
static inline size_t
ph_tuple_size(const uint8_t *data, uint32_t n)
{
    size_t size = 0;

    for (uint32_t i = 0; i < n; i++)
        size += ph_tuple_field_size(data + size);
    return size;
}

/*
 * The first `n` columns of an image into room of the store (which the caller keeps, or not). Fields
 * that did not come are taken from `fill` (may be NULL: another image of the same change; of it
 * only the key unless fill_all). PH_E_PROTOCOL: a field in another form than the table expects, or
 * OIDs that are not the source's; PH_E_MEMORY.
 */
struct ph_tuple_source {
    const struct ph_field *fields;
    const struct ph_field *fill;
    bool fill_all;
};
ph_code ph_tuple_put(const struct ph_apply_table *table, const struct ph_tuple_source *from,
                     uint32_t n, struct ph_store *store, struct ph_tuple *out,
                     struct ph_error *err) PH_MUST_CHECK;

/*
 * A partial image with what is missing taken from an earlier one of the same row, into `room`,
 * which has newer->len + earlier->len bytes and overlaps neither.
 */
void ph_tuple_merge(const struct ph_apply_table *table, const struct ph_tuple *newer,
                    const struct ph_tuple *earlier, uint8_t *room, struct ph_tuple *out);

/* The canonical key of an image (apply/key.h) into room of the store. */
ph_code ph_tuple_key(const struct ph_apply_table *table, const uint8_t *tuple,
                     struct ph_store *store, struct ph_span *out,
                     struct ph_error *err) PH_MUST_CHECK;

#endif
