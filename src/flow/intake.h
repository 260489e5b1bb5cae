/*
 * What becomes of one message of the change stream in the spool. No server, no clock: the
 * receiver's thread, or a test.
 */
#ifndef PH_FLOW_INTAKE_H
#define PH_FLOW_INTAKE_H

#include "spool/spool.h"
#include "wire/pgoutput.h"

/* Begins with {.spool, .start}, for a session that the spool has begun; fields are for reading. */
struct ph_intake {
    struct ph_spool *spool;
    ph_lsn start;       /* what was committed before it is here already */
    ph_lsn reached;     /* end of the last commit, or the last progress */
    uint32_t block_xid; /* the streamed transaction whose block is open; 0: none */
    bool in_txn;        /* between BEGIN and COMMIT */
    bool leaving_out;   /* … of a transaction that is here already */
    uint64_t transactions;
    uint64_t repeated; /* transactions that were left out */
};

/*
 * Take one message. As ph_spool_append: after PH_E_SPOOL_LIMIT or PH_E_DISK_FULL the same call may
 * be made again. PH_E_PROTOCOL for what does not belong there.
 */
ph_code ph_intake_take(struct ph_intake *intake, struct ph_span message, struct ph_error *err);
/* Whether a keepalive's position may be noted now. */
bool ph_intake_is_between(const struct ph_intake *intake);
/* The server has sent all that ends before `lsn`; while between. As take. */
ph_code ph_intake_progress(struct ph_intake *intake, ph_lsn lsn, struct ph_error *err);

#endif
