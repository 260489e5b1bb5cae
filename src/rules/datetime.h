/*
 * PostgreSQL's dates and timestamps: days and microseconds since 2000-01-01, their parts by the
 * Gregorian calendar, the ISO form of text, and zones. Pure but for zones, which are one thread's.
 */
#ifndef PH_RULES_DATETIME_H
#define PH_RULES_DATETIME_H

#include "rules/op_parts.h"

#define PH_DAY_US INT64_C(86400000000)
#define PH_HOUR_US INT64_C(3600000000)
#define PH_MINUTE_US INT64_C(60000000)
#define PH_SECOND_US INT64_C(1000000)

#define PH_DATE_MINUS_INFINITY INT32_MIN
#define PH_DATE_INFINITY INT32_MAX
#define PH_TIME_MINUS_INFINITY INT64_MIN
#define PH_TIME_INFINITY INT64_MAX

struct ph_civil {  /* a moment by the calendar */
    int64_t year;  /* 0 is 1 BC */
    int32_t month; /* 1 to 12 */
    int32_t day;   /* 1 to 31 */
    int64_t of_day_us;
};

/* Days since 2000-01-01; month and day within their bounds. */
int64_t ph_days_of(int64_t year, int32_t month, int32_t day);
int32_t ph_month_days(int64_t year, int32_t month);
struct ph_civil ph_civil_of(int64_t us);
int64_t ph_civil_us(const struct ph_civil *civil);
int64_t ph_floor_div(int64_t value, int64_t by);

static inline bool
ph_date_is_infinite(int32_t days)
{
    return days == PH_DATE_INFINITY || days == PH_DATE_MINUS_INFINITY;
}

static inline bool
ph_time_is_infinite(int64_t us)
{
    return us == PH_TIME_INFINITY || us == PH_TIME_MINUS_INFINITY;
}

/* PH_RULE_BAD for what PostgreSQL has no place for. */
enum ph_rule_result ph_date_check(struct ph_rule_call *call, int64_t days);
enum ph_rule_result ph_time_check(struct ph_rule_call *call, int64_t us);
/* `days` with midnight; infinities stay. */
enum ph_rule_result ph_date_to_time(struct ph_rule_call *call, int32_t days, int64_t *out);
int32_t ph_time_to_date(int64_t us);

/* ---- zones ---- */

struct ph_zone;

/* "Europe/Berlin", "UTC". NULL: there is none of that name, or no memory; message says so. */
struct ph_zone *ph_zone_new(struct ph_rule_call *call, const char *name);
void ph_zone_free(struct ph_zone *zone); /* NULL is fine */
/* Local time of a moment and back; infinities stay. NULL is UTC. A local time that is not there is
 * read with the offset before the gap, one that is there twice is the later. */
int64_t ph_zone_to_local(struct ph_zone *zone, int64_t us);
int64_t ph_zone_from_local(struct ph_zone *zone, int64_t local_us);

/* ---- text ---- */

void ph_date_put(int32_t days, struct ph_op_text *out);
void ph_time_put(int64_t us, struct ph_op_text *out);
/* With the offset from UTC behind it. */
void ph_time_put_zoned(int64_t us, struct ph_zone *zone, struct ph_op_text *out);

struct ph_time_text { /* what was read */
    int64_t us;       /* by the calendar; or an infinity */
    int64_t days;     /* of the date in it, which may be further than `us` reaches */
    bool has_offset;
    int64_t offset_us; /* east of UTC */
};

/* PH_RULE_BAD when it is not of the ISO form. */
enum ph_rule_result ph_time_parse(struct ph_rule_call *call, struct ph_span text,
                                  struct ph_time_text *out);

#endif
