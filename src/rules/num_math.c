/*
 * Arithmetic of PostgreSQL's numeric: schoolbook methods on base-10000 digits, exact but for
 * division, whose scale is chosen as select_div_scale does.
 */
#include "rules/num.h"

#define BASE 10000u
#define DSCALE_MAX 0x3fff
#define DIV_MIN_DIGITS 16 /* significant ones of a quotient, at least */
#define DIV_SCALE_MAX 1000

static const struct ph_num nan_num = {.kind = PH_NUM_NAN};

static int
sign_of(const struct ph_num *num)
{
    if (num->kind == PH_NUM_PLUS_INFINITY)
        return 1;
    if (num->kind == PH_NUM_MINUS_INFINITY)
        return -1;
    return num->n == 0 ? 0 : num->is_negative ? -1 : 1;
}

static struct ph_num
infinity(int sign)
{
    return (struct ph_num){.kind = sign > 0 ? PH_NUM_PLUS_INFINITY : PH_NUM_MINUS_INFINITY};
}

static int32_t
larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static int
compare_sizes(const struct ph_num *a, const struct ph_num *b)
{
    if (a->n == 0 || b->n == 0)
        return (a->n > 0) - (b->n > 0);
    if (a->weight != b->weight)
        return a->weight > b->weight ? 1 : -1;
    for (uint32_t i = 0; i < a->n && i < b->n; i++) {
        if (a->digits[i] != b->digits[i])
            return a->digits[i] > b->digits[i] ? 1 : -1;
    }
    return (a->n > b->n) - (a->n < b->n);
}

static int
rank_of(const struct ph_num *num)
{
    switch (num->kind) {
    case PH_NUM_MINUS_INFINITY:
        return -1;
    case PH_NUM_FINITE:
        return 0;
    case PH_NUM_PLUS_INFINITY:
        return 1;
    case PH_NUM_NAN:
        return 2;
    }
    return 0;
}

int
ph_num_compare(const struct ph_num *a, const struct ph_num *b)
{
    if (a->kind != PH_NUM_FINITE || b->kind != PH_NUM_FINITE)
        return (rank_of(a) > rank_of(b)) - (rank_of(a) < rank_of(b));
    if (a->is_negative != b->is_negative)
        return a->is_negative ? -1 : 1;
    return a->is_negative ? compare_sizes(b, a) : compare_sizes(a, b);
}

struct ph_num
ph_num_negated(struct ph_num num)
{
    if (num.kind == PH_NUM_PLUS_INFINITY || num.kind == PH_NUM_MINUS_INFINITY)
        return infinity(-sign_of(&num));
    num.is_negative = !num.is_negative && num.n > 0;
    return num;
}

/* ---- sums ---- */

static int32_t
last_weight(const struct ph_num *num)
{
    return num->weight - (int32_t)num->n + 1;
}

/* |a| + |b|, or |a| - |b| of |a| >= |b|; neither is zero. */
static enum ph_rule_result
combine(struct ph_rule_call *call, const struct ph_num *a, const struct ph_num *b, int direction,
        struct ph_num *out)
{
    int32_t top = larger(a->weight, b->weight) + 1;
    int32_t bottom = last_weight(a) < last_weight(b) ? last_weight(a) : last_weight(b);
    size_t n = (size_t)((int64_t)top - bottom + 1);
    uint16_t *digits = ph_rule_alloc(call, n * sizeof *digits);
    int carry = 0;

    if (digits == NULL)
        return PH_RULE_NO_MEMORY;
    for (int32_t weight = bottom; weight <= top; weight++) {
        int32_t in_a = a->weight - weight;
        int32_t in_b = b->weight - weight;
        int sum = carry;
        if (in_a >= 0 && in_a < (int32_t)a->n)
            sum += a->digits[in_a];
        if (in_b >= 0 && in_b < (int32_t)b->n)
            sum += direction * b->digits[in_b];
        carry = sum < 0 ? -1 : sum >= (int)BASE ? 1 : 0;
        digits[top - weight] = (uint16_t)(sum - carry * (int)BASE);
    }
    *out = (struct ph_num){.is_negative = a->is_negative,
                           .weight = top,
                           .dscale = larger(a->dscale, b->dscale),
                           .n = (uint32_t)n,
                           .digits = digits};
    ph_num_strip(out);
    return PH_RULE_OK;
}

