/*
 * Numeric in binary: number of base-10000 digits, weight of the first, sign, display scale, digits.
 * Its canonical form leaves out the scale and zeros at both ends; in text, zeros behind the point.
 * Rejected: hashing as the server does (hash_numeric and so on); equality would still have to be
 * decided here.
 */
#include "apply/key.h"

#include <string.h>

#include "model/type_match.h"

#define NUMERIC_HEADER 8u
#define NUMERIC_SPECIAL 0xC000u /* NaN, Infinity, -Infinity: the sign says all */

static const char *const plain[] = {
    "bit",    "bool",      "bytea",       "char",  "cidr",   "date",    "inet",   "int2", "int4",
    "int8",   "macaddr",   "macaddr8",    "money", "name",   "oid",     "pg_lsn", "text", "time",
    "timetz", "timestamp", "timestamptz", "uuid",  "varbit", "varchar", "xid",    "xid8",
};
static const char *const integers[] = {"int2", "int4", "int8"};
static const char *const strings[] = {"text", "varchar"};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool
is_in(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

static enum ph_key_kind
kind_of_type(const struct ph_type *type)
{
    if (type == NULL)
        return PH_KEY_UNKNOWN;
    if (type->kind == 'e')
        return PH_KEY_BYTES;
    if (type->kind != 'b' || type->extension != NULL || strcmp(type->schema, "pg_catalog") != 0)
        return PH_KEY_UNKNOWN;
    if (is_in(type->name, plain, COUNT(plain)))
        return PH_KEY_BYTES;
    if (strcmp(type->name, "numeric") == 0)
        return PH_KEY_NUMERIC;
    if (strcmp(type->name, "bpchar") == 0)
        return PH_KEY_BPCHAR;
    if (strcmp(type->name, "float4") == 0 || strcmp(type->name, "float8") == 0)
        return PH_KEY_FLOAT;
    return PH_KEY_UNKNOWN;
}

/* Whether both call the same values equal. */
static bool
is_same_family(const struct ph_type *a, const struct ph_type *b)
{
    if (a->kind == 'e' && b->kind == 'e')
        return true;
    return strcmp(a->name, b->name) == 0 ||
           (is_in(a->name, integers, COUNT(integers)) &&
            is_in(b->name, integers, COUNT(integers))) ||
           (is_in(a->name, strings, COUNT(strings)) && is_in(b->name, strings, COUNT(strings)));
}

enum ph_key_kind
ph_key_kind_of(const struct ph_catalog *source, const struct ph_catalog *target,
               const struct ph_plan_column *column)
{
    const struct ph_type *a = ph_type_base(source, column->source->type_oid);
    const struct ph_type *b = ph_type_base(target, column->target->type_oid);
    enum ph_key_kind kind = kind_of_type(a);

    if (column->source->nondeterministic || column->target->nondeterministic ||
        kind != kind_of_type(b) || kind == PH_KEY_UNKNOWN || !is_same_family(a, b))
        return PH_KEY_UNKNOWN;
    return kind;
}

static struct ph_span
without_spaces(struct ph_span value)
{
    while (value.len > 0 && value.data[value.len - 1] == ' ')
        value.len--;
    return value;
}

/* "1.500" is "1.5" and "1.00" is "1"; what has no point is kept. */
static struct ph_span
without_zeros(struct ph_span value)
{
    if (memchr(value.data, '.', value.len) == NULL)
        return value;
    while (value.data[value.len - 1] == '0')
        value.len--;
    if (value.data[value.len - 1] == '.')
        value.len--;
    return value;
}

static size_t
put(struct ph_span value, uint8_t *out)
{
    ph_store_u32(out, (uint32_t)value.len);
    if (value.len > 0)
        memcpy(out + 4, value.data, value.len);
    return value.len + 4;
}

static size_t
put_numeric(struct ph_span value, uint8_t *out)
{
    if (value.len < NUMERIC_HEADER || value.len != NUMERIC_HEADER + 2u * ph_load_u16(value.data))
        return put(value, out);
    uint32_t n = ph_load_u16(value.data);
    uint16_t weight = ph_load_u16(value.data + 2);
    uint16_t sign = ph_load_u16(value.data + 4);
    const uint8_t *digits = value.data + NUMERIC_HEADER;
    for (; n > 0 && ph_load_u16(digits) == 0; n--, digits += 2)
        weight--;
    while (n > 0 && ph_load_u16(digits + 2 * ((size_t)n - 1)) == 0)
        n--;
    if (n == 0) { /* zero has no sign and no weight */
        weight = 0;
        sign = (sign & NUMERIC_SPECIAL) == NUMERIC_SPECIAL ? sign : 0;
    }
    ph_store_u32(out, 4 + 2 * n);
    ph_store_u16(out + 4, weight);
    ph_store_u16(out + 6, sign);
    memcpy(out + 8, digits, 2 * (size_t)n);
    return 8 + 2 * (size_t)n;
}

/* Every NaN is equal to every other. */
static size_t
put_float(struct ph_span value, uint8_t *out)
{
    uint64_t bits = 0;
    bool is_small = value.len == 4;

    if (!is_small && value.len != 8)
        return put(value, out);
    bits = is_small ? ph_load_u32(value.data) : ph_load_u64(value.data);
    uint64_t infinite = is_small ? 0x7F800000u : UINT64_C(0x7FF0000000000000);
    uint64_t magnitude = bits & (is_small ? 0x7FFFFFFFu : UINT64_C(0x7FFFFFFFFFFFFFFF));
    if (magnitude == 0)
        bits = 0;
    else if (magnitude > infinite)
        bits = infinite + 1;
    ph_store_u32(out, 8);
    ph_store_u64(out + 4, bits);
    return 12;
}

size_t
ph_key_put(const struct ph_apply_column *column, struct ph_span value, uint8_t *out)
{
    bool is_text = column->carry == PH_CARRY_TEXT;

    switch (column->key_kind) {
    case PH_KEY_NUMERIC:
        return is_text ? put(without_zeros(value), out) : put_numeric(value, out);
    case PH_KEY_FLOAT:
        if (!is_text)
            return put_float(value, out);
        if (value.len == 2 && memcmp(value.data, "-0", 2) == 0)
            value = (struct ph_span){value.data + 1, 1};
        return put(value, out);
    case PH_KEY_BPCHAR:
        return put(without_spaces(value), out);
    case PH_KEY_BYTES:
    case PH_KEY_UNKNOWN:
        break;
    }
    return put(value, out);
}
