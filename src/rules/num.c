/*
 * Reading, writing and rounding; num_math.c has the arithmetic. PostgreSQL's numeric.c is the
 * model: where it strips zeros, counts a scale or refuses, so does this.
 */
#include "rules/num.h"

#include <limits.h>

#define HEADER_BYTES 8u
#define SIGN_NEGATIVE 0x4000u
#define SIGN_NAN 0xc000u
#define SIGN_PLUS_INFINITY 0xd000u
#define SIGN_MINUS_INFINITY 0xf000u
#define DSCALE_MAX 0x3fff
#define DSCALE_INFINITY 0x20 /* what numeric_send makes of the bits of an infinity */

void
ph_num_strip(struct ph_num *num)
{
    while (num->n > 0 && num->digits[0] == 0) {
        num->digits++;
        num->n--;
        num->weight--;
    }
    while (num->n > 0 && num->digits[num->n - 1] == 0)
        num->n--;
    if (num->n == 0) {
        num->weight = 0;
        num->is_negative = false;
    }
}

static enum ph_rule_result
check(struct ph_rule_call *call, const struct ph_num *num)
{
    if (num->weight > INT16_MAX || num->weight < INT16_MIN || num->dscale > DSCALE_MAX)
        return ph_rule_bad(call, "value overflows numeric format");
    return PH_RULE_OK;
}

enum ph_rule_result
ph_num_take(struct ph_rule_call *call, const struct ph_value *value, struct ph_num *out)
{
    struct ph_cursor in = ph_cursor_of(value->data, (size_t)value->len);
    uint16_t n;
    int16_t weight;
    uint16_t sign;
    uint16_t dscale;

    if (!ph_take_u16(&in, &n) || !ph_take_i16(&in, &weight) || !ph_take_u16(&in, &sign) ||
        !ph_take_u16(&in, &dscale) || ph_cursor_left(&in) != 2 * (size_t)n || dscale > DSCALE_MAX)
        return ph_rule_bad(call, "not a valid numeric");
    *out = (struct ph_num){.weight = weight, .dscale = dscale, .n = n};
    out->is_negative = sign == SIGN_NEGATIVE;
    if (sign == SIGN_NAN || sign == SIGN_PLUS_INFINITY || sign == SIGN_MINUS_INFINITY) {
        out->kind = sign == SIGN_NAN             ? PH_NUM_NAN
                    : sign == SIGN_PLUS_INFINITY ? PH_NUM_PLUS_INFINITY
                                                 : PH_NUM_MINUS_INFINITY;
        return PH_RULE_OK;
    }
    if (sign != 0 && sign != SIGN_NEGATIVE)
        return ph_rule_bad(call, "not a valid numeric");
    uint16_t *digits = ph_rule_alloc(call, ((size_t)n + 1) * sizeof *digits);
    if (digits == NULL)
        return PH_RULE_NO_MEMORY;
    for (uint32_t i = 0; i < n; i++) {
        (void)ph_take_u16(&in, &digits[i]);
        if (digits[i] > 9999)
            return ph_rule_bad(call, "not a valid numeric");
    }
    out->digits = digits;
    ph_num_strip(out);
    return PH_RULE_OK;
}

static uint16_t
sign_of(const struct ph_num *num)
{
    switch (num->kind) {
    case PH_NUM_FINITE:
        return num->is_negative ? SIGN_NEGATIVE : 0;
    case PH_NUM_NAN:
        return SIGN_NAN;
    case PH_NUM_PLUS_INFINITY:
        return SIGN_PLUS_INFINITY;
    case PH_NUM_MINUS_INFINITY:
        return SIGN_MINUS_INFINITY;
    }
    return 0;
}

