#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/stop.h"
#include "flow/applier_parts.h"
#include "flow/apply_early.h"

#define WAIT_MS 200u
#define TELL_EVERY_S 0.2
#define ADVANCE_EVERY_S 10.0
#define STALLED_S 2.0
#define SQL_LIMIT ((size_t)16 << 20)
#define BEHIND_US 500000
#define GATHER_MS 300u
#define MOST_TRANSACTIONS 20000u /* of a group: what is lost when it has to be done again */

/* ---- which table ---- */

ph_code
ph_applier_places(const struct ph_applier *applier, const struct ph_stream_rel *rel,
                  struct ph_apply_place **first, uint32_t *n, struct ph_error *err)
{
    if (rel == NULL)
        return PH_FAIL(err, PH_E_PROTOCOL, "a change of a table that was not announced");
    *first = ph_apply_tables_places(&applier->tables, rel->oid, n);
    return PH_OK;
}

ph_code
ph_applier_table(struct ph_applier *applier, const struct ph_source_txn *txn, bool is_filtered,
                 const struct ph_stream_rel *rel, struct ph_apply_place *place,
                 enum ph_epoch_verdict *verdict, struct ph_routed_table *out, struct ph_error *err)
{
    *out = (struct ph_routed_table){0};
    *verdict = PH_EPOCH_APPLY;
    if (ph_applier_worker_of(applier, place) != applier->params.worker)
        return PH_OK;
    if (is_filtered) {
        *verdict = ph_epoch_filter_decide(applier->params.filter, txn, rel->oid,
                                          ph_apply_place_plan(place)->index);
        if (*verdict == PH_EPOCH_SKIP || *verdict == PH_EPOCH_UNKNOWN)
            return PH_OK;
    }
    return ph_apply_tables_find(&applier->tables, place, rel, txn != NULL ? txn->commit_lsn : 0,
                                out, err);
}

ph_code
ph_applier_take(struct ph_applier *applier, const struct ph_txn_event *event,
                struct ph_apply_place *place, bool is_filtered, struct ph_sifted *out,
                struct ph_error *err)
{
    enum ph_epoch_verdict verdict;
    struct ph_routed_table to;

    *out = (struct ph_sifted){0};
    PH_TRY(ph_applier_table(applier, &event->txn, is_filtered, event->event->rel, place, &verdict,
                            &to, err));
    if (verdict == PH_EPOCH_BY_RANGE)
        PH_TRY(ph_applier_sift(applier, event, place, out, err));
    else if (to.table != NULL)
        out->change = &event->event->change;
    out->is_skipped =
        verdict == PH_EPOCH_SKIP || (verdict == PH_EPOCH_BY_RANGE && out->change == NULL);
    out->to = to;
    return PH_OK;
}

ph_code
ph_applier_has_room(struct ph_applier *applier, const struct ph_txn_event *event, bool is_filtered,
                    const struct ph_fold *fold, const struct ph_change_notes *notes, bool *has,
                    struct ph_error *err)
{
    bool is_full = ph_fold_is_full(fold) || ph_change_notes_is_full(notes);
    enum ph_epoch_verdict verdict;
    struct ph_apply_place *place;
    struct ph_routed_table to;
    uint32_t n;

    *has = true;
    PH_TRY(ph_applier_places(applier, event->event->rel, &place, &n, err));
    for (; *has && n > 0; n--, place = ph_apply_place_next(place)) {
        PH_TRY(ph_applier_table(applier, &event->txn, is_filtered, event->event->rel, place,
                                &verdict, &to, err));
        *has = to.table == NULL || (!is_full && ph_fold_takes(fold, to.table));
    }
    return PH_OK;
}

void
ph_applier_close_reader(struct ph_applier *applier, struct ph_txn_reader **reader)
{
    ph_txn_reader_close(*reader);
    *reader = NULL;
    ph_apply_tables_forget_rels(&applier->tables);
}

/* ---- what others see ---- */

static void
tell(struct ph_applier *applier)
{
    const struct ph_apply_target *target = &applier->target;

    if (!ph_applier_is_in_team(applier)) /* whose workers share it */
        (void)ph_epoch_filter_retire(applier->params.filter, target->applied);
    applier->told_ns = ph_clock_ns();
    if (applier->params.moved != NULL)
        applier->params.moved(applier->params.arg, target->applied, target->durable);
    pthread_mutex_lock(&applier->lock);
    applier->look.applied = target->applied;
    applier->look.durable = target->durable;
    applier->look.read = applier->group_end != 0 ? applier->group_end : applier->look.read;
    pthread_mutex_unlock(&applier->lock);
}

