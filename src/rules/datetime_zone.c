/*
 * Zones by ICU, which has the same IANA data as PostgreSQL, of its own version. Names that the two
 * read differently (three letters, GMT+n) are refused.
 */
#include "rules/datetime.h"

#include <stdlib.h>
#include <unicode/ucal.h>
#include <unicode/ustring.h>

#define EPOCH_MS INT64_C(946684800000) /* 2000-01-01 since 1970 */

struct ph_zone {
    UCalendar *calendar; /* NULL: UTC */
    bool is_utc;
};

static bool
is_ambiguous(const char *name)
{
    static const char *const plain[] = {"UTC", "GMT", "CET", "EET", "MET", "WET"};

    if (strchr(name, '/') != NULL)
        return strncmp(name, "Etc/Unknown", 11) == 0;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (strcmp(name, plain[i]) == 0)
            return false;
    }
    return strlen(name) <= 3 || strncmp(name, "GMT", 3) == 0 || strncmp(name, "UTC", 3) == 0;
}

static bool
is_utc(const char *name)
{
    return strcmp(name, "UTC") == 0 || strcmp(name, "GMT") == 0 || strcmp(name, "Etc/UTC") == 0;
}

struct ph_zone *
ph_zone_new(struct ph_rule_call *call, const char *name)
{
    UChar id[64];
    UChar canonical[64];
    UBool is_system;
    UErrorCode status = U_ZERO_ERROR;

    if (strlen(name) >= sizeof id / sizeof id[0] || is_ambiguous(name)) {
        (void)ph_rule_bad(call, "no zone of that name; it is written as in Europe/Berlin");
        return NULL;
    }
    struct ph_zone *zone = calloc(1, sizeof *zone);
    if (zone == NULL) {
        (void)ph_rule_bad(call, "out of memory");
        return NULL;
    }
    zone->is_utc = is_utc(name);
    if (zone->is_utc)
        return zone;
    u_charsToUChars(name, id, (int32_t)strlen(name) + 1);
    ucal_getCanonicalTimeZoneID(id, -1, canonical, sizeof canonical / sizeof canonical[0],
                                &is_system, &status);
    if (U_SUCCESS(status) && is_system)
        zone->calendar = ucal_open(id, -1, "", UCAL_GREGORIAN, &status);
    if (U_FAILURE(status) || zone->calendar == NULL) {
        (void)ph_rule_bad(call, "no zone of that name; it is written as in Europe/Berlin");
        ph_zone_free(zone);
        return NULL;
    }
    return zone;
}

void
ph_zone_free(struct ph_zone *zone)
{
    if (zone == NULL)
        return;
    if (zone->calendar != NULL)
        ucal_close(zone->calendar);
    free(zone);
}

static UDate
date_of(int64_t us)
{
    return (UDate)(ph_floor_div(us, PH_SECOND_US) * 1000 + EPOCH_MS);
}

int64_t
ph_zone_to_local(struct ph_zone *zone, int64_t us)
{
    UErrorCode status = U_ZERO_ERROR;

    if (zone == NULL || zone->is_utc || ph_time_is_infinite(us))
        return us;
    ucal_setMillis(zone->calendar, date_of(us), &status);
    int32_t offset_ms = ucal_get(zone->calendar, UCAL_ZONE_OFFSET, &status) +
                        ucal_get(zone->calendar, UCAL_DST_OFFSET, &status);
    return us + offset_ms * INT64_C(1000);
}

int64_t
ph_zone_from_local(struct ph_zone *zone, int64_t local_us)
{
    UErrorCode status = U_ZERO_ERROR;
    int32_t raw = 0;
    int32_t saving = 0;

    if (zone == NULL || zone->is_utc || ph_time_is_infinite(local_us))
        return local_us;
    ucal_setMillis(zone->calendar, date_of(local_us), &status);
    ucal_getTimeZoneOffsetFromLocal(zone->calendar, UCAL_TZ_LOCAL_FORMER, UCAL_TZ_LOCAL_LATTER,
                                    &raw, &saving, &status);
    return local_us - (raw + saving) * INT64_C(1000);
}
