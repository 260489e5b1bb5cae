/* What --follow needs before anything is made: the source's settings, rights, tables, disks. */
#ifndef PH_JOB_PREFLIGHT_FOLLOW_H
#define PH_JOB_PREFLIGHT_FOLLOW_H

#include "job/job.h"
#include "model/finding.h"

/* The name of a new job's slot, and of its publication unless one was given. */
void ph_follow_name(const struct ph_job *job, char out[64]);

/* Settings, rights, room: before catalogs are read. Reads only, as all here. */
ph_code ph_preflight_follow_servers(struct ph_job *job, struct ph_findings *findings,
                                    struct ph_error *err);
/* The tables of job->plan, and the publication that is to be used. */
ph_code ph_preflight_follow_tables(struct ph_job *job, struct ph_findings *findings,
                                   struct ph_error *err);

/* Of the same: where changes cannot keep what the target has in columns of its own. */
void ph_preflight_own_columns(const struct ph_job *job, struct ph_findings *findings);

/*
 * Transactions that a slot being made now would wait for, with pid and age: prepared ones, and
 * those that have run for longer than `older_than_s`. Warnings.
 */
ph_code ph_follow_find_long_transactions(struct ph_conn *source, double older_than_s,
                                         struct ph_findings *findings, struct ph_error *err);

/*
 * --set-replica-identity: give every table of the plan that has no usable identity, or one that
 * tells less of old rows than its rules need, the one that `check` names, waiting at most
 * `lock_wait_ms` for each table. *n is how many were changed; each is an event in the ledger. The
 * catalog in `job` is as before.
 */
ph_code ph_follow_set_identities(struct ph_job *job, int lock_wait_ms, uint32_t *n,
                                 struct ph_error *err);

#endif
