/*
 * Merging the two sides' lists of objects, kind by kind (see schema_compare.h).
 *
 * Definitions are compared by their SHA-256 and come along cut short, to show where they part; a
 * piece of one kind at a time is in memory: a column of 5,000 tables each is a long list.
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

/* Words that one major must quote another need not: quotes around plain names are no difference. */
#define UNQUOTED(text)                                                                             \
    "CASE WHEN $1::bool THEN " text " ELSE regexp_replace(" text                                   \
    ", '\"([a-z_][a-z0-9_$]*)\"', '\\1', 'g') END"

#define CURSOR "pghaul_objects"
#define ROWS_AT_ONCE 1000

/* Where the merge stands in one side's list, of which a piece at a time is in memory. */
struct side {
    struct ph_conn *conn;
    struct ph_result *piece; /* NULL: not begun */
    int row;                 /* of the piece; == n: the list has ended */
    int n;
};

struct sides {
    const struct ph_schema_compare *compare;
    const struct ph_schema_query *query;
    struct ph_findings *findings;
    struct side source;
    struct side target;
};

/* The next piece of the list; start and finish, so that both servers are asked at once. */
static ph_code
start_fetch(struct side *side, const struct sides *sides, struct ph_error *err)
{
    char sql[64];

    (void)sides;
    ph_result_free(side->piece);
    side->piece = NULL;
    side->row = side->n = 0;
    snprintf(sql, sizeof sql, "FETCH %d FROM " CURSOR, ROWS_AT_ONCE);
    return ph_conn_query_start(side->conn, sql, 0, NULL, err);
}

static ph_code
finish_fetch(struct side *side, struct ph_error *err)
{
    PH_TRY(ph_conn_query_finish(side->conn, &side->piece, err));
    side->n = ph_result_rows(side->piece);
    return PH_OK;
}

static ph_code
advance(struct side *side, struct ph_error *err)
{
    side->row++;
    if (side->row < ROWS_AT_ONCE)
        return PH_OK;
    PH_TRY(start_fetch(side, NULL, err));
    return finish_fetch(side, err);
}

static bool
has_ended(const struct side *side)
{
    return side->row == side->n;
}

static const char *
text_of(const struct side *side, enum column column)
{
    return ph_result_text(side->piece, side->row, (int)column);
}

static ph_code
start_cursor(struct side *side, const struct sides *sides, struct ph_error *err)
{
    int source_major = ph_conn_version(sides->compare->source) / 10000;
    int target_major = ph_conn_version(sides->compare->target) / 10000;
    bool rests = side == &sides->target && sides->compare->resting != NULL;
    const char *params[] = {source_major == target_major ? "t" : "f",
                            sides->compare->no_tablespaces ? "f" : "t",
                            rests ? sides->compare->resting : "{}"};
    struct ph_buf sql;

    ph_buf_init(&sql, 1 << 20);
    /* all parameters appear, whatever the kind uses */
    ph_buf_printf(&sql,
                  "DECLARE " CURSOR " NO SCROLL CURSOR FOR "
                  "SELECT x.s, x.r, x.i, encode(sha256(convert_to(x.d, getdatabaseencoding())),"
                  " 'hex'), left(x.d, " SHOWN_BYTES "), x.rs, x.rr FROM (SELECT y.s, y.r,"
                  " " UNQUOTED("y.i") " i, coalesce(" UNQUOTED(
                      "y.d") ", '') d, %s FROM (%s) y) x WHERE $1::bool IS NOT NULL"
                             " AND $2::bool IS NOT NULL AND $3::text[] IS NOT NULL ORDER BY x.i "
                             "COLLATE \"C\", x.d COLLATE \"C\"",
                  sides->query->refers == PH_SCHEMA_REFERS ? "y.rs, y.rr" : "'' rs, '' rr",
                  sides->query->sql);
    ph_code rc = ph_conn_query_start(side->conn, ph_buf_text(&sql), 3, params, err);
    ph_buf_free(&sql);
    return rc;
}

static ph_code
start_close(struct side *side, const struct sides *sides, struct ph_error *err)
{
    (void)sides;
    ph_result_free(side->piece);
    side->piece = NULL;
    return ph_conn_query_start(side->conn, "CLOSE " CURSOR, 0, NULL, err);
}

static ph_code
finish_empty(struct side *side, struct ph_error *err)
{
    struct ph_result *none;
    ph_code rc = ph_conn_query_finish(side->conn, &none, err);

    ph_result_free(none);
    return rc;
}

