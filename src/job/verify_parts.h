/* Inside job/verify*.c only: what a verification works with. */
#ifndef PH_JOB_VERIFY_PARTS_H
#define PH_JOB_VERIFY_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/budget.h"
#include "flow/task.h"
#include "job/row_diff.h"
#include "job/rules_make.h"
#include "job/verify.h"

/*
 * What is compared with one digest: a table of the target and all tables of the source whose rows
 * are in it. Views are table plans whose `source` is the side that is read.
 */
struct ph_verify_group {
    const struct ph_table_plan **tables; /* the source's, with generated columns */
    uint32_t n_tables;
    struct ph_table_plan target_view;
    const char *label;
    struct ph_chunk range; /* of keys, on both sides; or whole */
    uint64_t bytes;        /* estimate, both sides */
    uint32_t parts;        /* of both sides; fixed before the lanes start */
    uint32_t parts_left;   /* this and what follows: under the lanes' lock */
    bool has_sets;
    struct ph_digest_set sets[2]; /* by enum ph_side */
    uint64_t started_ns;

    /* by whoever finished the last part, for the main thread */
    bool compared;
    bool differs;
    bool settled; /* of a piece that is read at a fence: its part of the report is made */
    struct ph_digest totals[2];
    struct ph_bucket_mask mask; /* with `differs`, unless rows are only counted */
    double seconds;
};

struct ph_verify_part { /* a piece of one side to read */
    struct ph_verify_group *group;
    enum ph_side side;
    const struct ph_table_plan *view;
    struct ph_chunk chunk;
};

struct ph_verify_live;

struct ph_verify {
    struct ph_run *run;
    const struct ph_options *options;
    struct ph_report *report;
    struct ph_endpoint endpoints[2]; /* by enum ph_side, as all pairs below */
    struct ph_conn *conns[2];        /* hold the snapshots */
    struct ph_conn *readers[2];      /* compare rows; NULL when not in use */
    struct ph_epoch epochs[2];
    struct ph_verify_live *live; /* the job follows, and is compared while it does; NULL: not so */
    struct ph_catalog catalogs[2];
    struct ph_arena arena;
    struct ph_selection selection;
    struct ph_rules_made rules;
    struct ph_plan plan;
    struct ph_verify_group *groups;
    uint32_t n_groups;
    uint32_t jobs;
    uint64_t started_ns;
    bool began;         /* both servers have been there */
    uint32_t different; /* things that differ: tables, sequences, objects */
    uint32_t leaks;     /* of leak_scan.h */

    pthread_t watcher; /* makes blocked connections return when a stop is wished */
    bool watching;
    int over_fd;
    pthread_mutex_t watch_lock; /* guards what follows */
    struct ph_budget *budget;   /* of the lanes while they run: nobody waits in it any more */
    void *lanes;                /* live: what reads a window at present, or NULL */
    struct ph_verify_past {     /* live: what was read by the windows before it */
        uint32_t groups;
        uint64_t rows;
        uint64_t bytes;
    } past;
};

/* ---- verify.c ---- */

/* A new transaction and snapshot of that side, in place of the present ones. */
ph_code ph_verify_new_snapshot(struct ph_verify *verify, enum ph_side side, struct ph_error *err);
/* Whether rows are mended, not only shown. */
bool ph_verify_mends(const struct ph_options *options);
/* Of a group that differs, under the present snapshots: its rows, or how many there are. */
ph_code ph_verify_show_differences(struct ph_verify *verify, const struct ph_verify_group *group,
                                   struct ph_error *err);
/* Closes the connections that it read the rows over. */
void ph_verify_end_reading(struct ph_verify *verify);

/* ---- verify_plan.c ---- */

/*
 * What is to be compared: the selection's tables that both sides have, in groups; those that only
 * one side has, or that do not fit, become findings.
 */
ph_code ph_verify_plan(struct ph_verify *verify, struct ph_error *err);

/* ---- verify_lanes.c ---- */

/* Reads the groups on both sides; all of them are compared afterwards. Blocks. */
ph_code ph_verify_read(struct ph_verify *verify, struct ph_verify_group *groups, uint32_t n_groups,
                       struct ph_error *err);

/* What these lanes have read, added to `out`: verify->lanes, under the lock. */
void ph_verify_lanes_progress(void *lanes, struct ph_progress *out);

/* ---- verify_rows.c ---- */

struct ph_verify_descent {
    const struct ph_options *options;
    struct ph_report *report;
    struct ph_row_diff_params params;
    const char *label;
    enum ph_severity severity; /* of what is found */
};
/* Down to the rows of one group; *n is how many differ. */
ph_code ph_verify_descend(const struct ph_verify_descent *descent, uint64_t *n,
                          struct ph_error *err);

/* ---- verify_repair.c ---- */

/*
 * --repair --yes: mends the groups that differ, and reads them again. Afterwards `differs` says
 * what is left.
 */
ph_code ph_verify_repair(struct ph_verify *verify, struct ph_error *err);

struct ph_verify_fence;
/*
 * The same while the job follows: each table that differs at a fence of its own, its lock taken
 * while apply stands there; apply waits until the table is mended. These groups are to be compared
 * again (`compared` is false). The target must let us set session_replication_role.
 */
ph_code ph_verify_repair_live(struct ph_verify *verify, struct ph_verify_fence *fence,
                              struct ph_error *err);

#endif
