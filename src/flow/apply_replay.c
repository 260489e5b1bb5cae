/*
 * A group that the target refused, once more: read from the spool again and applied change by
 * change in the order of the source. A swap of unique values that no single statement can express
 * goes through this way; what does not go through is a conflict.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "flow/applier_parts.h"
#include "flow/apply_bounds.h"
#include "flow/apply_net.h"
#include "flow/row_key.h"
#include "pg/ledger_follow.h"

#define SQL_LIMIT ((size_t)16 << 20)
#define SKIP_CHANGES 100u /* sent at a time: each that is left out has them sent again */

static const char not_null_state[] = "23502";

struct replay {
    struct ph_applier *applier;
    struct ph_txn_reader *reader;
    struct ph_fold *fold;
    struct ph_change_notes notes;
    struct ph_apply_net net; /* of the change at hand */
    uint64_t *left_out;      /* statements of the fold at hand */
    size_t n_words;
    ph_lsn from;
    ph_lsn end;           /* 0: of the next transaction */
    ph_lsn whole_end;     /* of the last transaction that was read whole */
    ph_lsn checked_end;   /* of the last whose changes the target took, all of them */
    ph_lsn refused_after; /* end of the last before that of what was refused; 0: nothing was */
    struct ph_apply_bounds bounds; /* of the fold */
    struct sent done;
    bool is_filtered;
    bool is_over;
    uint64_t conflicts;
    uint32_t begun; /* transactions so far; and those of them that a lost connection cut off */
    uint32_t *cut;
    size_t n_cut;
    bool is_cut; /* the one at hand is */
    bool in_txn;
};

/* The changes that are added to the fold next are of a transaction behind whole_end. */
static ph_code
put_bound(struct replay *replay, struct ph_error *err)
{
    return ph_apply_bounds_put(&replay->bounds, ph_fold_changes(replay->fold), replay->whole_end,
                               err);
}

/* The target took all that the fold has. */
static ph_code
clear_fold(struct replay *replay, struct ph_error *err)
{
    ph_fold_clear(replay->fold);
    replay->checked_end = replay->whole_end;
    ph_apply_bounds_clear(&replay->bounds);
    return put_bound(replay, err);
}

/* ---- a refused statement ---- */

/*
 * PH_E_CONFLICT, with the row that it is about; its own reason where the refused statement is none
 * of the fold's, or what is wrong is not the row. `why` is not `err`.
 */
static ph_code
word_conflict(struct replay *replay, const struct ph_apply_refusal *refusal,
              const struct ph_error *why, struct ph_error *err)
{
    struct ph_apply_statement statement;
    char key[512];

    if (refusal->statement >= replay->n_words * 64) {
        replay->refused_after = replay->checked_end;
        *err = *why;
        return why->code;
    }
    PH_TRY(ph_apply_find_statement(&replay->applier->target, replay->fold, refusal->statement,
                                   &statement, err));
    replay->refused_after =
        ph_apply_bounds_find(&replay->bounds, statement.change, replay->checked_end);
    if (!refusal->is_miss && !ph_apply_is_about_rows(why)) {
        *err = *why;
        ph_error_note(err, "%s of %s", ph_apply_verb(statement.kind), statement.table->label);
        return why->code;
    }
    ph_apply_key_text(&statement, 0, ph_row_stand_in, key, sizeof key);
    if (refusal->is_miss)
        PH_FAIL(err, PH_E_CONFLICT, "%s of %s on the target: there is no such row",
                ph_apply_verb(statement.kind), key);
    else
        PH_FAIL(err, PH_E_CONFLICT, "%s of %s on the target: %s", ph_apply_verb(statement.kind),
                key, why->message);
    if (!refusal->is_miss && strcmp(why->sqlstate, not_null_state) == 0)
        ph_error_hint(err, "a column that the source has not yet: add it there as well, then give "
                           "the same command again; any other: drop its NOT NULL on the target "
                           "until the job is over");
    ph_error_object(err, "%s", statement.table->label);
    ph_applier_hint_own_key(replay->applier, statement.table, why, err);
    return PH_E_CONFLICT;
}