enum ph_rule_result
ph_num_add(struct ph_rule_call *call, const struct ph_num *a, const struct ph_num *b,
           struct ph_num *out)
{
    if (a->kind != PH_NUM_FINITE || b->kind != PH_NUM_FINITE) {
        bool opposite = a->kind != PH_NUM_FINITE && b->kind != PH_NUM_FINITE && a->kind != b->kind;
        *out = opposite ? nan_num : a->kind != PH_NUM_FINITE ? *a : *b;
        return PH_RULE_OK;
    }
    if (a->n == 0 || b->n == 0) {
        *out = a->n == 0 ? *b : *a;
        out->dscale = larger(a->dscale, b->dscale);
        return PH_RULE_OK;
    }
    if (a->is_negative == b->is_negative)
        return combine(call, a, b, 1, out);
    if (compare_sizes(a, b) < 0)
        return combine(call, b, a, -1, out);
    return combine(call, a, b, -1, out);
}

enum ph_rule_result
ph_num_subtract(struct ph_rule_call *call, const struct ph_num *a, const struct ph_num *b,
                struct ph_num *out)
{
    struct ph_num negated = ph_num_negated(*b);

    return ph_num_add(call, a, &negated, out);
}

/* ---- products ---- */

enum ph_rule_result
ph_num_multiply(struct ph_rule_call *call, const struct ph_num *a, const struct ph_num *b,
                struct ph_num *out)
{
    if (a->kind != PH_NUM_FINITE || b->kind != PH_NUM_FINITE) {
        int sign = sign_of(a) * sign_of(b);
        bool is_nan = a->kind == PH_NUM_NAN || b->kind == PH_NUM_NAN || sign == 0;
        *out = is_nan ? nan_num : infinity(sign);
        return PH_RULE_OK;
    }
    size_t n = (size_t)a->n + b->n;
    uint16_t *digits = ph_rule_alloc(call, (n + 1) * sizeof *digits);
    if (digits == NULL)
        return PH_RULE_NO_MEMORY;
    memset(digits, 0, (n + 1) * sizeof *digits);
    for (size_t i = a->n; i > 0; i--) {
        uint32_t carry = 0;
        for (size_t j = b->n; j > 0; j--) {
            uint32_t sum =
                digits[i + j - 1] + (uint32_t)a->digits[i - 1] * b->digits[j - 1] + carry;
            digits[i + j - 1] = (uint16_t)(sum % BASE);
            carry = sum / BASE;
        }
        digits[i - 1] = (uint16_t)carry;
    }
    *out = (struct ph_num){.is_negative = a->is_negative != b->is_negative,
                           .weight = a->weight + b->weight + 1,
                           .dscale = a->dscale + b->dscale,
                           .n = (uint32_t)n,
                           .digits = digits};
    ph_num_strip(out);
    if (out->dscale > DSCALE_MAX) {
        struct ph_num exact = *out;
        return ph_num_round(call, &exact, DSCALE_MAX, PH_NUM_HALF_AWAY, out);
    }
    return PH_RULE_OK;
}

/* ---- quotients ---- */

/*
 * Knuth's algorithm D. `u` has n_u digits behind a leading 0 and becomes the remainder, `v` has
 * n_v > 1 digits, the first of them at least BASE / 2; `q` takes n_u - n_v + 1 digits.
 */
static void
divide_long(uint16_t *u, size_t n_u, const uint16_t *v, size_t n_v, uint16_t *q)
{
    for (size_t j = 0; j + n_v <= n_u; j++) {
        uint64_t top = (uint64_t)u[j] * BASE + u[j + 1];
        uint64_t guess = top / v[0];
        uint64_t rest = top % v[0];
        while (guess >= BASE || guess * v[1] > rest * BASE + u[j + 2]) {
            guess--;
            rest += v[0];
            if (rest >= BASE)
                break;
        }
        int64_t borrow = 0;
        for (size_t i = n_v; i > 0; i--) {
            int64_t part = (int64_t)u[j + i] - (int64_t)(guess * v[i - 1]) + borrow;
            borrow = part < 0 ? -((-part + (int64_t)BASE - 1) / (int64_t)BASE) : 0;
            u[j + i] = (uint16_t)(part - borrow * (int64_t)BASE);
        }
        int64_t first = (int64_t)u[j] + borrow;
        if (first < 0) { /* the guess was one too large */
            uint32_t carry = 0;
            guess--;
            for (size_t i = n_v; i > 0; i--) {
                uint32_t sum = (uint32_t)u[j + i] + v[i - 1] + carry;
                u[j + i] = (uint16_t)(sum % BASE);
                carry = sum / BASE;
            }
            first += carry;
        }
        u[j] = (uint16_t)first;
        q[j] = (uint16_t)guess;
    }
}

static void
divide_short(const uint16_t *u, size_t n_u, uint32_t v, uint16_t *q)
{
    uint32_t rest = 0;

    for (size_t i = 0; i < n_u; i++) {
        uint32_t part = rest * BASE + u[i + 1];
        q[i] = (uint16_t)(part / v);
        rest = part % v;
    }
}

