/*
 * XXH3 is inlined here: the digest is taken of every row, and the call would cost as much as the
 * hash.
 */
#include "base/digest.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define FORMAT_VERSION 1u
#define HEADER_SIZE 25u /* version u8, n_buckets u32, n_used u32, rows u64, bytes u64 */
#define ENTRY_SIZE 28u  /* bucket u32, lo u64, hi u64, rows u64 */

uint32_t
ph_digest_buckets_for(uint64_t rows)
{
    uint32_t n = PH_DIGEST_MIN_BUCKETS;

    while (n < PH_DIGEST_MOST_CHOSEN && (uint64_t)n * 4096 < rows)
        n *= 2;
    return n;
}

bool
ph_digest_set_init(struct ph_digest_set *set, uint32_t n_buckets)
{
    *set = (struct ph_digest_set){0};
    if (n_buckets < PH_DIGEST_MIN_BUCKETS || n_buckets > PH_DIGEST_MAX_BUCKETS ||
        (n_buckets & (n_buckets - 1)) != 0)
        return false;
    set->buckets = calloc(n_buckets, sizeof *set->buckets);
    if (set->buckets == NULL)
        return false;
    set->n_buckets = n_buckets;
    return true;
}

void
ph_digest_set_free(struct ph_digest_set *set)
{
    free(set->buckets);
    *set = (struct ph_digest_set){0};
}

void
ph_digest_set_clear(struct ph_digest_set *set)
{
    memset(set->buckets, 0, set->n_buckets * sizeof *set->buckets);
    set->rows = set->bytes = 0;
}

struct ph_hash128
ph_digest_row(struct ph_span row)
{
    XXH128_hash_t hash = XXH3_128bits(row.data, row.len);

    return (struct ph_hash128){hash.low64, hash.high64};
}

uint64_t
ph_digest_key(uint64_t so_far, struct ph_span field)
{
    return XXH3_64bits_withSeed(field.data, field.len, so_far + field.len);
}

static void
add_hash(struct ph_hash128 *into, struct ph_hash128 from)
{
    into->lo += from.lo;
    into->hi += from.hi + (into->lo < from.lo);
}

void
ph_digest_set_add(struct ph_digest_set *into, const struct ph_digest_set *from)
{
    assert(into->n_buckets == from->n_buckets);
    for (uint32_t i = 0; i < from->n_buckets; i++) {
        add_hash(&into->buckets[i].sum, from->buckets[i].sum);
        into->buckets[i].rows += from->buckets[i].rows;
    }
    into->rows += from->rows;
    into->bytes += from->bytes;
}

struct ph_digest
ph_digest_set_total(const struct ph_digest_set *set)
{
    struct ph_digest total = {.rows = set->rows, .bytes = set->bytes};

    for (uint32_t i = 0; i < set->n_buckets; i++)
        add_hash(&total.sum, set->buckets[i].sum);
    return total;
}

bool
ph_digest_equal(const struct ph_digest *a, const struct ph_digest *b)
{
    return a->rows == b->rows && ph_hash128_equal(a->sum, b->sum);
}

bool
ph_digest_bucket_equal(const struct ph_digest_bucket *a, const struct ph_digest_bucket *b)
{
    return a->rows == b->rows && ph_hash128_equal(a->sum, b->sum);
}

void
ph_digest_text(const struct ph_digest *digest, char out[PH_DIGEST_TEXT_SIZE])
{
    snprintf(out, PH_DIGEST_TEXT_SIZE, "%016llx%016llx", (unsigned long long)digest->sum.hi,
             (unsigned long long)digest->sum.lo);
}

static void
put_u32(struct ph_buf *out, uint32_t v)
{
    uint8_t raw[4];

    ph_store_u32(raw, v);
    ph_buf_append(out, raw, sizeof raw);
}

static void
put_u64(struct ph_buf *out, uint64_t v)
{
    uint8_t raw[8];

    ph_store_u64(raw, v);
    ph_buf_append(out, raw, sizeof raw);
}

void
ph_digest_set_write(const struct ph_digest_set *set, struct ph_buf *out)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < set->n_buckets; i++)
        used += set->buckets[i].rows != 0;
    ph_buf_putc(out, (char)FORMAT_VERSION);
    put_u32(out, set->n_buckets);
    put_u32(out, used);
    put_u64(out, set->rows);
    put_u64(out, set->bytes);
    for (uint32_t i = 0; i < set->n_buckets; i++) {
        const struct ph_digest_bucket *bucket = &set->buckets[i];
        if (bucket->rows == 0)
            continue;
        put_u32(out, i);
        put_u64(out, bucket->sum.lo);
        put_u64(out, bucket->sum.hi);
        put_u64(out, bucket->rows);
    }
}

/* Only what write makes: ascending, no empty bucket, as many rows as the header says. */
static bool
read_entries(struct ph_digest_set *set, struct ph_cursor *in, uint32_t used)
{
    uint32_t next = 0;
    uint64_t rows = 0;

    for (uint32_t i = 0; i < used; i++) {
        uint32_t at;
        struct ph_digest_bucket bucket;
        if (!ph_take_u32(in, &at) || !ph_take_u64(in, &bucket.sum.lo) ||
            !ph_take_u64(in, &bucket.sum.hi) || !ph_take_u64(in, &bucket.rows) || at < next ||
            at >= set->n_buckets || bucket.rows == 0)
            return false;
        set->buckets[at] = bucket;
        next = at + 1;
        rows += bucket.rows;
    }
    return rows == set->rows;
}

/* Inlined by its linker, gcc 12 warns of the caller's free as if it were one of the cursor. */
__attribute__((noinline)) bool
ph_digest_set_read(struct ph_digest_set *set, struct ph_span in)
{
    struct ph_cursor cursor = ph_cursor_of(in.data, in.len);
    uint8_t version;
    uint32_t n_buckets;
    uint32_t used;
    uint64_t rows;
    uint64_t bytes;

    *set = (struct ph_digest_set){0};
    if (in.len < HEADER_SIZE || !ph_take_u8(&cursor, &version) || version != FORMAT_VERSION ||
        !ph_take_u32(&cursor, &n_buckets) || !ph_take_u32(&cursor, &used) ||
        !ph_take_u64(&cursor, &rows) || !ph_take_u64(&cursor, &bytes) ||
        ph_cursor_left(&cursor) != (size_t)used * ENTRY_SIZE || !ph_digest_set_init(set, n_buckets))
        return false;
    set->rows = rows;
    set->bytes = bytes;
    if (!read_entries(set, &cursor, used)) {
        ph_digest_set_free(set);
        return false;
    }
    return true;
}
