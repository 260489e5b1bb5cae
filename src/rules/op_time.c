/*
 * Dates and times: cut, shifted, taken apart, and from and to seconds since 1970. Of a timestamptz
 * the calendar is that of a zone, the last parameter, UTC when there is none.
 */
#include <stdlib.h>

#include "rules/datetime.h"
#include "rules/interval.h"
#include "rules/op_families.h"

#define DAYS_TO_1970 10957

enum unit {
    UNIT_MICROSECONDS,
    UNIT_MILLISECONDS,
    UNIT_SECOND,
    UNIT_MINUTE,
    UNIT_HOUR,
    UNIT_DAY,
    UNIT_WEEK,
    UNIT_MONTH,
    UNIT_QUARTER,
    UNIT_YEAR,
    UNIT_DECADE,
    UNIT_CENTURY,
    UNIT_MILLENNIUM,
    /* of extract only */
    UNIT_DOW,
    UNIT_ISODOW,
    UNIT_DOY,
    UNIT_ISOYEAR,
    UNITS
};

static const char *const unit_names[UNITS] = {
    "microseconds", "milliseconds", "second",  "minute", "hour",    "day",
    "week",         "month",        "quarter", "year",   "decade",  "century",
    "millennium",   "dow",          "isodow",  "doy",    "isoyear",
};

struct time_state {
    enum unit unit;
    struct ph_interval interval;
    struct ph_zone *zone; /* NULL: UTC */
};

static void
release(struct ph_rule_call *call)
{
    struct time_state *state = call->state;

    if (state != NULL)
        ph_zone_free(state->zone);
    free(state);
    call->state = NULL;
}

static bool
keep_state(struct ph_rule_call *call, const struct time_state *made)
{
    struct time_state *state = malloc(sizeof *state);

    if (state == NULL)
        return ph_op_refuse(call, "out of memory");
    *state = *made;
    call->state = state;
    if (call->n_params < 2)
        return true;
    state->zone = ph_zone_new(call, call->params[1]);
    if (state->zone == NULL)
        release(call);
    return call->state != NULL;
}

static bool
prepare_unit(struct ph_rule_call *call, uint32_t n_params, enum unit least, enum unit most)
{
    struct time_state state = {.unit = UNITS};

    if (!ph_op_params(call, 1, n_params))
        return false;
    for (enum unit unit = least; unit <= most; unit++) {
        if (ph_op_is_word(ph_op_param_text(call, 0), unit_names[unit]))
            state.unit = unit;
    }
    if (state.unit == UNITS)
        return ph_op_refuse(call, "no unit as year, month, week, day, hour");
    return keep_state(call, &state);
}

static enum ph_rule_result
take_time(struct ph_rule_call *call, const struct ph_value *arg, int64_t *out)
{
    PH_OP_TRY(ph_op_take_i64(call, arg, out));
    return ph_time_is_infinite(*out) ? PH_RULE_OK : ph_time_check(call, *out);
}

static enum ph_rule_result
give_time(struct ph_rule_call *call, int64_t us, struct ph_value *out)
{
    PH_OP_TRY(ph_time_check(call, us));
    return ph_op_give_i64(call, us, out);
}

static int64_t
monday_of(int64_t days)
{
    return days - (days + 5 - 7 * ph_floor_div(days + 5, 7));
}

/* ---- date_trunc ---- */

/* The first year of so many, counted as centuries are. */
static int64_t
first_year(int64_t year, int64_t of)
{
    return year > 0 ? (year + of - 1) / of * of - of + 1 : -((of - 1 - (year - 1)) / of) * of + 1;
}

static void
truncate_civil(struct ph_civil *civil, enum unit unit)
{
    static const int64_t steps[] = {1, 1000, PH_SECOND_US, PH_MINUTE_US, PH_HOUR_US};

    if (unit <= UNIT_HOUR) {
        civil->of_day_us -= civil->of_day_us % steps[unit];
        return;
    }
    civil->of_day_us = 0;
    if (unit == UNIT_DAY)
        return;
    if (unit == UNIT_WEEK) {
        int64_t days = ph_days_of(civil->year, civil->month, civil->day);
        civil->day -= (int32_t)(days - monday_of(days)); /* may be before the month */
        return;
    }
    civil->day = 1;
    if (unit == UNIT_MONTH)
        return;
    civil->month = unit == UNIT_QUARTER ? civil->month - (civil->month - 1) % 3 : 1;
    if (unit == UNIT_DECADE)
        civil->year =
            civil->year > 0 ? civil->year / 10 * 10 : -((8 - (civil->year - 1)) / 10) * 10;
    else if (unit == UNIT_CENTURY)
        civil->year = first_year(civil->year, 100);
    else if (unit == UNIT_MILLENNIUM)
        civil->year = first_year(civil->year, 1000);
}

