/* Mending what a verification found, table by table, and looking at it again. */
#include "base/log.h"
#include "base/stop.h"
#include "job/repair.h"
#include "job/verify_fence.h"
#include "job/verify_parts.h"
#include "pg/snapshot.h"

#define LOCK_WAIT_MS 400u /* for a table, while apply waits */

static void
report_repaired(struct ph_verify *verify, const struct ph_verify_group *group,
                const struct ph_repaired *repaired)
{
    ph_report_add_finding(verify->report, PH_FINDING_NOTE, "repair", group->label,
                          "mended: %llu rows inserted, %llu deleted, %llu updated",
                          (unsigned long long)repaired->inserted,
                          (unsigned long long)repaired->deleted,
                          (unsigned long long)repaired->updated);
    if (repaired->triggers_fired)
        ph_report_add_finding(
            verify->report, PH_FINDING_WARNING, "repair", group->label,
            "its triggers fired, or its rewrite rules acted: only the table's owner can set them "
            "aside");
}

struct session { /* a pair of connections, used table after table until one fails */
    struct ph_conn *source;
    struct ph_conn *target;
    enum ph_repair_mode mode;
};

static void
end_session(struct session *session)
{
    ph_conn_free(session->source);
    ph_conn_free(session->target);
    *session = (struct session){.source = NULL};
}

static ph_code
begin_session(struct ph_verify *verify, struct session *session, struct ph_error *err)
{
    if (session->source != NULL)
        PH_TRY(ph_conn_exec(session->source, "COMMIT", err));
    else
        PH_TRY(ph_conn_open(&verify->endpoints[PH_SOURCE], "compare", &session->source, err));
    PH_TRY(ph_snapshot_import(session->source, verify->epochs[PH_SOURCE].snapshot_id, err));
    if (session->target != NULL)
        return PH_OK;
    return ph_repair_open(&verify->endpoints[PH_TARGET], &verify->catalogs[PH_TARGET],
                          &session->target, &session->mode, err);
}

static ph_code
repair_group(struct ph_verify *verify, struct session *session, const struct ph_verify_group *group,
             struct ph_error *err)
{
    struct ph_repaired repaired;
    ph_code rc = begin_session(verify, session, err);

    if (rc == PH_OK) {
        struct ph_repair_params params = {
            .options = verify->options,
            .tables = group->tables,
            .n_tables = group->n_tables,
            .source = session->source,
            .target = session->target,
            .mode = session->mode,
        };
        verify->run->wrote = PH_HAS_WRITTEN;
        rc = ph_repair_table(&params, &repaired, err);
    }
    if (rc == PH_OK)
        report_repaired(verify, group, &repaired);
    else
        end_session(session);
    return rc;
}

/* One round over what is still to be mended: `pending` is by group, why not yet, or NULL. */
static ph_code
repair_round(struct ph_verify *verify, struct session *session, const char **pending,
             uint32_t *mended, struct ph_error *err)
{
    *mended = 0;
    for (uint32_t i = 0; i < verify->n_groups; i++) {
        struct ph_verify_group *group = &verify->groups[i];
        if (pending[i] == NULL)
            continue;
        PH_TRY(ph_stop_check(err));
        ph_error_reset(err);
        ph_code rc = repair_group(verify, session, group, err);
        if (rc != PH_OK && rc != PH_E_CONSTRAINT && rc != PH_E_DIFFERENT && rc != PH_E_RIGHTS)
            return rc;
        pending[i] = NULL;
        if (rc == PH_E_CONSTRAINT) /* perhaps when another table was mended */
            pending[i] = ph_arena_strdup(&verify->arena, err->message);
        *mended += rc == PH_OK;
        if (rc != PH_OK && rc != PH_E_CONSTRAINT)
            ph_report_add_finding(verify->report, PH_FINDING_ERROR, "repair", group->label,
                                  "not mended: %s", err->message);
    }
    return PH_OK;
}

static ph_code
repair_all(struct ph_verify *verify, const char **pending, struct ph_error *err)
{
    struct session session = {.source = NULL};
    uint32_t mended = 1;
    ph_code rc = PH_OK;

    while (rc == PH_OK && mended > 0)
        rc = repair_round(verify, &session, pending, &mended, err);
    end_session(&session);
    PH_TRY(rc);
    for (uint32_t i = 0; i < verify->n_groups; i++) {
        if (pending[i] != NULL)
            ph_report_add_finding(verify->report, PH_FINDING_ERROR, "repair",
                                  verify->groups[i].label, "not mended: %s", pending[i]);
    }
    ph_error_reset(err);
    return PH_OK;
}

