/*
 * The database itself: made on the target as it is on the source, and given its settings, owner,
 * comment and grants. All by the archive's entries, in which only the name is another.
 */
#ifndef PH_PG_DATABASE_H
#define PH_PG_DATABASE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "pg/archive.h"
#include "pg/conn.h"
#include "pg/ddl.h"

struct ph_database_params {
    const char *source; /* conninfo */
    const char *target; /* conninfo of the database that is to be */
    const char *job;
    const char *path; /* of a file for the archive, removed again */
    bool no_owner;
    bool no_tablespaces;
};

/*
 * CREATE DATABASE unless it is there (*created false), from the server's database postgres or
 * template1. PH_E_RIGHTS, PH_E_CONNECT, PH_E_SCHEMA when the target cannot have such a database.
 */
ph_code ph_database_create(const struct ph_database_params *params, bool *created,
                           struct ph_error *err);

/*
 * Owner, settings (also of roles in this database), connection limit, comment, grants, to the
 * database of `conn`, in one transaction; hooks->on_batch is called before COMMIT with 0. What the
 * role of `conn` may not do is a warning.
 */
ph_code ph_database_apply(struct ph_conn *conn, const struct ph_archive *archive,
                          const struct ph_ddl_hooks *hooks, struct ph_error *err);

/* Whether two connections are to one and the same database. */
ph_code ph_database_is_one(struct ph_conn *source, struct ph_conn *target, bool *out,
                           struct ph_error *err);

/* `sql` with the name behind each DATABASE outside of quotes changed, if it is `from`. */
void ph_database_put_renamed(struct ph_buf *out, const char *sql, const char *from, const char *to);

#endif
