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
#include "base/json.h"
#include "base/log.h"
#include "base/stop.h"
#include "job/rows_internal.h"

#define PROGRESS_EVERY_MS 2000

static enum ph_wait
wait_of(struct ph_rows_lane *lane, enum ph_lane_state state)
{
    switch (ph_lane_waits_for(&lane->lane)) {
    case PH_LANE_WAIT_SINK:
        return PH_WAIT_TARGET;
    case PH_LANE_WAIT_PROGRAM:
        return PH_WAIT_PGHAUL;
    case PH_LANE_WAIT_SOURCE:
        return state == PH_LANE_VERIFY ? PH_WAIT_TARGET : PH_WAIT_SOURCE;
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
        if (lane->shown->chunk != NULL && table->n_chunks > 1) {
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
    out->verify_tables = rows->schedule.want_read_back ? rows->schedule.n_groups : 0;
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
}

/* ---- the ledger's progress row ---- */

static void
put_lane(struct ph_buf *json, const struct ph_lane_progress *lane)
{
    ph_buf_puts(json, "{\"table\":");
    ph_json_put_string(json, lane->label, strlen(lane->label));
    ph_buf_printf(json,
                  ",\"state\":\"%s\",\"chunk\":%u,\"chunks\":%u,\"rows\":%llu,\"bytes\":%llu}",
                  ph_lane_state_name(lane->state), lane->chunk, lane->n_chunks,
                  (unsigned long long)lane->rows, (unsigned long long)lane->bytes);
}

static void
progress_json(const struct ph_progress *p, struct ph_buf *json)
{
    ph_buf_printf(
        json,
        "{\"phase\":\"%s\",\"tables_done\":%u,\"tables\":%u,\"chunks_done\":%u,"
        "\"chunks\":%u,\"rows_done\":%llu,\"rows\":%llu,\"bytes_done\":%llu,"
        "\"bytes\":%llu,\"elapsed_s\":%.1f,\"index_steps_done\":%u,\"index_steps\":%u,"
        "\"verify_tables_done\":%u,\"verify_tables\":%u,\"waiting_for\":\"%s\",\"lanes\":[",
        p->phase, p->tables_done, p->tables, p->chunks_done, p->chunks,
        (unsigned long long)p->rows_done, (unsigned long long)p->rows,
        (unsigned long long)p->bytes_done, (unsigned long long)p->bytes, p->elapsed_s,
        p->index_steps_done, p->index_steps, p->verify_tables_done, p->verify_tables,
        ph_wait_name(p->waiting_for));
    for (uint32_t i = 0; i < p->n_lanes; i++) {
        if (i > 0)
            ph_buf_putc(json, ',');
        put_lane(json, &p->lanes[i]);
    }
    ph_buf_puts(json, "]}");
}

/* A failure here is no reason to stop a copy: the row is for people. */
static void
write_progress(struct ph_rows *rows, struct ph_conn **conn)
{
    static const size_t limit = (size_t)1 << 20;
    struct ph_progress progress = {0};
    struct ph_buf json;

    if (*conn == NULL && ph_conn_open(&rows->job->target, "progress", conn, NULL) != PH_OK)
        return;
    read_progress(rows, &progress);
    ph_buf_init(&json, limit);
    progress_json(&progress, &json);
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
    char asked[8];
    struct ph_buf sql;

    if (conn == NULL)
        return;
    ph_buf_init(&sql, 1024);
    ph_buf_printf(&sql, "SELECT stop_asked IS NOT NULL FROM pghaul.run WHERE run = %u AND job = ",
                  rows->job->ledger.run);
    ph_buf_put_literal(&sql, rows->job->options->name);
    if (ph_conn_value(conn, ph_buf_text(&sql), asked, sizeof asked, NULL) == PH_OK &&
        asked[0] == 't')
        ph_stop_request();
    ph_buf_free(&sql);
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
    struct pollfd fds[2] = {{.fd = rows->over_fd, .events = POLLIN},
                            {.fd = ph_stop_fd(), .events = POLLIN}};

    for (;;) {
        int n = poll(fds, 2, PROGRESS_EVERY_MS);
        if ((fds[0].revents & POLLIN) != 0)
            break;
        if (fds[1].fd >= 0 && ph_stop_requested()) {
            ph_conn_free(conn);
            conn = NULL;
            stop_everything(rows);
            fds[1].fd = -1; /* poll() leaves it out from now on */
        } else if (n == 0 && fds[1].fd >= 0) {
            write_progress(rows, &conn);
            look_for_stop(rows, conn);
        }
    }
    ph_conn_free(conn);
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
