/* One table of slots a lookup, by the hash of the key; its rows in an arena. */
#include "rules/lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "rules/ruleset_parts.h"

#define FIRST_SLOTS 64u
#define LEAST_BLOCK ((size_t)4096)
#define LARGEST_BLOCK ((size_t)1 << 20)

struct row {
    uint64_t hash;
    int32_t key_len;
    int32_t value_len; /* or PH_VALUE_NULL, PH_VALUE_MISSING */
    uint8_t bytes[];   /* key, value */
};

struct map {
    struct ph_arena arena;
    struct row **slots;
    size_t n_slots; /* a power of two; 0: empty */
    uint64_t rows;
    struct ph_hash128 sum; /* of the rows' hashes */
    bool is_asked;
    uint64_t state; /* of one that is asked */
};

struct ph_lookups {
    const struct ph_ruleset *set;
    size_t limit_bytes;
    uint32_t n_maps;
    struct map maps[];
};

/* Each table has a block that is not full: all of these are an eighth at most. */
static size_t
block_bytes(size_t limit_bytes, uint32_t n)
{
    size_t bytes = limit_bytes / 8 / n;

    return bytes < LEAST_BLOCK ? LEAST_BLOCK : bytes > LARGEST_BLOCK ? LARGEST_BLOCK : bytes;
}

struct ph_lookups *
ph_lookups_new(const struct ph_ruleset *set, size_t limit_bytes)
{
    uint32_t n = ph_ruleset_count_lookups(set);
    struct ph_lookups *lookups = calloc(1, sizeof *lookups + n * sizeof *lookups->maps);

    if (lookups == NULL)
        return NULL;
    lookups->set = set;
    lookups->n_maps = n;
    lookups->limit_bytes = limit_bytes;
    for (uint32_t i = 0; i < n; i++) {
        ph_arena_init(&lookups->maps[i].arena, limit_bytes);
        lookups->maps[i].arena.block_bytes = block_bytes(limit_bytes, n);
    }
    return lookups;
}

void
ph_lookups_free(struct ph_lookups *lookups)
{
    if (lookups == NULL)
        return;
    for (uint32_t i = 0; i < lookups->n_maps; i++)
        ph_lookups_clear(lookups, i);
    free(lookups);
}

void
ph_lookups_clear(struct ph_lookups *lookups, uint32_t number)
{
    struct map *map = &lookups->maps[number];

    free(map->slots);
    ph_arena_reset(&map->arena);
    map->slots = NULL;
    map->n_slots = 0;
    map->rows = 0;
    map->sum = (struct ph_hash128){0, 0};
}

size_t
ph_lookups_bytes(const struct ph_lookups *lookups)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < lookups->n_maps; i++)
        bytes +=
            lookups->maps[i].arena.total_bytes + lookups->maps[i].n_slots * sizeof(struct row *);
    return bytes;
}

void
ph_lookups_ask(struct ph_lookups *lookups, uint32_t number, uint64_t state)
{
    ph_lookups_clear(lookups, number);
    lookups->maps[number].is_asked = true;
    lookups->maps[number].state = state;
}

bool
ph_lookups_is_asked(const struct ph_lookups *lookups, uint32_t number)
{
    return lookups->maps[number].is_asked;
}

uint64_t
ph_lookups_rows(const struct ph_lookups *lookups, uint32_t number)
{
    return lookups->maps[number].rows;
}

/* ---- keys ---- */

static bool
is_key_of(const struct row *row, uint64_t hash, struct ph_span key)
{
    return row->hash == hash && (size_t)row->key_len == key.len &&
           (key.len == 0 || memcmp(row->bytes, key.data, key.len) == 0);
}

/* Where the key is, or would be. */
static struct row **
slot_of(const struct map *map, uint64_t hash, struct ph_span key)
{
    size_t at = (size_t)hash & (map->n_slots - 1);

    while (map->slots[at] != NULL && !is_key_of(map->slots[at], hash, key))
        at = (at + 1) & (map->n_slots - 1);
    return &map->slots[at];
}

/* ---- filling ---- */

static ph_code
too_large(const struct ph_lookups *lookups, uint32_t number, struct ph_error *err)
{
    const struct ph_lookup *lookup = ph_ruleset_lookup(lookups->set, number);

    PH_FAIL(err, PH_E_LOOKUP,
            "the tables that values are looked up in need more than %zu MB, a quarter of --memory",
            lookups->limit_bytes >> 20);
    ph_error_object(err, "%s", lookup->label);
    ph_error_hint(
        err, "%s",
        lookup->database != NULL
            ? "give more --memory, or bring the table into the source and look it up there"
            : "give more --memory, or leave out `constant: true` and --follow");
    return PH_E_LOOKUP;
}

