#include "job/check.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "job/check_notes.h"
#include "job/copy_parts.h"

#define ALIKE_LIMIT ((size_t)256 << 20)

static void
put_json_text(struct ph_buf *out, const char *key, const char *text)
{
    ph_buf_printf(out, "\"%s\": ", key);
    ph_json_put_string(out, text, strlen(text));
}

static void
put_json(const struct ph_job *job, const struct ph_findings *findings, struct ph_buf *out)
{
    ph_buf_puts(out, "{");
    put_json_text(out, "job", job->options->name);
    ph_buf_puts(out, ", ");
    put_json_text(out, "source", job->source.label);
    ph_buf_puts(out, ", ");
    put_json_text(out, "target", job->target.label);
    ph_buf_printf(out, ", \"ready\": %s, \"findings\": [",
                  findings->n_errors == 0 ? "true" : "false");
    for (uint32_t i = 0; i < findings->n; i++) {
        const struct ph_finding *finding = &findings->items[i];
        ph_buf_puts(out, i > 0 ? ", {" : "{");
        put_json_text(out, "severity", ph_severity_name(finding->severity));
        ph_buf_puts(out, ", ");
        put_json_text(out, "code", finding->code == PH_OK ? "" : ph_code_text(finding->code));
        ph_buf_puts(out, ", ");
        put_json_text(out, "kind", finding->kind);
        ph_buf_puts(out, ", ");
        put_json_text(out, "object", finding->object);
        ph_buf_puts(out, ", ");
        put_json_text(out, "cause", finding->cause);
        ph_buf_puts(out, ", ");
        put_json_text(out, "cure", finding->cure);
        ph_buf_puts(out, "}");
    }
    ph_buf_puts(out, "]}\n");
}

static void
put_finding(const struct ph_finding *finding, struct ph_buf *out)
{
    ph_buf_printf(out, "%-7s  ", ph_severity_name(finding->severity));
    if (finding->severity == PH_FINDING_ERROR)
        ph_buf_printf(out, "%s ", ph_code_text(finding->code));
    ph_buf_printf(out, "%s%s%s: %s\n", finding->kind, finding->object[0] != '\0' ? " " : "",
                  finding->object, finding->cause);
    if (finding->cure[0] != '\0')
        ph_buf_printf(out, "         cure: %s\n", finding->cure);
}

static void
put_alike(const struct ph_alike *alike, struct ph_buf *out)
{
    char object[400];
    const struct ph_finding one = {.severity = alike->finding->severity,
                                   .kind = alike->finding->kind,
                                   .object = object,
                                   .cause = alike->cause,
                                   .cure = alike->cure};

    if (alike->n == 1) {
        put_finding(alike->finding, out);
        return;
    }
    snprintf(object, sizeof object, "%s.%s%s (%u partitions)", alike->root->schema,
             alike->root->name, alike->rest, alike->n);
    put_finding(&one, out);
}

static ph_code
put_text(struct ph_job *job, const struct ph_findings *findings, struct ph_buf *out,
         struct ph_error *err)
{
    struct ph_arena arena;
    uint32_t n;

    ph_arena_init(&arena, ALIKE_LIMIT);
    const struct ph_alike *all = ph_check_find_alike(&job->source_catalog, findings, &arena, &n);
    for (uint32_t i = 0; all != NULL && i < n; i++)
        put_alike(&all[i], out);
    ph_arena_reset(&arena);
    if (all == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (findings->n_errors > 0)
        ph_buf_printf(out, "not ready: %u blockers, %u warnings\n", findings->n_errors,
                      findings->n_warnings);
    else
        ph_buf_printf(out, "ready: %u tables, %u warnings\n", job->plan.n_tables,
                      findings->n_warnings);
    return PH_OK;
}

static void
try_login(const struct ph_endpoint *endpoint, struct ph_conn **conn, struct ph_findings *findings)
{
    struct ph_error err;

    ph_error_reset(&err);
    ph_code rc = ph_conn_open(endpoint, "control", conn, &err);
    if (rc == PH_OK)
        return;
    struct ph_finding_params params = {PH_FINDING_ERROR, rc, "login", endpoint->label,
                                       err.hint[0] != '\0' ? err.hint : ph_code_way_out(rc)};
    ph_finding_add(findings, &params, "%s", err.message);
}

/* Both servers are tried, whatever the other one says. */
static ph_code
look_at_all(struct ph_job *job, struct ph_run *run, struct ph_findings *findings,
            struct ph_error *err)
{
    PH_TRY(ph_job_prepare(job, run, err));
    try_login(&job->source, &job->source_control, findings);
    try_login(&job->target, &job->target_control, findings);
    if (findings->n_errors > 0)
        return PH_OK;
    PH_TRY(ph_job_reconnect(job, err));
    return ph_preflight(job, findings, err);
}

ph_code
ph_job_check(struct ph_run *run, struct ph_buf *out, struct ph_error *err)
{
    struct ph_job job = {.lock_fd = -1};
    struct ph_findings findings;
    ph_code rc;

    ph_findings_init(&findings);
    rc = look_at_all(&job, run, &findings, err);
    if (rc == PH_OK && run->options->json)
        put_json(&job, &findings, out);
    else if (rc == PH_OK)
        rc = put_text(&job, &findings, out, err);
    if (rc == PH_OK && !ph_buf_ok(out))
        rc = PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (rc == PH_OK && findings.n_errors > 0) {
        rc = PH_FAIL(err, PH_E_NOT_READY, "%u blockers stand in the way", findings.n_errors);
        ph_error_hint(err, "mend each as its cure says, then check again");
    }
    ph_findings_reset(&findings);
    ph_job_close(&job);
    return rc;
}
