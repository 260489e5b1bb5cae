/* What a connection string says, without connecting. Any thread. */
#ifndef PH_PG_CONNINFO_H
#define PH_PG_CONNINFO_H

#include <stddef.h>

#include "base/error.h"

/*
 * The name of the database `conninfo` leads to, as far as libpq's own rules tell it: the string,
 * PGDATABASE, else the service's name, else the user's. Always terminated. PH_E_USAGE when libpq
 * cannot read the string (the message does not quote it).
 */
ph_code ph_conninfo_database(const char *conninfo, char *out, size_t size, struct ph_error *err);

#endif
