/*
 * The rules of folding. A tuple that is newer takes the older one's place when it fits: a row that
 * is updated a thousand times takes the memory of one.
 */
#include "apply/fold.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "apply/fold_adding.h"

#define SCRATCH_LIMIT ((size_t)8 << 30)
#define SCRATCH_KEPT ((size_t)1 << 20)

struct ph_fold *
ph_fold_new(enum ph_fold_mode mode, size_t limit_bytes)
{
    struct ph_fold *fold = calloc(1, sizeof *fold);

    if (fold == NULL)
        return NULL;
    fold->mode = mode;
    fold->limit_bytes = limit_bytes;
    ph_store_init(&fold->store);
    ph_store_init(&fold->aside);
    ph_buf_init(&fold->scratch, SCRATCH_LIMIT);
    return fold;
}

void
ph_fold_free(struct ph_fold *fold)
{
    if (fold == NULL)
        return;
    for (uint32_t i = 0; i < fold->n_tables; i++) {
        free(fold->tables[i].entries);
        free(fold->tables[i].slots);
    }
    ph_store_free(&fold->store);
    ph_store_free(&fold->aside);
    ph_buf_free(&fold->scratch);
    free(fold->tables);
    free(fold->touched);
    free(fold->order);
    free(fold);
}

/* Tables keep their room from group to group as long as all of them together do not have much. */
static void
clear_table(struct ph_fold *fold, struct ph_fold_table *state)
{
    if (fold->kept_bytes > fold->limit_bytes / 4) {
        fold->kept_bytes -= state->entry_room * sizeof *state->entries;
        fold->kept_bytes -= state->n_slots * sizeof *state->slots;
        free(state->entries);
        free(state->slots);
        *state = (struct ph_fold_table){.table = NULL};
        return;
    }
    ph_fold_empty_map(state);
    state->table = NULL;
    state->n_entries = state->part_first = state->n_singles = 0;
}

void
ph_fold_clear(struct ph_fold *fold)
{
    for (uint32_t i = 0; i < fold->n_touched; i++)
        clear_table(fold, &fold->tables[fold->touched[i]]);
    if (fold->scratch.cap > SCRATCH_KEPT)
        ph_buf_free(&fold->scratch);
    fold->n_touched = 0;
    fold->n_order = 0;
    fold->n_changes = 0;
    ph_store_clear(&fold->store);
    ph_store_clear(&fold->aside);
}

static ph_code
grow_tables(struct ph_fold *fold, uint32_t index, struct ph_error *err)
{
    uint32_t n = fold->n_tables == 0 ? 16 : fold->n_tables;

    while (n <= index)
        n *= 2;
    struct ph_fold_table *tables = realloc(fold->tables, n * sizeof *tables);
    if (tables == NULL)
        return ph_fold_no_memory(err);
    memset(tables + fold->n_tables, 0, (n - fold->n_tables) * sizeof *tables);
    fold->tables = tables;
    uint32_t *touched = realloc(fold->touched, n * sizeof *touched);
    if (touched == NULL)
        return ph_fold_no_memory(err);
    fold->touched = touched;
    fold->n_tables = n;
    return PH_OK;
}

static ph_code
find_state(struct ph_fold *fold, const struct ph_apply_table *table, struct ph_fold_table **out,
           struct ph_error *err)
{
    if (table->index >= fold->n_tables)
        PH_TRY(grow_tables(fold, table->index, err));
    struct ph_fold_table *state = &fold->tables[table->index];
    if (state->table == NULL) {
        state->table = table;
        fold->touched[fold->n_touched++] = table->index;
    }
    if (state->table != table)
        return PH_FAIL(err, PH_E_INTERNAL, "%s changed within a group", table->label);
    *out = state;
    return PH_OK;
}

/* ---- by row ------------------------------------------------------------------------------- */

