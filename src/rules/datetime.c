#include "rules/datetime.h"

#define EPOCH_DAYS INT64_C(730425)   /* from 0000-03-01 to 2000-01-01 */
#define DATE_MIN INT64_C(-2451545)   /* 4714-11-24 BC */
#define DATE_END INT64_C(2145031949) /* 5874898-06-03 */
#define TIME_DATE_END INT64_C(106751983)
#define TIME_MIN INT64_C(-211813488000000000)
#define TIME_END INT64_C(9223371331200000000)

int64_t
ph_floor_div(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

/* Years begin in March here, so that the day that comes and goes is the last. */
int64_t
ph_days_of(int64_t year, int32_t month, int32_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = ph_floor_div(y, 400);
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS;
}

static bool
is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int32_t
ph_month_days(int64_t year, int32_t month)
{
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

struct ph_civil
ph_civil_of(int64_t us)
{
    int64_t days = ph_floor_div(us, PH_DAY_US);
    int64_t z = days + EPOCH_DAYS;
    int64_t era = ph_floor_div(z, 146097);
    int64_t of_era = z - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;

    return (struct ph_civil){
        .year = era * 400 + y + (m >= 10),
        .month = (int32_t)(m < 10 ? m + 3 : m - 9),
        .day = (int32_t)(of_year - (153 * m + 2) / 5 + 1),
        .of_day_us = us - days * PH_DAY_US,
    };
}

int64_t
ph_civil_us(const struct ph_civil *civil)
{
    int64_t days = ph_days_of(civil->year, civil->month, civil->day);
    int64_t us;

    if (__builtin_mul_overflow(days, PH_DAY_US, &us) ||
        __builtin_add_overflow(us, civil->of_day_us, &us))
        return days < 0 ? TIME_MIN - 1 : TIME_END;
    /* The first and last day of int64 would pass for infinities. */
    return ph_time_is_infinite(us) ? TIME_END : us;
}

enum ph_rule_result
ph_date_check(struct ph_rule_call *call, int64_t days)
{
    if (days < DATE_MIN || days >= DATE_END)
        return ph_rule_bad(call, "date out of range");
    return PH_RULE_OK;
}

enum ph_rule_result
ph_time_check(struct ph_rule_call *call, int64_t us)
{
    if (us < TIME_MIN || us >= TIME_END)
        return ph_rule_bad(call, "timestamp out of range");
    return PH_RULE_OK;
}

enum ph_rule_result
ph_date_to_time(struct ph_rule_call *call, int32_t days, int64_t *out)
{
    if (ph_date_is_infinite(days)) {
        *out = days == PH_DATE_INFINITY ? PH_TIME_INFINITY : PH_TIME_MINUS_INFINITY;
        return PH_RULE_OK;
    }
    if (days >= TIME_DATE_END || days < DATE_MIN)
        return ph_rule_bad(call, "date out of range of timestamp");
    *out = days * PH_DAY_US;
    return PH_RULE_OK;
}

int32_t
ph_time_to_date(int64_t us)
{
    if (ph_time_is_infinite(us))
        return us == PH_TIME_INFINITY ? PH_DATE_INFINITY : PH_DATE_MINUS_INFINITY;
    return (int32_t)ph_floor_div(us, PH_DAY_US);
}
