/* What a group is made of: for folding and for the statements that are made of it. */
#ifndef PH_APPLY_FOLD_PARTS_H
#define PH_APPLY_FOLD_PARTS_H

#include "apply/fold.h"
#include "apply/store.h"
#include "apply/tuple.h"
#include "base/buf.h"

/*
 * The net effect of a key, or a single change (`is_single`). Kept small: groups have a hundred
 * thousand of them.
 */
struct ph_fold_entry {
    uint8_t *tuple; /* the row's image; only the key when it is gone; NULL: single DELETE by key */
    const uint8_t *key; /* canonical key (that of the tuple when key_is_bytes); of a single change
                           the old key's fields or NULL */
    size_t len;         /* of the tuple */
    size_t room;        /* what its place has */
    uint32_t key_len;
    uint32_t slot;
    uint64_t hash;
    int64_t copies;   /* by row: how many more (or fewer) of this image */
    uint32_t pattern; /* of a partial update, set when statements are made */
    bool has_existed; /* before the group */
    bool is_present;  /* after it */
    bool is_replaced; /* not to be expressed as an UPDATE: DELETE and INSERT */
    bool is_partial;
    bool is_single;
    bool may_miss;            /* a single one of ph_fold_overwrite */
    enum ph_change_kind kind; /* of a single change */
};

struct ph_fold_slot {
    uint32_t tag;
    uint32_t entry; /* + 1; 0: free */
};

struct ph_fold_table {
    const struct ph_apply_table *table; /* NULL: not touched in this group */
    struct ph_fold_entry *entries;
    uint32_t n_entries;
    uint32_t entry_room;
    uint32_t part_first; /* entries from here on are in the map */
    uint32_t n_singles;
    struct ph_fold_slot *slots;
    uint32_t n_slots; /* a power of two or 0 */
};

struct ph_fold_place { /* of a change in a replay */
    uint32_t table;
    uint32_t entry;
    uint64_t change;
};

struct ph_fold {
    enum ph_fold_mode mode;
    size_t limit_bytes;
    struct ph_store store; /* tuples and keys of entries */
    struct ph_store aside; /* of the change at hand only */
    struct ph_buf scratch;
    struct ph_fold_table *tables; /* by table->index */
    uint32_t n_tables;
    uint32_t *touched;
    uint32_t n_touched;
    struct ph_fold_place *order; /* PH_FOLD_REPLAY */
    size_t n_order;
    size_t order_room;
    size_t kept_bytes; /* room of entries and maps of all tables, in use or not */
    uint64_t n_changes;
};

/* What an entry has to become. */
static inline bool
ph_fold_inserts(const struct ph_fold_entry *entry)
{
    return entry->is_present && (!entry->has_existed || entry->is_replaced);
}

static inline bool
ph_fold_updates(const struct ph_fold_entry *entry)
{
    return entry->is_present && entry->has_existed && !entry->is_replaced;
}

static inline bool
ph_fold_deletes(const struct ph_fold_entry *entry)
{
    return entry->has_existed && (!entry->is_present || entry->is_replaced);
}

/*
 * ---- fold_sort.c ----
 * A whole table's entries by their keys, where order is nobody's concern. The map is of no use any
 * more, but for being emptied.
 */
void ph_fold_sort(struct ph_fold_table *state);

#endif
