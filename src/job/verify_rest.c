/*
 * What is not rows of tables: sequences' values and large objects.
 *
 * Large objects are walked by OID on both sides at once, some at a time, and compared by a hash of
 * 1 MB of content after the other, which the servers compute: holes read as zeros on both, and no
 * content goes over the wire.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/stop.h"
#include "job/verify_parts.h"
#include "pg/catalog.h"

#define LO_PIECE 1048576
#define LO_AT_A_TIME 200

struct rest {
    const struct ph_verify_rest_params *params;
    uint32_t different;
};

static void differs(struct rest *rest, const char *kind, const char *object, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));

static void
differs(struct rest *rest, const char *kind, const char *object, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    rest->different++;
    ph_report_add_finding(rest->params->report, PH_FINDING_ERROR, kind, object, "%s", text);
}

/* ---- sequences ---- */

static const struct ph_sequence_state *
find_sequence(const struct ph_catalog *catalog, const struct ph_sequence_state *like)
{
    for (uint32_t i = 0; i < catalog->n_sequences; i++) {
        const struct ph_sequence_state *sequence = &catalog->sequences[i];
        if (strcmp(sequence->name, like->name) == 0 && strcmp(sequence->schema, like->schema) == 0)
            return sequence;
    }
    return NULL;
}

static void
compare_sequence(struct rest *rest, const struct ph_sequence_state *ours)
{
    const struct ph_sequence_state *theirs = find_sequence(rest->params->target_catalog, ours);
    char label[160];

    snprintf(label, sizeof label, "%s.%s", ours->schema, ours->name);
    if (theirs == NULL) {
        differs(rest, "sequence", label, "missing on the target");
    } else if (!ours->can_read || !theirs->can_read) {
        ph_report_add_finding(rest->params->report, PH_FINDING_WARNING, "sequence", label,
                              "no right to read its value on the %s",
                              ph_side_name(ours->can_read ? PH_TARGET : PH_SOURCE));
    } else if (ours->last_value != theirs->last_value || ours->is_called != theirs->is_called) {
        differs(rest, "sequence", label,
                "%lld (%scalled) on the source, %lld (%scalled) on the "
                "target",
                (long long)ours->last_value, ours->is_called ? "" : "not ",
                (long long)theirs->last_value, theirs->is_called ? "" : "not ");
    }
}

static void
compare_sequences(struct rest *rest)
{
    const struct ph_catalog *catalog = rest->params->source_catalog;

    for (uint32_t i = 0; i < catalog->n_sequences; i++) {
        const struct ph_sequence_state *sequence = &catalog->sequences[i];
        if (ph_selection_has_oid(rest->params->selection, catalog, sequence->oid))
            compare_sequence(rest, sequence);
    }
}

/* ---- large objects ---- */

enum lo_column { LO_OID, LO_LENGTH, LO_HASH, LO_OWNER, LO_ACL, LO_COMMENT };

static ph_code
read_objects(struct ph_conn *conn, const char *after, struct ph_result **out, struct ph_error *err)
{
    char sql[1400];

    snprintf(sql, sizeof sql,
             "SELECT o.oid, pg_catalog.octet_length(o.piece),"
             " pg_catalog.encode(pg_catalog.sha256(o.piece), 'hex'),"
             " pg_catalog.pg_get_userbyid(o.lomowner),"
             " coalesce((SELECT pg_catalog.string_agg(a::pg_catalog.text, ', '"
             " ORDER BY a::pg_catalog.text) FROM pg_catalog.unnest(coalesce(o.lomacl,"
             " pg_catalog.acldefault('L', o.lomowner))) a), ''),"
             " pg_catalog.obj_description(o.oid, 'pg_largeobject')"
             " FROM (SELECT m.oid, m.lomowner, m.lomacl, pg_catalog.lo_get(m.oid, 0, %d) AS piece"
             " FROM (SELECT * FROM pg_catalog.pg_largeobject_metadata WHERE oid > %s"
             " ORDER BY oid LIMIT %d) m OFFSET 0) o ORDER BY o.oid",
             LO_PIECE, after, LO_AT_A_TIME);
    return ph_conn_query(conn, sql, 0, NULL, out, err);
}

/* "length hash" of a later piece. */
static ph_code
read_piece(struct ph_conn *conn, const char *oid, uint64_t offset, char *out, size_t size,
           struct ph_error *err)
{
    char sql[400];

    snprintf(sql, sizeof sql,
             "SELECT pg_catalog.octet_length(piece) || ' ' ||"
             " pg_catalog.encode(pg_catalog.sha256(piece), 'hex')"
             " FROM (SELECT pg_catalog.lo_get(%s, %llu, %d) AS piece OFFSET 0) o",
             oid, (unsigned long long)offset, LO_PIECE);
    return ph_conn_value(conn, sql, out, size, err);
}

