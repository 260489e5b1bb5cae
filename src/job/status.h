/* The small commands: what is there, stop it, remove it. They need the target only. */
#ifndef PH_JOB_STATUS_H
#define PH_JOB_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "job/options.h"
#include "pg/ledger_status.h"

struct ph_status {
    struct ph_arena arena;
    char target[256]; /* label */
    struct ph_job_status *jobs;
    uint32_t n_jobs;
    struct ph_table_status *tables; /* of the job asked for; none when all jobs are listed */
    uint32_t n_tables;
};

/*
 * Ask the target's ledger about the job, or about all jobs when options->name is NULL. PH_E_NO_JOB
 * when the job asked for is not there. On success the caller frees.
 */
ph_code ph_job_status(const struct ph_options *options, struct ph_status *status,
                      struct ph_error *err);
void ph_status_free(struct ph_status *status);

/* "running", "interrupted", "done" or how the last run ended. Static or the job's own string. */
const char *ph_status_state(const struct ph_job_status *job);

enum ph_stop_outcome {
    PH_STOP_TOLD,        /* the run was told; it ends within seconds */
    PH_STOP_WHEN_BACK,   /* the run has lost the target, or its host: told as soon as it is back */
    PH_STOP_NOT_RUNNING, /* nothing runs; a snapshot's holder on this host was told to end, and an
                            end that was asked for waits for the next run */
};
ph_code ph_job_stop(const struct ph_options *options, enum ph_stop_outcome *outcome,
                    struct ph_error *err);

struct ph_cleaned {
    bool ledger;       /* the job was in the ledger and is not any more */
    uint32_t restored; /* triggers, rules and constraints that had been set aside */
    char slot_name[64];
    enum ph_cleaned_slot {
        PH_SLOT_NONE,
        PH_SLOT_REMOVED,
        PH_SLOT_MISSING,   /* the source had none of that name */
        PH_SLOT_FORGOTTEN, /* its source is said to be gone */
    } slot;
    bool publication; /* the same, the job's own */
    bool holder;      /* a snapshot's holder on this host was ended */
    bool dir;         /* the local directory is gone */
    bool dir_kept;    /* it holds files that are not pghaul's */
};
/*
 * Remove everything of the job but what it copied. PH_E_JOB_RUNNING while it runs, PH_E_NO_JOB when
 * there is nothing of that name. `out` is right also after a failure.
 */
ph_code ph_job_clean(const struct ph_options *options, struct ph_cleaned *out,
                     struct ph_error *err);

#endif
