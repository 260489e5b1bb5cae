/*
 * Reading the spool in order, and one streamed transaction by itself. See spool/spool.h.
 *
 * A reader belongs to one thread. It sees what is written, durable or not. Memory: a window of
 * 256 kB, and the largest frame there was, packed and not.
 */
#ifndef PH_SPOOL_READER_H
#define PH_SPOOL_READER_H

#include "spool/spool.h"

struct ph_spool_reader;

enum ph_spool_read {
    PH_READ_NOTHING, /* no more so far */
    /* A connection began: a transaction that is half read, and all streamed ones that have not
     * ended, are void. */
    PH_READ_SESSION,
    PH_READ_CHANGES,       /* messages */
    PH_READ_STREAM,        /* messages of `xid` */
    PH_READ_STREAM_COMMIT, /* of `xid` at last_end: SCHEMA messages, then the commit */
    PH_READ_STREAM_ABORT,  /* of `xid`: the message */
    PH_READ_PROGRESS       /* up to last_end there is nothing more */
};

struct ph_spool_step {
    enum ph_spool_read what;
    uint64_t session;
    uint32_t xid;
    ph_lsn last_end;    /* the last position reached by it; 0: none */
    uint32_t raw_bytes; /* of its messages */
};

/*
 * A reader that gives all transactions which end after `from`, each from its beginning. Ends at or
 * before `from` may come along: who reads drops them. Definitions (SCHEMA) that the session had
 * made before that place come first, as CHANGES with no other messages. Streamed transactions:
 * STREAM steps only as far as they come after that place, see ph_spool_stream_open. PH_E_GAP:
 * `from` is before B. PH_E_DISK, PH_E_SPOOL_DAMAGED, PH_E_MEMORY.
 */
ph_code ph_spool_reader_open(struct ph_spool *spool, ph_lsn from, struct ph_spool_reader **out,
                             struct ph_error *err) PH_MUST_CHECK;
/* NULL is fine. */
void ph_spool_reader_close(struct ph_spool_reader *reader);

/*
 * The next step; when there is none yet, waits for one at most wait_ms.
 * Messages of the step before that were not taken are passed over, unread.
 * PH_E_SPOOL_DAMAGED; PH_E_DISK, also when the spool is poisoned; PH_E_MEMORY.
 */
ph_code ph_spool_reader_next(struct ph_spool_reader *reader, uint32_t wait_ms,
                             struct ph_spool_step *step, struct ph_error *err) PH_MUST_CHECK;
/*
 * The next message of the step; *more false: that was all. Its bytes live until the next
 * ph_spool_reader_next. As next.
 */
ph_code ph_spool_reader_message(struct ph_spool_reader *reader, struct ph_spool_item *item,
                                bool *more, struct ph_error *err) PH_MUST_CHECK;
/* Where the step lies; later steps lie behind it. */
struct ph_spool_place ph_spool_reader_place(const struct ph_spool_reader *reader);

struct ph_spool_stream;

/*
 * The messages of one streamed transaction, in order: `end_lsn` is that of its STREAM_COMMIT, or 0
 * for the one of the current session that has not ended (then what there is so far). `*out` NULL:
 * there is no such transaction (or prune has freed it).
 */
ph_code ph_spool_stream_open(struct ph_spool *spool, uint32_t xid, ph_lsn end_lsn,
                             struct ph_spool_stream **out, struct ph_error *err) PH_MUST_CHECK;
void ph_spool_stream_close(struct ph_spool_stream *stream);
/* As ph_spool_reader_message; bytes live until the next call. */
ph_code ph_spool_stream_next(struct ph_spool_stream *stream, struct ph_spool_item *item, bool *more,
                             struct ph_error *err) PH_MUST_CHECK;
/* Where the message given last lies: in order with the steps of readers. */
struct ph_spool_place ph_spool_stream_place(const struct ph_spool_stream *stream);

/*
 * The same of a transaction that goes on: of that session, whether it has ended by now or not. It
 * gives what lies up to a place, which ph_spool_stream_extend moves on: at first nothing. `*out`
 * NULL: there is none (any more).
 */
ph_code ph_spool_stream_follow(struct ph_spool *spool, uint64_t session, uint32_t xid,
                               struct ph_spool_stream **out, struct ph_error *err) PH_MUST_CHECK;
enum ph_spool_fate {
    PH_FATE_OPEN,
    PH_FATE_COMMITTED, /* its commit is in the spool, wherever */
    PH_FATE_VOID       /* it was rolled back, or its connection was lost: it has no commit */
};
/* Give also what lies up to `until` and there. */
ph_code ph_spool_stream_extend(struct ph_spool_stream *stream, struct ph_spool_place until,
                               enum ph_spool_fate *fate, struct ph_error *err) PH_MUST_CHECK;
/* A message of the transaction. */
struct ph_spool_mark {
    struct ph_spool_place frame;
    uint32_t message; /* in it, from 0 */
};
/* The one given last; and back to one: it is the next. */
struct ph_spool_mark ph_spool_stream_mark(const struct ph_spool_stream *stream);
void ph_spool_stream_back(struct ph_spool_stream *stream, const struct ph_spool_mark *mark);

#endif
