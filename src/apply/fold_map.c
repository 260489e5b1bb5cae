/*
 * The map is open addressing over (tag, entry) pairs, so that most probes touch one cache line. A
 * table's key is the front of its tuple, so that looking up compares bytes that are there anyway.
 */
#include "apply/fold_adding.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MIN_SLOTS 16u
#define MIN_ENTRIES 8u
#define MAX_ENTRIES (1u << 30)

ph_code
ph_fold_no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory for a group of changes");
}

/* Only what is in the map is wiped: small groups come after large ones. */
void
ph_fold_empty_map(struct ph_fold_table *state)
{
    for (uint32_t i = state->part_first; i < state->n_entries; i++)
        if (!state->entries[i].is_single)
            state->slots[state->entries[i].slot].entry = 0;
    state->part_first = state->n_entries;
}

static uint32_t
tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

static void
put_slot(struct ph_fold_table *state, uint32_t entry)
{
    uint32_t mask = state->n_slots - 1;
    uint32_t at = (uint32_t)state->entries[entry].hash & mask;

    while (state->slots[at].entry != 0)
        at = (at + 1) & mask;
    state->slots[at] = (struct ph_fold_slot){tag_of(state->entries[entry].hash), entry + 1};
    state->entries[entry].slot = at;
}

/* At most half full. */
static ph_code
grow_map(struct ph_fold_adding *a)
{
    struct ph_fold_table *state = a->state;
    uint32_t n = state->n_slots == 0 ? MIN_SLOTS : state->n_slots * 2;
    struct ph_fold_slot *slots = calloc(n, sizeof *slots);

    if (slots == NULL)
        return ph_fold_no_memory(a->err);
    a->fold->kept_bytes += (n - state->n_slots) * sizeof *slots;
    free(state->slots);
    state->slots = slots;
    state->n_slots = n;
    for (uint32_t i = state->part_first; i < state->n_entries; i++)
        put_slot(state, i);
    return PH_OK;
}

static struct ph_span
key_of_entry(const struct ph_fold_entry *entry)
{
    return (struct ph_span){entry->key, entry->key_len};
}

static uint32_t
find(const struct ph_fold_table *state, struct ph_span key, uint64_t hash)
{
    uint32_t mask = state->n_slots - 1;

    if (state->n_slots == 0)
        return PH_FOLD_NO_ENTRY;
    for (uint32_t at = (uint32_t)hash & mask; state->slots[at].entry != 0; at = (at + 1) & mask) {
        if (state->slots[at].tag != tag_of(hash))
            continue;
        uint32_t found = state->slots[at].entry - 1;
        struct ph_span theirs = key_of_entry(&state->entries[found]);
        if (theirs.len == key.len && memcmp(theirs.data, key.data, key.len) == 0)
            return found;
    }
    return PH_FOLD_NO_ENTRY;
}

static uint64_t
hash_of(struct ph_span key)
{
    return XXH3_64bits(key.data, key.len);
}

uint32_t
ph_fold_find(const struct ph_fold_adding *a, struct ph_span key)
{
    return find(a->state, key, hash_of(key));
}

ph_code
ph_fold_push(struct ph_fold_adding *a, const struct ph_fold_entry *entry)
{
    struct ph_fold_table *state = a->state;

    if (state->n_entries == state->entry_room) {
        uint32_t room = state->entry_room == 0 ? MIN_ENTRIES : state->entry_room * 2;
        if (room > MAX_ENTRIES)
            return ph_fold_no_memory(a->err);
        struct ph_fold_entry *entries = realloc(state->entries, room * sizeof *entries);
        if (entries == NULL)
            return ph_fold_no_memory(a->err);
        a->fold->kept_bytes += (room - state->entry_room) * sizeof *entries;
        state->entries = entries;
        state->entry_room = room;
    }
    state->entries[state->n_entries++] = *entry;
    return PH_OK;
}

ph_code
ph_fold_copy(struct ph_fold_adding *a, const void *bytes, size_t len, uint8_t **out)
{
    uint8_t *at = ph_store_room(&a->fold->store, len);

    if (at == NULL)
        return ph_fold_no_memory(a->err);
    memcpy(at, bytes, len);
    ph_store_keep(&a->fold->store, len);
    *out = at;
    return PH_OK;
}

void
ph_fold_keep(struct ph_fold_adding *a)
{
    ph_store_keep(&a->fold->store, a->tuple.len);
}

ph_code
ph_fold_map(struct ph_fold_adding *a, struct ph_tuple tuple, struct ph_span key,
            struct ph_fold_entry *entry)
{
    struct ph_fold_table *state = a->state;

    if (key.len > UINT32_MAX)
        return ph_fold_no_memory(a->err);
    entry->hash = hash_of(key);
    entry->tuple = tuple.data;
    entry->len = entry->room = tuple.len;
    entry->is_partial = tuple.is_partial;
    entry->key_len = (uint32_t)key.len;
    entry->key = tuple.data;
    if (!a->table->key_is_bytes && a->table->n_keys > 0) {
        uint8_t *copy;
        PH_TRY(ph_fold_copy(a, key.data, key.len, &copy));
        entry->key = copy;
    }
    if (state->n_slots < 2 * (state->n_entries - state->part_first + 1))
        PH_TRY(grow_map(a));
    PH_TRY(ph_fold_push(a, entry));
    put_slot(state, state->n_entries - 1);
    return PH_OK;
}
