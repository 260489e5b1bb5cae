/* The ledger's findings: what the proof of a job had to say, for runs that come after it. */
#ifndef PH_PG_LEDGER_FINDING_H
#define PH_PG_LEDGER_FINDING_H

#include "model/finding.h"
#include "pg/ledger.h"

struct ph_ledger_finding {
    enum ph_severity severity;
    const char *kind;
    const char *object;
    const char *text;
};

/* In place of those that are there, in the caller's transaction. */
ph_code ph_ledger_save_findings(struct ph_conn *conn, const char *job,
                                const struct ph_ledger_finding *findings, uint32_t n,
                                struct ph_error *err) PH_MUST_CHECK;
/* In the order they were saved; texts in `arena`. */
ph_code ph_ledger_load_findings(struct ph_conn *conn, const char *job, struct ph_arena *arena,
                                struct ph_ledger_finding **out, uint32_t *n,
                                struct ph_error *err) PH_MUST_CHECK;

#endif
