/*
 * Values that lookups of a route did not find: how many rows had one, and the first of them by
 * name. One owner thread at a time.
 */
#ifndef PH_FLOW_ORPHANS_H
#define PH_FLOW_ORPHANS_H

#include <stdbool.h>
#include <stdint.h>

#include "rules/ruleset.h"

#define PH_ORPHANS_NAMED 20u
#define PH_ORPHAN_SIZE 100u

struct ph_orphan {
    uint32_t lookup;            /* of the route's */
    char value[PH_ORPHAN_SIZE]; /* "(plan_id=7)", long ones cut; "": all others */
    uint64_t rows;
};

struct ph_orphans {
    uint32_t n;
    uint32_t cap;
    struct ph_orphan items[];
};

/*
 * Note what is MISSING among the inputs of a row; `*orphans` is made with the first. false: no
 * memory. `rules` are the route's; NULL: what is masked is named by no hash.
 */
bool ph_orphans_note(struct ph_orphans **orphans, const struct ph_route *route,
                     const struct ph_rules_in_use *rules, const struct ph_value *in);
void ph_orphans_free(struct ph_orphans *orphans); /* NULL is fine */

#endif
