/* What the server would do to values whose form is not one number or text: inner_ops.c's others. */
#include <limits.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "rules/inner_ops.h"

/* ---- interval ---- */

#define INTERVAL_BYTES 16 /* microseconds, days, months */
#define HOUR INT64_C(3600000000)
#define MINUTE INT64_C(60000000)
#define FIELD(bit) (1u << (bit)) /* as the server numbers them in a typmod */
#define MONTHS FIELD(1)
#define YEARS FIELD(2)
#define DAYS FIELD(3)
#define HOURS FIELD(10)
#define MINUTES FIELD(11)
#define ALL_FIELDS 0x7fffu

struct interval {
    int64_t us;
    int32_t days;
    int32_t months;
};

/* What is finer than the last of the fields goes; coarser ones always stay, as in the server. */
static void
cut_interval(struct interval *value, unsigned fields)
{
    if (fields == YEARS)
        value->months = value->months / 12 * 12;
    if (fields == YEARS || fields == MONTHS || fields == (YEARS | MONTHS))
        value->days = 0;
    if (fields == YEARS || fields == MONTHS || fields == (YEARS | MONTHS) || fields == DAYS)
        value->us = 0;
    else if (fields == HOURS || fields == (DAYS | HOURS))
        value->us = value->us / HOUR * HOUR;
    else if (fields == MINUTES || fields == (DAYS | HOURS | MINUTES) || fields == (HOURS | MINUTES))
        value->us = value->us / MINUTE * MINUTE;
}

