/*
 * The shape of a plan's rows for the walks of wire/: the key's fields in the order in which they
 * stand in a row (the plan has them in the order of the index). Holds the array the shape points
 * to, so it is neither copied nor moved.
 */
#ifndef PH_FLOW_ROW_SHAPE_H
#define PH_FLOW_ROW_SHAPE_H

#include "model/plan.h"
#include "wire/copy_row.h"

#define PH_KEY_FIELDS_MAX 32 /* INDEX_MAX_KEYS; the fields of a longer key are left out */

struct ph_row_shape {
    struct ph_copy_shape shape;
    uint16_t key[PH_KEY_FIELDS_MAX];
};

void ph_row_shape_init(struct ph_row_shape *out, const struct ph_table_plan *table,
                       size_t max_row_bytes);

#endif