static int64_t
truncated(int64_t us, enum unit unit)
{
    struct ph_civil civil = ph_civil_of(us);

    truncate_civil(&civil, unit);
    return ph_civil_us(&civil);
}

static enum ph_rule_result
trunc_timestamp(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct time_state *state = call->state;
    int64_t us;

    PH_OP_TRY(take_time(call, &args[0], &us));
    if (ph_time_is_infinite(us))
        return ph_op_give_i64(call, us, out);
    return give_time(call, truncated(us, state->unit), out);
}

/* Below a day the offset stays what it is, also where clocks are turned back. */
static enum ph_rule_result
trunc_timestamptz(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct time_state *state = call->state;
    int64_t us;

    PH_OP_TRY(take_time(call, &args[0], &us));
    if (ph_time_is_infinite(us))
        return ph_op_give_i64(call, us, out);
    int64_t local = ph_zone_to_local(state->zone, us);
    int64_t cut = truncated(local, state->unit);
    return give_time(
        call, state->unit <= UNIT_HOUR ? cut - (local - us) : ph_zone_from_local(state->zone, cut),
        out);
}

static enum ph_rule_result
trunc_date(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct time_state *state = call->state;
    int32_t days;
    int64_t us;

    PH_OP_TRY(ph_op_take_i32(call, &args[0], &days));
    PH_OP_TRY(ph_date_to_time(call, days, &us));
    if (ph_time_is_infinite(us))
        return ph_op_give_i32(call, days, out);
    us = truncated(us, state->unit);
    PH_OP_TRY(ph_time_check(call, us));
    return ph_op_give_i32(call, ph_time_to_date(us), out);
}

static bool
prepare_trunc(struct ph_rule_call *call)
{
    return prepare_unit(call, 1, UNIT_MICROSECONDS, UNIT_MILLENNIUM);
}

static bool
prepare_trunc_zone(struct ph_rule_call *call)
{
    return prepare_unit(call, 2, UNIT_MICROSECONDS, UNIT_MILLENNIUM);
}

/* ---- shift ---- */

static bool
prepare_shift_zone(struct ph_rule_call *call)
{
    struct time_state state = {.unit = UNITS};

    if (!ph_op_params(call, 1, 2))
        return false;
    if (!ph_interval_parse(ph_op_param_text(call, 0), &state.interval))
        return ph_op_refuse(call, "not an interval as \"3 days\" or \"-1 month 02:00\"");
    return keep_state(call, &state);
}

static bool
prepare_shift(struct ph_rule_call *call)
{
    return ph_op_params(call, 1, 1) && prepare_shift_zone(call);
}

/* To the last day of a month that is shorter. */
static enum ph_rule_result
shift_months(struct ph_rule_call *call, struct ph_zone *zone, int64_t by, int64_t *us)
{
    struct ph_civil civil = ph_civil_of(ph_zone_to_local(zone, *us));
    int64_t months = civil.year * 12 + civil.month - 1 + by;

    civil.year = ph_floor_div(months, 12);
    civil.month = (int32_t)(months - civil.year * 12 + 1);
    if (civil.day > ph_month_days(civil.year, civil.month))
        civil.day = ph_month_days(civil.year, civil.month);
    int64_t local = ph_civil_us(&civil);
    PH_OP_TRY(ph_time_check(call, local));
    *us = ph_zone_from_local(zone, local);
    return PH_RULE_OK;
}

static enum ph_rule_result
shift_days(struct ph_rule_call *call, struct ph_zone *zone, int64_t by, int64_t *us)
{
    int64_t local = ph_zone_to_local(zone, *us);
    int64_t by_us;

    if (__builtin_mul_overflow(by, PH_DAY_US, &by_us) ||
        __builtin_add_overflow(local, by_us, &local))
        return ph_rule_bad(call, "timestamp out of range");
    PH_OP_TRY(ph_time_check(call, local));
    *us = ph_zone_from_local(zone, local);
    return PH_RULE_OK;
}

static enum ph_rule_result
shifted(struct ph_rule_call *call, int64_t us, int64_t *out)
{
    const struct time_state *state = call->state;
    const struct ph_interval *by = &state->interval;

    *out = us;
    if (ph_time_is_infinite(us))
        return PH_RULE_OK;
    if (by->months != 0)
        PH_OP_TRY(shift_months(call, state->zone, by->months, out));
    if (by->days != 0)
        PH_OP_TRY(shift_days(call, state->zone, by->days, out));
    if (__builtin_add_overflow(*out, by->us, out))
        return ph_rule_bad(call, "timestamp out of range");
    return ph_time_check(call, *out);
}

