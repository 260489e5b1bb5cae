/*
 * The receiver: takes the change stream from the source into the spool, and tells the source what
 * it may forget. It never waits for the target.
 *
 * Two threads of its own: one that receives (it owns the session with the walsender and is the
 * spool's writer) and one that syncs the spool. They begin with ph_receiver_start and end with
 * ph_receiver_stop. A connection that is lost is made anew for as long as it takes, from where the
 * spool ends; what cannot heal (the slot is gone or went past us, another system, a right) ends the
 * receiver and stays to be seen in ph_receiver_look.
 *
 * When the spool has reached its limit, or the disk is full, it reads no further and tells the
 * server so often enough that this one does not hang up; it goes on when there is room.
 *
 * What is acknowledged never goes back, and is at most the larger of what is durable in the spool
 * and what the target has flushed.
 */
#ifndef PH_FLOW_RECEIVER_H
#define PH_FLOW_RECEIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "model/lsn.h"
#include "pg/publication.h"
#include "pg/replication.h"
#include "spool/spool.h"

struct ph_receiver;

/* Pointers must outlive the receiver. */
struct ph_receiver_params {
    const struct ph_endpoint *source;
    struct ph_spool *spool; /* open, in no session; the receiver is its only writer */
    const char *slot;       /* made by pghaul: pgoutput, of the source's database */
    const char *const *publications;
    uint32_t n_publications;
    enum ph_publish_as partitions; /* as it was when the slot was made */
    enum ph_stream_values values;
    enum ph_stream_large large;
    enum ph_stream_origins origins;
    const char *system_id; /* of the source, as the ledger has it; likewise the timeline */
    uint32_t timeline;
    enum ph_ack ack;
    ph_lsn applied;        /* the ledger's position at the start, durable there */
    ph_lsn seen;           /* the copy may have what was committed before it; 0: nothing */
    int sender_timeout_ms; /* as ph_replication_params */
    uint32_t silence_ms;   /* a connection that brings nothing is made anew; 0: 10 minutes */
    /* More WAL than this that waits at the beginning is read in pieces, by SQL (pg/slot_piece.h);
       0: always by the stream. */
    uint64_t bulk_from_bytes;
};

/* PH_E_MEMORY, PH_E_INTERNAL: no thread. All else is told by look. */
ph_code ph_receiver_start(const struct ph_receiver_params *params, struct ph_receiver **out,
                          struct ph_error *err);
/*
 * The ledger's position is `applied` now, and the target has flushed all up to `durable`. Never
 * going back. Any one thread.
 */
void ph_receiver_set_applied(struct ph_receiver *receiver, ph_lsn applied, ph_lsn durable);
/* Whether that session was asked for binary values. */
bool ph_receiver_wrote_binary(const struct ph_spool_session *session);
/* The copy has more than at the start: likewise. */
void ph_receiver_set_seen(struct ph_receiver *receiver, ph_lsn seen);
/* The source's clock as last heard of, microseconds since 1970; 0: not yet. Any thread. */
int64_t ph_receiver_source_clock(struct ph_receiver *receiver);
/*
 * End: what has come is flushed and synced, the source is told, the stream closed. Waits a few
 * seconds at most for a server that answers; connecting to one that does not takes until
 * ph_endpoint_cancel_all or the connection's own time limit. Once; by the thread that started it.
 */
void ph_receiver_stop(struct ph_receiver *receiver);
/* Stopped, or NULL. */
void ph_receiver_free(struct ph_receiver *receiver);

enum ph_receiver_state {
    PH_RECEIVER_CONNECTING,
    PH_RECEIVER_STREAMING,
    PH_RECEIVER_PAUSED,  /* the spool takes no more now: `trouble` says why */
    PH_RECEIVER_WAITING, /* to try again: `trouble` says why */
    PH_RECEIVER_STOPPED,
    PH_RECEIVER_FAILED /* has given up: `trouble` says why */
};

struct ph_receiver_look {
    enum ph_receiver_state state;
    uint32_t sessions;      /* streams begun */
    uint32_t pieces;        /* of a backlog, read */
    uint64_t messages;      /* of the output plugin … */
    uint64_t bytes;         /* … and what they have */
    uint64_t transactions;  /* commits taken into the spool */
    uint64_t repeated;      /* transactions that the server sent once more; left out */
    ph_lsn source_end;      /* how far the server's WAL is known to go; 0: not known yet */
    ph_lsn acknowledged;    /* 0: nothing yet */
    int64_t last_sent_us;   /* the last message's, by the source's clock; microseconds since 1970 */
    uint64_t last_input_ns; /* when it came: ph_clock_ns; 0: none yet */
    struct ph_error trouble;
};
/* Any thread, also after the end. */
void ph_receiver_look(struct ph_receiver *receiver, struct ph_receiver_look *out);

#endif
