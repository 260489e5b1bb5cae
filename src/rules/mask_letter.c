#include "rules/mask_letter.h"

struct range {
    uint32_t first;
    uint32_t last;
    uint32_t step; /* 0: all of them stay */
};

/* In order; what lies between two of them goes by blocks of 64. */
static const struct range ranges[] = {
    {0x80, 0xbf, 0},       /* Latin-1 signs */
    {0xc0, 0xd6, 1},       /* upper-case Latin with accents */
    {0xd7, 0xd7, 0},       /* times */
    {0xd8, 0xde, 1},       /* */
    {0xdf, 0xf6, 1},       /* lower-case Latin with accents */
    {0xf7, 0xf7, 0},       /* divided by */
    {0xf8, 0xff, 1},       /* */
    {0x100, 0x24f, 2},     /* Latin extended: upper and lower case take turns */
    {0x300, 0x36f, 0},     /* combining marks */
    {0x391, 0x3a1, 1},     /* Greek */
    {0x3a3, 0x3a9, 1},     /* */
    {0x3b1, 0x3c9, 1},     /* */
    {0x410, 0x42f, 1},     /* Cyrillic */
    {0x430, 0x44f, 1},     /* */
    {0x5d0, 0x5ea, 1},     /* Hebrew */
    {0x621, 0x63a, 1},     /* Arabic */
    {0x641, 0x64a, 1},     /* */
    {0x905, 0x939, 1},     /* Devanagari */
    {0xe01, 0xe2e, 1},     /* Thai */
    {0x2000, 0x206f, 0},   /* punctuation */
    {0x20a0, 0x20cf, 0},   /* currencies */
    {0x3000, 0x303f, 0},   /* CJK punctuation */
    {0x3041, 0x3096, 1},   /* hiragana */
    {0x30a1, 0x30fa, 1},   /* katakana */
    {0x4e00, 0x9fff, 1},   /* Han */
    {0xac00, 0xd7a3, 1},   /* Hangul */
    {0xfe00, 0xfe0f, 0},   /* variation selectors */
    {0xfff0, 0xffff, 0},   /* specials */
    {0x1f000, 0x1faff, 0}, /* pictures */
    {0x20000, 0x2a6df, 1}, /* Han, extended: two alphabets, see below */
};

/* Places of a permutation are 16 bits. */
#define ALPHABET_MAX 0x8000u

static void
set(struct ph_letter *out, uint32_t code, uint32_t first, uint32_t last, uint32_t step)
{
    if (last - first >= ALPHABET_MAX) {
        first += (code - first) / ALPHABET_MAX * ALPHABET_MAX;
        last = last - first < ALPHABET_MAX ? last : first + ALPHABET_MAX - 1;
    }
    if (step == 0) {
        first = last = code;
        step = 1;
    }
    out->first = first + (code - first) % step;
    out->step = step;
    out->radix = (last - out->first) / step + 1;
    out->index = (code - out->first) / step;
}

static void
set_ascii(struct ph_letter *out, uint32_t code)
{
    if (code >= '0' && code <= '9')
        set(out, code, '0', '9', 1);
    else if (code >= 'a' && code <= 'z')
        set(out, code, 'a', 'z', 1);
    else if (code >= 'A' && code <= 'Z')
        set(out, code, 'A', 'Z', 1);
    else
        set(out, code, code, code, 1);
}

/* In the block of 64 as far as no range has a part of it. */
static void
set_between(struct ph_letter *out, uint32_t code, uint32_t from, uint32_t to)
{
    uint32_t first = code & ~63u;
    uint32_t last = code | 63u;

    set(out, code, first < from ? from : first, last > to ? to : last, 1);
}

void
ph_letter_of(uint32_t code, struct ph_letter *out)
{
    size_t low = 0;
    size_t high = sizeof ranges / sizeof ranges[0];

    out->len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (code < 0x80) {
        set_ascii(out, code);
        return;
    }
    while (low < high) { /* the first range that does not end before it */
        size_t middle = (low + high) / 2;
        if (ranges[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    size_t n = sizeof ranges / sizeof ranges[0];
    if (low < n && ranges[low].first <= code)
        set(out, code, ranges[low].first, ranges[low].last, ranges[low].step);
    else
        set_between(out, code, low == 0 ? 0x80 : ranges[low - 1].last + 1,
                    low == n ? 0x10ffff : ranges[low].first - 1);
}

static bool
follows(const uint8_t *at, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if ((at[i] & 0xc0) != 0x80)
            return false;
    return true;
}

/* As PostgreSQL has it: no overlong forms, no surrogates, nothing above 10FFFF. */
static uint32_t
decode(const struct ph_cursor *in, uint32_t *code)
{
    size_t left = ph_cursor_left(in);
    const uint8_t *p = in->at;

    if (left >= 1 && p[0] < 0x80) {
        *code = p[0];
        return 1;
    }
    if (left >= 2 && p[0] >= 0xc2 && p[0] <= 0xdf && follows(p + 1, 1)) {
        *code = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
        return 2;
    }
    if (left >= 3 && (p[0] & 0xf0) == 0xe0 && follows(p + 1, 2)) {
        *code = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
        return *code >= 0x800 && (*code < 0xd800 || *code > 0xdfff) ? 3 : 0;
    }
    if (left >= 4 && p[0] >= 0xf0 && p[0] <= 0xf4 && follows(p + 1, 3)) {
        *code = (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
        return *code >= 0x10000 && *code <= 0x10ffff ? 4 : 0;
    }
    return 0;
}

bool
ph_letter_take(struct ph_cursor *in, struct ph_letter *out)
{
    uint32_t code = 0;
    uint32_t len = decode(in, &code);

    if (len == 0)
        return false;
    in->at += len;
    ph_letter_of(code, out);
    return true;
}

uint32_t
ph_letter_code(const struct ph_letter *letter, uint32_t index)
{
    return letter->first + index * letter->step;
}

void
ph_letter_put(const struct ph_letter *letter, uint32_t index, uint8_t *out)
{
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    uint32_t code = ph_letter_code(letter, index);

    for (uint32_t i = letter->len; i-- > 1;) {
        out[i] = (uint8_t)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (uint8_t)(letter->len == 1 ? code : lead[letter->len] | code);
}

bool
ph_letter_count(struct ph_span text, size_t *n)
{
    struct ph_cursor in = ph_cursor_of(text.data, text.len);
    uint32_t code;

    for (*n = 0; in.at < in.end; (*n)++) {
        uint32_t len = decode(&in, &code);
        if (len == 0)
            return false;
        in.at += len;
    }
    return true;
}