static enum ph_rule_result
shift_time(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    int64_t us;

    PH_OP_TRY(take_time(call, &args[0], &us));
    PH_OP_TRY(shifted(call, us, &us));
    return ph_op_give_i64(call, us, out);
}

static enum ph_rule_result
shift_date(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    int32_t days;
    int64_t us;

    PH_OP_TRY(ph_op_take_i32(call, &args[0], &days));
    PH_OP_TRY(ph_date_to_time(call, days, &us));
    PH_OP_TRY(shifted(call, us, &us));
    return ph_op_give_i32(call, ph_time_to_date(us), out);
}

/* ---- extract ---- */

static int64_t
century_of(int64_t year, int64_t of)
{
    return year > 0 ? (year + of - 1) / of : -((of - 1 - (year - 1)) / of);
}

static int64_t
extract_week(int64_t days, enum unit unit)
{
    int64_t thursday = monday_of(days) + 3;
    int64_t year = ph_civil_of(thursday * PH_DAY_US).year;

    if (unit == UNIT_WEEK)
        return (thursday - ph_days_of(year, 1, 1)) / 7 + 1;
    return year > 0 ? year : year - 1;
}

static int64_t
extract_time(int64_t of_day_us, enum unit unit)
{
    switch ((int)unit) {
    case UNIT_HOUR:
        return of_day_us / PH_HOUR_US;
    case UNIT_MINUTE:
        return of_day_us / PH_MINUTE_US % 60;
    case UNIT_SECOND:
        return of_day_us / PH_SECOND_US % 60;
    case UNIT_MILLISECONDS:
        return of_day_us % PH_MINUTE_US / 1000;
    default:
        return of_day_us % PH_MINUTE_US;
    }
}

static int64_t
extract(int64_t us, enum unit unit)
{
    struct ph_civil civil = ph_civil_of(us);
    int64_t days = ph_floor_div(us, PH_DAY_US);

    switch (unit) {
    case UNIT_YEAR:
        return civil.year > 0 ? civil.year : civil.year - 1;
    case UNIT_QUARTER:
        return (civil.month - 1) / 3 + 1;
    case UNIT_MONTH:
        return civil.month;
    case UNIT_DAY:
        return civil.day;
    case UNIT_DECADE:
        return civil.year >= 0 ? civil.year / 10 : -((8 - (civil.year - 1)) / 10);
    case UNIT_CENTURY:
        return century_of(civil.year, 100);
    case UNIT_MILLENNIUM:
        return century_of(civil.year, 1000);
    case UNIT_DOW:
        return (days - monday_of(days) + 1) % 7;
    case UNIT_ISODOW:
        return days - monday_of(days) + 1;
    case UNIT_DOY:
        return days - ph_days_of(civil.year, 1, 1) + 1;
    case UNIT_WEEK:
    case UNIT_ISOYEAR:
        return extract_week(days, unit);
    case UNIT_HOUR:
    case UNIT_MINUTE:
    case UNIT_SECOND:
    case UNIT_MILLISECONDS:
    case UNIT_MICROSECONDS:
    case UNITS:
        break;
    }
    return extract_time(civil.of_day_us, unit);
}

static enum ph_rule_result
give_extract(struct ph_rule_call *call, int64_t us, struct ph_value *out)
{
    const struct time_state *state = call->state;

    if (ph_time_is_infinite(us))
        return ph_rule_bad(call, "infinity has no parts");
    return ph_op_give_i32(call, (int32_t)extract(us, state->unit), out);
}

static enum ph_rule_result
extract_timestamptz(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct time_state *state = call->state;
    int64_t us;

    PH_OP_TRY(take_time(call, &args[0], &us));
    return give_extract(call, ph_zone_to_local(state->zone, us), out);
}

static enum ph_rule_result
extract_date(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    int32_t days;
    int64_t us;

    PH_OP_TRY(ph_op_take_i32(call, &args[0], &days));
    PH_OP_TRY(ph_date_to_time(call, days, &us));
    return give_extract(call, us, out);
}

static bool
prepare_extract(struct ph_rule_call *call)
{
    return prepare_unit(call, 1, UNIT_MICROSECONDS, UNIT_ISOYEAR);
}

static bool
prepare_extract_zone(struct ph_rule_call *call)
{
    return prepare_unit(call, 2, UNIT_MICROSECONDS, UNIT_ISOYEAR);
}

