/*
 * Masks of values that are no text: dates shifted, numbers and truth values drawn, addresses of
 * the network exchanged; and NULL.
 */
#include <openssl/crypto.h>
#include <stdlib.h>

#include "rules/mask_families.h"
#include "rules/mask_perm.h"

#define DAY_US INT64_C(86400000000)
#define DATE_MIN (-2451545) /* 4714-11-24 BC */
#define DATE_MAX 2145031948 /* 5874897-12-31 */
#define TIME_MIN (-INT64_C(211813488000000000))
#define TIME_MAX (INT64_C(9223371331200000000) - 1)

/* ---- null, bool ---- */

static enum ph_rule_result
mask_null(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    (void)call;
    (void)args;
    *out = (struct ph_value){NULL, PH_VALUE_NULL};
    return PH_RULE_OK;
}

static bool
prepare_bool(struct ph_rule_call *call)
{
    return ph_mask_prepare_prf(call, "pghaul mask_bool");
}

/* Of the row's key alone: a function of one bit would be that bit or nothing. */
static enum ph_rule_result
mask_bool(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    uint8_t random[PH_PRF_SIZE];

    (void)args;
    if (call->row_key.data == NULL || call->row_key.len <= 0)
        return ph_rule_bad(call, "the row has no key");
    uint8_t *byte = ph_mask_room(call, 1, out);
    if (byte == NULL)
        return PH_RULE_NO_MEMORY;
    ph_prf(call->state, ph_mask_span(&call->row_key), random);
    *byte = random[0] & 1;
    return PH_RULE_OK;
}

/* ---- date: by 1 to `days` days to either side ---- */

struct shift {
    struct ph_prf prf;
    int64_t days;
};

static void
release_date(struct ph_rule_call *call)
{
    ph_mask_free(call, sizeof(struct shift));
}

static bool
prepare_date(struct ph_rule_call *call)
{
    struct shift *shift = ph_mask_state(call, sizeof *shift);

    if (shift == NULL)
        return false;
    shift->days = 365;
    if (ph_mask_param_int(call, 0, 1, 36500, &shift->days) &&
        ph_prf_init_label(&shift->prf, call, "pghaul mask_date"))
        return true;
    release_date(call);
    return false;
}

static int64_t
days_of(const struct shift *shift, struct ph_span person)
{
    struct ph_draw draw;

    ph_draw_init(&draw, &shift->prf, person);
    int64_t days = 1 + (int64_t)ph_draw_below(&draw, (uint32_t)shift->days);
    return ph_draw_below(&draw, 2) == 0 ? days : -days;
}

/* What would leave the calendar goes to the other side. Infinity stays. */
static enum ph_rule_result
shift_value(struct ph_rule_call *call, const struct ph_value *arg, struct ph_span person,
            struct ph_value *out)
{
    const struct shift *shift = call->state;
    bool is_date = arg->len == 4;

    if (arg->len != 4 && arg->len != 8)
        return ph_rule_bad(call, "not a date");
    int64_t value = is_date ? ph_rule_get_i32(arg) : ph_rule_get_i64(arg);
    int64_t low = is_date ? DATE_MIN : TIME_MIN;
    int64_t high = is_date ? DATE_MAX : TIME_MAX;
    bool infinite = is_date ? value == INT32_MIN || value == INT32_MAX
                            : value == INT64_MIN || value == INT64_MAX;
    if (infinite) {
        *out = *arg;
        return PH_RULE_OK;
    }
    if (value < low || value > high)
        return ph_rule_bad(call, "not a date");
    uint8_t *bytes = ph_mask_room(call, (size_t)arg->len, out);
    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    int64_t by = days_of(shift, person) * (is_date ? 1 : DAY_US);
    if ((by > 0 && value > high - by) || (by < 0 && value < low - by))
        by = -by;
    if (is_date)
        ph_rule_put_i32(bytes, (int32_t)(value + by));
    else
        ph_rule_put_i64(bytes, value + by);
    return PH_RULE_OK;
}

static enum ph_rule_result
mask_date_of_row(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    if (call->row_key.data == NULL || call->row_key.len <= 0)
        return ph_rule_bad(call, "the row has no key");
    return shift_value(call, &args[0], ph_mask_span(&call->row_key), out);
}

/* All dates of one person move together; those of nobody (NULL) too. */
static enum ph_rule_result
mask_date_of_person(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    if (args[0].len == PH_VALUE_NULL) {
        *out = args[0];
        return PH_RULE_OK;
    }
    return shift_value(call, &args[0], ph_mask_span(&args[1]), out);
}

/* The person by a number: the same in every width. */
static enum ph_rule_result
mask_date_of_number(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    uint8_t wide[8];
    struct ph_value person = args[1];
    int32_t width = person.len;

    if (width == 2 || width == 4) {
        memset(wide, (person.data[0] & 0x80) != 0 ? 0xff : 0, sizeof wide);
        memcpy(wide + 8 - width, person.data, (size_t)width);
        person = (struct ph_value){wide, 8};
    }
    const struct ph_value wide_args[] = {args[0], person};
    return mask_date_of_person(call, wide_args, out);
}

