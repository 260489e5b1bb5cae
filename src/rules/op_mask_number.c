/*
 * mask_number: any number within low and high, drawn from HMAC of the number. Integers of every
 * width draw the same for the same number, so that joins over them agree.
 */
#include <math.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include "rules/mask_families.h"
#include "rules/mask_parts.h"

/* Bounds of numeric are kept in units of 10^-9. */
#define BOUND_SCALE 9
#define BOUND_DIGITS_MAX 15

#define NUMERIC_BASE 10000u
#define NUMERIC_HEADER 8
#define NUMERIC_NEGATIVE 0x4000
#define NUMERIC_NAN 0xc000
#define NUMERIC_SCALE_MAX 0x3fff
#define NUMERIC_GROUPS_MAX 10

struct number {
    struct ph_prf prf;
    int64_t low;
    int64_t high;
    __int128 low_units; /* numeric */
    __int128 high_units;
    __int128 low_of[BOUND_SCALE + 1]; /* the same in units of 10^-scale, as far as in range */
    __int128 high_of[BOUND_SCALE + 1];
    double low_float;
    double high_float;
};

static void
release_number(struct ph_rule_call *call)
{
    ph_mask_free(call, sizeof(struct number));
}

static struct number *
begin(struct ph_rule_call *call)
{
    if (ph_mask_param(call, 0) == NULL || ph_mask_param(call, 1) == NULL) {
        ph_mask_refuse(call, "takes low and high");
        return NULL;
    }
    return ph_mask_state(call, sizeof(struct number));
}

static bool
finish(struct ph_rule_call *call, struct number *number, bool ok, bool in_order)
{
    if (ok && !in_order)
        ok = ph_mask_refuse(call, "low is above high");
    if (ok && ph_prf_init_label(&number->prf, call, "pghaul mask_number"))
        return true;
    release_number(call);
    return false;
}

/* ---- integers ---- */

static bool
prepare_int(struct ph_rule_call *call, int64_t least, int64_t most)
{
    struct number *number = begin(call);

    if (number == NULL)
        return false;
    bool ok = ph_mask_param_int(call, 0, least, most, &number->low) &&
              ph_mask_param_int(call, 1, least, most, &number->high);
    return finish(call, number, ok, number->low <= number->high);
}

static bool
prepare_int2(struct ph_rule_call *call)
{
    return prepare_int(call, INT16_MIN, INT16_MAX);
}

static bool
prepare_int4(struct ph_rule_call *call)
{
    return prepare_int(call, INT32_MIN, INT32_MAX);
}

static bool
prepare_int8(struct ph_rule_call *call)
{
    return prepare_int(call, INT64_MIN, INT64_MAX);
}

static enum ph_rule_result
mask_int(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct number *number = call->state;
    int32_t width = args[0].len;
    struct ph_draw draw;
    uint8_t bytes[8];

    if (width != 2 && width != 4 && width != 8)
        return ph_rule_bad(call, "not an integer");
    memset(bytes, (args[0].data[0] & 0x80) != 0 ? 0xff : 0, sizeof bytes);
    memcpy(bytes + 8 - width, args[0].data, (size_t)width);
    ph_draw_init(&draw, &number->prf, (struct ph_span){bytes, sizeof bytes});
    uint8_t *to = ph_mask_room(call, 8, out);
    if (to == NULL)
        return PH_RULE_NO_MEMORY;
    uint64_t n = (uint64_t)number->high - (uint64_t)number->low + 1; /* 0: all */
    uint64_t word = ph_draw_word(&draw);
    if (n != 0)
        word = (uint64_t)((unsigned __int128)word * n >> 64);
    ph_store_u64(to, (uint64_t)number->low + word);
    *out = (struct ph_value){to + 8 - width, width};
    return PH_RULE_OK;
}

/* ---- float8 ---- */

