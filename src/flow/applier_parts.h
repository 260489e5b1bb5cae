/* What the files of the applier share. */
#ifndef PH_FLOW_APPLIER_PARTS_H
#define PH_FLOW_APPLIER_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "flow/applier.h"
#include "flow/apply_target.h"
#include "flow/change_notes.h"
#include "flow/txn_reader.h"
#include "pg/fence.h"

#define PH_RECENT_TXNS 1024u

/*
 * The fence of a verification (pg/fence.h). What verify's snapshot does not see of the transactions
 * that are applied by then is looked for among the last ones: a commit that is not visible on the
 * source after that many others is one that waits for a synchronous standby.
 */
struct ph_apply_fence {
    enum {
        PH_FENCE_NONE,
        PH_FENCE_NAMED, /* the transaction at hand has the first message */
        PH_FENCE_ARMED, /* the snapshot is known, the cut is still to come */
        PH_FENCE_BEHIND /* the cut is made, the second message is still to come */
    } step;
    bool ends; /* the transaction at hand has the second message */
    char id[PH_FENCE_ID_SIZE];
    struct ph_arena arena; /* of the snapshot's list */
    struct ph_xid_snapshot snapshot;
    uint64_t longest_us;             /* that this fence held apply up at a time */
    uint32_t recent[PH_RECENT_TXNS]; /* a ring */
    uint64_t n_recent;               /* ever put */
};

struct ph_early;

struct ph_applier {
    struct ph_applier_params params;
    pthread_t thread;
    struct ph_txn_reader *reader;
    struct ph_apply_tables tables;
    struct ph_reshape *reshape;   /* for all who read: a change is folded before the next is read */
    struct ph_change_notes notes; /* of the group */
    struct ph_apply_target target;
    struct ph_early *early;   /* apply_early.h */
    struct ph_fold *folds[2]; /* one is filled while the other's statements are under way */
    struct ph_fold *fold;     /* that is filled */
    struct ph_field *filled;  /* of a row that apply_ranges.c has put together */
    uint32_t filled_room;
    bool is_idle;       /* as look has it */
    bool in_txn;        /* a transaction of the source is half read */
    bool is_filtered;   /* it may have changes that the copy has */
    bool must_replay;   /* the target refused a part of the group: the rest is only read */
    bool has_all;       /* all up to where the team meets was in the spool before the last read */
    bool has_met;       /* one of a team has come to where all meet */
    ph_lsn group_from;  /* position before the group that is filled */
    ph_lsn group_end;   /* end of its last whole transaction; 0: none */
    ph_lsn group_until; /* the group ends with this one; 0: when it is full */
    ph_lsn sound_end;   /* of the last transaction before what a replay failed at; 0: none did */
    uint32_t group_txns;
    uint32_t group_counted; /* of them: behind params.count_from */
    uint64_t group_skipped;
    int64_t group_us;  /* commit time of its last transaction */
    uint64_t group_ns; /* when its first one was whole */
    struct sent {      /* the group whose statements are under way */
        bool is_there;
        ph_lsn from;
        ph_lsn end;
        uint32_t txns;
        uint32_t counted;
        uint64_t changes;
        uint64_t skipped;
        int64_t us;
    } sent;
    struct ph_apply_fence fence;
    ph_lsn progress; /* nothing to apply before it; 0: the last commit says more */
    uint64_t advanced_ns;
    uint64_t nothing_ns; /* since when nothing has come; 0: the last event was one */
    uint64_t told_ns;
    atomic_uint_fast64_t end_lsn; /* 0: none */
    atomic_bool stop;
    atomic_bool leave;
    pthread_mutex_t lock; /* guards look */
    struct ph_applier_look look;
    ph_code rc; /* of the thread, after it ended */
    struct ph_error error;
};

/* Whether a failure is the rows' fault, so that going change by change may show or mend it. */
static inline bool
ph_applier_is_refusal(ph_code rc)
{
    return rc == PH_E_CONSTRAINT || rc == PH_E_DATA || rc == PH_E_SQL;
}

