/*
 * Makes a stop felt at once in every phase: a thread that shuts all connections down when a stop is
 * requested, so that no call waits for a server or a network that does not answer.
 */
#ifndef PH_JOB_STOP_WATCH_H
#define PH_JOB_STOP_WATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pg/conn.h"

struct ph_stop_watch {
    const struct ph_endpoint *endpoints[2]; /* not owned */
    pthread_t thread;
    bool running;
    int over_fd;
    atomic_bool acted;                  /* the connections were shut down */
    atomic_uint grace_ms;               /* how long after the wish they are left alone */
    atomic_uint_fast64_t last_words_ns; /* clock; once passed they are again; 0: no limit */
};

/* Endpoints must be initialised and outlive the watch. Without a thread it simply does nothing. */
void ph_stop_watch_begin(struct ph_stop_watch *watch, const struct ph_endpoint *source,
                         const struct ph_endpoint *target);
/*
 * The last connections of a run are to be opened: waits until a stop that was requested has shut
 * the others down, opens the endpoints again, and gives the new ones `limit_ms` when it was one.
 */
void ph_stop_watch_last_words(struct ph_stop_watch *watch, unsigned limit_ms);
/*
 * What runs now ends by itself when a stop is wished: it has so long before connections are shut
 * down. 0: at once, also in the middle of a grace. Any thread.
 */
void ph_stop_watch_set_grace(struct ph_stop_watch *watch, unsigned grace_ms);
void ph_stop_watch_end(struct ph_stop_watch *watch);

#endif
