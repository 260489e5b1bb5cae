/*
 * The snapshot's holder: a small process of its own that keeps an exported snapshot alive on the
 * source when the mover is killed (DESIGN D5).
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

#include "pg/conn.h"
#include "pg/snapshot.h"

#define PH_HOLDER_ARGUMENT "__snapshot-holder"

struct ph_holder_params {
    const struct ph_endpoint *source;
    const char *job;
    const char *dir;
    uint64_t hold_seconds;
};

struct ph_held_snapshot {
    char snapshot_id[64]; /* for SET TRANSACTION SNAPSHOT */
    struct ph_snapshot_mark mark;
    int process_pid; /* here */
};

/*
 * Start a holder with a new snapshot; returns when the snapshot is there. Errors are those of the
 * holder's connection.
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
