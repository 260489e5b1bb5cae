/*
 * The ISO form of dates and times. It is written as PostgreSQL writes it; read is what PostgreSQL
 * writes, and what others write under that name: T between date and time, Z, fewer digits.
 */
#include "rules/datetime.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void
put_civil_date(const struct ph_civil *civil, struct ph_op_text *out)
{
    char text[40];
    int64_t year = civil->year > 0 ? civil->year : 1 - civil->year;

    snprintf(text, sizeof text, "%04lld-%02d-%02d", (long long)year, civil->month, civil->day);
    ph_op_text_puts(out, text);
}

static void
put_time_of_day(int64_t us, struct ph_op_text *out)
{
    char text[32];
    int fraction = (int)(us % PH_SECOND_US);

    int len = snprintf(text, sizeof text, " %02d:%02d:%02d", (int)(us / PH_HOUR_US),
                       (int)(us / PH_MINUTE_US % 60), (int)(us / PH_SECOND_US % 60));
    if (fraction != 0) {
        len += snprintf(text + len, sizeof text - (size_t)len, ".%06d", fraction);
        while (text[len - 1] == '0')
            len--;
    }
    ph_op_text_append(out, text, (size_t)len);
}

static void
put_offset(int64_t us, struct ph_op_text *out)
{
    char text[32];
    int seconds = (int)(llabs(us) / PH_SECOND_US);

    int len = snprintf(text, sizeof text, "%c%02d", us < 0 ? '-' : '+', seconds / 3600);
    if (seconds % 3600 != 0)
        len += snprintf(text + len, sizeof text - (size_t)len, ":%02d", seconds / 60 % 60);
    if (seconds % 60 != 0)
        len += snprintf(text + len, sizeof text - (size_t)len, ":%02d", seconds % 60);
    ph_op_text_append(out, text, (size_t)len);
}

static void
put_era(const struct ph_civil *civil, struct ph_op_text *out)
{
    if (civil->year <= 0)
        ph_op_text_puts(out, " BC");
}

void
ph_date_put(int32_t days, struct ph_op_text *out)
{
    if (ph_date_is_infinite(days)) {
        ph_op_text_puts(out, days == PH_DATE_INFINITY ? "infinity" : "-infinity");
        return;
    }
    /* A date may be further than a timestamp reaches: whole cycles of the calendar are put aside.
     */
    int64_t cycles = ph_floor_div(days, 146097);
    struct ph_civil civil = ph_civil_of((days - cycles * 146097) * PH_DAY_US);
    civil.year += cycles * 400;
    put_civil_date(&civil, out);
    put_era(&civil, out);
}

static bool
put_infinity(int64_t us, struct ph_op_text *out)
{
    if (ph_time_is_infinite(us))
        ph_op_text_puts(out, us == PH_TIME_INFINITY ? "infinity" : "-infinity");
    return ph_time_is_infinite(us);
}

void
ph_time_put(int64_t us, struct ph_op_text *out)
{
    if (put_infinity(us, out))
        return;
    struct ph_civil civil = ph_civil_of(us);
    put_civil_date(&civil, out);
    put_time_of_day(civil.of_day_us, out);
    put_era(&civil, out);
}

void
ph_time_put_zoned(int64_t us, struct ph_zone *zone, struct ph_op_text *out)
{
    if (put_infinity(us, out))
        return;
    int64_t local = ph_zone_to_local(zone, us);
    struct ph_civil civil = ph_civil_of(local);
    put_civil_date(&civil, out);
    put_time_of_day(civil.of_day_us, out);
    put_offset(local - us, out);
    put_era(&civil, out);
}

/* ---- reading ---- */

static bool
take_char(struct ph_cursor *in, char c)
{
    if (in->at == in->end || *in->at != (uint8_t)c)
        return false;
    in->at++;
    return true;
}

/* `least` to `most` decimal digits. */
static bool
take_number(struct ph_cursor *in, int least, int most, int64_t *out)
{
    int n = 0;

    *out = 0;
    for (; n < most && in->at < in->end && *in->at >= '0' && *in->at <= '9'; n++)
        *out = *out * 10 + (*in->at++ - '0');
    return n >= least;
}

/* Digits behind a decimal point, rounded to microseconds as the server does. */
static bool
take_fraction(struct ph_cursor *in, int64_t *out)
{
    char text[64] = "0.";
    size_t n = 2;

    for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++) {
        if (n < sizeof text - 1)
            text[n++] = (char)*in->at;
    }
    *out = (int64_t)rint(strtod(text, NULL) * 1000000);
    return true;
}

