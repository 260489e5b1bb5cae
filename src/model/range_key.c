#include "model/range_key.h"

#include <string.h>

#define UUID_BYTES 16u
#define SIGN (UINT64_C(1) << 63)

struct named_type {
    const char *name;
    struct ph_range_type type;
};

/* Infinite dates and times are the least and the greatest number. */
static const struct named_type named_types[] = {
    {"int2", {2, true, true, "int2send"}},
    {"int4", {4, true, true, "int4send"}},
    {"int8", {8, true, true, "int8send"}},
    {"oid", {4, false, true, "oidsend"}},
    {"uuid", {16, false, true, "uuid_send"}},
    {"date", {4, true, false, "date_send"}},
    {"timestamp", {8, true, false, "timestamp_send"}},
    {"timestamptz", {8, true, false, "timestamptz_send"}},
};

struct ph_range_type
ph_range_type_named(const char *name)
{
    for (size_t i = 0; i < sizeof named_types / sizeof *named_types; i++) {
        if (strcmp(named_types[i].name, name) == 0)
            return named_types[i].type;
    }
    return (struct ph_range_type){0};
}

/* Negative numbers go before the others. */
static struct ph_range_key
key_of_number(const struct ph_range_type *type, uint64_t number)
{
    return (struct ph_range_key){.lo = type->is_signed ? number ^ SIGN : number};
}

static bool
read_binary(const struct ph_range_type *type, struct ph_span value, struct ph_range_key *out)
{
    if (value.len != type->width)
        return false;
    switch (type->width) {
    case 2:
        *out = key_of_number(type, (uint64_t)(int64_t)(int16_t)ph_load_u16(value.data));
        return true;
    case 4:
        *out = key_of_number(type, type->is_signed
                                       ? (uint64_t)(int64_t)(int32_t)ph_load_u32(value.data)
                                       : ph_load_u32(value.data));
        return true;
    case 8:
        *out = key_of_number(type, ph_load_u64(value.data));
        return true;
    case UUID_BYTES:
        *out = (struct ph_range_key){ph_load_u64(value.data), ph_load_u64(value.data + 8)};
        return true;
    default:
        return false;
    }
}

/* As the server writes it: no blanks, no plus. */
static bool
read_number(const struct ph_range_type *type, struct ph_span value, struct ph_range_key *out)
{
    bool is_negative = type->is_signed && value.len > 0 && value.data[0] == '-';
    size_t at = is_negative ? 1 : 0;
    uint64_t number = 0;

    if (at == value.len || value.len - at > 19) /* digits of any int8; no overflow */
        return false;
    for (; at < value.len; at++) {
        if (value.data[at] < '0' || value.data[at] > '9')
            return false;
        number = number * 10 + (uint64_t)(value.data[at] - '0');
    }
    *out = key_of_number(type, is_negative ? UINT64_C(0) - number : number);
    return true;
}

static bool
read_hex(uint8_t digit, uint64_t *out)
{
    if (digit >= '0' && digit <= '9')
        *out = (uint64_t)(digit - '0');
    else if (digit >= 'a' && digit <= 'f')
        *out = (uint64_t)(digit - 'a') + 10;
    else
        return false;
    return true;
}

static bool
read_uuid(struct ph_span value, struct ph_range_key *out)
{
    uint64_t halves[2] = {0, 0};
    size_t n = 0;

    for (size_t i = 0; i < value.len; i++) {
        uint64_t digit;
        if (value.data[i] == '-')
            continue;
        if (n == 2 * UUID_BYTES || !read_hex(value.data[i], &digit))
            return false;
        halves[n / UUID_BYTES] = halves[n / UUID_BYTES] << 4 | digit;
        n++;
    }
    *out = (struct ph_range_key){halves[0], halves[1]};
    return n == 2 * UUID_BYTES;
}

bool
ph_range_key_read(const struct ph_range_type *type, const struct ph_field *field,
                  struct ph_range_key *out)
{
    if (field->state == PH_FIELD_BINARY)
        return read_binary(type, field->bytes, out);
    if (field->state != PH_FIELD_TEXT || !type->has_text)
        return false;
    return type->width == UUID_BYTES ? read_uuid(field->bytes, out)
                                     : read_number(type, field->bytes, out);
}
