#include "flow/apply_bounds.h"

#include <stdlib.h>

void
ph_apply_bounds_free(struct ph_apply_bounds *bounds)
{
    free(bounds->bounds);
    *bounds = (struct ph_apply_bounds){0};
}

void
ph_apply_bounds_clear(struct ph_apply_bounds *bounds)
{
    bounds->n = 0;
}

ph_code
ph_apply_bounds_put(struct ph_apply_bounds *bounds, uint64_t change, ph_lsn before,
                    struct ph_error *err)
{
    if (bounds->n > 0 && bounds->bounds[bounds->n - 1].change == change)
        bounds->n--; /* its transaction has nothing in the fold */
    if (bounds->n == bounds->room) {
        size_t room = bounds->room == 0 ? 64 : bounds->room * 2;
        struct ph_apply_bound *larger = realloc(bounds->bounds, room * sizeof *larger);
        if (larger == NULL)
            return PH_FAIL(err, PH_E_MEMORY, "out of memory");
        bounds->bounds = larger;
        bounds->room = room;
    }
    bounds->bounds[bounds->n++] = (struct ph_apply_bound){change, before};
    return PH_OK;
}

ph_lsn
ph_apply_bounds_find(const struct ph_apply_bounds *bounds, uint64_t change, ph_lsn none)
{
    ph_lsn before = none;

    for (size_t i = 0; i < bounds->n && bounds->bounds[i].change <= change; i++)
        before = bounds->bounds[i].before;
    return before;
}
