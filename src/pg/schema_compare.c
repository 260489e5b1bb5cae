/*
 * Merging the two sides' lists of objects, kind by kind (see schema_compare.h).
 *
 * Definitions are compared by their SHA-256 and come along cut short, to show where they part; one
 * kind at a time is in memory.
 */
#include "pg/schema_compare.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "pg/schema_queries.h"

#define SHOWN_BYTES "300"

enum column {
    COL_SCHEMA,
    COL_REL,
    COL_IDENTITY,
    COL_HASH,
    COL_SHOWN,
    COL_OTHER_SCHEMA,
    COL_OTHER_REL
};

struct sides {
    const struct ph_schema_compare *compare;
    const struct ph_schema_query *query;
    struct ph_findings *findings;
    struct ph_result *source;
    struct ph_result *target;
};

static ph_code
read_side(struct ph_conn *conn, const struct sides *sides, struct ph_result **out,
          struct ph_error *err)
{
    int source_major = ph_conn_version(sides->compare->source) / 10000;
    int target_major = ph_conn_version(sides->compare->target) / 10000;
    const char *params[] = {source_major == target_major ? "t" : "f",
                            sides->compare->no_tablespaces ? "f" : "t"};
    struct ph_buf sql;
    ph_code rc;

    ph_buf_init(&sql, 1 << 20);
    /* both parameters appear, whatever the kind uses */
    ph_buf_printf(&sql,
                  "SELECT x.s, x.r, x.i, encode(sha256(convert_to(x.d, getdatabaseencoding())),"
                  " 'hex'), left(x.d, " SHOWN_BYTES "), x.rs, x.rr FROM (SELECT y.s, y.r,"
                  " y.i, coalesce(y.d, '') d, %s FROM (%s) y) x WHERE $1::bool IS NOT NULL"
                  " AND $2::bool IS NOT NULL ORDER BY x.i COLLATE \"C\", x.d COLLATE \"C\"",
                  sides->query->refers == PH_SCHEMA_REFERS ? "y.rs, y.rr" : "'' rs, '' rr",
                  sides->query->sql);
    rc = ph_conn_query(conn, ph_buf_text(&sql), 2, params, out, err);
    ph_buf_free(&sql);
    if (rc != PH_OK)
        ph_error_note(err, "comparing objects of kind %s", sides->query->kind);
    return rc;
}

static bool
is_wanted(const struct sides *sides, const struct ph_result *result, int row)
{
    const struct ph_schema_compare *compare = sides->compare;
    const char *other = ph_result_text(result, row, COL_OTHER_REL);

    if (compare->wanted == NULL)
        return true;
    return compare->wanted(compare->arg, ph_result_text(result, row, COL_SCHEMA),
                           ph_result_text(result, row, COL_REL)) &&
           (other[0] == '\0' ||
            compare->wanted(compare->arg, ph_result_text(result, row, COL_OTHER_SCHEMA), other));
}

static void
report(const struct sides *sides, const struct ph_result *result, int row,
       enum ph_severity severity, const char *cause)
{
    if (!is_wanted(sides, result, row))
        return;
    ph_finding_add(sides->findings,
                   &(struct ph_finding_params){.severity = severity,
                                               .code = PH_E_DIFFERENT,
                                               .kind = sides->query->kind,
                                               .object = ph_result_text(result, row, COL_IDENTITY)},
                   "%s", cause);
}

/* Up to the end of the clause, or as much as a line bears. */
static int
clause_len(const char *text)
{
    const char *end = strstr(text, "; ");
    size_t len = end != NULL ? (size_t)(end - text) : strlen(text);

    return len < 80 ? (int)len : 80;
}

/* From the word in which they part: "... source: `a b` target: `a c`". */
static void
describe_difference(const char *source, const char *target, char *out, size_t size)
{
    size_t at = 0;

    while (source[at] != '\0' && source[at] == target[at])
        at++;
    while (at > 0 && source[at - 1] != ' ')
        at--;
    if (source[at] == '\0' && target[at] == '\0')
        snprintf(out, size, "different");
    else
        snprintf(out, size, "different: `%.*s` on the source, `%.*s` on the target",
                 clause_len(source + at), source + at, clause_len(target + at), target + at);
}

/* What the target's role may not change of the database itself was a warning of the copy, too. */
static enum ph_severity
severity_of(const char *kind)
{
    if (strcmp(kind, "extension version") == 0)
        return PH_FINDING_NOTE;
    return strcmp(kind, "database") == 0 ? PH_FINDING_WARNING : PH_FINDING_ERROR;
}

static void
compare_pair(const struct sides *sides, int source_row, int target_row)
{
    char cause[400];

    if (strcmp(ph_result_text(sides->source, source_row, COL_HASH),
               ph_result_text(sides->target, target_row, COL_HASH)) == 0)
        return;
    describe_difference(ph_result_text(sides->source, source_row, COL_SHOWN),
                        ph_result_text(sides->target, target_row, COL_SHOWN), cause, sizeof cause);
    report(sides, sides->source, source_row, severity_of(sides->query->kind), cause);
}

static void
merge(const struct sides *sides)
{
    int n_source = ph_result_rows(sides->source);
    int n_target = ph_result_rows(sides->target);
    bool is_version = strcmp(sides->query->kind, "extension version") == 0;
    int s = 0;
    int t = 0;

    while (s < n_source || t < n_target) {
        int order = s == n_source   ? 1
                    : t == n_target ? -1
                                    : strcmp(ph_result_text(sides->source, s, COL_IDENTITY),
                                             ph_result_text(sides->target, t, COL_IDENTITY));

        if (order == 0) {
            compare_pair(sides, s++, t++);
        } else if (order < 0) {
            if (!is_version) /* the extension itself is reported */
                report(sides, sides->source, s, severity_of(sides->query->kind),
                       "missing on the target");
            s++;
        } else {
            if (!is_version)
                report(sides, sides->target, t, PH_FINDING_WARNING, "only on the target");
            t++;
        }
    }
}

static bool
is_asked_for(const struct ph_schema_compare *compare, enum ph_schema_group group)
{
    switch (group) {
    case PH_SCHEMA_ALWAYS:
        return true;
    case PH_SCHEMA_OWNER:
        return !compare->no_owner;
    case PH_SCHEMA_ACL:
        return !compare->no_acl && !compare->no_owner;
    case PH_SCHEMA_COMMENT:
        return !compare->no_comments;
    case PH_SCHEMA_PUBLICATION:
        return compare->publications;
    }
    return false;
}

ph_code
ph_schema_compare(const struct ph_schema_compare *compare, struct ph_findings *findings,
                  struct ph_error *err)
{
    /* estimates are far off for these queries: compiling them would cost more than running them */
    PH_TRY(ph_conn_exec(compare->source, "SET jit = off", err));
    PH_TRY(ph_conn_exec(compare->target, "SET jit = off", err));
    for (const struct ph_schema_query *query = ph_schema_queries; query->kind != NULL; query++) {
        struct sides sides = {.compare = compare, .query = query, .findings = findings};
        ph_code rc;

        if (!is_asked_for(compare, query->group))
            continue;
        rc = read_side(compare->source, &sides, &sides.source, err);
        if (rc == PH_OK)
            rc = read_side(compare->target, &sides, &sides.target, err);
        if (rc == PH_OK)
            merge(&sides);
        ph_result_free(sides.source);
        ph_result_free(sides.target);
        PH_TRY(rc);
    }
    return PH_OK;
}