static bool
round_us(int64_t *us, unsigned long digits)
{
    static const int64_t units[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    int64_t sum;

    if (digits > 5)
        return true;
    int64_t unit = units[digits];
    int64_t half = *us >= 0 ? unit / 2 : -(unit / 2);
    if (__builtin_add_overflow(*us, half, &sum))
        return false;
    *us = sum - sum % unit;
    return true;
}

static bool
is_infinite(const struct interval *value)
{
    return (value->us == INT64_MAX && value->days == INT32_MAX && value->months == INT32_MAX) ||
           (value->us == INT64_MIN && value->days == INT32_MIN && value->months == INT32_MIN);
}

enum ph_rule_result
ph_inner_fit_interval(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct ph_value *in = &args[0];
    unsigned fields = (unsigned)strtoul(call->params[1], NULL, 10);

    if (in->len != INTERVAL_BYTES)
        return ph_rule_bad(call, "is not an interval");
    const struct ph_value days = {in->data + 8, 4};
    const struct ph_value months = {in->data + 12, 4};
    struct interval value = {ph_rule_get_i64(in), ph_rule_get_i32(&days), ph_rule_get_i32(&months)};
    *out = *in;
    if (is_infinite(&value))
        return PH_RULE_OK;
    if (fields != ALL_FIELDS)
        cut_interval(&value, fields);
    if (!round_us(&value.us, strtoul(call->params[0], NULL, 10)))
        return ph_rule_bad(call, "is out of range once rounded");
    uint8_t *bytes = ph_rule_alloc(call, INTERVAL_BYTES);
    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    ph_rule_put_i64(bytes, value.us);
    ph_rule_put_i32(bytes + 8, value.days);
    ph_rule_put_i32(bytes + 12, value.months);
    *out = (struct ph_value){bytes, INTERVAL_BYTES};
    return PH_RULE_OK;
}

/* ---- bit(n), varbit(n), name, labels ---- */

/* Assignment neither pads nor cuts bits. */
enum ph_rule_result
ph_inner_fit_bits(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    long limit = strtol(call->params[0], NULL, 10);

    if (args[0].len < 4)
        return ph_rule_bad(call, "is not a bit string");
    int32_t bits = ph_rule_get_i32(&args[0]);
    if (bits > limit)
        return ph_rule_bad(call, "has more bits than the column");
    if (bits < limit && strcmp(call->params[1], "exactly") == 0)
        return ph_rule_bad(call, "has fewer bits than the column");
    *out = args[0];
    return PH_RULE_OK;
}

#define NAME_BYTES 63

enum ph_rule_result
ph_inner_fit_name(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    *out = args[0];
    return args[0].len > NAME_BYTES ? ph_rule_bad(call, "is longer than a name") : PH_RULE_OK;
}

/* Of an array's element; a column's own value is looked up by the program itself. */
enum ph_rule_result
ph_inner_fit_label(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    *out = args[0];
    for (uint32_t i = 0; i < call->n_params; i++) {
        if (strlen(call->params[i]) == (size_t)args[0].len &&
            memcmp(call->params[i], args[0].data, (size_t)args[0].len) == 0)
            return PH_RULE_OK;
    }
    return ph_rule_bad(call, "has an element that is no value of the column's enum");
}

/* ---- arrays ---- */

#define ARRAY_HEADER 12 /* dimensions, flags, element type */
#define DIMENSIONS_MAX 6

struct array_fit { /* of each element */
    const struct ph_rule_op *op;
    struct ph_rule_call call;
};

bool
ph_inner_prepare_array(struct ph_rule_call *call)
{
    struct array_fit *fit = calloc(1, sizeof *fit);

    if (fit == NULL)
        return false;
    call->state = fit;
    if (call->n_params < 2)
        return true;
    fit->op = ph_inner_op(call->params[1]);
    fit->call = *call;
    fit->call.state = NULL;
    fit->call.params = call->params + 2;
    fit->call.n_params = call->n_params - 2;
    fit->call.n_args = 1;
    return fit->op->prepare == NULL || fit->op->prepare(&fit->call);
}

void
ph_inner_release_array(struct ph_rule_call *call)
{
    struct array_fit *fit = call->state;

    if (fit != NULL && fit->op != NULL && fit->op->release != NULL)
        fit->op->release(&fit->call);
    free(fit);
    call->state = NULL;
}

/* The element type's OID that the target expects, and the elements as they are. */
static enum ph_rule_result
with_oid(struct ph_rule_call *call, const struct ph_value *in, struct ph_value *out)
{
    uint8_t *bytes = ph_rule_alloc(call, (size_t)in->len);

    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    memcpy(bytes, in->data, (size_t)in->len);
    ph_rule_put_i32(bytes + 8, (int32_t)(uint32_t)strtoul(call->params[0], NULL, 10));
    *out = (struct ph_value){bytes, in->len};
    return PH_RULE_OK;
}

/* Behind the header and the dimensions; the number of elements that then must follow. */
static bool
skip_header(struct ph_cursor *in, uint32_t *n)
{
    uint32_t dimensions;
    uint32_t ignored;
    uint32_t size;
    uint64_t product = 1;

    if (!ph_take_u32(in, &dimensions) || !ph_take_u32(in, &ignored) || !ph_take_u32(in, &ignored) ||
        dimensions > DIMENSIONS_MAX)
        return false;
    for (uint32_t i = 0; i < dimensions; i++) {
        if (!ph_take_u32(in, &size) || !ph_take_u32(in, &ignored))
            return false;
        product *= size;
        if (product > ph_cursor_left(in) / 4)
            return false;
    }
    *n = dimensions == 0 ? 0 : (uint32_t)product;
    return true;
}

static enum ph_rule_result
fit_elements(struct ph_rule_call *call, struct ph_cursor in, struct ph_value *fitted, uint32_t n)
{
    struct array_fit *fit = call->state;

    for (uint32_t i = 0; i < n; i++) {
        int32_t len;
        struct ph_span element;
        if (!ph_take_i32(&in, &len) || len < PH_VALUE_NULL ||
            !ph_take_span(&in, len < 0 ? 0 : (size_t)len, &element))
            return ph_rule_bad(call, "is not an array");
        fitted[i] = (struct ph_value){element.data, len};
        if (len < 0)
            continue;
        const struct ph_value value = fitted[i];
        enum ph_rule_result rc = fit->op->run(&fit->call, &value, &fitted[i]);
        if (rc == PH_RULE_BAD)
            return ph_rule_bad(call, fit->call.message);
        if (rc != PH_RULE_OK)
            return rc;
    }
    return ph_cursor_left(&in) == 0 ? PH_RULE_OK : ph_rule_bad(call, "is not an array");
}

static enum ph_rule_result
put_elements(struct ph_rule_call *call, struct ph_value header, const struct ph_value *fitted,
             uint32_t n, struct ph_value *out)
{
    size_t len = (size_t)header.len;

    for (uint32_t i = 0; i < n; i++)
        len += 4 + (fitted[i].len > 0 ? (size_t)fitted[i].len : 0);
    if (len > INT32_MAX)
        return ph_rule_bad(call, "is too long");
    uint8_t *bytes = ph_rule_alloc(call, len);
    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    uint8_t *at = bytes;
    memcpy(at, header.data, (size_t)header.len);
    at += header.len;
    for (uint32_t i = 0; i < n; i++) {
        ph_rule_put_i32(at, fitted[i].len);
        at += 4;
        if (fitted[i].len > 0) {
            memcpy(at, fitted[i].data, (size_t)fitted[i].len);
            at += fitted[i].len;
        }
    }
    *out = (struct ph_value){bytes, (int32_t)len};
    return PH_RULE_OK;
}

enum ph_rule_result
ph_inner_fit_array(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct array_fit *fit = call->state;
    struct ph_value array;
    uint32_t n;

    if (args[0].len < ARRAY_HEADER)
        return ph_rule_bad(call, "is not an array");
    enum ph_rule_result rc = with_oid(call, &args[0], &array);
    if (rc != PH_RULE_OK || fit->op == NULL) {
        *out = array;
        return rc;
    }
    struct ph_cursor in = ph_cursor_of(array.data, (size_t)array.len);
    if (!skip_header(&in, &n))
        return ph_rule_bad(call, "is not an array");
    struct ph_value *fitted = ph_rule_alloc(call, ((size_t)n + 1) * sizeof *fitted);
    if (fitted == NULL)
        return PH_RULE_NO_MEMORY;
    struct ph_value header = {array.data, (int32_t)((size_t)array.len - ph_cursor_left(&in))};
    rc = fit_elements(call, in, fitted, n);
    return rc == PH_RULE_OK ? put_elements(call, header, fitted, n, out) : rc;
}
