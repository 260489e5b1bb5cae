/*
 * The spool: what came from the source and is not yet durable in the target, in segment files of
 * one directory (0700, files 0600). See wire/spool_frame.h for their format.
 *
 * Threads: one writer (the receiver: append, flush, sessions, progress), one syncer
 * (ph_spool_sync), any number of readers (spool/reader.h), each with its own struct; positions,
 * and prune from anywhere. What they share is in struct ph_spool under its mutex.
 *
 * Positions are WAL positions of the source: ends of commits, positions of keepalives.
 *   begin    B: what ends after it is here
 *   written  W: the last end that readers can see
 *   durable  E: the last end that is on disk, with all that comes before it
 *
 * A write is visible to readers at once and durable when a sync after it has succeeded. What may be
 * acknowledged to the source is at most the larger of E and what the target has durably applied.
 *
 * A sync that fails poisons the spool for good: the kernel may have dropped the pages, so no later
 * sync of the same file says anything. All operations then give PH_E_DISK; the bytes that are not
 * durable are cut off, and the next run receives them again.
 */
#ifndef PH_SPOOL_SPOOL_H
#define PH_SPOOL_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "wire/spool_frame.h"

struct ph_spool;

enum ph_spool_mode {
    PH_SPOOL_CREATE, /* a directory without segments; it is made when it is not there */
    PH_SPOOL_OPEN    /* one that has some */
};

struct ph_spool_params {
    const char *dir; /* of the spool alone; copied */
    struct ph_spool_id id;
    enum ph_spool_mode mode;
    enum ph_spool_packing packing;
    ph_lsn begin;           /* CREATE: where the stream begins (the slot's consistent point) */
    uint64_t limit_bytes;   /* of all files; 0: none */
    uint64_t segment_bytes; /* 0: 64 MB; at most a quarter of the limit in any case */
    size_t frame_bytes;     /* messages are gathered to about this many; 0: 64 kB */
    size_t message_bytes;   /* a longer message is PH_E_ROW_TOO_LARGE; 0: what a frame can hold */
};

struct ph_spool_positions {
    ph_lsn begin;
    ph_lsn written;
    ph_lsn durable;
    uint64_t bytes; /* of all files */
    uint64_t segments;
    uint64_t open_streams; /* streamed transactions that have not ended */
};

/* The id of the ledger's token. */
struct ph_spool_id ph_spool_id_of(const char *token);

/*
 * Open the spool, or make it. Opening cuts a torn tail (what was never known to be durable) and
 * syncs what is left, so that E is W. No two processes can have it open. Fails with
 *   PH_E_SPOOL_OTHER    the segments are another job's; CREATE: there are some
 *   PH_E_SPOOL_DAMAGED  a byte that was durable is not what it was, a segment is missing
 *   PH_E_GAP            OPEN: there is no segment at all
 *   PH_E_JOB_RUNNING    another process has it open
 *   PH_E_DISK, PH_E_DISK_FULL, PH_E_MEMORY
 */
ph_code ph_spool_open(const struct ph_spool_params *params, struct ph_spool **out,
                      struct ph_error *err) PH_MUST_CHECK;
/*
 * Messages that were not flushed are dropped; what was written is synced. Readers must be closed,
 * no thread may be inside. NULL is fine.
 */
void ph_spool_close(struct ph_spool *spool);

/* ---- writer ---- */

/*
 * The connection is gone, or was never there: what is gathered is dropped, a transaction half
 * received does not count, all that is written becomes durable (E is W). To be called before the
 * position to start from is computed (spool/start.h).
 */
ph_code ph_spool_end_session(struct ph_spool *spool, struct ph_error *err) PH_MUST_CHECK;
/*
 * A connection begins, at session->start; nothing can be appended before. Streamed transactions
 * that are open are annulled: they come again whole. It must be of the same source, slot, database
 * and publication as the sessions before (PH_E_SPOOL_OTHER), and of the same timeline unless
 * session->timeline_switch says that E is on both. A start behind W is PH_E_INTERNAL; one after W
 * (the target has more than the spool) makes the spool begin there and drops what it had: the
 * target must have all up to there durably. Sets session->number. The limit does not hold for it.
 * PH_E_DISK_FULL: nothing was done.
 */