enum ph_rule_result
ph_num_give(struct ph_rule_call *call, const struct ph_num *num, struct ph_value *out)
{
    struct ph_num stripped = *num;

    if (num->kind == PH_NUM_FINITE)
        ph_num_strip(&stripped);
    else
        stripped = (struct ph_num){.kind = num->kind,
                                   .dscale = num->kind == PH_NUM_NAN ? 0 : DSCALE_INFINITY};
    PH_OP_TRY(check(call, &stripped));
    size_t len = HEADER_BYTES + 2 * (size_t)stripped.n;
    uint8_t *bytes = ph_rule_alloc(call, len);
    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    ph_store_u16(bytes, (uint16_t)stripped.n);
    ph_store_u16(bytes + 2, (uint16_t)stripped.weight);
    ph_store_u16(bytes + 4, sign_of(&stripped));
    ph_store_u16(bytes + 6, (uint16_t)stripped.dscale);
    for (uint32_t i = 0; i < stripped.n; i++)
        ph_store_u16(bytes + HEADER_BYTES + 2 * (size_t)i, stripped.digits[i]);
    return ph_op_give(call, bytes, len, out);
}

/* ---- text ---- */

static bool
parse_special(struct ph_span text, struct ph_num *out)
{
    static const struct {
        const char *word;
        enum ph_num_kind kind;
    } words[] = {
        {"nan", PH_NUM_NAN},
        {"inf", PH_NUM_PLUS_INFINITY},
        {"infinity", PH_NUM_PLUS_INFINITY},
        {"+inf", PH_NUM_PLUS_INFINITY},
        {"+infinity", PH_NUM_PLUS_INFINITY},
        {"-inf", PH_NUM_MINUS_INFINITY},
        {"-infinity", PH_NUM_MINUS_INFINITY},
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (ph_op_is_word(text, words[i].word)) {
            *out = (struct ph_num){.kind = words[i].kind};
            return true;
        }
    }
    return false;
}

/* The parts of a decimal number in text. */
struct decimal {
    bool is_negative;
    struct ph_span mantissa; /* digits, at most one point among them */
    int64_t digits_before;   /* the point */
    int64_t digits_behind;
    int64_t exponent;
};

static bool
is_digit(const struct ph_cursor *in)
{
    return in->at < in->end && *in->at >= '0' && *in->at <= '9';
}

static bool
split_exponent(struct ph_cursor *in, struct decimal *out)
{
    bool is_negative = false;

    if (in->at == in->end)
        return true;
    if (*in->at != 'e' && *in->at != 'E')
        return false;
    in->at++;
    while (in->at < in->end && ph_op_is_space(*in->at))
        in->at++;
    if (in->at < in->end && (*in->at == '-' || *in->at == '+'))
        is_negative = *in->at++ == '-';
    if (!is_digit(in))
        return false;
    for (; is_digit(in); in->at++) {
        out->exponent = out->exponent * 10 + (*in->at - '0');
        if (out->exponent >= INT_MAX / 2)
            return false;
    }
    if (is_negative)
        out->exponent = -out->exponent;
    return in->at == in->end;
}

static bool
split_decimal(struct ph_span text, struct decimal *out)
{
    struct ph_cursor in = ph_cursor_of(text.data, text.len);
    bool has_point = false;

    *out = (struct decimal){.is_negative = false};
    if (in.at < in.end && (*in.at == '-' || *in.at == '+'))
        out->is_negative = *in.at++ == '-';
    const uint8_t *begin = in.at;
    for (; is_digit(&in) || (in.at < in.end && *in.at == '.' && !has_point); in.at++) {
        if (*in.at == '.')
            has_point = true;
        else if (has_point)
            out->digits_behind++;
        else
            out->digits_before++;
    }
    if (out->digits_before + out->digits_behind == 0)
        return false;
    out->mantissa = (struct ph_span){begin, (size_t)(in.at - begin)};
    return split_exponent(&in, out);
}