/* *changed: it has done something that others may rest on, which it will not do any more. */
static ph_code
take_refusal(struct replay *replay, const struct ph_apply_refusal *refusal,
             const struct ph_error *why, bool *changed, struct ph_error *err)
{
    uint32_t n;

    ph_code rc = word_conflict(replay, refusal, why, err);
    if (rc != PH_E_CONFLICT || replay->applier->params.on_conflict == PH_CONFLICT_STOP)
        return rc;
    ph_log_failure(PH_LOG_WARN, err);
    replay->conflicts++;
    PH_TRY(ph_apply_leave_out(&replay->applier->target, replay->fold, refusal->statement,
                              replay->left_out, replay->n_words, &n, err));
    *changed = !refusal->is_miss || refusal->rows > 0 || n > 1;
    return PH_OK;
}

/* All rows that were not there; behind what has changed something they would not be the same. */
static ph_code
take_refusals(struct replay *replay, const struct ph_apply_refusal *refusal,
              const struct ph_error *why, struct ph_error *err)
{
    struct ph_apply_refusal next = *refusal;
    bool changed;

    PH_TRY(take_refusal(replay, refusal, why, &changed, err));
    for (uint32_t i = 1; !changed && i < refusal->n_misses; i++) {
        next.statement = (uint32_t)refusal->misses[i].tag;
        next.expected_rows = refusal->misses[i].expected_rows;
        next.rows = refusal->misses[i].rows;
        PH_TRY(take_refusal(replay, &next, why, &changed, err));
    }
    return PH_OK;
}

/* ---- sending ---- */

/* An UPDATE by row is two statements. */
static ph_code
make_room(struct replay *replay, struct ph_error *err)
{
    size_t n = (size_t)ph_fold_changes(replay->fold) * 2 / 64 + 1;

    if (n > replay->n_words) {
        free(replay->left_out);
        replay->left_out = calloc(n, sizeof *replay->left_out);
        replay->n_words = replay->left_out != NULL ? n : 0;
    } else {
        memset(replay->left_out, 0, replay->n_words * sizeof *replay->left_out);
    }
    return replay->left_out != NULL ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

static ph_code
send_once(struct replay *replay, bool *refused, struct ph_apply_refusal *refusal,
          struct ph_error *err)
{
    struct ph_apply_target *target = &replay->applier->target;

    PH_TRY(ph_apply_send_plain(target, "RELEASE SAVEPOINT pghaul_group", err));
    PH_TRY(ph_apply_send_plain(target, "SAVEPOINT pghaul_group", err));
    PH_TRY(ph_apply_send(target, replay->fold, replay->left_out, err));
    return ph_apply_check(target, refused, refusal, err);
}

/* *refused: for the reason in `refusal` and `why`. */
static ph_code
try_once(struct replay *replay, bool *refused, struct ph_apply_refusal *refusal,
         struct ph_error *why, struct ph_error *err)
{
    ph_error_reset(why);
    replay->refused_after = 0;
    ph_code rc = send_once(replay, refused, refusal, why);
    if (rc != PH_OK)
        *err = *why;
    return rc;
}

/* Again without each statement that is refused. */
static ph_code
send(struct replay *replay, struct ph_error *err)
{
    struct ph_apply_refusal refusal;
    struct ph_error why;
    bool refused;

    PH_TRY(make_room(replay, err));
    for (;;) {
        PH_TRY(try_once(replay, &refused, &refusal, &why, err));
        if (!refused)
            break;
        PH_TRY(take_refusals(replay, &refusal, &why, err));
        PH_TRY(ph_apply_back_to_savepoint(&replay->applier->target, err));
    }
    return clear_fold(replay, err);
}

/* All of the fold that is gathered is sent: no savepoint is behind these rows any more. */
static ph_code
send_notes(struct replay *replay, struct ph_error *err)
{
    return ph_change_notes_send(&replay->notes, &replay->applier->target, err);
}

/*
 * A row that others refer to is updated; none is there when that misses it, be it that another
 * unique key had refused it: then it is to come, and what refuses it now is the conflict.
 */
static ph_code
overwrite(struct replay *replay, const struct ph_apply_table *table, const struct ph_change *change,
          struct ph_error *err)
{
    struct ph_change missing = *change;
    struct ph_apply_refusal refusal;
    struct ph_error why;
    bool refused;

    PH_TRY(ph_apply_back_to_savepoint(&replay->applier->target, err));
    ph_fold_clear(replay->fold);
    PH_TRY(ph_fold_overwrite(replay->fold, table, change, err));
    PH_TRY(try_once(replay, &refused, &refusal, &why, err));
    if (refused && refusal.is_miss && !table->may_split_moves) {
        missing.kind = PH_CHANGE_INSERT; /* what did not come is still in its old row */
        PH_TRY(ph_apply_back_to_savepoint(&replay->applier->target, err));
        ph_fold_clear(replay->fold);
        PH_TRY(ph_fold_add(replay->fold, table, &missing, err));
        PH_TRY(try_once(replay, &refused, &refusal, &why, err));
    }
    return refused ? word_conflict(replay, &refusal, &why, err) : PH_OK;
}

/*
 * The row is to be as the source has it, whatever is there: one change at a time, since it is
 * needed a second time when it does not go through.
 */
static ph_code
send_overwriting(struct replay *replay, const struct ph_apply_table *table,
                 const struct ph_change *change, struct ph_error *err)
{
    struct ph_apply_refusal refusal;
    struct ph_error why;
    bool refused;

    PH_TRY(make_room(replay, err));
    PH_TRY(try_once(replay, &refused, &refusal, &why, err));
    if (refused) {
        ph_code rc = word_conflict(replay, &refusal, &why, err);
        if (rc != PH_E_CONFLICT)
            return rc;
        ph_log_failure(PH_LOG_WARN, err);
        replay->conflicts++;
        PH_TRY(overwrite(replay, table, change, err));
    }
    return clear_fold(replay, err);
}

/* ---- reading ---- */

static ph_code
truncate(struct replay *replay, const struct ph_txn_event *event, struct ph_error *err)
{
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_LIMIT);
    ph_code rc = ph_applier_put_truncate(replay->applier, replay->reader, event,
                                         replay->is_filtered, &sql, err);
    if (rc == PH_OK && sql.len > 0) {
        rc = send(replay, err);
        if (rc == PH_OK)
            rc = ph_apply_send_plain(&replay->applier->target, ph_buf_text(&sql), err);
    }
    ph_buf_free(&sql);
    return rc;
}

