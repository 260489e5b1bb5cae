/*
 * Constraints that nobody enforced while rows were written: under session_replication_role =
 * replica neither foreign keys nor deferrable unique and primary keys are checked.
 * Each is asked about by one query on the target.
 *
 * A constraint that the source has too, validated and with the same definition, holds on the target
 * when its columns have the same values in as many rows; only the others are audited.
 */
#ifndef PH_PG_CONSTRAINT_AUDIT_H
#define PH_PG_CONSTRAINT_AUDIT_H

#include <stdbool.h>

#include "base/error.h"
#include "model/finding.h"
#include "pg/conn.h"

struct ph_constraint_audit {
    struct ph_conn *source;
    struct ph_conn *target;
    void *arg;
    /* Whether the rows of this table of the target are among those that were compared. */
    bool (*is_compared)(void *arg, const char *schema, const char *table);
    /* Whether the columns of that constraint are those of the source's table of that name (and of
     * the table it refers to), in as many rows, no more and no less. */
    bool (*is_the_same)(void *arg, const char *schema, const char *table, const char *constraint);
};

/* Findings of code PH_E_CONSTRAINT, kind "constraint". *n: how many constraints were asked about.
 */
ph_code ph_constraint_audit(const struct ph_constraint_audit *audit, struct ph_findings *findings,
                            uint32_t *n, struct ph_error *err);

#endif