/* What is behind the first piece, which is full on both sides. */
static ph_code
compare_pieces(struct rest *rest, const char *oid, bool *same, struct ph_error *err)
{
    char ours[100] = "";
    char theirs[100] = "";

    for (uint64_t offset = LO_PIECE; *same; offset += LO_PIECE) {
        PH_TRY(ph_stop_check(err));
        PH_TRY(read_piece(rest->params->source, oid, offset, ours, sizeof ours, err));
        PH_TRY(read_piece(rest->params->target, oid, offset, theirs, sizeof theirs, err));
        *same = strcmp(ours, theirs) == 0;
        if (strtoull(ours, NULL, 10) < LO_PIECE)
            break;
    }
    return PH_OK;
}

struct objects { /* of one side, some at a time */
    struct ph_conn *conn;
    struct ph_result *result;
    int at;
    char last[16]; /* OID of the last one read */
    bool ended;
};

static ph_code
fill(struct objects *objects, struct ph_error *err)
{
    if (objects->ended ||
        (objects->result != NULL && objects->at < ph_result_rows(objects->result)))
        return PH_OK;
    ph_result_free(objects->result);
    objects->result = NULL;
    objects->at = 0;
    PH_TRY(read_objects(objects->conn, objects->last, &objects->result, err));
    int n = ph_result_rows(objects->result);
    objects->ended = n == 0;
    if (n > 0)
        snprintf(objects->last, sizeof objects->last, "%s",
                 ph_result_text(objects->result, n - 1, LO_OID));
    return PH_OK;
}

static uint32_t
current(const struct objects *objects)
{
    return objects->ended ? UINT32_MAX : ph_result_u32(objects->result, objects->at, LO_OID);
}

static const char *
text(const struct objects *objects, enum lo_column column)
{
    return ph_result_text(objects->result, objects->at, (int)column);
}

static void
compare_attribute(struct rest *rest, const char *label, const struct objects *source,
                  const struct objects *target, enum lo_column column)
{
    static const char *const names[] = {
        [LO_OWNER] = "owner", [LO_ACL] = "grants", [LO_COMMENT] = "comment"};

    if (strcmp(text(source, column), text(target, column)) != 0)
        differs(rest, "large object", label, "its %s differs", names[column]);
}

static ph_code
compare_object(struct rest *rest, const struct objects *source, const struct objects *target,
               struct ph_error *err)
{
    const struct ph_options *options = rest->params->options;
    const char *oid = text(source, LO_OID);
    bool same = strcmp(text(source, LO_HASH), text(target, LO_HASH)) == 0;

    if (same && ph_result_i64(source->result, source->at, LO_LENGTH) == LO_PIECE)
        PH_TRY(compare_pieces(rest, oid, &same, err));
    if (!same)
        differs(rest, "large object", oid, "its content differs");
    if (!options->no_owner)
        compare_attribute(rest, oid, source, target, LO_OWNER);
    /* grants name the owner, so without his name they cannot be compared */
    if (!options->no_acl && !options->no_owner)
        compare_attribute(rest, oid, source, target, LO_ACL);
    if (!options->no_comments)
        compare_attribute(rest, oid, source, target, LO_COMMENT);
    return PH_OK;
}

static ph_code
walk_objects(struct rest *rest, struct objects *source, struct objects *target,
             struct ph_error *err)
{
    for (;;) {
        PH_TRY(ph_stop_check(err));
        PH_TRY(fill(source, err));
        PH_TRY(fill(target, err));
        if (source->ended && target->ended)
            return PH_OK;
        uint32_t ours = current(source);
        uint32_t theirs = current(target);
        if (ours < theirs)
            differs(rest, "large object", text(source, LO_OID), "missing on the target");
        else if (ours > theirs)
            differs(rest, "large object", text(target, LO_OID), "only on the target");
        else
            PH_TRY(compare_object(rest, source, target, err));
        source->at += ours <= theirs;
        target->at += theirs <= ours;
    }
}

static ph_code
compare_objects(struct rest *rest, struct ph_error *err)
{
    struct objects source = {.conn = rest->params->source, .last = "0"};
    struct objects target = {.conn = rest->params->target, .last = "0"};
    ph_code rc = walk_objects(rest, &source, &target, err);

    ph_result_free(source.result);
    ph_result_free(target.result);
    if (rc != PH_OK)
        ph_error_note(err, "comparing large objects");
    return rc;
}

ph_code
ph_verify_rest(const struct ph_verify_rest_params *params, uint32_t *n, struct ph_error *err)
{
    struct rest rest = {.params = params};
    ph_code rc = PH_OK;

    compare_sequences(&rest);
    if (params->selection->whole_database)
        rc = compare_objects(&rest, err);
    *n = rest.different;
    return rc;
}
