#include "flow/lookup_read.h"

#include "base/stop.h"
#include "flow/query_scan.h"

struct reading {
    ph_lookup_take *take;
    struct ph_lookups *lookups;
    uint32_t number;
};

static struct ph_value
value_of(struct ph_span field)
{
    if (field.data == NULL)
        return (struct ph_value){NULL, PH_VALUE_NULL};
    return (struct ph_value){field.data, (int32_t)field.len};
}

static ph_code
take_row(void *arg, const struct ph_span *fields, struct ph_error *err)
{
    const struct reading *reading = arg;

    PH_TRY(ph_stop_check(err));
    return reading->take(reading->lookups, reading->number, value_of(fields[0]),
                         value_of(fields[1]), err);
}

ph_code
ph_lookup_read(struct ph_conn *conn, const char *sql, ph_lookup_take *take,
               struct ph_lookups *lookups, uint32_t number, struct ph_error *err)
{
    struct reading reading = {.take = take, .lookups = lookups, .number = number};
    const struct ph_query_scan_params params = {
        .conn = conn, .select = sql, .n_fields = 2, .max_row_bytes = INT32_MAX};

    return ph_query_scan(&params, take_row, &reading, err);
}
