/*
 * AES-128 of one block at a time under one key. A Feistel network needs the result of each round
 * for the next, so that nothing can be done side by side, and libcrypto's call costs three times as
 * much as the instructions: where the processor has them, they are used at once.
 */
#ifndef PH_RULES_MASK_AES_H
#define PH_RULES_MASK_AES_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

#define PH_AES_BLOCK 16
#define PH_AES_ROUND_KEYS 11

struct ph_aes {
    EVP_CIPHER_CTX *evp; /* NULL: the processor has the instructions */
    uint8_t keys[PH_AES_ROUND_KEYS][PH_AES_BLOCK];
};

/* false: libcrypto does not do it. What holds the struct is to be wiped when it is freed. */
bool ph_aes_init(struct ph_aes *aes, const uint8_t key[PH_AES_BLOCK]);
/* By libcrypto, whatever the processor has; for tests. */
bool ph_aes_init_evp(struct ph_aes *aes, const uint8_t key[PH_AES_BLOCK]);
void ph_aes_free(struct ph_aes *aes);
/* The first half of what the block of both halves becomes, all of them big-endian. false: libcrypto
 * failed. */
bool ph_aes_word(const struct ph_aes *aes, uint64_t first, uint64_t second, uint64_t *out);

#endif
