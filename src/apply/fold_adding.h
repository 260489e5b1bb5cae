/*
 * A change on its way into a group, and what the parts of folding have in common: the map of a
 * table, images, single changes. All of it belongs to the group's owner.
 */
#ifndef PH_APPLY_FOLD_ADDING_H
#define PH_APPLY_FOLD_ADDING_H

#include "apply/fold_parts.h"

#define PH_FOLD_NO_ENTRY UINT32_MAX

struct ph_fold_adding {
    struct ph_fold *fold;
    struct ph_fold_table *state;
    const struct ph_apply_table *table;
    const struct ph_change *change;
    bool overwrites; /* by ph_fold_overwrite: rows may not be there */
    struct ph_error *err;
    struct ph_tuple tuple; /* new image, at the store's end, not kept yet */
    struct ph_tuple old;   /* old key (by row: old image), aside; data NULL: none */
    struct ph_span key;    /* canonical, of the tuple */
    struct ph_span old_key;
};

ph_code ph_fold_no_memory(struct ph_error *err);
/* The change does not fit its table: PH_E_PROTOCOL. */
ph_code ph_fold_broken(const struct ph_fold_adding *a, const char *what);

/* The map (fold_map.c). Entries move when one is added: refer to them by number. */
void ph_fold_empty_map(struct ph_fold_table *state);
uint32_t ph_fold_find(const struct ph_fold_adding *a, struct ph_span key);
ph_code ph_fold_push(struct ph_fold_adding *a, const struct ph_fold_entry *entry);
/*
 * A new entry in the map for a tuple that is kept. Its key is the front of the tuple where that is
 * canonical, a copy otherwise.
 */
ph_code ph_fold_map(struct ph_fold_adding *a, struct ph_tuple tuple, struct ph_span key,
                    struct ph_fold_entry *entry);
/* Bytes from aside or scratch to where entries have theirs. */
ph_code ph_fold_copy(struct ph_fold_adding *a, const void *bytes, size_t len, uint8_t **out);
/* Keep the new image where it was made. */
void ph_fold_keep(struct ph_fold_adding *a);

/* Images and single changes (fold_single.c). */
ph_code ph_fold_make_new(struct ph_fold_adding *a);
ph_code ph_fold_make_old(struct ph_fold_adding *a);
ph_code ph_fold_key(struct ph_fold_adding *a, const uint8_t *tuple, struct ph_span *out);
/* An old key that is the new one's bytes is none. */
void ph_fold_drop_same_key(struct ph_fold_adding *a);
/* The change by itself; its images are made. */
ph_code ph_fold_push_single(struct ph_fold_adding *a, enum ph_change_kind kind);
/* The same from the change as it came. By row, an UPDATE is the old row's end and a new row. */
ph_code ph_fold_add_single(struct ph_fold_adding *a);
/* See ph_fold_overwrite. */
ph_code ph_fold_add_overwriting(struct ph_fold_adding *a);

#endif