/* What was started is finished, whatever became of the other side: connections stay usable. */
static ph_code
on_both(struct sides *sides,
        ph_code (*start)(struct side *side, const struct sides *sides, struct ph_error *err),
        ph_code (*finish)(struct side *side, struct ph_error *err), struct ph_error *err)
{
    PH_TRY(start(&sides->source, sides, err));
    ph_code rc = start(&sides->target, sides, err);
    bool both = rc == PH_OK;
    ph_code source_rc = finish(&sides->source, both ? err : NULL);
    if (both)
        rc = finish(&sides->target, source_rc == PH_OK ? err : NULL);
    return both && source_rc != PH_OK ? source_rc : rc;
}

static bool
is_wanted(const struct sides *sides, const struct side *side)
{
    const struct ph_schema_compare *compare = sides->compare;
    const char *other = text_of(side, COL_OTHER_REL);

    if (compare->wanted == NULL)
        return true;
    return compare->wanted(compare->arg, text_of(side, COL_SCHEMA), text_of(side, COL_REL)) &&
           (other[0] == '\0' ||
            compare->wanted(compare->arg, text_of(side, COL_OTHER_SCHEMA), other));
}

static void
report(const struct sides *sides, const struct side *side, enum ph_severity severity,
       const char *cause)
{
    if (!is_wanted(sides, side))
        return;
    ph_finding_add(sides->findings,
                   &(struct ph_finding_params){.severity = severity,
                                               .code = PH_E_DIFFERENT,
                                               .kind = sides->query->kind,
                                               .object = text_of(side, COL_IDENTITY)},
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
compare_pair(const struct sides *sides)
{
    const struct side *source = &sides->source;
    const struct side *target = &sides->target;
    char cause[400];

    if (strcmp(text_of(source, COL_HASH), text_of(target, COL_HASH)) == 0)
        return;
    describe_difference(text_of(source, COL_SHOWN), text_of(target, COL_SHOWN), cause,
                        sizeof cause);
    report(sides, source, severity_of(sides->query->kind), cause);
}

static int
order_of(const struct side *source, const struct side *target)
{
    if (has_ended(source) || has_ended(target))
        return has_ended(source) ? 1 : -1;
    return strcmp(text_of(source, COL_IDENTITY), text_of(target, COL_IDENTITY));
}

static ph_code
merge(struct sides *sides, struct ph_error *err)
{
    struct side *source = &sides->source;
    struct side *target = &sides->target;
    bool is_version = strcmp(sides->query->kind, "extension version") == 0;

    while (!has_ended(source) || !has_ended(target)) {
        int order = order_of(source, target);

        if (order == 0)
            compare_pair(sides);
        else if (order < 0 && !is_version) /* the extension itself is reported */
            report(sides, source, severity_of(sides->query->kind), "missing on the target");
        else if (order > 0 && !is_version)
            report(sides, target, PH_FINDING_WARNING, "only on the target");
        if (order <= 0)
            PH_TRY(advance(source, err));
        if (order >= 0)
            PH_TRY(advance(target, err));
    }
    return PH_OK;
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
    case PH_SCHEMA_PUBLICATION_COMMENT:
        return compare->publications && !compare->no_comments;
    }
    return false;
}

static ph_code
compare_kind(struct sides *sides, struct ph_error *err)
{
    ph_code rc = on_both(sides, start_cursor, finish_empty, err);

    if (rc == PH_OK)
        rc = on_both(sides, start_fetch, finish_fetch, err);
    if (rc == PH_OK)
        rc = merge(sides, err);
    if (rc == PH_OK)
        rc = on_both(sides, start_close, finish_empty, err);
    ph_result_free(sides->source.piece);
    ph_result_free(sides->target.piece);
    if (rc != PH_OK)
        ph_error_note(err, "comparing objects of kind %s", sides->query->kind);
    return rc;
}

ph_code
ph_schema_compare(const struct ph_schema_compare *compare, struct ph_findings *findings,
                  struct ph_error *err)
{
    /* estimates are far off for these queries: compiling them would cost more than running them;
     * all rows are fetched, not a first few */
    PH_TRY(ph_conn_exec(compare->source, "SET jit = off; SET cursor_tuple_fraction = 1", err));
    PH_TRY(ph_conn_exec(compare->target, "SET jit = off; SET cursor_tuple_fraction = 1", err));
    for (const struct ph_schema_query *query = ph_schema_queries; query->kind != NULL; query++) {
        struct sides sides = {.compare = compare,
                              .query = query,
                              .findings = findings,
                              .source = {.conn = compare->source},
                              .target = {.conn = compare->target}};

        if (is_asked_for(compare, query->group))
            PH_TRY(compare_kind(&sides, err));
    }
    return PH_OK;
}
