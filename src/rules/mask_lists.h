/*
 * Names, streets and towns that masks are made of. Their order and number are part of every mask:
 * a change of a list changes what all values become.
 */
#ifndef PH_RULES_MASK_LISTS_H
#define PH_RULES_MASK_LISTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct ph_mask_list { /* words of ASCII letters, in order */
    const char *const *words;
    uint32_t n;
};

extern const struct ph_mask_list ph_mask_first_names;
extern const struct ph_mask_list ph_mask_last_names;
extern const struct ph_mask_list ph_mask_streets;
extern const struct ph_mask_list ph_mask_street_kinds;
extern const struct ph_mask_list ph_mask_cities;

/* Whether that mask ("mask_city") draws from the lists. */
bool ph_mask_is_of_lists(const char *mask);
/*
 * Whether a mask of names, streets or towns may give this text: a word of a list, a first and a
 * last name, "12 Oak Street", or an address in one line.
 */
bool ph_mask_lists_give(struct ph_span text);

#endif
