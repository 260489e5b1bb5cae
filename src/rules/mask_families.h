/*
 * The tables of hashes, encryption, ids and masks, one file each; ops.c puts them in order.
 */
#ifndef PH_RULES_MASK_FAMILIES_H
#define PH_RULES_MASK_FAMILIES_H

#include "pghaul/rule.h"

#define PH_HASH_OPS 13
extern const struct ph_rule_op ph_hash_ops[PH_HASH_OPS];
#define PH_ENCRYPT_OPS 5
extern const struct ph_rule_op ph_encrypt_ops[PH_ENCRYPT_OPS];
#define PH_MASK_PERSON_OPS 7
extern const struct ph_rule_op ph_mask_person_ops[PH_MASK_PERSON_OPS];
#define PH_MASK_FORMAT_OPS 3
extern const struct ph_rule_op ph_mask_format_ops[PH_MASK_FORMAT_OPS];
#define PH_MASK_CHECK_OPS 2
extern const struct ph_rule_op ph_mask_check_ops[PH_MASK_CHECK_OPS];
#define PH_MASK_TEXT_OPS 5
extern const struct ph_rule_op ph_mask_text_ops[PH_MASK_TEXT_OPS];
#define PH_MASK_VALUE_OPS 16
extern const struct ph_rule_op ph_mask_value_ops[PH_MASK_VALUE_OPS];
#define PH_MASK_NUMBER_OPS 5
extern const struct ph_rule_op ph_mask_number_ops[PH_MASK_NUMBER_OPS];
#define PH_ID_OPS 7
extern const struct ph_rule_op ph_id_ops[PH_ID_OPS];

#endif
