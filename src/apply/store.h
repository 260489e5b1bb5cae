/*
 * Memory of a group: values are put one behind the other into blocks that are kept from group to
 * group. Nothing is freed but all at once. One owner.
 */
#ifndef PH_APPLY_STORE_H
#define PH_APPLY_STORE_H

#include <stddef.h>
#include <stdint.h>

struct ph_store {
    struct ph_store_block *first; /* kept ones, in the order of use */
    struct ph_store_block *at;
    uint8_t *next; /* where the next value goes, in `at` */
    size_t left;
    size_t used_bytes;
};

void ph_store_init(struct ph_store *store);
void ph_store_free(struct ph_store *store);
/* Everything that was put is gone; blocks of ordinary size stay. */
void ph_store_clear(struct ph_store *store);
/*
 * Room for `size` bytes, or NULL without memory. It is taken only by ph_store_keep with the bytes
 * that were really needed; until then the next call gives the same room again.
 */
uint8_t *ph_store_room(struct ph_store *store, size_t size);
void ph_store_keep(struct ph_store *store, size_t size);

#endif
