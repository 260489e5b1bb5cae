/* What the files of the follow share. On the job's thread. */
#ifndef PH_JOB_FOLLOW_PARTS_H
#define PH_JOB_FOLLOW_PARTS_H

#include <pthread.h>

#include "flow/applier.h"
#include "flow/receiver.h"
#include "job/follow.h"
#include "job/guard.h"
#include "spool/spool.h"

#define PH_FOLLOW_SAMPLES 6u

/* What the source's clock said last, and when that was seen here. */
struct ph_source_clock {
    int64_t us; /* since 1970; 0: nothing yet */
    uint64_t at_ns;
};

struct ph_follow {
    struct ph_job *job;
    struct ph_spool *spool;
    char spool_dir[4096];
    const char *publication;
    enum ph_format format;
    struct ph_receiver *receiver;
    /* One of them while changes are applied: a single applier, or a team of them. */
    struct ph_applier *applier;
    struct ph_follow_team *team;
    enum { PH_DIVIDE_UNKNOWN, PH_DIVIDE_NO, PH_DIVIDE_YES } may_divide; /* tables among a team */
    bool is_leaving;               /* the applier was asked to leave for a team, and none is made */
    uint64_t team_after_ns;        /* before that none is made */
    struct ph_epoch_filter filter; /* the applier's while there is one */
    ph_lsn position;               /* the ledger's, when the applier or the team was started */
    ph_lsn received_from;          /* what the spool had when the receiver was started */
    ph_lsn pruned;                 /* the applier's thread only, or the team's in turn */
    ph_lsn consistent;             /* the target is a state of the source from here on */
    struct ph_until
        until; /* where it ends: the last that was asked for, by the command or `stop --at` */
    struct ph_until asked; /* by `stop --at` */
    ph_lsn mark;           /* where the applier is to end; 0: nowhere */
    bool has_mark;         /* which is known */
    uint64_t mark_ns;
    struct ph_follow_sample {
        uint64_t at_ns;
        uint64_t transactions;
        ph_lsn applied;
        ph_lsn received;
    } samples[PH_FOLLOW_SAMPLES]; /* a ring */
    uint32_t n_samples;           /* ever taken */
    struct ph_source_clock clock;
    bool is_refused;  /* the source takes no session beside the stream; that was told */
    char *beside;     /* partitions that are not the job's, as last looked at */
    char *publishing; /* by what the tables are published, the same */
    uint64_t slot_ns; /* when the slot was looked at */
    struct ph_guard_figures figures;
    /* guards what is below; written by the job's thread, or by the watcher's while rows are copied
     */
    pthread_mutex_t lock;
    struct ph_follow_progress shown;
    uint32_t n_tables;           /* of the plan */
    struct ph_applier_look past; /* of appliers that have ended */
};

/* ---- follow.c ---- */

/* What all appliers have in common; who asks says the rest. The tables must be loaded. */
void ph_follow_describe_applier(struct ph_job *job, struct ph_applier_params *out);
/* Everything is applied up to there, and so far on the target's disk. One thread at a time. */
void ph_follow_has_moved(struct ph_follow *follow, ph_lsn applied, ph_lsn durable);

/* ---- follow_watch.c ---- */

/* Asked every 50 ms: whether there is nothing left to watch. */
typedef ph_code ph_follow_look_fn(struct ph_job *job, bool *has_ended, struct ph_error *err);
/* What the job's thread has to look after meanwhile; PH_OK also when all is to stop. */
ph_code ph_follow_watch_until(struct ph_job *job, ph_follow_look_fn *look, struct ph_error *err);
ph_code ph_follow_carry_sequences(struct ph_job *job, struct ph_error *err);

/* ---- follow_team.c ---- */

/* While an applier is at work: when it is far behind, and a team may be made, it is asked to leave.
 */
ph_code ph_follow_consider_team(struct ph_job *job, const struct ph_applier_look *look,
                                struct ph_error *err);
/*
 * Nobody applies. follow->team is the one that the ledger has, or a new one, written down there,
 * when it is time for it; NULL: none. The tables are loaded, the filter is filled, epochs that are
 * over are retired.
 */
ph_code ph_follow_take_team(struct ph_job *job, struct ph_error *err);
/*
 * Until all have met and the ledger says so, or PH_E_STOPPED, or the first failure of one. Frees
 * follow->team.
 */
ph_code ph_follow_run_team(struct ph_job *job, struct ph_error *err);
void ph_follow_free_team(struct ph_follow *follow);
/* As of one applier: changes are those of all, the rest is that of the last of them. */
void ph_follow_look_at_team(struct ph_follow_team *team, struct ph_applier_look *out);
/* Where they meet, and how many they are. */
ph_lsn ph_follow_team_meets(const struct ph_follow_team *team, uint32_t *n_workers);

