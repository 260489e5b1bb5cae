/*
 * Operators that job files cannot name: the generated C calls them to make a result what the
 * column's type modifier wants, and to take arrays apart.
 */
#ifndef PH_RULES_INNER_OPS_H
#define PH_RULES_INNER_OPS_H

#include "pghaul/rule.h"

extern const struct ph_rule_op ph_inner_ops[];
extern const uint32_t ph_n_inner_ops;

/* By name; they all are there. */
const struct ph_rule_op *ph_inner_op(const char *name);

/* inner_form.c */
ph_rule_run_fn ph_inner_fit_interval;
ph_rule_run_fn ph_inner_fit_bits;
ph_rule_run_fn ph_inner_fit_name;
ph_rule_run_fn ph_inner_fit_label;
ph_rule_prepare_fn ph_inner_prepare_array;
ph_rule_release_fn ph_inner_release_array;
ph_rule_run_fn ph_inner_fit_array;

/* inner_elements.c */
ph_rule_prepare_fn ph_inner_prepare_elements;
ph_rule_release_fn ph_inner_release_elements;
ph_rule_run_fn ph_inner_array_elements;
ph_rule_run_fn ph_inner_json_elements;

/* inner_sample.c */
ph_rule_prepare_fn ph_inner_prepare_sample;
ph_rule_release_fn ph_inner_release_sample;
ph_rule_run_fn ph_inner_sample;

#endif
