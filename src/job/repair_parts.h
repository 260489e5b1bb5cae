/* Inside job/repair*.c only. */
#ifndef PH_JOB_REPAIR_PARTS_H
#define PH_JOB_REPAIR_PARTS_H

#include "job/acting.h"
#include "job/repair.h"

struct ph_repair {
    const struct ph_repair_params *params;
    struct ph_row_diff_params diff;
    struct ph_repaired *out;
};

/* Applies the listed differences: deletes, then updates and inserts. */
ph_code ph_repair_apply(struct ph_repair *repair, const struct ph_row_diff *diff,
                        struct ph_error *err);

/* What would act by itself rests (see job/acting.h), and is put back as it was; in one transaction.
 * The caller frees `*acting`, which may be NULL after a failure. */
ph_code ph_repair_set_aside(struct ph_repair *repair, struct ph_result **acting,
                            struct ph_error *err);
ph_code ph_repair_put_back(struct ph_repair *repair, const struct ph_result *acting,
                           struct ph_error *err);

#endif