/* ---- follow_until.c ---- */

/* From here on the applier, now or when it is started, ends there, or, with PH_UNTIL_STOPPED,
 * nowhere. PH_UNTIL_NOW: at what is committed by this call. */
ph_code ph_follow_begin_end(struct ph_job *job, const struct ph_until *until, struct ph_error *err);
/* After an applier that came to its end: whether that was all that was asked for. */
bool ph_follow_is_over(const struct ph_follow *follow);

/* ---- follow_status.c ---- */

/*
 * When the source was heard, and how far it is ahead in time; by its own clock, for the one here
 * may be another. `now_ns` is ph_clock_ns. Pure.
 */
void ph_follow_judge_source(struct ph_source_clock *clock, const struct ph_receiver_look *receiver,
                            const struct ph_applier_look *applier, uint64_t now_ns,
                            struct ph_follow_progress *out);
/* Counts of an applier that has ended. */
void ph_follow_add_up(struct ph_follow *follow, const struct ph_applier_look *look);
/* Where it stands, for the display; again and again. */
void ph_follow_take_picture(struct ph_follow *follow);
/* From here on, and until show_end, the display shows it. */
void ph_follow_show_begin(struct ph_follow *follow);
void ph_follow_show_end(struct ph_follow *follow);
/* Into the ledger, for `pghaul status`. */
ph_code ph_follow_write_progress(struct ph_job *job, struct ph_error *err);

/* ---- follow_guard.c ---- */

/* Look at slot and disk (not each time), warn. `source` NULL, or away: what is known of the slot is
 * not shown on. */
void ph_follow_guard(struct ph_follow *follow, struct ph_conn *source);

/* ---- follow_columns.c ---- */

/*
 * After the plan is loaded: columns that both sides have and the plan has not are put behind the
 * others, and into the ledger's attributes. `why`: what the applier ended with, for a table's
 * announcement did not fit; NULL: nothing. PH_E_TABLE_CHANGED as ph_late_take, of that table alone:
 * of others a change may bring what is missing now.
 */
ph_code ph_follow_widen_plan(struct ph_job *job, const struct ph_error *why, struct ph_error *err);
/* At the end, for the source's table of now: those that no change has come for. */
ph_code ph_follow_check_late(struct ph_job *job, const struct ph_table_plan *table,
                             const struct ph_rel *now, struct ph_error *err);
/*
 * Tables that were truncated or rewritten on the source and have no column beyond the plan: of one
 * that is added later that says nothing (late_values.c). As often as one likes.
 */
ph_code ph_follow_note_filenodes(struct ph_job *job, struct ph_error *err);
/* A stream that does not fit the tables is a change of schema, with a way out. Returns the code. */
ph_code ph_follow_explain_change(const struct ph_job *job, struct ph_error *err);

/* ---- late_values.c ---- */

enum ph_late_when {
    PH_LATE_AHEAD, /* changes of before may still come */
    PH_LATE_DUE    /* the first change that brings it is next */
};
/*
 * A late column of a table to which nobody applies changes, and no change has brought it: out->
 * is_taken, when all rows of the target have in it what the source has filled in. When that is due
 * and they have not, or nobody can tell, PH_E_TABLE_CHANGED. Reads the target's table.
 */
ph_code ph_late_take(struct ph_job *job, const struct ph_table_plan *table,
                     const struct ph_column *column, enum ph_late_when when, struct ph_late *out,
                     struct ph_error *err);
/* The same question at the end, when all changes are applied. A column that the target has not is
 * none of this. */
ph_code ph_late_check(struct ph_job *job, const struct ph_table_plan *table,
                      const struct ph_column *column, struct ph_error *err);

/* ---- follow_drift.c ---- */

/* To the report: tables that do not follow, and those that were made, dropped or altered since.
 * PH_E_TABLE_CHANGED: a column is not the one that was followed. */
ph_code ph_follow_tell_drift(struct ph_job *job, struct ph_error *err);

/* ---- follow_tables.c ---- */

/*
 * PH_E_TABLE_CHANGED when a table of the plan has got a partition that the job does not have. As
 * often as one likes: the catalog is read only when there is something new.
 */
ph_code ph_follow_check_parts(struct ph_job *job, struct ph_error *err);
/* PH_E_TABLE_CHANGED when a crash of the target has emptied a table of the plan since its copy. */
ph_code ph_follow_check_unlogged(struct ph_job *job, struct ph_error *err);
/* PH_E_GAP when the publication does not bring all that it is to bring, or did not meanwhile. */
ph_code ph_follow_check_publication(struct ph_job *job, struct ph_error *err);

/* ---- follow_end.c ---- */

/* What the stream does not bring, at the end: large objects, materialized views. */
ph_code ph_follow_carry_rest(struct ph_job *job, struct ph_error *err);

#endif
