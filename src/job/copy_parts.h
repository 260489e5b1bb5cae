/* The phases of a copy (copy.c), one file each. All on the job's thread. */
#ifndef PH_JOB_COPY_PARTS_H
#define PH_JOB_COPY_PARTS_H

#include "job/job.h"
#include "job/step_workers.h"
#include "model/finding.h"
#include "pg/large_object.h"
#include "pg/ledger_lookup.h"

/* ---- preflight.c ---- */

/*
 * Everything that can be known before the first write: versions, rights, an empty target, tools.
 * Blockers are findings; only what keeps it from looking further is an error. Sets the encoding of
 * both endpoints.
 */
ph_code ph_preflight(struct ph_job *job, struct ph_findings *findings, struct ph_error *err);
/* All findings go to the report; the first blocker is the error. */
ph_code ph_copy_refuse(struct ph_job *job, const struct ph_findings *findings,
                       struct ph_error *err);
/* Both for the copy. */
ph_code ph_copy_preflight(struct ph_job *job, struct ph_error *err);

/* ---- copy_schema.c ---- */

/* Pre-data, resumed at the entry the ledger names; ends in PH_PHASE_PLAN. */
ph_code ph_copy_schema_phase(struct ph_job *job, struct ph_error *err);
/* The steps after the rows (`rows_apart` as in ddl_step.h); those the ledger has are done. The
 * archive stays in job->archive. */
ph_code ph_copy_build_steps(struct ph_job *job, bool rows_apart, struct ph_steps *steps,
                            struct ph_error *err);
/* Settings, owner, grants and comment of the database, after a copy of all of it; once. */
ph_code ph_copy_apply_database(struct ph_job *job, struct ph_error *err);
/* --restart: everything the ledger knows of the job. */
ph_code ph_copy_forget(struct ph_job *job, struct ph_error *err);

/* ---- plan_make.c ---- */

/* Plan from both catalogs and the selection; of a target without its schema when `target` is not
 * read. job->jobs and the options decide chunks and order. */
ph_code ph_copy_make_plan(struct ph_job *job, struct ph_error *err);

/* ---- copy_target.c ---- */

/* --data-only: what keeps the rows of the plan from going in. Reads only. */
ph_code ph_copy_check_target(struct ph_job *job, struct ph_findings *findings,
                             struct ph_error *err);
/* Set triggers and keys aside; empty the tables or see that they are. */
ph_code ph_copy_prepare_target(struct ph_job *job, struct ph_error *err);
/* BEGIN on the target, for statements that no trigger is to see where that can be had. */
ph_code ph_copy_begin_quiet(struct ph_job *job, struct ph_error *err);
/* [ONLY] "schema"."name" */
void ph_copy_put_target(struct ph_buf *sql, const struct ph_rel *rel);

/* ---- copy_truncate.c ---- */

/* Empty all targets of the plan. In transactions of its own. */
ph_code ph_copy_truncate(struct ph_job *job, struct ph_error *err);

/* ---- copy_backup.c ---- */

/* `backup:` tables that are there already, or would be there twice. Reads only. */
ph_code ph_copy_check_backups(struct ph_job *job, struct ph_findings *findings,
                              struct ph_error *err);
/* Statements that keep the rows of the table, or of its partitions that the plan has, unless this
 * job has done so; "" when the job file asks for none. */
ph_code ph_copy_put_backups(struct ph_job *job, const struct ph_rel *rel, struct ph_buf *sql,
                            struct ph_error *err);

/* ---- copy_preserve.c ---- */

/* What keeps preserved columns from being exact, and what other runs have set aside. Reads only. */
ph_code ph_copy_check_preserved(struct ph_job *job, struct ph_findings *findings,
                                struct ph_error *err);
/* Statements that set aside what is preserved of the table, or of its partitions, unless this job
 * has done so; "" when nothing is. `rel` NULL: of all tables of the plan. */
ph_code ph_copy_put_preserved(struct ph_job *job, const struct ph_rel *rel, struct ph_buf *sql,
                              struct ph_error *err);
/* What was preserved, for the report. */
ph_code ph_copy_tell_preserved(struct ph_job *job, struct ph_error *err);
/* Forget what was set aside and is back; in the caller's transaction. */
ph_code ph_copy_drop_preserved(struct ph_job *job, struct ph_error *err);