void
ph_applier_count(struct ph_applier *applier, const struct sent *group, bool is_replay)
{
    pthread_mutex_lock(&applier->lock);
    applier->look.transactions += group->txns;
    applier->look.counted += group->counted;
    applier->look.changes += group->changes;
    applier->look.skipped += group->skipped;
    applier->look.groups++;
    applier->look.replays += is_replay;
    applier->look.applied_us = group->us;
    pthread_mutex_unlock(&applier->lock);
}

/* ---- how long a group may wait ---- */

static bool
wants_end(const struct ph_applier *applier)
{
    ph_lsn end = atomic_load(&applier->end_lsn);

    return end != 0 && !applier->in_txn && applier->group_end >= end;
}

/*
 * How long the group may wait for more, although nothing lies in the spool. Far behind the source
 * that is worth it: fewer and larger groups cost the target less. 0: not at all.
 */
static uint32_t
gather_ms(const struct ph_applier *applier)
{
    const struct ph_applier_params *params = &applier->params;

    if (applier->in_txn || applier->group_txns == 0 || params->source_clock == NULL ||
        wants_end(applier) || params->source_clock(params->arg) - applier->group_us < BEHIND_US)
        return 0;
    uint64_t ms = (ph_clock_ns() - applier->group_ns) / 1000000;
    return ms < GATHER_MS ? GATHER_MS - (uint32_t)ms : 0;
}

/* ---- events ---- */

/*
 * The server refuses to truncate what deferred constraints are still to be checked of. The source
 * had checked them at the ends of earlier transactions: the group has to end there, too.
 */
static bool
is_to_end_before(const struct ph_applier *applier)
{
    return applier->params.tables.enforces_keys && applier->group_txns > 0;
}

static ph_code
take_truncate(struct ph_applier *applier, const struct ph_txn_event *event, struct ph_error *err)
{
    struct ph_buf sql;
    ph_code rc;

    ph_buf_init(&sql, SQL_LIMIT);
    rc = ph_applier_put_truncate(applier, applier->reader, event, applier->is_filtered, &sql, err);
    if (rc == PH_OK && sql.len > 0 && is_to_end_before(applier)) {
        ph_early_begin_again(applier->early);
        rc = ph_applier_begin_group_again(applier, err);
    } else if (rc == PH_OK && sql.len > 0) {
        rc = ph_applier_spill(applier, err);
        if (rc == PH_OK && !applier->must_replay)
            rc = ph_apply_send_plain(&applier->target, ph_buf_text(&sql), err);
    }
    ph_buf_free(&sql);
    return rc;
}

static ph_code
make_room(struct ph_applier *applier, const struct ph_txn_event *event, struct ph_error *err)
{
    bool has;

    PH_TRY(ph_applier_has_room(applier, event, applier->is_filtered, applier->fold, &applier->notes,
                               &has, err));
    return has ? PH_OK : ph_applier_spill(applier, err);
}

static ph_code
add_change(struct ph_applier *applier, const struct ph_routed_table *to,
           const struct ph_change *change, struct ph_error *err)
{
    struct ph_reshaped reshaped;

    PH_TRY(ph_reshape_change(applier->reshape, to, change, &applier->notes, &reshaped, err));
    for (uint32_t i = 0; i < reshaped.n; i++)
        PH_TRY(ph_fold_add(applier->fold, to->table, &reshaped.changes[i], err));
    return PH_OK;
}

static ph_code
take_change(struct ph_applier *applier, const struct ph_txn_event *event, struct ph_error *err)
{
    struct ph_apply_place *place;
    struct ph_sifted sifted;
    uint32_t n;

    if (event->event->change.kind == PH_CHANGE_TRUNCATE)
        return take_truncate(applier, event, err);
    if (!applier->must_replay)
        PH_TRY(make_room(applier, event, err));
    PH_TRY(ph_applier_places(applier, event->event->rel, &place, &n, err));
    for (; n > 0; n--, place = ph_apply_place_next(place)) {
        PH_TRY(ph_applier_take(applier, event, place, applier->is_filtered, &sifted, err));
        applier->group_skipped += sifted.is_skipped;
        if (sifted.change != NULL && !applier->must_replay)
            PH_TRY(add_change(applier, &sifted.to, sifted.change, err));
    }
    return PH_OK;
}

/*
 * Blocks that are void by here are read no more: what is read again, from the group's beginning,
 * passes them by. Workers of a team are not all here.
 */
static void
pass(const struct ph_applier *applier, const struct ph_txn_event *event)
{
    if (!ph_applier_is_in_team(applier))
        ph_spool_has_passed(applier->params.spool, event->place);
}

/*
 * A connection was lost in the middle of a transaction, which comes again whole. What the group has
 * of it has to go, and cannot be told from the rest: the group's whole transactions are read once
 * more, and end it. Without any there is nothing to read again; the reader would come to the same
 * place for ever.
 */
