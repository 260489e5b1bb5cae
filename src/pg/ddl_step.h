/*
 * What is built after the rows: indexes, keys, foreign keys and the rest of the archive, as steps
 * that a scheduler hands to connections while other tables still copy.
 *
 * Order. INDEX and KEY of a table when its rows are in, largest first. A large key is two steps:
 * its unique index, built beside the table's other indexes, then KEY ... USING INDEX when all of
 * them are done. ATTACH after its indexes. FK (NOT VALID, a moment) when the rows of both tables
 * are in and the key it refers to is there; FK_VALIDATE after it, in parallel. ANALYZE when a
 * table's indexes are there. REST after all of these, in the archive's order; then REFRESH, and
 * ANALYZE of tables whose extended statistics are among the rest.
 * ph_steps_take knows which locks a step takes and never hands out two that would wait for each
 * other, so workers neither queue in the server nor deadlock.
 *
 * A step runs in one transaction that also carries the ledger's note; `key` names it there and is
 * the same on every run of the job. The list is not locked: its caller's mutex guards it. A step
 * that was taken may be read without.
 */
#ifndef PH_PG_DDL_STEP_H
#define PH_PG_DDL_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "pg/archive.h"
#include "pg/conn.h"

enum ph_step_kind {
    PH_STEP_INDEX, /* also the unique index of a large key */
    PH_STEP_KEY,   /* primary, unique, exclusion constraint */
    PH_STEP_ATTACH,
    PH_STEP_FK,
    PH_STEP_FK_VALIDATE,
    PH_STEP_ANALYZE,
    PH_STEP_REST,
    PH_STEP_REFRESH
};

enum ph_step_state { PH_STEP_WAITING, PH_STEP_READY, PH_STEP_RUNNING, PH_STEP_DONE };

enum ph_step_lock {
    PH_LOCK_NONE,
    PH_LOCK_ROW_SHARE,
    PH_LOCK_SHARE_UPDATE, /* SHARE UPDATE EXCLUSIVE */
    PH_LOCK_SHARE,
    PH_LOCK_SHARE_ROW, /* SHARE ROW EXCLUSIVE */
    PH_LOCK_ATTACH,    /* ATTACH in a tree locks its partitioned tables and the index, no leaf */
    PH_LOCK_EXCLUSIVE
};

/* One entry's worth of SQL. */
struct ph_step_sql {
    const struct ph_archive_entry *entry; /* for messages; NULL: of the step's own making */
    const char *settings;
    const char *sql;
};

struct ph_step_table { /* a table the step locks */
    ph_oid oid;        /* on the source */
    ph_oid root;       /* topmost partitioned table, or itself */
    bool is_parent;    /* it is partitioned */
    bool whole_tree;   /* the lock is taken on all partitions */
    enum ph_step_lock lock;
};

struct ph_step {
    const char *key; /* "index app.orders_idx", unique */
    enum ph_step_kind kind;
    enum ph_step_state state;
    bool optional;  /* a failure only warns (ANALYZE) */
    uint64_t bytes; /* estimate of the work: index or table size on the source */
    struct ph_step_table tables[2];
    uint32_t n_tables;
    const struct ph_step_sql *sql;
    uint32_t n_sql;
    uint32_t n_blockers;        /* tables without rows and steps not done */
    const uint32_t *dependents; /* indexes of steps that wait for this one */
    uint32_t n_dependents;
};

struct ph_steps {
    struct ph_arena arena; /* owns everything */
    struct ph_step *steps;
    uint32_t n_steps;
    uint32_t n_done;
    uint32_t *ready; /* indexes of READY steps */
    uint32_t n_ready;
    uint32_t *running;
    uint32_t n_running;
    struct ph_step_wait { /* who waits for a table's rows; sorted by oid */
        ph_oid oid;
        uint32_t step;
    } * waits;
    uint32_t n_waits;
};

struct ph_steps_params {
    const struct ph_archive *archive; /* selected entries only; must outlive the steps */
    struct ph_conn *source;           /* for sizes and definitions; used during the build only */
    uint64_t split_key_bytes;         /* tables from this size on get their keys by USING INDEX */
    uint64_t split_fk_bytes;          /* the same for foreign keys and NOT VALID */
    bool analyze;
    bool refresh;
    /*
     * The tables are not of one moment yet: foreign keys, and the rest that may read any table, are
     * left out (as if they were done), for another list of steps.
     */
    bool rows_apart;
    void *arg;
    /* Whether rows of this table (oid on the source) will be copied: steps wait for them. */
    bool (*has_rows)(void *arg, ph_oid oid);
    /* Whether the ledger says that the step `key` is done. */
    bool (*is_done)(void *arg, const char *key);
};

/* Below, one step is cheaper than two. */
#define PH_SPLIT_KEY_BYTES (32u << 20)
#define PH_SPLIT_FK_BYTES (1u << 20)

/* Free with ph_steps_reset, also after a failure. */
ph_code ph_steps_build(const struct ph_steps_params *params, struct ph_steps *out,
                       struct ph_error *err);
void ph_steps_reset(struct ph_steps *steps);

/* All rows of this table are in (and committed). A table nobody waits for is fine. */
void ph_steps_table_done(struct ph_steps *steps, ph_oid oid);
/*
 * The next step to run, now RUNNING; NULL: none at the moment (all done, or wait for running steps
 * and tables). Between two ready ones: foreign keys first, then the largest.
 */
struct ph_step *ph_steps_take(struct ph_steps *steps);
/* It was committed (or, optional, given up). */
void ph_steps_finish(struct ph_steps *steps, struct ph_step *step);
/* It was not: it is ready again. */
void ph_steps_put_back(struct ph_steps *steps, struct ph_step *step);
bool ph_steps_all_done(const struct ph_steps *steps);

/*
 * Run a step in a transaction of its own; `on_done` (may be NULL) is called before COMMIT on the
 * same connection and writes the ledger. Errors: as ph_ddl_pre_data, PH_E_CONSTRAINT for rows that
 * violate. After an error the transaction is rolled back and the connection usable if alive.
 */
ph_code ph_ddl_run_step(struct ph_conn *conn, const struct ph_step *step,
                        ph_code (*on_done)(void *arg, struct ph_conn *conn,
                                           const struct ph_step *step, struct ph_error *err),
                        void *arg, struct ph_error *err);

#endif
