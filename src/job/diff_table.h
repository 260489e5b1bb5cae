/*
 * Comparing two multisets of rows by their hashes, in bounded memory.
 *
 * Each distinct row (hash of its key, hash of the whole) has one entry with a balance: the target's
 * rows count up, the source's down. What does not come out at zero differs; entries of opposite
 * sign under the same key are one row with different values. Equal rows of a table without a key
 * thus cost one entry, however many they are. Pure memory, one thread.
 */
#ifndef PH_JOB_DIFF_TABLE_H
#define PH_JOB_DIFF_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "flow/row_scan.h"

struct ph_diff_entry {
    uint64_t key_hash;
    struct ph_hash128 hash;
    int64_t balance;            /* rows on the target minus rows on the source */
    struct ph_row_place source; /* of the last such row on that side */
    struct ph_row_place target;
    uint32_t next;    /* in its chain; UINT32_MAX: last */
    bool target_used; /* a CHANGED difference has its place */
};

struct ph_diff_table {
    struct ph_diff_entry *entries;
    uint32_t *heads; /* chains by key hash */
    uint32_t n;
    uint32_t capacity;
    uint32_t n_heads; /* a power of two */
};

enum ph_diff_kind {
    PH_DIFF_MISSING, /* on the target */
    PH_DIFF_EXTRA,
    PH_DIFF_CHANGED /* the same key, other values */
};

struct ph_row_difference {
    enum ph_diff_kind kind;
    uint64_t count; /* so many equal rows; 1 for CHANGED */
    uint64_t key_hash;
    struct ph_hash128 hash;     /* of the row; CHANGED: of the source's */
    struct ph_row_place source; /* no place for EXTRA */
    struct ph_row_place target; /* no place for MISSING */
    bool is_shared;             /* EXTRA: an earlier CHANGED has the same place */
};

/* As many entries as fit into budget_bytes, at least 64. false: no memory. */
bool ph_diff_table_init(struct ph_diff_table *table, size_t budget_bytes);
void ph_diff_table_free(struct ph_diff_table *table);
void ph_diff_table_clear(struct ph_diff_table *table);
/* false: full. */
bool ph_diff_table_add(struct ph_diff_table *table, enum ph_side side,
                       const struct ph_scanned_row *row);

/* NULL when there is no such row. */
struct ph_diff_entry *ph_diff_table_find(struct ph_diff_table *table,
                                         const struct ph_scanned_row *row);

typedef ph_code ph_diff_emit(void *arg, const struct ph_row_difference *difference,
                             struct ph_error *err);
/*
 * All differences, in the order of their first rows. Uses up the balances. With PH_DIFF_KEYLESS
 * rows are not paired by key.
 */
enum ph_diff_pairing { PH_DIFF_BY_KEY, PH_DIFF_KEYLESS };
ph_code ph_diff_table_each(struct ph_diff_table *table, enum ph_diff_pairing pairing,
                           ph_diff_emit *emit, void *arg, struct ph_error *err);

#endif
