/* From a group that differs to its rows, in words. */
#include <stdlib.h>

#include "job/memory.h"
#include "job/verify_parts.h"

/* More passes over a table than this are not worth an exact count of its differences. */
#define MOST_PASSES 16u

static void
put_counts(const struct ph_row_diff *diff, struct ph_buf *out)
{
    const struct {
        uint64_t n;
        const char *what;
    } counts[] = {{diff->missing, "missing on the target"},
                  {diff->extra, "only on the target"},
                  {diff->changed, "with other values"}};

    if (diff->is_partial)
        ph_buf_puts(out, "at least ");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (counts[i].n > 0)
            ph_buf_printf(out, "%s%llu %s %s", out->data == NULL || out->len < 10 ? "" : ", ",
                          (unsigned long long)counts[i].n, counts[i].n == 1 ? "row" : "rows",
                          counts[i].what);
    }
}

static void
report_counts(const struct ph_verify_descent *descent, const struct ph_row_diff *diff)
{
    struct ph_buf text;

    ph_buf_init(&text, 4096);
    put_counts(diff, &text);
    ph_report_add_finding(descent->report, descent->severity, "rows", descent->label, "%s%s",
                          ph_buf_text(&text),
                          ph_row_diff_total(diff) > diff->n_listed ? "; the first are listed" : "");
    ph_buf_free(&text);
}

/* What --repair would do, without values of columns that are not in the key. */
static void
report_statement(const struct ph_verify_descent *descent, const struct ph_row_diff_params *params,
                 const struct ph_row_difference *difference, const struct ph_row_words *words)
{
    const struct ph_rel *target = params->tables[0]->target;
    struct ph_buf name;

    ph_buf_init(&name, 4096);
    ph_buf_put_qualified(&name, target->schema, target->name);
    switch (difference->kind) {
    case PH_DIFF_MISSING:
        ph_report_add_finding(descent->report, PH_FINDING_NOTE, "repair", descent->label,
                              "INSERT INTO %s: the source's row where %s", ph_buf_text(&name),
                              words->condition);
        break;
    case PH_DIFF_EXTRA:
        ph_report_add_finding(descent->report, PH_FINDING_NOTE, "repair", descent->label,
                              "DELETE FROM %s WHERE %s", ph_buf_text(&name), words->condition);
        break;
    case PH_DIFF_CHANGED:
        ph_report_add_finding(descent->report, PH_FINDING_NOTE, "repair", descent->label,
                              "UPDATE %s SET (%s) to the source's WHERE %s", ph_buf_text(&name),
                              words->columns, words->condition);
        break;
    }
    ph_buf_free(&name);
}

static ph_code
report_row(const struct ph_verify_descent *descent, const struct ph_row_diff_params *params,
           const struct ph_row_difference *difference, struct ph_error *err)
{
    struct ph_row_words words;
    char times[32] = "";
    char what[600];

    PH_TRY(ph_row_describe(params, difference, &words, err));
    if (difference->count > 1)
        snprintf(times, sizeof times, ", %llu times", (unsigned long long)difference->count);
    switch (difference->kind) {
    case PH_DIFF_MISSING:
        snprintf(what, sizeof what, "is missing on the target%s", times);
        break;
    case PH_DIFF_EXTRA:
        snprintf(what, sizeof what, "is only on the target%s", times);
        break;
    case PH_DIFF_CHANGED:
        snprintf(what, sizeof what, "differs in %s", words.columns);
        break;
    }
    ph_report_add_finding(descent->report, descent->severity, "row", descent->label, "%s %s",
                          words.key, what);
    if (descent->options->repair && descent->options->dry_run)
        report_statement(descent, params, difference, &words);
    return PH_OK;
}

ph_code
ph_verify_descend(const struct ph_verify_descent *descent, uint64_t *n, struct ph_error *err)
{
    struct ph_row_diff_params params = descent->params;
    struct ph_row_diff diff;

    params.budget_bytes = ph_memory_of_proof(descent->options);
    params.max_row_bytes = descent->options->max_row_bytes;
    params.max_listed = PH_VERIFY_LISTED;
    params.max_passes = MOST_PASSES;
    ph_code rc = ph_row_diff_run(&params, &diff, err);
    *n = rc == PH_OK ? ph_row_diff_total(&diff) : 0;
    if (*n > 0)
        report_counts(descent, &diff);
    for (uint32_t i = 0; rc == PH_OK && i < diff.n_listed; i++)
        rc = report_row(descent, &params, &diff.list[i], err);
    ph_row_diff_free(&diff);
    return rc;
}

/* ---- for the copy: no digests are at hand, so both sides are hashed first ---- */

ph_code
ph_verify_table_rows(const struct ph_verify_rows_params *params, uint64_t *n, struct ph_error *err)
{
    struct ph_bucket_mask mask = {0};
    char label[160];
    struct ph_verify_descent descent = {
        .options = params->options,
        .report = params->report,
        .params = {.tables = params->tables,
                   .n_tables = params->n_tables,
                   .source = params->source,
                   .target = params->target,
                   .mask = &mask,
                   .max_row_bytes = params->options->max_row_bytes},
        .label = label,
        .severity = PH_FINDING_ERROR,
    };

    *n = 0;
    ph_plan_table_label(params->tables[0], label, sizeof label);
    ph_code rc = ph_bucket_mask_read(&descent.params, &mask, err);
    if (rc == PH_OK && mask.n_unequal > 0)
        rc = ph_verify_descend(&descent, n, err);
    ph_bucket_mask_free(&mask);
    return rc;
}
