/* The ledger's quarantine: rows of the source that a rule could not handle, and why. */
#ifndef PH_PG_LEDGER_QUARANTINE_H
#define PH_PG_LEDGER_QUARANTINE_H

#include "base/buf.h"
#include "pg/ledger.h"

/*
 * The statement that writes down rows of the stream, to go out in the transaction that should have
 * carried them: begun with the first row in an empty `sql`, longer with each one.
 */
struct ph_quarantined_row {
    const struct ph_table_plan *table;
    const char *key;
    const char *column;
    const char *reason;
};
void ph_ledger_put_quarantined(struct ph_buf *sql, const char *job,
                               const struct ph_quarantined_row *row);

/*
 * Write down rows in the transaction that should have carried them: `rows` holds key, column and
 * reason of each, every one ended by a 0 byte. `chunk`: of the copy, whose receipt must be written.
 */
ph_code ph_ledger_quarantine(struct ph_conn *conn, const char *job,
                             const struct ph_table_plan *table, const struct ph_chunk *chunk,
                             const struct ph_buf *rows, uint64_t n,
                             struct ph_error *err) PH_MUST_CHECK;

/* How many rows of the job are in quarantine. */
ph_code ph_ledger_quarantined(struct ph_conn *conn, const char *job, uint64_t *n,
                              struct ph_error *err) PH_MUST_CHECK;

#endif
