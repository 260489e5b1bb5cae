/*
 * Arrays in send format: a header, then elements one by one, checked as they are taken. Pure, any
 * thread.
 */
#ifndef PH_RULES_ARRAY_H
#define PH_RULES_ARRAY_H

#include "rules/op_parts.h"

#define PH_ARRAY_DIMENSIONS_MAX 6

struct ph_array {
    uint32_t n_dimensions;
    uint32_t has_nulls;
    uint32_t element_type;
    int32_t lengths[PH_ARRAY_DIMENSIONS_MAX];
    int32_t lower_bounds[PH_ARRAY_DIMENSIONS_MAX];
    uint32_t n; /* elements that are left */
    struct ph_cursor in;
};

/* PH_RULE_BAD: not an array. */
enum ph_rule_result ph_array_take(struct ph_rule_call *call, const struct ph_value *value,
                                  struct ph_array *out);
/* The next element; `n` must not be 0. */
enum ph_rule_result ph_array_next(struct ph_rule_call *call, struct ph_array *array,
                                  struct ph_value *out);
/* Begin an array of the same shape. */
void ph_array_put_header(const struct ph_array *array, uint32_t element_type,
                         struct ph_op_text *out);
void ph_array_put_element(const struct ph_value *value, struct ph_op_text *out);

#endif