static bool
prepare_float(struct ph_rule_call *call)
{
    struct number *number = begin(call);
    double bounds[2] = {0};
    bool ok = number != NULL;

    for (uint32_t i = 0; ok && i < 2; i++) {
        char *end;
        bounds[i] = strtod(call->params[i], &end);
        if (end == call->params[i] || *end != '\0' || !isfinite(bounds[i]))
            ok = ph_mask_refuse(call, "a parameter is not a number");
    }
    if (number == NULL)
        return false;
    number->low_float = bounds[0];
    number->high_float = bounds[1];
    return finish(call, number, ok, bounds[0] <= bounds[1]);
}

static enum ph_rule_result
mask_float(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    static const uint8_t minus_zero[8] = {0x80};
    static const uint8_t zero[8] = {0};
    const struct number *number = call->state;
    struct ph_span in = ph_mask_span(&args[0]);
    struct ph_draw draw;
    union {
        double value;
        uint64_t bits;
    } drawn;

    if (in.len != 8)
        return ph_rule_bad(call, "not a float8");
    if (memcmp(in.data, minus_zero, 8) == 0)
        in.data = zero;
    ph_draw_init(&draw, &number->prf, in);
    uint8_t *to = ph_mask_room(call, 8, out);
    if (to == NULL)
        return PH_RULE_NO_MEMORY;
    double share = (double)(ph_draw_word(&draw) >> 11) * 0x1p-53;
    drawn.value = number->low_float * (1 - share) + number->high_float * share;
    drawn.value = fmin(fmax(drawn.value, number->low_float), number->high_float);
    ph_store_u64(to, drawn.bits);
    return PH_RULE_OK;
}

/* ---- numeric ---- */

/* "-12.50" in units of 10^-9. */
static bool
parse_units(struct ph_rule_call *call, const char *text, __int128 *out)
{
    const char *c = text + (*text == '-' || *text == '+');
    int n_before = 0;
    int n_behind = -1; /* no point yet */
    __int128 units = 0;

    for (; *c != '\0'; c++) {
        if (*c == '.' && n_behind < 0) {
            n_behind = 0;
            continue;
        }
        if (*c < '0' || *c > '9' || n_behind == BOUND_SCALE || n_before == BOUND_DIGITS_MAX)
            return ph_mask_refuse(call, "a parameter is not a number of 15 and 9 digits");
        units = units * 10 + (*c - '0');
        if (n_behind >= 0)
            n_behind++;
        else
            n_before++;
    }
    if (n_before == 0)
        return ph_mask_refuse(call, "a parameter is not a number");
    for (int i = n_behind < 0 ? 0 : n_behind; i < BOUND_SCALE; i++)
        units *= 10;
    *out = *text == '-' ? -units : units;
    return true;
}

static void
scale_bounds(struct number *number)
{
    __int128 unit = 1;

    for (uint32_t scale = BOUND_SCALE + 1; scale-- > 0; unit *= 10) {
        number->low_of[scale] = number->low_units / unit + (number->low_units % unit > 0);
        number->high_of[scale] = number->high_units / unit - (number->high_units % unit < 0);
    }
}

static bool
prepare_numeric(struct ph_rule_call *call)
{
    struct number *number = begin(call);

    if (number == NULL)
        return false;
    bool ok = parse_units(call, call->params[0], &number->low_units) &&
              parse_units(call, call->params[1], &number->high_units);
    scale_bounds(number);
    return finish(call, number, ok, number->low_units <= number->high_units);
}

static bool
is_numeric(struct ph_span in)
{
    if (in.len < NUMERIC_HEADER)
        return false;
    uint32_t sign = ph_load_u16(in.data + 4);
    size_t n = ph_load_u16(in.data);
    if (in.len != NUMERIC_HEADER + 2 * n || ph_load_u16(in.data + 6) > NUMERIC_SCALE_MAX)
        return false;
    return sign == 0 || sign == NUMERIC_NEGATIVE || (sign >= NUMERIC_NAN && n == 0);
}

