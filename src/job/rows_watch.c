/*
 * The watcher of the rows phase: see rows_internal.h. It has a connection of its own for the
 * ledger's progress row, opened when the phase has lasted two seconds, so that short jobs do not
 * pay for it.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "job/follow.h"
#include "job/rows_internal.h"
#include "pg/ledger_status.h"

#define PROGRESS_EVERY_MS 2000

static enum ph_wait
wait_of(struct ph_rows_lane *lane, enum ph_lane_state state)
{
    switch (ph_lane_waits_for(&lane->lane)) {
    case PH_LANE_WAIT_SINK:
        return atomic_load(&lane->rows->target_disk) ? PH_WAIT_TARGET_DISK : PH_WAIT_TARGET;
    case PH_LANE_WAIT_PROGRAM:
        return PH_WAIT_PGHAUL;
    case PH_LANE_WAIT_SOURCE:
        if (state == PH_LANE_VERIFY)
            return PH_WAIT_TARGET;
        return atomic_load(&lane->rows->wire) ? PH_WAIT_WIRE : PH_WAIT_SOURCE;
    }
    return PH_WAIT_NONE;
}

static void
read_lane(struct ph_rows_lane *lane, struct ph_lane_progress *out)
{
    pthread_mutex_lock(&lane->show_lock);
    if (lane->shown != NULL) {
        const struct ph_table_plan *table = lane->shown->table;
        ph_plan_table_label(table, out->label, sizeof out->label);
        out->state = lane->shown_state;
        out->rows = atomic_load(&lane->shown->rows);
        out->bytes = atomic_load(&lane->shown->bytes);
        if (out->state == PH_LANE_COPY && table->n_chunks > 1) {
            out->chunk = lane->shown->chunk->number + 1;
            out->n_chunks = table->n_chunks;
        }
        out->waiting_for = wait_of(lane, out->state);
    }
    pthread_mutex_unlock(&lane->show_lock);
}

static enum ph_wait
most_common_wait(const struct ph_progress *progress)
{
    unsigned counts[PH_WAIT_TARGET_DISK + 1] = {0};
    enum ph_wait most = PH_WAIT_NONE;

    for (uint32_t i = 0; i < progress->n_lanes; i++) {
        if (progress->lanes[i].state != PH_LANE_IDLE)
            counts[progress->lanes[i].waiting_for]++;
    }
    for (unsigned w = 0; w <= PH_WAIT_TARGET_DISK; w++) {
        if (counts[w] > counts[most])
            most = (enum ph_wait)w;
    }
    return most;
}

static void
read_progress(void *arg, struct ph_progress *out)
{
    struct ph_rows *rows = arg;
    const struct ph_plan *plan = &rows->job->plan;

    pthread_mutex_lock(&rows->schedule.lock);
    out->tables_done = rows->schedule.tables_loaded;
    out->verify_tables_done = rows->schedule.tables_verified;
    out->verify_tables = rows->schedule.parts != NULL ? rows->schedule.n_groups : 0;
    pthread_mutex_unlock(&rows->schedule.lock);
    snprintf(out->phase, sizeof out->phase, "%s",
             out->tables_done < plan->n_tables ? "rows" : "indexes and proof");
    out->tables = plan->n_tables;
    out->chunks = plan->n_chunks;
    out->chunks_done = (uint32_t)atomic_load(&rows->chunks_done);
    out->rows_done = atomic_load(&rows->rows_done);
    out->bytes_done = atomic_load(&rows->bytes_done);
    out->rows_before = rows->rows_before;
    out->bytes_before = rows->bytes_before;
    out->rows = plan->rows;
    out->bytes = plan->bytes;
    out->elapsed_s = ph_clock_seconds_since(rows->job->started_ns);
    for (uint32_t i = 0; i < rows->n_lanes && i < PH_PROGRESS_LANES; i++) {
        struct ph_lane_progress *lane = &out->lanes[out->n_lanes++];
        read_lane(&rows->lanes[i], lane);
        if (lane->state == PH_LANE_COPY) {
            out->rows_done += lane->rows;
            out->bytes_done += lane->bytes;
        }
    }
    if (rows->steps != NULL)
        ph_step_workers_progress(rows->steps, out);
    out->waiting_for = most_common_wait(out);
    if (rows->job->follows)
        ph_follow_read_progress(rows->job, &out->follow);
}

/* ---- the ledger's progress row ---- */

