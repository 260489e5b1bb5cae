/* What a connection string says, without connecting. Any thread. */
#ifndef PH_PG_CONNINFO_H
#define PH_PG_CONNINFO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/*
 * The name of the database `conninfo` leads to, as far as libpq's own rules tell it: the string,
 * PGDATABASE, else the service's name, else the user's. Always terminated. PH_E_USAGE when libpq
 * cannot read the string (the message does not quote it).
 */
ph_code ph_conninfo_database(const char *conninfo, char *out, size_t size, struct ph_error *err);

/*
 * The same server by `conninfo`, but database `database`: a new conninfo string in `*out`, to be
 * wiped and freed by the caller, since it may hold a password.
 */
ph_code ph_conninfo_with_database(const char *conninfo, const char *database, char **out,
                                  struct ph_error *err);
/* Whether the string itself names its database (a service file is not looked into). */
bool ph_conninfo_names_database(const char *conninfo);

#endif
