#include "job/rules_show.h"

#include <string.h>

#include "job/job.h"
#include "job/rules_show_parts.h"
#include "rules/ops.h"

/* ---- list ---- */

static void
put_operator(const struct ph_rule_op *op, struct ph_buf *out)
{
    bool has_params = op->params != NULL && op->params[0] != '\0';

    ph_buf_printf(out, "  %s%s%s%s  %s\n", op->name, has_params ? "(" : "",
                  has_params ? op->params : "", has_params ? ")" : "", op->signature);
    ph_buf_printf(out, "      %s%s%s%s\n", op->help,
                  (op->flags & PH_RULE_INJECTIVE) != 0 ? "; different values stay different" : "",
                  (op->flags & PH_RULE_SECRET) != 0 ? "; needs the secret" : "",
                  (op->flags & PH_RULE_KEYED) != 0 ? "; equal values differ from row to row" : "");
}

void
ph_rules_put_operators(struct ph_buf *out)
{
    for (const struct ph_rule_family *family = ph_rule_families; family->name != NULL; family++) {
        ph_buf_printf(out, "%s%s\n", out->len > 0 ? "\n" : "", family->name);
        for (uint32_t i = 0; i < family->n_ops; i++)
            put_operator(&family->ops[i], out);
    }
}

/* ---- explain ---- */

static bool
is_taken(const struct ph_route *route, const struct ph_column *column)
{
    for (uint32_t i = 0; i < route->n_outputs; i++) {
        if (route->outputs[i].source == column)
            return true;
    }
    for (uint32_t i = 0; i < route->n_inputs; i++) {
        if (route->inputs[i].column == column)
            return true;
    }
    return false;
}

static void
put_route(const struct ph_route *route, struct ph_buf *out)
{
    const char *separator = "  does not take: ";

    ph_buf_printf(out, "%s%s\n", out->len > 0 ? "\n" : "", route->name);
    if (route->where != NULL)
        ph_buf_printf(out, "  rows: %s\n", route->where);
    if (route->preserve != NULL)
        ph_buf_printf(out, "  rows of the target that stay: %s%s\n", route->preserve,
                      route->n_preserved > 0 ? "; the source's rows of their keys stay out" : "");
    if (route->backup != NULL)
        ph_buf_printf(out, "  with --truncate the target's old rows are kept as %s.%s\n",
                      route->backup, route->target->name);
    for (uint32_t i = 0; i < route->n_outputs; i++)
        ph_buf_printf(out, "  %-24s %s%s\n", route->outputs[i].target->name,
                      route->outputs[i].words != NULL ? route->outputs[i].words : "as it is",
                      ph_route_preserves(route, i) ? "; where the target has the row, what it has"
                                                   : "");
    for (uint32_t i = 0; i < route->source->n_columns; i++) {
        if (is_taken(route, &route->source->columns[i]))
            continue;
        ph_buf_printf(out, "%s%s", separator, route->source->columns[i].name);
        separator = ", ";
    }
    ph_buf_puts(out, separator[0] == ',' ? "\n" : "");
    if (route->quarantines)
        ph_buf_puts(out, "  rows that do not fit go to quarantine\n");
    if (route->no_stream != NULL)
        ph_buf_printf(out, "  not with --follow: %s\n", route->no_stream);
    else if (route->needs_old_row)
        ph_buf_puts(out, "  with --follow only under REPLICA IDENTITY FULL\n");
}

static bool
has_route(const struct ph_ruleset *set, const struct ph_rel *rel)
{
    for (uint32_t i = 0; set != NULL && i < ph_ruleset_count(set); i++) {
        ph_oid source = ph_ruleset_route(set, i)->source->oid;
        if (source == rel->oid || source == rel->root_oid)
            return true;
    }
    return false;
}

/* A partition is told with its root, unless it is selected by itself. */
static bool
is_told(const struct ph_job *job, const struct ph_rel *rel)
{
    if (rel->kind != PH_REL_TABLE && rel->kind != PH_REL_PARTITIONED)
        return false;
    if (!ph_selection_has(&job->selection, &job->source_catalog, rel))
        return false;
    return !rel->is_partition ||
           !ph_selection_has_oid(&job->selection, &job->source_catalog, rel->root_oid);
}

static void
put_others(const struct ph_job *job, struct ph_buf *out)
{
    const struct ph_catalog *catalog = &job->source_catalog;
    const char *before = out->len > 0
                             ? "\nwithout an entry in the job file, every column as it is:\n  "
                             : "without an entry in the job file, every column as it is:\n  ";

    for (uint32_t i = 0; i < catalog->n_rels; i++) {
        const struct ph_rel *rel = &catalog->rels[i];
        if (!is_told(job, rel) || has_route(job->rules.set, rel))
            continue;
        ph_buf_printf(out, "%s%s.%s\n", before, rel->schema, rel->name);
        before = "  ";
    }
}

static void
put_explanation(const struct ph_job *job, struct ph_buf *out)
{
    const struct ph_ruleset *set = job->rules.set;

    if (set == NULL)
        ph_buf_puts(out, "the job file has no rules: rows are copied as they are\n");
    for (uint32_t i = 0; set != NULL && i < ph_ruleset_count(set); i++)
        put_route(ph_ruleset_route(set, i), out);
    put_others(job, out);
}

/* ---- all verbs ---- */

static ph_code
prepare(struct ph_job *job, struct ph_run *run, struct ph_error *err)
{
    PH_TRY(ph_job_connect(job, run, err));
    PH_TRY(ph_job_read_catalogs_now(job, err));
    return ph_select(&job->source_catalog, run->options, &job->arena, &job->selection, err);
}

static ph_code
run_verb(struct ph_job *job, struct ph_buf *out, struct ph_error *err)
{
    const char *verb = job->options->verb;

    PH_TRY(ph_job_make_rules(job, err));
    if (strcmp(verb, "test") == 0)
        return ph_rules_test(job, out, err);
    if (strcmp(verb, "build") == 0)
        ph_buf_printf(out, "%s: rules %s\n", job->options->output,
                      ph_ruleset_fingerprint(job->rules.set));
    else
        put_explanation(job, out);
    return PH_OK;
}

ph_code
ph_job_rules(struct ph_run *run, struct ph_buf *out, struct ph_error *err)
{
    struct ph_job job = {.lock_fd = -1};
    ph_code rc = prepare(&job, run, err);

    if (rc == PH_OK && run->options->rules == NULL)
        rc = PH_FAIL(err, PH_E_USAGE, "the job file has no rules");
    if (rc == PH_OK)
        rc = run_verb(&job, out, err);
    if (rc == PH_OK && !ph_buf_ok(out))
        rc = PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_job_close(&job);
    return rc;
}
