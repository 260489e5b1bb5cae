/*
 * Which changes of the stream the copy already has.
 *
 * An epoch is a snapshot that tables were copied under and L, the source's insert position read
 * after it was taken. A change of top-level transaction X on table T is skipped if and only if
 * commit_lsn(X) < L of T's epoch and X is visible in T's epoch. X is the xid of Begin, Stream Start
 * or Stream Commit, never the one inside a streamed change: a subtransaction's looks visible in
 * every snapshot. For a streamed transaction the decision falls at Stream Commit. The filter runs
 * before folding; a TRUNCATE is asked about for each of its tables.
 *
 * A table may have been copied in ranges of its key under several epochs. What is true of a table
 * then is true of each range by itself: an UPDATE that moves a row from one range to another is a
 * DELETE in the one and an INSERT in the other, a TRUNCATE is one of each range.
 *
 * Both halves are needed: visibility alone is wrong once 2^31 ids are used up, the position alone
 * because a commit can lie below L and not be visible in the snapshot.
 *
 * Belongs to one thread. Filled first (add_epoch, then add_table), then only asked and retired;
 * while nobody retires, several threads may ask.
 */
#ifndef PH_MODEL_EPOCH_FILTER_H
#define PH_MODEL_EPOCH_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "model/change.h"
#include "model/range_key.h"
#include "model/xid_snapshot.h"

struct ph_epoch_mark {
    uint32_t number; /* in the ledger, from 1 */
    ph_lsn lsn;      /* L; from retirement on no longer asked about */
    struct ph_xid_snapshot snapshot;
};

/* A source transaction as its commit tells it. */
struct ph_source_txn {
    uint32_t xid; /* top-level */
    ph_lsn
        commit_lsn; /* where the commit record begins: final_lsn of Begin, commit_lsn of Commit */
};

enum ph_epoch_verdict {
    PH_EPOCH_APPLY,
    PH_EPOCH_SKIP,     /* the copy has it */
    PH_EPOCH_BY_RANGE, /* some ranges of the table have it, others have not: ask for each */
    PH_EPOCH_UNKNOWN   /* no copy of this table is known here: not selected, or not copied yet */
};

/* How a table was copied that is of several epochs. */
struct ph_epoch_ranges {
    const char *column; /* of the source's table: the key */
    struct ph_range_type type;
    uint32_t n;                        /* ranges, at least 1 */
    const struct ph_range_key *bounds; /* n - 1, ascending: where each range but the first begins */
    const uint32_t *epochs;            /* n, the ledger's numbers */
};

struct ph_epoch_table; /* a place of the table of tables */

struct ph_epoch_filter {
    struct ph_arena arena; /* owns everything below */
    struct ph_epoch_mark *epochs;
    uint32_t n_epochs;
    uint32_t cap_epochs;
    struct ph_epoch_table *tables; /* open addressing, a power of two of places */
    uint32_t n_tables;
    uint32_t n_places;
    ph_lsn open_lsn;       /* the largest L that is not retired; 0: none */
    ph_lsn consistent_lsn; /* the largest L of all */
    /* Set by who applies: the table of the plan whose ranges cannot be brought together, + 1. */
    uint32_t torn;
};

void ph_epoch_filter_init(struct ph_epoch_filter *filter);
void ph_epoch_filter_reset(struct ph_epoch_filter *filter);

/*
 * An epoch; `snapshot` is its pg_current_snapshot(), whole. Numbers may come in any order, each
 * once. PH_E_PROTOCOL, PH_E_MEMORY.
 */
ph_code ph_epoch_filter_add_epoch(struct ph_epoch_filter *filter, uint32_t number, ph_lsn lsn,
                                  const char *snapshot, struct ph_error *err);
/*
 * A table of the source as a table of the plan copies it: `oid` is what the stream calls it by
 * (with publish_via_partition_root the root's, otherwise each leaf's, also when they were copied as
 * one), `planned` the plan's number, for its rows may take several routes that were copied under
 * different epochs. A second call gives it another epoch. PH_E_LEDGER when there is no such epoch.
 */
ph_code ph_epoch_filter_add_table(struct ph_epoch_filter *filter, ph_oid oid, uint32_t planned,
                                  uint32_t epoch, struct ph_error *err);

/*
 * A table that is of several epochs, instead of add_table. All is copied.
 */
ph_code ph_epoch_filter_add_ranges(struct ph_epoch_filter *filter, ph_oid oid, uint32_t planned,
                                   const struct ph_epoch_ranges *ranges, struct ph_error *err);

/*
 * Whether any change of a transaction with this commit may be one to skip. Once false it stays so
 * for all later ones of the stream, and need not be asked again.
 */
static inline bool
ph_epoch_filter_is_open(const struct ph_epoch_filter *filter, ph_lsn commit_lsn)
{
    return commit_lsn < filter->open_lsn;
}

/* What to do with the changes of a transaction on a table, for that table of the plan. */
enum ph_epoch_verdict ph_epoch_filter_decide(const struct ph_epoch_filter *filter,
                                             const struct ph_source_txn *txn, ph_oid oid,
                                             uint32_t planned);

/* Of a table that the answer was PH_EPOCH_BY_RANGE for; its ranges, with the epochs' numbers. */
const struct ph_epoch_ranges *ph_epoch_filter_ranges(const struct ph_epoch_filter *filter,
                                                     ph_oid oid, uint32_t planned);
/* Which of the ranges the key lies in, from 0. */
uint32_t ph_epoch_range_of(const struct ph_epoch_ranges *ranges, const struct ph_range_key *key);
/* What to do with changes of the transaction in that range: APPLY or SKIP. */
enum ph_epoch_verdict ph_epoch_filter_decide_in(const struct ph_epoch_filter *filter,
                                                const struct ph_source_txn *txn,
                                                const struct ph_epoch_ranges *ranges,
                                                uint32_t range);

/*
 * All commits below `position` are applied (the ledger's position, or what a progress frame behind
 * them says): epochs with L <= position are retired. Returns whether all are.
 */
bool ph_epoch_filter_retire(struct ph_epoch_filter *filter, ph_lsn position);

/* The target is consistent from here on: the largest L; 0 when there is no epoch. */
static inline ph_lsn
ph_epoch_filter_consistent_point(const struct ph_epoch_filter *filter)
{
    return filter->consistent_lsn;
}

#endif
