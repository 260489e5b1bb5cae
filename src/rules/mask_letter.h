/*
 * Letters and digits as masks replace them: each character belongs to an alphabet, and what takes
 * its place is of the same one. Digits stay digits, letters stay letters, of the same case where
 * the script has it, in the same number of UTF-8 bytes; what is neither is an alphabet of its own.
 *
 * The alphabets are fixed here rather than taken from Unicode's tables, so that a newer library
 * does not change every mask. Scripts that are not named have alphabets of 64 neighbours. Pure.
 */
#ifndef PH_RULES_MASK_LETTER_H
#define PH_RULES_MASK_LETTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct ph_letter {
    uint32_t first; /* of the alphabet */
    uint32_t step;  /* between its characters; 1 or 2 */
    uint32_t radix; /* how many they are; 1: a character that stays */
    uint32_t index; /* which one this is */
    uint32_t len;   /* of all of them in UTF-8 */
};

/* The next character; false: none that is valid UTF-8, nothing is taken. */
bool ph_letter_take(struct ph_cursor *in, struct ph_letter *out);
/* That of a code point. */
void ph_letter_of(uint32_t code, struct ph_letter *out);
/* Code point, and UTF-8 of `len` bytes, of the character `index`. */
uint32_t ph_letter_code(const struct ph_letter *letter, uint32_t index);
void ph_letter_put(const struct ph_letter *letter, uint32_t index, uint8_t *out);

/* Characters in a text; false: it is not valid UTF-8. */
bool ph_letter_count(struct ph_span text, size_t *n);

#endif
