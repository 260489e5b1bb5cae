/*
 * What looks after a follow while the job's own thread is busy with a phase that is not the rows'
 * (those have a watcher of their own: rows_internal.h) and does not look itself: the rest, the
 * proof, and where a follow reads catalogs or ends, since somebody's lock may hold that up.
 * Every two seconds, on a thread and connections of its own: the guards, the ledger's progress row,
 * and what `pghaul stop` asks for. Does nothing for a job that does not follow.
 */
#ifndef PH_JOB_PHASE_WATCH_H
#define PH_JOB_PHASE_WATCH_H

#include <pthread.h>

#include "job/job.h"
#include "job/progress.h"

enum ph_phase_stream {
    PH_PHASE_NEEDS_STREAM, /* all work is useless once changes can never come */
    PH_PHASE_HAS_ALL
};

struct ph_phase_watch {
    struct ph_job *job;
    enum ph_phase_stream stream;
    struct ph_progress progress; /* what of it stays as it was at the beginning */
    int over_fd;
    bool running;
    pthread_t thread;
    /* the thread's until it is joined */
    struct ph_conn *target;
    struct ph_conn *source;
    struct ph_error trouble; /* of the receiver, for which the phase was cut short */
};

/*
 * Receiving goes on, or begins when this run has not received yet. `name`: of the phase. After it
 * ph_phase_watch_end must follow, whatever comes between. On the job's thread, with the catalogs
 * read.
 */
ph_code ph_phase_watch_begin(struct ph_phase_watch *watch, struct ph_job *job, const char *name,
                             enum ph_phase_stream stream, struct ph_error *err);
/* `rc`, the phase's result, or why the receiver has given up meanwhile: then the phase was cut
 * short, as by a stop. */
ph_code ph_phase_watch_end(struct ph_phase_watch *watch, ph_code rc, struct ph_error *err);

#endif
