/* What applier.c and apply_replay.c share. */
#ifndef PH_FLOW_APPLIER_PARTS_H
#define PH_FLOW_APPLIER_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "flow/applier.h"
#include "flow/apply_target.h"
#include "flow/txn_reader.h"

struct ph_applier {
    struct ph_applier_params params;
    pthread_t thread;
    struct ph_txn_reader *reader;
    struct ph_apply_tables tables;
    struct ph_apply_target target;
    struct ph_fold *folds[2]; /* one is filled while the other's statements are under way */
    struct ph_fold *fold;     /* that is filled */
    bool is_idle;             /* as look has it */
    bool in_txn;              /* a transaction of the source is half read */
    bool is_filtered;         /* it may have changes that the copy has */
    bool must_replay;         /* the target refused a part of the group: the rest is only read */
    ph_lsn group_from;        /* position before the group that is filled */
    ph_lsn group_end;         /* end of its last whole transaction; 0: none */
    ph_lsn group_until;       /* the group ends with this one; 0: when it is full */
    uint32_t group_txns;
    uint64_t group_skipped;
    int64_t group_us; /* commit time of its last transaction */
    struct sent {     /* the group whose statements are under way */
        bool is_there;
        ph_lsn from;
        ph_lsn end;
        uint32_t txns;
        uint64_t changes;
        uint64_t skipped;
        int64_t us;
    } sent;
    ph_lsn progress; /* nothing to apply before it; 0: the last commit says more */
    uint64_t advanced_ns;
    uint64_t told_ns;
    atomic_uint_fast64_t end_lsn; /* 0: none */
    atomic_bool stop;
    pthread_mutex_t lock; /* guards look */
    struct ph_applier_look look;
    ph_code rc; /* of the thread, after it ended */
    struct ph_error error;
};

/* Which table of the target, NULL: none of ours or all of it is in the copy. */
ph_code ph_applier_table(struct ph_applier *applier, const struct ph_source_txn *txn,
                         const struct ph_stream_rel *rel, bool is_filtered, bool *is_skipped,
                         const struct ph_apply_table **out, struct ph_error *err);
/* ---- apply_truncate.c ---- */

/* A TRUNCATE as one statement; the tables that count, appended to `sql` (empty: none does).
 * PH_E_MEMORY, PH_E_UNSUPPORTED, and as ph_applier_table. */
ph_code ph_applier_put_truncate(struct ph_applier *applier, const struct ph_txn_reader *reader,
                                const struct ph_txn_event *event, bool is_filtered,
                                struct ph_buf *sql, struct ph_error *err);

/* ---- apply_replay.c ---- */

/*
 * All transactions that end in (from, end], read from the spool again, change by change in one
 * transaction on the target, which must have none open; commits it. A change that the target
 * refuses is left out or overwritten, and counted, or is PH_E_CONFLICT, as the policy says.
 */
ph_code ph_applier_replay(struct ph_applier *applier, ph_lsn from, ph_lsn end,
                          struct ph_error *err);

#endif