static ph_code
grow(struct ph_lookups *lookups, uint32_t number, struct ph_error *err)
{
    struct map *map = &lookups->maps[number];
    size_t n = map->n_slots == 0 ? FIRST_SLOTS : map->n_slots * 2;
    size_t bytes = n * sizeof(struct row *);

    if (bytes + ph_lookups_bytes(lookups) > lookups->limit_bytes)
        return too_large(lookups, number, err);
    struct map larger = *map;
    larger.slots = calloc(n, sizeof(struct row *));
    if (larger.slots == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a table that values are looked up in");
    larger.n_slots = n;
    for (size_t i = 0; i < map->n_slots; i++) {
        const struct row *row = map->slots[i];
        if (row != NULL)
            *slot_of(&larger, row->hash, (struct ph_span){row->bytes, (size_t)row->key_len}) =
                map->slots[i];
    }
    free(map->slots);
    *map = larger;
    return PH_OK;
}

static void
add_to_sum(struct map *map, const struct row *row)
{
    struct ph_hash128 hash = ph_digest_row((struct ph_span){
        (const uint8_t *)row,
        sizeof *row + (size_t)row->key_len + (row->value_len > 0 ? (size_t)row->value_len : 0)});

    map->sum.lo += hash.lo;
    map->sum.hi += hash.hi + (map->sum.lo < hash.lo);
}

static struct row *
new_row(struct ph_lookups *lookups, uint32_t number, uint64_t hash, struct ph_span key,
        struct ph_value value)
{
    size_t value_len = value.len > 0 ? (size_t)value.len : 0;
    size_t bytes = ph_lookups_bytes(lookups);
    struct ph_arena *arena = &lookups->maps[number].arena;

    if (bytes > lookups->limit_bytes)
        return NULL;
    arena->limit_bytes = arena->total_bytes + lookups->limit_bytes - bytes;
    struct row *row = ph_arena_alloc(arena, sizeof *row + key.len + value_len);
    if (row == NULL)
        return NULL;
    row->hash = hash;
    row->key_len = (int32_t)key.len;
    row->value_len = value.len;
    if (key.len > 0)
        memcpy(row->bytes, key.data, key.len);
    if (value_len > 0)
        memcpy(row->bytes + key.len, value.data, value_len);
    return row;
}

enum put { PUT_NEW, PUT_INSTEAD };

static ph_code
put_bytes(struct ph_lookups *lookups, uint32_t number, struct ph_span key, struct ph_value value,
          enum put how, struct ph_error *err)
{
    struct map *map = &lookups->maps[number];

    if ((map->rows + 1) * 4 > map->n_slots * 3)
        PH_TRY(grow(lookups, number, err));
    uint64_t hash = ph_digest_key(0, key);
    struct row **slot = slot_of(map, hash, key);
    if (*slot != NULL && how == PUT_NEW)
        return PH_FAIL(err, PH_E_RULES, "a key of %s is there twice",
                       ph_ruleset_lookup(lookups->set, number)->label);
    struct row *row = new_row(lookups, number, hash, key, value);
    if (row == NULL)
        return too_large(lookups, number, err);
    map->rows += *slot == NULL;
    *slot = row;
    add_to_sum(map, row);
    return PH_OK;
}

/* `kind`: of the key as it is given. */
static ph_code
put(struct ph_lookups *lookups, uint32_t number, enum ph_lookup_key kind, struct ph_value key,
    struct ph_value value, enum put how, struct ph_error *err)
{
    uint8_t room[PH_LOOKUP_KEY_ROOM];
    struct ph_span bytes = ph_lookup_key_bytes(kind, key, room);

    if (bytes.data != NULL)
        return put_bytes(lookups, number, bytes, value, how, err);
    PH_FAIL(err, PH_E_RULES, "a key of %d bytes is too long to be looked up", (int)key.len);
    ph_error_object(err, "%s", ph_ruleset_lookup(lookups->set, number)->label);
    return PH_E_RULES;
}

ph_code
ph_lookups_add(struct ph_lookups *lookups, uint32_t number, struct ph_value key,
               struct ph_value value, struct ph_error *err)
{
    return put(lookups, number, ph_ruleset_lookup(lookups->set, number)->key, key, value, PUT_NEW,
               err);
}

ph_code
ph_lookups_note(struct ph_lookups *lookups, const struct ph_route_lookup *by, struct ph_value key,
                struct ph_error *err)
{
    const struct ph_value missing = {NULL, PH_VALUE_MISSING};

    return put(lookups, by->lookup, by->from, key, missing, PUT_NEW, err);
}

ph_code
ph_lookups_answer(struct ph_lookups *lookups, uint32_t number, struct ph_value key,
                  struct ph_value value, struct ph_error *err)
{
    return put(lookups, number, ph_ruleset_lookup(lookups->set, number)->key, key, value,
               PUT_INSTEAD, err);
}

/* ---- looking ---- */

/* NULL: it is not there. */
static const struct row *
find_row(const struct ph_lookups *lookups, const struct ph_route_lookup *by, struct ph_value key)
{
    const struct map *map = &lookups->maps[by->lookup];
    uint8_t room[PH_LOOKUP_KEY_ROOM];
    struct ph_span bytes = ph_lookup_key_bytes(by->from, key, room);

    if (map->n_slots == 0 || bytes.data == NULL)
        return NULL;
    return *slot_of(map, ph_digest_key(0, bytes), bytes);
}

bool
ph_lookups_knows(const struct ph_lookups *lookups, const struct ph_route_lookup *by,
                 struct ph_value key)
{
    return find_row(lookups, by, key) != NULL;
}

static struct ph_value
find(const struct ph_lookups *lookups, const struct ph_route_lookup *by, struct ph_value key)
{
    const struct row *row = find_row(lookups, by, key);

    if (row == NULL)
        return (struct ph_value){NULL, PH_VALUE_MISSING};
    return (struct ph_value){row->bytes + row->key_len, row->value_len};
}

uint32_t
ph_lookups_fill(const struct ph_lookups *lookups, const struct ph_lookups *own,
                const struct ph_route *route, struct ph_value *in)
{
    uint32_t missing = 0;

    for (uint32_t i = 0; i < route->n_lookups; i++) {
        const struct ph_route_lookup *by = &route->lookups[i];
        struct ph_value *value = &in[by->value];
        bool is_brought = by->found != PH_LOOKUP_NONE;
        if (in[by->key].len < 0) {
            if (!is_brought) /* NULL has no row, and what did not come is not known */
                *value = (struct ph_value){NULL, in[by->key].len};
            continue;
        }
        if (!is_brought)
            *value = find(lookups->maps[by->lookup].is_asked ? own : lookups, by, in[by->key]);
        else if (in[by->found].len == PH_VALUE_NULL)
            *value = (struct ph_value){NULL, PH_VALUE_MISSING};
        missing += value->len == PH_VALUE_MISSING;
    }
    return missing;
}

/* ---- what they hold ---- */

/*
 * "ID c DIGEST" of a constant table, "ID v DIGEST" of another; "asked NUMBER" for a digest where
 * the table is too large for one. The id is of the table and its columns alone, since another
 * connection string may lead to the same database. So two tables of one name have one id, and are
 * told apart by what they hold.
 */
#define ID_LEN 16u
#define ASKED "asked"

void
ph_lookups_digest(const struct ph_lookups *lookups, struct ph_buf *out)
{
    for (uint32_t i = 0; i < lookups->n_maps; i++) {
        const struct ph_lookup *lookup = ph_ruleset_lookup(lookups->set, i);
        const struct map *map = &lookups->maps[i];
        if (lookup->sql == NULL)
            continue;
        struct ph_span sql = {(const uint8_t *)lookup->sql, strlen(lookup->sql)};
        ph_buf_printf(out, "%016llx %c ", (unsigned long long)ph_digest_key(0, sql),
                      lookup->is_constant ? 'c' : 'v');
        if (!map->is_asked)
            ph_buf_printf(out, "%016llx%016llx\n", (unsigned long long)map->sum.hi,
                          (unsigned long long)map->sum.lo);
        else
            ph_buf_printf(out, ASKED " %016llx\n",
                          (unsigned long long)(lookup->is_constant ? 0 : map->state));
    }
}

/* Whether one of the lines begins so. */
static bool
has_line(const char *lines, const char *begin, size_t len)
{
    while (*lines != '\0') {
        if (strncmp(lines, begin, len) == 0)
            return true;
        lines += strcspn(lines, "\n");
        lines += *lines == '\n';
    }
    return false;
}

/* Of the same table, one that cannot be compared. */
static bool
has_asked_line(const char *lines, const char *line)
{
    char begin[ID_LEN + 3 + sizeof ASKED];

    snprintf(begin, sizeof begin, "%.*s" ASKED, (int)ID_LEN + 3, line);
    return has_line(lines, begin, strlen(begin));
}

bool
ph_lookups_same(const char *then, const char *now, enum ph_lookups_of which)
{
    for (const char *line = then; *line != '\0'; line += *line == '\n') {
        size_t len = strcspn(line, "\n");
        bool is_meant = len > ID_LEN + 3 && (which == PH_LOOKUPS_ALL || line[ID_LEN + 1] == 'c');
        if (is_meant && has_line(now, line, ID_LEN + 3) && !has_line(now, line, len) &&
            !has_asked_line(line, line) && !has_asked_line(now, line))
            return false;
        line += len;
    }
    return true;
}

void
ph_lookups_adopt(struct ph_lookups *lookups, const struct ph_ruleset *set)
{
    lookups->set = set;
}
