/*
 * All that one change of the source becomes on the target, along however many routes, where it goes
 * change by change: in the order that a group's net effect has, not in that of the routes.
 *
 *     DELETEs               from children up to parents
 *     UPDATEs, then INSERTs from parents down to children
 *
 * A row that leaves by one route and comes by another (or by the same, when a rule makes several)
 * is one row: its DELETE and its INSERT hold together, so that a conflict leaves out both or
 * neither. Where enforced keys refer to it, it cannot be deleted meanwhile and is an UPDATE.
 *
 * Changes of several places: a change of a key becomes DELETE and INSERT in the same way, where it
 * may, for a parent's new key has to come between those of its child.
 *
 * One thread. Empty from zeros but for init; kept from change to change for its memory.
 */
#ifndef PH_FLOW_APPLY_NET_H
#define PH_FLOW_APPLY_NET_H

#include "apply/table.h"
#include "base/arena.h"
#include "flow/reshape.h"
#include "model/change.h"

#define PH_NET_ALONE UINT32_MAX

struct ph_net_piece { /* a change of a row of the target */
    const struct ph_apply_table *table;
    struct ph_change change;
    uint32_t came;   /* as the how-manieth; halves of an UPDATE came as one */
    uint32_t with;   /* settled: the earlier piece that it holds together with, or PH_NET_ALONE */
    uint64_t number; /* the caller's */
};

struct ph_apply_net {
    struct ph_arena arena; /* what is copied of the change */
    struct ph_net_piece *pieces;
    uint32_t n;
    uint32_t room;
    uint32_t n_came;
    uint32_t n_places;
};

void ph_apply_net_init(struct ph_apply_net *net);
void ph_apply_net_free(struct ph_apply_net *net);
/* For the next change. */
void ph_apply_net_clear(struct ph_apply_net *net);

/*
 * What the change has become at one place. `is_kept`: it is copied, since another place comes
 * behind it; else it has to last as long as the net is used. PH_E_MEMORY.
 */
ph_code ph_apply_net_add(struct ph_apply_net *net, const struct ph_apply_table *table,
                         const struct ph_reshaped *made, bool is_kept,
                         struct ph_error *err) PH_MUST_CHECK;
/* All places have been added: pieces are put in order. PH_E_MEMORY. */
ph_code ph_apply_net_settle(struct ph_apply_net *net, struct ph_error *err) PH_MUST_CHECK;

#endif
