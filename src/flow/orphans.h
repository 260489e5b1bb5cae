/*
 * Values that lookups of a route did not find: how many rows had one, and the first of them by
 * name. One owner thread at a time.
 */
#ifndef PH_FLOW_ORPHANS_H
#define PH_FLOW_ORPHANS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/plan.h"
#include "rules/ruleset.h"

#define PH_ORPHANS_NAMED 20u
#define PH_ORPHAN_SIZE 100u

struct ph_orphan {
    uint32_t lookup;            /* of the route's */
    char value[PH_ORPHAN_SIZE]; /* "(plan_id=7)", long ones cut; "": all others */
    uint64_t rows;
};

struct ph_orphans {
    const struct ph_table_plan *table;
    uint32_t n;
    uint32_t cap;
    struct ph_orphan items[];
};

/*
 * Note what is MISSING among the inputs of a row of the table's route; `*orphans` is made with the
 * first. Masked values are named by a hash, without the table's rules by none. false: no memory.
 */
bool ph_orphans_note(struct ph_orphans **orphans, const struct ph_table_plan *table,
                     const struct ph_value *in);
/* All counts are 0; values keep their names. */
void ph_orphans_clear(struct ph_orphans *orphans);
/* Append what was counted to a statement of pg/ledger_lookup.h. */
void ph_orphans_put(const struct ph_orphans *orphans, const char *job, int32_t place,
                    struct ph_buf *sql);
void ph_orphans_free(struct ph_orphans *orphans); /* NULL is fine */

#endif
