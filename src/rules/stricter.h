/*
 * Rules that are stricter than those of a job file: `else:` of a map or lookup becomes an error.
 * What came through them came through the others as well, the same: a job that was begun with the
 * stricter ones can go on with the others.
 *
 * Pure; any thread.
 */
#ifndef PH_RULES_STRICTER_H
#define PH_RULES_STRICTER_H

#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "rules/job_rules.h"

#define PH_ALL_PLACES UINT32_MAX

struct ph_stricter_params {
    uint32_t place;     /* which `else:` that is no error, in the file's order; PH_ALL_PLACES */
    bool of_quarantine; /* `else: quarantine` counts as well */
};
/*
 * *out: `rules` with those places changed, in `arena`; what is the same is shared with `rules`.
 * *n_places: how many there are. PH_E_MEMORY.
 */
ph_code ph_job_rules_stricter(const struct ph_job_rules *rules,
                              const struct ph_stricter_params *params, struct ph_arena *arena,
                              struct ph_job_rules *out, uint32_t *n_places,
                              struct ph_error *err) PH_MUST_CHECK;

#endif
