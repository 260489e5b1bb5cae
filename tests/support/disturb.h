/*
 * What can happen to a running job: pghaul, single sessions or a whole server are killed or ended.
 */
#ifndef PH_TEST_DISTURB_H
#define PH_TEST_DISTURB_H

#include "support/pgcluster.h"
#include "support/run.h"

enum disturbance {
    DISTURB_KILL_PGHAUL,
    DISTURB_STOP_PGHAUL, /* SIGTERM */
    DISTURB_KILL_HOLDER, /* of the snapshot */
    DISTURB_CRASH_TARGET,
    DISTURB_KILL_TARGET_SESSION, /* the server takes all sessions down with it */
    DISTURB_END_TARGET_SESSION,
    DISTURB_END_SOURCE_SESSION,
    DISTURB_CRASH_SOURCE,
    DISTURB_KILL_SOURCE_SESSION,
    DISTURB_RESTART_TARGET,
    DISTURB_RESTART_SOURCE,
    DISTURBANCES
};

struct disturb {
    struct pg_test_cluster *src;
    struct pg_test_cluster *dst;
    const char *dst_db;
    struct run *run;
    unsigned choice; /* any number: which kind of session, and how long a crashed server stays away;
                        numbers that follow each other go through all kinds */
};

const char *disturb_name(enum disturbance what);
void disturb(enum disturbance what, const struct disturb *where);

/* Whether a run that ended was disturbed, so that the same command is to go on. */
bool disturb_may_go_on(const struct run *run);

#endif
