#include "rules/mask_fpe.h"

/* A format is short; free text is for mask_text. */
#define LEN_MAX ((size_t)64 << 10)

enum ph_rule_result
ph_fpe_take(struct ph_rule_call *call, const struct ph_value *value, struct ph_fpe *fpe)
{
    struct ph_span text = ph_mask_span(value);
    struct ph_cursor in = ph_cursor_of(text.data, text.len);

    *fpe = (struct ph_fpe){.call = call, .text = text};
    if (text.len > LEN_MAX)
        return ph_rule_bad(call, "too long for its format to be kept");
    if (!ph_letter_count(text, &fpe->n_letters))
        return ph_rule_bad(call, "not valid UTF-8");
    fpe->letters = ph_rule_alloc(call, (fpe->n_letters + 1) * sizeof *fpe->letters);
    fpe->at = ph_rule_alloc(call, (fpe->n_letters + 1) * 3 * sizeof *fpe->at);
    if (fpe->letters == NULL || fpe->at == NULL)
        return PH_RULE_NO_MEMORY;
    fpe->places = fpe->at + fpe->n_letters;
    fpe->radix = fpe->places + fpe->n_letters;
    for (size_t i = 0; i < fpe->n_letters; i++) {
        struct ph_letter *letter = &fpe->letters[i];
        if (!ph_letter_take(&in, letter))
            return ph_rule_bad(call, "not valid UTF-8");
        if (letter->radix == 1)
            continue;
        fpe->at[fpe->n] = (uint32_t)i;
        fpe->places[fpe->n] = letter->index;
        fpe->radix[fpe->n] = letter->radix;
        fpe->n++;
    }
    return PH_RULE_OK;
}

enum ph_rule_result
ph_fpe_permute(struct ph_fpe *fpe, const struct ph_perm *perm, size_t from, size_t n)
{
    return ph_perm_places(perm, fpe->call, fpe->places + from, fpe->radix + from, n);
}

enum ph_rule_result
ph_fpe_give(const struct ph_fpe *fpe, struct ph_value *out)
{
    uint8_t *to = ph_mask_room(fpe->call, fpe->text.len, out);
    size_t place = 0;

    if (to == NULL)
        return PH_RULE_NO_MEMORY;
    for (size_t i = 0; i < fpe->n_letters; i++) {
        const struct ph_letter *letter = &fpe->letters[i];
        uint32_t index = letter->index;
        if (place < fpe->n && fpe->at[place] == i)
            index = fpe->places[place++];
        ph_letter_put(letter, index, to);
        to += letter->len;
    }
    return PH_RULE_OK;
}
