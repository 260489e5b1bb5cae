#include "pg/prepared.h"

#include <stdlib.h>
#include <string.h>

void
ph_prepared_init(struct ph_prepared_set *set, uint32_t max)
{
    *set = (struct ph_prepared_set){.max = max};
}

void
ph_prepared_reset(struct ph_prepared_set *set)
{
    for (uint32_t i = 0; i < set->n; i++)
        free(set->items[i].key);
    free(set->items);
    free(set->stale);
    ph_prepared_init(set, set->max);
}

/* FNV-1a. It only spares comparisons: the whole key decides. */
static uint64_t
hash_of(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3U;
    return hash;
}

static uint64_t
hash_key(const char *sql, size_t sql_size, const ph_oid *types, size_t types_size)
{
    uint64_t hash = hash_of(0xcbf29ce484222325U, sql, sql_size);

    return types_size == 0 ? hash : hash_of(hash, types, types_size);
}

static bool
is_key(const struct ph_prepared *item, const char *sql, size_t sql_size, const ph_oid *types,
       size_t types_size)
{
    return item->key_len == sql_size + types_size && memcmp(item->key, sql, sql_size) == 0 &&
           (types_size == 0 || memcmp(item->key + sql_size, types, types_size) == 0);
}

struct ph_prepared *
ph_prepared_find(struct ph_prepared_set *set, const char *sql, const ph_oid *types,
                 uint32_t n_types)
{
    size_t sql_size = strlen(sql) + 1;
    size_t types_size = types == NULL ? 0 : n_types * sizeof *types;
    uint64_t hash = hash_key(sql, sql_size, types, types_size);

    for (uint32_t i = 0; i < set->n; i++) {
        struct ph_prepared *item = &set->items[i];
        if (item->hash == hash && is_key(item, sql, sql_size, types, types_size)) {
            item->used = ++set->clock;
            return item;
        }
    }
    return NULL;
}

/* The array with room for `need` items, or NULL and it is as it was. */
static void *
grown(void *array, uint32_t *cap, uint32_t need, size_t item_size)
{
    if (need <= *cap)
        return array;
    uint32_t wanted = *cap == 0 ? 16 : *cap * 2;
    void *larger = realloc(array, wanted * item_size);
    if (larger != NULL)
        *cap = wanted;
    return larger;
}

struct ph_prepared *
ph_prepared_add(struct ph_prepared_set *set, const char *sql, const ph_oid *types, uint32_t n_types,
                uint64_t stretch)
{
    size_t sql_size = strlen(sql) + 1;
    size_t types_size = types == NULL ? 0 : n_types * sizeof *types;

    void *items = grown(set->items, &set->cap, set->n + 1, sizeof *set->items);
    if (items == NULL)
        return NULL;
    set->items = items;
    char *key = malloc(sql_size + types_size);
    if (key == NULL)
        return NULL;
    memcpy(key, sql, sql_size);
    if (types_size > 0)
        memcpy(key + sql_size, types, types_size);
    struct ph_prepared *item = &set->items[set->n++];
    *item = (struct ph_prepared){
        .key = key,
        .key_len = sql_size + types_size,
        .hash = hash_key(sql, sql_size, types, types_size),
        .stretch = stretch,
        .used = ++set->clock,
        .number = ++set->last_number,
    };
    return item;
}

void
ph_prepared_renew(struct ph_prepared_set *set, struct ph_prepared *item, uint64_t stretch)
{
    item->number = ++set->last_number;
    item->stretch = stretch;
    item->confirmed = false;
}

static struct ph_prepared *
by_number(struct ph_prepared_set *set, uint32_t number)
{
    for (uint32_t i = 0; i < set->n; i++) {
        if (set->items[i].number == number)
            return &set->items[i];
    }
    return NULL;
}

static void
remove_item(struct ph_prepared_set *set, struct ph_prepared *item)
{
    free(item->key);
    *item = set->items[--set->n];
}

void
ph_prepared_keep_stale(struct ph_prepared_set *set, uint32_t number)
{
    void *stale = grown(set->stale, &set->cap_stale, set->n_stale + 1, sizeof *set->stale);

    if (stale == NULL)
        return; /* it stays on the server until the session ends */
    set->stale = stale;
    set->stale[set->n_stale++] = number;
}

void
ph_prepared_confirm(struct ph_prepared_set *set, uint32_t number)
{
    struct ph_prepared *item = by_number(set, number);

    if (item != NULL)
        item->confirmed = true;
    else
        ph_prepared_keep_stale(set, number);
}

void
ph_prepared_refuse(struct ph_prepared_set *set, uint32_t number)
{
    struct ph_prepared *item = by_number(set, number);

    if (item != NULL)
        remove_item(set, item);
}

bool
ph_prepared_let_go(struct ph_prepared_set *set, uint32_t *number)
{
    struct ph_prepared *oldest = NULL;

    if (set->n_stale > 0) {
        *number = set->stale[--set->n_stale];
        return true;
    }
    if (set->n <= set->max)
        return false;
    for (uint32_t i = 0; i < set->n; i++) {
        struct ph_prepared *item = &set->items[i];
        if (item->confirmed && (oldest == NULL || item->used < oldest->used))
            oldest = item;
    }
    if (oldest == NULL)
        return false;
    *number = oldest->number;
    remove_item(set, oldest);
    return true;
}

void
ph_prepared_forget(struct ph_prepared_set *set)
{
    while (set->n > 0) {
        struct ph_prepared *item = &set->items[set->n - 1];
        if (item->confirmed)
            ph_prepared_keep_stale(set, item->number);
        remove_item(set, item);
    }
}
