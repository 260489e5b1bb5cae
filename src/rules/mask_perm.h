/*
 * Keyed permutations: different numbers, pairs of numbers and strings stay different, and nobody
 * can tell which was which without the secret.
 *
 * All of them are Feistel networks in which a half is added to, not exchanged: left += F(right)
 * modulo left's size, then right += F(left) modulo right's. That works for halves of any sizes, so
 * a range whose size is no power of two needs (almost) no walking round its cycle, and a string of
 * mixed alphabets none. F of numbers is AES-128, ten rounds as in FF1; of longer strings
 * HMAC-SHA-256, eight rounds. FF1 itself is not used: its arithmetic on whole strings needs large
 * numbers, and its radix is one for all places.
 */
#ifndef PH_RULES_MASK_PERM_H
#define PH_RULES_MASK_PERM_H

#include "rules/mask_aes.h"
#include "rules/mask_parts.h"

struct ph_perm {
    struct ph_aes aes; /* F of numbers */
    struct ph_prf prf; /* F of strings */
};

/* false: message says why, and nothing is held. */
bool ph_perm_init(struct ph_perm *perm, struct ph_rule_call *call, const char *label);
void ph_perm_free(struct ph_perm *perm);

/* prepare and release of operators whose state is a struct ph_perm. */
bool ph_mask_prepare_perm(struct ph_rule_call *call, const char *label);
void ph_mask_release_perm(struct ph_rule_call *call);

/*
 * Each pair of left below `n_left` and right below `n_right` becomes another such; a size of 0 is
 * 2^64, others are at most 2^63. `tweak`, below 2^56, chooses among permutations. false: AES
 * failed.
 */
bool ph_perm_pair(const struct ph_perm *perm, uint64_t tweak, uint64_t n_left, uint64_t n_right,
                  uint64_t pair[2]);

/* The same of the numbers below n (0 is 2^64); *value is one. */
bool ph_perm_below(const struct ph_perm *perm, uint64_t tweak, uint64_t n, uint64_t *value);

/*
 * The same of the strings whose place i has a number below radix[i], 2 to 65536.
 */
enum ph_rule_result ph_perm_places(const struct ph_perm *perm, struct ph_rule_call *call,
                                   uint32_t *places, const uint32_t *radix, size_t n);

#endif
