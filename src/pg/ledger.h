/*
 * The ledger: schema `pghaul` in the target (docs/architecture.md). What is in it commits together
 * with what it is about, so recovery is "read the ledger and go on".
 *
 * All functions work on the connection given, in its current transaction, and so on that
 * connection's thread. Failures of statements come back as from ph_conn; PH_E_LEDGER when the
 * ledger does not hold what it must.
 */
#ifndef PH_PG_LEDGER_H
#define PH_PG_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/digest.h"
#include "model/lsn.h"
#include "model/plan.h"
#include "pg/conn.h"
#include "pg/snapshot.h"

#define PH_LEDGER_VERSION 14

/* The phases of a copy, in order; the ledger holds the one that is under way. */
enum ph_phase {
    PH_PHASE_NEW,    /* registered; nothing but the ledger was written */
    PH_PHASE_SCHEMA, /* pre-data is going in */
    PH_PHASE_PLAN,   /* pre-data is in; tables and chunks are being written down */
    PH_PHASE_ROWS,   /* rows, indexes, keys */
    PH_PHASE_POST,   /* the rest of the schema, sequences, large objects, views */
    PH_PHASE_VERIFY, /* the proof of what is not rows, the verdict */
    PH_PHASE_FOLLOW, /* the stream is applied */
    PH_PHASE_DONE
};
const char *ph_phase_name(enum ph_phase phase);

#define PH_LEDGER_RULES 72
#define PH_LEDGER_RULE_MARKS 64

struct ph_ledger_job {
    char name[64];
    char token[40];      /* random, made with the job */
    char signature[40];  /* of what the job is: source system, databases, mode */
    char selection[40];  /* of the patterns that say which tables */
    char joining[40];    /* of wider ones whose tables are being added; "": none are */
    bool comes_again;    /* a table of it was forgotten, to be added once more */
    uint32_t joins;      /* how often tables were added, those that are being added included */
    uint32_t join_epoch; /* the last epoch before tables were added last; 0: they never were */
    char
        rules[PH_LEDGER_RULES]; /* fingerprint of the rules that the plan was made with; "": none */
    char rule_marks[PH_LEDGER_RULE_MARKS]; /* of the secret and the like; "": none */
    char source_label[256];
    enum ph_phase phase;
    uint32_t schema_done; /* archive entries of pre-data that are in */
    char schema_mark[40]; /* of the archive that they are counted in; "" until some are */
    uint32_t run;         /* number of the present run, from 1 */
    char verdict[32];     /* "" until the job is done */
};

/*
 * A snapshot that tables are copied under. With a stream it has L, and is written down only when
 * the source has flushed its WAL up to there: no receipt can refer to it before.
 */
struct ph_ledger_epoch {
    uint32_t number;
    char snapshot_id[64];
    struct ph_snapshot_mark mark;
    int holder_pid; /* process on the mover's host */
    bool lost;
    ph_lsn lsn;           /* L; 0: there is no stream */
    double age_s;         /* when it was loaded */
    const char *snapshot; /* to be added: pg_current_snapshot(), whole; NULL: that of mark */
};

/* Makes schema and tables when they are missing; PH_E_LEDGER for another version. Autocommit. */
ph_code ph_ledger_create(struct ph_conn *conn, struct ph_error *err);
/* Whether this database has a ledger; PH_E_LEDGER for another version, which nobody may read. */
ph_code ph_ledger_exists(struct ph_conn *conn, bool *exists, struct ph_error *err);

/*
 * From now on what this session commits is durable when it returns, also where the target has
 * synchronous_commit off: slot, publication and spool are removed, and a snapshot is let go, by
 * what the ledger says.
 */
ph_code ph_ledger_commit_durably(struct ph_conn *conn, struct ph_error *err);

/*
 * The lock that makes a job run once: a session-level advisory lock of `conn`, which therefore must
 * stay open for the whole run. *taken false: somebody else has it.
 */
