/* Which known word a mistyped one is nearest to. Pure, any thread. */
#ifndef PH_BASE_NEAREST_H
#define PH_BASE_NEAREST_H

#include <stddef.h>

/* Edits (insert, delete, replace, swap of neighbours) from a to b; words over 63 bytes: a large
 * number. */
size_t ph_edit_distance(const char *a, const char *b);

struct ph_nearest {
    const char *word; /* what was typed; not owned */
    const char *best; /* NULL: nothing near enough; not owned */
    size_t distance;
};

/* Start with {.word = typed}, offer each candidate, read `best`. */
void ph_nearest_offer(struct ph_nearest *nearest, const char *candidate);

#endif
