/* What rows.c and rows_watch.c share. */
#ifndef PH_JOB_ROWS_INTERNAL_H
#define PH_JOB_ROWS_INTERNAL_H

#include <pthread.h>

#include "flow/copy_sink.h"
#include "flow/digest_program.h"
#include "flow/side_source.h"
#include "job/rows.h"
#include "job/step_workers.h"

struct ph_rows_lane {
    struct ph_rows *rows;
    struct ph_lane lane;
    struct ph_side_source source;
    struct ph_digest_program program;
    struct ph_copy_sink sink;
    pthread_t thread;
    bool started;
    pthread_mutex_t show_lock; /* guards the two below: the display reads them */
    struct ph_task *shown;     /* the task at hand or NULL */
    enum ph_lane_state shown_state;
};

/* A target that is read back, by its leader; see rows_read_back.c. */
struct ph_read_back { /* guarded by read_back_lock; `blocks` and the start are set once */
    struct ph_digest_set found;
    uint64_t started_ns;
    uint64_t blocks; /* of the target, with several parts */
    uint32_t parts_left;
    bool begun;
};

struct ph_rows {
    struct ph_job *job;
    struct ph_step_workers *steps; /* NULL: none */
    struct ph_schedule schedule;
    struct ph_budget budget;
    struct ph_rows_lane *lanes;
    uint32_t n_lanes;
    atomic_uint_fast64_t rows_done;
    atomic_uint_fast64_t bytes_done;
    atomic_uint_fast32_t chunks_done;
    atomic_bool target_disk;         /* most loading sessions wait for the target's disk */
    atomic_bool wire;                /* most reading sessions wait until their bytes are taken */
    uint32_t *parts;                 /* by leader: in how many parts its target is read back */
    struct ph_read_back *read_backs; /* by leader */
    pthread_mutex_t read_back_lock;
    uint64_t rows_before;
    uint64_t bytes_before;
    pthread_t watcher;
    bool watching;
    int over_fd; /* eventfd: the watcher is to end */
};

/* ---- rows.c ---- */

/* One task through the lane; the statement is made here. The lane's owner. */
ph_code ph_rows_run_task(struct ph_rows_lane *lane, struct ph_task *task,
                         const struct ph_sink_ops *sink, enum ph_lane_state state,
                         struct ph_error *err);
/* Says in the error which table it was, and which chunk when there are several. */
void ph_rows_name_table(const struct ph_table_plan *table, const struct ph_chunk *chunk,
                        struct ph_error *err);

/* ---- rows_read_back.c ---- */

/* Also says how many parts each target has, which the schedule is to be told. */
ph_code ph_rows_read_backs_init(struct ph_rows *rows, struct ph_error *err);
void ph_rows_read_backs_free(struct ph_rows *rows);
/* Reads one part; with the last one the target is compared and the ledger told. Lane's owner. */
ph_code ph_rows_read_back(struct ph_rows_lane *lane, uint32_t leader, uint32_t part,
                          struct ph_error *err);

/* ---- rows_watch.c ---- */

/*
 * The watcher: a thread that answers the display, writes progress to the ledger every two seconds,
 * and makes blocked connections return when a stop is wished.
 */
void ph_rows_watch_begin(struct ph_rows *rows);
void ph_rows_watch_end(struct ph_rows *rows);

/* ---- rows_waits.c ---- */

/* Sets target_disk and wire. `*source` is opened when NULL; the watcher frees it. Its thread. */
void ph_rows_look_at_waits(struct ph_rows *rows, struct ph_conn *target, struct ph_conn **source);

#endif
