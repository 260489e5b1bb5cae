/* Making what a copy goes into: the database (--create) and the roles (--roles). */
#ifndef PH_JOB_CREATE_H
#define PH_JOB_CREATE_H

#include "job/job.h"
#include "model/finding.h"

/*
 * --create: make the target's database with the source's encoding and locale, through the target
 * server's database `postgres`, unless it is there. Before ph_job_connect. Sets run->wrote.
 */
ph_code ph_create_database(struct ph_run *run, struct ph_error *err);

/*
 * Add what a copy with schema needs and the target lacks as findings, each with its cure: roles
 * (unless --roles), extensions, tablespaces. After the selection was made.
 */
ph_code ph_create_find_needs(struct ph_job *job, struct ph_findings *findings,
                             struct ph_error *err);
/* --roles: make the missing ones. */
ph_code ph_create_roles(struct ph_job *job, struct ph_error *err);

#endif
