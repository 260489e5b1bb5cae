/* Keys of lookups: which types can be, what is compared, how a server is asked for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "rules/lookup_key.h"

static struct ph_value
value(const char *bytes, size_t len)
{
    return (struct ph_value){(const uint8_t *)bytes, (int32_t)len};
}

#define VALUE(literal) value(literal, sizeof(literal) - 1)

static void
is_equal(enum ph_lookup_key a_kind, struct ph_value a, enum ph_lookup_key b_kind, struct ph_value b)
{
    uint8_t rooms[2][PH_LOOKUP_KEY_ROOM];
    struct ph_span x = ph_lookup_key_bytes(a_kind, a, rooms[0]);
    struct ph_span y = ph_lookup_key_bytes(b_kind, b, rooms[1]);

    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
}

static void
types_are_keys_when_equal_values_can_have_equal_bytes(void **state)
{
    (void)state;
    assert_int_equal(ph_lookup_key_of("int2", "int2", false), PH_BY_INTEGER);
    assert_int_equal(ph_lookup_key_of("text", "varchar", false), PH_BY_TEXT);
    assert_int_equal(ph_lookup_key_of("text", "bpchar", false), PH_BY_BPCHAR);
    assert_int_equal(ph_lookup_key_of("text", "color", true), PH_BY_ENUM);
    assert_int_equal(ph_lookup_key_of("text", "citext", false), PH_BY_NONE);
    assert_int_equal(ph_lookup_key_of("float8", "float8", false), PH_BY_NONE);
    assert_int_equal(ph_lookup_key_of("interval", "interval", false), PH_BY_NONE);
    assert_int_equal(ph_lookup_key_of("date[]", "_date", false), PH_BY_NONE);
    assert_null(ph_lookup_key_type(PH_BY_ENUM));
    assert_null(ph_lookup_key_type(PH_BY_BOOL));
    for (int key = PH_BY_NONE + 1; key <= PH_BY_TIMESTAMPTZ; key++)
        assert_true(ph_lookup_key_type((enum ph_lookup_key)key) != NULL || key == PH_BY_ENUM ||
                    key == PH_BY_BOOL);
}

static void
equal_values_are_equal_keys(void **state)
{
    /* 1.5 and 1.500; -2 of three widths */
    (void)state;
    is_equal(PH_BY_NUMERIC, VALUE("\0\2\0\0\0\0\0\1\0\1\x13\x88"), PH_BY_NUMERIC,
             VALUE("\0\2\0\0\0\0\0\3\0\1\x13\x88"));
    is_equal(PH_BY_INTEGER, VALUE("\xff\xfe"), PH_BY_INTEGER, VALUE("\xff\xff\xff\xfe"));
    is_equal(PH_BY_INTEGER, VALUE("\xff\xfe"), PH_BY_INTEGER,
             VALUE("\xff\xff\xff\xff\xff\xff\xff\xfe"));
    is_equal(PH_BY_BPCHAR, VALUE("ab  "), PH_BY_TEXT, VALUE("ab"));
    is_equal(PH_BY_ENUM, VALUE("red"), PH_BY_TEXT, VALUE("red"));
    is_equal(PH_BY_TEXT, VALUE(""), PH_BY_BPCHAR, VALUE("   "));
}

static void
long_numerics_are_no_keys(void **state)
{
    static const char bytes[PH_LOOKUP_KEY_ROOM + 1];
    uint8_t room[PH_LOOKUP_KEY_ROOM];

    (void)state;
    assert_non_null(
        ph_lookup_key_bytes(PH_BY_NUMERIC, value(bytes, PH_LOOKUP_KEY_ROOM), room).data);
    assert_null(
        ph_lookup_key_bytes(PH_BY_NUMERIC, value(bytes, PH_LOOKUP_KEY_ROOM + 1), room).data);
    assert_non_null(ph_lookup_key_bytes(PH_BY_TEXT, VALUE(bytes), room).data);
}

static void
is_written(enum ph_lookup_key key, struct ph_value bytes, const char *expected)
{
    struct ph_buf out;

    ph_buf_init(&out, 1000);
    ph_lookup_key_put(key, bytes, &out);
    assert_string_equal(ph_buf_text(&out), expected);
    ph_buf_free(&out);
}

static void
keys_are_written_as_literals(void **state)
{
    (void)state;
    is_written(PH_BY_TEXT, VALUE("it's \\"), "E'it''s \\\\'");
    is_written(PH_BY_INTEGER, VALUE("\x80\0\0\0\0\0\0\0"), "-9223372036854775808");
    is_written(PH_BY_UUID, VALUE("0123456789abcdef"), "'30313233343536373839616263646566'");
    is_written(PH_BY_BYTEA, VALUE("\0'\xff"), "'\\x0027ff'");
    is_written(PH_BY_BYTEA, VALUE(""), "'\\x'");
    is_written(PH_BY_DATE, VALUE("\0\0\0\x3b"), "E'2000-02-29'");
    is_written(PH_BY_DATE, VALUE("\x7f\xff\xff\xff"), "E'infinity'");
    is_written(PH_BY_TIMESTAMP, VALUE("\xff\xff\xff\xff\xff\xff\xff\xff"),
               "E'1999-12-31 23:59:59.999999'");
    is_written(PH_BY_TIMESTAMPTZ, VALUE("\0\0\0\0\0\0\0\0"), "E'2000-01-01 00:00:00+00'");
    is_written(PH_BY_TIMESTAMP, VALUE("\x80\0\0\0\0\0\0\0"), "E'-infinity'");
    is_written(PH_BY_TIME, VALUE("\0\0\0\x14\x1d\xd7\x60\0"), "'24:00:00.000000'");
}

/* PostgreSQL reads them back as the same number (it_lookup_limits asks it). */
static void
numerics_are_written_with_all_their_digits(void **state)
{
    (void)state;
    is_written(PH_BY_NUMERIC, VALUE("\0\0\0\0\0\0\0\0"), "'0e0'");
    is_written(PH_BY_NUMERIC, VALUE("\0\2\0\0\x40\0\0\1\0\1\x13\x88"), "'-000015000e-4'");
    is_written(PH_BY_NUMERIC, VALUE("\0\1\0\2\0\0\0\0\0\7"), "'00007e8'");
    is_written(PH_BY_NUMERIC, VALUE("\0\0\0\0\xc0\0\0\0"), "'NaN'");
    is_written(PH_BY_NUMERIC, VALUE("\0\0\0\0\xf0\0\0\x20"), "'-Infinity'");
    is_written(PH_BY_NUMERIC, VALUE("\0\0\0\0\xd0\0\0\x20"), "'Infinity'");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_keys_when_equal_values_can_have_equal_bytes),
        cmocka_unit_test(equal_values_are_equal_keys),
        cmocka_unit_test(long_numerics_are_no_keys),
        cmocka_unit_test(keys_are_written_as_literals),
        cmocka_unit_test(numerics_are_written_with_all_their_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
