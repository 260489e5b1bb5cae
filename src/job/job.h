/*
 * What one run of a job works with. Made by the command's job function, owned by its thread; other
 * threads see the parts that are immutable while they run (options, endpoints, catalogs, plan).
 */
#ifndef PH_JOB_JOB_H
#define PH_JOB_JOB_H

#include <stdatomic.h>

#include "base/budget.h"
#include "flow/task.h"
#include "job/rules_make.h"
#include "job/run.h"
#include "job/select.h"
#include "job/selection_text.h"
#include "job/stop_watch.h"
#include "model/catalog.h"
#include "model/epoch_filter.h"
#include "model/plan.h"
#include "pg/archive.h"
#include "pg/conn.h"
#include "pg/ledger.h"
#include "pg/ledger_follow.h"
#include "pg/ledger_join.h"

struct ph_job {
    struct ph_run *run;               /* what the command gave; its report is filled here */
    const struct ph_options *options; /* of run */
    struct ph_endpoint source;
    struct ph_endpoint target;
    struct ph_conn *source_control; /* for catalogs; outside transactions between uses */
    struct ph_conn *target_control; /* holds the job's lock; autocommit between uses */
    struct ph_stop_watch stop_watch;
    int lock_fd;      /* of DIR/mover.lock; -1: not held */
    int lock_backend; /* the session that took the job's lock; 0: none did */
    struct ph_ledger_job ledger;
    char selection_id[PH_SELECTION_ID]; /* of the options' patterns */
    struct ph_ledger_follow stream;     /* with follows, from ph_follow_begin on */
    struct ph_follow *follow;           /* job/follow.c's; NULL: nothing is received */
    struct ph_until until;              /* the command's; "now" is a position since it was given */
    struct {
        uint64_t transactions; /* by this run */
        uint64_t conflicts;    /* left out or overwritten, by all runs */
        ph_lsn applied;
    } followed;         /* once the follow has come to its end */
    bool follows;       /* a stream is applied after the copy: epochs have an L */
    bool is_new;        /* this run made the job */
    bool was_done;      /* an earlier run finished it */
    bool has_told_kept; /* what an earlier run's proof has found is in the report, or none was there
                         */
    bool is_one_database; /* source and target are: rules lead into other tables of it */
    bool sequences_set;   /* by this attempt: source_catalog has the values that were set */
    bool epoch_voided;    /* by this attempt: a table has changed under it */
    bool epoch_inherited; /* it was there before this attempt */
    uint32_t torn;        /* with PH_E_TORN of ph_follow_to_consistency: the table of the plan */
    struct ph_epoch epoch;
    uint64_t epoch_ends_ns;     /* clock: no table is begun under it any more; 0: no limit */
    struct ph_arena arena;      /* plans that are made, and names; for the attempt at hand */
    struct ph_arena plan_arena; /* of the plan that was loaded, until the next one is */
    struct ph_catalog source_catalog;
    struct ph_catalog target_catalog;
    struct ph_selection selection; /* of source_catalog, in arena */
    struct {
        bool is_under_way; /* tables are being added to a job that follows */
        struct ph_ledger_tables had;
        struct ph_selection before;     /* of the narrower patterns, as `selection` */
        const struct ph_selection *all; /* while `selection` is of the new tables alone; or NULL */
        struct ph_plan plan_had;        /* while the new tables are checked: of those it has,
                                           `target` NULL where that is not known */
    } join;                             /* job/join.c's, with the selection */
    struct ph_rules_made rules;         /* of both catalogs, for the attempt at hand */
    struct ph_plan plan;
    struct ph_chunk_state *chunk_states; /* plan.n_chunks */
    struct ph_table_state *table_states; /* plan.n_tables */
    /* by table: as it is for the proof, with generated columns; NULL: there are none */
    const struct ph_table_plan **proof_plans;
    const char *const *steps_done; /* names, sorted */
    uint32_t n_steps_done;
    struct ph_archive archive; /* of the schema, when has_archive */
    bool has_archive;
    char archive_path[4096];
    char target_session_sql[256]; /* what every loading session sets */
    uint32_t jobs;
    uint32_t index_jobs;
    uint32_t apply_jobs; /* below 2: never a team */
    uint64_t started_ns;
};

