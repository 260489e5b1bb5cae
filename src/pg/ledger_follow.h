/*
 * The part of the ledger that a stream needs: the slot and what it was made with, S0, the epochs
 * with their L, the position, and what people asked a follow to do. As pg/ledger.h: on the
 * connection given, in its current transaction, on its thread.
 *
 * Order of what is written, so that a kill at any point leaves nothing unknown behind:
 *   begin_follow (names and tokens, before publication and slot are made) → publication, slot →
 *   in one transaction: the first epoch (ph_ledger_add_epoch) and follow_is_made (S0, the slot's
 *   position). A follow that is not made has copied nothing: what there is of slot and publication
 *   by its names is removed and made anew.
 */
#ifndef PH_PG_LEDGER_FOLLOW_H
#define PH_PG_LEDGER_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "model/lsn.h"
#include "pg/conn.h"
#include "pg/ledger.h"

struct ph_ledger_follow {
    char slot[64];
    char publication[64];
    bool own_publication; /* made by the job, and removed with it */
    bool via_root;        /* publish_via_partition_root as it was when the slot was made */
    char system_id[24];   /* of the source */
    uint32_t timeline;
    char plugin_options[256]; /* as START_REPLICATION gets them */
    char spool_id[40];        /* random, made by begin_follow; the spool's files have it too */
    bool made;
    ph_lsn slot_lsn; /* the slot's consistent point; 0 until made */
    /* Transactions with lower ids may have begun before the publication had all tables: an epoch
     * is good only when all of them are over. 0: it had them before the slot was made. */
    uint64_t published;
};

/* Writes it down (spool_id is filled in); one that was not made is replaced. */
ph_code ph_ledger_begin_follow(struct ph_conn *conn, const char *job,
                               struct ph_ledger_follow *follow, struct ph_error *err);
/* The slot is there. `s0` is the exported snapshot's pg_current_snapshot(), whole. The position of
 * worker 0 begins at slot_lsn. */
ph_code ph_ledger_follow_is_made(struct ph_conn *conn, const char *job, const char *s0,
                                 ph_lsn slot_lsn, struct ph_error *err);
/* *found false: this job has no stream, *out untouched. */
ph_code ph_ledger_load_follow(struct ph_conn *conn, const char *job, struct ph_ledger_follow *out,
                              bool *found, struct ph_error *err);
/* S0 in `arena`; PH_E_LEDGER when the follow is not made. */
ph_code ph_ledger_load_s0(struct ph_conn *conn, const char *job, struct ph_arena *arena,
                          const char **s0, struct ph_error *err);

/* An epoch as the filter needs it. */
struct ph_ledger_mark {
    uint32_t number;
    ph_lsn lsn;
    const char *snapshot; /* whole */
};
/* All epochs that have an L, lost ones too (tables were copied under them), by number. */
ph_code ph_ledger_load_marks(struct ph_conn *conn, const char *job, struct ph_arena *arena,
                             struct ph_ledger_mark **marks, uint32_t *n, struct ph_error *err);

/*
 * ---- the position: the end LSN of the last applied commit, one row for each that applies: worker
 * 0, or a team's (pg/ledger_team.h) ----
 */

/*
 * The first statement of every group's transaction: exactly one row must be hit, else the
 * transaction is rolled back, for somebody else has moved on. It waits for a session that was taken
 * for dead and whose COMMIT is still under way. Parameters, all as text: job, worker, the new
 * position, the one that was read or written last.
 */
#define PH_LEDGER_ADVANCE_SQL                                                                      \
    "UPDATE pghaul.position SET lsn = $3::pg_catalog.pg_lsn WHERE job = $1 AND"                    \
    " worker = $2::pg_catalog.int4 AND lsn = $4::pg_catalog.pg_lsn"

/* Where the worker stands. Waits for the session of a former run that is still committing. */
ph_code ph_ledger_read_position(struct ph_conn *conn, const char *job, uint32_t worker, ph_lsn *lsn,
                                struct ph_error *err);
/*
 * Up to where everything is applied: where it stands, or the last of the team (pg/ledger_team.h).
 * Waits in the same way.
 */
ph_code ph_ledger_read_applied(struct ph_conn *conn, const char *job, ph_lsn *lsn,
                               struct ph_error *err);
/* PH_E_POSITION: it is not at `from`, as text. */
ph_code ph_ledger_fail_position(const char *from, struct ph_error *err);
/* The same statement outside a group (a progress frame). PH_E_POSITION: somebody else moved it. */
ph_code ph_ledger_advance(struct ph_conn *conn, const char *job, uint32_t worker, ph_lsn old,
                          ph_lsn lsn, struct ph_error *err);

/* Changes that the policy left out or overwrote, of all runs. The counter is moved by the applier,
 * in the transaction that goes without them: one statement with literals, the job's name and how
 * many.
 */
ph_code ph_ledger_conflicts(struct ph_conn *conn, const char *job, uint64_t *n,
                            struct ph_error *err);
void ph_ledger_put_add_conflicts(struct ph_buf *sql, const char *job, uint64_t n);

/*
 * By what each table is published (ph_publication_read_rows). note: the ledger has that from now on
 * for these tables, but for the publication itself as it was at first. find_republished: a table
 * ('0': the publication) that is published by nothing of what it was; "": there is none.
 */
ph_code ph_ledger_note_publishing(struct ph_conn *conn, const char *job, const char *publishing,
                                  struct ph_error *err);
ph_code ph_ledger_find_republished(struct ph_conn *conn, const char *job, const char *publishing,
                                   char *oid, size_t size, struct ph_error *err);

/* Slot, publication and spool are removed: nothing of these names is ours any more. */
ph_code ph_ledger_end_follow(struct ph_conn *conn, const char *job, struct ph_error *err);

/* ---- what people ask, and what was last done ---- */

/*
 * `stop --at`: where the run that is under way is to end; when none is, the next one. It holds for
 * the runs after it as well, until one has come to that end.
 */
ph_code ph_ledger_ask_end(struct ph_conn *conn, const char *job, const struct ph_until *until,
                          enum ph_heard_by *heard, struct ph_error *err);
/* PH_UNTIL_STOPPED: nothing was asked. For the run itself, every two seconds or so. */
ph_code ph_ledger_end_asked(struct ph_conn *conn, const char *job, struct ph_until *until,
                            struct ph_error *err);
/* Who was asked to end now has seen where that is. */
ph_code ph_ledger_now_is(struct ph_conn *conn, const char *job, ph_lsn lsn, struct ph_error *err);

/* Sequences have the source's values of now. */
ph_code ph_ledger_sequences_carried(struct ph_conn *conn, const char *job, struct ph_error *err);

#endif
