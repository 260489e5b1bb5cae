/*
 * A batch: a fixed piece of memory that goes round a lane (source -> program -> sink -> source).
 * Whoever holds the pointer owns it; handing over sets the giver's pointer to NULL.
 */
#ifndef PH_MODEL_BATCH_H
#define PH_MODEL_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ph_batch {
    uint8_t *data;
    size_t capacity;
    size_t len;    /* bytes of whole rows, as COPY lays them out */
    uint64_t rows; /* set by the program */
    bool is_large; /* it was grown for one large row, for which its lane holds the token */
    bool is_last;  /* the source has no more for this task, or failed (see the task's error) */
    bool is_more;  /* of the program's own: what it makes of few rows did not fit into theirs */
    bool has_more; /* set by the program: the next batch goes on with the same rows */
};

/* false: no memory. */
bool ph_batch_init(struct ph_batch *batch, size_t capacity);
void ph_batch_free(struct ph_batch *batch);
/* Make room for at least `capacity`; content is lost. false: no memory, batch unchanged. */
bool ph_batch_grow(struct ph_batch *batch, size_t capacity);

#endif
