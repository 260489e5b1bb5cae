/* The applier's thread and what others may ask of it. */
#include <stdlib.h>

#include "base/clock.h"
#include "flow/applier_parts.h"
#include "flow/apply_early.h"

static void *
run(void *arg)
{
    struct ph_applier *applier = arg;
    const struct ph_apply_target_params target = {
        .endpoint = applier->params.target,
        .purpose = "apply",
        .job = applier->params.job,
        .session_sql = applier->params.session_sql,
        .worker = applier->params.worker,
        .position = applier->params.position,
        .defers_checks = applier->params.tables.enforces_keys,
    };
    struct ph_error err;

    ph_error_reset(&err);
    ph_code rc =
        ph_txn_reader_open(applier->params.spool, applier->params.position, &applier->reader, &err);
    if (rc == PH_OK)
        rc = ph_apply_target_open(&applier->target, &target, &err);
    if (ph_applier_is_in_team(applier))
        ph_applier_look_for_all(applier);
    if (rc == PH_OK)
        rc = ph_applier_work(applier, &err);
    pthread_mutex_lock(&applier->lock);
    applier->rc = rc;
    applier->error = err;
    applier->look.has_ended = true;
    applier->look.at_end = rc == PH_OK && (applier->has_met || ph_applier_is_at_end(applier));
    pthread_mutex_unlock(&applier->lock);
    return NULL;
}

static void
free_applier(struct ph_applier *applier)
{
    ph_early_free(applier->early);
    ph_apply_target_free(&applier->target);
    ph_txn_reader_close(applier->reader);
    ph_applier_fence_free(&applier->fence);
    ph_apply_tables_free(&applier->tables);
    ph_reshape_free(applier->reshape);
    free(applier->filled);
    ph_change_notes_free(&applier->notes);
    ph_fold_free(applier->folds[0]);
    ph_fold_free(applier->folds[1]);
    pthread_mutex_destroy(&applier->lock);
    free(applier);
}

ph_code
ph_applier_start(const struct ph_applier_params *params, struct ph_applier **out,
                 struct ph_error *err)
{
    struct ph_applier *applier = calloc(1, sizeof *applier);
    ph_code rc;

    *out = NULL;
    if (applier == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    applier->params = *params;
    applier->group_from = params->position;
    applier->look.applied = applier->look.durable = applier->look.read = params->position;
    applier->advanced_ns = applier->told_ns = ph_clock_ns();
    atomic_store(&applier->end_lsn, params->end);
    pthread_mutex_init(&applier->lock, NULL);
    ph_applier_fence_init(&applier->fence);
    rc = ph_apply_tables_init(&applier->tables, &params->tables, err);
    for (int i = 0; i < 2; i++)
        applier->folds[i] = ph_fold_new(PH_FOLD_NET, params->group_bytes);
    applier->fold = applier->folds[0];
    ph_change_notes_init(&applier->notes, params->job, PH_ORPHANS_GROUPS);
    applier->reshape = ph_reshape_new();
    applier->early = ph_early_new(applier);
    if (rc == PH_OK && (applier->folds[0] == NULL || applier->folds[1] == NULL ||
                        applier->early == NULL || applier->reshape == NULL))
        rc = PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (rc == PH_OK && pthread_create(&applier->thread, NULL, run, applier) != 0)
        rc = PH_FAIL(err, PH_E_MEMORY, "cannot start a thread");
    if (rc != PH_OK) {
        free_applier(applier);
        return rc;
    }
    *out = applier;
    return PH_OK;
}

void
ph_applier_set_end(struct ph_applier *applier, ph_lsn lsn)
{
    atomic_store(&applier->end_lsn, lsn);
}

void
ph_applier_ask_stop(struct ph_applier *applier)
{
    atomic_store(&applier->stop, true);
}

void
ph_applier_ask_leave(struct ph_applier *applier)
{
    atomic_store(&applier->leave, true);
}

ph_code
ph_applier_stop(struct ph_applier *applier, struct ph_error *err)
{
    pthread_join(applier->thread, NULL);
    ph_code rc = applier->rc;
    if (rc != PH_OK && err != NULL)
        *err = applier->error;
    free_applier(applier);
    return rc;
}

void
ph_applier_get(struct ph_applier *applier, struct ph_applier_look *out)
{
    pthread_mutex_lock(&applier->lock);
    *out = applier->look;
    pthread_mutex_unlock(&applier->lock);
}
