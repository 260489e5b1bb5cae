/*
 * The rules in the stream: a change of a row of the source becomes the changes of what the route
 * makes of it, to be folded one by one.
 *
 *     old row  new row  of the target      becomes
 *     -        n        INSERT             n INSERTs
 *     n        n, keys as before           n UPDATEs, of what came
 *     1        1, another key              an UPDATE with the old key
 *     n        m        otherwise          n DELETEs, m INSERTs
 *     n        -        DELETE             n DELETEs
 *
 * A row is not there when the route's filter leaves it out or a rule sends it to quarantine; so an
 * UPDATE on the source may be an INSERT or a DELETE here. What of an old row did not come is
 * UNCHANGED for the rules; under REPLICA IDENTITY FULL the new row is whole. Where what came is not
 * enough the change is refused, never guessed (apply_route.h refuses such routes beforehand).
 *
 * One thread. Keeps nothing from one change to the next but its memory.
 */
#ifndef PH_FLOW_RESHAPE_H
#define PH_FLOW_RESHAPE_H

#include "apply/table.h"
#include "flow/change_notes.h"
#include "model/change.h"

struct ph_reshape;

struct ph_routed_table { /* where rows of a table of the source go */
    const struct ph_apply_table *table;
    const uint32_t *inputs; /* of apply_route.h; NULL: no rules, changes go as they are */
};

struct ph_reshaped { /* good until the next change, and no longer than the change itself */
    const struct ph_change *changes;
    uint32_t n;
};

struct ph_reshape *ph_reshape_new(void);          /* NULL: no memory */
void ph_reshape_free(struct ph_reshape *reshape); /* NULL is fine */

/*
 * INSERT, UPDATE or DELETE of a row. A new row that goes to quarantine, and one that looks up what
 * is not there, is put into `notes`, which must go out with the changes. PH_E_RULE_VALUE names key,
 * column and reason of a row that a rule cannot handle; PH_E_IDENTITY: the old row would have to be
 * known whole; the errors of change_notes.h; PH_E_PROTOCOL, PH_E_RULES, PH_E_MEMORY.
 */
ph_code ph_reshape_change(struct ph_reshape *reshape, const struct ph_routed_table *to,
                          const struct ph_change *change, struct ph_change_notes *notes,
                          struct ph_reshaped *out, struct ph_error *err) PH_MUST_CHECK;

#endif
