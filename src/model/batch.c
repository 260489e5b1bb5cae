#include "model/batch.h"

#include <stdlib.h>

bool
ph_batch_init(struct ph_batch *batch, size_t capacity)
{
    *batch = (struct ph_batch){.data = malloc(capacity), .capacity = capacity};
    return batch->data != NULL;
}

void
ph_batch_free(struct ph_batch *batch)
{
    free(batch->data);
    *batch = (struct ph_batch){0};
}

bool
ph_batch_grow(struct ph_batch *batch, size_t capacity)
{
    uint8_t *data = malloc(capacity);

    if (data == NULL)
        return false;
    free(batch->data);
    *batch = (struct ph_batch){.data = data, .capacity = capacity, .is_more = batch->is_more};
    return true;
}
