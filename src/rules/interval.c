#include "rules/interval.h"

#include "rules/datetime.h"

struct unit {
    const char *name;
    int64_t months;
    int64_t days;
    int64_t us;
};

/* With and without the s of the plural. */
static const struct unit units[] = {
    {"microsecond", 0, 0, 1},
    {"us", 0, 0, 1},
    {"millisecond", 0, 0, 1000},
    {"ms", 0, 0, 1000},
    {"second", 0, 0, PH_SECOND_US},
    {"sec", 0, 0, PH_SECOND_US},
    {"minute", 0, 0, PH_MINUTE_US},
    {"min", 0, 0, PH_MINUTE_US},
    {"hour", 0, 0, PH_HOUR_US},
    {"hr", 0, 0, PH_HOUR_US},
    {"day", 0, 1, 0},
    {"week", 0, 7, 0},
    {"month", 1, 0, 0},
    {"mon", 1, 0, 0},
    {"year", 12, 0, 0},
    {"yr", 12, 0, 0},
    {"decade", 120, 0, 0},
    {"century", 1200, 0, 0},
    {"centurie", 1200, 0, 0},
};

static void
skip_spaces(struct ph_cursor *in)
{
    while (in->at < in->end && ph_op_is_space(*in->at))
        in->at++;
}

static bool
is_digit(const struct ph_cursor *in)
{
    return in->at < in->end && *in->at >= '0' && *in->at <= '9';
}

static bool
take_char(struct ph_cursor *in, char c)
{
    if (in->at == in->end || *in->at != (uint8_t)c)
        return false;
    in->at++;
    return true;
}

static bool
take_number(struct ph_cursor *in, int64_t *out)
{
    if (!is_digit(in))
        return false;
    for (*out = 0; is_digit(in); in->at++) {
        *out = *out * 10 + (*in->at - '0');
        if (*out > INT64_C(100000000000000000))
            return false;
    }
    return true;
}

/* Behind a decimal point, in millionths; further digits are refused. */
static bool
take_millionths(struct ph_cursor *in, int64_t *out)
{
    const uint8_t *begin = in->at;

    *out = 0;
    for (int i = 0; i < 6; i++)
        *out = *out * 10 + (is_digit(in) ? *in->at++ - '0' : 0);
    return in->at > begin && !is_digit(in);
}

static const struct unit *
take_unit(struct ph_cursor *in)
{
    struct ph_span word = {in->at, 0};

    for (; in->at < in->end && ((*in->at | 0x20) >= 'a' && (*in->at | 0x20) <= 'z'); in->at++)
        word.len++;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        struct ph_span singular = word;
        if (ph_op_is_word(word, units[i].name))
            return &units[i];
        if (word.len > 2 && (word.data[word.len - 1] | 0x20) == 's')
            singular.len--;
        if (ph_op_is_word(singular, units[i].name))
            return &units[i];
    }
    return NULL;
}

static bool
add_times(int64_t number, int64_t by, int64_t sign, int64_t *sum)
{
    int64_t part;

    return !__builtin_mul_overflow(number, by * sign, &part) &&
           !__builtin_add_overflow(*sum, part, sum);
}

/* Behind the hour: ":05", ":05:06", ":05:06.7" */
static bool
take_time(struct ph_cursor *in, int64_t hours, int64_t sign, struct ph_interval *out)
{
    int64_t minutes;
    int64_t seconds = 0;
    int64_t millionths = 0;

    if (!take_number(in, &minutes) || minutes > 59)
        return false;
    if (take_char(in, ':')) {
        if (!take_number(in, &seconds) || seconds > 59)
            return false;
        if (take_char(in, '.') && !take_millionths(in, &millionths))
            return false;
    }
    return add_times(hours, PH_HOUR_US, sign, &out->us) &&
           add_times(minutes, PH_MINUTE_US, sign, &out->us) &&
           add_times(seconds, PH_SECOND_US, sign, &out->us) &&
           add_times(millionths, 1, sign, &out->us);
}

static bool
take_part(struct ph_cursor *in, struct ph_interval *out)
{
    int64_t number;
    int64_t millionths = 0;
    int64_t sign = take_char(in, '-') ? -1 : 1;

    if (sign == 1)
        (void)take_char(in, '+');
    skip_spaces(in);
    if (!take_number(in, &number))
        return false;
    if (take_char(in, ':'))
        return take_time(in, number, sign, out);
    bool has_point = take_char(in, '.');
    if (has_point && !take_millionths(in, &millionths))
        return false;
    skip_spaces(in);
    const struct unit *unit = take_unit(in);
    if (unit == NULL || (has_point && unit->us != PH_SECOND_US))
        return false;
    return add_times(number, unit->months, sign, &out->months) &&
           add_times(number, unit->days, sign, &out->days) &&
           add_times(number, unit->us, sign, &out->us) && add_times(millionths, 1, sign, &out->us);
}

bool
ph_interval_parse(struct ph_span text, struct ph_interval *out)
{
    struct ph_cursor in = ph_cursor_of(text.data, text.len);

    *out = (struct ph_interval){.months = 0};
    skip_spaces(&in);
    if (in.at == in.end)
        return false;
    while (in.at < in.end) {
        if (!take_part(&in, out))
            return false;
        skip_spaces(&in);
    }
    return out->months >= INT32_MIN && out->months <= INT32_MAX && out->days >= INT32_MIN &&
           out->days <= INT32_MAX;
}
