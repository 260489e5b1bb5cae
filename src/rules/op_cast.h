/*
 * Casts that other operators use too: parameters are read by those from text, arrays are cast by
 * those of their elements. Each is the `run` of a row of the tables in op_cast*.c.
 */
#ifndef PH_RULES_OP_CAST_H
#define PH_RULES_OP_CAST_H

#include "pghaul/rule.h"

ph_rule_run_fn ph_cast_text_to_bool;
ph_rule_run_fn ph_cast_text_to_int2;
ph_rule_run_fn ph_cast_text_to_int4;
ph_rule_run_fn ph_cast_text_to_int8;
ph_rule_run_fn ph_cast_text_to_float4;
ph_rule_run_fn ph_cast_text_to_float8;
ph_rule_run_fn ph_cast_text_to_numeric;
ph_rule_run_fn ph_cast_text_to_uuid;
ph_rule_run_fn ph_cast_text_to_bytea;
ph_rule_run_fn ph_cast_text_to_date;
ph_rule_run_fn ph_cast_text_to_timestamp;
ph_rule_run_fn ph_cast_text_to_timestamptz;
ph_rule_run_fn ph_cast_text_to_text;

ph_rule_run_fn ph_cast_bool_to_text;
ph_rule_run_fn ph_cast_int2_to_text;
ph_rule_run_fn ph_cast_int4_to_text;
ph_rule_run_fn ph_cast_int8_to_text;
ph_rule_run_fn ph_cast_float4_to_text;
ph_rule_run_fn ph_cast_float8_to_text;
ph_rule_run_fn ph_cast_numeric_to_text;
ph_rule_run_fn ph_cast_uuid_to_text;
ph_rule_run_fn ph_cast_date_to_text;
ph_rule_run_fn ph_cast_timestamp_to_text;

ph_rule_run_fn ph_cast_int2_to_int4;
ph_rule_run_fn ph_cast_int2_to_int8;
ph_rule_run_fn ph_cast_int4_to_int2;
ph_rule_run_fn ph_cast_int4_to_int8;
ph_rule_run_fn ph_cast_int8_to_int2;
ph_rule_run_fn ph_cast_int8_to_int4;
ph_rule_run_fn ph_cast_int4_to_float8;
ph_rule_run_fn ph_cast_int8_to_float8;
ph_rule_run_fn ph_cast_int4_to_numeric;
ph_rule_run_fn ph_cast_int8_to_numeric;
ph_rule_run_fn ph_cast_float4_to_float8;
ph_rule_run_fn ph_cast_float8_to_numeric;
ph_rule_run_fn ph_cast_numeric_to_int4;
ph_rule_run_fn ph_cast_numeric_to_int8;
ph_rule_run_fn ph_cast_numeric_to_float8;

/* What `cast` has behind it: the type's name as the job file has it; it is not looked at. */
bool ph_cast_prepare(struct ph_rule_call *call);

#endif
