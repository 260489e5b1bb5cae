/*
 * A lane: three threads, three rings and a fixed pool of batches that goes round.
 *
 *   source thread -> [raw] -> program thread -> [ready] -> owner (the sink) -> [free] -> source
 * thread
 *
 * The pool is the memory bound and the back-pressure. A program that makes much of few rows gives
 * out the rest of them in batches of a second, smaller pool, which come back to it:
 *
 *   program thread -> [ready] -> owner -> [more] -> program thread
 *
 * The owner is the thread that calls
 * ph_lane_run; it writes to the sink itself, so a lane has two threads of its own. A failure of one
 * stage never leaves batches behind: the task is marked cancelled, the source ends it, and the
 * owner returns batches until the last one has come.
 */
#ifndef PH_FLOW_LANE_H
#define PH_FLOW_LANE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/budget.h"
#include "base/ring.h"
#include "flow/task.h"

#define PH_LANE_BATCHES 4
#define PH_LANE_MORE 2

/* Where rows come from. Called by the lane's source thread only. */
struct ph_source_ops {
    /* Start reading a task. After a failure the next open begins afresh. */
    ph_code (*open)(void *state, const struct ph_task *task, struct ph_error *err);
    /* As ph_conn_copy_out_read: *len == 0 ends it, PH_E_ROW_TOO_LARGE tells the size in *len. */
    ph_code (*read)(void *state, uint8_t *into, size_t size, size_t *len, struct ph_error *err);
    /* Give up what is being read (cancelled or failed); connections may be closed. */
    void (*abandon)(void *state);
};

/* What is done to rows. Called by the lane's program thread only. */
struct ph_program_ops {
    ph_code (*open)(void *state, const struct ph_task *task, struct ph_error *err);
    /*
     * May change the batch in place; sets batch->rows. When what it makes is more than a batch is
     * to hold it sets has_more, keeps what is left and is called with an empty batch, until it has
     * given out all.
     */
    ph_code (*run)(void *state, struct ph_task *task, struct ph_batch *batch, struct ph_error *err);
    ph_code (*end)(void *state, struct ph_task *task, struct ph_error *err);
};

/* Where rows go. Called by the owner only. */
struct ph_sink_ops {
    ph_code (*begin)(void *state, const struct ph_task *task, struct ph_error *err);
    ph_code (*write)(void *state, const struct ph_batch *batch, struct ph_error *err);
    /* All rows are written; `rows` is what the program counted. */
    ph_code (*end)(void *state, const struct ph_task *task, uint64_t rows, struct ph_error *err);
    /* Give up what begin started; the transaction is the owner's to roll back. */
    void (*abandon)(void *state, const struct ph_task *task);
};

struct ph_lane_params {
    const struct ph_source_ops *source;
    void *source_state;
    const struct ph_program_ops *program;
    void *program_state;
    struct ph_budget *budget; /* shared; not owned */
    size_t batch_bytes;
    uint64_t max_row_bytes;
};

struct ph_lane {
    struct ph_lane_params params;
    struct ph_batch batches[PH_LANE_BATCHES];
    struct ph_batch more_batches[PH_LANE_MORE]; /* without memory until the program fills them */
    struct ph_ring todo;                        /* struct ph_task *, owner -> source */
    struct ph_ring raw;
    struct ph_ring ready;
    struct ph_ring free;
    struct ph_ring more;
    pthread_t source_thread;
    pthread_t program_thread;
    struct ph_task *task_at_program; /* set by the owner while no batch is under way */
    bool opened_at_program;          /* likewise; then the program thread's */
    atomic_bool large_out;           /* a grown batch is under way: set by the source thread */
    bool started;
};

/* What a batch has of the room that there is for one: no more than helps, no less than works. */
size_t ph_lane_batch_bytes(size_t room);
/* Starts the two threads. */
ph_code ph_lane_start(struct ph_lane *lane, const struct ph_lane_params *params,
                      struct ph_error *err);
/*
 * Move one task from source to sink; blocks until the last batch is back. Errors: the first stage's
 * that failed, in the order source, program, sink.
 */
ph_code ph_lane_run(struct ph_lane *lane, struct ph_task *task, const struct ph_sink_ops *sink,
                    void *sink_state, struct ph_error *err);
/* Ends the threads; no task may be running. Safe on a lane that never started. */
void ph_lane_stop(struct ph_lane *lane);

enum ph_lane_wait { PH_LANE_WAIT_SOURCE, PH_LANE_WAIT_PROGRAM, PH_LANE_WAIT_SINK };
/* Which stage the lane waits for, from the rings' filling. Any thread. */
enum ph_lane_wait ph_lane_waits_for(struct ph_lane *lane);

#endif
