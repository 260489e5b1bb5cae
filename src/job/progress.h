/*
 * What a running job tells the display: plain values, copied on demand.
 *
 * The job calls observer->started once there is something to see and observer->ended before the
 * data behind it goes away; both from its main thread. In between the display calls `read` from a
 * thread of its own, some times a second; `read` must not block for long and fills a zeroed
 * snapshot.
 */
#ifndef PH_JOB_PROGRESS_H
#define PH_JOB_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "job/guard.h"
#include "model/lsn.h"

#define PH_PROGRESS_LANES 64

/* What somebody waits for; NONE: he works, or nothing is known. */
enum ph_wait {
    PH_WAIT_NONE,
    PH_WAIT_SOURCE,
    PH_WAIT_WIRE,
    PH_WAIT_PGHAUL,
    PH_WAIT_TARGET,
    PH_WAIT_TARGET_DISK
};
const char *ph_wait_name(enum ph_wait wait); /* "source", "wire", …; "" for NONE */

enum ph_lane_state { PH_LANE_IDLE, PH_LANE_COPY, PH_LANE_COMMIT, PH_LANE_INDEX, PH_LANE_VERIFY };
const char *ph_lane_state_name(enum ph_lane_state state); /* "idle", "copy", … */

struct ph_lane_progress {
    char label[160];   /* table or index, "" when idle */
    uint32_t chunk;    /* from 1; 0: not in chunks */
    uint32_t n_chunks; /* of this table */
    uint64_t rows;     /* of the chunk at hand */
    uint64_t bytes;
    enum ph_lane_state state;
    enum ph_wait waiting_for;
};

/* Of a job that applies changes. Positions are of the source's WAL. */
struct ph_follow_progress {
    bool is_on;         /* the rest is only then something */
    bool is_waiting;    /* rows are copied: changes are received, and not applied yet */
    bool is_consistent; /* the target is a state that the source had */
    uint32_t workers;   /* apply the tables among them, up to `meet`: not consistent; 0: there is
                           no team */
    ph_lsn meet;
    char receiver[16]; /* "streaming", "paused", … */
    ph_lsn source;     /* its end, as far as it is known */
    ph_lsn received;
    ph_lsn safe; /* on disk here */
    ph_lsn acknowledged;
    ph_lsn applied;
    ph_lsn applied_durable;
    ph_lsn consistent_from;
    uint64_t lag_bytes;
    uint64_t lag_transactions; /* received by this run, not applied yet */
    bool has_older;            /* more of them wait that an earlier run had received */
    bool is_heard;             /* the source is: its end, and that nothing waits, are of now */
    double heard_s;            /* ago it said something; negative: not yet to this run */
    double lag_s;      /* by the source's clock, since its commit of what was applied last, while
                          more waits; negative: not known */
    double in_bytes_s; /* of WAL, in the last seconds */
    double out_bytes_s;
    double transactions_s;
    double drain_s; /* until the lag is gone; negative: not known, or it grows */
    uint64_t spool_bytes;
    uint64_t spool_segments;
    uint64_t transactions; /* and all below: by this run */
    uint64_t changes;
    uint64_t skipped; /* the copy had them */
    uint64_t conflicts;
    uint64_t groups;
    uint64_t replays;
    uint64_t early;      /* streamed transactions applied while they arrived */
    uint64_t early_left; /* begun so, but applied at their commit */
    bool has_slot;       /* what follows was read from the source, some seconds ago */
    char wal_status[16];
    int64_t kept_wal_bytes;
    int64_t
        safe_wal_bytes; /* may still be written until the slot is given up; negative: no limit */
    int64_t xmin_age;   /* transactions; negative: none is held */
    int64_t catalog_xmin_age;
    char warnings[PH_GUARDS][PH_GUARD_TEXT]; /* "": none */
};

struct ph_progress {
    char phase[32]; /* "schema", "rows", "indexes", "verify", … */
    uint32_t tables_done;
    uint32_t tables;
    uint32_t chunks_done;
    uint32_t chunks;
    uint64_t rows_done;
    uint64_t rows; /* estimate */
    uint64_t bytes_done;
    uint64_t bytes;   /* estimate */
    double elapsed_s; /* of this run */
    uint64_t
        rows_before; /* of rows_done: what earlier runs had done, so that rates are this run's */
    uint64_t bytes_before;
    uint32_t index_steps_done;
    uint32_t index_steps; /* indexes, constraints and other statements after the rows */
    uint32_t verify_tables_done;
    uint32_t verify_tables;
    uint64_t retries;         /* lost connections that were taken up again */
    enum ph_wait waiting_for; /* what most lanes wait for */
    struct ph_lane_progress lanes[PH_PROGRESS_LANES];
    uint32_t n_lanes;
    struct ph_follow_progress follow;
};

typedef void ph_progress_read(void *job, struct ph_progress *out);

/* The snapshot as one JSON object, for the ledger; `pghaul status` reads it back. */
void ph_progress_put_json(struct ph_buf *out, const struct ph_progress *progress);

/* All NULL: nobody looks. The functions get `context`. */
struct ph_observer {
    void (*started)(void *context, ph_progress_read *read, void *job);
    void (*ended)(void *context);
    void *context;
};

#endif
