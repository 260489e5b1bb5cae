#include "job/step_workers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/stop.h"

struct worker {
    struct ph_step_workers *all;
    struct ph_conn *conn;
    const struct ph_step *at; /* guarded by all->lock */
    uint64_t started_ns;      /* of the step at hand */
    uint32_t number;
    uint32_t others;          /* steps that ran when this one was taken; guarded by all->lock */
    uint32_t server_parallel; /* with job->follows: the target's own parallel workers of a build */
    uint32_t parallel;        /* what the session has of them */
    pthread_t thread;
};

struct ph_step_workers {
    struct ph_job *job;
    struct ph_steps *steps;
    struct ph_schedule *schedule;
    pthread_mutex_t lock; /* guards steps and all below */
    pthread_cond_t changed;
    bool ended;
    ph_code rc;
    struct ph_error error;
    struct worker *workers;
    uint32_t n_workers;
    bool joined; /* the starter's thread only */
};

static uint32_t
count_running(const struct ph_step_workers *all)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < all->job->index_jobs; i++)
        n += all->workers[i].at != NULL;
    return n;
}

static struct ph_step *
take(struct worker *worker)
{
    struct ph_step_workers *all = worker->all;
    struct ph_step *step = NULL;

    pthread_mutex_lock(&all->lock);
    while (!all->ended && (step = ph_steps_take(all->steps)) == NULL &&
           !ph_steps_all_done(all->steps))
        pthread_cond_wait(&all->changed, &all->lock);
    worker->others = count_running(all);
    worker->at = step;
    pthread_mutex_unlock(&all->lock);
    return step;
}

static void
finished(struct worker *worker, struct ph_step *step, ph_code rc, const struct ph_error *err)
{
    struct ph_step_workers *all = worker->all;

    pthread_mutex_lock(&all->lock);
    struct ph_schedule *schedule = all->schedule;
    worker->at = NULL;
    if (rc == PH_OK) {
        ph_steps_finish(all->steps, step);
    } else {
        ph_steps_put_back(all->steps, step);
        if (all->rc == PH_OK) {
            all->rc = rc;
            all->error = *err;
        }
        all->ended = true;
    }
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
    if (rc != PH_OK && schedule != NULL)
        ph_schedule_fail(schedule, rc, err);
}

static ph_code
note_done(void *arg, struct ph_conn *conn, const struct ph_step *step, struct ph_error *err)
{
    struct worker *worker = arg;

    PH_FAILPOINT(before_step_note);
    return ph_ledger_step_done(conn, worker->all->job->options->name, step->key,
                               ph_clock_seconds_since(worker->started_ns), err);
}

static ph_code
ask_parallel(struct worker *worker, struct ph_error *err)
{
    char value[16];

    PH_TRY(ph_conn_value(worker->conn, "SHOW max_parallel_maintenance_workers", value, sizeof value,
                         err));
    worker->server_parallel = worker->parallel = (uint32_t)strtoul(value, NULL, 10);
    return PH_OK;
}

static ph_code
connect_worker(struct worker *worker, struct ph_error *err)
{
    char purpose[32];

    if (worker->conn != NULL && ph_conn_is_alive(worker->conn))
        return PH_OK;
    ph_conn_free(worker->conn);
    worker->conn = NULL;
    snprintf(purpose, sizeof purpose, "step %u", worker->number + 1);
    PH_TRY(ph_conn_open(&worker->all->job->target, purpose, &worker->conn, err));
    PH_TRY(ph_conn_exec(worker->conn, "SET synchronous_commit = off", err));
    return worker->all->job->follows ? ask_parallel(worker, err) : PH_OK;
}

/*
 * While the source is written to, a step takes parallel workers of the server only as far as all
 * that build are fewer than --index-jobs: three processes that never sleep, on a machine that the
 * source shares, made every commit of its users wait for a core (decision 0024).
 */
static ph_code
limit_parallel(struct worker *worker, struct ph_error *err)
{
    const struct ph_job *job = worker->all->job;
    uint32_t taken = worker->others + 2; /* this one, and one left free */
    uint32_t parallel = job->index_jobs > taken ? job->index_jobs - taken : 0;

    if (parallel > worker->server_parallel)
        parallel = worker->server_parallel;
    if (!job->follows || parallel == worker->parallel)
        return PH_OK;
    worker->parallel = parallel;
    return ph_conn_execf(worker->conn, err, "SET max_parallel_maintenance_workers = %u", parallel);
}