/* ---- session.c ---- */

/* Endpoints and the number of lanes; no connection yet. Close it also after a failure. */
ph_code ph_job_prepare(struct ph_job *job, struct ph_run *run, struct ph_error *err);
/* That and the control connections. Nothing is written. */
ph_code ph_job_connect(struct ph_job *job, struct ph_run *run, struct ph_error *err);
/* Connect the control connections again after they were lost. */
ph_code ph_job_reconnect(struct ph_job *job, struct ph_error *err);
/* When that fails, what was there stays, as broken as it was. */
ph_code ph_job_reconnect_source(struct ph_job *job, struct ph_error *err);
ph_code ph_job_reconnect_target(struct ph_job *job, struct ph_error *err);
/*
 * Make sure this is the only run: the lock file in the spool directory, the lock in the target; the
 * sessions of a run that died are waited for, then ended. Writes nothing.
 */
ph_code ph_job_lock(struct ph_job *job, struct ph_error *err);
/*
 * After a failed attempt, when only the control connections are open: wait for what is left of its
 * sessions, then end them. They may hold locks that the next attempt needs.
 */
ph_code ph_job_clear_sessions(struct ph_job *job, struct ph_error *err);
/* Sets is_one_database. */
ph_code ph_job_look_whether_one(struct ph_job *job, struct ph_error *err);
/* Find the job in the ledger, or write it down (the first write of a new job). */
ph_code ph_job_register(struct ph_job *job, struct ph_error *err);
/* Close and free everything; the ledger keeps what is in it. */
void ph_job_close(struct ph_job *job);

/* ---- epoch.c ---- */

/*
 * See to a snapshot: the recorded one when it still lives, else a new holder. A new snapshot while
 * tables are unfinished starts these again (the plan must be loaded then).
 */
ph_code ph_job_ensure_epoch(struct ph_job *job, struct ph_error *err);
/* Whether source and snapshot are still there: PH_E_SNAPSHOT_LOST or the connection's failure. */
ph_code ph_job_check_epoch(struct ph_job *job, struct ph_error *err);
/*
 * After the plan is loaded: whether tables that values are looked up in hold what they held when
 * the epoch began. PH_E_LOOKUP: one that is declared constant has changed since the job began;
 * PH_E_SNAPSHOT_LOST: another has, and rows of it and of before must not be mixed.
 */
ph_code ph_job_check_lookups(struct ph_job *job, struct ph_error *err);
/*
 * After the plan is loaded: tables whose chunks are of a lost epoch and not all done start again,
 * but for those that go on by ranges of their key (job/epoch_ranges.c). PH_E_SNAPSHOT_LOST as
 * ph_job_restart_torn.
 */
ph_code ph_job_restart_unfinished(struct ph_job *job, struct ph_error *err);
/*
 * With a stream, once its slot is made and before ph_job_ensure_epoch: the slot's exported snapshot
 * becomes the first epoch, and the ledger has the stream as made. The replication session must keep
 * the snapshot (do nothing) until this returns. *in_doubt: it failed, and the ledger may have it
 * all the same, because the target went away while it was to commit.
 */
ph_code ph_job_first_epoch(struct ph_job *job, const char *slot_snapshot, ph_lsn slot_lsn,
                           bool *in_doubt, struct ph_error *err);
/*
 * After the plan is loaded: what the copy has, for the stream. Tables that are not copied whole are
 * left out. `filter` is initialised and empty.
 */
ph_code ph_job_fill_filter(struct ph_job *job, struct ph_epoch_filter *filter,
                           struct ph_error *err);
/*
 * After the plan is loaded, under several epochs: has_changes of tables that changes may have been
 * applied to since they were copied, by a run before this one. Their receipts say nothing any more.
 */
