/*
 * Findings: what `check` and the proof have to say about objects, one line each with its cure.
 *
 * A list belongs to one thread at a time and owns copies of all its strings.
 */
#ifndef PH_MODEL_FINDING_H
#define PH_MODEL_FINDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

enum ph_severity { PH_FINDING_ERROR, PH_FINDING_WARNING, PH_FINDING_NOTE };
const char *ph_severity_name(enum ph_severity severity); /* "error", "warning", "note" */

struct ph_finding {
    enum ph_severity severity;
    ph_code code;
    const char *kind;   /* "role", "extension", "index", ... */
    const char *object; /* its name; "" when the finding is about a server as a whole */
    const char *cause;  /* one sentence without a full stop */
    const char *cure;   /* what to do, or the SQL that does it; "" when there is nothing to do */
};

struct ph_findings {
    struct ph_arena arena; /* owns everything below */
    struct ph_finding *items;
    uint32_t n;
    uint32_t cap;
    uint32_t n_errors; /* of all, those left out included */
    uint32_t n_warnings;
    uint32_t left_out; /* beyond PH_FINDINGS_MAX */
    bool incomplete;   /* memory ran out */
};

#define PH_FINDINGS_MAX 10000u

struct ph_finding_params {
    enum ph_severity severity;
    ph_code code;
    const char *kind;
    const char *object; /* NULL: "" */
    const char *cure;   /* NULL: "" */
};

void ph_findings_init(struct ph_findings *findings);
void ph_findings_reset(struct ph_findings *findings);
/* The cause is formatted; everything is copied. */
void ph_finding_add(struct ph_findings *findings, const struct ph_finding_params *params,
                    const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