static bool
prepare_extract_date(struct ph_rule_call *call)
{
    return prepare_unit(call, 1, UNIT_DAY, UNIT_ISOYEAR);
}

/* ---- since 1970 ---- */

struct epoch_unit {
    const char *name;
    int64_t us;
};

static bool
prepare_epoch(struct ph_rule_call *call)
{
    static const struct epoch_unit units[] = {
        {"seconds", PH_SECOND_US}, {"milliseconds", 1000}, {"microseconds", 1}};

    if (!ph_op_params(call, 0, 1))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (call->n_params > 0 && !ph_op_is_word(ph_op_param_text(call, 0), units[i].name))
            continue;
        int64_t *state = malloc(sizeof *state);
        if (state == NULL)
            return ph_op_refuse(call, "out of memory");
        *state = units[i].us;
        call->state = state;
        return true;
    }
    return ph_op_refuse(call, "the unit is seconds, milliseconds or microseconds");
}

static enum ph_rule_result
from_epoch(struct ph_rule_call *call, int64_t value, struct ph_value *out)
{
    const int64_t *unit_us = call->state;
    int64_t us;

    if (__builtin_mul_overflow(value, *unit_us, &us) ||
        __builtin_sub_overflow(us, DAYS_TO_1970 * PH_DAY_US, &us))
        return ph_rule_bad(call, "timestamp out of range");
    return give_time(call, us, out);
}

static enum ph_rule_result
from_epoch_int4(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    int32_t value;

    PH_OP_TRY(ph_op_take_i32(call, &args[0], &value));
    return from_epoch(call, value, out);
}

static enum ph_rule_result
from_epoch_int8(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    int64_t value;

    PH_OP_TRY(ph_op_take_i64(call, &args[0], &value));
    return from_epoch(call, value, out);
}

static enum ph_rule_result
to_epoch(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const int64_t *unit_us = call->state;
    int64_t us;

    PH_OP_TRY(take_time(call, &args[0], &us));
    if (ph_time_is_infinite(us))
        return ph_rule_bad(call, "infinity is no number of seconds");
    int64_t epoch = DAYS_TO_1970 * (PH_DAY_US / *unit_us);
    return ph_op_give_i64(call, ph_floor_div(us, *unit_us) + epoch, out);
}

#define BAD PH_RULE_MAY_BAD
#define SAME (PH_RULE_MAY_BAD | PH_RULE_INJECTIVE)

const struct ph_rule_op ph_time_ops[PH_TIME_OPS] = {
    {"date_trunc", "timestamp -> timestamp", "unit", BAD, trunc_timestamp, prepare_trunc, release,
     "the begin of its year, month, week, day, hour"},
    {"date_trunc", "timestamptz -> timestamptz", "unit, zone?", BAD, trunc_timestamptz,
     prepare_trunc_zone, release, "the begin of its year, month, week, day, hour in the zone"},
    {"date_trunc", "date -> date", "unit", BAD, trunc_date, prepare_trunc, release,
     "the begin of its year, month, week"},
    {"shift", "timestamp -> timestamp", "interval", BAD, shift_time, prepare_shift, release,
     "later by the interval, earlier by a negative one"},
    {"shift", "timestamptz -> timestamptz", "interval, zone?", BAD, shift_time, prepare_shift_zone,
     release, "later by the interval, by the calendar of the zone"},
    {"shift", "date -> date", "interval", BAD, shift_date, prepare_shift, release,
     "later by the interval, earlier by a negative one"},
    {"extract", "timestamp -> int4", "part", BAD, extract_timestamptz, prepare_extract, release,
     "its year, month, day, hour, week, dow"},
    {"extract", "timestamptz -> int4", "part, zone?", BAD, extract_timestamptz,
     prepare_extract_zone, release, "its year, month, day, hour, week, dow in the zone"},
    {"extract", "date -> int4", "part", BAD, extract_date, prepare_extract_date, release,
     "its year, month, day, week, dow"},
    {"from_epoch", "int4 -> timestamptz", "unit?", SAME, from_epoch_int4, prepare_epoch,
     ph_op_free_state, "so many seconds, milliseconds or microseconds since 1970"},
    {"from_epoch", "int8 -> timestamptz", "unit?", SAME, from_epoch_int8, prepare_epoch,
     ph_op_free_state, "so many seconds, milliseconds or microseconds since 1970"},
    {"to_epoch", "timestamptz -> int8", "unit?", BAD, to_epoch, prepare_epoch, ph_op_free_state,
     "whole seconds, milliseconds or microseconds since 1970"},
};
