/*
 * Casts between text and scalars, as PostgreSQL's input and output functions have them. Those of
 * dates are in op_cast_time.c, of JSON in op_cast_json.c.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "rules/num.h"
#include "rules/op_cast.h"
#include "rules/op_families.h"
#include "rules/shortest.h"

static enum ph_rule_result
give_chars(struct ph_rule_call *call, const char *data, size_t len, struct ph_value *out)
{
    uint8_t *copy = ph_rule_alloc(call, len + 1);

    if (copy == NULL)
        return PH_RULE_NO_MEMORY;
    memcpy(copy, data, len);
    return ph_op_give(call, copy, len, out);
}

/* ---- integers ---- */

static enum ph_rule_result
give_integer(struct ph_rule_call *call, int64_t value, struct ph_value *out)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;

    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0)
        digits[--at] = '-';
    return give_chars(call, digits + at, sizeof digits - at, out);
}

enum ph_rule_result
ph_cast_int2_to_text(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    int16_t value;

    PH_OP_TRY(ph_op_take_i16(call, &args[0], &value));
    return give_integer(call, value, out);
}

enum ph_rule_result
ph_cast_int4_to_text(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    int32_t value;

    PH_OP_TRY(ph_op_take_i32(call, &args[0], &value));
    return give_integer(call, value, out);
}

enum ph_rule_result
ph_cast_int8_to_text(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    int64_t value;

    PH_OP_TRY(ph_op_take_i64(call, &args[0], &value));
    return give_integer(call, value, out);
}

static enum ph_rule_result
read_integer(struct ph_rule_call *call, const struct ph_value *arg, int64_t least, int64_t most,
             int64_t *out)
{
    struct ph_span text = ph_op_trimmed(ph_op_span(arg));
    bool is_negative = false;
    __int128 value = 0;

    if (text.len > 0 && (text.data[0] == '-' || text.data[0] == '+')) {
        is_negative = text.data[0] == '-';
        text = (struct ph_span){text.data + 1, text.len - 1};
    }
    if (text.len == 0)
        return ph_rule_bad(call, "not an integer");
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return ph_rule_bad(call, "not an integer");
        if (value <= (__int128)most + 1)
            value = value * 10 + (text.data[i] - '0');
    }
    value = is_negative ? -value : value;
    if (value < least || value > most)
        return ph_rule_bad(call, "out of range of the integer type");
    *out = (int64_t)value;
    return PH_RULE_OK;
}

enum ph_rule_result
ph_cast_text_to_int2(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    int64_t value;

    PH_OP_TRY(read_integer(call, &args[0], INT16_MIN, INT16_MAX, &value));
    return ph_op_give_i16(call, (int16_t)value, out);
}

enum ph_rule_result
ph_cast_text_to_int4(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    int64_t value;

    PH_OP_TRY(read_integer(call, &args[0], INT32_MIN, INT32_MAX, &value));
    return ph_op_give_i32(call, (int32_t)value, out);
}

enum ph_rule_result
ph_cast_text_to_int8(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    int64_t value;

    PH_OP_TRY(read_integer(call, &args[0], INT64_MIN, INT64_MAX, &value));
    return ph_op_give_i64(call, value, out);
}

/* ---- floats and numeric ---- */

enum ph_rule_result
ph_cast_float4_to_text(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    char text[PH_SHORTEST_MAX];
    float value;

    PH_OP_TRY(ph_op_take_f4(call, &args[0], &value));
    return give_chars(call, text, ph_shortest_f4(value, text), out);
}

enum ph_rule_result
ph_cast_float8_to_text(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    char text[PH_SHORTEST_MAX];
    double value;

    PH_OP_TRY(ph_op_take_f8(call, &args[0], &value));
    return give_chars(call, text, ph_shortest_f8(value, text), out);
}

/* By strtod and strtof, as the server does. */
static enum ph_rule_result
check_float(struct ph_rule_call *call, const char *text, const char *end, double value)
{
    if (end == text || *end != '\0')
        return ph_rule_bad(call, "not a number");
    if (errno == ERANGE && (value == 0 || isinf(value)))
        return ph_rule_bad(call, "out of range of the float type");
    return PH_RULE_OK;
}

