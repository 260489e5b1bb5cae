/*
 * The map is open addressing over (tag, entry) pairs, so that most probes touch one cache line. A
 * table's key is the front of its tuple, so that looking up compares bytes that are there anyway.
 * A tuple that is newer takes the older one's place when it fits: a row that is updated a thousand
 * times takes the memory of one.
 */
#include "apply/fold.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "apply/fold_parts.h"

#define MIN_SLOTS 64u
#define MAX_ENTRIES (1u << 30)
#define NO_ENTRY UINT32_MAX
#define SCRATCH_LIMIT ((size_t)8 << 30)

/* A change on its way in. */
struct adding {
    struct ph_fold *fold;
    struct ph_fold_table *state;
    const struct ph_apply_table *table;
    const struct ph_change *change;
    struct ph_error *err;
    struct ph_tuple tuple; /* new image, at the store's end, not kept yet */
    struct ph_tuple old;   /* old key (by row: old image), aside; data NULL: none */
    struct ph_span key;    /* canonical, of the tuple */
    struct ph_span old_key;
};

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory for a group of changes");
}

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

/* Only what is in the map is wiped: small groups come after large ones. */
static void
empty_map(struct ph_fold_table *state)
{
    for (uint32_t i = state->part_first; i < state->n_entries; i++)
        if (!state->entries[i].is_single)
            state->slots[state->entries[i].slot].entry = 0;
    state->part_first = state->n_entries;
}

