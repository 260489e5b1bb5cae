/* The end of one of a team: where all of them meet, exactly. */
#include "base/failpoint.h"
#include "flow/applier_parts.h"

/*
 * That nothing waits says something only when all up to there had been received before. So it has
 * when the team was made, but the files may have been lost since, and come again.
 */
static bool
had_all(struct ph_applier *applier)
{
    bool had = applier->has_all;

    ph_applier_look_for_all(applier);
    return had;
}

void
ph_applier_look_for_all(struct ph_applier *applier)
{
    struct ph_spool_positions spool;

    ph_spool_get_positions(applier->params.spool, &spool);
    applier->has_all = spool.written >= applier->params.meet;
}

bool
ph_applier_is_to_meet(struct ph_applier *applier, const struct ph_txn_event *event)
{
    switch (event->step) {
    case PH_TXN_NOTHING:
        return had_all(applier);
    case PH_TXN_BEGIN:
    case PH_TXN_BLOCK_COMMIT:
        return event->txn.commit_lsn >= applier->params.meet;
    case PH_TXN_PROGRESS:
        return event->end_lsn >= applier->params.meet;
    case PH_TXN_VOID:
    case PH_TXN_CHANGE:
    case PH_TXN_MESSAGE:
    case PH_TXN_COMMIT:
    case PH_TXN_BLOCK:
    case PH_TXN_BLOCK_ABORT:
        return false;
    }
    return false;
}

ph_code
ph_applier_meet(struct ph_applier *applier, struct ph_error *err)
{
    if (applier->in_txn)
        return PH_FAIL(err, PH_E_SPOOL_DAMAGED,
                       "the spool ends within a transaction that it had whole before");
    PH_TRY(ph_applier_settle(applier, err));
    PH_FAILPOINT(before_team_met);
    if (applier->target.applied < applier->params.meet)
        PH_TRY(ph_apply_advance(&applier->target, applier->params.meet, err));
    applier->has_met = true;
    return PH_OK;
}