static enum ph_rule_result
float_text(struct ph_rule_call *call, const struct ph_value *arg, char **out)
{
    struct ph_span text = ph_op_trimmed(ph_op_span(arg));

    if (memchr(text.data, '\0', text.len) != NULL)
        return ph_rule_bad(call, "not a number");
    *out = ph_op_terminated(call, text);
    return *out == NULL ? PH_RULE_NO_MEMORY : PH_RULE_OK;
}

enum ph_rule_result
ph_cast_text_to_float4(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    char *text;
    char *end;

    PH_OP_TRY(float_text(call, &args[0], &text));
    errno = 0;
    float value = strtof(text, &end);
    PH_OP_TRY(check_float(call, text, end, (double)value));
    return ph_op_give_f4(call, value, out);
}

enum ph_rule_result
ph_cast_text_to_float8(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    char *text;
    char *end;

    PH_OP_TRY(float_text(call, &args[0], &text));
    errno = 0;
    double value = strtod(text, &end);
    PH_OP_TRY(check_float(call, text, end, value));
    return ph_op_give_f8(call, value, out);
}

enum ph_rule_result
ph_cast_numeric_to_text(struct ph_rule_call *call, const struct ph_value *args,
                        struct ph_value *out)
{
    struct ph_num num;

    PH_OP_TRY(ph_num_take(call, &args[0], &num));
    struct ph_op_text text = ph_op_text_of(call, 4 * (size_t)num.n + (size_t)num.dscale + 8);
    ph_num_put(&num, &text);
    return ph_op_text_give(&text, out);
}

enum ph_rule_result
ph_cast_text_to_numeric(struct ph_rule_call *call, const struct ph_value *args,
                        struct ph_value *out)
{
    struct ph_num num;

    PH_OP_TRY(ph_num_parse(call, ph_op_span(&args[0]), &num));
    return ph_num_give(call, &num, out);
}

/* ---- bool ---- */

enum ph_rule_result
ph_cast_bool_to_text(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    bool value;

    PH_OP_TRY(ph_op_take_bool(call, &args[0], &value));
    return value ? ph_op_give(call, "true", 4, out) : ph_op_give(call, "false", 5, out);
}

/* The words of boolin, and how many letters of them are enough. */
enum ph_rule_result
ph_cast_text_to_bool(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    static const struct {
        const char *word;
        size_t least;
        bool value;
    } words[] = {{"true", 1, true}, {"false", 1, false}, {"yes", 1, true}, {"no", 1, false},
                 {"on", 2, true},   {"off", 2, false},   {"1", 1, true},   {"0", 1, false}};
    struct ph_span text = ph_op_trimmed(ph_op_span(&args[0]));

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (text.len >= words[i].least && text.len <= strlen(words[i].word) &&
            strncasecmp((const char *)text.data, words[i].word, text.len) == 0)
            return ph_op_give_bool(call, words[i].value, out);
    }
    return ph_rule_bad(call, "not a bool");
}

/* ---- uuid and bytea ---- */

enum { UUID_BYTES = 16 };

static void
put_hex(struct ph_op_text *text, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";

    ph_op_text_putc(text, hex[byte >> 4]);
    ph_op_text_putc(text, hex[byte & 15]);
}

static int
hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Two hexadecimal digits at the begin of the text; false: there are none. */
static bool
take_hex(struct ph_cursor *in, uint8_t *out)
{
    if (ph_cursor_left(in) < 2 || hex_digit(in->at[0]) < 0 || hex_digit(in->at[1]) < 0)
        return false;
    *out = (uint8_t)(hex_digit(in->at[0]) << 4 | hex_digit(in->at[1]));
    in->at += 2;
    return true;
}

