#include "job/plan.h"

#include "job/copy_parts.h"
#include "job/plan_print.h"

static ph_code
make_plan(struct ph_job *job, struct ph_run *run, struct ph_error *err)
{
    PH_TRY(ph_job_connect(job, run, err));
    PH_TRY(ph_job_read_catalogs_now(job, err));
    PH_TRY(ph_select(&job->source_catalog, run->options, &job->arena, &job->selection, err));
    return ph_copy_make_plan(job, err);
}

ph_code
ph_job_plan(struct ph_run *run, struct ph_buf *out, struct ph_error *err)
{
    struct ph_job job = {.lock_fd = -1};
    ph_code rc = make_plan(&job, run, err);

    if (rc == PH_OK && run->options->json)
        ph_plan_print_json(&job.plan, out);
    else if (rc == PH_OK)
        ph_plan_print_text(&job.plan, out);
    if (rc == PH_OK && !ph_buf_ok(out))
        rc = PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_job_close(&job);
    return rc;
}