/* Decimal digits to groups of four, the point between two groups. */
static enum ph_rule_result
group_digits(struct ph_rule_call *call, const struct decimal *from, struct ph_num *out)
{
    int64_t first = from->digits_before - 1 + from->exponent; /* power of ten of the first digit */
    int64_t weight = first >= 0 ? first / 4 : -((-first - 1) / 4 + 1);
    size_t offset = (size_t)((weight + 1) * 4 - (first + 1));
    size_t n_decimal = (size_t)(from->digits_before + from->digits_behind);
    size_t n = (n_decimal + offset + 3) / 4;
    uint16_t *digits = ph_rule_alloc(call, n * sizeof *digits);
    size_t at = offset;

    if (digits == NULL)
        return PH_RULE_NO_MEMORY;
    memset(digits, 0, n * sizeof *digits);
    for (size_t i = 0; i < from->mantissa.len; i++) {
        static const uint16_t powers[] = {1000, 100, 10, 1};
        if (from->mantissa.data[i] == '.')
            continue;
        digits[at / 4] =
            (uint16_t)(digits[at / 4] + (from->mantissa.data[i] - '0') * powers[at % 4]);
        at++;
    }
    int64_t dscale = from->digits_behind - from->exponent;
    *out = (struct ph_num){.is_negative = from->is_negative,
                           .weight = (int32_t)weight,
                           .dscale = dscale < 0         ? 0
                                     : dscale > INT_MAX ? INT_MAX
                                                        : (int32_t)dscale,
                           .n = (uint32_t)n,
                           .digits = digits};
    ph_num_strip(out);
    return check(call, out);
}

enum ph_rule_result
ph_num_parse(struct ph_rule_call *call, struct ph_span text, struct ph_num *out)
{
    struct decimal decimal;

    text = ph_op_trimmed(text);
    if (parse_special(text, out))
        return PH_RULE_OK;
    if (!split_decimal(text, &decimal))
        return ph_rule_bad(call, "not a number");
    return group_digits(call, &decimal, out);
}

static uint32_t
digit_at(const struct ph_num *num, int32_t weight)
{
    int32_t i = num->weight - weight;

    return i < 0 || i >= (int32_t)num->n ? 0 : num->digits[i];
}

/* The decimal digits `begin` to `end` of the four of a group. */
static void
put_group(uint32_t digit, int32_t begin, int32_t end, struct ph_op_text *out)
{
    char group[4] = {(char)('0' + digit / 1000), (char)('0' + digit / 100 % 10),
                     (char)('0' + digit / 10 % 10), (char)('0' + digit % 10)};

    ph_op_text_append(out, group + begin, (size_t)(end - begin));
}

void
ph_num_put(const struct ph_num *num, struct ph_op_text *out)
{
    if (num->kind != PH_NUM_FINITE) {
        ph_op_text_puts(out, num->kind == PH_NUM_NAN             ? "NaN"
                             : num->kind == PH_NUM_PLUS_INFINITY ? "Infinity"
                                                                 : "-Infinity");
        return;
    }
    if (num->is_negative)
        ph_op_text_putc(out, '-');
    uint32_t first = num->weight < 0 ? 0 : digit_at(num, num->weight);
    put_group(first, first < 10 ? 3 : first < 100 ? 2 : first < 1000 ? 1 : 0, 4, out);
    for (int32_t weight = num->weight - 1; weight >= 0; weight--)
        put_group(digit_at(num, weight), 0, 4, out);
    if (num->dscale == 0)
        return;
    ph_op_text_putc(out, '.');
    for (int32_t left = num->dscale, weight = -1; left > 0; left -= 4, weight--)
        put_group(digit_at(num, weight), 0, left < 4 ? left : 4, out);
}

/* ---- integers ---- */

enum ph_rule_result
ph_num_of_int(struct ph_rule_call *call, int64_t value, struct ph_num *out)
{
    enum { MOST = 5 };
    uint16_t *digits = ph_rule_alloc(call, MOST * sizeof *digits);
    uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;

    if (digits == NULL)
        return PH_RULE_NO_MEMORY;
    for (int i = MOST - 1; i >= 0; i--, left /= 10000)
        digits[i] = (uint16_t)(left % 10000);
    *out =
        (struct ph_num){.is_negative = value < 0, .weight = MOST - 1, .n = MOST, .digits = digits};
    ph_num_strip(out);
    return PH_RULE_OK;
}

