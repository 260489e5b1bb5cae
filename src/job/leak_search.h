/*
 * Many values looked for in texts at once, in time that does not grow with their number: a filter
 * over the next five bytes says where one could begin, and a search among the sorted values says
 * which do. Values are found as whole words; where case is no part of one (it has more in it than
 * letters) letters A to Z are the same as a to z. Immutable once made, any thread.
 */
#ifndef PH_JOB_LEAK_SEARCH_H
#define PH_JOB_LEAK_SEARCH_H

#include "job/leak_values.h"

struct ph_leak_needle {
    const uint8_t *text;
    uint32_t owner;  /* the caller's: whose value it is */
    uint32_t number; /* within the owner, from 0 */
    uint32_t inner;  /* the longest other one that it begins with; PH_LEAK_NONE */
    uint8_t len;
    bool is_cut;   /* only its beginning is known: anything may follow */
    bool is_word;  /* letters only: compared as it is written */
    bool is_mail;  /* has an @: dots and hyphens are within it */
    bool is_digit; /* has no letter: a decimal point is within it */
};

#define PH_LEAK_NONE UINT32_MAX

struct ph_leak_search {
    struct ph_leak_needle *needles; /* sorted */
    uint32_t n;
    uint32_t cap;
    uint64_t *filter;
    uint32_t filter_bits;
};

/* `most` values will be put. false: no memory. */
bool ph_leak_search_init(struct ph_leak_search *search, uint32_t most);
/* The value must outlive the search. */
void ph_leak_search_put(struct ph_leak_search *search, const struct ph_leak_value *value,
                        uint32_t owner, uint32_t number);
/* After the last put, before the first run. */
void ph_leak_search_finish(struct ph_leak_search *search);
void ph_leak_search_free(struct ph_leak_search *search);

typedef void ph_leak_found(void *arg, const struct ph_leak_needle *needle);
/* Calls `found` for every place where a value stands in the text. */
void ph_leak_search_run(const struct ph_leak_search *search, struct ph_span text,
                        ph_leak_found *found, void *arg);

#endif
