/*
 * The snapshot's holder: a small process of its own that keeps an exported snapshot alive on the
 * source when the mover is killed (docs/decisions/0002-holder-process.md).
 *
 * It has one connection and does nothing but hold. It sees the mover by a lock on DIR/mover.lock:
 * once that is free for `hold_seconds` it ends; it also ends when DIR/holder.stop is there anew,
 * DIR is not, or the source is gone. It is started by exec of this same program with the single
 * argument PH_HOLDER_ARGUMENT and reads what it needs from standard input, so that no password is
 * in a process title.
 */
#ifndef PH_PG_HOLDER_H
#define PH_PG_HOLDER_H

#include <stdint.h>

#include "model/change.h"
#include "pg/conn.h"
#include "pg/snapshot.h"

#define PH_HOLDER_ARGUMENT "__snapshot-holder"

/* What the snapshot is for. */
enum ph_hold_use {
    PH_HOLD_FOR_COPY,  /* alone */
    PH_HOLD_FOR_STREAM /* an epoch: L is read after it, and the WAL flushed up to there */
};

struct ph_holder_params {
    const struct ph_endpoint *source;
    const char *job;
    const char *dir;
    uint64_t hold_seconds;
    enum ph_hold_use use;
    /* one that a session has exported and still keeps (the slot's); NULL: a new one is taken */
    const char *snapshot_id;
    /*
     * For PH_HOLD_FOR_STREAM: a session of the source outside of a transaction. When nothing else
     * makes the server flush its WAL, a small message committed there does. NULL: wait only.
     */
    struct ph_conn *flusher;
};

struct ph_held_snapshot {
    char snapshot_id[64]; /* for SET TRANSACTION SNAPSHOT */
    struct ph_snapshot_mark mark;
    int process_pid; /* here */
    ph_lsn lsn;      /* L; 0 with PH_HOLD_FOR_COPY */
};

/*
 * Start a holder; returns when the snapshot is there and, for a stream, when the holder's own
 * session has seen the WAL flushed up to L: no crash of the source lies between then. Errors are
 * those of the holder's connection; PH_E_SNAPSHOT_LOST when the given one cannot be imported;
 * PH_E_NOT_READY for a standby, whose snapshots do not list what runs; PH_E_STOPPED.
 */
ph_code ph_holder_start(const struct ph_holder_params *params, struct ph_held_snapshot *out,
                        struct ph_error *err);
/* Tell the holder of the directory to end; returns at once. */
ph_code ph_holder_stop(const char *dir, struct ph_error *err);

/* What the process does when it was started as a holder; returns its exit code. */
int ph_holder_main(void);

/*
 * The mover's lock on DIR/mover.lock, kept until the process ends or the descriptor is closed.
 * PH_E_JOB_RUNNING when another process on this host has it.
 */
ph_code ph_mover_lock(const char *dir, int *fd, struct ph_error *err);

#endif
