/*
 * What a leak scan looks for: some of a column's different values, the same ones every time.
 *
 * Of all values that are worth looking for those with the smallest hashes are kept, so that it does
 * not matter in which order rows are read, how often a value occurs and how many there are: memory
 * is bounded by the number that is kept, and the source only sends the column once. Pure, one
 * thread.
 */
#ifndef PH_JOB_LEAK_VALUES_H
#define PH_JOB_LEAK_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define PH_LEAK_SHORTEST 5u    /* bytes: what is shorter occurs by chance */
#define PH_LEAK_DIGITS 9u      /* that a value without a letter needs */
#define PH_LEAK_LONGEST 100u   /* bytes of a longer value that are looked for: its first */
#define PH_LEAK_VALUE_COST 184 /* bytes of memory for each, with what the search adds */
/* A value that so many rows have, and such a share of them, is nobody's: "unknown", a large town.
 */
#define PH_LEAK_COMMON_ROWS 100u
#define PH_LEAK_COMMON_PART 100u /* one in so many */

struct ph_leak_value {
    uint64_t order;
    uint64_t rows; /* that have it */
    uint8_t len;
    bool is_cut; /* there was more of it */
    uint8_t bytes[];
};

struct ph_leak_sample {
    struct ph_leak_value **items; /* by hash, none twice, once it is finished */
    uint32_t n;
    uint32_t most;
    uint32_t cap;
    bool is_part;                  /* there were more than it could keep */
    uint64_t below;                /* with is_part: hashes from here on are not kept */
    struct ph_leak_value **recent; /* of items, what came last, by the hash's low bits */
    uint64_t rows;                 /* all values that were given */
    uint64_t distinct;             /* when it is finished: different ones; an estimate if is_part */
    bool has_common;               /* values that many rows have were left out */
    bool (*is_left_out)(struct ph_span value); /* the caller's, for values that pass all else */
    bool has_left_out;                         /* it was true of one */
};

/* Keeps `most` values. false: no memory. */
bool ph_leak_sample_init(struct ph_leak_sample *sample, uint32_t most);
/* The value as it is; ph_leak_telling has been asked. false: no memory. */
bool ph_leak_sample_add(struct ph_leak_sample *sample, struct ph_span value);
/* After the last one. */
void ph_leak_sample_finish(struct ph_leak_sample *sample);
void ph_leak_sample_free(struct ph_leak_sample *sample);

/* Whether a value can be told from chance; blanks at its ends are taken off. */
bool ph_leak_telling(struct ph_span *value);

static inline bool
ph_leak_is_letter(uint8_t c)
{
    uint8_t small = (uint8_t)(c | 0x20);

    return (small >= 'a' && small <= 'z') || c >= 0x80;
}

static inline bool
ph_leak_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

#endif