/* ---- copy_collide.c ---- */

/* Rows that stay on the target and whose keys the source has as well. Reads only. */
ph_code ph_copy_check_collisions(struct ph_job *job, struct ph_findings *findings,
                                 struct ph_error *err);

/* ---- copy_partitions.c ---- */

/* Values that rules give and for which a partitioned table of the target has no partition. Reads
 * only. */
ph_code ph_copy_check_partitions(struct ph_job *job, struct ph_findings *findings,
                                 struct ph_error *err);

/* ---- copy_value.c ---- */

/* Whether another table of the plan before that one, which has a route, has said the same:
 * partitions that one entry of the job file is about. */
bool ph_copy_is_said(const struct ph_plan *plan, uint32_t index);
/*
 * One row, of the value under its column's name: whether the condition, SQL that is never NULL,
 * holds for it, in binary, and its text. `*out` is the caller's. The server's errors about the
 * value.
 */
ph_code ph_copy_ask_value(struct ph_conn *target, const struct ph_column *column,
                          const struct ph_value *value, const char *condition,
                          struct ph_result **out, struct ph_error *err);

/* ---- copy_constraints.c ---- */

/* Constants of rules that a CHECK or a domain of the target does not allow. Reads only. */
ph_code ph_copy_check_constraints(struct ph_job *job, struct ph_findings *findings,
                                  struct ph_error *err);

/* ---- set_aside.c ---- */

/*
 * --data-only: disable the triggers and rewrite rules that would act and drop the foreign keys that
 * no order satisfies, with a statement in the ledger that restores each. In the caller's
 * transaction.
 */
ph_code ph_copy_set_aside(struct ph_job *job, struct ph_error *err);
/* The same in a transaction of its own; a run that was stopped has restored what there was. */
ph_code ph_copy_set_aside_now(struct ph_job *job, struct ph_error *err);
/* A finding for everything of it that the role may not change. */
ph_code ph_copy_check_set_aside(struct ph_job *job, struct ph_findings *findings,
                                struct ph_error *err);

/* ---- copy_post.c ---- */

/* Sequences, large objects, what was set aside; ends in PH_PHASE_VERIFY. */
ph_code ph_copy_post_phase(struct ph_job *job, struct ph_error *err);
/* Sequences get the values that the source has now. */
ph_code ph_copy_set_sequences(struct ph_job *job, struct ph_error *err);
/* Between the control sessions, as the options say. */
struct ph_large_objects ph_copy_large_objects_of(const struct ph_job *job);
/* The source's session is in the transaction that counts. *n: copied, again or for the first time;
 * *only: on the target alone. */
enum ph_alone { PH_ALONE_STAYS, PH_ALONE_GOES };
ph_code ph_copy_mend_large_objects(struct ph_job *job, enum ph_alone alone, uint64_t *n,
                                   uint32_t *only, struct ph_error *err);
/* Tables and verdict of the report, as far as the run came. */
void ph_copy_fill_report(struct ph_job *job, ph_code rc, const struct ph_error *err);

/* ---- copy_checks.c ---- */

/* What the job file asks of the target, both sides as the copy has them. Failures are added to
 * *n_different. */
ph_code ph_copy_run_checks(struct ph_job *job, uint32_t *n_different, struct ph_error *err);
/* The stream has come to its end: in report and ledger they are as they are now. */
ph_code ph_copy_end_checks(struct ph_job *job, uint32_t *n_different, struct ph_error *err);

/* ---- copy_proof.c ---- */

/* Rows that differ are named, what is not rows is compared; the verdict is written down; ends in
 * PH_PHASE_DONE. */
ph_code ph_copy_proof_phase(struct ph_job *job, struct ph_error *err);
/* What lookups did not find, for the report; the plan must be loaded. */
ph_code ph_copy_tell_orphans(struct ph_job *job, enum ph_orphans_told_of of, struct ph_error *err);
/* The kind of a finding that keeps a copy from being proven: a column that its rows came without.
 */
#define PH_COPY_BARE_COLUMN "late column"
/* What the proof of an earlier run has found: into the report. */
ph_code ph_copy_tell_kept(struct ph_job *job, struct ph_error *err);
/* PH_OK or PH_E_DIFFERENT, by the ledger's verdict. */
ph_code ph_copy_verdict(struct ph_job *job, struct ph_error *err);

#endif
