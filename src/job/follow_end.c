/* The end of a follow: what the stream does not bring. */
#include "job/copy_parts.h"
#include "job/follow_parts.h"
#include "job/target_views.h"

/* New ones come along; of those that were there, what was written since is not known. */
static ph_code
carry_large_objects(struct ph_job *job, struct ph_error *err)
{
    if (!ph_copy_has_large_objects(job))
        return PH_OK;
    PH_TRY(
        ph_conn_exec(job->source_control, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err));
    ph_code rc = ph_copy_large_objects(job, err);
    (void)ph_conn_exec(job->source_control, "ROLLBACK", NULL);
    PH_TRY(rc);
    ph_report_add_finding(&job->run->report, PH_FINDING_WARNING, "large objects", "",
                          "changes made to large objects since the copy began are not carried "
                          "over by the stream; new ones were copied at its end");
    return PH_OK;
}

ph_code
ph_follow_carry_rest(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(ph_target_views_refresh(job, err));
    return carry_large_objects(job, err);
}
