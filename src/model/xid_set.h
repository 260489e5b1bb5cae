/*
 * A set of transaction ids: added to, asked, thrown away. Eight to sixteen bytes each. One owner.
 */
#ifndef PH_MODEL_XID_SET_H
#define PH_MODEL_XID_SET_H

#include <stdbool.h>
#include <stdint.h>

struct ph_xid_set {  /* {0}: empty */
    uint32_t *slots; /* hashed, by linear probing; 0: free, which no xid is */
    uint32_t n;
    uint32_t capacity; /* 0 or a power of two */
};

bool ph_xid_set_has(const struct ph_xid_set *set, uint32_t xid);
/* false: no memory. */
bool ph_xid_set_add(struct ph_xid_set *set, uint32_t xid);
void ph_xid_set_clear(struct ph_xid_set *set);

#endif
