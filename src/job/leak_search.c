#include "job/leak_search.h"

#include <assert.h>
#include <stdlib.h>

#define WINDOW 5u /* bytes that the filter looks at; no value is shorter */
#define LEAST_BITS 16u
#define MOST_BITS 24u

_Static_assert(WINDOW == PH_LEAK_SHORTEST, "the filter takes the first bytes of every value");

static uint8_t
fold(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* ---- making ---- */

bool
ph_leak_search_init(struct ph_leak_search *search, uint32_t most)
{
    *search = (struct ph_leak_search){.cap = most, .filter_bits = LEAST_BITS};
    /* one bit in sixteen is set */
    while (search->filter_bits < MOST_BITS && (UINT64_C(1) << search->filter_bits) / 16 < most)
        search->filter_bits++;
    search->needles = calloc((size_t)most + 1, sizeof *search->needles);
    search->filter = calloc((size_t)1 << (search->filter_bits - 6), sizeof *search->filter);
    if (search->needles != NULL && search->filter != NULL)
        return true;
    ph_leak_search_free(search);
    return false;
}

void
ph_leak_search_free(struct ph_leak_search *search)
{
    free(search->needles);
    free(search->filter);
    *search = (struct ph_leak_search){0};
}

void
ph_leak_search_put(struct ph_leak_search *search, const struct ph_leak_value *value, uint32_t owner,
                   uint32_t number)
{
    struct ph_leak_needle *needle = &search->needles[search->n++];
    bool is_word = true;
    bool is_digit = true;

    assert(search->n <= search->cap && value->len >= WINDOW);
    for (uint32_t i = 0; i < value->len; i++) {
        is_word &= ph_leak_is_letter(value->bytes[i]);
        is_digit &= !ph_leak_is_letter(value->bytes[i]);
    }
    *needle = (struct ph_leak_needle){
        .text = value->bytes,
        .owner = owner,
        .number = number,
        .inner = PH_LEAK_NONE,
        .len = value->len,
        .is_cut = value->is_cut,
        .is_word = is_word,
        .is_mail = memchr(value->bytes, '@', value->len) != NULL,
        .is_digit = is_digit,
    };
}

static int
compare(const void *a, const void *b)
{
    const struct ph_leak_needle *x = a;
    const struct ph_leak_needle *y = b;
    uint32_t len = x->len < y->len ? x->len : y->len;

    for (uint32_t i = 0; i < len; i++) {
        int order = fold(x->text[i]) - fold(y->text[i]);
        if (order != 0)
            return order;
    }
    if (x->len != y->len)
        return x->len - y->len;
    if (x->owner != y->owner)
        return x->owner < y->owner ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static bool
begins_with(const struct ph_leak_needle *needle, const uint8_t *text, size_t len)
{
    if (needle->len > len)
        return false;
    for (uint32_t i = 0; i < needle->len; i++) {
        if (fold(needle->text[i]) != fold(text[i]))
            return false;
    }
    return true;
}

static uint32_t
slot_of(const struct ph_leak_search *search, uint64_t window)
{
    return (uint32_t)(window * UINT64_C(0x9E3779B97F4A7C15) >> (64 - search->filter_bits));
}

void
ph_leak_search_finish(struct ph_leak_search *search)
{
    qsort(search->needles, search->n, sizeof *search->needles, compare);
    for (uint32_t i = 0; i < search->n; i++) {
        struct ph_leak_needle *needle = &search->needles[i];
        uint64_t window = 0;
        for (uint32_t k = 0; k < WINDOW; k++)
            window = window << 8 | fold(needle->text[k]);
        uint32_t slot = slot_of(search, window);
        search->filter[slot / 64] |= UINT64_C(1) << slot % 64;
        /* what one begins with stands before it, and is what its neighbour begins with */
        uint32_t inner = i > 0 ? i - 1 : PH_LEAK_NONE;
        while (inner != PH_LEAK_NONE &&
               !begins_with(&search->needles[inner], needle->text, needle->len))
            inner = search->needles[inner].inner;
        needle->inner = inner;
    }
}

/* ---- running ---- */

struct place {
    struct ph_span text;
    size_t at;
};

static bool
is_within_word(uint8_t c)
{
    return ph_leak_is_letter(c) || ph_leak_is_digit(c);
}

/* A byte between two words that belongs to what is there all the same: 1.5, a.b@c, x@a.b */
static bool
joins(const struct ph_leak_needle *needle, uint8_t c)
{
    if (needle->is_mail)
        return c == '.' || c == '-' || c == '_' || c == '+' || c == '%';
    return needle->is_digit && c == '.';
}

static bool
goes_on_before(const struct ph_leak_needle *needle, const struct place *place)
{
    if (place->at == 0 || !is_within_word(needle->text[0]))
        return false;
    uint8_t before = place->text.data[place->at - 1];
    if (is_within_word(before))
        return true;
    if (!joins(needle, before) || place->at < 2)
        return false;
    uint8_t further = place->text.data[place->at - 2];
    return needle->is_mail ? is_within_word(further) : ph_leak_is_digit(further);
}

static bool
goes_on_behind(const struct ph_leak_needle *needle, const struct place *place)
{
    size_t end = place->at + needle->len;

    if (needle->is_cut || end == place->text.len || !is_within_word(needle->text[needle->len - 1]))
        return false;
    uint8_t behind = place->text.data[end];
    if (is_within_word(behind))
        return true;
    if (!joins(needle, behind) || end + 1 == place->text.len)
        return false;
    uint8_t further = place->text.data[end + 1];
    return needle->is_mail ? is_within_word(further) : ph_leak_is_digit(further);
}

static bool
stands_there(const struct ph_leak_needle *needle, const struct place *place)
{
    if (needle->is_word && memcmp(needle->text, place->text.data + place->at, needle->len) != 0)
        return false;
    return !goes_on_before(needle, place) && !goes_on_behind(needle, place);
}

/* Whether the value comes after what stands at `text`; what it begins with does not. */
static bool
is_after(const struct ph_leak_needle *needle, const uint8_t *text, size_t len)
{
    for (uint32_t i = 0; i < needle->len; i++) {
        if (i == len)
            return true;
        int order = fold(needle->text[i]) - fold(text[i]);
        if (order != 0)
            return order > 0;
    }
    return false;
}

/* Values that the text begins with are the last one not after it, or what that one begins with. */
static void
look_at(const struct ph_leak_search *search, const struct place *place, ph_leak_found *found,
        void *arg)
{
    const uint8_t *text = place->text.data + place->at;
    size_t len = place->text.len - place->at;
    uint32_t low = 0;
    uint32_t high = search->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (is_after(&search->needles[middle], text, len))
            high = middle;
        else
            low = middle + 1;
    }
    uint32_t at = low > 0 ? low - 1 : PH_LEAK_NONE;
    for (; at != PH_LEAK_NONE; at = search->needles[at].inner) {
        const struct ph_leak_needle *needle = &search->needles[at];
        if (begins_with(needle, text, len) && stands_there(needle, place))
            found(arg, needle);
    }
}

void
ph_leak_search_run(const struct ph_leak_search *search, struct ph_span text, ph_leak_found *found,
                   void *arg)
{
    uint64_t window = 0;

    for (size_t i = 0; i < text.len; i++) {
        window = (window << 8 | fold(text.data[i])) & UINT64_C(0xFFFFFFFFFF);
        if (i + 1 < WINDOW)
            continue;
        uint32_t slot = slot_of(search, window);
        if ((search->filter[slot / 64] >> slot % 64 & 1) == 0)
            continue;
        const struct place place = {text, i + 1 - WINDOW};
        look_at(search, &place, found, arg);
    }
}
