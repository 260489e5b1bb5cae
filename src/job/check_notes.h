/* Notes of `check` about partitions that are told once. */
#ifndef PH_JOB_CHECK_NOTES_H
#define PH_JOB_CHECK_NOTES_H

#include "base/arena.h"
#include "model/catalog.h"
#include "model/finding.h"

/* A finding that is told, for itself and those like it. */
struct ph_alike {
    const struct ph_finding *finding; /* the first of them */
    uint32_t n;
    const struct ph_rel *root; /* NULL: it is no note about a partition */
    const char *rest;          /* of the object, behind the partition's name */
    const char *cause;         /* with the partition's name left out; only with a root */
    const char *cure;
};

/* In the order of the first ones, in `arena`; NULL without memory. */
struct ph_alike *ph_check_find_alike(const struct ph_catalog *catalog,
                                     const struct ph_findings *findings, struct ph_arena *arena,
                                     uint32_t *n);

#endif