static bool
is_enough(const struct replay *replay)
{
    return ph_fold_is_full(replay->fold) ||
           (replay->applier->params.on_conflict == PH_CONFLICT_SKIP &&
            ph_fold_changes(replay->fold) >= SKIP_CHANGES);
}

static ph_code
make_room_for(struct replay *replay, const struct ph_txn_event *event, struct ph_error *err)
{
    bool has;

    PH_TRY(ph_applier_has_room(replay->applier, event, replay->is_filtered, replay->fold,
                               &replay->notes, &has, err));
    if (has && !is_enough(replay))
        return PH_OK;
    PH_TRY(send(replay, err));
    return ph_change_notes_is_full(&replay->notes) ? send_notes(replay, err) : PH_OK;
}

/* What the change becomes, at all of its places. */
static ph_code
gather(struct replay *replay, const struct ph_txn_event *event, struct ph_error *err)
{
    struct ph_applier *applier = replay->applier;
    struct ph_apply_place *place;
    struct ph_reshaped made;
    struct ph_sifted sifted;
    uint32_t n;

    ph_apply_net_clear(&replay->net);
    PH_TRY(ph_applier_places(applier, event->event->rel, &place, &n, err));
    for (; n > 0; n--, place = ph_apply_place_next(place)) {
        PH_TRY(ph_applier_take(applier, event, place, replay->is_filtered, &sifted, err));
        replay->done.skipped += sifted.is_skipped;
        if (sifted.change == NULL)
            continue;
        PH_TRY(ph_reshape_change(applier->reshape, &sifted.to, sifted.change, &replay->notes, &made,
                                 err));
        replay->done.changes += made.n;
        PH_TRY(ph_apply_net_add(&replay->net, sifted.to.table, &made, n > 1, err));
    }
    return ph_apply_net_settle(&replay->net, err);
}

/* One by one where conflicts are overwritten: then nothing is left out, and nothing held with it.
 */
static ph_code
add_piece(struct replay *replay, uint32_t i, struct ph_error *err)
{
    struct ph_net_piece *piece = &replay->net.pieces[i];
    bool overwrites = replay->applier->params.on_conflict == PH_CONFLICT_OVERWRITE;

    piece->number = ph_fold_changes(replay->fold);
    if (piece->with < i && !overwrites)
        return ph_fold_add_as(replay->fold, piece->table, &piece->change,
                              replay->net.pieces[piece->with].number, err);
    PH_TRY(ph_fold_add(replay->fold, piece->table, &piece->change, err));
    return overwrites ? send_overwriting(replay, piece->table, &piece->change, err) : PH_OK;
}