static ph_code
run_step(struct worker *worker, const struct ph_step *step, struct ph_error *err)
{
    PH_TRY(connect_worker(worker, err));
    PH_TRY(limit_parallel(worker, err));
    worker->started_ns = ph_clock_ns();
    ph_code rc = ph_ddl_run_step(worker->conn, step, note_done, worker, err);
    if (rc == PH_OK || !step->optional || rc == PH_E_STOPPED || ph_error_is_retryable(err))
        return rc;
    ph_log(PH_LOG_WARN, "step.failed", "%s failed and was left out: %s", step->key, err->message);
    return PH_OK;
}

static void *
run_worker(void *arg)
{
    struct worker *worker = arg;
    struct ph_error err;
    struct ph_step *step;

    ph_error_reset(&err);
    while ((step = take(worker)) != NULL) {
        ph_code rc = ph_stop_check(&err);
        if (rc == PH_OK)
            rc = run_step(worker, step, &err);
        finished(worker, step, rc, &err);
    }
    ph_conn_free(worker->conn);
    worker->conn = NULL;
    return NULL;
}

ph_code
ph_step_workers_start(struct ph_job *job, struct ph_steps *steps, struct ph_step_workers **out,
                      struct ph_error *err)
{
    struct ph_step_workers *all = calloc(1, sizeof *all);

    *out = all;
    if (all == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    all->job = job;
    all->steps = steps;
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->changed, NULL);
    all->workers = calloc(job->index_jobs, sizeof *all->workers);
    ph_code rc = all->workers != NULL ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; rc == PH_OK && i < job->index_jobs; i++) {
        struct worker *worker = &all->workers[i];
        worker->all = all;
        worker->number = i;
        if (pthread_create(&worker->thread, NULL, run_worker, worker) != 0)
            rc = PH_FAIL(err, PH_E_MEMORY, "cannot start a thread");
        else
            all->n_workers++;
    }
    if (rc != PH_OK) {
        ph_step_workers_end(all);
        (void)ph_step_workers_wait(all, NULL);
        ph_step_workers_free(all);
        *out = NULL;
    }
    return rc;
}

void
ph_step_workers_set_schedule(struct ph_step_workers *all, struct ph_schedule *schedule)
{
    pthread_mutex_lock(&all->lock);
    all->schedule = schedule;
    bool failed = all->rc != PH_OK;
    pthread_mutex_unlock(&all->lock);
    if (failed && schedule != NULL)
        ph_schedule_fail(schedule, all->rc, &all->error);
}

void
ph_step_workers_table_loaded(struct ph_step_workers *all, ph_oid oid)
{
    pthread_mutex_lock(&all->lock);
    ph_steps_table_done(all->steps, oid);
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
}

void
ph_step_workers_end(struct ph_step_workers *all)
{
    pthread_mutex_lock(&all->lock);
    all->ended = true;
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
}

ph_code
ph_step_workers_wait(struct ph_step_workers *all, struct ph_error *err)
{
    for (uint32_t i = 0; i < all->n_workers; i++)
        pthread_join(all->workers[i].thread, NULL);
    all->joined = true;
    if (all->rc != PH_OK && err != NULL)
        *err = all->error;
    return all->rc;
}

void
ph_step_workers_free(struct ph_step_workers *all)
{
    if (all == NULL)
        return;
    if (!all->joined) {
        ph_step_workers_end(all);
        (void)ph_step_workers_wait(all, NULL);
    }
    pthread_cond_destroy(&all->changed);
    pthread_mutex_destroy(&all->lock);
    free(all->workers);
    free(all);
}

void
ph_step_workers_progress(struct ph_step_workers *all, struct ph_progress *out)
{
    pthread_mutex_lock(&all->lock);
    out->index_steps = all->steps->n_steps;
    out->index_steps_done = all->steps->n_done;
    for (uint32_t i = 0; i < all->n_workers && out->n_lanes < PH_PROGRESS_LANES; i++) {
        const struct ph_step *step = all->workers[i].at;
        struct ph_lane_progress *lane = &out->lanes[out->n_lanes];
        if (step == NULL)
            continue;
        out->n_lanes++;
        snprintf(lane->label, sizeof lane->label, "%s", step->key);
        lane->state = PH_LANE_INDEX;
        lane->waiting_for = PH_WAIT_TARGET;
    }
    pthread_mutex_unlock(&all->lock);
}
