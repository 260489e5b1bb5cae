#include "rules/ops.h"

#include "rules/mask_families.h"

#define FAMILY(name, ops)                                                                          \
    {                                                                                              \
        name, ops, sizeof ops / sizeof ops[0]                                                      \
    }

const struct ph_rule_family ph_rule_families[] = {
    FAMILY("hashes", ph_hash_ops),
    FAMILY("passwords and encryption", ph_encrypt_ops),
    FAMILY("ids", ph_id_ops),
    FAMILY("masks of people", ph_mask_person_ops),
    FAMILY("masks that keep a format", ph_mask_format_ops),
    FAMILY("masks with check digits", ph_mask_check_ops),
    FAMILY("masks of text", ph_mask_text_ops),
    FAMILY("masks of values", ph_mask_value_ops),
    FAMILY("masks of numbers", ph_mask_number_ops),
    {NULL, NULL, 0},
};
