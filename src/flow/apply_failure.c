/*
 * The applier's end at a failure. Transactions are gathered into groups, so that what fails at a
 * change, be it read or refused, has whole ones before it in the same group: without these the
 * position would not move, and the same command would come to the same place for ever. Their part
 * of the group cannot be told from the rest, so they are read from the spool once more.
 */
#include "base/log.h"
#include "flow/applier_parts.h"
#include "flow/apply_early.h"

/* A failure that was read has a refused one before it at most; more say that something else fails.
 */
#define MOST_TRIES 3

/* The target's session and the spool are as they should be. */
static bool
is_at_a_change(const struct ph_applier *applier, ph_code rc)
{
    return rc != PH_E_STOPPED && rc != PH_E_MEMORY && rc != PH_E_LEDGER && rc != PH_E_POSITION &&
           rc != PH_E_DISK && rc != PH_E_SPOOL_DAMAGED && rc != PH_E_INTERNAL &&
           applier->target.conn != NULL && ph_conn_is_alive(applier->target.conn);
}

/* End of the last whole transaction before the failure. */
static ph_lsn
find_end(const struct ph_applier *applier)
{
    if (applier->sound_end != 0)
        return applier->sound_end;
    if (applier->group_txns > 0)
        return applier->group_end;
    return applier->sent.is_there ? applier->sent.end : 0;
}

/* Nothing is open or under way there any more; what had its commit sent is committed. */
static ph_code
leave_groups(struct ph_applier *applier, struct ph_error *err)
{
    ph_early_give_way(applier->early);
    applier->sent.is_there = false;
    return applier->target.is_open ? ph_apply_rollback(&applier->target, err)
                                   : ph_apply_settle(&applier->target, err);
}

static ph_code
replay_up_to(struct ph_applier *applier, ph_lsn end, struct ph_error *err)
{
    if (end > applier->target.applied)
        PH_TRY(ph_applier_replay(applier, applier->target.applied, end, err));
    return ph_apply_make_durable(&applier->target, err);
}

/* What fails in its turn stands before what failed first; before that again there may be some. */
ph_code
ph_applier_end_failed(struct ph_applier *applier, ph_code rc, struct ph_error *err)
{
    ph_lsn end = find_end(applier);
    struct ph_error why;

    if (!is_at_a_change(applier, rc))
        return rc;
    ph_error_reset(&why);
    bool is_left = leave_groups(applier, &why) == PH_OK;
    for (int i = 0; is_left && i < MOST_TRIES; i++) {
        ph_code brought = replay_up_to(applier, end, &why);
        if (brought == PH_OK)
            return rc;
        if (!is_at_a_change(applier, brought) || applier->sound_end == 0 ||
            applier->sound_end >= end)
            break;
        end = applier->sound_end;
        *err = why;
        rc = brought;
        ph_error_reset(&why);
    }
    ph_log_failure(PH_LOG_WARN, &why);
    ph_error_note(err, "transactions before it could not be applied either");
    return rc;
}
