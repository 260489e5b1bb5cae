#include "job/status.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pg/holder.h"
#include "pg/ledger.h"
#include "pg/ledger_follow.h"

#define ARENA_LIMIT ((size_t)256 << 20)

/* Not "pghaul JOB": a new run of that job ends what is left of the former ones by that name. */
static ph_code
connect_target(const struct ph_options *options, const char *purpose, struct ph_endpoint *endpoint,
               struct ph_conn **conn, struct ph_error *err)
{
    PH_TRY(ph_endpoint_init(endpoint, PH_TARGET, options->target, "ledger", err));
    return ph_conn_open(endpoint, purpose, conn, err);
}

static ph_code
no_such_job(const struct ph_options *options, const struct ph_endpoint *endpoint,
            struct ph_error *err)
{
    PH_FAIL(err, PH_E_NO_JOB, "the %s holds no job of this name", endpoint->label);
    ph_error_object(err, "%s", options->name);
    return PH_E_NO_JOB;
}

static ph_code
read_status(const struct ph_options *options, struct ph_conn *conn,
            const struct ph_endpoint *endpoint, struct ph_status *status, struct ph_error *err)
{
    snprintf(status->target, sizeof status->target, "%s", endpoint->label);
    PH_TRY(
        ph_ledger_jobs(conn, options->name, &status->arena, &status->jobs, &status->n_jobs, err));
    if (options->name == NULL)
        return PH_OK;
    if (status->n_jobs == 0)
        return no_such_job(options, endpoint, err);
    return ph_ledger_tables(conn, options->name, &status->arena, &status->tables, &status->n_tables,
                            err);
}

ph_code
ph_job_status(const struct ph_options *options, struct ph_status *status, struct ph_error *err)
{
    struct ph_endpoint endpoint = {0};
    struct ph_conn *conn = NULL;

    memset(status, 0, sizeof *status);
    ph_arena_init(&status->arena, ARENA_LIMIT);
    ph_code rc = connect_target(options, "status", &endpoint, &conn, err);
    if (rc == PH_OK)
        rc = read_status(options, conn, &endpoint, status, err);
    ph_conn_free(conn);
    ph_endpoint_reset(&endpoint);
    if (rc != PH_OK)
        ph_status_free(status);
    return rc;
}

void
ph_status_free(struct ph_status *status)
{
    ph_arena_reset(&status->arena);
    memset(status, 0, sizeof *status);
}

const char *
ph_status_state(const struct ph_job_status *job)
{
    if (job->is_running)
        return job->stop_asked ? "stopping" : "running";
    if (strcmp(job->phase, "done") == 0)
        return "done";
    if (job->run == 0)
        return "new";
    if (job->run_ended[0] == '\0')
        return "interrupted";
    return job->outcome[0] != '\0' ? job->outcome : "ended";
}

/* The holder sees the file within half a second; only a directory that is there can have one. */
static ph_code
end_local_holder(const struct ph_options *options, struct ph_error *err)
{
    if (access(options->dir, F_OK) != 0)
        return PH_OK;
    return ph_holder_stop(options->dir, err);
}

static ph_code
tell_run(const struct ph_options *options, struct ph_conn *conn, enum ph_heard_by *heard,
         struct ph_error *err)
{
    return options->at.kind == PH_UNTIL_STOPPED
               ? ph_ledger_ask_stop(conn, options->name, heard, err)
               : ph_ledger_ask_end(conn, options->name, &options->at, heard, err);
}

/* Without a session nobody but the run's own host can tell one that was killed from one that
 * tries to come back. */
static bool
was_killed(const struct ph_job_status *job)
{
    char here[128] = "";

    gethostname(here, sizeof here - 1);
    return strcmp(here, job->host) == 0 && kill(job->pid, 0) != 0 && errno == ESRCH;
}

static enum ph_stop_outcome
outcome_of(enum ph_heard_by heard, const struct ph_job_status *job)
{
    if (heard == PH_HEARD_BY_RUN)
        return PH_STOP_TOLD;
    return heard == PH_HEARD_BY_NONE || was_killed(job) ? PH_STOP_NOT_RUNNING : PH_STOP_WHEN_BACK;
}

/* `stop --at` is for who follows, or will. */
static ph_code
check_follows(const struct ph_options *options, struct ph_conn *conn, struct ph_error *err)
{
    struct ph_ledger_follow follow;
    bool found;

    if (options->at.kind == PH_UNTIL_STOPPED)
        return PH_OK;
    PH_TRY(ph_ledger_load_follow(conn, options->name, &follow, &found, err));
    if (found)
        return PH_OK;
    PH_FAIL(err, PH_E_NOT_READY, "the job does not follow, so it ends at no position");
    ph_error_object(err, "job %s", options->name);
    ph_error_hint(err, "`pghaul stop` without --at stops it");
    return PH_E_NOT_READY;
}

ph_code
ph_job_stop(const struct ph_options *options, enum ph_stop_outcome *outcome, struct ph_error *err)
{
    struct ph_endpoint endpoint = {0};
    struct ph_conn *conn = NULL;
    struct ph_arena arena;
    struct ph_job_status *jobs;
    uint32_t n = 0;
    enum ph_heard_by heard;

    ph_arena_init(&arena, ARENA_LIMIT);
    ph_code rc = connect_target(options, "stop", &endpoint, &conn, err);
    if (rc == PH_OK)
        rc = ph_ledger_jobs(conn, options->name, &arena, &jobs, &n, err);
    if (rc == PH_OK && n == 0)
        rc = no_such_job(options, &endpoint, err);
    if (rc == PH_OK)
        rc = check_follows(options, conn, err);
    if (rc == PH_OK)
        rc = tell_run(options, conn, &heard, err);
    if (rc == PH_OK)
        *outcome = outcome_of(heard, &jobs[0]);
    if (rc == PH_OK && *outcome == PH_STOP_NOT_RUNNING && options->at.kind == PH_UNTIL_STOPPED)
        rc = end_local_holder(options, err);
    ph_arena_reset(&arena);
    ph_conn_free(conn);
    ph_endpoint_reset(&endpoint);
    return rc;
}
