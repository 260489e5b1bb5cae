/* What is not rows of tables: sequences' values, large objects, the schema. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job/verify_parts.h"
#include "pg/constraint_audit.h"
#include "pg/large_object.h"
#include "pg/ledger.h"
#include "pg/schema_compare.h"
#include "rules/ruleset.h"

#define RESTING_LIMIT ((size_t)64 << 20)

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

/* ---- tables that rules are about ---- */

static uint32_t
count_routes(const struct ph_verify_rest_params *params)
{
    return params->ruleset != NULL ? ph_ruleset_count(params->ruleset) : 0;
}

/* Whether rules say what becomes of rows of that table of the source, or of some of them. What the
 * job file has is not asked: a partition may have an entry, or what it is a partition of, and a
 * table that has none has rules where it follows a key. */
static bool
is_ruled(const struct ph_verify_rest_params *params, const struct ph_rel *rel)
{
    for (uint32_t i = 0; i < count_routes(params); i++) {
        const struct ph_rel *source = ph_ruleset_route(params->ruleset, i)->source;
        if (ph_catalog_is_related(params->source_catalog, source, rel))
            return true;
    }
    return false;
}

/* Whether rules put rows into that table of the target, or may do so. */
static bool
is_filled_by_rules(const struct ph_verify_rest_params *params, const struct ph_rel *rel)
{
    for (uint32_t i = 0; rel != NULL && i < count_routes(params); i++) {
        const struct ph_rel *target = ph_ruleset_route(params->ruleset, i)->target;
        if (ph_catalog_is_related(params->target_catalog, target, rel))
            return true;
    }
    return false;
}

/* Whether the job takes all rows of that table of the source, foreign ones aside. */
static bool
is_whole(const struct ph_verify_rest_params *params, const struct ph_rel *top)
{
    const struct ph_rel *rel;

    for (uint32_t at = 0; (rel = ph_catalog_tree_next(params->source_catalog, top, &at)) != NULL;) {
        if (rel->kind != PH_REL_FOREIGN &&
            !ph_selection_has(params->selection, params->source_catalog, rel))
            return false;
    }
    return true;
}

/* Whether the job takes rows of that table of the source which no rule is about. */
static bool
has_plain_rows(const struct ph_verify_rest_params *params, const struct ph_rel *top)
{
    const struct ph_rel *rel;
    uint32_t n;

    for (uint32_t at = 0; (rel = ph_catalog_tree_next(params->source_catalog, top, &at)) != NULL;) {
        if (rel->kind != PH_REL_PARTITIONED &&
            ph_selection_has(params->selection, params->source_catalog, rel) &&
            (params->ruleset == NULL || ph_ruleset_of(params->ruleset, rel->oid, &n) == NULL))
            return true;
    }
    return false;
}

/* Whether such rows go into that table of the target: it has the name of theirs, or is a partition
 * of what has, or has partitions that do. */
