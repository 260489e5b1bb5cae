/*
 * Masks of numbers with check digits. How far the check digits of a value are off is how far those
 * of the result are: what is valid stays valid, and what is not stays different all the same.
 */
#include "rules/mask_families.h"
#include "rules/mask_fpe.h"

#define CARD_DIGITS_MIN 8
#define CARD_DIGITS_MAX 19
#define CARD_KEPT 6
#define IBAN_BBAN_MIN 8
#define IBAN_BBAN_MAX 30

/* ---- card ---- */

struct card {
    struct ph_perm perm;
    int64_t n_kept;
};

static void
release_card(struct ph_rule_call *call)
{
    struct card *card = call->state;

    if (card != NULL)
        ph_perm_free(&card->perm);
    ph_mask_free(call, sizeof *card);
}

static bool
prepare_card(struct ph_rule_call *call)
{
    struct card *card = ph_mask_state(call, sizeof *card);

    if (card == NULL)
        return false;
    card->n_kept = CARD_KEPT;
    if (ph_mask_param_int(call, 0, 0, CARD_KEPT + 2, &card->n_kept) &&
        ph_perm_init(&card->perm, call, "pghaul mask_card"))
        return true;
    release_card(call);
    return false;
}

/* What the last of n digits has to be. */
static uint32_t
luhn(const uint32_t *digits, size_t n)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < n; i++) {
        uint32_t digit = digits[i] * ((n - i) % 2 == 0 ? 2 : 1);
        sum += digit > 9 ? digit - 9 : digit;
    }
    return (10 - sum % 10) % 10;
}

static enum ph_rule_result
mask_card(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct card *card = call->state;
    struct ph_fpe fpe;
    enum ph_rule_result rc = ph_fpe_take(call, &args[0], &fpe);

    if (rc != PH_RULE_OK)
        return rc;
    if (fpe.n < CARD_DIGITS_MIN || fpe.n > CARD_DIGITS_MAX)
        return ph_rule_bad(call, "not a card number");
    for (size_t i = 0; i < fpe.n; i++)
        if (!ph_fpe_is_digit(&fpe, i))
            return ph_rule_bad(call, "not a card number");
    size_t last = fpe.n - 1;
    size_t kept = (size_t)card->n_kept;
    if (kept > fpe.n - 2)
        kept = fpe.n - 2;
    uint32_t off = fpe.places[last] + 10 - luhn(fpe.places, fpe.n);
    rc = ph_fpe_permute(&fpe, &card->perm, kept, last - kept);
    fpe.places[last] = (luhn(fpe.places, fpe.n) + off) % 10;
    return rc == PH_RULE_OK ? ph_fpe_give(&fpe, out) : rc;
}

/* ---- iban: two letters of the country, two check digits, the account ---- */

static bool
prepare_iban(struct ph_rule_call *call)
{
    return ph_mask_prepare_perm(call, "pghaul mask_iban");
}

static bool
is_iban(const struct ph_fpe *fpe)
{
    if (fpe->n < 4 + IBAN_BBAN_MIN || fpe->n > 4 + IBAN_BBAN_MAX)
        return false;
    for (size_t i = 0; i < fpe->n_letters; i++)
        if (fpe->letters[i].len != 1 ||
            (fpe->letters[i].radix == 1 && fpe->letters[i].first != ' '))
            return false;
    return !ph_fpe_is_digit(fpe, 0) && !ph_fpe_is_digit(fpe, 1) && ph_fpe_is_digit(fpe, 2) &&
           ph_fpe_is_digit(fpe, 3);
}

/* What the check digits have to be, by ISO 7064 MOD 97-10: account, country, two zeros. */
static uint32_t
iban_check(const struct ph_fpe *fpe)
{
    uint32_t rest = 0;

    for (size_t k = 4; k < fpe->n + 2; k++) {
        size_t i = k < fpe->n ? k : k - fpe->n;
        if (ph_fpe_is_digit(fpe, i))
            rest = (rest * 10 + fpe->places[i]) % 97;
        else
            rest = (rest * 100 + 10 + fpe->places[i]) % 97;
    }
    return 98 - rest * 100 % 97;
}

static enum ph_rule_result
mask_iban(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_fpe fpe;
    enum ph_rule_result rc = ph_fpe_take(call, &args[0], &fpe);

    if (rc != PH_RULE_OK)
        return rc;
    if (!is_iban(&fpe))
        return ph_rule_bad(call, "not an IBAN");
    uint32_t off = fpe.places[2] * 10 + fpe.places[3] + 100 - iban_check(&fpe);
    rc = ph_fpe_permute(&fpe, call->state, 4, fpe.n - 4);
    uint32_t check = (iban_check(&fpe) + off) % 100;
    fpe.places[2] = check / 10;
    fpe.places[3] = check % 10;
    return rc == PH_RULE_OK ? ph_fpe_give(&fpe, out) : rc;
}

#define FORMAT (PH_RULE_SECRET | PH_RULE_MASK | PH_RULE_INJECTIVE | PH_RULE_MAY_BAD)

const struct ph_rule_op ph_mask_check_ops[PH_MASK_CHECK_OPS] = {
    {"mask_card", "text -> text", "kept?", FORMAT, mask_card, prepare_card, release_card,
     "another card number with a right check digit; the first 6 digits stay"},
    {"mask_iban", "text -> text", NULL, FORMAT, mask_iban, prepare_iban, ph_mask_release_perm,
     "another IBAN of the same country with right check digits"},
};