static ph_code
take_change(struct replay *replay, const struct ph_txn_event *event, struct ph_error *err)
{
    if (event->event->change.kind == PH_CHANGE_TRUNCATE)
        return truncate(replay, event, err);
    PH_TRY(make_room_for(replay, event, err));
    PH_TRY(gather(replay, event, err));
    for (uint32_t i = 0; i < replay->net.n; i++)
        PH_TRY(add_piece(replay, i, err));
    return PH_OK;
}

static ph_code
take_begin(struct replay *replay, const struct ph_txn_event *event, struct ph_error *err)
{
    replay->is_filtered =
        ph_epoch_filter_is_open(replay->applier->params.filter, event->txn.commit_lsn);
    replay->in_txn = true;
    replay->is_cut = false;
    for (size_t i = 0; i < replay->n_cut; i++)
        replay->is_cut |= replay->cut[i] == replay->begun;
    replay->begun++;
    return put_bound(replay, err);
}

static void
take_commit(struct replay *replay, const struct ph_txn_event *event)
{
    replay->in_txn = false;
    replay->is_over = event->end_lsn >= replay->end;
    replay->whole_end = event->end_lsn;
    replay->done.txns++;
    replay->done.counted += event->end_lsn > replay->applier->params.count_from;
    replay->done.us = event->time_us;
}

static ph_code
begin_again(struct replay *replay, struct ph_error *err)
{
    struct ph_applier *applier = replay->applier;

    replay->begun = 0;
    replay->conflicts = 0;
    replay->whole_end = replay->checked_end = replay->from;
    ph_apply_bounds_clear(&replay->bounds);
    replay->done = (struct sent){0};
    ph_fold_clear(replay->fold);
    ph_change_notes_clear(&replay->notes);
    ph_applier_close_reader(applier, &replay->reader);
    PH_TRY(ph_apply_rollback(&applier->target, err));
    PH_TRY(ph_txn_reader_open(applier->params.spool, replay->from, &replay->reader, err));
    return ph_apply_begin(&applier->target, replay->from, replay->end, err);
}

/*
 * A connection was lost in the middle of a transaction, which comes again whole. What was applied
 * of it has to go: all from the beginning, now knowing which one to leave out.
 */
