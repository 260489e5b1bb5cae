/*
 * The schema of two databases compared by their catalogs: which objects are missing on the target,
 * different, or only there. Part of the proof; works between any two majors from 13 on, with
 * definitions that PostgreSQL prints differently from major to major compared by what they refer
 * to.
 */
#ifndef PH_PG_SCHEMA_COMPARE_H
#define PH_PG_SCHEMA_COMPARE_H

#include <stdbool.h>

#include "base/error.h"
#include "model/finding.h"
#include "pg/conn.h"

struct ph_schema_compare {
    struct ph_conn *source;
    struct ph_conn *target;
    bool no_owner;
    bool no_acl;
    bool no_comments;
    bool no_tablespaces;
    bool publications;
    /*
     * Statements, as the text of an array, that give back their state to triggers and rules that
     * rest on the target (PH_ENABLE_SQL), or make foreign keys again that are set aside
     * (job/set_aside.c): they are taken as if these had been run. NULL: none.
     */
    const char *resting;
    void *arg;
    /*
     * Whether this object takes part: its schema ("" when it lies in none) and the relation that it
     * is or is on ("" when there is none; also for functions, types). Asked a second time for the
     * relation that a foreign key refers to. NULL: all.
     */
    bool (*wanted)(void *arg, const char *schema, const char *relation);
};

/*
 * Adds findings of code PH_E_DIFFERENT: errors for what is missing or different on the target, a
 * warning for what is only there and for properties of the database itself, a note for another
 * version of an extension. Schemas of the system
 * and of the ledger are left out, members of extensions too. Both connections are used by turns,
 * and are in transactions.
 */
ph_code ph_schema_compare(const struct ph_schema_compare *compare, struct ph_findings *findings,
                          struct ph_error *err);

#endif
