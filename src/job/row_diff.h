/*
 * From "the digests differ" down to the rows: both sides are read again, only rows of the buckets
 * that differ are looked at, in as many passes over ranges of the key's hash as the memory asks
 * for. Nothing is written. The connections' thread.
 */
#ifndef PH_JOB_ROW_DIFF_H
#define PH_JOB_ROW_DIFF_H

#include "base/digest.h"
#include "job/diff_table.h"
#include "model/plan.h"
#include "pg/conn.h"

/* What became of each bucket when the two sides' sets were compared. */
enum ph_bucket_state {
    PH_BUCKET_EQUAL,
    PH_BUCKET_DIFFERS,
    PH_BUCKET_SOURCE_ONLY, /* no rows on the target: all are missing, nothing to compare */
    PH_BUCKET_TARGET_ONLY
};

struct ph_bucket_mask {
    uint8_t *states; /* enum ph_bucket_state, n_buckets of them */
    uint32_t n_buckets;
    uint32_t n_unequal;
    uint64_t rows; /* in DIFFERS buckets, of the larger side */
};

/* false: no memory. Both sets have the same number of buckets. */
bool ph_bucket_mask_init(struct ph_bucket_mask *mask, const struct ph_digest_set *source,
                         const struct ph_digest_set *target);
void ph_bucket_mask_free(struct ph_bucket_mask *mask);

struct ph_row_diff_params {
    const struct ph_table_plan *const *tables; /* one, or all that go into the same target */
    uint32_t n_tables;
    struct ph_conn *source; /* both in transactions whose snapshots count */
    struct ph_conn *target;
    const struct ph_bucket_mask *mask;
    const struct ph_chunk *range; /* of keys that are looked at; NULL: all */
    size_t budget_bytes;
    size_t max_row_bytes;
    uint32_t max_listed;
    uint32_t max_passes; /* beyond it the rest of the hash range is left out; 0: no limit */
};

/* Hash both sides anew (params->mask is not looked at). `mask` is the caller's, also on failure. */
ph_code ph_bucket_mask_read(const struct ph_row_diff_params *params, struct ph_bucket_mask *mask,
                            struct ph_error *err) PH_MUST_CHECK;

struct ph_row_diff {
    struct ph_row_difference *list; /* the first max_listed */
    uint32_t n_listed;
    uint64_t missing; /* rows */
    uint64_t extra;
    uint64_t changed;
    uint32_t passes;
    bool is_partial; /* the counts are lower bounds: max_passes was reached */
};

/* `out` is the caller's also on failure: ph_row_diff_free. */
ph_code ph_row_diff_run(const struct ph_row_diff_params *params, struct ph_row_diff *out,
                        struct ph_error *err) PH_MUST_CHECK;
void ph_row_diff_free(struct ph_row_diff *diff);
static inline uint64_t
ph_row_diff_total(const struct ph_row_diff *diff)
{
    return diff->missing + diff->extra + diff->changed;
}

/* A difference in words; key values appear, no others: those of the target's row where rules make
 * it, and what they mask not at all. */
struct ph_row_words {
    char key[512];     /* "(id=5, at=2020-01-01)"; keyless: "(row at ctid (0,3) of the source)" */
    char columns[512]; /* CHANGED: names of the columns that differ, ", "-separated */
    char condition[1024]; /* of a WHERE on the target that finds the row by its key (or ctid) */
};
/* Reads the row or both again. */
ph_code ph_row_describe(const struct ph_row_diff_params *params,
                        const struct ph_row_difference *difference, struct ph_row_words *out,
                        struct ph_error *err) PH_MUST_CHECK;

/* The table of the group whose source (or, then the first, target) holds the place. */
const struct ph_table_plan *ph_row_diff_table_of(const struct ph_row_diff_params *params,
                                                 struct ph_row_place place);

#endif
