/*
 * The target's side of applying: groups of changes as transactions, pipelined.
 *
 *     begin   BEGIN, the ledger's compare-and-set (first: it waits for a former session that is
 *             still committing, and fails when that got through), a savepoint
 *     send    the statements of a fold; any number of times
 *     check   waits for all that was sent: a failure of the server, or rows that were not hit
 *     commit  queued; it goes out with the next begin, or by settle
 *
 * What is applied beside the groups, by a second session, begins without the compare-and-set
 * (begin_beside) and has it as its last statement (end).
 *
 * One thread. After PH_E_CONNECT, PH_E_STOPPED and PH_E_POSITION only free is left: what holds is
 * what the ledger says. All other failures leave the group to be rolled back (ph_apply_rollback).
 * A COMMIT shares its way with the statements of the next group, and may be refused (deferred
 * keys): a failure of what comes behind it is the next group's fault only if refused_end is 0.
 */
#ifndef PH_FLOW_APPLY_TARGET_H
#define PH_FLOW_APPLY_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "apply/statement.h"
#include "model/change.h"
#include "pg/conn.h"
#include "pg/conn_pipeline.h"

struct ph_apply_target_params {
    const struct ph_endpoint *endpoint;
    const char *purpose;
    const char *job;
    const char *session_sql; /* sets what the job needs; the plan settings are added */
    uint32_t worker;         /* whose position it is */
    ph_lsn position;         /* the ledger's: begin compares */
    bool defers_checks;      /* keys are enforced: those that can wait are checked at the COMMIT */
};

struct ph_apply_target {
    const struct ph_endpoint *endpoint;
    const char *job;
    uint32_t worker;
    struct ph_conn *conn;
    struct ph_pipeline *pipeline;
    struct ph_apply_statements *statements;
    struct ph_param *params; /* of the statement at hand */
    ph_lsn applied;          /* the end of the last group that is known to be committed */
    ph_lsn durable;          /* what of it is known to be on the target's disk */
    ph_lsn group_end;   /* of the group that is open; 0: none is, or its end is not known yet */
    ph_lsn committing;  /* of the group whose COMMIT is queued or under way; 0: none is */
    ph_lsn refused_end; /* of the group whose COMMIT the server refused; 0: it refused none */
    bool defers_checks; /* as the parameter */
    bool group_durably; /* the open group commits synchronously */
    bool committing_durably; /* so does the one that is committing */
    bool is_open;            /* BEGIN was queued, COMMIT not */
    bool has_unchecked;      /* statements were queued since the last check */
    bool is_sent;            /* all of them are on their way */
    uint64_t made_durable_ns;
};

/*
 * Whether what a server said of a statement may be the fault of its rows, so that there is anything
 * to mend in them, or to leave out: not of room, locks, sessions, rights or the schema.
 */
bool ph_apply_is_about_rows(const struct ph_error *why);

/* A change that the target did not take. */
struct ph_apply_refusal {
    bool is_miss;       /* the statement went through, but fewer rows were hit */
    uint32_t statement; /* number, from 0, in the fold's list of statements */
    int64_t expected_rows;
    int64_t rows;
    const struct ph_pipeline_miss *misses; /* all of them, this one first; until the next check */
    uint32_t n_misses;
};

/* Opens the connection. `endpoint` and `job` must outlive it. Free also after a failure. */
ph_code ph_apply_target_open(struct ph_apply_target *target,
                             const struct ph_apply_target_params *params,
                             struct ph_error *err) PH_MUST_CHECK;
void ph_apply_target_free(struct ph_apply_target *target);

/*
 * Begin a group that starts at `from`: target->applied, or the end of the group whose commit is
 * queued; anything else is PH_E_INTERNAL. `end` 0: not known yet, then ph_apply_end must say it
 * before the commit, which is a synchronous one.
 */
ph_code ph_apply_begin(struct ph_apply_target *target, ph_lsn from, ph_lsn end,
                       struct ph_error *err) PH_MUST_CHECK;
