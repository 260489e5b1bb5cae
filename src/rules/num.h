/*
 * PostgreSQL's numeric: base-10000 digits as numeric_send has them, with its scales, its rounding
 * (half away from zero) and its limits. Results live in the call's row memory; PH_RULE_BAD where
 * PostgreSQL has an error.
 */
#ifndef PH_RULES_NUM_H
#define PH_RULES_NUM_H

#include "rules/op_parts.h"

enum ph_num_kind { PH_NUM_FINITE, PH_NUM_NAN, PH_NUM_PLUS_INFINITY, PH_NUM_MINUS_INFINITY };

struct ph_num {
    enum ph_num_kind kind;
    bool is_negative; /* never of zero */
    int32_t weight;   /* of the first digit: 10000^weight; 0 of zero */
    int32_t dscale;   /* decimal digits behind the point that are shown */
    uint32_t n;       /* neither the first nor the last digit is 0; 0 of zero */
    const uint16_t *digits;
};

enum ph_rule_result ph_num_take(struct ph_rule_call *call, const struct ph_value *value,
                                struct ph_num *out);
enum ph_rule_result ph_num_give(struct ph_rule_call *call, const struct ph_num *num,
                                struct ph_value *out);
/* As numeric_in reads it, spaces around it included. */
enum ph_rule_result ph_num_parse(struct ph_rule_call *call, struct ph_span text,
                                 struct ph_num *out);
/* As numeric_out prints it. */
void ph_num_put(const struct ph_num *num, struct ph_op_text *out);

enum ph_rule_result ph_num_of_int(struct ph_rule_call *call, int64_t value, struct ph_num *out);
/* Rounded; PH_RULE_BAD outside least to most. */
enum ph_rule_result ph_num_to_int(struct ph_rule_call *call, const struct ph_num *num,
                                  int64_t least, int64_t most, int64_t *out);

enum ph_num_rounding { PH_NUM_HALF_AWAY, PH_NUM_TRUNCATE };

/* To `scale` digits behind the point; negative: before it. */
enum ph_rule_result ph_num_round(struct ph_rule_call *call, const struct ph_num *num, int32_t scale,
                                 enum ph_num_rounding rounding, struct ph_num *out);
enum ph_rule_result ph_num_floor(struct ph_rule_call *call, const struct ph_num *num,
                                 struct ph_num *out);
enum ph_rule_result ph_num_add(struct ph_rule_call *call, const struct ph_num *a,
                               const struct ph_num *b, struct ph_num *out);
enum ph_rule_result ph_num_subtract(struct ph_rule_call *call, const struct ph_num *a,
                                    const struct ph_num *b, struct ph_num *out);
enum ph_rule_result ph_num_multiply(struct ph_rule_call *call, const struct ph_num *a,
                                    const struct ph_num *b, struct ph_num *out);
enum ph_rule_result ph_num_divide(struct ph_rule_call *call, const struct ph_num *a,
                                  const struct ph_num *b, struct ph_num *out);
enum ph_rule_result ph_num_modulo(struct ph_rule_call *call, const struct ph_num *a,
                                  const struct ph_num *b, struct ph_num *out);
/* NaN is larger than all and equal to itself. */
int ph_num_compare(const struct ph_num *a, const struct ph_num *b);
/* Takes zeros off both ends. */
void ph_num_strip(struct ph_num *num);
struct ph_num ph_num_negated(struct ph_num num);

#endif