enum ph_rule_result
ph_cast_uuid_to_text(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_op_text text = ph_op_text_of(call, 36);

    if (args[0].len != UUID_BYTES)
        return ph_rule_bad(call, "not a valid uuid");
    for (int i = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            ph_op_text_putc(&text, '-');
        put_hex(&text, args[0].data[i]);
    }
    return ph_op_text_give(&text, out);
}

/* Hyphens may stand behind every four digits, braces around it. */
enum ph_rule_result
ph_cast_text_to_uuid(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_cursor in = ph_cursor_of(args[0].data, (size_t)args[0].len);
    bool has_brace = in.at < in.end && *in.at == '{';
    uint8_t *uuid = ph_rule_alloc(call, UUID_BYTES);

    if (uuid == NULL)
        return PH_RULE_NO_MEMORY;
    if (has_brace)
        in.at++;
    for (int i = 0; i < UUID_BYTES; i++) {
        if (!take_hex(&in, &uuid[i]))
            return ph_rule_bad(call, "not a uuid");
        if (i % 2 == 1 && i < UUID_BYTES - 1 && in.at < in.end && *in.at == '-')
            in.at++;
    }
    if (has_brace && (in.at == in.end || *in.at++ != '}'))
        return ph_rule_bad(call, "not a uuid");
    if (in.at != in.end)
        return ph_rule_bad(call, "not a uuid");
    return ph_op_give(call, uuid, UUID_BYTES, out);
}

enum ph_rule_result
ph_cast_bytea_to_text(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_op_text text = ph_op_text_of(call, 2 + 2 * (size_t)args[0].len);

    ph_op_text_puts(&text, "\\x");
    for (int32_t i = 0; i < args[0].len; i++)
        put_hex(&text, args[0].data[i]);
    return ph_op_text_give(&text, out);
}

static enum ph_rule_result
bytea_from_hex(struct ph_rule_call *call, struct ph_cursor in, struct ph_value *out)
{
    uint8_t *bytes = ph_rule_alloc(call, ph_cursor_left(&in) / 2 + 1);
    size_t n = 0;

    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    while (in.at < in.end) {
        if (*in.at == ' ' || *in.at == '\n' || *in.at == '\t' || *in.at == '\r')
            in.at++;
        else if (!take_hex(&in, &bytes[n++]))
            return ph_rule_bad(call, "not hexadecimal digits");
    }
    return ph_op_give(call, bytes, n, out);
}

/* The byte of \nnn or of two backslashes; false: neither. */
static bool
take_escape(struct ph_cursor *in, uint8_t *out)
{
    const uint8_t *at = in->at;
    size_t left = ph_cursor_left(in);

    if (left >= 2 && at[1] == '\\') {
        *out = '\\';
        in->at += 2;
        return true;
    }
    if (left < 4 || at[1] < '0' || at[1] > '3' || at[2] < '0' || at[2] > '7' || at[3] < '0' ||
        at[3] > '7')
        return false;
    *out = (uint8_t)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
    in->at += 4;
    return true;
}

enum ph_rule_result
ph_cast_text_to_bytea(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_cursor in = ph_cursor_of(args[0].data, (size_t)args[0].len);
    size_t n = 0;

    if (ph_cursor_left(&in) >= 2 && in.at[0] == '\\' && in.at[1] == 'x') {
        in.at += 2;
        return bytea_from_hex(call, in, out);
    }
    uint8_t *bytes = ph_rule_alloc(call, ph_cursor_left(&in) + 1);
    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    while (in.at < in.end) {
        if (*in.at != '\\')
            bytes[n++] = *in.at++;
        else if (!take_escape(&in, &bytes[n++]))
            return ph_rule_bad(call, "a backslash that is no escape of bytea");
    }
    return ph_op_give(call, bytes, n, out);
}

/* Between character types, and enums and domains over them, the bytes are the same. */
enum ph_rule_result
ph_cast_text_to_text(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    return ph_op_give(call, args[0].data, (size_t)args[0].len, out);
}

const struct ph_rule_op ph_cast_text_ops[] = {PH_CASTS_OF_TEXT(PH_CAST_ROW)};