static ph_code
take_void(struct ph_applier *applier, const struct ph_txn_event *event, struct ph_error *err)
{
    ph_early_void(applier->early);
    pass(applier, event);
    return applier->in_txn ? ph_applier_begin_group_again(applier, err) : PH_OK;
}

/* Parts of the group are on the target already; the one before it may be open there, too. */
static bool
is_spilled(const struct ph_applier *applier)
{
    return applier->target.is_open && !applier->sent.is_there;
}

static ph_code
take_commit(struct ph_applier *applier, const struct ph_txn_event *event, struct ph_error *err)
{
    applier->in_txn = false;
    applier->group_end = event->end_lsn;
    applier->group_us = event->time_us;
    if (applier->group_txns++ == 0)
        applier->group_ns = ph_clock_ns();
    applier->group_counted += event->end_lsn > applier->params.count_from;
    bool is_last = applier->group_until != 0 && event->end_lsn >= applier->group_until;
    if (is_spilled(applier) || applier->must_replay || ph_fold_is_full(applier->fold) ||
        applier->group_txns >= MOST_TRANSACTIONS || is_last)
        PH_TRY(ph_applier_end_group(applier, err));
    return ph_applier_fence_commit(applier, &event->txn, err);
}

/* The position moves over what has no changes, but not for every keepalive. */
static ph_code
advance_sometimes(struct ph_applier *applier, struct ph_error *err)
{
    ph_lsn end = atomic_load(&applier->end_lsn);
    ph_lsn lsn = applier->progress;

    if (lsn <= applier->target.applied ||
        (ph_clock_seconds_since(applier->advanced_ns) < ADVANCE_EVERY_S &&
         !(end != 0 && lsn >= end) && applier->params.filter->open_lsn == 0))
        return PH_OK;
    PH_TRY(ph_applier_advance(applier, err));
    tell(applier);
    return PH_OK;
}

static ph_code
take_progress(struct ph_applier *applier, ph_lsn lsn, struct ph_error *err)
{
    PH_TRY(ph_applier_settle(applier, err));
    if (lsn <= applier->target.applied)
        return PH_OK;
    applier->progress = lsn;
    return advance_sometimes(applier, err);
}

/* A streamed transaction that was applied as it arrived has only its commit left. */
static ph_code
take_block_commit(struct ph_applier *applier, const struct ph_txn_event *event,
                  struct ph_error *err)
{
    struct sent group;
    bool done;

    PH_TRY(ph_applier_fence_begin(applier, &event->txn, err));
    PH_TRY(ph_early_commit(applier->early, event, &done, &group, err));
    if (!done)
        return PH_OK;
    ph_txn_reader_leave_out(applier->reader);
    ph_applier_count(applier, &group, false);
    applier->group_end = event->end_lsn;
    tell(applier);
    ph_applier_next_group(applier, event->end_lsn);
    return ph_applier_fence_commit(applier, &event->txn, err);
}

/*
 * In the middle of a transaction nothing comes any more. What is whole of the group does not wait
 * for the rest of it: that may wait in its turn, for room in a full spool, until the former is
 * pruned. The two cannot be told apart, so the group's whole ones are read once more, and end it.
 */
static ph_code
take_stall(struct ph_applier *applier, struct ph_error *err)
{
    if (applier->nothing_ns == 0)
        applier->nothing_ns = ph_clock_ns();
    if (!applier->in_txn || applier->group_txns == 0 ||
        ph_clock_seconds_since(applier->nothing_ns) < STALLED_S)
        return PH_OK;
    ph_early_begin_again(applier->early);
    return ph_applier_begin_group_again(applier, err);
}

/* None may come any more: a full spool waits for what lies before this one to be pruned. */
static ph_code
let_spool_go(struct ph_applier *applier, struct ph_error *err)
{
    PH_TRY(advance_sometimes(applier, err));
    if (applier->target.durable < applier->target.applied &&
        ph_clock_seconds_since(applier->target.made_durable_ns) > 1.0)
        PH_TRY(ph_apply_make_durable(&applier->target, err));
    return PH_OK;
}

static ph_code
take_nothing(struct ph_applier *applier, struct ph_error *err)
{
    if (gather_ms(applier) > 0) {
        PH_TRY(ph_applier_finish_sent(applier, err));
        return ph_apply_settle(&applier->target, err);
    }
    PH_TRY(ph_applier_settle(applier, err));
    if (!applier->in_txn) /* what is before it would still be gathered */
        PH_TRY(ph_early_idle(applier->early, err));
    /* in the transaction of a group of which parts are on the target, nothing would be durable */
    if (!applier->target.is_open)
        PH_TRY(let_spool_go(applier, err));
    PH_TRY(take_stall(applier, err));
    tell(applier);
    return PH_OK;
}