ph_code ph_ledger_lock(struct ph_conn *conn, const char *job, bool *taken, struct ph_error *err);

/* In SQL, for the row `j` of pghaul.job: whether a session has that lock. */
#define PH_LEDGER_IS_RUNNING                                                                       \
    "EXISTS (SELECT 1 FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND"                \
    " l.classid = 5798 AND l.objid = (hashtext(j.job)::bigint & 4294967295)::oid AND l.granted"    \
    " AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d"                                \
    " WHERE d.datname = pg_catalog.current_database()))"

/* Who hears what people ask of a job. */
enum ph_heard_by {
    PH_HEARD_BY_NONE,   /* its last run has ended, or there was none */
    PH_HEARD_WHEN_BACK, /* it has not ended, but has no session: it reconnects, or was killed */
    PH_HEARD_BY_RUN,
};
/* The same in SQL, for that row and its last run `r`, and its number out of it. */
#define PH_LEDGER_HEARD_BY                                                                         \
    "CASE WHEN r.run IS NULL OR r.ended IS NOT NULL THEN 0"                                        \
    " WHEN " PH_LEDGER_IS_RUNNING " THEN 2 ELSE 1 END"

/* *found false: no such job, *out untouched. */
ph_code ph_ledger_load_job(struct ph_conn *conn, const char *name, struct ph_ledger_job *out,
                           bool *found, struct ph_error *err);
/*
 * Writes a new job (name, signature, selection, source_label are given; token is made). `patterns`
 * is what `selection` is of, see ph_ledger_load_patterns.
 */
ph_code ph_ledger_new_job(struct ph_conn *conn, struct ph_ledger_job *job, const char *patterns,
                          struct ph_error *err);
/*
 * Forget everything about a job but the rows of the target that it has set aside (preserved);
 * schema pghaul goes too when no job and no such rows are left.
 */
ph_code ph_ledger_forget(struct ph_conn *conn, const char *name, struct ph_error *err);

/* A new run of the job: counts job->run up and writes down host, pid and application name. */
ph_code ph_ledger_begin_run(struct ph_conn *conn, struct ph_ledger_job *job, const char *app_prefix,
                            struct ph_error *err);
ph_code ph_ledger_end_run(struct ph_conn *conn, const struct ph_ledger_job *job,
                          const char *outcome, struct ph_error *err);
ph_code ph_ledger_set_phase(struct ph_conn *conn, struct ph_ledger_job *job, enum ph_phase phase,
                            struct ph_error *err);
ph_code ph_ledger_set_schema_done(struct ph_conn *conn, struct ph_ledger_job *job, uint32_t entries,
                                  struct ph_error *err);
ph_code ph_ledger_set_verdict(struct ph_conn *conn, struct ph_ledger_job *job, const char *verdict,
                              enum ph_phase next, struct ph_error *err);

ph_code ph_ledger_add_epoch(struct ph_conn *conn, const char *job,
                            const struct ph_ledger_epoch *epoch, struct ph_error *err);
/* The newest epoch; *found false when there is none. */
ph_code ph_ledger_last_epoch(struct ph_conn *conn, const char *job, struct ph_ledger_epoch *out,
                             bool *found, struct ph_error *err);
ph_code ph_ledger_lose_epochs(struct ph_conn *conn, const char *job, struct ph_error *err);

/* ---- tables and chunks ---- */

/*
 * Writes all tables and chunks of the plan, and job->rules with its marks; the caller has begun
 * a transaction. `joins` is the job's, as it is now.
 */
ph_code ph_ledger_save_plan(struct ph_conn *conn, const struct ph_ledger_job *job,
                            const struct ph_plan *plan, struct ph_error *err);

/*
 * A query about some tables of the plan, which may be too many for one answer: $1 in it is the job,
 * $2 and $3 the first and the last number of a table. *out is the caller's.
 */
ph_code ph_ledger_query_tables(struct ph_conn *conn, const char *job, const char *sql,
                               uint32_t first, uint32_t n, struct ph_result **out,
                               struct ph_error *err) PH_MUST_CHECK;
