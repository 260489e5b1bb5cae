/*
 * The tables of the families, one file each; ops.c puts them in order.
 */
#ifndef PH_RULES_OP_FAMILIES_H
#define PH_RULES_OP_FAMILIES_H

#include "pghaul/rule.h"
#include "rules/op_cast_list.h"

/* The length of a list of casts: a character for each. */
#define PH_CAST_ONE(from, to, run, flags, help) "1"
#define PH_CASTS(list) (sizeof(list) - 1)

#define PH_CAST_NUMBER_OPS PH_CASTS(PH_CASTS_OF_NUMBERS(PH_CAST_ONE))
extern const struct ph_rule_op ph_cast_number_ops[PH_CAST_NUMBER_OPS];
#define PH_CAST_TEXT_OPS PH_CASTS(PH_CASTS_OF_TEXT(PH_CAST_ONE))
extern const struct ph_rule_op ph_cast_text_ops[PH_CAST_TEXT_OPS];
#define PH_CAST_TIME_OPS PH_CASTS(PH_CASTS_OF_TIMES(PH_CAST_ONE) PH_CASTS_IN_A_ZONE(PH_CAST_ONE))
extern const struct ph_rule_op ph_cast_time_ops[PH_CAST_TIME_OPS];
#define PH_CAST_JSON_OPS PH_CASTS(PH_CASTS_OF_JSON(PH_CAST_ONE))
extern const struct ph_rule_op ph_cast_json_ops[PH_CAST_JSON_OPS];
#define PH_CAST_ARRAY_OPS                                                                          \
    PH_CASTS(PH_CASTS_WITHOUT_ZONE(PH_CAST_ONE) PH_CASTS_IN_A_ZONE(PH_CAST_ONE))
extern const struct ph_rule_op ph_cast_array_ops[PH_CAST_ARRAY_OPS];
#define PH_NULL_OPS 13
extern const struct ph_rule_op ph_null_ops[PH_NULL_OPS];
#define PH_TEXT_OPS 12
extern const struct ph_rule_op ph_text_ops[PH_TEXT_OPS];
#define PH_TEXT_CASE_OPS 5
extern const struct ph_rule_op ph_text_case_ops[PH_TEXT_CASE_OPS];
#define PH_TEXT_REGEXP_OPS 1
extern const struct ph_rule_op ph_text_regexp_ops[PH_TEXT_REGEXP_OPS];
#define PH_NUMBER_OPS 66
extern const struct ph_rule_op ph_number_ops[PH_NUMBER_OPS];
#define PH_NUMERIC_OPS 15
extern const struct ph_rule_op ph_numeric_ops[PH_NUMERIC_OPS];
#define PH_TIME_OPS 12
extern const struct ph_rule_op ph_time_ops[PH_TIME_OPS];
#define PH_ARRAY_OPS 10
extern const struct ph_rule_op ph_array_ops[PH_ARRAY_OPS];
#define PH_JSON_OPS 6
extern const struct ph_rule_op ph_json_ops[PH_JSON_OPS];

#endif
