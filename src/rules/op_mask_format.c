/*
 * Masks that keep a format: digits become digits, letters letters, by permutations, so that unique
 * values stay unique; what a format's check digits say of a value stays true of the result.
 */
#include "rules/mask_families.h"
#include "rules/mask_fpe.h"

/* ---- fpe ---- */

static bool
prepare_fpe(struct ph_rule_call *call)
{
    return ph_mask_prepare_perm(call, "pghaul mask_fpe");
}

static enum ph_rule_result
run_fpe(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_fpe fpe;
    enum ph_rule_result rc = ph_fpe_take(call, &args[0], &fpe);

    if (rc == PH_RULE_OK)
        rc = ph_fpe_permute(&fpe, call->state, 0, fpe.n);
    return rc == PH_RULE_OK ? ph_fpe_give(&fpe, out) : rc;
}

/* ---- phone: what tells the country stays, and so do zeros before the number ---- */

static bool
prepare_phone(struct ph_rule_call *call)
{
    return ph_mask_prepare_perm(call, "pghaul mask_phone");
}

static bool
digits_at(const struct ph_fpe *fpe, size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++)
        if (i >= fpe->n || !ph_fpe_is_digit(fpe, i))
            return false;
    return true;
}

/* Digits of the country code that begins there (E.164); it may be cut short. */
static size_t
country_len(const struct ph_fpe *fpe, size_t from)
{
    static const char *const two[] = {
        "", "", "07", "0123469", "013456789", "12345678", "0123456", "", "1246", "0123458",
    };

    if (!digits_at(fpe, from, 1) || fpe->places[from] == 0)
        return 0;
    uint32_t first = fpe->places[from];
    if (first == 1 || first == 7)
        return 1;
    if (!digits_at(fpe, from, 2))
        return 1;
    char second = (char)('0' + fpe->places[from + 1]);
    if (strchr(two[first], second) != NULL)
        return 2;
    return digits_at(fpe, from, 3) ? 3 : 2;
}

static bool
has_plus_before(const struct ph_fpe *fpe, size_t place)
{
    for (size_t i = 0; i < fpe->at[place]; i++)
        if (fpe->letters[i].first == '+')
            return true;
    return false;
}

/*
 * What comes before `from` is not part of the number, what comes before the result stays. Both are
 * found again in the result, which makes the whole a permutation.
 */
static size_t
number_begin(const struct ph_fpe *fpe, size_t from)
{
    bool abroad = from < fpe->n && has_plus_before(fpe, from);
    size_t at = from;

    if (!abroad && digits_at(fpe, at, 2) && fpe->places[at] == 0 && fpe->places[at + 1] == 0) {
        abroad = true;
        at += 2;
    }
    if (abroad)
        at += country_len(fpe, at);
    while (digits_at(fpe, at, 1) && fpe->places[at] == 0)
        at++;
    return at;
}

static enum ph_rule_result
run_phone(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_fpe fpe;
    enum ph_rule_result rc = ph_fpe_take(call, &args[0], &fpe);
    size_t from = 0;

    if (rc != PH_RULE_OK)
        return rc;
    while (from < fpe.n && !ph_fpe_is_digit(&fpe, from))
        from++;
    size_t begin = number_begin(&fpe, from);
    bool has_first = digits_at(&fpe, begin, 1);
    if (has_first) { /* it is no zero and becomes none */
        fpe.places[begin]--;
        fpe.radix[begin]--;
    }
    rc = ph_fpe_permute(&fpe, call->state, 0, from);
    if (rc == PH_RULE_OK)
        rc = ph_fpe_permute(&fpe, call->state, begin, fpe.n - begin);
    if (has_first)
        fpe.places[begin]++;
    return rc == PH_RULE_OK ? ph_fpe_give(&fpe, out) : rc;
}

#define FORMAT (PH_RULE_SECRET | PH_RULE_MASK | PH_RULE_INJECTIVE | PH_RULE_MAY_BAD)

const struct ph_rule_op ph_mask_format_ops[PH_MASK_FORMAT_OPS] = {
    {"mask_fpe", "text -> text", NULL, FORMAT, run_fpe, prepare_fpe, ph_mask_release_perm,
     "other digits and letters in the same places"},
    {"mask_zip", "text -> text", NULL, FORMAT, run_fpe, prepare_fpe, ph_mask_release_perm,
     "a postal code, or any other code: as mask_fpe"},
    {"mask_phone", "text -> text", NULL, FORMAT, run_phone, prepare_phone, ph_mask_release_perm,
     "another number of the same country and format"},
};
