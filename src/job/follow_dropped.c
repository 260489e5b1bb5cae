/*
 * Tables that are gone on the target, while the job stood still. One that is gone on the source,
 * too, leaves the job. Any other is copied anew, as the source has it now: the way out for one that
 * was altered so that its changes do not fit any more.
 *
 * One that rows took a route of the job's rules to does not come again: its source's table may have
 * others. It is refused when the plan is loaded.
 *
 * A table that is gone on the source only is refused when the plan is loaded: what the target still
 * has is not given up without a word.
 */

#include "base/failpoint.h"
#include "base/log.h"
#include "job/follow.h"

static ph_code
is_on_source(struct ph_job *job, const char *oid, bool *is_there, struct ph_error *err)
{
    const char *params[] = {oid};
    struct ph_result *r;

    PH_TRY(ph_conn_query(job->source_control,
                         "SELECT FROM pg_catalog.pg_class WHERE oid = $1::pg_catalog.oid", 1,
                         params, &r, err));
    *is_there = ph_result_rows(r) == 1;
    ph_result_free(r);
    return PH_OK;
}

static ph_code
leave(struct ph_job *job, const struct ph_result *r, int row, struct ph_error *err)
{
    const char *name = ph_result_text(r, row, 2);
    bool is_there;

    PH_TRY(is_on_source(job, ph_result_text(r, row, 1), &is_there, err));
    bool has_route = !ph_result_is_null(r, row, 3);
    if (is_there && (job->options->data_only || has_route))
        return PH_OK; /* there is nothing to make it of; refused with the plan */
    PH_TRY(ph_ledger_forget_table(job->target_control, &job->ledger, ph_result_u32(r, row, 0),
                                  is_there ? PH_TABLE_COMES_AGAIN : PH_TABLE_IS_GONE, err));
    PH_FAILPOINT(after_table_left);
    ph_log(PH_LOG_WARN, "table.left",
           is_there ? "%s is not on the target any more: it is copied anew"
                    : "%s was dropped on both sides: the job goes on without it",
           name);
    return PH_OK;
}

/* From the last on: leaving one out moves the numbers behind it. */
ph_code
ph_follow_leave_dropped(struct ph_job *job, struct ph_error *err)
{
    const char *params[] = {job->options->name};
    struct ph_result *r;
    ph_code rc = PH_OK;

    PH_TRY(ph_conn_query(job->target_control,
                         "SELECT tbl, source_oid, source_schema || '.' || source_name, route"
                         " FROM pghaul.tbl WHERE job = $1 AND NOT EXISTS (SELECT FROM"
                         " pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
                         " ON n.oid = c.relnamespace WHERE n.nspname = target_schema AND"
                         " c.relname = target_name) ORDER BY tbl DESC",
                         1, params, &r, err));
    for (int row = 0; rc == PH_OK && row < ph_result_rows(r); row++)
        rc = leave(job, r, row, err);
    ph_result_free(r);
    return rc;
}
