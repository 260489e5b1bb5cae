/*
 * The applier: reads the source's transactions from the spool and applies them to the target, whole
 * transactions in commit order, as many in one target transaction as are waiting. Every commit on
 * the target is a state that the source had.
 *
 * One of a team (`worker_of`) applies a part of the tables up to a position where all of them meet;
 * what it commits is a state of its tables only. It applies nothing before its commit, stands at no
 * fence, and all epochs must be retired as far as its tables go.
 *
 * A thread of its own between start and stop. What fails ends it; the reason is kept and the state
 * of the target is what the ledger says: make a new one from there.
 */
#ifndef PH_FLOW_APPLIER_H
#define PH_FLOW_APPLIER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "flow/apply_tables.h"
#include "model/epoch_filter.h"
#include "model/lsn.h"
#include "pg/conn.h"
#include "spool/spool.h"

struct ph_applier;

struct ph_applier_params {
    const struct ph_endpoint *target;
    const char *job;
    const char *session_sql;
    struct ph_spool *spool;
    struct ph_epoch_filter *filter; /* the applier's until it has stopped; a team only reads it */
    struct ph_apply_tables_params tables;
    uint32_t worker; /* its number: 0, or one of a team */
    /* By table of the plan, the worker that applies it (pg/ledger_team.h); NULL: this one all. */
    const uint32_t *worker_of;
    ph_lsn meet;        /* of a team: it ends there exactly; all up to there is in the spool */
    ph_lsn position;    /* the ledger's */
    ph_lsn end;         /* as ph_applier_set_end; 0: none yet */
    ph_lsn count_from;  /* look.counted has what ends behind it */
    size_t group_bytes; /* of changes in memory; two groups are */
    enum ph_on_conflict on_conflict;
    /*
     * Called by the applier's thread when the position has moved: what is applied, and what of it
     * the target has on disk. May be NULL.
     */
    void (*moved)(void *arg, ph_lsn applied, ph_lsn durable);
    /*
     * The source's clock as last heard of, microseconds since 1970; 0: not known. Tells whether the
     * applier is far behind. Called by its thread; may be NULL.
     */
    int64_t (*source_clock)(void *arg);
    void *arg;
};

/* The parameters' members must outlive it; the struct itself is copied. */
ph_code ph_applier_start(const struct ph_applier_params *params, struct ph_applier **out,
                         struct ph_error *err) PH_MUST_CHECK;
/*
 * End at the first group behind `lsn`: then all that ends at or before it is applied, and a little
 * more. Any thread; again to move it.
 */
void ph_applier_set_end(struct ph_applier *applier, ph_lsn lsn);
/* Finish the group at hand and end. Any thread. */
void ph_applier_ask_stop(struct ph_applier *applier);
/*
 * The same, but not before it is between transactions, with none that is applied while it arrives,
 * and with no fence under way. Any thread.
 */
void ph_applier_ask_leave(struct ph_applier *applier);
/*
 * Wait for the thread. PH_OK: it came to its end, or was asked to stop, and all it applied is
 * durable. Frees it.
 */
ph_code ph_applier_stop(struct ph_applier *applier, struct ph_error *err);

struct ph_applier_look {
    bool has_ended; /* stop would not wait */
    bool at_end;    /* because the end was reached, or the position to meet at */
    bool is_idle;   /* all transactions that are in the spool are applied */
    ph_lsn applied; /* committed on the target */
    ph_lsn durable;
    ph_lsn read;           /* the last end that was read from the spool */
    int64_t applied_us;    /* commit time on the source of the last applied transaction, since 1970;
                              0: none yet */
    uint64_t transactions; /* applied by this run, empty ones too */
    uint64_t counted;      /* of them: that end behind count_from */
    uint64_t changes;      /* of them, before folding; skipped ones not */
    uint64_t skipped;      /* the copy had them */
    uint64_t conflicts;    /* left out or overwritten, as the policy says */
    uint64_t groups;
    uint64_t replays;    /* groups that went change by change */
    uint64_t early;      /* transactions that were applied while they arrived */
    uint64_t early_left; /* begun so, but applied at their commit */
};
/* Any thread. */
void ph_applier_get(struct ph_applier *applier, struct ph_applier_look *out);

#endif