ph_code ph_job_settle_changes(struct ph_job *job, struct ph_error *err);
/* Of the source: whatever began before this call has a lower one. Nothing is kept of it. */
ph_code ph_job_take_xid(struct ph_job *job, uint64_t *xid, struct ph_error *err);
/*
 * A table of several epochs that changes cannot be applied to any more starts again whole, under an
 * epoch that sees all that was applied so far. The job has no epoch then: PH_E_SNAPSHOT_LOST, the
 * next attempt takes one. Nobody applies.
 */
ph_code ph_job_restart_torn(struct ph_job *job, uint32_t table, struct ph_error *err);
/*
 * A crash of the target empties the table, or a partition of it: it is unlogged there, or was when
 * the job looked last.
 */
bool ph_job_may_lose_rows(const struct ph_job *job, const struct ph_table_plan *table);
/* Let the holder end. */
void ph_job_release_epoch(struct ph_job *job);
/* Read a catalog under the job's snapshot (source) or now (target). */
ph_code ph_job_read_source_catalog(struct ph_job *job, struct ph_error *err);
ph_code ph_job_read_target_catalog(struct ph_job *job, struct ph_error *err);

/* Both as of now, for commands that have no snapshot: the target's only with --data-only. */
ph_code ph_job_read_catalogs_now(struct ph_job *job, struct ph_error *err);

/*
 * Check and compile the job file's rules for the catalogs that were just read (the source's alone
 * while the target has no schema yet). The plan that was made of the former ones must be gone.
 */
ph_code ph_job_make_rules(struct ph_job *job, struct ph_error *err);
/* Whether what was made of the job file can take over from the rules that the ledger names. */
ph_code ph_job_rules_are_laxer(struct ph_job *job, bool *are_laxer, struct ph_error *err);

/* ---- plan_load.c ---- */

/*
 * The states of chunks and tables go, and with them what the report would say: when the catalogs
 * that the plan refers to are read anew, it must not be looked at before it is loaded again.
 */
void ph_job_forget_receipts(struct ph_job *job);
/* The way out for a table that was altered on the source while the job follows. */
void ph_job_hint_copy_anew(const struct ph_job *job, struct ph_error *err);
/* The plan as the ledger has it, joined with both catalogs; also the states. What was loaded before
 * is gone: nobody may be using it, nor proof_plans. */
ph_code ph_job_load_plan(struct ph_job *job, struct ph_error *err);
/* Fill proof_plans, after load_plan. */
ph_code ph_job_plan_proof(struct ph_job *job, struct ph_error *err);

/* ---- plan_columns.c ---- */

/* Whether the source, as its catalog was read, has columns that the plan has not and the rows would
 * have to be copied with. */
bool ph_job_lacks_columns(const struct ph_table_plan *table);
/* These, one after the other: `*at` begins at 0; NULL: no more. */
const struct ph_column *ph_job_next_lacking(const struct ph_table_plan *table, uint32_t *at);
/* PH_E_TABLE_CHANGED when the target has no place for one of these, or a stream that has begun
 * cannot bring it. */
ph_code ph_job_check_columns(const struct ph_job *job, const struct ph_table_plan *table,
                             struct ph_error *err) PH_MUST_CHECK;
/* Whether rows of it are still to be copied. */
bool ph_job_has_todo(const struct ph_job *job, const struct ph_table_plan *table);
/*
 * After ph_job_restart_unfinished: such columns join the plans, and the ledger's, of tables with
 * rows to be copied. Nothing of these tables is there.
 */
ph_code ph_job_take_columns(struct ph_job *job, struct ph_error *err) PH_MUST_CHECK;

/* ---- plan_attributes.c ---- */

/*
 * PH_E_TABLE_CHANGED when a column of the source, as the catalog was read, has the name of one that
 * was copied and is another one, by the ledger; or, by the plan, in the source's table of now.
 */
ph_code ph_job_check_attributes(struct ph_job *job, struct ph_error *err) PH_MUST_CHECK;
ph_code ph_job_compare_attributes(const struct ph_job *job, const struct ph_table_plan *table,
                                  const struct ph_rel *now, struct ph_error *err) PH_MUST_CHECK;

#endif
