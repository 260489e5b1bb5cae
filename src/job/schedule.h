/*
 * Who does what next: lots to load, tables to read back. One lock; workers block in
 * ph_schedule_next until there is something for them or nothing will come any more.
 *
 * Loading goes before reading back, so that indexes of loaded tables are built (by the step
 * workers) while other tables still load; where foreign keys are enforced while loading, a table
 * waits for the tables of the levels below it.
 */
#ifndef PH_JOB_SCHEDULE_H
#define PH_JOB_SCHEDULE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/plan.h"
#include "pg/ledger.h"

enum ph_work_kind { PH_WORK_NONE, PH_WORK_LOT, PH_WORK_READ_BACK };

struct ph_work {
    enum ph_work_kind kind;
    uint32_t index; /* lot, or table: the leader of those that share its target */
    uint32_t part;  /* of the target that is read back */
};

struct ph_schedule {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const struct ph_plan *plan;
    uint32_t *lots;      /* numbers of the lots to do, in order; taken from the front */
    uint32_t *lot_level; /* by lot number */
    uint32_t *lot_head;  /* by lot number: first unfinished chunk + 1, 0: none */
    uint32_t *lot_next;  /* by chunk: the next of its lot + 1 */
    uint32_t n_lots;
    uint32_t next_lot;
    uint32_t running_lots;
    uint32_t *chunks_left; /* by table */
    uint32_t *level_left;  /* tables not loaded, by level */
    uint32_t n_levels;
    uint32_t *leader;     /* by table: the first table with the same target, often itself */
    uint32_t *group_left; /* by leader: tables of its group that are not loaded */
    uint32_t *read_back;  /* queue of leaders, n_tables long */
    uint32_t read_head;
    uint32_t read_tail;
    uint32_t read_part;    /* of the queue's first: the next part to give out */
    const uint32_t *parts; /* by leader: parts of a target; NULL: nothing is read back */
    bool *verified;        /* by leader: nothing to read back any more */
    uint32_t n_groups;     /* targets to read back in all */
    uint32_t tables_loaded;
    uint32_t tables_verified;
    /*
     * With a stream, set before work is given out: from then on (ph_clock_ns) no table is begun, so
     * that the rest can have a new snapshot. 0: never. At least one lot is given out.
     */
    uint64_t close_at_ns;
    bool closed; /* lots are left for the next snapshot */
    bool *begun; /* by table */
    bool ended;  /* failed or stopped: nothing new is given out */
    ph_code rc;
    struct ph_error error; /* the first failure */
    /* called with the lock held when a table's last chunk is in */
    void (*on_loaded)(void *arg, uint32_t table);
    void *on_loaded_arg;
};

/*
 * The states say what earlier runs did; they are read only here. `parts`: by table, in how many
 * parts its target is read back, kept; NULL when it is not.
 */
ph_code ph_schedule_init(struct ph_schedule *schedule, const struct ph_plan *plan,
                         const struct ph_chunk_state *chunks, const struct ph_table_state *tables,
                         const uint32_t *parts, struct ph_error *err);
void ph_schedule_destroy(struct ph_schedule *schedule);

/* Calls `visit` for every chunk of a lot that this run is to load, in the plan's order. */
ph_code ph_schedule_each_chunk(const struct ph_schedule *schedule, uint32_t lot,
                               ph_code (*visit)(void *arg, const struct ph_chunk *chunk,
                                                struct ph_error *err),
                               void *arg, struct ph_error *err);
/* Blocks; PH_WORK_NONE: go home. */
struct ph_work ph_schedule_next(struct ph_schedule *schedule);
/* The lot's chunks are committed (or were already). */
void ph_schedule_lot_done(struct ph_schedule *schedule, uint32_t lot);
/* All parts are in and were compared. */
void ph_schedule_read_back_done(struct ph_schedule *schedule, uint32_t leader);
/* First failure wins; everybody is sent home. */
void ph_schedule_fail(struct ph_schedule *schedule, ph_code rc, const struct ph_error *err);
bool ph_schedule_ended(struct ph_schedule *schedule);

#endif
