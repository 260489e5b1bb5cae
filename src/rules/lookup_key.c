#include "rules/lookup_key.h"

#include <inttypes.h>
#include <string.h>

#include "rules/datetime.h"

#define TIME_CHARS 64u

/* numeric_send: counts and scales of 16 bits, then digits to the base of 10000 */
#define NUMERIC_HEADER 8u
#define DSCALE_AT 6u
#define NEGATIVE 0x4000u
#define NAN_SIGN 0xC000u
#define PLUS_INFINITY 0xD000u
#define MINUS_INFINITY 0xF000u

/* ---- types ---- */

static const struct {
    const char *class;
    enum ph_lookup_key key;
} classes[] = {
    {"int2", PH_BY_INTEGER},
    {"int4", PH_BY_INTEGER},
    {"int8", PH_BY_INTEGER},
    {"numeric", PH_BY_NUMERIC},
    {"bool", PH_BY_BOOL},
    {"uuid", PH_BY_UUID},
    {"bytea", PH_BY_BYTEA},
    {"date", PH_BY_DATE},
    {"time", PH_BY_TIME},
    {"timestamp", PH_BY_TIMESTAMP},
    {"timestamptz", PH_BY_TIMESTAMPTZ},
};

enum ph_lookup_key
ph_lookup_key_of(const char *class, const char *type_name, bool is_enum)
{
    if (strcmp(class, "text") == 0) {
        if (strcmp(type_name, "citext") == 0)
            return PH_BY_NONE;
        return is_enum ? PH_BY_ENUM : strcmp(type_name, "bpchar") == 0 ? PH_BY_BPCHAR : PH_BY_TEXT;
    }
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (strcmp(class, classes[i].class) == 0)
            return classes[i].key;
    }
    return PH_BY_NONE;
}

const char *
ph_lookup_key_type(enum ph_lookup_key key)
{
    switch (key) {
    case PH_BY_TEXT:
        return "pg_catalog.text";
    case PH_BY_BPCHAR:
        return "pg_catalog.bpchar";
    case PH_BY_INTEGER:
        return "pg_catalog.int8";
    case PH_BY_NUMERIC:
        return "pg_catalog.\"numeric\"";
    case PH_BY_UUID:
        return "pg_catalog.uuid";
    case PH_BY_BYTEA:
        return "pg_catalog.bytea";
    case PH_BY_DATE:
        return "pg_catalog.date";
    case PH_BY_TIME:
        return "pg_catalog.\"time\"";
    case PH_BY_TIMESTAMP:
        return "pg_catalog.\"timestamp\"";
    case PH_BY_TIMESTAMPTZ:
        return "pg_catalog.timestamptz";
    case PH_BY_NONE:
    case PH_BY_ENUM:
    case PH_BY_BOOL:
        break;
    }
    return NULL;
}

/* ---- bytes ---- */

static int64_t
integer_of(struct ph_value value)
{
    return value.len == 2   ? ph_rule_get_i16(&value)
           : value.len == 4 ? ph_rule_get_i32(&value)
           : value.len == 8 ? ph_rule_get_i64(&value)
                            : 0;
}

struct ph_span
ph_lookup_key_bytes(enum ph_lookup_key key, struct ph_value value, uint8_t room[PH_LOOKUP_KEY_ROOM])
{
    struct ph_span out = {value.data, (size_t)value.len};

    switch (key) {
    case PH_BY_INTEGER:
        ph_rule_put_i64(room, integer_of(value));
        return (struct ph_span){room, 8};
    case PH_BY_NUMERIC: /* its digits have no zeros at the ends, so only the scale is put aside */
        if (out.len > PH_LOOKUP_KEY_ROOM)
            return (struct ph_span){NULL, 0};
        memcpy(room, out.data, out.len);
        if (out.len >= NUMERIC_HEADER)
            room[DSCALE_AT] = room[DSCALE_AT + 1] = 0;
        return (struct ph_span){room, out.len};
    case PH_BY_BPCHAR:
        while (out.len > 0 && out.data[out.len - 1] == ' ')
            out.len--;
        return out;
    case PH_BY_NONE:
    case PH_BY_TEXT:
    case PH_BY_ENUM:
    case PH_BY_BOOL:
    case PH_BY_UUID:
    case PH_BY_BYTEA:
    case PH_BY_DATE:
    case PH_BY_TIME:
    case PH_BY_TIMESTAMP:
    case PH_BY_TIMESTAMPTZ:
        break;
    }
    return out;
}