static void
scale_digits(const uint16_t *from, size_t n, uint32_t factor, uint16_t *to, uint16_t *carried)
{
    uint32_t carry = 0;

    for (size_t i = n; i > 0; i--) {
        uint32_t part = from[i - 1] * factor + carry;
        to[i - 1] = (uint16_t)(part % BASE);
        carry = part / BASE;
    }
    *carried = (uint16_t)carry;
}

/* a / b cut behind `groups` base-10000 digits behind the point; both finite, b not zero. */
static enum ph_rule_result
quotient(struct ph_rule_call *call, const struct ph_num *a, const struct ph_num *b, int32_t groups,
         struct ph_num *out)
{
    int64_t shift = (int64_t)groups + last_weight(a) - last_weight(b);
    int64_t n_wanted = (int64_t)a->n + shift;

    *out = (struct ph_num){.is_negative = a->is_negative != b->is_negative};
    if (a->n == 0 || n_wanted < (int64_t)b->n) {
        out->is_negative = false;
        return PH_RULE_OK;
    }
    size_t n_u = (size_t)n_wanted;
    size_t n_q = n_u - b->n + 1;
    uint16_t *room = ph_rule_alloc(call, (n_u + 1 + b->n + n_q) * sizeof *room);
    if (room == NULL)
        return PH_RULE_NO_MEMORY;
    uint16_t *u = room;
    uint16_t *v = u + n_u + 1;
    uint16_t *q = v + b->n;
    uint16_t none;
    memset(u, 0, (n_u + 1) * sizeof *u);
    memcpy(u + 1, a->digits, (n_u < a->n ? n_u : a->n) * sizeof *u);
    if (b->n == 1) {
        divide_short(u, n_u, b->digits[0], q);
    } else {
        uint32_t factor = BASE / (b->digits[0] + 1u);
        scale_digits(u + 1, n_u, factor, u + 1, u);
        scale_digits(b->digits, b->n, factor, v, &none);
        divide_long(u, n_u, v, b->n, q);
    }
    out->weight = (int32_t)n_q - 1 - groups;
    out->n = (uint32_t)n_q;
    out->digits = q;
    ph_num_strip(out);
    return PH_RULE_OK;
}

/* select_div_scale */
static int32_t
division_scale(const struct ph_num *a, const struct ph_num *b)
{
    uint32_t first_a = a->n == 0 ? 0 : a->digits[0];
    uint32_t first_b = b->n == 0 ? 0 : b->digits[0];
    int32_t weight = (a->n == 0 ? 0 : a->weight) - (b->n == 0 ? 0 : b->weight);

    if (first_a <= first_b)
        weight--;
    int32_t scale = larger(DIV_MIN_DIGITS - weight * 4, larger(a->dscale, b->dscale));
    return scale < 0 ? 0 : scale > DIV_SCALE_MAX ? DIV_SCALE_MAX : scale;
}

enum ph_rule_result
ph_num_divide(struct ph_rule_call *call, const struct ph_num *a, const struct ph_num *b,
              struct ph_num *out)
{
    struct ph_num cut;

    if (a->kind == PH_NUM_NAN || b->kind == PH_NUM_NAN) {
        *out = nan_num;
        return PH_RULE_OK;
    }
    if (sign_of(b) == 0)
        return ph_rule_bad(call, "division by zero");
    if (b->kind != PH_NUM_FINITE) {
        *out = a->kind != PH_NUM_FINITE ? nan_num : (struct ph_num){.kind = PH_NUM_FINITE};
        return PH_RULE_OK;
    }
    if (a->kind != PH_NUM_FINITE) {
        *out = infinity(sign_of(a) * sign_of(b));
        return PH_RULE_OK;
    }
    int32_t scale = division_scale(a, b);
    PH_OP_TRY(quotient(call, a, b, (scale + 3) / 4 + 1, &cut));
    return ph_num_round(call, &cut, scale, PH_NUM_HALF_AWAY, out);
}

enum ph_rule_result
ph_num_modulo(struct ph_rule_call *call, const struct ph_num *a, const struct ph_num *b,
              struct ph_num *out)
{
    struct ph_num times;
    struct ph_num product;

    if (a->kind == PH_NUM_NAN || b->kind == PH_NUM_NAN) {
        *out = nan_num;
        return PH_RULE_OK;
    }
    if (sign_of(b) == 0)
        return ph_rule_bad(call, "division by zero");
    if (a->kind != PH_NUM_FINITE || b->kind != PH_NUM_FINITE) {
        *out = a->kind != PH_NUM_FINITE ? nan_num : *a;
        return PH_RULE_OK;
    }
    PH_OP_TRY(quotient(call, a, b, 0, &times));
    PH_OP_TRY(ph_num_multiply(call, b, &times, &product));
    product.dscale = b->dscale;
    return ph_num_subtract(call, a, &product, out);
}
