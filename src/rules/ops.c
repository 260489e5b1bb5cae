#include "rules/ops.h"

const struct ph_rule_family ph_rule_families[] = {
    {NULL, NULL, 0},
};
