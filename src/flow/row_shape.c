#include "flow/row_shape.h"

void
ph_row_shape_init(struct ph_row_shape *out, const struct ph_table_plan *table, size_t max_row_bytes)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < table->n_key_fields && n < PH_KEY_FIELDS_MAX; i++) {
        uint32_t at = n++;
        for (; at > 0 && out->key[at - 1] > table->key_fields[i]; at--)
            out->key[at] = out->key[at - 1];
        out->key[at] = table->key_fields[i];
    }
    out->shape = (struct ph_copy_shape){
        .key_fields = out->key,
        .n_key_fields = n,
        .n_fields = table->n_columns,
        .max_row_bytes = max_row_bytes,
    };
}
