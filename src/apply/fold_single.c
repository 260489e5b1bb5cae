/* Images of a change, and changes that stand by themselves. */
#include <stdlib.h>
#include <string.h>

#include "apply/fold_adding.h"

#define MIN_ROOM 64u

ph_code
ph_fold_broken(const struct ph_fold_adding *a, const char *what)
{
    ph_error_set(a->err, PH_E_PROTOCOL, "%s", what);
    ph_error_object(a->err, "%s", a->table->label);
    return PH_E_PROTOCOL;
}

static bool
has_whole_key(const struct ph_fold_adding *a, const uint8_t *tuple)
{
    for (uint32_t i = 0; i < a->table->n_keys; i++) {
        if (ph_load_u32(tuple) == PH_TUPLE_UNCHANGED)
            return false;
        tuple += ph_tuple_field_size(tuple);
    }
    return true;
}

ph_code
ph_fold_key(struct ph_fold_adding *a, const uint8_t *tuple, struct ph_span *out)
{
    if (a->table->key_is_bytes) {
        *out = (struct ph_span){tuple, ph_tuple_size(tuple, a->table->n_keys)};
        return PH_OK;
    }
    PH_TRY(ph_tuple_key(a->table, tuple, &a->fold->aside, out, a->err));
    ph_store_keep(&a->fold->aside, out->len);
    return PH_OK;
}

ph_code
ph_fold_make_new(struct ph_fold_adding *a)
{
    const struct ph_change *change = a->change;
    const struct ph_tuple_source from = {
        .fields = change->new_fields,
        .fill = change->old_image == PH_OLD_NONE ? NULL : change->old_fields,
        .fill_all = change->old_image == PH_OLD_ROW,
    };

    if (change->new_fields == NULL)
        return ph_fold_broken(a, "a change came without its new row");
    PH_TRY(ph_tuple_put(a->table, &from, a->table->n_columns, &a->fold->store, &a->tuple, a->err));
    if (a->tuple.is_partial && (change->kind == PH_CHANGE_INSERT || a->table->n_keys == 0))
        return ph_fold_broken(a, "a row came without all of its columns");
    if (a->tuple.is_partial && !has_whole_key(a, a->tuple.data))
        return ph_fold_broken(a, "a change came without its key");
    return PH_OK;
}

ph_code
ph_fold_make_old(struct ph_fold_adding *a)
{
    const struct ph_apply_table *table = a->table;
    const struct ph_tuple_source from = {.fields = a->change->old_fields};
    uint32_t n = table->n_keys == 0 ? table->n_columns : table->n_keys;

    if (a->change->old_image == PH_OLD_NONE || a->change->old_fields == NULL)
        return ph_fold_broken(a, "a change came without its old key");
    PH_TRY(ph_tuple_put(table, &from, n, &a->fold->aside, &a->old, a->err));
    ph_store_keep(&a->fold->aside, a->old.len);
    if (a->old.is_partial)
        return ph_fold_broken(a, "a change came without all of its old key");
    return PH_OK;
}

static ph_code
note_order(struct ph_fold_adding *a)
{
    struct ph_fold *fold = a->fold;

    if (fold->n_order == fold->order_room) {
        size_t room = fold->order_room == 0 ? MIN_ROOM : fold->order_room * 2;
        struct ph_fold_place *order = realloc(fold->order, room * sizeof *order);
        if (order == NULL)
            return ph_fold_no_memory(a->err);
        fold->order = order;
        fold->order_room = room;
    }
    fold->order[fold->n_order++] = (struct ph_fold_place){
        .table = a->table->index,
        .entry = a->state->n_entries - 1,
        .change = fold->n_changes,
    };
    return PH_OK;
}

ph_code
ph_fold_push_single(struct ph_fold_adding *a, enum ph_change_kind kind)
{
    struct ph_fold_entry entry = {.is_single = true, .kind = kind, .copies = 1};
    uint8_t *copy;

    ph_fold_empty_map(a->state);
    if (kind != PH_CHANGE_DELETE) {
        ph_fold_keep(a);
        entry.tuple = a->tuple.data;
        entry.len = entry.room = a->tuple.len;
        entry.is_partial = a->tuple.is_partial;
    }
    if (kind != PH_CHANGE_INSERT && a->old.data != NULL) {
        PH_TRY(ph_fold_copy(a, a->old.data, a->old.len, &copy));
        entry.key = copy;
    }
    PH_TRY(ph_fold_push(a, &entry));
    a->state->n_singles++;
    a->state->part_first = a->state->n_entries;
    return a->fold->mode == PH_FOLD_REPLAY ? note_order(a) : PH_OK;
}

