/*
 * What people ask the ledger: which jobs, how far, and to stop. Reads only, but for
 * ph_ledger_ask_stop; takes no locks that could hold up a run. Strings live in the arena given.
 */
#ifndef PH_PG_LEDGER_STATUS_H
#define PH_PG_LEDGER_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "pg/conn.h"
#include "pg/ledger.h"

struct ph_job_status {
    const char *name;
    const char *source;  /* label */
    const char *phase;   /* "new", "schema", … "done" */
    const char *verdict; /* "" until the job is done */
    const char *started; /* times as text, UTC; "" when there is none */
    const char *finished;
    bool is_running; /* a session holds the job's lock */
    uint32_t run;    /* number of the last run; 0: none */
    const char *host;
    int pid;
    const char *run_started;
    const char *run_ended;
    const char *outcome;
    bool stop_asked;
    uint32_t tables;
    uint32_t tables_done;
    uint32_t tables_verified;
    uint32_t chunks;
    uint32_t chunks_done;
    uint32_t steps_done;
    uint32_t set_aside; /* triggers, rules and constraints that wait to be restored */
    uint32_t epochs;    /* snapshots so far */
    uint64_t rows_done;
    uint64_t rows; /* estimate */
    uint64_t bytes_done;
    uint64_t bytes;       /* estimate */
    int holder_pid;       /* of the newest snapshot's holder, on the last run's host; 0: none */
    bool follows;         /* there is a stream, or will be: the six below are something */
    uint64_t conflicts;   /* left out or overwritten, by all runs */
    double sequences_s;   /* since sequences were carried over; negative: not yet */
    const char *end_at;   /* what `stop --at` has asked for; "" nothing */
    const char *position; /* applied up to there; "" nothing is made yet */
    uint32_t workers; /* that apply the tables among them: not consistent; 0: there is no team */
    const char *meet; /* where they do; "" with 0 workers */
    const char *progress; /* JSON of ph_progress_put_json; NULL: none */
    double progress_age_s;
};

struct ph_table_status {
    const char *table; /* "schema.name" of the source */
    uint32_t chunks;
    uint32_t chunks_done;
    uint64_t rows_done;
    uint64_t rows; /* estimate */
    uint64_t bytes_done;
    uint64_t bytes; /* estimate */
    bool verified;
    double seconds;
    uint64_t rows_left_out; /* of the source: the target keeps its own */
};

/* `name` NULL: all jobs of this target, by name. No ledger at all is no jobs. */
ph_code ph_ledger_jobs(struct ph_conn *conn, const char *name, struct ph_arena *arena,
                       struct ph_job_status **jobs, uint32_t *n, struct ph_error *err);
/* In the job's order. */
ph_code ph_ledger_tables(struct ph_conn *conn, const char *job, struct ph_arena *arena,
                         struct ph_table_status **tables, uint32_t *n, struct ph_error *err);

/* Tell the run that has not ended to stop; runs after it are not told. */
ph_code ph_ledger_ask_stop(struct ph_conn *conn, const char *job, enum ph_heard_by *heard,
                           struct ph_error *err);
/* Whether this run was asked to; for the run itself, every two seconds or so. */
ph_code ph_ledger_stop_asked(struct ph_conn *conn, const char *job, uint32_t run, bool *asked,
                             struct ph_error *err);

#endif
