/*
 * The parameters of one statement in the shape that libpq takes them: arrays of pointers, lengths
 * and formats, texts terminated. Reused for one statement after the other; one owner.
 */
#ifndef PH_PG_PARAM_ARRAYS_H
#define PH_PG_PARAM_ARRAYS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "pg/conn_pipeline.h"

struct ph_param_arrays {
    const char **values;
    int *lengths;
    int *formats;
    uint32_t cap;
    struct ph_buf texts;
};

void ph_param_arrays_init(struct ph_param_arrays *arrays);
void ph_param_arrays_reset(struct ph_param_arrays *arrays);
/*
 * Fill them from the statement; what is binary stays where it is. *bytes is the size of text and
 * parameters together. PH_E_ROW_TOO_LARGE, PH_E_MEMORY, PH_E_INTERNAL (too many parameters).
 */
ph_code ph_param_arrays_fill(struct ph_param_arrays *arrays, const struct ph_statement *statement,
                             size_t *bytes, struct ph_error *err);
/* libpq has taken them: give back what a large text needed. */
void ph_param_arrays_clear(struct ph_param_arrays *arrays);

#endif
