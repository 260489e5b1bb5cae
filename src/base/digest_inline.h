/*
 * The two hashes of the digest, inlined: for the walks over COPY bytes, which take them of every
 * row, and for digest.c, which gives everybody else the functions. The same values, by the same
 * code.
 */
#ifndef PH_BASE_DIGEST_INLINE_H
#define PH_BASE_DIGEST_INLINE_H

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/digest.h"

static inline struct ph_hash128
ph_digest_row_inline(struct ph_span row)
{
    XXH128_hash_t hash = XXH3_128bits(row.data, row.len);

    return (struct ph_hash128){hash.low64, hash.high64};
}

static inline uint64_t
ph_digest_key_inline(uint64_t so_far, struct ph_span field)
{
    return XXH3_64bits_withSeed(field.data, field.len, so_far + field.len);
}

#endif