/*
 * What was mended, or all where foreign keys act: deleting may have reached further. Groups are
 * swapped to the front to be one array.
 */
static ph_code
read_again(struct ph_verify *verify, struct ph_error *err)
{
    bool all = !verify->catalogs[PH_TARGET].can_set_replica_role;
    uint32_t n = 0;

    for (uint32_t i = 0; i < verify->n_groups; i++) {
        struct ph_verify_group *group = &verify->groups[i];
        if (!group->differs && !all)
            continue;
        ph_bucket_mask_free(&group->mask);
        group->differs = group->compared = false;
        struct ph_verify_group moved = verify->groups[n];
        verify->groups[n++] = *group;
        *group = moved;
    }
    PH_TRY(ph_verify_new_snapshot(verify, PH_TARGET, err));
    PH_TRY(ph_verify_read(verify, verify->groups, n, err));
    for (uint32_t i = 0; i < n; i++) {
        if (verify->groups[i].differs)
            ph_report_add_finding(verify->report, PH_FINDING_ERROR, "rows", verify->groups[i].label,
                                  "still differs after the repair");
    }
    return PH_OK;
}

ph_code
ph_verify_repair(struct ph_verify *verify, struct ph_error *err)
{
    const char **pending =
        PH_ARENA_ARRAY(&verify->arena, const char *, (size_t)verify->n_groups + 1);

    if (pending == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < verify->n_groups; i++)
        pending[i] = verify->groups[i].differs ? "" : NULL;
    PH_TRY(repair_all(verify, pending, err));
    return read_again(verify, err);
}

/* ---- while the job follows ---- */

struct at_fence {
    struct ph_repair_params params;
    struct ph_conn *target;
};

/*
 * While apply stands at the cut: with the lock, the table stays what it is there until the repair
 * is committed, and what apply brings comes on top of it.
 */
static ph_code
lock_at_fence(void *arg, struct ph_conn **conn, struct ph_error *err)
{
    struct at_fence *at = arg;

    *conn = at->target;
    return ph_repair_begin(&at->params, LOCK_WAIT_MS, err);
}

static ph_code
repair_at_fence(struct ph_verify *verify, struct ph_verify_fence *fence,
                const struct ph_verify_group *group, struct ph_error *err)
{
    struct at_fence at = {
        .params = {.options = verify->options,
                   .tables = group->tables,
                   .n_tables = group->n_tables,
                   .source = verify->conns[PH_SOURCE],
                   .has_begun = true},
    };
    struct ph_repaired repaired;
    ph_code rc = ph_repair_open(&verify->endpoints[PH_TARGET], &verify->catalogs[PH_TARGET],
                                &at.target, &at.params.mode, err);

    at.params.target = at.target;
    if (rc == PH_OK)
        rc = ph_verify_fence_take(fence, lock_at_fence, &at, err);
    if (rc == PH_OK) {
        verify->run->wrote = PH_HAS_WRITTEN;
        rc = ph_repair_table(&at.params, &repaired, err);
    }
    if (rc == PH_OK)
        report_repaired(verify, group, &repaired);
    ph_conn_free(at.target);
    return rc;
}

ph_code
ph_verify_repair_live(struct ph_verify *verify, struct ph_verify_fence *fence, struct ph_error *err)
{
    for (uint32_t i = 0; i < verify->n_groups; i++) {
        struct ph_verify_group *group = &verify->groups[i];
        if (!group->differs)
            continue;
        PH_TRY(ph_stop_check(err));
        ph_code rc = repair_at_fence(verify, fence, group, err);
        if (rc != PH_OK && rc != PH_E_CONSTRAINT && rc != PH_E_DIFFERENT && rc != PH_E_RIGHTS)
            return rc;
        if (rc != PH_OK)
            ph_report_add_finding(verify->report, PH_FINDING_ERROR, "repair", group->label,
                                  "not mended: %s", err->message);
        ph_error_reset(err);
        group->compared = group->differs = false; /* looked at once more */
        group->totals[PH_SOURCE] = group->totals[PH_TARGET] = (struct ph_digest){0};
    }
    return PH_OK;
}
