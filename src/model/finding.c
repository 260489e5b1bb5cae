#include "model/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LIMIT_BYTES ((size_t)64 << 20)
#define CAUSE_BYTES 2048

const char *
ph_severity_name(enum ph_severity severity)
{
    switch (severity) {
    case PH_FINDING_ERROR:
        return "error";
    case PH_FINDING_WARNING:
        return "warning";
    case PH_FINDING_NOTE:
        return "note";
    }
    return "";
}

void
ph_findings_init(struct ph_findings *findings)
{
    *findings = (struct ph_findings){.n = 0};
    ph_arena_init(&findings->arena, LIMIT_BYTES);
}

void
ph_findings_reset(struct ph_findings *findings)
{
    ph_arena_reset(&findings->arena);
    ph_findings_init(findings);
}

static bool
make_room(struct ph_findings *findings)
{
    uint32_t cap = findings->cap == 0 ? 64 : findings->cap * 2;
    struct ph_finding *items;

    if (findings->n < findings->cap)
        return true;
    items = PH_ARENA_ARRAY(&findings->arena, struct ph_finding, cap);
    if (items == NULL)
        return false;
    if (findings->n > 0)
        memcpy(items, findings->items, findings->n * sizeof *items);
    findings->items = items;
    findings->cap = cap;
    return true;
}

void
ph_finding_add(struct ph_findings *findings, const struct ph_finding_params *params,
               const char *format, ...)
{
    struct ph_arena *arena = &findings->arena;
    char cause[CAUSE_BYTES];
    struct ph_finding *item;
    va_list args;

    findings->n_errors += params->severity == PH_FINDING_ERROR;
    findings->n_warnings += params->severity == PH_FINDING_WARNING;
    if (findings->n >= PH_FINDINGS_MAX) {
        findings->left_out++;
        return;
    }
    if (!make_room(findings)) {
        findings->incomplete = true;
        return;
    }
    va_start(args, format);
    vsnprintf(cause, sizeof cause, format, args);
    va_end(args);
    item = &findings->items[findings->n];
    *item = (struct ph_finding){
        .severity = params->severity,
        .code = params->code,
        .kind = ph_arena_strdup(arena, params->kind),
        .object = ph_arena_strdup(arena, params->object != NULL ? params->object : ""),
        .cause = ph_arena_strdup(arena, cause),
        .cure = ph_arena_strdup(arena, params->cure != NULL ? params->cure : ""),
    };
    if (item->kind == NULL || item->object == NULL || item->cause == NULL || item->cure == NULL)
        findings->incomplete = true;
    else
        findings->n++;
}
