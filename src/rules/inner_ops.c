/* What the server would do to a value on the way into its column, done before it is proven. */
#include "rules/inner_ops.h"

#include <stdlib.h>

/* ---- varchar(n), character(n) ---- */

typedef int32_t char_len_fn(uint8_t first); /* bytes of a character that begins so */

struct length {
    uint32_t chars;
    char_len_fn *char_len;
    bool keeps_blanks; /* those that tell values of a key apart are not cut: they are bad */
};

static int32_t
len_of_byte(uint8_t first)
{
    (void)first;
    return 1;
}

static int32_t
len_of_utf8(uint8_t first)
{
    return first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

#define EUC_SS2 0x8E
#define EUC_SS3 0x8F

/* EUC_JP, EUC_JIS_2004, EUC_KR */
static int32_t
len_of_euc(uint8_t first)
{
    return first < 0x80 ? 1 : first == EUC_SS3 ? 3 : 2;
}

static int32_t
len_of_euc_cn(uint8_t first)
{
    return first < 0x80 ? 1 : 2;
}

static int32_t
len_of_euc_tw(uint8_t first)
{
    return first == EUC_SS2 ? 4 : len_of_euc(first);
}

/* Official and private character sets of one and of two bytes, behind one or two that name them. */
static int32_t
len_of_mule(uint8_t first)
{
    if (first >= 0x81 && first <= 0x8D)
        return 2;
    if (first >= 0x90 && first <= 0x9B)
        return 3;
    return first == 0x9C || first == 0x9D ? 4 : 1;
}

static char_len_fn *
find_char_len(const char *encoding)
{
    static const struct {
        const char *encoding;
        char_len_fn *char_len;
    } several[] = {{"UTF8", len_of_utf8},         {"EUC_JP", len_of_euc},
                   {"EUC_JIS_2004", len_of_euc},  {"EUC_KR", len_of_euc},
                   {"EUC_CN", len_of_euc_cn},     {"EUC_TW", len_of_euc_tw},
                   {"MULE_INTERNAL", len_of_mule}};

    for (size_t i = 0; i < sizeof several / sizeof several[0]; i++) {
        if (strcmp(several[i].encoding, encoding) == 0)
            return several[i].char_len;
    }
    return len_of_byte; /* the other encodings of databases */
}

static bool
prepare_length(struct ph_rule_call *call)
{
    struct length *length = malloc(sizeof *length);

    if (length == NULL)
        return false;
    length->chars = (uint32_t)strtoul(call->params[0], NULL, 10);
    length->char_len = find_char_len(call->params[1]);
    length->keeps_blanks = call->n_params > 2;
    call->state = length;
    return true;
}

static void
release_state(struct ph_rule_call *call)
{
    free(call->state);
    call->state = NULL;
}

/* Bytes of the first `chars` characters; *has: how many characters that are. */
static int32_t
prefix(const struct length *length, const struct ph_value *value, uint32_t *has)
{
    int32_t at = 0;

    for (*has = 0; at < value->len && *has < length->chars; ++*has)
        at += length->char_len(value->data[at]);
    return at < value->len ? at : value->len;
}

/* Blanks past the limit are cut off, as the server does. */
static enum ph_rule_result
run_fit_varchar(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct length *length = call->state;
    uint32_t has;
    int32_t len = prefix(length, &args[0], &has);

    for (int32_t i = len; i < args[0].len; i++) {
        if (args[0].data[i] != ' ')
            return ph_rule_bad(call, "is longer than the column");
    }
    if (length->keeps_blanks && len < args[0].len)
        return ph_rule_bad(call, "has blanks behind the column's length, which may not be cut in a "
                                 "unique key");
    *out = (struct ph_value){args[0].data, len};
    return PH_RULE_OK;
}

static enum ph_rule_result
run_fit_bpchar(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct length *length = call->state;
    uint32_t has;
    enum ph_rule_result rc = run_fit_varchar(call, args, out);

    if (rc != PH_RULE_OK)
        return rc;
    if (length->keeps_blanks && out->len > 0 && out->data[out->len - 1] == ' ')
        return ph_rule_bad(call, "ends in blanks, which character(n) does not keep apart in a "
                                 "unique key");
    int32_t len = prefix(length, out, &has);
    if (has == length->chars)
        return PH_RULE_OK;
    size_t blanks = length->chars - has;
    uint8_t *bytes = ph_rule_alloc(call, (size_t)len + blanks);
    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    memcpy(bytes, out->data, (size_t)len);
    memset(bytes + len, ' ', blanks);
    *out = (struct ph_value){bytes, len + (int32_t)blanks};
    return PH_RULE_OK;
}

/* ---- numeric(p, s) ---- */

#define DIGITS 4 /* decimal digits in one of numeric's */
#define NUMERIC_NAN 0xC000u
#define NUMERIC_SPECIAL 0xC000u /* NaN and the infinities have both bits */

struct scale {
    int32_t precision;
    int32_t scale;
};

static bool
prepare_scale(struct ph_rule_call *call)
{
    struct scale *scale = malloc(sizeof *scale);

    if (scale == NULL)
        return false;
    scale->precision = (int32_t)strtol(call->params[0], NULL, 10);
    scale->scale = (int32_t)strtol(call->params[1], NULL, 10);
    call->state = scale;
    return true;
}

static uint16_t
get_u16(const uint8_t *at)
{
    return (uint16_t)((uint16_t)(at[0] << 8) | at[1]);
}

/* Whether the value is what would be made of it: a numeric that a mask or a map gave mostly is. */
static bool
fits(const struct ph_value *value, const struct scale *to)
{
    static const int32_t power[] = {1, 10, 100, 1000};
    int32_t n = get_u16(value->data);
    int32_t weight = (int16_t)get_u16(value->data + 2);
    const uint8_t *groups = value->data + 8;

    if (n == 0 || get_u16(value->data + 6) != (uint32_t)to->scale)
        return false;
    int32_t first = get_u16(groups);
    int32_t last = get_u16(groups + (ptrdiff_t)2 * (n - 1));
    int32_t spare = (n - weight - 1) * DIGITS - to->scale; /* of the last group, behind the scale */
    int32_t digits = 1 + (first > 9) + (first > 99) + (first > 999);
    return first != 0 && last != 0 && spare < DIGITS && (spare <= 0 || last % power[spare] == 0) &&
           weight * DIGITS + digits <= to->precision - to->scale;
}

/* The decimal digit at 10^-place (place 1: the first behind the point; 0: ones). */
static int
digit_at(const struct ph_value *value, int32_t place)
{
    static const int power[] = {1000, 100, 10, 1};
    int32_t weight = (int16_t)get_u16(value->data + 2);
    /* place counted from the first digit of the first group */
    int64_t from = (int64_t)place + (int64_t)DIGITS * (weight + 1) - 1;

    if (from < 0 || from / DIGITS >= get_u16(value->data))
        return 0;
    return get_u16(value->data + 8 + from / DIGITS * 2) / power[from % DIGITS] % 10;
}

/* Decimal digits from 10^(before - 1) down to 10^-scale, with a carry from rounding. */
static bool
round_digits(const struct ph_value *value, uint8_t *digits, int32_t before, int32_t scale)
{
    int32_t n = before + scale;
    int carry = digit_at(value, scale + 1) >= 5;

    for (int32_t i = n - 1; i >= 0; i--) {
        int digit = digit_at(value, i - before + 1) + carry;
        carry = digit == 10;
        digits[i] = (uint8_t)(carry ? 0 : digit);
    }
    return carry == 0;
}

/* The i-th four of decimal digits as a number. */
static int16_t
group_of(const uint8_t *digits, int32_t i)
{
    const uint8_t *at = digits + (ptrdiff_t)i * DIGITS;

    return (int16_t)(at[0] * 1000 + at[1] * 100 + at[2] * 10 + at[3]);
}

/* Groups of four from decimal digits; `before` and `n` are multiples of four. */
static int32_t
put_numeric(const uint8_t *digits, int32_t n, int32_t before, const struct scale *scale,
            uint16_t sign, uint8_t *out)
{
    int32_t first = 0;
    int32_t end = n / DIGITS;
    int32_t count = 0;

    while (first < end && group_of(digits, first) == 0)
        first++;
    while (end > first && group_of(digits, end - 1) == 0)
        end--;
    for (int32_t i = first; i < end; i++)
        ph_rule_put_i16(out + 8 + 2 * (ptrdiff_t)count++, group_of(digits, i));
    ph_rule_put_i16(out, (int16_t)count);
    ph_rule_put_i16(out + 2, (int16_t)(count == 0 ? 0 : before / DIGITS - 1 - first));
    ph_rule_put_i16(out + 4, (int16_t)(count == 0 ? 0 : sign));
    ph_rule_put_i16(out + 6, (int16_t)(scale->scale > 0 ? scale->scale : 0));
    return 8 + 2 * count;
}

static enum ph_rule_result
run_fit_numeric(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct scale *scale = call->state;
    const struct ph_value *in = &args[0];

    if (in->len < 8 || in->len != 8 + 2 * get_u16(in->data))
        return ph_rule_bad(call, "is not a numeric");
    uint16_t sign = get_u16(in->data + 4);
    *out = *in;
    if (sign == NUMERIC_NAN)
        return PH_RULE_OK;
    if ((sign & NUMERIC_SPECIAL) == NUMERIC_SPECIAL)
        return ph_rule_bad(call, "is infinite, which the column's precision does not allow");
    if (fits(in, scale))
        return PH_RULE_OK;
    int32_t weight = (int16_t)get_u16(in->data + 2);
    int32_t before = (weight < 0 ? 1 : weight + 2) * DIGITS; /* and one group for the carry */
    int32_t kept = scale->scale;
    int32_t behind = kept <= 0 ? 0 : (kept + DIGITS - 1) / DIGITS * DIGITS;
    int32_t n = before + behind;
    uint8_t *digits = ph_rule_alloc(call, (size_t)n);
    uint8_t *bytes = ph_rule_alloc(call, 8 + (size_t)n / 2);
    if (digits == NULL || bytes == NULL)
        return PH_RULE_NO_MEMORY;
    memset(digits, 0, (size_t)n);
    if (before + kept > 0)
        (void)round_digits(in, digits, before, kept);
    int32_t first = 0;
    while (first < n && digits[first] == 0)
        first++;
    if (first < n && before - first > scale->precision - scale->scale)
        return ph_rule_bad(call, "has more digits than the column");
    *out = (struct ph_value){bytes, put_numeric(digits, n, before, scale, sign, bytes)};
    return PH_RULE_OK;
}

/* ---- timestamp(n) and the like: microseconds to fewer digits ---- */

static enum ph_rule_result
run_fit_time(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    static const int64_t units[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    unsigned long digits = strtoul(call->params[0], NULL, 10);

    if (args[0].len < 8)
        return ph_rule_bad(call, "is not a time");
    int64_t value = ph_rule_get_i64(&args[0]);
    *out = args[0];
    if (digits > 5 || value == INT64_MIN || value == INT64_MAX)
        return PH_RULE_OK;
    uint8_t *bytes = ph_rule_alloc(call, (size_t)args[0].len);
    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    int64_t unit = units[digits];
    int64_t half = unit / 2;
    int64_t rounded = value >= 0 ? (value + half) / unit * unit : -((-value + half) / unit * unit);
    memcpy(bytes, args[0].data, (size_t)args[0].len);
    ph_rule_put_i64(bytes, rounded);
    *out = (struct ph_value){bytes, args[0].len};
    return PH_RULE_OK;
}

/* Texts that only blanks tell apart stay so where it matters: with `key` they are bad. */
const struct ph_rule_op ph_inner_ops[] = {
    {"fit_varchar", "text -> text", "chars, encoding, key?", PH_RULE_INJECTIVE | PH_RULE_MAY_BAD,
     run_fit_varchar, prepare_length, release_state, "at most so many characters"},
    {"fit_bpchar", "text -> text", "chars, encoding, key?", PH_RULE_INJECTIVE | PH_RULE_MAY_BAD,
     run_fit_bpchar, prepare_length, release_state, "blanks up to so many characters"},
    {"fit_numeric", "numeric -> numeric", "precision, scale", PH_RULE_MAY_BAD, run_fit_numeric,
     prepare_scale, release_state, "rounded to the scale, within the precision"},
    {"fit_time", "any -> any", "digits", PH_RULE_MAY_BAD, run_fit_time, NULL, NULL,
     "rounded to so many digits of a second"},
    {"fit_interval", "any -> any", "digits, fields", PH_RULE_MAY_BAD, ph_inner_fit_interval, NULL,
     NULL, "of these fields, rounded to so many digits of a second"},
    {"fit_bits", "any -> any", "bits, how", PH_RULE_INJECTIVE | PH_RULE_MAY_BAD, ph_inner_fit_bits,
     NULL, NULL, "exactly or at most so many bits"},
    {"fit_name", "text -> text", "", PH_RULE_INJECTIVE | PH_RULE_MAY_BAD, ph_inner_fit_name, NULL,
     NULL, "as long as a name may be"},
    {"fit_label", "any -> any", "label...", PH_RULE_INJECTIVE | PH_RULE_MAY_BAD, ph_inner_fit_label,
     NULL, NULL, "one of an enum's labels"},
    {"fit_array", "any[] -> any[]", "oid, fit?, of...", PH_RULE_MAY_BAD, ph_inner_fit_array,
     ph_inner_prepare_array, ph_inner_release_array, "of elements of that type, each fitting"},
    {"array_elements", "any[], int4 -> any", "", PH_RULE_TAKES_NULL | PH_RULE_MAY_BAD,
     ph_inner_array_elements, ph_inner_prepare_elements, ph_inner_release_elements,
     "how many elements, or one of them"},
    {"json_elements", "json, int4 -> text", "form", PH_RULE_TAKES_NULL | PH_RULE_MAY_BAD,
     ph_inner_json_elements, ph_inner_prepare_elements, ph_inner_release_elements,
     "how many elements, or one of them"},
    {"sample", "any... -> bool", "limit, class...", PH_RULE_MAY_BAD, ph_inner_sample,
     ph_inner_prepare_sample, ph_inner_release_sample, "whether the row is of the sample"},
};
const uint32_t ph_n_inner_ops = sizeof ph_inner_ops / sizeof ph_inner_ops[0];

const struct ph_rule_op *
ph_inner_op(const char *name)
{
    for (uint32_t i = 0; i < ph_n_inner_ops; i++) {
        if (strcmp(ph_inner_ops[i].name, name) == 0)
            return &ph_inner_ops[i];
    }
    return NULL;
}
