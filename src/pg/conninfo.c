#include "pg/conninfo.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

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

bool
ph_conninfo_names_database(const char *conninfo)
{
    PQconninfoOption *given = PQconninfoParse(conninfo, NULL);
    bool named = given != NULL && plain_dbname(given) != NULL;

    PQconninfoFree(given);
    return named;
}

/* key='value' with libpq's escapes */
static void
put_pair(struct ph_buf *out, const char *key, const char *value)
{
    ph_buf_printf(out, "%s%s='", out->len > 0 ? " " : "", key);
    for (; *value != '\0'; value++) {
        if (*value == '\'' || *value == '\\')
            ph_buf_putc(out, '\\');
        ph_buf_putc(out, *value);
    }
    ph_buf_putc(out, '\'');
}

ph_code
ph_conninfo_with_database(const char *conninfo, const char *database, char **out,
                          struct ph_error *err)
{
    PQconninfoOption *given = PQconninfoParse(conninfo, NULL);
    struct ph_buf text;

    *out = NULL;
    if (given == NULL)
        return PH_FAIL(err, PH_E_USAGE, "libpq cannot read the connection string");
    ph_buf_init(&text, 65536);
    for (const PQconninfoOption *o = given; o->keyword != NULL; o++) {
        if (o->val != NULL && strcmp(o->keyword, "dbname") != 0)
            put_pair(&text, o->keyword, o->val);
    }
    put_pair(&text, "dbname", database);
    PQconninfoFree(given);
    if (ph_buf_ok(&text))
        *out = strdup(ph_buf_text(&text));
    if (text.data != NULL)
        explicit_bzero(text.data, text.cap);
    ph_buf_free(&text);
    return *out != NULL ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}
