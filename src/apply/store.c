#include "apply/store.h"

#include <assert.h>
#include <stdlib.h>

#define BLOCK_BYTES ((size_t)256 << 10)

struct ph_store_block {
    struct ph_store_block *next;
    size_t size; /* of bytes */
    uint8_t bytes[];
};

void
ph_store_init(struct ph_store *store)
{
    *store = (struct ph_store){.first = NULL};
}

static void
free_from(struct ph_store_block *block)
{
    while (block != NULL) {
        struct ph_store_block *next = block->next;
        free(block);
        block = next;
    }
}

void
ph_store_free(struct ph_store *store)
{
    free_from(store->first);
    ph_store_init(store);
}

static void
use(struct ph_store *store, struct ph_store_block *block)
{
    store->at = block;
    store->next = block == NULL ? NULL : block->bytes;
    store->left = block == NULL ? 0 : block->size;
}

void
ph_store_clear(struct ph_store *store)
{
    struct ph_store_block **link = &store->first;

    while (*link != NULL) {
        struct ph_store_block *block = *link;
        if (block->size <= BLOCK_BYTES) {
            link = &block->next;
            continue;
        }
        *link = block->next;
        free(block);
    }
    use(store, store->first);
    store->used_bytes = 0;
}

/* The next block that is kept, or a new one in its place when that is too small. */
static struct ph_store_block *
next_block(struct ph_store *store, size_t size)
{
    struct ph_store_block **link = store->at == NULL ? &store->first : &store->at->next;
    struct ph_store_block *block = *link;

    if (block != NULL && block->size >= size)
        return block;
    size_t bytes = size > BLOCK_BYTES ? size : BLOCK_BYTES;
    block = malloc(sizeof *block + bytes);
    if (block == NULL)
        return NULL;
    *block = (struct ph_store_block){.next = *link, .size = bytes};
    *link = block;
    return block;
}

uint8_t *
ph_store_room(struct ph_store *store, size_t size)
{
    if (size <= store->left)
        return store->next;
    if (size > SIZE_MAX / 2)
        return NULL;
    struct ph_store_block *block = next_block(store, size);
    if (block == NULL)
        return NULL;
    use(store, block);
    return store->next;
}

void
ph_store_keep(struct ph_store *store, size_t size)
{
    assert(size <= store->left);
    store->next += size;
    store->left -= size;
    store->used_bytes += size;
}
