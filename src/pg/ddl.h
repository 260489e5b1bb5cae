/*
 * Running the archive's entries on the target: the part before the rows, and the database itself.
 * The part after the rows is in ddl_step.h.
 *
 * Everything is executed in transactions that also carry the ledger's note of it (a callback), so a
 * killed run goes on at the right entry. One thread per connection.
 */
#ifndef PH_PG_DDL_H
#define PH_PG_DDL_H

#include <stdint.h>

#include "base/error.h"
#include "pg/archive.h"
#include "pg/conn.h"

struct ph_ddl_hooks {
    void *arg;
    /*
     * Called inside the transaction, on its connection, before COMMIT: all entries before
     * `entries_done` (an index in archive->entries) will be in. May be NULL.
     */
    ph_code (*on_batch)(void *arg, struct ph_conn *conn, uint32_t entries_done,
                        struct ph_error *err);
    /* A statement that may fail did; the run goes on. May be NULL. */
    void (*on_warning)(void *arg, const struct ph_error *warning);
};

/*
 * The selected pre-data entries from index `first` on, some hundred in one transaction. PH_E_SCHEMA
 * (or the class of the server's error, see conn.h) with the entry as object. Comments on extensions
 * that belong to somebody else only warn. PH_E_STOPPED between two batches.
 */
ph_code ph_ddl_pre_data(struct ph_conn *conn, const struct ph_archive *archive, uint32_t first,
                        const struct ph_ddl_hooks *hooks, struct ph_error *err);

/*
 * Starts a transaction that runs entries. Of what pg_restore sets, every session has the rest
 * (conn.h); money constants were written under the database's own lc_monetary.
 */
#define PH_DDL_BEGIN "BEGIN; SET LOCAL synchronous_commit = off; SET LOCAL lc_monetary TO DEFAULT;"
ph_code ph_ddl_begin(struct ph_conn *conn, struct ph_error *err);
/*
 * One entry in the transaction under way, with its settings. Fills the error's object and, where
 * the server gave the cause, makes PH_E_SQL a PH_E_SCHEMA.
 */
ph_code ph_ddl_run_entry(struct ph_conn *conn, const struct ph_archive_entry *entry,
                         struct ph_error *err);
/*
 * What a query of the user's may depend on, as in his own sessions, not as sessions here pin it: of
 * the form that an entry's settings have.
 */
#define PH_DDL_USER_SETTINGS                                                                       \
    "SET timezone TO DEFAULT;\nSET datestyle TO DEFAULT;\nSET intervalstyle TO DEFAULT;\n"         \
    "SET extra_float_digits TO DEFAULT;\nSET bytea_output TO DEFAULT;\n"
/* An entry's settings as SET LOCAL: its text has SET, which would outlive the transaction. */
void ph_ddl_put_settings(struct ph_buf *script, const char *settings);
void ph_ddl_name_error(const struct ph_archive_entry *entry, struct ph_error *err);

#endif
