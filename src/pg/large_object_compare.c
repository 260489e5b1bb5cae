/*
 * Comparing large objects (see large_object.h): lists of both sides are merged in batches by oid;
 * contents are hashed by the servers, a megabyte at a time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "pg/large_object.h"

#define BATCH 200
#define HASHED_BYTES 1048576
#define MOST_OF_ONE 4u /* findings: owner, grants, comment, contents */

/* oid, length and hash of the first megabyte, owner, grants, comment */
static const char list_sql[] =
    "SELECT m.oid, length(h.d), encode(sha256(h.d), 'hex'),"
    " pg_catalog.pg_get_userbyid(m.lomowner), (SELECT pg_catalog.string_agg(g.t, ','"
    "  ORDER BY g.t COLLATE \"C\") FROM (SELECT CASE WHEN a.grantee = 0 THEN 'public'"
    "   ELSE pg_catalog.pg_get_userbyid(a.grantee) END || '=' || a.privilege_type ||"
    "   CASE WHEN a.is_grantable THEN '*' ELSE '' END t FROM pg_catalog.aclexplode("
    "   coalesce(m.lomacl, pg_catalog.acldefault('L', m.lomowner))) a) g),"
    " pg_catalog.obj_description(m.oid, 'pg_largeobject')"
    " FROM (SELECT * FROM pg_catalog.pg_largeobject_metadata WHERE oid > %u ORDER BY oid"
    "  LIMIT %d) m, LATERAL (SELECT pg_catalog.lo_get(m.oid, 0, 1048576) d OFFSET 0) h"
    " ORDER BY m.oid";

enum column { COL_OID, COL_LEN, COL_HASH, COL_OWNER, COL_GRANTS, COL_COMMENT };

/* The part of one side's list that is in memory. */
struct side {
    struct ph_conn *conn;
    struct ph_result *rows;
    int at;
    uint32_t last; /* oid of the last row read */
};

static ph_code
refill(struct side *side, struct ph_error *err)
{
    char sql[sizeof list_sql + 40];

    if (side->rows != NULL && side->at < ph_result_rows(side->rows))
        return PH_OK;
    ph_result_free(side->rows);
    side->rows = NULL;
    side->at = 0;
    snprintf(sql, sizeof sql, list_sql, side->last, BATCH);
    PH_TRY(ph_conn_query(side->conn, sql, 0, NULL, &side->rows, err));
    if (ph_result_rows(side->rows) > 0)
        side->last = ph_result_u32(side->rows, ph_result_rows(side->rows) - 1, COL_OID);
    return PH_OK;
}

/* The oid of the present row; past the end more than any. */
static uint64_t
present(const struct side *side)
{
    if (side->at >= ph_result_rows(side->rows))
        return UINT64_MAX;
    return ph_result_u32(side->rows, side->at, COL_OID);
}

static const char *
field(const struct side *side, enum column column)
{
    return ph_result_text(side->rows, side->at, (int)column);
}

static void
report(struct ph_findings *findings, uint64_t oid, enum ph_severity severity, const char *cause)
{
    char name[24];

    snprintf(name, sizeof name, "%" PRIu64, oid);
    ph_finding_add(
        findings,
        &(struct ph_finding_params){
            .severity = severity, .code = PH_E_DIFFERENT, .kind = "large object", .object = name},
        "%s", cause);
}

static ph_code
hash_piece(struct ph_conn *conn, uint64_t oid, int64_t offset, char out[100], struct ph_error *err)
{
    char sql[200];

    snprintf(sql, sizeof sql,
             "SELECT length(d) || ' ' || encode(sha256(d), 'hex') FROM (SELECT pg_catalog.lo_get("
             "%" PRIu64 ", %" PRId64 ", %d) d OFFSET 0) x",
             oid, offset, HASHED_BYTES);
    return ph_conn_value(conn, sql, out, 100, err);
}

