/*
 * Guards of a follow: what grows on the source or on this host while changes are kept, and from
 * where on somebody should look. Nothing here stops anything: what is lost, or full, says so itself
 * (PH_E_GAP; a receiver that pauses). Thresholds come from the servers' own settings. Pure; any
 * thread.
 */
#ifndef PH_JOB_GUARD_H
#define PH_JOB_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "pg/slot.h"

enum ph_guard {
    PH_GUARD_SLOT, /* the server is about to lose the slot, or keeps much WAL for it */
    PH_GUARD_XMIN, /* it holds back the cleaning up of catalogs */
    PH_GUARD_SPOOL,
    PH_GUARD_DISK,
    PH_GUARD_RECEIVER, /* nothing is received now */
    PH_GUARDS
};
/* "slot", "xmin", … */
const char *ph_guard_name(enum ph_guard guard);
/* What pghaul does about it: "goes on; …". */
const char *ph_guard_action(enum ph_guard guard);

#define PH_GUARD_TEXT 240

struct ph_guard_figures {
    bool has_slot; /* the two below are known */
    struct ph_slot slot;
    struct ph_slot_limits limits;
    uint64_t spool_bytes;
    uint64_t spool_limit_bytes; /* 0: none */
    uint64_t disk_free_bytes;   /* of the spool's file system */
    uint64_t disk_bytes;        /* 0: not known */
    const char *trouble;        /* why nothing is received; NULL: it is */
};

/* What there is to say about each; "" where all is well. */
void ph_guard_judge(const struct ph_guard_figures *figures,
                    char warnings[PH_GUARDS][PH_GUARD_TEXT]);

#endif
