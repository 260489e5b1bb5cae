#include "model/xid_set.h"

#include <stdlib.h>

#define FIRST_CAPACITY 64u

static uint32_t
place_of(const struct ph_xid_set *set, uint32_t xid)
{
    uint32_t at = (xid * 2654435761u) & (set->capacity - 1);

    while (set->slots[at] != 0 && set->slots[at] != xid)
        at = (at + 1) & (set->capacity - 1);
    return at;
}

bool
ph_xid_set_has(const struct ph_xid_set *set, uint32_t xid)
{
    return set->n > 0 && set->slots[place_of(set, xid)] == xid;
}

static bool
grow(struct ph_xid_set *set)
{
    struct ph_xid_set larger = {.capacity =
                                    set->capacity == 0 ? FIRST_CAPACITY : set->capacity * 2};

    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (larger.slots == NULL)
        return false;
    for (uint32_t i = 0; i < set->capacity; i++) {
        if (set->slots[i] != 0)
            larger.slots[place_of(&larger, set->slots[i])] = set->slots[i];
    }
    larger.n = set->n;
    free(set->slots);
    *set = larger;
    return true;
}

bool
ph_xid_set_add(struct ph_xid_set *set, uint32_t xid)
{
    if (set->n * 2 >= set->capacity && !grow(set))
        return false;
    uint32_t at = place_of(set, xid);
    set->n += set->slots[at] == 0;
    set->slots[at] = xid;
    return true;
}

void
ph_xid_set_clear(struct ph_xid_set *set)
{
    free(set->slots);
    *set = (struct ph_xid_set){0};
}
