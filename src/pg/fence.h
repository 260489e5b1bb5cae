/*
 * The fence between a verification and the applier of a job that follows: both reach it by the
 * target's ledger, on whichever hosts they are. The order of things:
 *
 *   verify   takes both locks, writes the row ("asked"), puts a message with its id into the
 *            source's WAL
 *   applier  comes to that message, commits what it has, writes "stands", waits for the first lock
 *   verify   takes its snapshot S of the source, writes it down ("taken"), lets the first lock
 *            go, puts the second message into the WAL
 *   applier  applies what S sees; before the first transaction that S does not see (that of the
 *            second message, at the latest) it writes "cut" and its position, waits for the second
 *            lock
 *   verify   opens its snapshot of the target, which must show that very position, and lets the
 *            second lock go
 *   applier  goes on; at the second message it writes "good", or "void" if S sees a transaction
 *            that was committed behind the cut: then no position is what S is
 *
 * Locks belong to verify's session, so a verification that was killed holds nobody up; the applier
 * waits for each of them a bounded time only. All of it is on the connection given, in autocommit,
 * on its thread; errors as in conn.h.
 */
#ifndef PH_PG_FENCE_H
#define PH_PG_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "model/lsn.h"
#include "pg/conn.h"

#define PH_FENCE_PREFIX "pghaul.fence" /* of the messages; content: "begin ID" and "end ID" */
#define PH_FENCE_ID_SIZE 48

enum ph_fence_state {
    PH_FENCE_ASKED,
    PH_FENCE_STANDS,
    PH_FENCE_TAKEN,
    PH_FENCE_CUT,
    PH_FENCE_GOOD,
    PH_FENCE_VOID
};

enum ph_fence_lock { PH_FENCE_FIRST, PH_FENCE_SECOND };

/* ---- verify's ---- */

/* For as long as the session lives. *taken false: another verification of the job has it. */
ph_code ph_fence_lock_job(struct ph_conn *conn, const char *job, bool *taken, struct ph_error *err);
/* Whether one has it now. */
ph_code ph_fence_is_verified(struct ph_conn *conn, const char *job, bool *is, struct ph_error *err);
/* Both locks, and the row, in place of an earlier one. */
ph_code ph_fence_ask(struct ph_conn *conn, const char *job, const char *id, struct ph_error *err);

struct ph_fence_look {
    enum ph_fence_state state;
    ph_lsn cut;       /* from CUT on: the applier's position */
    int64_t held_us;  /* with GOOD and VOID: the longest that apply was held up at a time */
    ph_lsn position;  /* the ledger's, now */
    bool is_replaced; /* the row is another fence's, or gone */
};
ph_code ph_fence_look(struct ph_conn *conn, const char *job, const char *id,
                      struct ph_fence_look *out, struct ph_error *err);
/* *taken false: the applier does not stand there any more. */
ph_code ph_fence_give_snapshot(struct ph_conn *conn, const char *job, const char *id,
                               const char *snapshot, bool *taken, struct ph_error *err);
ph_code ph_fence_unlock(struct ph_conn *conn, const char *job, enum ph_fence_lock lock,
                        struct ph_error *err);
/* As the present transaction sees it, without waiting for anybody. */
ph_code ph_fence_position(struct ph_conn *conn, const char *job, ph_lsn *out, struct ph_error *err);
/* Whether a run of the job is under way. */
ph_code ph_fence_job_runs(struct ph_conn *conn, const char *job, bool *runs, struct ph_error *err);

/* ---- the applier's ---- */

/* *stands false: nobody asks for this fence any more. */
ph_code ph_fence_stand(struct ph_conn *conn, const char *job, const char *id, bool *stands,
                       struct ph_error *err);
/* *let_go false: the time is over. */
ph_code ph_fence_wait(struct ph_conn *conn, const char *job, enum ph_fence_lock lock,
                      uint32_t wait_ms, bool *let_go, struct ph_error *err);
/* The text lies in `arena`; NULL: verify gave none. */
ph_code ph_fence_snapshot(struct ph_conn *conn, const char *job, const char *id,
                          struct ph_arena *arena, const char **out, struct ph_error *err);
struct ph_fence_news {
    enum ph_fence_state state; /* CUT, GOOD or VOID */
    ph_lsn position;           /* the applier's, with CUT */
    uint64_t held_us;
};
/* *told false: the row is another fence's by now. */
ph_code ph_fence_tell(struct ph_conn *conn, const char *job, const char *id,
                      const struct ph_fence_news *news, bool *told, struct ph_error *err);

#endif