static ph_code
count_row(struct ph_fold_adding *a, struct ph_span row, bool is_kept, int copies)
{
    uint32_t found = ph_fold_find(a, row);
    struct ph_tuple tuple = {.len = row.len};
    struct ph_fold_entry entry = {.copies = copies};

    if (found != PH_FOLD_NO_ENTRY) {
        a->state->entries[found].copies += copies;
        return PH_OK;
    }
    if (is_kept) {
        ph_fold_keep(a);
        tuple.data = a->tuple.data;
    } else {
        PH_TRY(ph_fold_copy(a, row.data, row.len, &tuple.data));
    }
    return ph_fold_map(a, tuple, (struct ph_span){tuple.data, tuple.len}, &entry);
}

static ph_code
add_by_row(struct ph_fold_adding *a)
{
    if (a->change->kind != PH_CHANGE_INSERT) {
        PH_TRY(ph_fold_make_old(a));
        PH_TRY(count_row(a, (struct ph_span){a->old.data, a->old.len}, false, -1));
    }
    if (a->change->kind == PH_CHANGE_DELETE)
        return PH_OK;
    PH_TRY(ph_fold_make_new(a));
    return count_row(a, (struct ph_span){a->tuple.data, a->tuple.len}, true, 1);
}

/* ---- by key ------------------------------------------------------------------------------- */

/* The tuple at the store's end, or one in scratch, becomes the entry's. */
static ph_code
place(struct ph_fold_adding *a, struct ph_fold_entry *entry, const struct ph_tuple *tuple)
{
    entry->is_partial = tuple->is_partial;
    if (tuple->len <= entry->room) {
        memcpy(entry->tuple, tuple->data, tuple->len);
    } else if (tuple->data == a->tuple.data) {
        ph_fold_keep(a);
        entry->tuple = tuple->data;
        entry->room = tuple->len;
    } else {
        PH_TRY(ph_fold_copy(a, tuple->data, tuple->len, &entry->tuple));
        entry->room = tuple->len;
    }
    entry->len = tuple->len;
    if (a->table->key_is_bytes)
        entry->key = entry->tuple;
    return PH_OK;
}

/* The new image with what did not come taken from the row as the group has it, if it has. */
static ph_code
complete(struct ph_fold_adding *a, uint32_t found, struct ph_tuple *out)
{
    *out = a->tuple;
    if (!a->tuple.is_partial || found == PH_FOLD_NO_ENTRY || !a->state->entries[found].is_present)
        return PH_OK;
    const struct ph_fold_entry *entry = &a->state->entries[found];
    const struct ph_tuple earlier = {entry->tuple, entry->len, entry->is_partial};
    ph_buf_clear(&a->fold->scratch);
    if (!ph_buf_reserve(&a->fold->scratch, a->tuple.len + earlier.len))
        return ph_fold_no_memory(a->err);
    ph_tuple_merge(a->table, &a->tuple, &earlier, a->fold->scratch.data, out);
    return PH_OK;
}

static bool
has_same_spelling(const struct ph_fold_adding *a, const struct ph_fold_entry *entry,
                  const struct ph_tuple *tuple)
{
    size_t len = ph_tuple_size(tuple->data, a->table->n_keys);

    return a->table->key_is_bytes || (ph_tuple_size(entry->tuple, a->table->n_keys) == len &&
                                      memcmp(entry->tuple, tuple->data, len) == 0);
}

/* The row is there (again), whole. */
static ph_code
set_present(struct ph_fold_adding *a, struct ph_fold_entry *entry, const struct ph_tuple *tuple)
{
    if (entry->has_existed && (a->table->keeps_identity || !has_same_spelling(a, entry, tuple)))
        entry->is_replaced = true;
    entry->is_present = true;
    return place(a, entry, tuple);
}

static ph_code
add_insert(struct ph_fold_adding *a)
{
    struct ph_fold_entry entry = {.is_present = true};

    PH_TRY(ph_fold_make_new(a));
    PH_TRY(ph_fold_key(a, a->tuple.data, &a->key));
    uint32_t found = ph_fold_find(a, a->key);
    if (found == PH_FOLD_NO_ENTRY) {
        ph_fold_keep(a);
        return ph_fold_map(a, a->tuple, a->key, &entry);
    }
    if (a->state->entries[found].is_present)
        return ph_fold_push_single(a, PH_CHANGE_INSERT);
    return set_present(a, &a->state->entries[found], &a->tuple);
}

