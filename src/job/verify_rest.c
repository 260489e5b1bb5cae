/* What is not rows of tables: sequences' values, large objects, the schema. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "job/verify_parts.h"
#include "pg/large_object.h"
#include "pg/schema_compare.h"

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

static bool
is_compared(void *arg, const char *schema, const char *relation)
{
    const struct ph_verify_rest_params *params = arg;

    if (params->selection->whole_database)
        return true;
    if (relation[0] == '\0')
        return schema[0] != '\0' &&
               ph_selection_has_schema(params->selection, params->source_catalog, schema);
    const struct ph_rel *rel = ph_catalog_rel_named(params->source_catalog, schema, relation);
    return rel != NULL && ph_selection_has(params->selection, params->source_catalog, rel);
}

ph_code
ph_verify_schema(const struct ph_verify_rest_params *params, uint32_t *n, struct ph_error *err)
{
    const struct ph_options *options = params->options;
    struct ph_verify_rest_params arg = *params;
    struct ph_findings findings;
    struct ph_schema_compare compare = {
        .source = params->source,
        .target = params->target,
        .no_owner = options->no_owner,
        .no_acl = options->no_acl,
        .no_comments = options->no_comments,
        .no_tablespaces = options->no_tablespaces,
        .publications = options->publications,
        .arg = &arg,
        .wanted = is_compared,
    };

    *n = 0;
    ph_findings_init(&findings);
    ph_code rc = ph_schema_compare(&compare, &findings, err);
    for (uint32_t i = 0; rc == PH_OK && i < findings.n; i++) {
        const struct ph_finding *finding = &findings.items[i];
        ph_report_add_finding(params->report, finding->severity, finding->kind, finding->object,
                              "%s", finding->cause);
    }
    *n = rc == PH_OK ? findings.n_errors : 0;
    ph_findings_reset(&findings);
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
