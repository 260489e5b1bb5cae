/*
 * Text whose letters and digits are exchanged for others of their alphabets, all of them together
 * by one permutation: different texts stay different.
 */
#ifndef PH_RULES_MASK_FPE_H
#define PH_RULES_MASK_FPE_H

#include "rules/mask_letter.h"
#include "rules/mask_perm.h"

/* A text taken apart; in the row's memory. */
struct ph_fpe {
    struct ph_rule_call *call;
    struct ph_span text;
    struct ph_letter *letters; /* its characters */
    size_t n_letters;
    /* Of those that change, in order: which, their numbers, and their alphabets' sizes. Whoever
     * wants a place to stay takes it out; to forbid some of its numbers changes both. */
    uint32_t *at;
    uint32_t *places;
    uint32_t *radix;
    size_t n;
};

/* PH_RULE_BAD: not UTF-8. */
enum ph_rule_result ph_fpe_take(struct ph_rule_call *call, const struct ph_value *value,
                                struct ph_fpe *fpe);
/* Of the places from `from` on, `n` of them. */
enum ph_rule_result ph_fpe_permute(struct ph_fpe *fpe, const struct ph_perm *perm, size_t from,
                                   size_t n);
/* The text with the places as they are now. */
enum ph_rule_result ph_fpe_give(const struct ph_fpe *fpe, struct ph_value *out);

static inline bool
ph_fpe_is_digit(const struct ph_fpe *fpe, size_t place)
{
    return fpe->letters[fpe->at[place]].first == '0';
}

#endif
