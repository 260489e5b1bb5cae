/*
 * The proof's arithmetic: rows are hashed with XXH3-128 and added modulo 2^128 into
 * buckets chosen by the hash of their key, with row counts. Addition, never XOR: XOR cancels pairs
 * of equal rows. Sums of chunks add up to the sum of a table in whatever order rows are read.
 *
 * A set belongs to one thread at a time. Serialised sets are portable bytes (big-endian,
 * versioned).
 */
#ifndef PH_BASE_DIGEST_H
#define PH_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"

struct ph_hash128 {
    uint64_t lo;
    uint64_t hi;
};

static inline bool
ph_hash128_equal(struct ph_hash128 a, struct ph_hash128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

struct ph_digest_bucket {
    struct ph_hash128 sum;
    uint64_t rows;
};

struct ph_digest_set {
    struct ph_digest_bucket *buckets;
    uint32_t n_buckets; /* a power of two */
    uint64_t rows;
    uint64_t bytes; /* of the row images that were hashed */
};

/* The sum over all buckets: what a table is compared by first. */
struct ph_digest {
    struct ph_hash128 sum;
    uint64_t rows;
    uint64_t bytes;
};

#define PH_DIGEST_MIN_BUCKETS 1024u
#define PH_DIGEST_MAX_BUCKETS (1u << 20)
/* What is chosen at most: 384 kB a set, of which a lane may need two, and a receipt is as large. */
#define PH_DIGEST_MOST_CHOSEN (1u << 14)
#define PH_DIGEST_TEXT_SIZE 33 /* 32 hex digits and the 0 byte */

/* Buckets for a table of about so many rows: some 4,000 rows a bucket, within the bounds. */
uint32_t ph_digest_buckets_for(uint64_t rows);

/* false: no memory, or n_buckets is no power of two within the bounds. Zeroed. */
bool ph_digest_set_init(struct ph_digest_set *set, uint32_t n_buckets);
void ph_digest_set_free(struct ph_digest_set *set);
void ph_digest_set_clear(struct ph_digest_set *set);

struct ph_hash128 ph_digest_row(struct ph_span row);
/* Fold one key field (its length and bytes) into a running key hash that starts at 0. */
uint64_t ph_digest_key(uint64_t so_far, struct ph_span field);
/* Both must have the same number of buckets (asserted). */
void ph_digest_set_add(struct ph_digest_set *into, const struct ph_digest_set *from);
struct ph_digest ph_digest_set_total(const struct ph_digest_set *set);
bool ph_digest_equal(const struct ph_digest *a, const struct ph_digest *b);
bool ph_digest_bucket_equal(const struct ph_digest_bucket *a, const struct ph_digest_bucket *b);
void ph_digest_text(const struct ph_digest *digest, char out[PH_DIGEST_TEXT_SIZE]);

/*
 * Append the set to `out`; empty buckets cost nothing. Read gives false for bytes that are no set.
 */
void ph_digest_set_write(const struct ph_digest_set *set, struct ph_buf *out);
/* Inits `set` (the caller frees it) from `in`; on false `set` is empty. */
bool ph_digest_set_read(struct ph_digest_set *set, struct ph_span in);

static inline uint32_t
ph_digest_bucket_of(const struct ph_digest_set *set, uint64_t key_hash)
{
    return (uint32_t)key_hash & (set->n_buckets - 1);
}

/* Add one row image under its key's hash. The hot path: no checks. */
static inline void
ph_digest_set_put(struct ph_digest_set *set, uint64_t key_hash, struct ph_hash128 row,
                  size_t row_bytes)
{
    struct ph_digest_bucket *bucket = &set->buckets[ph_digest_bucket_of(set, key_hash)];

    bucket->sum.lo += row.lo;
    bucket->sum.hi += row.hi + (bucket->sum.lo < row.lo);
    bucket->rows++;
    set->rows++;
    set->bytes += row_bytes;
}

#endif
