#include "job/report.h"

#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"

#define ARENA_LIMIT ((size_t)256 << 20)

void
ph_report_init(struct ph_report *report, const char *command)
{
    memset(report, 0, sizeof *report);
    ph_arena_init(&report->arena, ARENA_LIMIT);
    report->command = command;
    report->job = report->source = report->target = report->verdict_line = "";
    report->verdict = PH_VERDICT_FAILED;
    report->started_ns = ph_clock_ns();
    clock_gettime(CLOCK_REALTIME, &report->started);
}

void
ph_report_free(struct ph_report *report)
{
    ph_arena_reset(&report->arena);
    memset(report, 0, sizeof *report);
}

/* A copy; without memory a phrase that says so, and the report is marked. */
static const char *
keep(struct ph_report *report, const char *text)
{
    const char *copy = ph_arena_strdup(&report->arena, text == NULL ? "" : text);

    if (copy == NULL) {
        report->incomplete = true;
        return "(out of memory)";
    }
    return copy;
}

/* Room for one more of an array in the arena; the old half stays behind there until the end. */
static void *
grown(struct ph_report *report, void *array, uint32_t n, uint32_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    uint32_t more = *cap == 0 ? 16 : *cap * 2;
    void *larger = ph_arena_alloc_array(&report->arena, more, size);
    if (larger == NULL) {
        report->incomplete = true;
        return NULL;
    }
    if (n > 0)
        memcpy(larger, array, n * size);
    *cap = more;
    return larger;
}

void
ph_report_set_job(struct ph_report *report, const char *job, const char *source_label,
                  const char *target_label)
{
    report->job = keep(report, job);
    report->source = keep(report, source_label);
    report->target = keep(report, target_label);
}

struct ph_report_table *
ph_report_add_table(struct ph_report *report, const char *table)
{
    struct ph_report_table *tables = grown(report, report->tables, report->n_tables,
                                           &report->tables_cap, sizeof *report->tables);

    if (tables == NULL) {
        report->thrown_away = (struct ph_report_table){.table = "(out of memory)"};
        return &report->thrown_away;
    }
    report->tables = tables;
    struct ph_report_table *row = &tables[report->n_tables++];
    *row = (struct ph_report_table){.table = keep(report, table)};
    return row;
}

void
ph_report_add_phase(struct ph_report *report, const char *name, double seconds)
{
    for (uint32_t i = 0; i < report->n_phases; i++) {
        if (strcmp(report->phases[i].name, name) == 0) {
            report->phases[i].seconds += seconds;
            return;
        }
    }
    struct ph_report_phase *phases = grown(report, report->phases, report->n_phases,
                                           &report->phases_cap, sizeof *report->phases);
    if (phases == NULL)
        return;
    report->phases = phases;
    phases[report->n_phases++] =
        (struct ph_report_phase){.name = keep(report, name), .seconds = seconds};
}

void
ph_report_add_finding(struct ph_report *report, enum ph_severity severity, const char *kind,
                      const char *object, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (report->n_findings >= PH_REPORT_FINDINGS) {
        report->findings_left_out++;
        return;
    }
    struct ph_report_finding *findings = grown(report, report->findings, report->n_findings,
                                               &report->findings_cap, sizeof *report->findings);
    if (findings == NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    report->findings = findings;
    findings[report->n_findings++] = (struct ph_report_finding){.severity = severity,
                                                                .kind = keep(report, kind),
                                                                .object = keep(report, object),
                                                                .text = keep(report, text)};
}

static void
find_leak(struct ph_report *report, const struct ph_report_leak *leak)
{
    char object[400];
    char n[PH_HUMAN_SIZE];
    char of[PH_HUMAN_SIZE];
    char rows[PH_HUMAN_SIZE];

    snprintf(object, sizeof object, "%s -> %s", leak->source, leak->target);
    ph_report_add_finding(report, PH_FINDING_ERROR, "leak", object,
                          "%s of %s source values in %s row%s, as in %s%s%s; %s",
                          ph_human_count(leak->values, n), ph_human_count(leak->looked_for, of),
                          ph_human_count(leak->rows, rows), leak->rows == 1 ? "" : "s",
                          leak->rows_named[0] != NULL ? leak->rows_named[0] : "?",
                          leak->rows_named[1] != NULL ? " and " : "",
                          leak->rows_named[1] != NULL ? leak->rows_named[1] : "", leak->how);
}

void
ph_report_add_leak(struct ph_report *report, const struct ph_report_leak *leak)
{
    find_leak(report, leak);
    if (report->n_leaks >= PH_REPORT_FINDINGS)
        return;
    struct ph_report_leak *leaks =
        grown(report, report->leaks, report->n_leaks, &report->leaks_cap, sizeof *report->leaks);
    if (leaks == NULL)
        return;
    report->leaks = leaks;
    struct ph_report_leak *kept = &leaks[report->n_leaks++];
    *kept = *leak;
    kept->source = keep(report, leak->source);
    kept->target = keep(report, leak->target);
    kept->how = keep(report, leak->how);
    for (size_t i = 0; i < sizeof kept->rows_named / sizeof kept->rows_named[0]; i++) {
        if (leak->rows_named[i] != NULL)
            kept->rows_named[i] = keep(report, leak->rows_named[i]);
    }
}

void
ph_report_start_over(struct ph_report *report, const char *lasting)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < report->n_findings; i++) {
        if (lasting != NULL && strcmp(report->findings[i].kind, lasting) == 0)
            report->findings[n++] = report->findings[i];
    }
    report->n_findings = n;
    report->findings_left_out = 0;
    report->n_leaks = 0;
    report->n_tables = 0;
}

void
ph_report_end(struct ph_report *report, enum ph_verdict verdict, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    report->seconds = ph_clock_seconds_since(report->started_ns);
    report->verdict = verdict;
    report->verdict_line = keep(report, text);
}

const char *
ph_verdict_name(enum ph_verdict verdict)
{
    switch (verdict) {
    case PH_VERDICT_PROVEN:
        return "proven";
    case PH_VERDICT_NOT_PROVEN:
        return "not proven";
    case PH_VERDICT_DIFFERENT:
        return "different";
    case PH_VERDICT_STOPPED:
        return "stopped";
    case PH_VERDICT_FAILED:
        return "failed";
    }
    return "failed";
}

const char *
ph_table_verdict_name(enum ph_table_verdict verdict)
{
    switch (verdict) {
    case PH_TABLE_UNFINISHED:
        return "unfinished";
    case PH_TABLE_COPIED:
        return "copied";
    case PH_TABLE_COUNTED:
        return "counted";
    case PH_TABLE_EQUAL:
        return "equal";
    case PH_TABLE_DIFFERENT:
        return "different";
    case PH_TABLE_SKIPPED:
        return "skipped";
    }
    return "unfinished";
}
