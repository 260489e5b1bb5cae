/*
 * The source's transactions out of the spool, in commit order, each whole and with its changes
 * decoded: what was sent in blocks while it ran is put back together here, without the changes of
 * subtransactions that were rolled back.
 *
 * Who wants to have a streamed transaction before it ends is told where its blocks lie, and when it
 * ends; what comes of it then are only BEGIN to COMMIT, as of all others, or nothing at all.
 *
 * One thread. Memory: the spool reader's, the decoder's, and eight bytes for each subtransaction
 * that was rolled back in the streamed transaction at hand.
 */
#ifndef PH_FLOW_TXN_READER_H
#define PH_FLOW_TXN_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/epoch_filter.h"
#include "spool/reader.h"
#include "wire/pgoutput.h"

struct ph_txn_reader;

enum ph_txn_step {
    PH_TXN_NOTHING, /* no more so far */
    /* a connection began: what was given of the transaction that is open is void, it comes again */
    PH_TXN_VOID,
    PH_TXN_BEGIN,
    PH_TXN_CHANGE,
    PH_TXN_MESSAGE, /* a logical message, in a transaction or (txn.xid 0) outside of all */
    PH_TXN_COMMIT,
    PH_TXN_PROGRESS, /* up to end_lsn there is nothing more */
    /* of a streamed transaction, by txn.xid and `session`, outside of others: */
    PH_TXN_BLOCK,       /* a part of it was passed by, at `place` */
    PH_TXN_BLOCK_ABORT, /* it was rolled back whole */
    PH_TXN_BLOCK_COMMIT /* its BEGIN is next, unless ph_txn_reader_leave_out is called now */
};

struct ph_txn_event {
    enum ph_txn_step step;
    struct ph_source_txn txn;    /* BEGIN to COMMIT; BLOCK… */
    ph_lsn end_lsn;              /* COMMIT, PROGRESS, BLOCK_COMMIT */
    int64_t time_us;             /* of the commit, since 1970: BEGIN to COMMIT, BLOCK_COMMIT */
    uint64_t session;            /* BLOCK… */
    struct ph_spool_place place; /* BLOCK…, VOID: of the step in the spool */
    uint32_t bytes;              /* BLOCK: of its messages */
    /* CHANGE, MESSAGE: valid until the next call; CHANGE: never of a TRUNCATE without tables */
    const struct ph_stream_event *event;
};

/*
 * Begins with the first transaction that ends after `from`; PH_E_GAP when the spool begins later.
 * `*out` is the caller's (ph_txn_reader_close). The spool must outlive it.
 */
ph_code ph_txn_reader_open(struct ph_spool *spool, ph_lsn from, struct ph_txn_reader **out,
                           struct ph_error *err) PH_MUST_CHECK;
void ph_txn_reader_close(struct ph_txn_reader *reader); /* NULL is fine */

/*
 * The next event; waits for one at most wait_ms. Errors of the spool's reader
 * and of the decoder; then the reader can only be closed.
 */
ph_code ph_txn_reader_next(struct ph_txn_reader *reader, uint32_t wait_ms, struct ph_txn_event *out,
                           struct ph_error *err) PH_MUST_CHECK;

/* After BLOCK_COMMIT: that transaction is not to be given. */
void ph_txn_reader_leave_out(struct ph_txn_reader *reader);

/* The table as announced at this point: for the list of a TRUNCATE; NULL when it is not. */
const struct ph_stream_rel *ph_txn_reader_rel(const struct ph_txn_reader *reader, ph_oid relid);

#endif