static void
set_idle(struct ph_applier *applier, bool is_idle)
{
    if (applier->is_idle == is_idle)
        return;
    applier->is_idle = is_idle;
    pthread_mutex_lock(&applier->lock);
    applier->look.is_idle = is_idle;
    pthread_mutex_unlock(&applier->lock);
}

static ph_code
take(struct ph_applier *applier, const struct ph_txn_event *event, struct ph_error *err)
{
    if (event->step != PH_TXN_NOTHING)
        applier->nothing_ns = 0;
    if (event->step == PH_TXN_NOTHING || event->step == PH_TXN_BEGIN)
        set_idle(applier, event->step == PH_TXN_NOTHING && !applier->in_txn);
    if (ph_applier_is_in_team(applier) && ph_applier_is_to_meet(applier, event))
        return ph_applier_meet(applier, err);

    switch (event->step) {
    case PH_TXN_NOTHING:
        return take_nothing(applier, err);
    case PH_TXN_VOID:
        return take_void(applier, event, err);
    case PH_TXN_BEGIN:
        PH_TRY(ph_applier_fence_begin(applier, &event->txn, err));
        applier->in_txn = true;
        applier->is_filtered =
            ph_epoch_filter_is_open(applier->params.filter, event->txn.commit_lsn);
        return PH_OK;
    case PH_TXN_CHANGE:
        return take_change(applier, event, err);
    case PH_TXN_MESSAGE:
        ph_applier_fence_message(applier, event);
        return PH_OK;
    case PH_TXN_BLOCK:
        return ph_early_block(applier->early, event, err);
    case PH_TXN_BLOCK_ABORT:
        ph_early_abort(applier->early, event);
        pass(applier, event);
        return PH_OK;
    case PH_TXN_BLOCK_COMMIT:
        return take_block_commit(applier, event, err);
    case PH_TXN_COMMIT:
        return take_commit(applier, event, err);
    case PH_TXN_PROGRESS:
        /* one of a team gets to a position of its own by commits, and to where all meet */
        return ph_applier_is_in_team(applier) ? PH_OK : take_progress(applier, event->end_lsn, err);
    }
    return PH_OK;
}

/* ---- from the spool's beginning to the end ---- */

bool
ph_applier_is_at_end(const struct ph_applier *applier)
{
    ph_lsn end = atomic_load(&applier->end_lsn);

    return end != 0 && applier->target.applied >= end;
}

/* Groups are told about when they are over, but not each of thousands a second. */
static void
tell_sometimes(struct ph_applier *applier)
{
    if (ph_clock_seconds_since(applier->told_ns) >= TELL_EVERY_S)
        tell(applier);
}

/* How long to wait for more: not at all while there is something to bring to its end. */
static uint32_t
patience_ms(const struct ph_applier *applier)
{
    if (applier->sent.is_there || applier->target.committing != 0 || applier->has_all)
        return 0;
    return applier->group_txns == 0 || applier->in_txn ? WAIT_MS : gather_ms(applier);
}

/* Asked to leave, and nothing is begun that another applier could not go on with. */
static bool
may_leave(const struct ph_applier *applier)
{
    return atomic_load(&applier->leave) && !applier->in_txn &&
           applier->fence.step == PH_FENCE_NONE && !ph_early_is_on(applier->early);
}

static ph_code
work(struct ph_applier *applier, struct ph_error *err)
{
    struct ph_txn_event event;

    while (!atomic_load(&applier->stop) && !ph_stop_requested()) {
        PH_TRY(ph_txn_reader_next(applier->reader, patience_ms(applier), &event, err));
        PH_TRY(take(applier, &event, err));
        if (event.step == PH_TXN_COMMIT)
            tell_sometimes(applier);
        if (wants_end(applier))
            PH_TRY(ph_applier_settle(applier, err));
        if (ph_applier_is_at_end(applier) || applier->has_met || may_leave(applier))
            break;
    }
    return PH_OK;
}

/* Also of a part of a transaction: it is rolled back. */
static ph_code
wind_up(struct ph_applier *applier, struct ph_error *err)
{
    ph_early_give_way(applier->early);
    if (!applier->in_txn)
        PH_TRY(ph_applier_settle(applier, err));
    PH_TRY(ph_applier_finish_sent(applier, err));
    if (applier->target.is_open)
        PH_TRY(ph_apply_rollback(&applier->target, err));
    PH_TRY(ph_apply_make_durable(&applier->target, err));
    tell(applier);
    return PH_OK;
}

ph_code
ph_applier_work(struct ph_applier *applier, struct ph_error *err)
{
    ph_code rc = work(applier, err);

    if (rc == PH_OK)
        rc = wind_up(applier, err);
    if (rc == PH_OK)
        return PH_OK;
    rc = ph_applier_end_failed(applier, rc, err);
    tell(applier);
    return rc;
}
