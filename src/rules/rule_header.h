/* include/pghaul/rule.h as bytes in the binary; rule_header.c is made by CMake. */
#ifndef PH_RULES_RULE_HEADER_H
#define PH_RULES_RULE_HEADER_H

#include <stddef.h>

extern const unsigned char ph_rule_header[];
extern const size_t ph_rule_header_len;

#endif
