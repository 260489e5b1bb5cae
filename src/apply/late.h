/*
 * Announcements of a table that lack late columns of its plan, being from before them or from after
 * they have gone again.
 */
#ifndef PH_APPLY_LATE_H
#define PH_APPLY_LATE_H

#include "apply/table.h"

#define PH_NO_FIELD UINT32_MAX

struct ph_apply_late {
    const struct ph_table_plan *plan; /* without those that are not announced */
    struct ph_apply_fill *fills;
    uint32_t n_fills;
};

/* Which field of the announcement the source's column is, or PH_NO_FIELD. */
uint32_t ph_apply_find_field(const struct ph_stream_rel *rel, const char *name);

/* All of *out lives in `arena`. PH_E_TYPES: nobody can tell what is to be filled in. */
ph_code ph_apply_late_split(const struct ph_apply_table_params *params, struct ph_arena *arena,
                            struct ph_apply_late *out, struct ph_error *err) PH_MUST_CHECK;

#endif