/* The rest of two objects whose first megabytes are equal. */
static ph_code
compare_rest(const struct ph_large_objects *objects, uint64_t oid, struct ph_findings *findings,
             struct ph_error *err)
{
    int64_t offset = HASHED_BYTES;
    long len = HASHED_BYTES;

    while (len == HASHED_BYTES) {
        char source[100];
        char target[100];

        PH_TRY(ph_stop_check(err));
        PH_TRY(hash_piece(objects->source, oid, offset, source, err));
        PH_TRY(hash_piece(objects->target, oid, offset, target, err));
        if (strcmp(source, target) != 0) {
            char cause[80];

            snprintf(cause, sizeof cause, "contents differ from byte %" PRId64 " on or later",
                     offset);
            report(findings, oid, PH_FINDING_ERROR, cause);
            return PH_OK;
        }
        len = strtol(source, NULL, 10);
        offset += len;
    }
    return PH_OK;
}

static ph_code
compare_pair(const struct ph_large_objects *objects, const struct side *source,
             const struct side *target, struct ph_findings *findings, struct ph_error *err)
{
    uint64_t oid = present(source);

    if (!objects->no_owner && strcmp(field(source, COL_OWNER), field(target, COL_OWNER)) != 0)
        report(findings, oid, PH_FINDING_ERROR, "owners differ");
    if (!objects->no_acl && !objects->no_owner &&
        strcmp(field(source, COL_GRANTS), field(target, COL_GRANTS)) != 0)
        report(findings, oid, PH_FINDING_ERROR, "grants differ");
    if (!objects->no_comments &&
        strcmp(field(source, COL_COMMENT), field(target, COL_COMMENT)) != 0)
        report(findings, oid, PH_FINDING_ERROR, "comments differ");
    if (strcmp(field(source, COL_LEN), field(target, COL_LEN)) != 0 ||
        strcmp(field(source, COL_HASH), field(target, COL_HASH)) != 0) {
        report(findings, oid, PH_FINDING_ERROR, "contents differ");
        return PH_OK;
    }
    if (ph_result_i64(source->rows, source->at, COL_LEN) < HASHED_BYTES)
        return PH_OK;
    return compare_rest(objects, oid, findings, err);
}

static bool
is_full(const struct ph_large_objects *objects, const struct ph_findings *findings)
{
    return objects->reached != NULL && findings->n + MOST_OF_ONE > PH_FINDINGS_MAX;
}

/* *reached: the last oid, or UINT32_MAX. */
static ph_code
merge(const struct ph_large_objects *objects, struct side *source, struct side *target,
      struct ph_findings *findings, uint32_t *reached, struct ph_error *err)
{
    *reached = objects->after;
    while (!is_full(objects, findings)) {
        PH_TRY(ph_stop_check(err));
        PH_TRY(refill(source, err));
        PH_TRY(refill(target, err));
        uint64_t a = present(source);
        uint64_t b = present(target);

        *reached = a < b ? (uint32_t)a : (uint32_t)b; /* past the end: UINT32_MAX */
        if (a == UINT64_MAX && b == UINT64_MAX)
            return PH_OK;
        if (a == b)
            PH_TRY(compare_pair(objects, source, target, findings, err));
        else if (a < b)
            report(findings, a, PH_FINDING_ERROR, "missing on the target");
        else
            report(findings, b, PH_FINDING_WARNING, "only on the target");
        source->at += a <= b;
        target->at += b <= a;
    }
    return PH_OK;
}

ph_code
ph_large_objects_compare(const struct ph_large_objects *objects, struct ph_findings *findings,
                         struct ph_error *err)
{
    struct side source = {.conn = objects->source, .last = objects->after};
    struct side target = {.conn = objects->target, .last = objects->after};
    uint32_t reached;
    ph_code rc = merge(objects, &source, &target, findings, &reached, err);

    if (objects->reached != NULL)
        *objects->reached = reached;
    ph_result_free(source.rows);
    ph_result_free(target.rows);
    return rc;
}
