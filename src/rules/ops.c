#include "rules/ops.h"

#include "rules/mask_families.h"
#include "rules/op_families.h"

#define FAMILY(name, ops)                                                                          \
    {                                                                                              \
        (name), (ops), sizeof(ops) / sizeof((ops)[0])                                              \
    }

const struct ph_rule_family ph_rule_families[] = {
    FAMILY("casts of numbers", ph_cast_number_ops),
    FAMILY("casts of text", ph_cast_text_ops),
    FAMILY("casts of times", ph_cast_time_ops),
    FAMILY("casts of JSON", ph_cast_json_ops),
    FAMILY("casts of arrays", ph_cast_array_ops),
    FAMILY("NULL", ph_null_ops),
    FAMILY("text", ph_text_ops),
    FAMILY("letters", ph_text_case_ops),
    FAMILY("regular expressions", ph_text_regexp_ops),
    FAMILY("numbers", ph_number_ops),
    FAMILY("numeric", ph_numeric_ops),
    FAMILY("times", ph_time_ops),
    FAMILY("arrays", ph_array_ops),
    FAMILY("JSON", ph_json_ops),
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
