/*
 * What the files of the receiver share. Not for other files.
 *
 * Shared between threads: the atomics, `seen` and `pieces` under `lock`. All else is the receive
 * thread's.
 */
#ifndef PH_FLOW_RECEIVER_PARTS_H
#define PH_FLOW_RECEIVER_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "flow/intake.h"
#include "flow/receiver.h"

struct ph_receiver {
    struct ph_receiver_params params;
    pthread_t receive_thread;
    pthread_t sync_thread;
    int wake_fd; /* eventfd: something new is durable, or the end is wished */
    atomic_bool stopping;
    atomic_bool failed;
    atomic_bool received;                /* the receive thread has ended */
    atomic_int_fast64_t source_clock_us; /* as `now` has it */
    atomic_uint_fast64_t applied;
    atomic_uint_fast64_t applied_durable;
    atomic_uint_fast64_t copy_seen;
    pthread_mutex_t lock;
    struct ph_receiver_look seen;
    struct ph_conn *pieces; /* a backlog is read on it; NULL: none. Opened, closed by the receive
                               thread, cancelled by others, under `lock` */

    /* Of the session. */
    struct ph_replication *session; /* NULL: none */
    struct ph_spool_session frame;  /* as the spool gets it */
    struct ph_intake intake;
    struct ph_span message; /* under way to the spool */
    ph_lsn keepalive;       /* the last one's position */
    bool reply_wanted;
    ph_lsn told; /* as the last status had it: applied, and with it `acknowledged` */
    uint64_t told_ns;
    uint64_t status_every_ns;
    uint64_t progress_ns; /* when the last one was noted */
    uint64_t flushed_ns;  /* of the spool, the last time */
    uint64_t heard_ns;    /* of the server, the last time */
    uint64_t flow;        /* bytes since it last had to wait */
    uint32_t flow_nap_ns; /* what it rests for in full flow until there is more to read */
    bool unflushed;
    bool awaits_large; /* a large transaction is next: its blocks are wanted early */
    /* Of all sessions. */
    struct ph_receiver_look now;  /* counters; copied to `seen` */
    uint64_t transactions_before; /* of the sessions before; likewise the next */
    uint64_t repeated_before;
    uint64_t silence_ns; /* how much of it is borne; more after each time it ended a session */
    int backend_pid;     /* of the last session; 0: none yet */
    uint64_t missing_since_ns; /* since when there is no such database; 0: there is */
    uint64_t taken_since_ns;   /* since when the slot is read by somebody else; 0: it is not */
    bool no_pieces;            /* they did not work here, or the slot does not allow them */
};

/* The end is wished, or has come. */
static inline bool
ph_receiver_is_over(const struct ph_receiver *receiver)
{
    return atomic_load(&receiver->stopping) || atomic_load(&receiver->failed);
}

static inline uint64_t
ph_receiver_larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* `trouble` NULL: none. */
void ph_receiver_show(struct ph_receiver *receiver, enum ph_receiver_state state,
                      const struct ph_error *trouble);
/* Sleep until there is input on `fd` (-1: none), wake_fd is written to, or it has been so long. */
void ph_receiver_wait(struct ph_receiver *receiver, int fd, uint64_t wait_ns);

/* A spool's session has ended: what its intake counted is kept. */
void ph_receiver_count_transactions(struct ph_receiver *receiver);

/* ---- receiver_connect.c ---- */

/* A session that can stream; fills session and frame, with the start: where spool and target end.
 */
ph_code ph_receiver_connect(struct ph_receiver *receiver, struct ph_error *err);
/* Look where it has to start now, on `conn`; NULL: on a connection of its own. */
ph_code ph_receiver_find_start(struct ph_receiver *receiver, struct ph_conn *conn,
                               struct ph_error *err);
/* How the stream from the frame's start is asked for. */
struct ph_stream_params ph_receiver_stream_params(const struct ph_receiver *receiver);
/* Begins at the frame's start; fills intake. */
ph_code ph_receiver_begin_stream(struct ph_receiver *receiver, struct ph_error *err);
/* Whether a session may do better later; if not, the reason is made as clear as it can be. */
bool ph_receiver_can_heal(struct ph_receiver *receiver, struct ph_error *err);

/* ---- receiver_pieces.c ---- */

/* Whether so much waits in the slot that it is better read in pieces first. */
bool ph_receiver_is_far_behind(const struct ph_receiver *receiver);
/*
 * Read until there is little left, or pieces are of no use; fills the frame's start again. What
 * went wrong with them alone is no failure: the stream takes over.
 */
ph_code ph_receiver_read_pieces(struct ph_receiver *receiver, struct ph_error *err);
/* What a piece waits for ends with an error. Any thread, once the end is wished. */
void ph_receiver_cancel_pieces(struct ph_receiver *receiver);

/* ---- receiver_stream.c ---- */

/* While messages flow without a pause, readers see them after so long. */
#define PH_RECEIVER_FLUSH_NS UINT64_C(5000000)
/* What was taken goes to the spool's file. */
ph_code ph_receiver_flush(struct ph_receiver *receiver, struct ph_error *err);

/* At most what is durable in the spool or the target, and never less than before. */
ph_lsn ph_receiver_safe_position(const struct ph_receiver *receiver,
                                 const struct ph_spool_positions *positions);

/* Receive until the connection is lost or the end is wished (PH_E_STOPPED). */
ph_code ph_receiver_stream(struct ph_receiver *receiver, struct ph_error *err);
/* What has come becomes durable and is acknowledged, as far as that works; the stream is ended. */
void ph_receiver_end_stream(struct ph_receiver *receiver);

#endif
