/*
 * A list of blocks, each twice as large as the one before up to a limit; large requests get their
 * own.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN ((size_t)16)
#define FIRST_BLOCK ((size_t)4096)
#define LARGEST_BLOCK ((size_t)1 << 20)

struct ph_arena_block {
    struct ph_arena_block *next;
    size_t size;
    size_t used;
    size_t pad; /* keeps data aligned to 16 */
    uint8_t data[];
};

void
ph_arena_init(struct ph_arena *arena, size_t limit_bytes)
{
    *arena = (struct ph_arena){.limit_bytes = limit_bytes, .block_bytes = LARGEST_BLOCK};
}

void
ph_arena_reset(struct ph_arena *arena)
{
    struct ph_arena_block *block = arena->head;

    while (block != NULL) {
        struct ph_arena_block *next = block->next;
        free(block);
        block = next;
    }
    *arena =
        (struct ph_arena){.limit_bytes = arena->limit_bytes, .block_bytes = arena->block_bytes};
}

static struct ph_arena_block *
add_block(struct ph_arena *arena, size_t need)
{
    size_t size = arena->head == NULL ? FIRST_BLOCK : arena->head->size * 2;

    if (size > arena->block_bytes)
        size = arena->block_bytes;
    if (size < need)
        size = need;
    if (size > arena->limit_bytes - arena->total_bytes)
        size = need;
    if (size > arena->limit_bytes - arena->total_bytes)
        return NULL;
    struct ph_arena_block *block = malloc(sizeof *block + size);
    if (block == NULL)
        return NULL;
    *block = (struct ph_arena_block){.next = arena->head, .size = size};
    arena->head = block;
    arena->total_bytes += size;
    return block;
}

void *
ph_arena_alloc(struct ph_arena *arena, size_t size)
{
    struct ph_arena_block *block = arena->head;

    if (size > SIZE_MAX - ALIGN)
        return NULL;
    size = (size + ALIGN - 1) & ~(ALIGN - 1);
    if (block == NULL || block->size - block->used < size) {
        block = add_block(arena, size);
        if (block == NULL)
            return NULL;
    }
    void *out = block->data + block->used;
    block->used += size;
    arena->used_bytes += size;
    return memset(out, 0, size);
}

void *
ph_arena_alloc_array(struct ph_arena *arena, size_t n, size_t size)
{
    if (size != 0 && n > SIZE_MAX / size)
        return NULL;
    return ph_arena_alloc(arena, n * size);
}

char *
ph_arena_strndup(struct ph_arena *arena, const char *text, size_t len)
{
    if (text == NULL || len == SIZE_MAX)
        return NULL;
    char *out = ph_arena_alloc(arena, len + 1);
    if (out != NULL)
        memcpy(out, text, len);
    return out;
}

char *
ph_arena_strdup(struct ph_arena *arena, const char *text)
{
    return text == NULL ? NULL : ph_arena_strndup(arena, text, strlen(text));
}

char *
ph_arena_printf(struct ph_arena *arena, const char *format, ...)
{
    va_list args;
    va_list again;

    va_start(args, format);
    va_copy(again, args);
    int needed = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *out = needed < 0 ? NULL : ph_arena_alloc(arena, (size_t)needed + 1);
    if (out != NULL)
        vsnprintf(out, (size_t)needed + 1, format, again);
    va_end(again);
    return out;
}
