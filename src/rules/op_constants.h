/*
 * Operators whose parameters are values of their argument's type: kept as state, in send format,
 * made by the cast from text.
 */
#ifndef PH_RULES_OP_CONSTANTS_H
#define PH_RULES_OP_CONSTANTS_H

#include "rules/op_parts.h"

/* The order of two values of one type; PH_RULE_BAD: they are none. */
typedef enum ph_rule_result ph_op_compare_fn(struct ph_rule_call *call, const struct ph_value *a,
                                             const struct ph_value *b, int *out);

/* For `prepare`; ph_op_free_state releases what the first three made. */
bool ph_op_prepare_constant(struct ph_rule_call *call, ph_rule_run_fn *from_text);
/* Refuses zero. */
bool ph_op_prepare_divisor(struct ph_rule_call *call, ph_rule_run_fn *from_text,
                           ph_op_compare_fn *compare);
/* Refuses what is not above zero, and infinity and NaN. */
bool ph_op_prepare_width(struct ph_rule_call *call, ph_rule_run_fn *from_text,
                         ph_op_compare_fn *compare);
/* A least and a most. */
bool ph_op_prepare_clamp(struct ph_rule_call *call, ph_rule_run_fn *from_text,
                         ph_op_compare_fn *compare);
void ph_op_release_clamp(struct ph_rule_call *call);
enum ph_rule_result ph_op_clamp(struct ph_rule_call *call, const struct ph_value *args,
                                ph_op_compare_fn *compare, struct ph_value *out);

/* The constant, or the second argument when there is none. */
static inline const struct ph_value *
ph_op_second(const struct ph_rule_call *call, const struct ph_value *args)
{
    return call->state != NULL ? call->state : &args[1];
}

#endif
