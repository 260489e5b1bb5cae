/*
 * The casts of op_cast_list.h: functions, which read parameters of other operators too and are run
 * on elements of arrays, and rows of the tables in op_cast*.c.
 */
#ifndef PH_RULES_OP_CAST_H
#define PH_RULES_OP_CAST_H

#include "pghaul/rule.h"
#include "rules/op_cast_list.h"

#define PH_CAST_DECLARE(from, to, run, flags, help) ph_rule_run_fn ph_cast_##run;
PH_CASTS_WITHOUT_ZONE(PH_CAST_DECLARE)
PH_CASTS_IN_A_ZONE(PH_CAST_DECLARE)
#undef PH_CAST_DECLARE

/* What `cast` has behind it: the type's name as the job file has it; it is not looked at. */
bool ph_cast_prepare(struct ph_rule_call *call);
/* And a zone behind that: `state` is one. */
bool ph_cast_prepare_zone(struct ph_rule_call *call);
void ph_cast_release_zone(struct ph_rule_call *call);

#define PH_CAST_ROW(from, to, run, flags, help)                                                    \
    {"cast", #from " -> " #to, "type?", flags, ph_cast_##run, ph_cast_prepare, NULL, help},
#define PH_CAST_ZONED_ROW(from, to, run, flags, help)                                              \
    {"cast",        #from " -> " #to,     "type?, zone?",       flags,                             \
     ph_cast_##run, ph_cast_prepare_zone, ph_cast_release_zone, help},

#endif