/* A row that the group has not seen goes; only its key is kept. */
static ph_code
map_gone(struct ph_fold_adding *a)
{
    struct ph_fold_entry entry = {.has_existed = true};
    struct ph_tuple tuple = {.len = a->old.len};

    PH_TRY(ph_fold_copy(a, a->old.data, a->old.len, &tuple.data));
    return ph_fold_map(a, tuple, a->old_key, &entry);
}

static ph_code
add_delete(struct ph_fold_adding *a)
{
    PH_TRY(ph_fold_make_old(a));
    PH_TRY(ph_fold_key(a, a->old.data, &a->old_key));
    uint32_t found = ph_fold_find(a, a->old_key);
    if (found == PH_FOLD_NO_ENTRY)
        return map_gone(a);
    if (!a->state->entries[found].is_present)
        return ph_fold_push_single(a, PH_CHANGE_DELETE);
    a->state->entries[found].is_present = false;
    return PH_OK;
}

/* The key is as it was. */
static ph_code
update_same(struct ph_fold_adding *a)
{
    struct ph_fold_entry entry = {.has_existed = true, .is_present = true};
    struct ph_tuple whole;

    a->old.data = NULL;
    uint32_t found = ph_fold_find(a, a->key);
    if (found == PH_FOLD_NO_ENTRY) {
        ph_fold_keep(a);
        return ph_fold_map(a, a->tuple, a->key, &entry);
    }
    if (!a->state->entries[found].is_present)
        return ph_fold_push_single(a, PH_CHANGE_UPDATE);
    PH_TRY(complete(a, found, &whole));
    return place(a, &a->state->entries[found], &whole);
}

/* The same key in other bytes (1.0, now 1.00): the server would find the row, but must write it. */
static ph_code
update_spelling(struct ph_fold_adding *a)
{
    struct ph_fold_entry entry = {.has_existed = true, .is_present = true, .is_replaced = true};
    uint32_t found = ph_fold_find(a, a->key);
    struct ph_tuple whole;

    PH_TRY(complete(a, found, &whole));
    if (whole.is_partial || !a->table->may_split_moves ||
        (found != PH_FOLD_NO_ENTRY && !a->state->entries[found].is_present))
        return ph_fold_push_single(a, PH_CHANGE_UPDATE);
    if (found == PH_FOLD_NO_ENTRY) {
        ph_fold_keep(a);
        return ph_fold_map(a, a->tuple, a->key, &entry);
    }
    return set_present(a, &a->state->entries[found], &whole);
}

/* From here on nothing can fail to fit: the old key's row goes, the new key's row comes. */
static ph_code
move_row(struct ph_fold_adding *a, uint32_t from, uint32_t to, struct ph_tuple *whole)
{
    struct ph_fold_entry entry = {.is_present = true};

    if (whole->data == a->tuple.data)
        ph_fold_keep(a);
    else
        PH_TRY(ph_fold_copy(a, whole->data, whole->len, &whole->data));
    if (a->table->key_is_bytes)
        a->key.data = whole->data;
    if (from == PH_FOLD_NO_ENTRY)
        PH_TRY(map_gone(a));
    else
        a->state->entries[from].is_present = false;
    if (to == PH_FOLD_NO_ENTRY)
        return ph_fold_map(a, *whole, a->key, &entry);
    struct ph_fold_entry *there = &a->state->entries[to];
    there->is_replaced |=
        there->has_existed && (a->table->keeps_identity || !has_same_spelling(a, there, whole));
    there->is_present = true;
    there->tuple = whole->data;
    there->len = there->room = whole->len;
    there->is_partial = false;
    if (a->table->key_is_bytes)
        there->key = there->tuple;
    return PH_OK;
}

static ph_code
update_moved(struct ph_fold_adding *a)
{
    uint32_t from = ph_fold_find(a, a->old_key);
    uint32_t to = ph_fold_find(a, a->key);
    struct ph_tuple whole;

    PH_TRY(complete(a, from, &whole));
    if (whole.is_partial || !a->table->may_split_moves ||
        (from != PH_FOLD_NO_ENTRY && !a->state->entries[from].is_present) ||
        (to != PH_FOLD_NO_ENTRY && a->state->entries[to].is_present))
        return ph_fold_push_single(a, PH_CHANGE_UPDATE);
    return move_row(a, from, to, &whole);
}

