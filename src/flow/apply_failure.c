/*
 * The applier's end at a failure. Transactions are gathered into groups, so that what fails at a
 * change, be it read or refused, has whole ones before it in the same group: without these the
 * position would not move, and the same command would come to the same place for ever. Their part
 * of the group cannot be told from the rest, so they are read from the spool once more.
 *
 * What the target finds only at a COMMIT, such as a deferred key, is not to be told from the rest
 * of the group either: its transactions are committed one by one, up to the one that it is of.
 */
#include <string.h>

#include "base/log.h"
#include "flow/applier_parts.h"
#include "flow/apply_early.h"

/*
 * What was read and fails has at most a refused change before it, that a refused COMMIT, which is
 * then looked for; more say that something else fails.
 */
#define MOST_TRIES 5

#define FOREIGN_KEY_VIOLATION "23503"

void
ph_applier_hint_own_key(const struct ph_applier *applier, const struct ph_apply_table *table,
                        const struct ph_error *why, struct ph_error *err)
{
    const struct ph_catalog *target = applier->params.tables.target;

    if (strcmp(why->sqlstate, FOREIGN_KEY_VIOLATION) != 0)
        return;
    for (uint32_t i = 0; i < target->n_foreign_keys; i++) {
        const struct ph_foreign_key *key = &target->foreign_keys[i];
        if (key->deferrable || !ph_catalog_is_own_key(target, key) ||
            !ph_catalog_is_within(target, table->target->oid, key->rel_oid))
            continue;
        const struct ph_rel *rel = ph_catalog_rel(target, key->rel_oid);
        ph_error_hint(
            err,
            "a key within one table is checked row by row here: ALTER TABLE \"%s\".\"%s\" "
            "ALTER CONSTRAINT \"%s\" DEFERRABLE on the target, and give the same command "
            "again; otherwise see who else writes to the target",
            rel->schema, rel->name, key->name);
        return;
    }
}

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

/* Nothing is open or under way there any more; what had its commit sent is committed, or refused.
 */
static ph_code
leave_groups(struct ph_applier *applier, struct ph_error *err)
{
    ph_early_give_way(applier->early);
    applier->sent.is_there = false;
    return applier->target.is_open ? ph_apply_rollback(&applier->target, err)
                                   : ph_apply_settle(&applier->target, err);
}

/* What a COMMIT finds is of no single change: the policy for conflicts has nothing to leave out. */
static void
word_refused_commit(ph_lsn end, struct ph_error *err)
{
    char text[PH_LSN_TEXT];

    ph_error_note(err, "at the COMMIT of the source's transaction that ends at %s",
                  ph_lsn_print(end, text));
    ph_error_hint(err, "%s",
                  "all transactions before it are on the target: mend there what it names and give "
                  "the same command again; --on-conflict does not pass over what only a COMMIT "
                  "finds");
}

static ph_code
replay_singly(struct ph_applier *applier, ph_lsn end, struct ph_error *err)
{
    ph_code rc = ph_applier_replay_singly(applier, end, err);

    if (applier->target.refused_end != 0)
        word_refused_commit(applier->target.refused_end, err);
    applier->target.refused_end = 0;
    return rc;
}

static ph_code
replay_up_to(struct ph_applier *applier, ph_lsn end, struct ph_error *err)
{
    if (applier->target.refused_end != 0)
        PH_TRY(replay_singly(applier, applier->target.refused_end, err));
    else if (end > applier->target.applied)
        PH_TRY(ph_applier_replay(applier, applier->target.applied, end, err));
    return ph_apply_make_durable(&applier->target, err);
}

/* Whether there is something else to try; *end: up to where. */
static bool
may_try_again(const struct ph_applier *applier, ph_code rc, ph_lsn *end)
{
    if (!is_at_a_change(applier, rc))
        return false;
    if (applier->target.refused_end != 0) {
        *end = applier->target.refused_end;
        return true;
    }
    if (applier->sound_end == 0 || applier->sound_end >= *end)
        return false;
    *end = applier->sound_end;
    return true;
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
    ph_code brought = leave_groups(applier, &why);
    if (applier->target.refused_end != 0)
        end = applier->target.refused_end;
    bool is_left = brought == PH_OK || applier->target.refused_end != 0;
    for (int i = 0; is_left && i < MOST_TRIES; i++) {
        if (brought == PH_OK)
            brought = replay_up_to(applier, end, &why);
        if (brought == PH_OK)
            return rc;
        if (!may_try_again(applier, brought, &end))
            break;
        *err = why;
        rc = brought;
        ph_error_reset(&why);
        brought = PH_OK;
    }
    ph_log_failure(PH_LOG_WARN, &why);
    ph_error_note(err, "transactions before it could not be applied either");
    return rc;
}
