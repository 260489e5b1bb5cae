/*
 * What becomes of a column on the way: the columns of the target that it is in, by which rule, and
 * the other way about. Private to src/rules.
 */
#ifndef PH_RULES_CHECK_SITES_H
#define PH_RULES_CHECK_SITES_H

#include "rules/check_parts.h"

struct ph_check_site { /* one column of one route, or of a table without an entry */
    const struct ph_rel *source;
    const struct ph_rel *target;
    const struct ph_rule_table *table; /* NULL: none in the job file */
    const struct ph_rule_route *route;
    const char *source_column;
    const char *target_column;
    const struct ph_rule_column *rule; /* NULL: as it is */
};

#define PH_SITE_VALUE "$value" /* where a shape fills the column */

struct ph_check_sites { /* all in the checker's arena */
    struct ph_check_site *items;
    uint32_t n;
    uint32_t cap;
};

enum ph_check_side { PH_OF_SOURCE, PH_OF_TARGET };

/* Of no column of the row itself: it names rows by its own means. */
bool ph_check_is_made(const struct ph_rule_column *rule);
/* The column that unpivot or each fills with what rows are made of. */
bool ph_check_is_value(const struct ph_check_site *site);
/* Whether the one refers to the other by a key of the source. */
bool ph_check_is_joined(const struct ph_checker *checker, const struct ph_check_site *site,
                        const struct ph_check_site *key);
/*
 * Of that side's column, in place of what `sites` had; PH_E_MEMORY. An entry may be about the
 * table, about partitions of it, or about what it is a partition of; then the site is of the part
 * alone.
 */
ph_code ph_check_find_sites(const struct ph_checker *checker, enum ph_check_side side,
                            const struct ph_rel *rel, const char *column,
                            struct ph_check_sites *sites) PH_MUST_CHECK;

#endif