/* ---- literals ---- */

static void
put_quoted(struct ph_span text, struct ph_buf *out)
{
    ph_buf_puts(out, "E'");
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\'' || text.data[i] == '\\')
            ph_buf_putc(out, (char)text.data[i]);
        ph_buf_putc(out, (char)text.data[i]);
    }
    ph_buf_putc(out, '\'');
}

/* Also of a uuid, which is read without its dashes. */
static void
put_hex(const char *before, struct ph_span bytes, struct ph_buf *out)
{
    ph_buf_puts(out, before);
    for (size_t i = 0; i < bytes.len; i++)
        ph_buf_printf(out, "%02x", (unsigned)bytes.data[i]);
    ph_buf_putc(out, '\'');
}

static unsigned
word_at(struct ph_span bytes, size_t at)
{
    return at + 2 > bytes.len ? 0 : (unsigned)bytes.data[at] << 8 | bytes.data[at + 1];
}

/* All digits, and an exponent: 12.34 is '00123400e-4'. */
static void
put_numeric(struct ph_span bytes, struct ph_buf *out)
{
    unsigned n = word_at(bytes, 0);
    int weight = (int16_t)word_at(bytes, 2);
    unsigned sign = word_at(bytes, 4);

    if (sign == NAN_SIGN || sign == PLUS_INFINITY || sign == MINUS_INFINITY) {
        ph_buf_puts(out, sign == NAN_SIGN        ? "'NaN'"
                         : sign == PLUS_INFINITY ? "'Infinity'"
                                                 : "'-Infinity'");
        return;
    }
    ph_buf_puts(out, sign == NEGATIVE ? "'-0" : "'0");
    for (unsigned i = 0; i < n; i++)
        ph_buf_printf(out, "%04u", word_at(bytes, NUMERIC_HEADER + 2 * (size_t)i));
    ph_buf_printf(out, "e%d'", n == 0 ? 0 : 4 * (weight - (int)n + 1));
}

static void
put_time(enum ph_lookup_key key, struct ph_value value, struct ph_buf *out)
{
    uint8_t room[TIME_CHARS];
    struct ph_op_text text = {.data = room, .cap = sizeof room};
    int64_t at = integer_of(value);

    if (key == PH_BY_DATE)
        ph_date_put((int32_t)at, &text);
    else if (key == PH_BY_TIMESTAMP)
        ph_time_put(at, &text);
    else
        ph_time_put_zoned(at, NULL, &text);
    put_quoted((struct ph_span){room, text.len}, out);
}

static void
put_time_of_day(int64_t us, struct ph_buf *out)
{
    ph_buf_printf(out, "'%02" PRId64 ":%02" PRId64 ":%02" PRId64 ".%06" PRId64 "'", us / PH_HOUR_US,
                  us / PH_MINUTE_US % 60, us / PH_SECOND_US % 60, us % PH_SECOND_US);
}

void
ph_lookup_key_put(enum ph_lookup_key key, struct ph_value value, struct ph_buf *out)
{
    const struct ph_span bytes = {value.data, (size_t)value.len};

    switch (key) {
    case PH_BY_INTEGER:
        ph_buf_printf(out, "%" PRId64, integer_of(value));
        return;
    case PH_BY_NUMERIC:
        put_numeric(bytes, out);
        return;
    case PH_BY_UUID:
        put_hex("'", bytes, out);
        return;
    case PH_BY_BYTEA:
        put_hex("'\\x", bytes, out);
        return;
    case PH_BY_DATE:
    case PH_BY_TIMESTAMP:
    case PH_BY_TIMESTAMPTZ:
        put_time(key, value, out);
        return;
    case PH_BY_TIME:
        put_time_of_day(integer_of(value), out);
        return;
    case PH_BY_NONE:
    case PH_BY_TEXT:
    case PH_BY_BPCHAR:
    case PH_BY_ENUM:
    case PH_BY_BOOL:
        break;
    }
    put_quoted(bytes, out);
}