static bool
take_time_of_day(struct ph_cursor *in, int64_t *out)
{
    int64_t hour;
    int64_t minute;
    int64_t second = 0;
    int64_t fraction = 0;

    if (!take_number(in, 1, 2, &hour) || !take_char(in, ':') || !take_number(in, 2, 2, &minute))
        return false;
    if (take_char(in, ':')) {
        if (!take_number(in, 2, 2, &second))
            return false;
        if (take_char(in, '.') && !take_fraction(in, &fraction))
            return false;
    }
    if (hour > 24 || minute > 59 || second > 60)
        return false;
    *out = hour * PH_HOUR_US + minute * PH_MINUTE_US + second * PH_SECOND_US + fraction;
    return *out <= PH_DAY_US;
}

/* Z, +02, +0230, +02:30, +02:30:15 */
static bool
take_offset(struct ph_cursor *in, struct ph_time_text *out)
{
    int64_t hour;
    int64_t minute = 0;
    int64_t second = 0;

    out->has_offset = true;
    if (take_char(in, 'Z') || take_char(in, 'z'))
        return true;
    bool is_west = take_char(in, '-');
    if ((!is_west && !take_char(in, '+')) || !take_number(in, 2, 2, &hour))
        return false;
    if (take_char(in, ':')) {
        if (!take_number(in, 2, 2, &minute))
            return false;
        if (take_char(in, ':') && !take_number(in, 2, 2, &second))
            return false;
    } else {
        struct ph_cursor after = *in;
        if (take_number(&after, 2, 2, &minute))
            *in = after;
        else
            minute = 0;
    }
    if (hour > 15 || minute > 59 || second > 59)
        return false;
    out->offset_us = hour * PH_HOUR_US + minute * PH_MINUTE_US + second * PH_SECOND_US;
    if (is_west)
        out->offset_us = -out->offset_us;
    return true;
}

static void
skip_spaces(struct ph_cursor *in)
{
    while (in->at < in->end && ph_op_is_space(*in->at))
        in->at++;
}

static bool
take_rest(struct ph_cursor *in, struct ph_civil *civil, struct ph_time_text *out)
{
    bool has_time = in->at < in->end && (*in->at == 'T' || *in->at == 't');

    if (has_time)
        in->at++;
    skip_spaces(in);
    if (has_time || (in->at < in->end && *in->at >= '0' && *in->at <= '9')) {
        if (!take_time_of_day(in, &civil->of_day_us))
            return false;
        skip_spaces(in);
        if (in->at < in->end && (*in->at == '+' || *in->at == '-' || (*in->at | 0x20) == 'z') &&
            !take_offset(in, out))
            return false;
        skip_spaces(in);
    }
    struct ph_span rest = {in->at, ph_cursor_left(in)};
    if (ph_op_is_word(rest, "bc"))
        civil->year = 1 - civil->year;
    return rest.len == 0 || ph_op_is_word(rest, "bc") || ph_op_is_word(rest, "ad");
}

enum ph_rule_result
ph_time_parse(struct ph_rule_call *call, struct ph_span text, struct ph_time_text *out)
{
    struct ph_civil civil = {.of_day_us = 0};
    int64_t month;
    int64_t day;

    text = ph_op_trimmed(text);
    *out = (struct ph_time_text){.us = PH_TIME_INFINITY, .days = PH_DATE_INFINITY};
    if (ph_op_is_word(text, "infinity"))
        return PH_RULE_OK;
    *out = (struct ph_time_text){.us = PH_TIME_MINUS_INFINITY, .days = PH_DATE_MINUS_INFINITY};
    if (ph_op_is_word(text, "-infinity"))
        return PH_RULE_OK;
    struct ph_cursor in = ph_cursor_of(text.data, text.len);
    if (!take_number(&in, 4, 7, &civil.year) || !take_char(&in, '-') ||
        !take_number(&in, 1, 2, &month) || !take_char(&in, '-') || !take_number(&in, 1, 2, &day))
        return ph_rule_bad(call, "not a date of the form YYYY-MM-DD");
    if (civil.year == 0 || !take_rest(&in, &civil, out))
        return ph_rule_bad(call, "not a date and time of the ISO form");
    civil.month = (int32_t)month;
    civil.day = (int32_t)day;
    if (month < 1 || month > 12 || day < 1 || day > ph_month_days(civil.year, civil.month))
        return ph_rule_bad(call, "no such day in the calendar");
    out->us = ph_civil_us(&civil);
    out->days = ph_days_of(civil.year, civil.month, civil.day);
    return PH_RULE_OK;
}