static bool
is_filled_as_it_is(const struct ph_verify_rest_params *params, const struct ph_rel *top)
{
    const struct ph_catalog *catalog = params->target_catalog;
    const struct ph_rel *source;
    const struct ph_rel *rel;

    for (rel = top; rel != NULL;
         rel = rel->is_partition ? ph_catalog_rel(catalog, rel->parent_oid) : NULL) {
        source = ph_catalog_rel_named(params->source_catalog, rel->schema, rel->name);
        if (source != NULL)
            return has_plain_rows(params, source);
    }
    for (uint32_t at = 0; (rel = ph_catalog_tree_next(catalog, top, &at)) != NULL;) {
        source = ph_catalog_rel_named(params->source_catalog, rel->schema, rel->name);
        if (source != NULL && has_plain_rows(params, source))
            return true;
    }
    return false;
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

/* Whether rules say what becomes of the rows that it numbers. */
static bool
is_of_rules(const struct rest *rest, const struct ph_sequence_state *sequence)
{
    const struct ph_rel *owner = ph_catalog_rel(rest->params->source_catalog, sequence->owned_by);

    return owner != NULL && is_ruled(rest->params, owner);
}

static void
compare_sequence(struct rest *rest, const struct ph_sequence_state *ours)
{
    const struct ph_sequence_state *theirs = find_sequence(rest->params->target_catalog, ours);
    char label[160];

    snprintf(label, sizeof label, "%s.%s", ours->schema, ours->name);
    if (theirs == NULL && is_of_rules(rest, ours)) {
        ph_report_add_finding(rest->params->report, PH_FINDING_WARNING, "sequence", label,
                              "not on the target: where the rules' rows are numbered by another "
                              "one, it is to be set");
    } else if (theirs == NULL) {
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

/* One that only the target has is a difference: it is data. */
static ph_code
compare_objects(struct rest *rest, struct ph_error *err)
{
    const struct ph_options *options = rest->params->options;
    struct ph_findings findings;
    struct ph_large_objects objects = {
        .source = rest->params->source,
        .target = rest->params->target,
        .no_owner = options->no_owner,
        .no_acl = options->no_acl,
        .no_comments = options->no_comments,
    };

    ph_findings_init(&findings);
    ph_code rc = ph_large_objects_compare(&objects, &findings, err);
    for (uint32_t i = 0; rc == PH_OK && i < findings.n; i++)
        differs(rest, findings.items[i].kind, findings.items[i].object, "%s",
                findings.items[i].cause);
    ph_findings_reset(&findings);
    if (rc != PH_OK)
        ph_error_note(err, "comparing large objects");
    return rc;
}

/* ---- schema ---- */

struct compared {
    const struct ph_verify_rest_params *params;
    bool *left_out; /* by index in the source's catalog->rels: views of what is not selected */
};

static void
leave_out(struct compared *compared, ph_oid oid)
{
    const struct ph_catalog *catalog = compared->params->source_catalog;
    const struct ph_rel *rel = ph_catalog_rel(catalog, oid);

    if (rel != NULL)
        compared->left_out[rel - catalog->rels] = true;
}

/* A copy of a part leaves out views that need something outside of it; so does the comparison. */
static ph_code
find_left_out(struct compared *compared, struct ph_error *err)
{
    static const char sql[] =
        "WITH RECURSIVE away AS (SELECT unnest($1::oid[]) AS oid UNION SELECT r.ev_class FROM away"
        " JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND"
        " d.refobjid = away.oid AND d.classid = 'pg_catalog.pg_rewrite'::regclass"
        " JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid) SELECT oid FROM away";
    const struct ph_verify_rest_params *params = compared->params;
    const struct ph_catalog *catalog = params->source_catalog;
    struct ph_buf away;
    struct ph_result *r;

    if (params->selection->whole_database)
        return PH_OK;
    ph_buf_init(&away, (size_t)16 << 20);
    for (uint32_t i = 0; i < catalog->n_rels; i++) {
        if (!ph_selection_has(params->selection, catalog, &catalog->rels[i]))
            ph_buf_printf(&away, "%s%u", away.len > 0 ? "," : "{", catalog->rels[i].oid);
    }
    ph_buf_puts(&away, away.len > 0 ? "}" : "{}");
    const char *values[] = {ph_buf_text(&away)};
    ph_code rc = ph_buf_ok(&away) ? ph_conn_query(params->source, sql, 1, values, &r, err)
                                  : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&away);
    PH_TRY(rc);
    for (int row = 0; row < ph_result_rows(r); row++)
        leave_out(compared, ph_result_u32(r, row, 0));
    ph_result_free(r);
    return PH_OK;
}

static bool
is_compared(void *arg, const char *schema, const char *relation)
{
    const struct compared *compared = arg;
    const struct ph_verify_rest_params *params = compared->params;

    if (params->selection->whole_database)
        return true;
    if (relation[0] == '\0')
        return schema[0] != '\0' &&
               ph_selection_has_schema(params->selection, params->source_catalog, schema);
    const struct ph_rel *rel = ph_catalog_rel_named(params->source_catalog, schema, relation);
    return rel != NULL && ph_selection_has(params->selection, params->source_catalog, rel) &&
           !compared->left_out[rel - params->source_catalog->rels];
}

ph_code
ph_verify_schema(const struct ph_verify_rest_params *params, uint32_t *n, struct ph_error *err)
{
    const struct ph_options *options = params->options;
    struct compared compared = {.params = params};
    struct ph_findings findings;
    struct ph_schema_compare compare = {
        .source = params->source,
        .target = params->target,
        .no_owner = options->no_owner,
        .no_acl = options->no_acl,
        .no_comments = options->no_comments,
        .no_tablespaces = options->no_tablespaces,
        .publications = options->publications,
        .arg = &compared,
        .wanted = is_compared,
    };
    struct ph_buf resting;

    *n = 0;
    compared.left_out = calloc((size_t)params->source_catalog->n_rels + 1, sizeof(bool));
    if (compared.left_out == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_findings_init(&findings);
    ph_buf_init(&resting, RESTING_LIMIT);
    ph_code rc = find_left_out(&compared, err);
    if (rc == PH_OK)
        rc = ph_ledger_resting(params->target, &resting, err);
    compare.resting = ph_buf_text(&resting);
    if (rc == PH_OK && !ph_buf_ok(&resting))
        rc = PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (rc == PH_OK)
        rc = ph_schema_compare(&compare, &findings, err);
    ph_buf_free(&resting);
    free(compared.left_out);
    for (uint32_t i = 0; rc == PH_OK && i < findings.n; i++) {
        const struct ph_finding *finding = &findings.items[i];
        ph_report_add_finding(params->report, finding->severity, finding->kind, finding->object,
                              "%s", finding->cause);
    }
    *n = rc == PH_OK ? findings.n_errors : 0;
    ph_findings_reset(&findings);
    return rc;
}

/* ---- constraints that were not enforced ---- */

static bool
is_left_alone(const struct ph_verify_rest_params *params, const struct ph_rel *rel)
{
    return is_whole(params, rel) && !is_ruled(params, rel) &&
           !is_filled_by_rules(
               params, ph_catalog_rel_named(params->target_catalog, rel->schema, rel->name));
}

static bool
are_rows_compared(void *arg, const char *schema, const char *table)
{
    const struct ph_verify_rest_params *params = arg;
    const struct ph_rel *rel = ph_catalog_rel_named(params->target_catalog, schema, table);

    return rel != NULL && (is_filled_by_rules(params, rel) || is_filled_as_it_is(params, rel));
}

/* The route that brings all rows of the source's table into that of its name, and nothing else
 * there; NULL: there is none. */
static const struct ph_route *
row_by_row(const struct ph_verify_rest_params *params, const struct ph_rel *rel)
{
    uint32_t n = 0;
    const struct ph_route *route =
        params->ruleset != NULL ? ph_ruleset_of(params->ruleset, rel->oid, &n) : NULL;

    if (n != 1 || !route->takes_all || route->preserve != NULL || route->n_preserved > 0 ||
        strcmp(route->target->schema, rel->schema) != 0 ||
        strcmp(route->target->name, rel->name) != 0 ||
        !ph_selection_has(params->selection, params->source_catalog, rel))
        return NULL;
    for (uint32_t i = 0; i < count_routes(params); i++) {
        const struct ph_rel *into = ph_ruleset_route(params->ruleset, i)->target;
        if (i != route->number &&
            ph_catalog_is_related(params->target_catalog, into, route->target))
            return NULL;
    }
    return route;
}

/* Whether the route brings that column of the source as it is, into the one of its name. */
static bool
passes(const struct ph_route *route, int16_t attnum)
{
    for (uint32_t i = 0; i < route->n_outputs; i++) {
        const struct ph_route_output *output = &route->outputs[i];
        if (output->source != NULL && output->source->attnum == attnum && !output->is_fitted &&
            strcmp(output->source->name, output->target->name) == 0)
            return true;
    }
    return false;
}

static bool
are_columns_the_same(const struct ph_verify_rest_params *params, ph_oid oid, const int16_t *attnums,
                     uint32_t n)
{
    const struct ph_rel *rel = ph_catalog_rel(params->source_catalog, oid);

    if (rel == NULL || is_left_alone(params, rel))
        return rel != NULL;
    const struct ph_route *route = row_by_row(params, rel);
    for (uint32_t i = 0; route != NULL && i < n; i++) {
        if (!passes(route, attnums[i]))
            return false;
    }
    return route != NULL;
}

/* What the catalog does not have, or has in another form, is not the same. */
static bool
is_constraint_the_same(void *arg, const char *schema, const char *table, const char *constraint)
{
    const struct ph_verify_rest_params *params = arg;
    const struct ph_catalog *catalog = params->source_catalog;
    const struct ph_rel *rel = ph_catalog_rel_named(catalog, schema, table);

    for (uint32_t i = 0; rel != NULL && i < catalog->n_foreign_keys; i++) {
        const struct ph_foreign_key *key = &catalog->foreign_keys[i];
        if (key->rel_oid == rel->oid && strcmp(key->name, constraint) == 0)
            return are_columns_the_same(params, rel->oid, key->attnums, key->n_attnums) &&
                   are_columns_the_same(params, key->ref_oid, key->ref_attnums, key->n_attnums);
    }
    for (uint32_t i = 0; rel != NULL && i < rel->n_indexes; i++) {
        const struct ph_index *key = &rel->indexes[i];
        if (key->is_unique && strcmp(key->name, constraint) == 0)
            return are_columns_the_same(params, rel->oid, key->key_attnums, key->n_keys);
    }
    return false;
}

static ph_code
audit_constraints(struct rest *rest, struct ph_error *err)
{
    struct ph_verify_rest_params arg = *rest->params;
    struct ph_constraint_audit audit = {
        .source = arg.source,
        .target = arg.target,
        .arg = &arg,
        .is_compared = are_rows_compared,
        .is_the_same = is_constraint_the_same,
    };
    struct ph_findings findings;
    uint32_t n;

    ph_findings_init(&findings);
    ph_code rc = ph_constraint_audit(&audit, &findings, &n, err);
    for (uint32_t i = 0; rc == PH_OK && i < findings.n; i++)
        differs(rest, findings.items[i].kind, findings.items[i].object, "%s",
                findings.items[i].cause);
    ph_findings_reset(&findings);
    return rc;
}

ph_code
ph_verify_rest(const struct ph_verify_rest_params *params, uint32_t *n, struct ph_error *err)
{
    struct rest rest = {.params = params};
    ph_code rc = PH_OK;

    if (params->follows)
        ph_report_add_finding(params->report, PH_FINDING_NOTE, "sequences", "",
                              "neither sequences nor large objects are compared while the job "
                              "follows: the stream does not bring them");
    else if (!params->is_one_database)
        compare_sequences(&rest);
    if (params->selection->whole_database && !params->follows && !params->leaves_objects)
        rc = compare_objects(&rest, err);
    if (rc == PH_OK)
        rc = audit_constraints(&rest, err);
    *n = rest.different;
    return rc;
}
