/*
 * What of one transaction was rolled back with its savepoints, as spans of ids. A subtransaction
 * gets its id after its parent did, so when one is rolled back all ids that its transaction was
 * given since are of it, or of what is rolled back with it. One owner.
 */
#ifndef PH_MODEL_XID_SPANS_H
#define PH_MODEL_XID_SPANS_H

#include <stdbool.h>
#include <stdint.h>

/* Ids wrap; those of one transaction lie within half of all. */
static inline bool
ph_xid_is_later(uint32_t xid, uint32_t than)
{
    return (int32_t)(xid - than) > 0;
}

struct ph_xid_span {
    uint32_t first;
    uint32_t last;
};

struct ph_xid_spans {          /* {0}: empty */
    struct ph_xid_span *items; /* ascending, apart from each other */
    uint32_t n;
    uint32_t capacity;
};

bool ph_xid_spans_have(const struct ph_xid_spans *spans, uint32_t xid);
/*
 * All from `first` on, up to `last` or the last of any span that there was behind `first`; with an
 * earlier `last`, `first` alone. false: no memory.
 */
bool ph_xid_spans_add(struct ph_xid_spans *spans, uint32_t first, uint32_t last);
void ph_xid_spans_clear(struct ph_xid_spans *spans);

#endif