void
ph_fold_drop_same_key(struct ph_fold_adding *a)
{
    size_t len = ph_tuple_size(a->tuple.data, a->table->n_keys);

    if (a->old.data != NULL && a->old.len == len && memcmp(a->old.data, a->tuple.data, len) == 0)
        a->old.data = NULL;
}

ph_code
ph_fold_add_single(struct ph_fold_adding *a)
{
    enum ph_change_kind kind = a->change->kind;

    if (kind != PH_CHANGE_INSERT &&
        (kind == PH_CHANGE_DELETE || a->table->n_keys == 0 || a->change->old_image != PH_OLD_NONE))
        PH_TRY(ph_fold_make_old(a));
    if (kind == PH_CHANGE_DELETE)
        return ph_fold_push_single(a, kind);
    if (kind == PH_CHANGE_UPDATE && a->table->n_keys == 0 &&
        (a->table->may_split_moves || a->overwrites)) {
        PH_TRY(ph_fold_push_single(a, PH_CHANGE_DELETE));
        kind = PH_CHANGE_INSERT;
    }
    PH_TRY(ph_fold_make_new(a));
    if (kind == PH_CHANGE_UPDATE && a->table->n_keys > 0)
        ph_fold_drop_same_key(a);
    return ph_fold_push_single(a, kind);
}

static ph_code
push_lenient(struct ph_fold_adding *a, enum ph_change_kind kind)
{
    PH_TRY(ph_fold_push_single(a, kind));
    a->state->entries[a->state->n_entries - 1].may_miss = true;
    return PH_OK;
}

/* The new image's key as the old one's. */
static ph_code
take_own_key(struct ph_fold_adding *a)
{
    size_t len = ph_tuple_size(a->tuple.data, a->table->n_keys);
    uint8_t *at = ph_store_room(&a->fold->aside, len);

    if (at == NULL)
        return ph_fold_no_memory(a->err);
    memcpy(at, a->tuple.data, len);
    ph_store_keep(&a->fold->aside, len);
    a->old = (struct ph_tuple){.data = at, .len = len};
    return PH_OK;
}

/* Whatever is under either key goes; making room for it spoils the image, which is made again. */
static ph_code
replace_row(struct ph_fold_adding *a)
{
    struct ph_tuple old = a->old;

    PH_TRY(take_own_key(a));
    PH_TRY(push_lenient(a, PH_CHANGE_DELETE));
    a->old = old;
    if (a->old.data != NULL)
        PH_TRY(push_lenient(a, PH_CHANGE_DELETE));
    PH_TRY(ph_fold_make_new(a));
    return ph_fold_push_single(a, PH_CHANGE_INSERT);
}

static ph_code
overwrite_by_key(struct ph_fold_adding *a)
{
    bool is_insert = a->change->kind == PH_CHANGE_INSERT;

    if (!is_insert && a->change->old_image != PH_OLD_NONE)
        PH_TRY(ph_fold_make_old(a));
    PH_TRY(ph_fold_make_new(a));
    ph_fold_drop_same_key(a);
    if (a->tuple.is_partial)
        return push_lenient(a, PH_CHANGE_UPDATE);
    if (a->table->may_split_moves || (a->table->may_reinsert && a->old.data != NULL))
        return replace_row(a);
    return ph_fold_push_single(a, is_insert || a->old.data != NULL ? PH_CHANGE_UPDATE
                                                                   : PH_CHANGE_INSERT);
}

ph_code
ph_fold_add_overwriting(struct ph_fold_adding *a)
{
    uint32_t first = a->state->n_entries;

    if (a->table->n_keys > 0 && a->change->kind != PH_CHANGE_DELETE)
        return overwrite_by_key(a);
    PH_TRY(ph_fold_add_single(a));
    for (uint32_t i = first; i < a->state->n_entries; i++)
        a->state->entries[i].may_miss = a->state->entries[i].kind == PH_CHANGE_DELETE;
    return PH_OK;
}