static inline bool
ph_applier_is_in_team(const struct ph_applier *applier)
{
    return applier->params.worker_of != NULL;
}

/* Of the team, the worker whose place it is; who is in none has all. */
static inline uint32_t
ph_applier_worker_of(const struct ph_applier *applier, const struct ph_apply_place *place)
{
    return ph_applier_is_in_team(applier)
               ? applier->params.worker_of[ph_apply_place_plan(place)->index]
               : applier->params.worker;
}

/* The places that changes of the table go to (ph_apply_tables_places). */
ph_code ph_applier_places(const struct ph_applier *applier, const struct ph_stream_rel *rel,
                          struct ph_apply_place **first, uint32_t *n, struct ph_error *err);
/*
 * What is there; out->table is NULL when the copy has the change (*verdict is PH_EPOCH_SKIP),
 * another worker applies it, or none is there. `is_filtered`: the copy may have some of `txn`,
 * which is NULL as long as it has not ended.
 */
ph_code ph_applier_table(struct ph_applier *applier, const struct ph_source_txn *txn,
                         bool is_filtered, const struct ph_stream_rel *rel,
                         struct ph_apply_place *place, enum ph_epoch_verdict *verdict,
                         struct ph_routed_table *out, struct ph_error *err);

struct ph_sifted { /* what is to be applied of a change of a row; points into itself */
    const struct ph_change *change; /* NULL: nothing */
    bool is_skipped;                /* because the copy has it */
    struct ph_routed_table to;
    struct ph_change made;
};
/* Of the event's change, for the place. Good until the next one. PH_E_TORN, and as
 * ph_applier_table. */
ph_code ph_applier_take(struct ph_applier *applier, const struct ph_txn_event *event,
                        struct ph_apply_place *place, bool is_filtered, struct ph_sifted *out,
                        struct ph_error *err);
/*
 * Whether the fold may take all that the event's change becomes, at all of its places: what comes
 * of one change is not parted, for the order of the places is none to apply it in.
 */
ph_code ph_applier_has_room(struct ph_applier *applier, const struct ph_txn_event *event,
                            bool is_filtered, const struct ph_fold *fold,
                            const struct ph_change_notes *notes, bool *has, struct ph_error *err);
/* Every reader that tables were found for ends so. */
void ph_applier_close_reader(struct ph_applier *applier, struct ph_txn_reader **reader);
/* A group is committed. */
void ph_applier_count(struct ph_applier *applier, const struct sent *group, bool is_replay);

/* What is in the spool and comes to it, until it is told to end; all that is applied is durable. */
ph_code ph_applier_work(struct ph_applier *applier, struct ph_error *err);
bool ph_applier_is_at_end(const struct ph_applier *applier);

/* ---- apply_group.c: a group is gathered, sent, committed; or replayed when it is refused ---- */

/* A new one is gathered, of what ends behind `from`. */
void ph_applier_next_group(struct ph_applier *applier, ph_lsn from);
/*
 * What is gathered goes to the target at once, in the group's transaction, whose end nobody knows
 * yet: the group has become too large, or a statement has to come before the rest.
 */
ph_code ph_applier_spill(struct ph_applier *applier, struct ph_error *err);
/* All of the group is read: it is sent, and the target works while the next one is gathered. */
ph_code ph_applier_end_group(struct ph_applier *applier, struct ph_error *err);
/* The group that is under way, if any: its statements are waited for and its COMMIT is queued. */
ph_code ph_applier_finish_sent(struct ph_applier *applier, struct ph_error *err);
/*
 * The position moves over what has no changes, up to `progress`. Nothing is open on the target;
 * what is gathered came behind that.
 */
ph_code ph_applier_advance(struct ph_applier *applier, struct ph_error *err);
/* All whole transactions that were read are committed on the target; none is under way there. */
ph_code ph_applier_settle(struct ph_applier *applier, struct ph_error *err);
/*
 * Without the transaction that is being read: what is whole of the group is read anew, and ends it.
 */