/* ---- ip: the family and the length of the network stay ---- */

#define INET_V4 2
#define INET_V6 3

static bool
prepare_ip(struct ph_rule_call *call)
{
    return ph_mask_prepare_perm(call, "pghaul mask_ip");
}

/* The first n_bits of an address of `size` bytes become others. */
static bool
permute_bits(const struct ph_perm *perm, uint8_t *address, uint32_t size, uint32_t n_bits)
{
    unsigned __int128 all = 0;
    uint32_t rest = 8 * size - n_bits;

    for (uint32_t i = 0; i < size; i++)
        all = all << 8 | address[i];
    if (n_bits == 0)
        return true;
    unsigned __int128 number = all >> rest;
    uint32_t n_right = n_bits - n_bits / 2;
    uint64_t right_mask = UINT64_MAX >> (64 - n_right);
    uint64_t pair[2] = {(uint64_t)(number >> n_right), (uint64_t)number & right_mask};
    if (!ph_perm_pair(perm, n_bits << 8 | size, n_bits / 2 == 64 ? 0 : UINT64_C(1) << n_bits / 2,
                      n_right == 64 ? 0 : UINT64_C(1) << n_right, pair))
        return false;
    number = (unsigned __int128)pair[0] << n_right | pair[1];
    all = number << rest | (all & (((unsigned __int128)1 << rest) - 1));
    for (uint32_t i = size; i-- > 0; all >>= 8)
        address[i] = (uint8_t)all;
    return true;
}

static enum ph_rule_result
mask_ip(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const uint8_t *in = args[0].data;

    if (args[0].len != 8 && args[0].len != 20)
        return ph_rule_bad(call, "not an address");
    uint32_t size = (uint32_t)args[0].len - 4;
    bool is_cidr = in[2] != 0;
    if (in[0] != (size == 4 ? INET_V4 : INET_V6) || in[1] > 8 * size || in[3] != size)
        return ph_rule_bad(call, "not an address");
    uint8_t *bytes = ph_mask_room(call, (size_t)args[0].len, out);
    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    memcpy(bytes, in, (size_t)args[0].len);
    /* what lies outside of a network is 0 and stays so */
    if (!permute_bits(call->state, bytes + 4, size, is_cidr ? in[1] : 8 * size))
        return ph_rule_bad(call, "AES failed");
    return PH_RULE_OK;
}

#define MASK (PH_RULE_SECRET | PH_RULE_MASK)
#define KEYED (MASK | PH_RULE_KEYED | PH_RULE_MAY_BAD)
#define PERSON (MASK | PH_RULE_TAKES_NULL | PH_RULE_MAY_BAD)
#define PERMUTED (MASK | PH_RULE_INJECTIVE | PH_RULE_MAY_BAD)
#define DATE_ROW(type)                                                                             \
    {                                                                                              \
        "mask_date", #type " -> " #type, "days?", KEYED, mask_date_of_row, prepare_date,           \
            release_date, "shifted by up to so many days (365), by the row's key"                  \
    }
#define NUMBER_ROW(type, number)                                                                   \
    {                                                                                              \
        "mask_date", #type ", " #number " -> " #type, "days?", PERSON, mask_date_of_number,        \
            prepare_date, release_date,                                                            \
            "shifted by up to so many days (365), by the second: a person's number"                \
    }
#define PERSON_ROW(type)                                                                           \
    {                                                                                              \
        "mask_date", #type ", any -> " #type, "days?", PERSON, mask_date_of_person, prepare_date,  \
            release_date, "shifted by up to so many days (365), by the second: a person's id"      \
    }

const struct ph_rule_op ph_mask_value_ops[PH_MASK_VALUE_OPS] = {
    {"mask_null", "any -> any", NULL, PH_RULE_MASK | PH_RULE_TAKES_NULL | PH_RULE_MAY_NULL,
     mask_null, NULL, NULL, "NULL"},
    {"mask_bool", "bool -> bool", NULL, KEYED, mask_bool, prepare_bool, ph_mask_release_prf,
     "true or false by the row's key"},
    DATE_ROW(date),
    DATE_ROW(timestamp),
    DATE_ROW(timestamptz),
    NUMBER_ROW(date, int2),
    NUMBER_ROW(date, int4),
    NUMBER_ROW(timestamp, int2),
    NUMBER_ROW(timestamp, int4),
    NUMBER_ROW(timestamptz, int2),
    NUMBER_ROW(timestamptz, int4),
    PERSON_ROW(date),
    PERSON_ROW(timestamp),
    PERSON_ROW(timestamptz),
    {"mask_ip", "inet -> inet", NULL, PERMUTED, mask_ip, prepare_ip, ph_mask_release_perm,
     "another address of the family"},
    {"mask_ip", "cidr -> cidr", NULL, PERMUTED, mask_ip, prepare_ip, ph_mask_release_perm,
     "another network of the size"},
};
