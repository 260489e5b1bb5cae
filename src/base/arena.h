/*
 * Arena: many small allocations that live and die together (a catalog, a plan, a task).
 *
 * One owner thread at a time. Freeing is all at once. An allocation past `limit_bytes` or without
 * memory returns NULL; callers that cannot go on report PH_E_MEMORY.
 */
#ifndef PH_BASE_ARENA_H
#define PH_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct ph_arena {
    struct ph_arena_block *head;
    size_t used_bytes;  /* handed out */
    size_t limit_bytes; /* ceiling for the sum of all blocks */
    size_t total_bytes; /* taken from malloc */
    size_t block_bytes; /* of the largest blocks: what may be taken and never handed out */
};

void ph_arena_init(struct ph_arena *arena, size_t limit_bytes); /* blocks of up to 1 MB */
/* Frees everything; the arena may be used again. */
void ph_arena_reset(struct ph_arena *arena);
/* Zeroed, aligned to 16. NULL when the limit or memory is exhausted. */
void *ph_arena_alloc(struct ph_arena *arena, size_t size) __attribute__((malloc));
/* Terminated copies. NULL in, NULL out. */
char *ph_arena_strdup(struct ph_arena *arena, const char *text);
char *ph_arena_strndup(struct ph_arena *arena, const char *text, size_t len);
char *ph_arena_printf(struct ph_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define PH_ARENA_ARRAY(arena, type, n) ((type *)ph_arena_alloc_array((arena), (n), sizeof(type)))
void *ph_arena_alloc_array(struct ph_arena *arena, size_t n, size_t size);

#endif
