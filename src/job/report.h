/*
 * The report of a run: what happened to every table, how long each phase took, one verdict.
 *
 * Filled by the job's main thread only; strings are copied. Printed as a table at the end and, on
 * request, written as JSON. Keys named by verify findings are the only row values in it, and they
 * are there because the user asked for the comparison.
 *
 * JSON (stable; keys are added, never renamed): {"pghaul": version, "command", "job", "source",
 * "target", "started", "ended" (UTC), "seconds", "verdict": proven | not proven | different |
 * stopped | failed, "verdict_line", "rows", "bytes", "tables": [{"table", "rows", "rows_source",
 * "rows_target", "rows_left_out", "bytes", "digest_source", "digest_target" (hex or null),
 * "seconds", "rows_per_second", "bytes_per_second", "verdict": equal | counted | different | copied
 * | skipped | unfinished, "note"}], "phases": [{"phase", "seconds"}], "findings": [{"severity":
 * error | warning | note, "kind", "object", "text"}], "leaks": [{"source", "target", "values",
 * "values_looked_for", "rows", "rows_named": [text], "how"}], "error": null or {"code", "sqlstate",
 * "object", "message", "notes", "way_out"}}
 */
#ifndef PH_JOB_REPORT_H
#define PH_JOB_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/error.h"
#include "model/finding.h"

enum ph_verdict {
    PH_VERDICT_PROVEN,
    PH_VERDICT_NOT_PROVEN,
    PH_VERDICT_DIFFERENT,
    PH_VERDICT_STOPPED,
    PH_VERDICT_FAILED
};

enum ph_table_verdict {
    PH_TABLE_UNFINISHED,
    PH_TABLE_COPIED,  /* rows are in, nothing was compared */
    PH_TABLE_COUNTED, /* row counts agree */
    PH_TABLE_EQUAL,   /* digests agree */
    PH_TABLE_DIFFERENT,
    PH_TABLE_SKIPPED
};

struct ph_report_table {
    const char *table; /* "schema.name" */
    uint64_t rows_source;
    uint64_t rows_target;
    uint64_t rows_left_out; /* of the source, not in rows_source: the target keeps its own */
    uint64_t bytes;
    bool has_source_digest;
    bool has_target_digest;
    struct ph_digest source_digest;
    struct ph_digest target_digest;
    double seconds; /* copying; 0: not known */
    enum ph_table_verdict verdict;
    const char *note; /* NULL or one phrase, e.g. of which snapshot */
};

struct ph_report_phase {
    const char *name;
    double seconds;
};

struct ph_report_finding {
    enum ph_severity severity;
    const char *kind; /* "rows", "index", "trigger", "sequence", "snapshot", … */
    const char *object;
    const char *text;
};

struct ph_report_leak {        /* values of a masked column in a column of the target */
    const char *source;        /* "schema.table.column" */
    const char *target;        /* the same */
    uint64_t values;           /* different ones, */
    uint64_t looked_for;       /* of so many */
    uint64_t rows;             /* of the target */
    const char *rows_named[2]; /* the first ones' keys; NULL: there are no more */
    const char *how;           /* how the column of the target is filled, in words */
};

struct ph_report {
    struct ph_arena arena; /* owns every string and array below */
    const char *command;
    const char *job;
    const char *source; /* labels, no password */
    const char *target;
    struct timespec started;
    uint64_t started_ns; /* ph_clock_ns */
    double seconds;      /* set by ph_report_end */
    struct ph_report_table *tables;
    uint32_t n_tables;
    uint32_t tables_cap;
    struct ph_report_phase *phases;
    uint32_t n_phases;
    uint32_t phases_cap;
    struct ph_report_finding *findings;
    uint32_t n_findings;
    uint32_t findings_cap;
    uint32_t findings_left_out; /* beyond PH_REPORT_FINDINGS */
    struct ph_report_leak *leaks;
    uint32_t n_leaks;
    uint32_t leaks_cap;
    enum ph_verdict verdict;
    const char *verdict_line;
    bool incomplete; /* memory ran out while it was filled */
    struct ph_report_table thrown_away;
};

#define PH_REPORT_FINDINGS 10000u

/* Takes the time. */
void ph_report_init(struct ph_report *report, const char *command);
void ph_report_free(struct ph_report *report);
void ph_report_set_job(struct ph_report *report, const char *job, const char *source_label,
                       const char *target_label);
/*
 * A new zeroed row for `table` (copied), to be filled by the caller; valid until the next one is
 * added. Without memory it is a row that is thrown away, and `incomplete` is set.
 */
struct ph_report_table *ph_report_add_table(struct ph_report *report, const char *table);
/* Adds to the phase of that name, or makes it; phases keep the order of their first mention. */
void ph_report_add_phase(struct ph_report *report, const char *name, double seconds);
void ph_report_add_finding(struct ph_report *report, enum ph_severity severity, const char *kind,
                           const char *object, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Strings are copied. Adds a finding of kind "leak" as well. */
void ph_report_add_leak(struct ph_report *report, const struct ph_report_leak *leak);
/*
 * An attempt failed and is made again from its beginning: tables and findings so far are dropped,
 * but for findings of kind `lasting` (NULL: none).
 */
void ph_report_start_over(struct ph_report *report, const char *lasting);
/* Takes the time and sets the verdict; the line starts with it: "proven: …", no full stop. */
void ph_report_end(struct ph_report *report, enum ph_verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

const char *ph_verdict_name(enum ph_verdict verdict);
const char *ph_table_verdict_name(enum ph_table_verdict verdict);

/* For people: tables, phases, findings, verdict. */
void ph_report_print(const struct ph_report *report, FILE *out);
/*
 * For machines: to `path`, mode 0600, through a temporary file beside it. `failure` may be NULL or
 * hold PH_OK. PH_E_DISK when it cannot be written.
 */
ph_code ph_report_write(const struct ph_report *report, const struct ph_error *failure,
                        const char *path, struct ph_error *err);

#endif
