/*
 * One copy under test: where from, where to, with which options, and what must hold when it is
 * through. The target database and the job's directory are made for it and are its own.
 */
#ifndef PH_TEST_COPY_CASE_H
#define PH_TEST_COPY_CASE_H

#include "support/pgcluster.h"
#include "support/run.h"

#include <stdbool.h>

#define COPY_CASE_ARGS 24

struct copy_case {
    const struct pg_test_cluster *src;
    const char *src_db;
    const struct pg_test_cluster *dst;
    const char *dst_db;
    const char *dir;
    const char *argv[COPY_CASE_ARGS]; /* pghaul copy ..., ends with NULL */
    int argc;
};

/* An empty target database named `dst_db` unless it is there, and the command that fills it. */
void copy_case_init(struct copy_case *c, const struct pg_test_cluster *src, const char *src_db,
                    const struct pg_test_cluster *dst, const char *dst_db);
/* Another source or target connection string than the socket's of `postgres`. */
void copy_case_source(struct copy_case *c, const char *conninfo);
void copy_case_target(struct copy_case *c, const char *conninfo);
/* One more argument. The string must live as long as the case. */
void copy_case_arg(struct copy_case *c, const char *arg);

/* Starts the command; `failpoint` may be NULL, else PGHAUL_FAILPOINT. */
struct run *copy_case_start(const struct copy_case *c, const char *failpoint);
/* The same with an environment, that of hold_at for one. */
struct run *copy_case_start_env(const struct copy_case *c, const char *const *env);
/*
 * Runs the command to be killed at a failpoint. false: it came to its end without passing the point
 * that often.
 */
bool copy_case_killed_at(const struct copy_case *c, const char *failpoint, int passage);
/* The same command with another verb: "clean --yes", "stop". Waits for its end. */
struct run *copy_case_verb(const struct copy_case *c, const char *verb, const char *option);

/*
 * Gives the same command again until it exits with 0, at most `tries` times; other runs must exit
 * with 5, or with 3 because a server could not be reached. Returns the last one.
 */
struct run *copy_case_finish(const struct copy_case *c, int tries);

/* Rows and schema are the same by plain SQL, and no session of pghaul is left anywhere. */
void copy_case_check(const struct copy_case *c);

/* What the ledger says is done: a line for each chunk (with its transaction) and each step. */
const char *copy_case_done(const struct copy_case *c);
/* All that was done then is done still, by the same transaction: nothing was repeated. */
void copy_case_not_repeated(const struct copy_case *c, const char *done_before);

/* SIGKILL to the holder of the newest snapshot that the ledger knows; waits until it is gone. */
void copy_case_kill_holder(const struct copy_case *c);

/* Drops the target database and removes the directory. */
void copy_case_drop(struct copy_case *c);

#endif