enum ph_rule_result
ph_num_to_int(struct ph_rule_call *call, const struct ph_num *num, int64_t least, int64_t most,
              int64_t *out)
{
    struct ph_num whole;
    __int128 value = 0;

    if (num->kind != PH_NUM_FINITE)
        return ph_rule_bad(call, "NaN and infinity are no integers");
    PH_OP_TRY(ph_num_round(call, num, 0, PH_NUM_HALF_AWAY, &whole));
    if (whole.weight > 4)
        return ph_rule_bad(call, "out of range of the integer type");
    for (int32_t weight = whole.n == 0 ? -1 : whole.weight; weight >= 0; weight--)
        value = value * 10000 + digit_at(&whole, weight);
    if (whole.is_negative)
        value = -value;
    if (value < least || value > most)
        return ph_rule_bad(call, "out of range of the integer type");
    *out = (int64_t)value;
    return PH_RULE_OK;
}

/* ---- rounding ---- */

/* Leaves `decimals` (0 to 3) decimal digits of a group; returns what is carried to the next. */
static uint32_t
cut_group(uint16_t *digit, int32_t decimals, enum ph_num_rounding rounding)
{
    static const uint16_t powers[] = {10000, 1000, 100, 10};
    uint32_t power = powers[decimals];
    uint32_t extra = *digit % power;
    uint32_t kept = *digit - extra;

    if (rounding == PH_NUM_HALF_AWAY && extra >= power / 2)
        kept += power;
    *digit = (uint16_t)(kept % 10000);
    return kept / 10000;
}

enum ph_rule_result
ph_num_round(struct ph_rule_call *call, const struct ph_num *num, int32_t scale,
             enum ph_num_rounding rounding, struct ph_num *out)
{
    int64_t decimals = ((int64_t)num->weight + 1) * 4 + scale; /* that are kept */
    uint32_t carry = 0;

    *out = *num;
    if (num->kind != PH_NUM_FINITE)
        return PH_RULE_OK;
    out->dscale = scale < 0 ? 0 : scale;
    if (decimals >= (int64_t)num->n * 4)
        return PH_RULE_OK;
    if (decimals < 0) {
        out->n = 0;
        ph_num_strip(out);
        return PH_RULE_OK;
    }
    /* One group in front for what is carried; the group that is cut is the last one kept, or goes.
     */
    uint32_t kept = (uint32_t)(decimals / 4);
    uint16_t *digits = ph_rule_alloc(call, ((size_t)kept + 2) * sizeof *digits);
    if (digits == NULL)
        return PH_RULE_NO_MEMORY;
    digits[0] = 0;
    memcpy(digits + 1, num->digits, ((size_t)kept + 1) * sizeof *digits);
    carry = cut_group(&digits[kept + 1], (int32_t)(decimals % 4), rounding);
    for (uint32_t i = kept + 1; carry > 0 && i > 0; i--) {
        uint32_t sum = digits[i - 1] + carry;
        digits[i - 1] = (uint16_t)(sum % 10000);
        carry = sum / 10000;
    }
    out->digits = digits;
    out->n = kept + 2;
    out->weight = num->weight + 1;
    ph_num_strip(out);
    return PH_RULE_OK;
}

enum ph_rule_result
ph_num_floor(struct ph_rule_call *call, const struct ph_num *num, struct ph_num *out)
{
    struct ph_num one;

    PH_OP_TRY(ph_num_round(call, num, 0, PH_NUM_TRUNCATE, out));
    if (num->kind != PH_NUM_FINITE || !num->is_negative || ph_num_compare(num, out) == 0)
        return PH_RULE_OK;
    PH_OP_TRY(ph_num_of_int(call, 1, &one));
    struct ph_num whole = *out;
    return ph_num_subtract(call, &whole, &one, out);
}
