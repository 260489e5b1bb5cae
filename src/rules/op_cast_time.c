/*
 * Casts of date, timestamp and timestamptz to each other and to text. Where a zone matters it is
 * the second parameter, UTC when there is none: never the session's, which nobody wrote down.
 */
#include "rules/datetime.h"
#include "rules/op_cast.h"
#include "rules/op_families.h"

bool
ph_cast_prepare_zone(struct ph_rule_call *call)
{
    if (!ph_op_params(call, 0, 2))
        return false;
    if (call->n_params == 2)
        call->state = ph_zone_new(call, call->params[1]);
    return call->n_params < 2 || call->state != NULL;
}

void
ph_cast_release_zone(struct ph_rule_call *call)
{
    ph_zone_free(call->state);
    call->state = NULL;
}

static enum ph_rule_result
give_time(struct ph_rule_call *call, int64_t us, struct ph_value *out)
{
    if (!ph_time_is_infinite(us))
        PH_OP_TRY(ph_time_check(call, us));
    return ph_op_give_i64(call, us, out);
}

static enum ph_rule_result
give_date(struct ph_rule_call *call, int64_t days, struct ph_value *out)
{
    if (days != PH_DATE_INFINITY && days != PH_DATE_MINUS_INFINITY)
        PH_OP_TRY(ph_date_check(call, days));
    return ph_op_give_i32(call, (int32_t)days, out);
}

/* A timestamp that the server can have. */
static enum ph_rule_result
take_time(struct ph_rule_call *call, const struct ph_value *arg, int64_t *out)
{
    PH_OP_TRY(ph_op_take_i64(call, arg, out));
    return ph_time_is_infinite(*out) ? PH_RULE_OK : ph_time_check(call, *out);
}

/* ---- each other ---- */

enum ph_rule_result
ph_cast_date_to_timestamp(struct ph_rule_call *call, const struct ph_value *args,
                          struct ph_value *out)
{
    int32_t days;
    int64_t us;

    PH_OP_TRY(ph_op_take_i32(call, &args[0], &days));
    PH_OP_TRY(ph_date_to_time(call, days, &us));
    return give_time(call, us, out);
}

enum ph_rule_result
ph_cast_date_to_timestamptz(struct ph_rule_call *call, const struct ph_value *args,
                            struct ph_value *out)
{
    int32_t days;
    int64_t us;

    PH_OP_TRY(ph_op_take_i32(call, &args[0], &days));
    PH_OP_TRY(ph_date_to_time(call, days, &us));
    return give_time(call, ph_zone_from_local(call->state, us), out);
}

enum ph_rule_result
ph_cast_timestamp_to_date(struct ph_rule_call *call, const struct ph_value *args,
                          struct ph_value *out)
{
    int64_t us;

    PH_OP_TRY(take_time(call, &args[0], &us));
    return give_date(call, ph_time_to_date(us), out);
}

enum ph_rule_result
ph_cast_timestamptz_to_date(struct ph_rule_call *call, const struct ph_value *args,
                            struct ph_value *out)
{
    int64_t us;

    PH_OP_TRY(take_time(call, &args[0], &us));
    return give_date(call, ph_time_to_date(ph_zone_to_local(call->state, us)), out);
}

enum ph_rule_result
ph_cast_timestamp_to_timestamptz(struct ph_rule_call *call, const struct ph_value *args,
                                 struct ph_value *out)
{
    int64_t us;

    PH_OP_TRY(take_time(call, &args[0], &us));
    return give_time(call, ph_zone_from_local(call->state, us), out);
}

enum ph_rule_result
ph_cast_timestamptz_to_timestamp(struct ph_rule_call *call, const struct ph_value *args,
                                 struct ph_value *out)
{
    int64_t us;

    PH_OP_TRY(take_time(call, &args[0], &us));
    return give_time(call, ph_zone_to_local(call->state, us), out);
}

/* ---- text ---- */

enum { TIME_CHARS = 48 };

enum ph_rule_result
ph_cast_date_to_text(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_op_text text = ph_op_text_of(call, TIME_CHARS);
    int32_t days;

    PH_OP_TRY(ph_op_take_i32(call, &args[0], &days));
    if (!ph_date_is_infinite(days))
        PH_OP_TRY(ph_date_check(call, days));
    ph_date_put(days, &text);
    return ph_op_text_give(&text, out);
}

enum ph_rule_result
ph_cast_timestamp_to_text(struct ph_rule_call *call, const struct ph_value *args,
                          struct ph_value *out)
{
    struct ph_op_text text = ph_op_text_of(call, TIME_CHARS);
    int64_t us;

    PH_OP_TRY(take_time(call, &args[0], &us));
    ph_time_put(us, &text);
    return ph_op_text_give(&text, out);
}

enum ph_rule_result
ph_cast_timestamptz_to_text(struct ph_rule_call *call, const struct ph_value *args,
                            struct ph_value *out)
{
    struct ph_op_text text = ph_op_text_of(call, TIME_CHARS);
    int64_t us;

    PH_OP_TRY(take_time(call, &args[0], &us));
    ph_time_put_zoned(us, call->state, &text);
    return ph_op_text_give(&text, out);
}

/* A time of day and an offset may stand behind it; they are left out as the server does. */
enum ph_rule_result
ph_cast_text_to_date(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_time_text time;

    PH_OP_TRY(ph_time_parse(call, ph_op_span(&args[0]), &time));
    return give_date(call, time.days, out);
}

/* An offset is left out, as the server does. */
enum ph_rule_result
ph_cast_text_to_timestamp(struct ph_rule_call *call, const struct ph_value *args,
                          struct ph_value *out)
{
    struct ph_time_text time;

    PH_OP_TRY(ph_time_parse(call, ph_op_span(&args[0]), &time));
    return give_time(call, time.us, out);
}

enum ph_rule_result
ph_cast_text_to_timestamptz(struct ph_rule_call *call, const struct ph_value *args,
                            struct ph_value *out)
{
    struct ph_time_text time;

    PH_OP_TRY(ph_time_parse(call, ph_op_span(&args[0]), &time));
    if (!ph_time_is_infinite(time.us))
        time.us =
            time.has_offset ? time.us - time.offset_us : ph_zone_from_local(call->state, time.us);
    return give_time(call, time.us, out);
}

const struct ph_rule_op ph_cast_time_ops[] = {PH_CASTS_OF_TIMES(PH_CAST_ROW)
                                                  PH_CASTS_IN_A_ZONE(PH_CAST_ZONED_ROW)};