ph_code ph_applier_begin_group_again(struct ph_applier *applier, struct ph_error *err);

/* ---- apply_fence.c ---- */

void ph_applier_fence_init(struct ph_apply_fence *fence);
void ph_applier_fence_free(struct ph_apply_fence *fence);
/* A logical message, in a transaction. */
void ph_applier_fence_message(struct ph_applier *applier, const struct ph_txn_event *event);
/* Before the first change of a transaction, when the one before is whole. */
ph_code ph_applier_fence_begin(struct ph_applier *applier, const struct ph_source_txn *txn,
                               struct ph_error *err);
/* A transaction is whole, and part of the group. */
ph_code ph_applier_fence_commit(struct ph_applier *applier, const struct ph_source_txn *txn,
                                struct ph_error *err);

/* ---- apply_team.c: of one of a team ---- */

/*
 * Whether the event stands behind all that ends up to where the team meets. That is the end of a
 * commit, or a position between records: a commit that begins there or later ends behind it.
 */
bool ph_applier_is_to_meet(struct ph_applier *applier, const struct ph_txn_event *event);
/* Whether all up to there is in the spool now; before the first event. */
void ph_applier_look_for_all(struct ph_applier *applier);
/* Then that becomes its position, whatever it had to apply, and it ends. */
ph_code ph_applier_meet(struct ph_applier *applier, struct ph_error *err);

/* ---- apply_ranges.c ---- */

/*
 * What of the event's change is left where its table's ranges are of several epochs that do not
 * agree; out->to is not touched. PH_E_TORN: they cannot be brought together, filter->torn is set.
 */
ph_code ph_applier_sift(struct ph_applier *applier, const struct ph_txn_event *event,
                        const struct ph_apply_place *place, struct ph_sifted *out,
                        struct ph_error *err);

/* ---- apply_truncate.c ---- */

/* A TRUNCATE as one statement, or what empties the tables as it would; those that count, appended
 * to `sql` (empty: none does). PH_E_MEMORY, PH_E_UNSUPPORTED, and as ph_applier_table. */
ph_code ph_applier_put_truncate(struct ph_applier *applier, const struct ph_txn_reader *reader,
                                const struct ph_txn_event *event, bool is_filtered,
                                struct ph_buf *sql, struct ph_error *err);

/* ---- apply_replay.c ---- */

/*
 * All transactions that end in (from, end], read from the spool again, change by change in one
 * transaction on the target, which must have none open; commits it. A change that the target
 * refuses is left out or overwritten, and counted, or is PH_E_CONFLICT, as the policy says. After a
 * failure all is rolled back, and applier->sound_end says what can be done up to before it.
 */
ph_code ph_applier_replay(struct ph_applier *applier, ph_lsn from, ph_lsn end,
                          struct ph_error *err);
/*
 * The same of what ends in (target.applied, end], each transaction of the source in one of the
 * target's, committed for certain. Those before a failure stay; target.refused_end is the end of
 * the one whose COMMIT was refused, 0 when it was something else.
 */
ph_code ph_applier_replay_singly(struct ph_applier *applier, ph_lsn end, struct ph_error *err);

/* ---- apply_failure.c ---- */

/*
 * A statement for the table was refused, as `why` says. When that may be the doing of a key by
 * which the table refers to itself, `err` gets the way out: the source checked it behind its own
 * statement, and here it is checked behind every piece of that.
 */
void ph_applier_hint_own_key(const struct ph_applier *applier, const struct ph_apply_table *table,
                             const struct ph_error *why, struct ph_error *err);
/*
 * The work has ended with `rc`, for which `err` has the reason: transactions that were whole before
 * are brought to the target, where it is reachable. Returns what is to be told, in `err`: that, or
 * what these have met with in their turn.
 */
ph_code ph_applier_end_failed(struct ph_applier *applier, ph_code rc, struct ph_error *err);

#endif