static ph_code
take_void(struct replay *replay, struct ph_error *err)
{
    bool is_known = !replay->in_txn || replay->is_cut;

    replay->in_txn = false;
    replay->is_cut = false;
    if (is_known)
        return PH_OK;
    uint32_t *cut = realloc(replay->cut, (replay->n_cut + 1) * sizeof *cut);
    if (cut == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    replay->cut = cut;
    cut[replay->n_cut++] = replay->begun - 1;
    return begin_again(replay, err);
}

static ph_code
take(struct replay *replay, const struct ph_txn_event *event, struct ph_error *err)
{
    switch (event->step) {
    case PH_TXN_BEGIN:
        return take_begin(replay, event, err);
    case PH_TXN_CHANGE:
        return replay->is_cut ? PH_OK : take_change(replay, event, err);
    case PH_TXN_COMMIT:
        take_commit(replay, event);
        return PH_OK;
    case PH_TXN_NOTHING:
        return PH_FAIL(err, PH_E_INTERNAL, "the spool does not have what it gave before");
    case PH_TXN_VOID:
        return take_void(replay, err);
    case PH_TXN_MESSAGE:
    case PH_TXN_PROGRESS:
    case PH_TXN_BLOCK:
    case PH_TXN_BLOCK_ABORT:
    case PH_TXN_BLOCK_COMMIT:
        return PH_OK;
    }
    return PH_OK;
}

/* Counted by the transaction that goes without them. */
static ph_code
note_conflicts(struct replay *replay, struct ph_error *err)
{
    struct ph_buf sql;

    if (replay->conflicts == 0)
        return PH_OK;
    ph_buf_init(&sql, SQL_LIMIT);
    ph_ledger_put_add_conflicts(&sql, replay->applier->params.job, replay->conflicts);
    ph_code rc = ph_buf_ok(&sql)
                     ? ph_apply_send_plain(&replay->applier->target, ph_buf_text(&sql), err)
                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    return rc;
}

/* One transaction of the target. */
static ph_code
run(struct replay *replay, struct ph_error *err)
{
    struct ph_apply_target *target = &replay->applier->target;
    struct ph_txn_event event;

    PH_TRY(ph_apply_begin(target, replay->from, replay->end, err));
    while (!replay->is_over) {
        PH_TRY(ph_txn_reader_next(replay->reader, 0, &event, err));
        PH_TRY(take(replay, &event, err));
    }
    PH_TRY(send(replay, err));
    PH_TRY(send_notes(replay, err));
    PH_TRY(note_conflicts(replay, err));
    if (replay->end == 0)
        PH_TRY(ph_apply_end(target, replay->whole_end, err));
    PH_TRY(ph_apply_expect(target, err));
    return ph_apply_commit(target, err);
}

/* After a failure, whose reason is known; this one's is not. */
static void
roll_back(struct ph_apply_target *target)
{
    ph_code rc = target->is_open ? ph_apply_rollback(target, NULL) : PH_OK;

    (void)rc; /* a connection that is gone has rolled back too */
}

/* Up to where the target would have taken all; not a word of what is wrong at the end itself. */
static ph_lsn
sound_end(const struct replay *replay)
{
    if (replay->refused_after != 0)
        return replay->refused_after;
    return replay->is_over ? replay->from : replay->whole_end;
}

static void
note_success(struct replay *replay)
{
    struct ph_applier *applier = replay->applier;

    ph_applier_count(applier, &replay->done, true);
    pthread_mutex_lock(&applier->lock);
    applier->look.conflicts += replay->conflicts;
    pthread_mutex_unlock(&applier->lock);
}

static ph_code
open_replay(struct replay *replay, struct ph_error *err)
{
    struct ph_applier *applier = replay->applier;

    replay->whole_end = replay->checked_end = replay->from;
    ph_change_notes_init(&replay->notes, applier->params.job, PH_ORPHANS_GROUPS);
    ph_apply_net_init(&replay->net);
    replay->fold = ph_fold_new(PH_FOLD_REPLAY, applier->params.group_bytes);
    return replay->fold != NULL
               ? ph_txn_reader_open(applier->params.spool, replay->from, &replay->reader, err)
               : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

static void
close_replay(struct replay *replay)
{
    ph_applier_close_reader(replay->applier, &replay->reader);
    ph_fold_free(replay->fold);
    ph_change_notes_free(&replay->notes);
    ph_apply_net_free(&replay->net);
    free(replay->left_out);
    ph_apply_bounds_free(&replay->bounds);
    free(replay->cut);
}

ph_code
ph_applier_replay(struct ph_applier *applier, ph_lsn from, ph_lsn end, struct ph_error *err)
{
    struct replay replay = {.applier = applier, .from = from, .end = end};

    applier->sound_end = from;
    ph_code rc = open_replay(&replay, err);
    if (rc == PH_OK)
        rc = run(&replay, err);
    if (rc == PH_OK) {
        note_success(&replay);
        applier->sound_end = 0;
    } else {
        roll_back(&applier->target);
        applier->sound_end = sound_end(&replay);
    }
    close_replay(&replay);
    return rc;
}

/* The next transaction of the source as one of the target, until that is committed for certain. */
static ph_code
run_next(struct replay *replay, struct ph_error *err)
{
    struct ph_apply_target *target = &replay->applier->target;

    replay->from = target->applied;
    replay->is_over = false;
    replay->done = (struct sent){0};
    replay->conflicts = 0;
    replay->begun = 0;
    replay->n_cut = 0;
    PH_TRY(run(replay, err));
    ph_code rc = ph_apply_settle(target, err);
    if (rc == PH_OK)
        note_success(replay);
    return rc;
}

ph_code
ph_applier_replay_singly(struct ph_applier *applier, ph_lsn end, struct ph_error *err)
{
    struct replay replay = {.applier = applier, .from = applier->target.applied};

    applier->target.refused_end = 0;
    ph_code rc = open_replay(&replay, err);
    while (rc == PH_OK && applier->target.applied < end)
        rc = run_next(&replay, err);
    if (rc != PH_OK)
        roll_back(&applier->target);
    applier->sound_end = applier->target.applied;
    close_replay(&replay);
    return rc;
}