/*
 * That the table's rows are made of the source's column with this number and name. A name that
 * comes to have another number is another column. NULL: of none with that number any more.
 */
ph_code ph_ledger_note_attribute(struct ph_conn *conn, const char *job, uint32_t table,
                                 uint32_t attnum, const char *name,
                                 struct ph_error *err) PH_MUST_CHECK;
/*
 * The same of one that was added while the job follows, with what ph_ledger_parse_late makes a
 * ph_late of again.
 */
ph_code ph_ledger_note_late(struct ph_conn *conn, const char *job, uint32_t table,
                            const struct ph_column *column, const struct ph_late *late,
                            struct ph_error *err) PH_MUST_CHECK;
/*
 * Of late_fill and late_until; the constant lives as long as `fill`. Where they have nothing it is
 * one that nothing is to be filled into.
 */
struct ph_late ph_ledger_parse_late(const char *fill, const char *until);
/* The file that the source's table was in when it had no column outside of the plan. */
ph_code ph_ledger_note_filenode(struct ph_conn *conn, const char *job, uint32_t table,
                                uint32_t filenode, struct ph_error *err) PH_MUST_CHECK;
/* The plan's columns, both sides', and the format that they go in. */
ph_code ph_ledger_set_columns(struct ph_conn *conn, const char *job,
                              const struct ph_table_plan *table,
                              struct ph_error *err) PH_MUST_CHECK;

/* job->rules and their marks, where a job goes on with other rules. */
ph_code ph_ledger_set_rules(struct ph_conn *conn, const struct ph_ledger_job *job,
                            struct ph_error *err);

/* What became of a chunk or a table, by position in the plan. */
struct ph_chunk_state {
    bool done;
    uint32_t epoch;
    uint64_t rows;
    uint64_t bytes;
    uint64_t quarantined; /* rows that stayed behind */
    uint64_t left_out;    /* rows of the source for which the target keeps its own */
    double seconds;
};

struct ph_table_state {
    bool verified;                  /* the target was read back and was equal */
    bool read_back;                 /* by this run: the digests below are known */
    bool is_past;                   /* it has been brought to one moment by an earlier stream */
    bool has_changes;               /* applied since it was copied: it is not read back any more */
    bool unlogged;                  /* on the target, when the job looked last */
    struct ph_digest source_digest; /* of all that went into the target */
    struct ph_digest target_digest;
    double verify_seconds;
};

/* `states` has plan->n_chunks elements. */
ph_code ph_ledger_load_chunks(struct ph_conn *conn, const char *job, const struct ph_plan *plan,
                              struct ph_chunk_state *states, struct ph_error *err);
/* `states` has plan->n_tables elements; only what the read-back left is filled in. */
ph_code ph_ledger_load_tables(struct ph_conn *conn, const char *job, const struct ph_plan *plan,
                              struct ph_table_state *states, struct ph_error *err);

/*
 * First statement of a loading transaction: claim all chunks of a lot that are not done. *n is how
 * many were claimed: all of the lot's unfinished ones, or 0 when somebody else has them, they are
 * done, or the target has crashed since ph_ledger_set_alive. With `wait` a lock held by a dying
 * session is waited for.
 */
enum ph_claim { PH_CLAIM_SKIP, PH_CLAIM_WAIT };
ph_code ph_ledger_claim_lot(struct ph_conn *conn, const char *job, uint32_t lot, enum ph_claim wait,
                            uint32_t *n, struct ph_error *err);
/*
 * The receipt of a chunk, in the transaction of its rows. PH_E_LEDGER unless it was to be done and
 * its snapshot is not given up: a run that was taken for dead cannot mix its snapshot with another.
 */
ph_code ph_ledger_receipt(struct ph_conn *conn, const char *job, const struct ph_chunk *chunk,
                          uint32_t epoch, const struct ph_digest_set *digest, double seconds,
                          struct ph_error *err);
