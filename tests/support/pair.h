/*
 * A source and a target cluster with databases of the same name, and copies between them. The
 * comparison is the servers' own text, sorted: nothing of pghaul takes part in it.
 */
#ifndef PH_TEST_PAIR_H
#define PH_TEST_PAIR_H

#include "support/pgcluster.h"
#include "support/run.h"
#include "support/sql.h"

struct pair {
    struct pg_test_cluster *src;
    struct pg_test_cluster *dst;
};

/* One database on both clusters with a session in each. */
struct pair_db {
    const struct pair *pair;
    const char *name;
    const char *source_user;  /* of the copy's sessions; NULL: postgres */
    const char *target_user;  /* the same on the target */
    const char *const *env;   /* of the runs; may be NULL */
    const char *source_extra; /* more words of the connection strings, or NULL */
    const char *target_extra;
    const char *dir; /* --dir, made with the databases */
    PGconn *source;
    PGconn *target;
};

/* Two new clusters, both with these lines of postgresql.conf (may be NULL). What differs more is
 * made with pg_test_pair_new. */
struct pair pair_new(const char *conf);

/* Makes the databases; they must not be there yet. pair_db_end closes the sessions. */
struct pair_db pair_db_new(const struct pair *pair, const char *name);
void pair_db_end(struct pair_db *db);

/* A job file with that text, of the databases' name; its path. */
const char *pair_job_file(const struct pair_db *db, const char *text);

/* The same statements on both sides. */
void pair_both(struct pair_db *db, const char *sql);

/* pair_copy(&db, "--data-only", ...): runs it to its end. */
#define pair_copy(db, ...) pair_run_args(db, "copy", (const char *const[]){__VA_ARGS__, NULL})
#define pair_run(db, command, ...)                                                                 \
    pair_run_args(db, command, (const char *const[]){__VA_ARGS__, NULL})
struct run *pair_run_args(struct pair_db *db, const char *command, const char *const *args);
struct run *pair_start_args(struct pair_db *db, const char *command, const char *const *args);

/* copy --follow of the job that is called as the database is; goes on by itself. */
#define pair_follow(db, ...)                                                                       \
    pair_start_args(db, "copy",                                                                    \
                    (const char *const[]){"--follow", "--name", (db)->name, ##__VA_ARGS__, NULL})
/* Until that run applies changes. */
void pair_wait_following(const struct pair_db *db, const struct run *run);
/* Until all that the source has committed is in the spool of the one job that follows it. */
void pair_wait_written(const struct pair_db *db);
/* `pghaul stop`, with --at unless it is NULL. */
struct run *pair_stop(const struct pair_db *db, const char *at);
/* SIGTERM to a run, which ends so that the same command goes on. */
void pair_interrupt(struct run *run);
/* The run that follows is told to end; then both sides have the same rows. Ends the databases. */
void pair_end_equal(struct pair_db *db, struct run *run);

/* Fails, showing both, unless the query gives the same rows on both sides, and some. */
void pair_same(struct pair_db *db, const char *sql);
/* The same of two queries. */
void pair_same_as(struct pair_db *db, const char *source_sql, const char *target_sql);
/* All rows of a table, by text. */
void pair_same_table(struct pair_db *db, const char *table);

/* The command ended with that code and said that (stdout or stderr); NULL: whatever it said. */
void pair_expect(struct run *run, int code, const char *part);

#endif