void
ph_fold_clear(struct ph_fold *fold)
{
    for (uint32_t i = 0; i < fold->n_touched; i++) {
        struct ph_fold_table *state = &fold->tables[fold->touched[i]];
        empty_map(state);
        state->table = NULL;
        state->n_entries = state->part_first = state->n_singles = 0;
    }
    fold->n_touched = 0;
    fold->n_order = 0;
    fold->n_changes = 0;
    fold->own_bytes = 0;
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
        return no_memory(err);
    memset(tables + fold->n_tables, 0, (n - fold->n_tables) * sizeof *tables);
    fold->tables = tables;
    uint32_t *touched = realloc(fold->touched, n * sizeof *touched);
    if (touched == NULL)
        return no_memory(err);
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
grow_map(struct adding *a)
{
    struct ph_fold_table *state = a->state;
    uint32_t n = state->n_slots == 0 ? MIN_SLOTS : state->n_slots * 2;
    struct ph_fold_slot *slots = calloc(n, sizeof *slots);

    if (slots == NULL)
        return no_memory(a->err);
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
        return NO_ENTRY;
    for (uint32_t at = (uint32_t)hash & mask; state->slots[at].entry != 0; at = (at + 1) & mask) {
        if (state->slots[at].tag != tag_of(hash))
            continue;
        uint32_t found = state->slots[at].entry - 1;
        struct ph_span theirs = key_of_entry(&state->entries[found]);
        if (theirs.len == key.len && memcmp(theirs.data, key.data, key.len) == 0)
            return found;
    }
    return NO_ENTRY;
}

static uint64_t
hash_of(struct ph_span key)
{
    return XXH3_64bits(key.data, key.len);
}

static uint32_t
find_key(const struct adding *a, struct ph_span key)
{
    return find(a->state, key, hash_of(key));
}

static ph_code
push_entry(struct adding *a, const struct ph_fold_entry *entry)
{
    struct ph_fold_table *state = a->state;

    if (state->n_entries == state->entry_room) {
        uint32_t room = state->entry_room == 0 ? MIN_SLOTS : state->entry_room * 2;
        if (room > MAX_ENTRIES)
            return no_memory(a->err);
        struct ph_fold_entry *entries = realloc(state->entries, room * sizeof *entries);
        if (entries == NULL)
            return no_memory(a->err);
        state->entries = entries;
        state->entry_room = room;
    }
    state->entries[state->n_entries++] = *entry;
    a->fold->own_bytes += sizeof *entry + 2 * sizeof(struct ph_fold_slot);
    return PH_OK;
}

/* Bytes from aside or scratch to where entries have theirs. */
static ph_code
copy_in(struct adding *a, const void *bytes, size_t len, uint8_t **out)
{
    uint8_t *at = ph_store_room(&a->fold->store, len);

    if (at == NULL)
        return no_memory(a->err);
    memcpy(at, bytes, len);
    ph_store_keep(&a->fold->store, len);
    *out = at;
    return PH_OK;
}

/* Keep the new image where it was made. */
static void
keep_tuple(struct adding *a)
{
    ph_store_keep(&a->fold->store, a->tuple.len);
}

/*
 * A new entry in the map for a tuple that is kept. Its key is the front of the tuple where that is
 * canonical, a copy otherwise.
 */
static ph_code
map_entry(struct adding *a, struct ph_tuple tuple, struct ph_span key, struct ph_fold_entry *entry)
{
    struct ph_fold_table *state = a->state;

    if (key.len > UINT32_MAX)
        return no_memory(a->err);
    entry->hash = hash_of(key);
    entry->tuple = tuple.data;
    entry->len = entry->room = tuple.len;
    entry->is_partial = tuple.is_partial;
    entry->key_len = (uint32_t)key.len;
    entry->key = tuple.data;
    if (!a->table->key_is_bytes && a->table->n_keys > 0) {
        uint8_t *copy;
        PH_TRY(copy_in(a, key.data, key.len, &copy));
        entry->key = copy;
    }
    if (state->n_slots < 2 * (state->n_entries - state->part_first + 1))
        PH_TRY(grow_map(a));
    PH_TRY(push_entry(a, entry));
    put_slot(state, state->n_entries - 1);
    return PH_OK;
}

/* ---- images ------------------------------------------------------------------------------- */

static ph_code
broken(const struct adding *a, const char *what)
{
    ph_error_set(a->err, PH_E_PROTOCOL, "%s", what);
    ph_error_object(a->err, "%s", a->table->label);
    return PH_E_PROTOCOL;
}

static bool
has_whole_key(const struct adding *a, const uint8_t *tuple)
{
    for (uint32_t i = 0; i < a->table->n_keys; i++) {
        if (ph_load_u32(tuple) == PH_TUPLE_UNCHANGED)
            return false;
        tuple += ph_tuple_field_size(tuple);
    }
    return true;
}

static ph_code
canonical_key(struct adding *a, const uint8_t *tuple, struct ph_span *out)
{
    if (a->table->key_is_bytes) {
        *out = (struct ph_span){tuple, ph_tuple_size(tuple, a->table->n_keys)};
        return PH_OK;
    }
    PH_TRY(ph_tuple_key(a->table, tuple, &a->fold->aside, out, a->err));
    ph_store_keep(&a->fold->aside, out->len);
    return PH_OK;
}

static ph_code
make_new(struct adding *a)
{
    const struct ph_change *change = a->change;
    const struct ph_tuple_source from = {
        .fields = change->new_fields,
        .fill = change->old_image == PH_OLD_NONE ? NULL : change->old_fields,
        .fill_all = change->old_image == PH_OLD_ROW,
    };

    if (change->new_fields == NULL)
        return broken(a, "a change came without its new row");
    PH_TRY(ph_tuple_put(a->table, &from, a->table->n_columns, &a->fold->store, &a->tuple, a->err));
    if (a->tuple.is_partial && (change->kind == PH_CHANGE_INSERT || a->table->n_keys == 0))
        return broken(a, "a row came without all of its columns");
    if (a->tuple.is_partial && !has_whole_key(a, a->tuple.data))
        return broken(a, "a change came without its key");
    return PH_OK;
}

static ph_code
make_old(struct adding *a)
{
    const struct ph_apply_table *table = a->table;
    const struct ph_tuple_source from = {.fields = a->change->old_fields};
    uint32_t n = table->n_keys == 0 ? table->n_columns : table->n_keys;

    if (a->change->old_image == PH_OLD_NONE || a->change->old_fields == NULL)
        return broken(a, "a change came without its old key");
    PH_TRY(ph_tuple_put(table, &from, n, &a->fold->aside, &a->old, a->err));
    ph_store_keep(&a->fold->aside, a->old.len);
    if (a->old.is_partial)
        return broken(a, "a change came without all of its old key");
    return PH_OK;
}

/* ---- single changes ----------------------------------------------------------------------- */

static ph_code
note_order(struct adding *a)
{
    struct ph_fold *fold = a->fold;

    if (fold->n_order == fold->order_room) {
        size_t room = fold->order_room == 0 ? MIN_SLOTS : fold->order_room * 2;
        struct ph_fold_place *order = realloc(fold->order, room * sizeof *order);
        if (order == NULL)
            return no_memory(a->err);
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

static ph_code
push_single(struct adding *a, enum ph_change_kind kind)
{
    struct ph_fold_entry entry = {.is_single = true, .kind = kind, .copies = 1};
    uint8_t *copy;

    empty_map(a->state);
    if (kind != PH_CHANGE_DELETE) {
        keep_tuple(a);
        entry.tuple = a->tuple.data;
        entry.len = entry.room = a->tuple.len;
        entry.is_partial = a->tuple.is_partial;
    }
    if (kind != PH_CHANGE_INSERT && a->old.data != NULL) {
        PH_TRY(copy_in(a, a->old.data, a->old.len, &copy));
        entry.key = copy;
    }
    PH_TRY(push_entry(a, &entry));
    a->state->n_singles++;
    a->state->part_first = a->state->n_entries;
    return a->fold->mode == PH_FOLD_REPLAY ? note_order(a) : PH_OK;
}

/* An old key that is the new one's bytes is none. */
static void
drop_same_key(struct adding *a)
{
    size_t len = ph_tuple_size(a->tuple.data, a->table->n_keys);

    if (a->old.data != NULL && a->old.len == len && memcmp(a->old.data, a->tuple.data, len) == 0)
        a->old.data = NULL;
}

/* By row, an UPDATE is the old row's end and a new row. */
static ph_code
add_single(struct adding *a)
{
    enum ph_change_kind kind = a->change->kind;

    if (kind != PH_CHANGE_INSERT &&
        (kind == PH_CHANGE_DELETE || a->table->n_keys == 0 || a->change->old_image != PH_OLD_NONE))
        PH_TRY(make_old(a));
    if (kind == PH_CHANGE_DELETE)
        return push_single(a, kind);
    if (kind == PH_CHANGE_UPDATE && a->table->n_keys == 0) {
        PH_TRY(push_single(a, PH_CHANGE_DELETE));
        kind = PH_CHANGE_INSERT;
    }
    PH_TRY(make_new(a));
    if (kind == PH_CHANGE_UPDATE)
        drop_same_key(a);
    return push_single(a, kind);
}

/* ---- by row ------------------------------------------------------------------------------- */

static ph_code
count_row(struct adding *a, struct ph_span row, bool is_kept, int copies)
{
    uint32_t found = find_key(a, row);
    struct ph_tuple tuple = {.len = row.len};
    struct ph_fold_entry entry = {.copies = copies};

    if (found != NO_ENTRY) {
        a->state->entries[found].copies += copies;
        return PH_OK;
    }
    if (is_kept) {
        keep_tuple(a);
        tuple.data = a->tuple.data;
    } else {
        PH_TRY(copy_in(a, row.data, row.len, &tuple.data));
    }
    return map_entry(a, tuple, (struct ph_span){tuple.data, tuple.len}, &entry);
}

static ph_code
add_by_row(struct adding *a)
{
    if (a->change->kind != PH_CHANGE_INSERT) {
        PH_TRY(make_old(a));
        PH_TRY(count_row(a, (struct ph_span){a->old.data, a->old.len}, false, -1));
    }
    if (a->change->kind == PH_CHANGE_DELETE)
        return PH_OK;
    PH_TRY(make_new(a));
    return count_row(a, (struct ph_span){a->tuple.data, a->tuple.len}, true, 1);
}

/* ---- by key ------------------------------------------------------------------------------- */

/* The tuple at the store's end, or one in scratch, becomes the entry's. */
static ph_code
place(struct adding *a, struct ph_fold_entry *entry, const struct ph_tuple *tuple)
{
    entry->is_partial = tuple->is_partial;
    if (tuple->len <= entry->room) {
        memcpy(entry->tuple, tuple->data, tuple->len);
    } else if (tuple->data == a->tuple.data) {
        keep_tuple(a);
        entry->tuple = tuple->data;
        entry->room = tuple->len;
    } else {
        PH_TRY(copy_in(a, tuple->data, tuple->len, &entry->tuple));
        entry->room = tuple->len;
    }
    entry->len = tuple->len;
    if (a->table->key_is_bytes)
        entry->key = entry->tuple;
    return PH_OK;
}

/* The new image with what did not come taken from the row as the group has it, if it has. */
static ph_code
complete(struct adding *a, uint32_t found, struct ph_tuple *out)
{
    *out = a->tuple;
    if (!a->tuple.is_partial || found == NO_ENTRY || !a->state->entries[found].is_present)
        return PH_OK;
    const struct ph_fold_entry *entry = &a->state->entries[found];
    const struct ph_tuple earlier = {entry->tuple, entry->len, entry->is_partial};
    ph_buf_clear(&a->fold->scratch);
    if (!ph_buf_reserve(&a->fold->scratch, a->tuple.len + earlier.len))
        return no_memory(a->err);
    ph_tuple_merge(a->table, &a->tuple, &earlier, a->fold->scratch.data, out);
    return PH_OK;
}

static bool
has_same_spelling(const struct adding *a, const struct ph_fold_entry *entry,
                  const struct ph_tuple *tuple)
{
    size_t len = ph_tuple_size(tuple->data, a->table->n_keys);

    return a->table->key_is_bytes || (ph_tuple_size(entry->tuple, a->table->n_keys) == len &&
                                      memcmp(entry->tuple, tuple->data, len) == 0);
}

/* The row is there (again), whole. */
static ph_code
set_present(struct adding *a, struct ph_fold_entry *entry, const struct ph_tuple *tuple)
{
    if (entry->has_existed && (a->table->keeps_identity || !has_same_spelling(a, entry, tuple)))
        entry->is_replaced = true;
    entry->is_present = true;
    return place(a, entry, tuple);
}

static ph_code
add_insert(struct adding *a)
{
    struct ph_fold_entry entry = {.is_present = true};

    PH_TRY(make_new(a));
    PH_TRY(canonical_key(a, a->tuple.data, &a->key));
    uint32_t found = find_key(a, a->key);
    if (found == NO_ENTRY) {
        keep_tuple(a);
        return map_entry(a, a->tuple, a->key, &entry);
    }
    if (a->state->entries[found].is_present)
        return push_single(a, PH_CHANGE_INSERT);
    return set_present(a, &a->state->entries[found], &a->tuple);
}

/* A row that the group has not seen goes; only its key is kept. */
static ph_code
map_gone(struct adding *a)
{
    struct ph_fold_entry entry = {.has_existed = true};
    struct ph_tuple tuple = {.len = a->old.len};

    PH_TRY(copy_in(a, a->old.data, a->old.len, &tuple.data));
    return map_entry(a, tuple, a->old_key, &entry);
}

static ph_code
add_delete(struct adding *a)
{
    PH_TRY(make_old(a));
    PH_TRY(canonical_key(a, a->old.data, &a->old_key));
    uint32_t found = find_key(a, a->old_key);
    if (found == NO_ENTRY)
        return map_gone(a);
    if (!a->state->entries[found].is_present)
        return push_single(a, PH_CHANGE_DELETE);
    a->state->entries[found].is_present = false;
    return PH_OK;
}

/* The key is as it was. */
static ph_code
update_same(struct adding *a)
{
    struct ph_fold_entry entry = {.has_existed = true, .is_present = true};
    struct ph_tuple whole;

    a->old.data = NULL;
    uint32_t found = find_key(a, a->key);
    if (found == NO_ENTRY) {
        keep_tuple(a);
        return map_entry(a, a->tuple, a->key, &entry);
    }
    if (!a->state->entries[found].is_present)
        return push_single(a, PH_CHANGE_UPDATE);
    PH_TRY(complete(a, found, &whole));
    return place(a, &a->state->entries[found], &whole);
}

/* The same key in other bytes (1.0, now 1.00): the server would find the row, but must write it. */
static ph_code
update_spelling(struct adding *a)
{
    struct ph_fold_entry entry = {.has_existed = true, .is_present = true, .is_replaced = true};
    uint32_t found = find_key(a, a->key);
    struct ph_tuple whole;

    PH_TRY(complete(a, found, &whole));
    if (whole.is_partial || !a->table->may_split_moves ||
        (found != NO_ENTRY && !a->state->entries[found].is_present))
        return push_single(a, PH_CHANGE_UPDATE);
    if (found == NO_ENTRY) {
        keep_tuple(a);
        return map_entry(a, a->tuple, a->key, &entry);
    }
    return set_present(a, &a->state->entries[found], &whole);
}

/* From here on nothing can fail to fit: the old key's row goes, the new key's row comes. */
static ph_code
move_row(struct adding *a, uint32_t from, uint32_t to, struct ph_tuple *whole)
{
    struct ph_fold_entry entry = {.is_present = true};

    if (whole->data == a->tuple.data)
        keep_tuple(a);
    else
        PH_TRY(copy_in(a, whole->data, whole->len, &whole->data));
    if (a->table->key_is_bytes)
        a->key.data = whole->data;
    if (from == NO_ENTRY)
        PH_TRY(map_gone(a));
    else
        a->state->entries[from].is_present = false;
    if (to == NO_ENTRY)
        return map_entry(a, *whole, a->key, &entry);
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
update_moved(struct adding *a)
{
    uint32_t from = find_key(a, a->old_key);
    uint32_t to = find_key(a, a->key);
    struct ph_tuple whole;

    PH_TRY(complete(a, from, &whole));
    if (whole.is_partial || !a->table->may_split_moves ||
        (from != NO_ENTRY && !a->state->entries[from].is_present) ||
        (to != NO_ENTRY && a->state->entries[to].is_present))
        return push_single(a, PH_CHANGE_UPDATE);
    return move_row(a, from, to, &whole);
}

static ph_code
add_update(struct adding *a)
{
    PH_TRY(make_new(a));
    PH_TRY(canonical_key(a, a->tuple.data, &a->key));
    if (a->change->old_image == PH_OLD_NONE)
        return update_same(a);
    PH_TRY(make_old(a));
    PH_TRY(canonical_key(a, a->old.data, &a->old_key));
    if (a->old_key.len != a->key.len || memcmp(a->old_key.data, a->key.data, a->key.len) != 0)
        return update_moved(a);
    drop_same_key(a);
    return a->old.data == NULL ? update_same(a) : update_spelling(a);
}

static ph_code
add_by_key(struct adding *a)
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

ph_code
ph_fold_add(struct ph_fold *fold, const struct ph_apply_table *table,
            const struct ph_change *change, struct ph_error *err)
{
    struct adding a = {.fold = fold, .table = table, .change = change, .err = err};

    if (change->kind == PH_CHANGE_TRUNCATE)
        return PH_FAIL(err, PH_E_INTERNAL, "TRUNCATE within a group");
    if (change->n_fields != table->n_stream_fields)
        return broken(&a, "a change has another number of fields than its table");
    PH_TRY(find_state(fold, table, &a.state, err));
    ph_store_clear(&fold->aside);
    ph_code rc;
    if (fold->mode == PH_FOLD_REPLAY || table->way == PH_APPLY_IN_ORDER)
        rc = add_single(&a);
    else if (table->way == PH_APPLY_BY_ROW)
        rc = add_by_row(&a);
    else
        rc = add_by_key(&a);
    fold->n_changes += rc == PH_OK;
    return rc;
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
    return fold->store.used_bytes + fold->own_bytes;
}
