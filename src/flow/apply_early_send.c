/* The early way's session on the target: parts and savepoints. */
#include <stdio.h>

#include "base/failpoint.h"
#include "flow/apply_early_parts.h"

#define FIRST_SPACING 1000u /* changes between savepoints, once there were too many */
/* It waits for a lock of others. */
#define LOCK_MS 2000
/* When the applier's other session has waited so long, it is asked for what. */
#define ASK_MS 1000
#define MOST_ASKED 60u /* whatever the answers were */

/* ---- the sessions ---- */

void
ph_early_disconnect(struct ph_early *early)
{
    if (early->is_connected)
        ph_apply_target_free(&early->target);
    early->is_connected = false;
}

void
ph_early_roll_back(struct ph_early *early)
{
    struct ph_apply_refusal refusal;
    struct ph_error ignored; /* whatever was under way is void */
    bool refused;

    ph_error_reset(&ignored);
    ph_code rc = ph_apply_check(&early->target, &refused, &refusal, &ignored);
    (void)rc;
    if (ph_apply_rollback(&early->target, &ignored) != PH_OK)
        ph_early_disconnect(early);
}

/* Whether the applier's session waits for this one. */
static bool
is_in_the_way(struct ph_early *early)
{
    const char *const params[] = {early->pids[1], early->pids[0]};
    struct ph_result *result;

    if (ph_conn_query(early->target.conn,
                      "SELECT $1::int = ANY (pg_catalog.pg_blocking_pids($2::int))", 2, params,
                      &result, NULL) != PH_OK)
        return true;
    bool is = ph_result_rows(result) == 1 && ph_result_bool(result, 0, 0);
    ph_result_free(result);
    return is;
}

/*
 * The applier's session has been waiting for an answer. When it is for a lock of this one, it would
 * wait for ever: one thread works with both.
 */
static void
yield_if_in_the_way(void *arg)
{
    struct ph_early *early = arg;
    struct ph_apply_refusal refusal;
    struct ph_error ignored;
    bool refused;

    if (early->has_yielded)
        return;
    if (early->asked_group != early->applier->look.groups)
        early->asked = 0;
    early->asked_group = early->applier->look.groups;
    ph_error_reset(&ignored);
    ph_code rc = ph_apply_check(&early->target, &refused, &refusal, &ignored);
    if (rc == PH_OK && !refused && ++early->asked < MOST_ASKED && !is_in_the_way(early))
        return;
    early->has_yielded = true;
    ph_early_roll_back(early);
}

static ph_code
connect_session(struct ph_early *early, struct ph_error *err)
{
    const struct ph_applier_params *params = &early->applier->params;
    static const char pid_sql[] = "SELECT pg_catalog.pg_backend_pid()";

    if (early->is_connected)
        return PH_OK;
    ph_code rc = ph_apply_target_open(
        &early->target,
        &(struct ph_apply_target_params){.endpoint = params->target,
                                         .purpose = "apply early",
                                         .job = params->job,
                                         .session_sql = params->session_sql,
                                         .worker = params->worker,
                                         .defers_checks = params->tables.enforces_keys},
        err);
    early->is_connected = true;
    if (rc == PH_OK)
        rc = ph_conn_value(early->target.conn, pid_sql, early->pids[1], sizeof early->pids[1], err);
    if (rc == PH_OK)
        rc = ph_conn_value(early->applier->target.conn, pid_sql, early->pids[0],
                           sizeof early->pids[0], err);
    if (rc != PH_OK)
        ph_early_disconnect(early);
    return rc;
}

/* ---- savepoints ---- */

static ph_code
send_savepoint(struct ph_early *early, const char *command, uint32_t name, struct ph_error *err)
{
    char sql[64];

    snprintf(sql, sizeof sql, "%s SAVEPOINT pghaul_early_%u", command, name);
    return ph_apply_send_plain(&early->target, sql, err);
}

/*
 * Only where a subtransaction begins in the part that goes out next: what is older cannot be rolled
 * back any more without one of the points before.
 */
static bool
wants_point(const struct early_reading *reading)
{
    if (reading->n_points == 0)
        return true;
    uint64_t since = reading->changes - reading->points[reading->n_points - 1].changes;
    return ph_xid_is_later(reading->newest, reading->part.newest) && since > 0 &&
           since >= reading->spacing;
}

static ph_code
put_point(struct ph_early *early, struct ph_error *err)
{
    struct early_reading *reading = &early->reading;

    if (reading->n_points == PH_EARLY_POINTS) {
        reading->n_points /= 2;
        reading->spacing = reading->spacing == 0 ? FIRST_SPACING : reading->spacing * 2;
        PH_TRY(send_savepoint(early, "RELEASE", reading->points[reading->n_points].name, err));
    }
    struct early_point *point = &reading->points[reading->n_points++];
    *point = reading->part;
    point->name = reading->named++;
    return send_savepoint(early, "", point->name, err);
}

ph_code
ph_early_back_to_point(struct ph_early *early, const struct early_point *point,
                       struct ph_error *err)
{
    PH_TRY(ph_apply_expect(&early->target, err));
    PH_TRY(send_savepoint(early, "ROLLBACK TO", point->name, err));
    return ph_apply_expect(&early->target, err);
}

/* ---- parts ---- */

static ph_code
open_transaction(struct ph_early *early, struct ph_error *err)
{
    PH_TRY(connect_session(early, err));
    early->is_open = true;
    ph_apply_mind(&early->applier->target, ASK_MS, yield_if_in_the_way, early);
    return ph_apply_begin_beside(&early->target, LOCK_MS, err);
}

static ph_code
send_now(struct ph_early *early, struct ph_error *err)
{
    struct early_reading *reading = &early->reading;

    if (early->is_open)
        PH_TRY(ph_apply_expect(&early->target, err));
    else
        PH_TRY(open_transaction(early, err));
    if (wants_point(reading))
        PH_TRY(put_point(early, err));
    PH_TRY(ph_apply_send(&early->target, reading->fold, NULL, err));
    PH_TRY(ph_change_notes_send(&reading->notes, &early->target, err));
    PH_TRY(ph_apply_go(&early->target, err));
    reading->changes += ph_fold_changes(reading->fold);
    reading->part.newest = reading->newest;
    ph_fold_clear(reading->fold);
    PH_FAILPOINT(after_early_part);
    return PH_OK;
}

void
ph_early_take_yield(struct ph_early *early)
{
    if (early->has_yielded)
        ph_early_give_up(early, "another transaction waited for a lock of it");
}

ph_code
ph_early_settle(struct ph_early *early, struct ph_error *err)
{
    ph_code rc = ph_applier_settle(early->applier, err);

    early->has_failed |= rc != PH_OK;
    if (rc == PH_OK)
        ph_early_take_yield(early);
    return rc;
}

ph_code
ph_early_send_part(struct ph_early *early, struct ph_error *err)
{
    struct ph_error why;

    if (ph_fold_is_empty(early->reading.fold))
        return PH_OK;
    ph_code rc = ph_early_settle(early, err);
    if (rc != PH_OK || early->xid == 0)
        return rc;
    ph_error_reset(&why);
    return ph_early_failure(early, send_now(early, &why), &why, err);
}
