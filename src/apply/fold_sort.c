/*
 * The target finds rows faster when their keys come in order: neighbours lie on the same pages of
 * the index, and often of the table. What a group says does not depend on the order of its keys,
 * unless the table has a second unique index, through which rows stand in each other's way.
 */
#include "apply/fold_parts.h"

#include <stdlib.h>

#define FEWEST 64u
#define PREFIX_BYTES 8u

struct place {
    uint64_t prefix;
    uint32_t entry;
};

/*
 * The first eight bytes of the key's first column, or the value as a number when it is shorter: in
 * order for integers (but for their sign), dates and uuids, and near enough for the rest.
 */
static uint64_t
prefix_of(const struct ph_fold_entry *entry)
{
    uint32_t len = ph_load_u32(entry->key);
    uint64_t prefix = 0;

    if (len >= PH_TUPLE_UNCHANGED)
        return 0;
    for (uint32_t i = 0; i < len && i < PREFIX_BYTES; i++)
        prefix = prefix << 8 | entry->key[4 + i];
    return prefix;
}

static int
compare_places(const void *a, const void *b)
{
    const struct place *x = a;
    const struct place *y = b;

    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    return x->entry < y->entry ? -1 : x->entry > y->entry;
}

/* places[i].entry says which one belongs to place i; follows each circle once. */
static void
permute(struct ph_fold_entry *entries, struct place *places, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct ph_fold_entry first = entries[i];
        uint32_t at = i;
        while (places[at].entry != i) {
            uint32_t from = places[at].entry;
            entries[at] = entries[from];
            places[at].entry = at;
            at = from;
        }
        entries[at] = first;
        places[at].entry = at;
    }
}

void
ph_fold_sort(struct ph_fold_table *state)
{
    bool is_sorted = true;

    if (state->n_entries < FEWEST || state->n_singles > 0 || !state->table->may_reorder)
        return;
    struct place *places = malloc(state->n_entries * sizeof *places);
    if (places == NULL)
        return; /* it goes without */
    for (uint32_t i = 0; i < state->n_entries; i++) {
        places[i] = (struct place){prefix_of(&state->entries[i]), i};
        is_sorted &= i == 0 || places[i - 1].prefix <= places[i].prefix;
    }
    if (!is_sorted) {
        qsort(places, state->n_entries, sizeof *places, compare_places);
        permute(state->entries, places, state->n_entries);
    }
    free(places);
}