/* Add the receipts of a table's chunks to `set` (which has the table's number of buckets). */
ph_code ph_ledger_add_digests(struct ph_conn *conn, const char *job, uint32_t table,
                              struct ph_digest_set *set, struct ph_error *err);
ph_code ph_ledger_set_verified(struct ph_conn *conn, const char *job, uint32_t table,
                               const struct ph_digest *source, const struct ph_digest *target,
                               double seconds, struct ph_error *err);
/* No receipt of the table comes until the transaction ends; who is about to write one is waited
 * for. */
ph_code ph_ledger_lock_table(struct ph_conn *conn, const char *job, uint32_t table,
                             struct ph_error *err);
/* All chunks of a table are to be done again (its snapshot is lost); same transaction: TRUNCATE. */
ph_code ph_ledger_reset_table(struct ph_conn *conn, const char *job, uint32_t table,
                              struct ph_error *err);
/*
 * Forget a table; those behind it move up by one. In a transaction of its own. One that comes again
 * sets job->comes_again.
 */
enum ph_table_left { PH_TABLE_IS_GONE, PH_TABLE_COMES_AGAIN };
ph_code ph_ledger_forget_table(struct ph_conn *conn, struct ph_ledger_job *job, uint32_t table,
                               enum ph_table_left left, struct ph_error *err);

/*
 * Whether the target has not crashed since set_alive: a crash empties unlogged tables, whose
 * receipts stay. No lot can be claimed while it is not set. set_alive notes as well which tables
 * are unlogged: after a crash that can be asked no more, since an emptied one may be made logged.
 * So give it again as long as the target has not crashed since.
 */
ph_code ph_ledger_is_alive(struct ph_conn *conn, const char *job, bool *alive,
                           struct ph_error *err);
ph_code ph_ledger_set_alive(struct ph_conn *conn, const char *job, struct ph_error *err);

/* ---- steps (schema after rows, and everything else that is done once) ---- */

ph_code ph_ledger_step_done(struct ph_conn *conn, const char *job, const char *step, double seconds,
                            struct ph_error *err);
/* Names of all steps that are done, in `arena`, sorted. */
ph_code ph_ledger_load_steps(struct ph_conn *conn, const char *job, struct ph_arena *arena,
                             const char *const **steps, uint32_t *n, struct ph_error *err);

/* ---- what was disabled or set aside, to be restored (it is committed DDL) ---- */

/*
 * SQL: the statement that gives a trigger or rule (`kind`) of a relation, whose oid is `rel`, the
 * state back in which it acts: `state`, as the catalogs have it.
 */
#define PH_ENABLE_SQL(rel, kind, name, state)                                                      \
    "format('ALTER TABLE ONLY %s ENABLE %s %s %I', " rel "::regclass, CASE " state                 \
    " WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, " kind ", " name ")"

ph_code ph_ledger_set_aside(struct ph_conn *conn, const char *job, const char *object,
                            const char *restore_sql, struct ph_error *err);
/* All restore statements of a database's jobs as the text of an array; "{}" where no ledger is, or
 * none that may be read. The caller frees `*out`. */
ph_code ph_ledger_resting(struct ph_conn *conn, struct ph_buf *out, struct ph_error *err);
/* Runs all restore statements of the job and forgets them, one transaction each; also of what is
 * gone by now, or back by itself, which *n does not count. What fails stays; the others are
 * restored, and the first failure is returned. */
ph_code ph_ledger_restore_all(struct ph_conn *conn, const char *job, uint32_t *n,
                              struct ph_error *err);

/* ---- for people ---- */

ph_code ph_ledger_event(struct ph_conn *conn, const char *job, const char *level, const char *text,
                        struct ph_error *err);
/* Progress for `status`, autocommit; `json` is stored as it is. */
ph_code ph_ledger_progress(struct ph_conn *conn, const char *job, const char *json,
                           struct ph_error *err);

#endif
