#include "pg/conninfo.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *
keyword_value(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        if (strcmp(o->keyword, keyword) == 0 && o->val != NULL && o->val[0] != '\0')
            return o->val;
    }
    return NULL;
}

/* A dbname may be a whole conninfo of its own, which libpq expands when it connects. */
static const char *
plain_dbname(const PQconninfoOption *options)
{
    const char *name = keyword_value(options, "dbname");

    if (name != NULL && (strchr(name, '=') != NULL || strstr(name, "://") != NULL))
        return NULL;
    return name;
}

ph_code
ph_conninfo_database(const char *conninfo, char *out, size_t size, struct ph_error *err)
{
    PQconninfoOption *given = PQconninfoParse(conninfo, NULL);
    PQconninfoOption *defaults = NULL;

    out[0] = '\0';
    if (given == NULL)
        return PH_FAIL(err, PH_E_USAGE, "libpq cannot read the connection string");
    const char *name = plain_dbname(given);
    const char *environment = getenv("PGDATABASE");
    if (name == NULL && keyword_value(given, "service") != NULL)
        name = keyword_value(given, "service");
    else if (name == NULL && environment != NULL && environment[0] != '\0')
        name = environment;
    else if (name == NULL)
        name = keyword_value(given, "user");
    if (name == NULL) {
        defaults = PQconndefaults();
        name = keyword_value(defaults, "user");
    }
    snprintf(out, size, "%s", name != NULL ? name : "");
    PQconninfoFree(defaults);
    PQconninfoFree(given);
    return PH_OK;
}