ph_code ph_apply_end(struct ph_apply_target *target, ph_lsn end,
                     struct ph_error *err) PH_MUST_CHECK;
/*
 * Begin one beside the groups, without a savepoint; it commits synchronously. Before its end,
 * target->applied has to be said. It waits for a lock no longer than `lock_ms`.
 */
ph_code ph_apply_begin_beside(struct ph_apply_target *target, int lock_ms,
                              struct ph_error *err) PH_MUST_CHECK;
/*
 * There is one beside: `call` is called whenever this session has waited for `after_ms`, and COPY,
 * which would wait without that, is not used. `call` NULL: no longer.
 */
void ph_apply_mind(struct ph_apply_target *target, int after_ms, void (*call)(void *arg),
                   void *arg);
/*
 * Send what is in the fold. `left_out` (may be NULL): a bit per statement that is not sent. A COPY
 * among them waits for all before it, and may fail here.
 */
ph_code ph_apply_send(struct ph_apply_target *target, struct ph_fold *fold,
                      const uint64_t *left_out, struct ph_error *err) PH_MUST_CHECK;
/* The statement of that number of what is in the fold. PH_E_MEMORY, PH_E_INTERNAL. */
ph_code ph_apply_find_statement(struct ph_apply_target *target, struct ph_fold *fold,
                                uint32_t number, struct ph_apply_statement *out,
                                struct ph_error *err) PH_MUST_CHECK;
/*
 * Set the bits, of `n_words` words, of all statements of its change: by row, an UPDATE is two. Of a
 * fold for a replay. *n: how many there are.
 */
ph_code ph_apply_leave_out(struct ph_apply_target *target, struct ph_fold *fold, uint32_t number,
                           uint64_t *left_out, size_t n_words, uint32_t *n,
                           struct ph_error *err) PH_MUST_CHECK;
/* A statement of the caller's own (TRUNCATE). */
ph_code ph_apply_send_plain(struct ph_apply_target *target, const char *sql,
                            struct ph_error *err) PH_MUST_CHECK;
/* All that was sent goes out, without waiting for what becomes of it; then comes a check. */
ph_code ph_apply_go(struct ph_apply_target *target, struct ph_error *err) PH_MUST_CHECK;
/*
 * Wait for all that was sent. *refused: the group cannot be committed as it is, for the reason in
 * `refusal` and, when the server failed a statement, in `err`.
 */
ph_code ph_apply_check(struct ph_apply_target *target, bool *refused,
                       struct ph_apply_refusal *refusal, struct ph_error *err) PH_MUST_CHECK;
/* The same where nothing can be done about a refusal: it is a failure. */
ph_code ph_apply_expect(struct ph_apply_target *target, struct ph_error *err) PH_MUST_CHECK;
/* After a check: queue COMMIT. */
ph_code ph_apply_commit(struct ph_apply_target *target, struct ph_error *err) PH_MUST_CHECK;
/* Wait for the COMMIT that is queued, if one is. */
ph_code ph_apply_settle(struct ph_apply_target *target, struct ph_error *err) PH_MUST_CHECK;
/*
 * The open group as if it had not been; back to its savepoint keeps the transaction open. When the
 * COMMIT of the group before was still under way and is refused, that is the failure.
 */
ph_code ph_apply_rollback(struct ph_apply_target *target, struct ph_error *err) PH_MUST_CHECK;
ph_code ph_apply_back_to_savepoint(struct ph_apply_target *target,
                                   struct ph_error *err) PH_MUST_CHECK;
/* Nothing open: settle, and make all that is applied durable on the target. */
ph_code ph_apply_make_durable(struct ph_apply_target *target, struct ph_error *err) PH_MUST_CHECK;
/* Nothing open: move the position over what has no changes. */
ph_code ph_apply_advance(struct ph_apply_target *target, ph_lsn lsn,
                         struct ph_error *err) PH_MUST_CHECK;

#endif
