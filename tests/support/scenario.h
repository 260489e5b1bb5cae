/*
 * The migrations of tests/scenarios: each a folder with the source's schema and rows, the target's
 * schema, job files and checks in plain SQL. One run of one job file is a case: databases of its
 * own, the command `pghaul copy JOB`, and whatever happens to it.
 *
 * In a folder:
 *   source.sql        schema and rows of the source, for psql
 *   other.sql         a third database, when the job refers to one
 *   <target>.sql      what is on the target beforehand, as the scenario names it
 *   <job>.yaml        refers to the databases as service=scenario_source, _target, _other
 *   writes.sql        one transaction of the application, for pgbench; of jobs that follow
 *   checks.sql        whatever it prints is wrong (see tests/scenarios/checks.sql)
 *   <job>_checks.sql  more of them, when it is there
 */
#ifndef PH_TEST_SCENARIO_H
#define PH_TEST_SCENARIO_H

#include <stdbool.h>

#include "support/pair.h"

struct scenario {
    const char *folder;
    const char *job;              /* file without .yaml */
    const char *target;           /* file without .sql; NULL: the copy makes the schema itself */
    const char *spoil;            /* file without .sql, run on the source first; or NULL */
    int code;                     /* that the command ends with */
    const char *says;             /* and says; or NULL */
    const char *const *no_stream; /* what `check --follow` says against it, to NULL; or NULL */
    bool follows;
    bool by_owner;     /* the target's role owns the database and is no superuser */
    bool consents;     /* --yes: the job empties tables */
    bool one_database; /* source and target are the same */
};

struct scenario_case {
    const struct scenario *scenario;
    const struct pair *pair;
    const char *name; /* of its databases */
    const char *target_db;
    const struct pg_test_cluster *target;
    const char *dir;
    const char *report;
    const char *const *env; /* of every run */
    struct run *writers;    /* NULL: nobody writes */
};

/* Makes the databases. The caller ends it with scenario_case_end, which drops them. */
struct scenario_case scenario_case_begin(const struct pair *pair, const struct scenario *scenario,
                                         const char *name);
void scenario_case_end(struct scenario_case *c);

/* A command of the job file, as {"check", "--json", NULL}, to its end. */
struct run *scenario_words(const struct scenario_case *c, const char *const *words);
/* Commands that only look: all of them succeed, and neither side is written to. */
void scenario_look(const struct scenario_case *c);
/* `check` refuses it with --follow, and names all that cannot be. */
void scenario_cannot_follow(const struct scenario_case *c);

/* `pghaul copy JOB`; `failpoint` may be NULL. */
struct run *scenario_start(const struct scenario_case *c, const char *failpoint);
/* It ends as the scenario says. */
void scenario_expect(const struct scenario_case *c, struct run *run);

/* The application begins to write, and stops. */
void scenario_begin_writing(struct scenario_case *c);
void scenario_end_writing(struct scenario_case *c);
/* Until the run applies changes; false: it has ended. */
bool scenario_wait_following(const struct scenario_case *c, struct run *run);
/* Tells it to end at what is committed now. */
void scenario_stop(const struct scenario_case *c);

/* The checks by SQL, and that nothing of the job is left on either server but its ledger. */
void scenario_check(const struct scenario_case *c);

#endif