ph_code ph_spool_begin_session(struct ph_spool *spool, struct ph_spool_session *session,
                               struct ph_error *err) PH_MUST_CHECK;
/* The last session in the spool. false: there was none. Any thread. */
bool ph_spool_last_session(struct ph_spool *spool, struct ph_spool_session *session);

/*
 * Nothing that is in the spool is wanted: all that ended is applied, and the rest is void with the
 * next session. Readers pass it over. Before any of them is opened, and before that session.
 */
void ph_spool_leave_sessions(struct ph_spool *spool);

struct ph_spool_message {
    enum ph_spool_message_kind kind;
    struct ph_span bytes; /* as they came from the source; not looked into */
    /*
     * The top-level transaction with all that is streamed: CHANGE and SCHEMA between Stream Start
     * and Stream Stop (these two are CHANGEs as well), STREAM_COMMIT, STREAM_ABORT of the whole.
     * The abort of a subtransaction is a CHANGE. Otherwise 0.
     */
    uint32_t xid;
    ph_lsn end_lsn;  /* COMMIT, STREAM_COMMIT: end of the commit record, above W */
    uint64_t object; /* SCHEMA: what it defines; a later one of the same object takes its place */
};

/*
 * Append a message; it is copied. Gathered messages go to the file when they are enough. Fails with
 *   PH_E_SPOOL_LIMIT, PH_E_DISK_FULL  this message was not taken, all earlier ones are there or
 *                       gathered: the same call may be made again later
 *   PH_E_PROTOCOL       a message that can not come here (COMMIT without BEGIN, an end behind W)
 *   PH_E_ROW_TOO_LARGE, PH_E_DISK, PH_E_MEMORY
 */
ph_code ph_spool_append(struct ph_spool *spool, const struct ph_spool_message *message,
                        struct ph_error *err) PH_MUST_CHECK;
/*
 * A keepalive: nothing that is not here ends before `lsn`. No transaction but streamed ones may be
 * half received (PH_E_PROTOCOL). Flushes. A position that is not after the last one is nothing. As
 * append.
 */
ph_code ph_spool_progress(struct ph_spool *spool, ph_lsn lsn, struct ph_error *err) PH_MUST_CHECK;
/* Write what is gathered, because no more input waits. As append. */
ph_code ph_spool_flush(struct ph_spool *spool, struct ph_error *err) PH_MUST_CHECK;

/* ---- syncer ---- */

/*
 * Make durable what is written, after waiting for something to be so, at most wait_ms. PH_E_DISK:
 * poisoned.
 */
ph_code ph_spool_sync(struct ph_spool *spool, uint32_t wait_ms, struct ph_error *err) PH_MUST_CHECK;

/* ---- any thread ---- */

void ph_spool_get_positions(struct ph_spool *spool, struct ph_spool_positions *out);
/*
 * The target has durably applied all up to `applied`: segments without use go away. One that holds
 * a streamed transaction which is open, or committed after `applied`, stays. No reader may be
 * opened before `applied` any more. A segment that is not durable stays. PH_E_DISK: what could not
 * be removed is tried again at the next call.
 */
ph_code ph_spool_prune(struct ph_spool *spool, ph_lsn applied, struct ph_error *err) PH_MUST_CHECK;

/*
 * Who reads blocks of streamed transactions has come to the step at `place`: the next prune frees
 * those that were void by then, also where nothing has been applied since. Who begins to read
 * before it will find no block of them. Any thread.
 */
void ph_spool_has_passed(struct ph_spool *spool, struct ph_spool_place place);

/* ---- without a spool ---- */

/*
 * Look at a spool without changing it, also while another process uses it: `durable` then is what
 * is known to be so. `*found` false: no segments. `id` NULL: whosever it is. As open.
 */
ph_code ph_spool_inspect(const char *dir, const struct ph_spool_id *id,
                         struct ph_spool_positions *out, bool *found,
                         struct ph_error *err) PH_MUST_CHECK;
/*
 * Remove the segments and the directory (which stays when something else is in it).
 * PH_E_SPOOL_OTHER: a segment is not of `id` (NULL: whosever it is); then all stay. `*removed`:
 * files.
 */
ph_code ph_spool_remove(const char *dir, const struct ph_spool_id *id, uint64_t *removed,
                        struct ph_error *err) PH_MUST_CHECK;

#endif