static ph_code
add_update(struct ph_fold_adding *a)
{
    PH_TRY(ph_fold_make_new(a));
    PH_TRY(ph_fold_key(a, a->tuple.data, &a->key));
    if (a->change->old_image == PH_OLD_NONE)
        return update_same(a);
    PH_TRY(ph_fold_make_old(a));
    PH_TRY(ph_fold_key(a, a->old.data, &a->old_key));
    if (a->old_key.len != a->key.len || memcmp(a->old_key.data, a->key.data, a->key.len) != 0)
        return update_moved(a);
    ph_fold_drop_same_key(a);
    return a->old.data == NULL ? update_same(a) : update_spelling(a);
}

static ph_code
add_by_key(struct ph_fold_adding *a)
{
    switch (a->change->kind) {
    case PH_CHANGE_INSERT:
        return add_insert(a);
    case PH_CHANGE_UPDATE:
        return add_update(a);
    case PH_CHANGE_DELETE:
        return add_delete(a);
    case PH_CHANGE_TRUNCATE:
        break;
    }
    return PH_FAIL(a->err, PH_E_INTERNAL, "TRUNCATE within a group");
}

static ph_code
begin_change(struct ph_fold_adding *a)
{
    if (a->change->kind == PH_CHANGE_TRUNCATE)
        return PH_FAIL(a->err, PH_E_INTERNAL, "TRUNCATE within a group");
    if (a->change->n_fields != a->table->n_stream_fields)
        return ph_fold_broken(a, "a change has another number of fields than its table");
    ph_store_clear(&a->fold->aside);
    return find_state(a->fold, a->table, &a->state, a->err);
}

ph_code
ph_fold_add(struct ph_fold *fold, const struct ph_apply_table *table,
            const struct ph_change *change, struct ph_error *err)
{
    struct ph_fold_adding a = {.fold = fold, .table = table, .change = change, .err = err};
    ph_code rc;

    PH_TRY(begin_change(&a));
    if (fold->mode == PH_FOLD_REPLAY || table->way == PH_APPLY_IN_ORDER)
        rc = ph_fold_add_single(&a);
    else if (table->way == PH_APPLY_BY_ROW)
        rc = add_by_row(&a);
    else
        rc = add_by_key(&a);
    fold->n_changes += rc == PH_OK;
    return rc;
}

ph_code
ph_fold_add_as(struct ph_fold *fold, const struct ph_apply_table *table,
               const struct ph_change *change, uint64_t of, struct ph_error *err)
{
    size_t first = fold->n_order;

    assert(fold->mode == PH_FOLD_REPLAY && of < fold->n_changes);
    PH_TRY(ph_fold_add(fold, table, change, err));
    for (size_t i = first; i < fold->n_order; i++)
        fold->order[i].change = of;
    return PH_OK;
}

ph_code
ph_fold_overwrite(struct ph_fold *fold, const struct ph_apply_table *table,
                  const struct ph_change *change, struct ph_error *err)
{
    struct ph_fold_adding a = {
        .fold = fold, .table = table, .change = change, .overwrites = true, .err = err};

    assert(fold->mode == PH_FOLD_REPLAY);
    PH_TRY(begin_change(&a));
    PH_TRY(ph_fold_add_overwriting(&a));
    fold->n_changes++;
    return PH_OK;
}

bool
ph_fold_takes(const struct ph_fold *fold, const struct ph_apply_table *table)
{
    return table->index >= fold->n_tables || fold->tables[table->index].table == NULL ||
           fold->tables[table->index].table == table;
}

bool
ph_fold_is_full(const struct ph_fold *fold)
{
    return ph_fold_bytes(fold) >= fold->limit_bytes;
}

bool
ph_fold_is_empty(const struct ph_fold *fold)
{
    return fold->n_changes == 0;
}

uint64_t
ph_fold_changes(const struct ph_fold *fold)
{
    return fold->n_changes;
}

size_t
ph_fold_bytes(const struct ph_fold *fold)
{
    return fold->store.used_bytes + fold->kept_bytes + fold->n_order * sizeof *fold->order;
}
