#include "job/plan.h"

#include "job/copy_parts.h"
#include "job/plan_print.h"
#include "pg/catalog.h"

/* Nobody has a snapshot to share: the plan is as of now. */
static ph_code
read_now(struct ph_conn *conn, struct ph_catalog *catalog, struct ph_error *err)
{
    PH_TRY(ph_conn_exec(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ", err));
    ph_code rc = ph_catalog_read(conn, catalog, err);
    (void)ph_conn_exec(conn, "ROLLBACK", NULL);
    return rc;
}

static ph_code
make_plan(struct ph_job *job, struct ph_run *run, struct ph_error *err)
{
    PH_TRY(ph_job_connect(job, run, err));
    PH_TRY(read_now(job->source_control, &job->source_catalog, err));
    /* without --data-only the tables are made as on the source, so there is nothing to compare */
    if (run->options->data_only)
        PH_TRY(read_now(job->target_control, &job->target_catalog, err));
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
