/*
 * Which transaction of the source a change of a fold is of: from which change on they are of one
 * behind a position. Zeros are empty. One thread.
 */
#ifndef PH_FLOW_APPLY_BOUNDS_H
#define PH_FLOW_APPLY_BOUNDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/change.h"

struct ph_apply_bounds {
    struct ph_apply_bound {
        uint64_t change;
        ph_lsn before;
    } * bounds;
    size_t n;
    size_t room;
};

void ph_apply_bounds_free(struct ph_apply_bounds *bounds);
void ph_apply_bounds_clear(struct ph_apply_bounds *bounds);
/* From this change on; those before have less. PH_E_MEMORY. */
ph_code ph_apply_bounds_put(struct ph_apply_bounds *bounds, uint64_t change, ph_lsn before,
                            struct ph_error *err) PH_MUST_CHECK;
/* Behind which position the change's transaction is; `none` for what is before the first bound. */
ph_lsn ph_apply_bounds_find(const struct ph_apply_bounds *bounds, uint64_t change, ph_lsn none);

#endif