/* A failure here is no reason to stop a copy: the row is for people. */
static void
write_progress(struct ph_rows *rows, struct ph_conn **conn)
{
    static const size_t limit = (size_t)1 << 20;
    struct ph_progress progress = {0};
    struct ph_buf json;

    if (*conn == NULL && ph_conn_open_briefly(&rows->job->target, "progress", conn, NULL) != PH_OK)
        return;
    read_progress(rows, &progress);
    ph_buf_init(&json, limit);
    ph_progress_put_json(&json, &progress);
    if (!ph_buf_ok(&json) ||
        ph_ledger_progress(*conn, rows->job->options->name, ph_buf_text(&json), NULL) != PH_OK) {
        ph_conn_free(*conn);
        *conn = NULL;
    }
    ph_buf_free(&json);
}

/* `pghaul stop` asks through the ledger. */
static void
look_for_stop(struct ph_rows *rows, struct ph_conn *conn)
{
    bool asked = false;

    if (conn != NULL &&
        ph_ledger_stop_asked(conn, rows->job->options->name, rows->job->ledger.run, &asked, NULL) ==
            PH_OK &&
        asked)
        ph_stop_request();
}

/* Changes that can never come make it useless to copy on. */
static void
look_at_follow(struct ph_rows *rows, struct ph_conn *source)
{
    struct ph_error err;

    if (!rows->job->follows)
        return;
    ph_error_reset(&err);
    ph_follow_watch(rows->job, source);
    if (ph_follow_check(rows->job, &err) != PH_OK)
        ph_schedule_fail(&rows->schedule, err.code, &err);
}

/* `stop --at now` means the moment at which it was given. */
static void
look_for_end(const struct ph_rows *rows, struct ph_conn *target, struct ph_conn *source)
{
    struct ph_until until;

    if (rows->job->follows && target != NULL && source != NULL)
        (void)ph_follow_read_end(rows->job, target, source, &until, NULL);
}

/* An index that is being built when a lane fails may take hours more: nobody is to wonder. */
static bool
tell_failure(struct ph_rows *rows)
{
    struct ph_error err;

    pthread_mutex_lock(&rows->schedule.lock);
    bool failed = rows->schedule.rc != PH_OK;
    err = rows->schedule.error;
    pthread_mutex_unlock(&rows->schedule.lock);
    if (!failed)
        return false;
    ph_log_failure(PH_LOG_WARN, &err);
    ph_log(PH_LOG_WARN, "rows.ending", "what other connections have under way is finished first");
    return true;
}

static void
stop_everything(struct ph_rows *rows)
{
    ph_budget_stop(&rows->budget);
    ph_endpoint_cancel_all(&rows->job->source);
    ph_endpoint_cancel_all(&rows->job->target);
    struct ph_error err;
    ph_error_set(&err, PH_E_STOPPED, "stopped");
    ph_schedule_fail(&rows->schedule, PH_E_STOPPED, &err);
    if (rows->steps != NULL)
        ph_step_workers_end(rows->steps);
}

static void *
run_watcher(void *arg)
{
    struct ph_rows *rows = arg;
    struct ph_conn *conn = NULL;
    struct ph_conn *source = NULL;
    bool told = false;
    struct pollfd fds[2] = {{.fd = rows->over_fd, .events = POLLIN},
                            {.fd = ph_stop_fd(), .events = POLLIN}};

    for (;;) {
        int n = poll(fds, 2, PROGRESS_EVERY_MS);
        if ((fds[0].revents & POLLIN) != 0)
            break;
        if (fds[1].fd >= 0 && ph_stop_requested()) {
            ph_conn_free(conn);
            ph_conn_free(source);
            conn = source = NULL;
            stop_everything(rows);
            fds[1].fd = -1; /* poll() leaves it out from now on */
        } else if (n == 0 && fds[1].fd >= 0) {
            write_progress(rows, &conn);
            ph_rows_look_at_waits(rows, conn, &source);
            look_at_follow(rows, source);
            look_for_stop(rows, conn);
            look_for_end(rows, conn, source);
            told = told || tell_failure(rows);
        }
    }
    ph_conn_free(conn);
    ph_conn_free(source);
    return NULL;
}

void
ph_rows_watch_begin(struct ph_rows *rows)
{
    const struct ph_observer *observer = &rows->job->run->observer;

    rows->over_fd = eventfd(0, EFD_CLOEXEC);
    rows->watching =
        rows->over_fd >= 0 && pthread_create(&rows->watcher, NULL, run_watcher, rows) == 0;
    if (observer->started != NULL)
        observer->started(observer->context, read_progress, rows);
}

void
ph_rows_watch_end(struct ph_rows *rows)
{
    const struct ph_observer *observer = &rows->job->run->observer;
    uint64_t one = 1;

    if (observer->ended != NULL)
        observer->ended(observer->context);
    if (rows->watching) {
        if (write(rows->over_fd, &one, sizeof one) == (ssize_t)sizeof one)
            pthread_join(rows->watcher, NULL);
    }
    if (rows->over_fd >= 0)
        close(rows->over_fd);
}