/* Of `units` of 10^-scale; `shown` is how many digits behind the point are told. */
static enum ph_rule_result
give_numeric(struct ph_rule_call *call, __int128 units, uint32_t scale, uint32_t shown,
             struct ph_value *out)
{
    unsigned __int128 left = (unsigned __int128)(units < 0 ? -units : units);
    uint16_t groups[NUMERIC_GROUPS_MAX] = {0};
    uint32_t n = 0;
    uint32_t n_zero = 0; /* groups at the end that are not written */

    for (; scale % 4 != 0; scale++)
        left *= 10;
    for (; left > UINT64_MAX && n < NUMERIC_GROUPS_MAX; left /= NUMERIC_BASE)
        groups[n++] = (uint16_t)(left % NUMERIC_BASE);
    /* what is left is divided by one instruction */
    for (uint64_t word = (uint64_t)left; word > 0 && n < NUMERIC_GROUPS_MAX; word /= NUMERIC_BASE)
        groups[n++] = (uint16_t)(word % NUMERIC_BASE);
    while (n_zero < n && groups[n_zero] == 0)
        n_zero++;
    uint8_t *to = ph_mask_room(call, NUMERIC_HEADER + (size_t)2 * (n - n_zero), out);
    if (to == NULL)
        return PH_RULE_NO_MEMORY;
    ph_store_u16(to, (uint16_t)(n - n_zero));
    ph_store_u16(to + 2, n == 0 ? 0 : (uint16_t)(n - scale / 4 - 1));
    ph_store_u16(to + 4, units < 0 ? NUMERIC_NEGATIVE : 0);
    ph_store_u16(to + 6, (uint16_t)shown);
    for (uint32_t i = 0; i < n - n_zero; i++)
        ph_store_u16(to + NUMERIC_HEADER + (size_t)2 * i, groups[n - 1 - i]);
    return PH_RULE_OK;
}

/* With as many digits behind the point as it has, nine at most; more when no such is in range. */
static enum ph_rule_result
mask_numeric(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct number *number = call->state;
    struct ph_span in = ph_mask_span(&args[0]);
    uint8_t seed[PH_PRF_SIZE];
    struct ph_draw draw;

    if (!is_numeric(in))
        return ph_rule_bad(call, "not a numeric");
    /* weight, sign and digits: 1.0 and 1.00 are one number */
    ph_prf_two(&number->prf, (struct ph_span){in.data + 2, 4},
               (struct ph_span){in.data + NUMERIC_HEADER, in.len - NUMERIC_HEADER}, seed);
    ph_draw_seed(&draw, &number->prf, seed);
    uint32_t shown = ph_load_u16(in.data + 6);
    uint32_t scale = shown < BOUND_SCALE ? shown : BOUND_SCALE;
    __int128 low = number->low_of[scale];
    __int128 high = number->high_of[scale];
    if (low > high) {
        low = number->low_units;
        high = number->high_units;
        scale = BOUND_SCALE;
        shown = shown < BOUND_SCALE ? BOUND_SCALE : shown;
    }
    unsigned __int128 random = (unsigned __int128)ph_draw_word(&draw) << 64;
    random |= ph_draw_word(&draw);
    low += (__int128)(random % (unsigned __int128)(high - low + 1));
    return give_numeric(call, low, scale, shown, out);
}

#define MASK (PH_RULE_SECRET | PH_RULE_MASK | PH_RULE_MAY_BAD)
#define ROW(type, run, prepare)                                                                    \
    {                                                                                              \
        "mask_number", #type " -> " #type, "low, high", MASK, run, prepare, release_number,        \
            "a number between low and high"                                                        \
    }

const struct ph_rule_op ph_mask_number_ops[PH_MASK_NUMBER_OPS] = {
    ROW(int2, mask_int, prepare_int2),      ROW(int4, mask_int, prepare_int4),
    ROW(int8, mask_int, prepare_int8),      ROW(numeric, mask_numeric, prepare_numeric),
    ROW(float8, mask_float, prepare_float),
};
