#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_vectors.h"

#define TS "timestamp -> timestamp"
#define TZ "timestamptz -> timestamptz"
#define D "date -> date"

static void
test_date_trunc(void **state)
{
    static const struct op_vector vectors[] = {
        {"date_trunc", TS, {"hour"}, {"1999-12-31 23:59:59.5"}, "1999-12-31 23:00:00"},
        {"date_trunc", TS, {"week"}, {"2024-03-03 12:00"}, "2024-02-26 00:00:00"},
        {"date_trunc", TS, {"week"}, {"2024-01-02 12:00"}, "2024-01-01 00:00:00"},
        {"date_trunc", TS, {"QUARTER"}, {"2024-06-30 12:00"}, "2024-04-01 00:00:00"},
        {"date_trunc", TS, {"decade"}, {"0005-01-01 BC"}, "0011-01-01 00:00:00 BC"},
        {"date_trunc", TS, {"century"}, {"2000-05-05"}, "1901-01-01 00:00:00"},
        {"date_trunc", TS, {"millennium"}, {"2001-05-05"}, "2001-01-01 00:00:00"},
        {"date_trunc", TS, {"month"}, {"infinity"}, "infinity"},
        {"date_trunc", TS, {"moon"}, {"infinity"}, "REFUSED"},
        {"date_trunc", TS, {"month", "UTC"}, {"infinity"}, "REFUSED"},
        {"date_trunc", TS, {"century"}, {"4714-11-24 BC"}, "BAD"},
        {"date_trunc",
         TZ,
         {"day", "Europe/Berlin"},
         {"2024-06-30 22:30Z"},
         "2024-06-30 22:00:00+00"},
        {"date_trunc", TZ, {"day", "Mars/Base"}, {"2024-06-30 22:30Z"}, "REFUSED"},
        {"date_trunc", D, {"month"}, {"2024-02-29"}, "2024-02-01"},
    };

    (void)state;
    OP_VECTORS_CHECK(vectors);
}

static void
test_shift(void **state)
{
    static const struct op_vector vectors[] = {
        {"shift", D, {"1 month"}, {"2024-01-31"}, "2024-02-29"},
        {"shift", D, {"-1 month"}, {"2024-03-31"}, "2024-02-29"},
        {"shift", D, {"1 mon -1 day"}, {"2023-01-31"}, "2023-02-27"},
        {"shift", D, {"-12:00"}, {"2023-01-31"}, "2023-01-30"},
        {"shift", D, {"2weeks"}, {"2023-01-31"}, "2023-02-14"},
        {"shift", D, {"3 days"}, {"infinity"}, "infinity"},
        {"shift", D, {"1 century"}, {"294276-01-01"}, "BAD"},
        {"shift", TS, {"1.5 seconds"}, {"2023-12-31 23:59:59"}, "2024-01-01 00:00:00.5"},
        {"shift", TS, {"-1 year +02:03:04.25"}, {"2024-02-29"}, "2023-02-28 02:03:04.25"},
        {"shift", TS, {"1 us"}, {"294276-12-31 23:59:59.999999"}, "BAD"},
        {"shift", TZ, {"1 day", "Europe/Berlin"}, {"2024-03-30 11:00Z"}, "2024-03-31 10:00:00+00"},
        {"shift",
         TZ,
         {"24 hours", "Europe/Berlin"},
         {"2024-03-30 11:00Z"},
         "2024-03-31 11:00:00+00"},
        {"shift", D, {""}, {"2024-01-31"}, "REFUSED"},
        {"shift", D, {"3"}, {"2024-01-31"}, "REFUSED"},
        {"shift", D, {"1.5 days"}, {"2024-01-31"}, "REFUSED"},
        {"shift", D, {"3 moons"}, {"2024-01-31"}, "REFUSED"},
        {"shift", D, {"99999999999 months"}, {"2024-01-31"}, "REFUSED"},
        {"shift", D, {"9999999999999999999999 us"}, {"2024-01-31"}, "REFUSED"},
    };

    (void)state;
    OP_VECTORS_CHECK(vectors);
}

static void
test_parts(void **state)
{
    static const struct op_vector vectors[] = {
        {"extract", "date -> int4", {"year"}, {"0001-01-01 BC"}, "-1"},
        {"extract", "date -> int4", {"week"}, {"2021-01-03"}, "53"},
        {"extract", "date -> int4", {"isoyear"}, {"2021-01-03"}, "2020"},
        {"extract", "date -> int4", {"dow"}, {"2021-01-03"}, "0"},
        {"extract", "date -> int4", {"isodow"}, {"2021-01-03"}, "7"},
        {"extract", "date -> int4", {"doy"}, {"2024-12-31"}, "366"},
        {"extract", "date -> int4", {"hour"}, {"2024-12-31"}, "REFUSED"},
        {"extract", "date -> int4", {"year"}, {"infinity"}, "BAD"},
        {"extract", "timestamp -> int4", {"minute"}, {"2024-12-31 12:34:56.789"}, "34"},
        {"extract", "timestamp -> int4", {"milliseconds"}, {"2024-12-31 12:34:56.789"}, "56789"},
        {"extract", "timestamptz -> int4", {"hour", "Asia/Tokyo"}, {"2024-12-31 12:34Z"}, "21"},
        {"from_epoch", "int4 -> timestamptz", OP_NO_PARAMS, {"-1"}, "1969-12-31 23:59:59+00"},
        {"from_epoch",
         "int8 -> timestamptz",
         {"milliseconds"},
         {"1700000000123"},
         "2023-11-14 22:13:20.123+00"},
        {"from_epoch", "int8 -> timestamptz", OP_NO_PARAMS, {"9223372036854775807"}, "BAD"},
        {"from_epoch", "int8 -> timestamptz", {"hours"}, {"1"}, "REFUSED"},
        {"to_epoch", "timestamptz -> int8", OP_NO_PARAMS, {"1969-12-31 23:59:59.5Z"}, "-1"},
        {"to_epoch", "timestamptz -> int8", OP_NO_PARAMS, {"-infinity"}, "BAD"},
    };

    (void)state;
    OP_VECTORS_CHECK(vectors);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_date_trunc),
        cmocka_unit_test(test_shift),
        cmocka_unit_test(test_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
