#include "base/clock.h"
#include "flow/applier_parts.h"
#include "flow/apply_early.h"

static struct sent
describe_group(const struct ph_applier *applier)
{
    return (struct sent){
        .is_there = true,
        .from = applier->group_from,
        .end = applier->group_end,
        .txns = applier->group_txns,
        .counted = applier->group_counted,
        .changes = ph_fold_changes(applier->fold),
        .skipped = applier->group_skipped,
        .us = applier->group_us,
    };
}

void
ph_applier_next_group(struct ph_applier *applier, ph_lsn from)
{
    applier->group_from = from;
    applier->group_end = 0;
    applier->group_txns = 0;
    applier->group_counted = 0;
    applier->group_skipped = 0;
    applier->group_until = 0;
    applier->must_replay = false;
    ph_fold_clear(applier->fold);
    ph_change_notes_clear(&applier->notes);
}

/* What of the group is gathered. */
static ph_code
send_group(struct ph_applier *applier, struct ph_error *err)
{
    PH_TRY(ph_apply_send(&applier->target, applier->fold, NULL, err));
    return ph_change_notes_send(&applier->notes, &applier->target, err);
}

/*
 * Whether a failure is the fault of the group's rows. The COMMIT of the group before goes out with
 * its first statements, and may be what has failed: then that one is not on the target.
 */
static bool
is_refusal(const struct ph_applier *applier, ph_code rc)
{
    return ph_applier_is_refusal(rc) && applier->target.refused_end == 0;
}

/* Change by change; what is under way must have been finished. */
static ph_code
replay(struct ph_applier *applier, const struct sent *group, struct ph_error *err)
{
    ph_early_give_way(applier->early);
    return ph_applier_replay(applier, group->from, group->end, err);
}

ph_code
ph_applier_finish_sent(struct ph_applier *applier, struct ph_error *err)
{
    struct sent group = applier->sent;
    struct ph_apply_refusal refusal;
    bool refused;

    if (!group.is_there)
        return PH_OK;
    PH_TRY(ph_apply_check(&applier->target, &refused, &refusal, err));
    applier->sent.is_there = false;
    if (refused) {
        PH_TRY(ph_apply_rollback(&applier->target, err));
        return replay(applier, &group, err);
    }
    PH_TRY(ph_apply_commit(&applier->target, err));
    ph_applier_count(applier, &group, false);
    return PH_OK;
}

ph_code
ph_applier_advance(struct ph_applier *applier, struct ph_error *err)
{
    PH_TRY(ph_apply_settle(&applier->target, err));
    if (applier->progress <= applier->target.applied)
        return PH_OK;
    PH_TRY(ph_apply_advance(&applier->target, applier->progress, err));
    applier->advanced_ns = ph_clock_ns();
    applier->group_from = applier->progress;
    return PH_OK;
}

/*
 * Nobody knows how long the group will stay open, and with it the session: what was applied before
 * would not become durable meanwhile, nor the spool be rid of it.
 */
static ph_code
begin_spilled(struct ph_applier *applier, struct ph_error *err)
{
    PH_TRY(ph_applier_advance(applier, err));
    PH_TRY(ph_apply_make_durable(&applier->target, err));
    return ph_apply_begin(&applier->target, applier->group_from, 0, err);
}

static ph_code
spill(struct ph_applier *applier, struct ph_error *err)
{
    struct ph_apply_refusal refusal;
    bool refused = false;
    ph_code rc = PH_OK;

    if (applier->must_replay) {
        ph_fold_clear(applier->fold);
        ph_change_notes_clear(&applier->notes);
        return PH_OK;
    }
    if (!applier->target.is_open)
        PH_TRY(begin_spilled(applier, err));
    rc = send_group(applier, err);
    if (rc == PH_OK)
        rc = ph_apply_check(&applier->target, &refused, &refusal, err);
    ph_fold_clear(applier->fold);
    ph_change_notes_clear(&applier->notes);
    if (rc != PH_OK && !is_refusal(applier, rc))
        return rc;
    if (rc != PH_OK || refused) {
        applier->must_replay = true;
        return ph_apply_rollback(&applier->target, err);
    }
    return PH_OK;
}

ph_code
ph_applier_spill(struct ph_applier *applier, struct ph_error *err)
{
    PH_TRY(ph_applier_finish_sent(applier, err));
    return spill(applier, err);
}

/* A group of which parts are on the target already. */
static ph_code
end_spilled(struct ph_applier *applier, struct ph_error *err)
{
    struct sent group = describe_group(applier);

    PH_TRY(spill(applier, err));
    if (!applier->must_replay) {
        PH_TRY(ph_apply_end(&applier->target, group.end, err));
        PH_TRY(ph_apply_expect(&applier->target, err));
        PH_TRY(ph_apply_commit(&applier->target, err));
        ph_applier_count(applier, &group, false);
    } else {
        PH_TRY(replay(applier, &group, err));
    }
    ph_applier_next_group(applier, group.end);
    return PH_OK;
}

ph_code
ph_applier_end_group(struct ph_applier *applier, struct ph_error *err)
{
    PH_TRY(ph_applier_finish_sent(applier, err));
    if (applier->target.is_open || applier->must_replay)
        return end_spilled(applier, err);
    struct sent group = describe_group(applier);
    PH_TRY(ph_apply_begin(&applier->target, group.from, group.end, err));
    ph_code rc = send_group(applier, err);
    if (rc == PH_OK) {
        PH_TRY(ph_apply_go(&applier->target, err));
        applier->sent = group;
    } else {
        if (!is_refusal(applier, rc))
            return rc;
        PH_TRY(ph_apply_rollback(&applier->target, err));
        PH_TRY(replay(applier, &group, err));
    }
    applier->fold = applier->fold == applier->folds[0] ? applier->folds[1] : applier->folds[0];
    ph_applier_next_group(applier, group.end);
    return PH_OK;
}

ph_code
ph_applier_settle(struct ph_applier *applier, struct ph_error *err)
{
    if (applier->group_txns > 0 && !applier->in_txn)
        PH_TRY(ph_applier_end_group(applier, err));
    PH_TRY(ph_applier_finish_sent(applier, err));
    return ph_apply_settle(&applier->target, err);
}

ph_code
ph_applier_begin_group_again(struct ph_applier *applier, struct ph_error *err)
{
    ph_lsn until = applier->group_txns > 0 ? applier->group_end : 0;

    PH_TRY(ph_applier_finish_sent(applier, err));
    PH_TRY(ph_apply_settle(&applier->target, err));
    if (applier->target.is_open)
        PH_TRY(ph_apply_rollback(&applier->target, err));
    applier->in_txn = false;
    ph_applier_next_group(applier, applier->group_from);
    if (until == 0)
        return PH_OK;
    applier->group_until = until;
    ph_applier_close_reader(applier, &applier->reader);
    return ph_txn_reader_open(applier->params.spool, applier->group_from, &applier->reader, err);
}
