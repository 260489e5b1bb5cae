#include "job/phase_watch.h"

#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/stop.h"
#include "job/follow.h"
#include "pg/ledger_status.h"

#define LOOK_EVERY_MS 2000
#define JSON_LIMIT ((size_t)1 << 20)

/* One that broke is opened again at the next look. */
static struct ph_conn *
keep_open(const struct ph_endpoint *endpoint, struct ph_conn *conn)
{
    if (conn != NULL && ph_conn_is_alive(conn))
        return conn;
    ph_conn_free(conn);
    return ph_conn_open_briefly(endpoint, "watch", &conn, NULL) == PH_OK ? conn : NULL;
}

/* A failure here is no reason to stop: the row is for people. */
static void
write_progress(struct ph_phase_watch *watch)
{
    struct ph_progress progress = watch->progress;
    struct ph_buf json;

    progress.elapsed_s = ph_clock_seconds_since(watch->job->started_ns);
    ph_follow_read_progress(watch->job, &progress.follow);
    ph_buf_init(&json, JSON_LIMIT);
    ph_progress_put_json(&json, &progress);
    if (ph_buf_ok(&json))
        (void)ph_ledger_progress(watch->target, watch->job->options->name, ph_buf_text(&json),
                                 NULL);
    ph_buf_free(&json);
}

static void
look_for_wishes(struct ph_phase_watch *watch)
{
    const struct ph_job *job = watch->job;
    struct ph_until until;
    bool asked = false;

    if (ph_ledger_stop_asked(watch->target, job->options->name, job->ledger.run, &asked, NULL) ==
            PH_OK &&
        asked)
        ph_stop_request();
    if (watch->source != NULL)
        (void)ph_follow_read_end(job, watch->target, watch->source, &until, NULL);
}

/* Changes that can never come make all further work useless. true: so it is. */
static bool
has_failed(struct ph_phase_watch *watch)
{
    if (watch->stream == PH_PHASE_HAS_ALL || ph_follow_check(watch->job, &watch->trouble) == PH_OK)
        return false;
    ph_endpoint_cancel_all(&watch->job->source);
    ph_endpoint_cancel_all(&watch->job->target);
    return true;
}

static void *
run_watch(void *arg)
{
    struct ph_phase_watch *watch = arg;
    struct pollfd over = {.fd = watch->over_fd, .events = POLLIN};

    while (poll(&over, 1, LOOK_EVERY_MS) == 0 && !ph_stop_requested()) {
        watch->source = keep_open(&watch->job->source, watch->source);
        watch->target = keep_open(&watch->job->target, watch->target);
        ph_follow_watch(watch->job, watch->source);
        if (watch->target != NULL) {
            write_progress(watch);
            look_for_wishes(watch);
        }
        if (has_failed(watch))
            break;
    }
    ph_conn_free(watch->source);
    ph_conn_free(watch->target);
    return NULL;
}

/* The rows are in: by this run, or by earlier ones. */
static void
describe(struct ph_phase_watch *watch, const char *name)
{
    const struct ph_job *job = watch->job;
    struct ph_progress *progress = &watch->progress;

    snprintf(progress->phase, sizeof progress->phase, "%s", name);
    progress->tables = progress->tables_done = job->plan.n_tables;
    progress->chunks = progress->chunks_done = job->plan.n_chunks;
    progress->rows = job->plan.rows;
    progress->bytes = job->plan.bytes;
    for (uint32_t i = 0; i < job->plan.n_chunks; i++) {
        progress->rows_done += job->chunk_states[i].rows;
        progress->bytes_done += job->chunk_states[i].bytes;
    }
}

ph_code
ph_phase_watch_begin(struct ph_phase_watch *watch, struct ph_job *job, const char *name,
                     enum ph_phase_stream stream, struct ph_error *err)
{
    *watch = (struct ph_phase_watch){.job = job, .stream = stream, .over_fd = -1};
    if (!job->follows)
        return PH_OK;
    if (job->plan.n_tables == 0) /* this run began behind the rows */
        PH_TRY(ph_job_load_plan(job, err));
    PH_TRY(ph_follow_receive(job, err));
    describe(watch, name);
    watch->over_fd = eventfd(0, EFD_CLOEXEC);
    watch->running =
        watch->over_fd >= 0 && pthread_create(&watch->thread, NULL, run_watch, watch) == 0;
    return PH_OK;
}

ph_code
ph_phase_watch_end(struct ph_phase_watch *watch, ph_code rc, struct ph_error *err)
{
    const uint64_t one = 1;

    if (watch->running && write(watch->over_fd, &one, sizeof one) == (ssize_t)sizeof one)
        pthread_join(watch->thread, NULL);
    if (watch->over_fd >= 0)
        close(watch->over_fd);
    watch->running = false;
    if (watch->trouble.code == PH_OK)
        return rc;
    ph_endpoint_reopen(&watch->job->source);
    ph_endpoint_reopen(&watch->job->target);
    *err = watch->trouble;
    return err->code;
}
