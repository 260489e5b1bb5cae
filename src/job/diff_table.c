#include "job/diff_table.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX
#define SMALLEST 64u

bool
ph_diff_table_init(struct ph_diff_table *table, size_t budget_bytes)
{
    size_t capacity = budget_bytes / (sizeof *table->entries + sizeof *table->heads);

    *table = (struct ph_diff_table){.n_heads = SMALLEST};
    capacity = capacity < SMALLEST ? SMALLEST : capacity > NONE / 2 ? NONE / 2 : capacity;
    table->capacity = (uint32_t)capacity;
    while (table->n_heads <= table->capacity / 2)
        table->n_heads *= 2;
    /* not touched before it is used, so a small comparison costs little */
    table->entries = malloc(table->capacity * sizeof *table->entries);
    table->heads = malloc(table->n_heads * sizeof *table->heads);
    if (table->entries == NULL || table->heads == NULL) {
        ph_diff_table_free(table);
        return false;
    }
    ph_diff_table_clear(table);
    return true;
}

void
ph_diff_table_free(struct ph_diff_table *table)
{
    free(table->entries);
    free(table->heads);
    *table = (struct ph_diff_table){0};
}

void
ph_diff_table_clear(struct ph_diff_table *table)
{
    table->n = 0;
    memset(table->heads, 0xff, table->n_heads * sizeof *table->heads);
}

/* The low bits choose the bucket and are alike within one, so the chain goes by higher ones. */
static uint32_t *
head_of(struct ph_diff_table *table, uint64_t key_hash)
{
    return &table->heads[(uint32_t)(key_hash >> 20) & (table->n_heads - 1)];
}

static bool
is_entry(const struct ph_diff_entry *entry, const struct ph_scanned_row *row)
{
    return entry->key_hash == row->key_hash && ph_hash128_equal(entry->hash, row->hash);
}

struct ph_diff_entry *
ph_diff_table_find(struct ph_diff_table *table, const struct ph_scanned_row *row)
{
    for (uint32_t i = *head_of(table, row->key_hash); i != NONE; i = table->entries[i].next) {
        if (is_entry(&table->entries[i], row))
            return &table->entries[i];
    }
    return NULL;
}

static struct ph_diff_entry *
find_or_make(struct ph_diff_table *table, const struct ph_scanned_row *row)
{
    uint32_t *head = head_of(table, row->key_hash);
    struct ph_diff_entry *entry = ph_diff_table_find(table, row);

    if (entry != NULL || table->n == table->capacity)
        return entry;
    entry = &table->entries[table->n];
    *entry = (struct ph_diff_entry){.key_hash = row->key_hash, .hash = row->hash, .next = *head};
    *head = table->n++;
    return entry;
}

bool
ph_diff_table_add(struct ph_diff_table *table, enum ph_side side, const struct ph_scanned_row *row)
{
    struct ph_diff_entry *entry = find_or_make(table, row);

    if (entry == NULL)
        return false;
    if (side == PH_TARGET) {
        entry->balance++;
        entry->target = row->place;
    } else {
        entry->balance--;
        entry->source = row->place;
    }
    return true;
}

/* The entry under the same key that has rows to spare on the other side. */
static struct ph_diff_entry *
find_partner(struct ph_diff_table *table, const struct ph_diff_entry *entry)
{
    for (uint32_t i = *head_of(table, entry->key_hash); i != NONE; i = table->entries[i].next) {
        struct ph_diff_entry *other = &table->entries[i];
        if (other->key_hash == entry->key_hash && other->balance != 0 &&
            (other->balance < 0) != (entry->balance < 0))
            return other;
    }
    return NULL;
}

static ph_code
emit_changed(struct ph_diff_entry *a, struct ph_diff_entry *b, ph_diff_emit *emit, void *arg,
             struct ph_error *err)
{
    struct ph_diff_entry *source = a->balance < 0 ? a : b;
    struct ph_diff_entry *target = a->balance < 0 ? b : a;
    struct ph_row_difference difference = {
        .kind = PH_DIFF_CHANGED,
        .count = 1,
        .key_hash = source->key_hash,
        .hash = source->hash,
        .source = source->source,
        .target = target->target,
    };

    source->balance++;
    target->balance--;
    target->target_used = true;
    return emit(arg, &difference, err);
}

static ph_code
emit_rest(struct ph_diff_entry *entry, ph_diff_emit *emit, void *arg, struct ph_error *err)
{
    bool is_extra = entry->balance > 0;
    struct ph_row_difference difference = {
        .kind = is_extra ? PH_DIFF_EXTRA : PH_DIFF_MISSING,
        .count = (uint64_t)(is_extra ? entry->balance : -entry->balance),
        .key_hash = entry->key_hash,
        .hash = entry->hash,
        .is_shared = is_extra && entry->target_used,
    };

    if (is_extra)
        difference.target = entry->target;
    else
        difference.source = entry->source;
    entry->balance = 0;
    return emit(arg, &difference, err);
}

ph_code
ph_diff_table_each(struct ph_diff_table *table, enum ph_diff_pairing pairing, ph_diff_emit *emit,
                   void *arg, struct ph_error *err)
{
    for (uint32_t i = 0; i < table->n; i++) {
        struct ph_diff_entry *entry = &table->entries[i];
        while (entry->balance != 0) {
            struct ph_diff_entry *partner =
                pairing == PH_DIFF_BY_KEY ? find_partner(table, entry) : NULL;
            PH_TRY(partner != NULL ? emit_changed(entry, partner, emit, arg, err)
                                   : emit_rest(entry, emit, arg, err));
        }
    }
    return PH_OK;
}
