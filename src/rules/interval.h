/*
 * Intervals as parameters have them: "3 days", "-1 month", "1 year 2 mons -04:05:06".
 */
#ifndef PH_RULES_INTERVAL_H
#define PH_RULES_INTERVAL_H

#include "rules/op_parts.h"

struct ph_interval {
    int64_t months;
    int64_t days;
    int64_t us;
};

/* Numbers with units, and times of day; signs hold for the number they stand before. false: it is
 * not of that form, or larger than PostgreSQL's. */
bool ph_interval_parse(struct ph_span text, struct ph_interval *out);

#endif
