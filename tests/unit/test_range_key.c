/* The order of keys that is computed here, and which range a key lies in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "model/range_key.h"

static struct ph_range_key
binary(const char *type_name, const void *bytes, size_t len)
{
    struct ph_range_type type = ph_range_type_named(type_name);
    struct ph_field field = {.bytes = {bytes, len}, .state = PH_FIELD_BINARY};
    struct ph_range_key key;

    assert_true(ph_range_key_read(&type, &field, &key));
    return key;
}

static bool
read_text(const char *type_name, const char *value, struct ph_range_key *out)
{
    struct ph_range_type type = ph_range_type_named(type_name);
    struct ph_field field = {.bytes = {(const uint8_t *)value, strlen(value)},
                             .state = PH_FIELD_TEXT};

    return ph_range_key_read(&type, &field, out);
}

static struct ph_range_key
text(const char *type_name, const char *value)
{
    struct ph_range_key key;

    assert_true(read_text(type_name, value, &key));
    return key;
}

static void
is_ordered(const char *type_name, const char *const *values, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++) {
        struct ph_range_key low = text(type_name, values[i]);
        struct ph_range_key high = text(type_name, values[i + 1]);
        assert_true(ph_range_key_is_less(&low, &high));
        assert_false(ph_range_key_is_less(&high, &low));
        assert_false(ph_range_key_is_less(&low, &low));
    }
}

static void
same(struct ph_range_key a, struct ph_range_key b)
{
    assert_true(a.hi == b.hi && a.lo == b.lo);
}

static void
in_the_servers_order(void **state)
{
    static const char *const int8s[] = {"-9223372036854775808", "-2", "-1", "0", "1",
                                        "9223372036854775807"};
    static const char *const oids[] = {"0", "2147483648", "4294967295"};
    static const char *const uuids[] = {
        "00000000-0000-0000-0000-000000000001", "00000000-0000-0001-0000-000000000000",
        "7fffffff-ffff-ffff-ffff-ffffffffffff", "80000000-0000-0000-0000-000000000000",
        "f0000000-0000-0000-0000-00000000000a"};

    (void)state;
    is_ordered("int8", int8s, sizeof int8s / sizeof *int8s);
    is_ordered("int4", int8s + 1, 4);
    is_ordered("int2", int8s + 1, 4);
    is_ordered("oid", oids, sizeof oids / sizeof *oids);
    is_ordered("uuid", uuids, sizeof uuids / sizeof *uuids);
}

static void
both_forms_are_one(void **state)
{
    static const uint8_t uuid[] = {0x80, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff};

    (void)state;
    same(binary("int2", "\xff\xfe", 2), text("int2", "-2"));
    same(binary("int4", "\xff\xff\xff\xfe", 4), text("int4", "-2"));
    same(binary("int8", "\xff\xff\xff\xff\xff\xff\xff\xfe", 8), text("int8", "-2"));
    same(binary("int8", "\x80\0\0\0\0\0\0\0", 8), text("int8", "-9223372036854775808"));
    same(binary("oid", "\xff\xff\xff\xfe", 4), text("oid", "4294967294"));
    same(binary("uuid", uuid, sizeof uuid), text("uuid", "80010203-0405-0607-0809-0a0b0c0d0eff"));
}

static void
times_in_binary_only(void **state)
{
    struct ph_range_key before = binary("date", "\xff\xff\xff\xff", 4); /* 1999-12-31 */
    struct ph_range_key after = binary("date", "\0\0\0\1", 4);
    struct ph_range_key never = binary("timestamptz", "\x7f\xff\xff\xff\xff\xff\xff\xff", 8);
    struct ph_range_key now = binary("timestamptz", "\0\2\xff\xff\xff\xff\xff\xff", 8);
    struct ph_range_key key;

    (void)state;
    assert_true(ph_range_key_is_less(&before, &after));
    assert_true(ph_range_key_is_less(&now, &never));
    assert_false(read_text("date", "2000-01-02", &key));
    assert_false(read_text("timestamp", "infinity", &key));
}

static void
nothing_else_is_a_key(void **state)
{
    static const char *const bad[] = {"", "-", "1x", " 1", "+1", "12345678901234567890"};
    struct ph_range_type int4 = ph_range_type_named("int4");
    struct ph_range_type none = ph_range_type_named("text");
    struct ph_field field = {.bytes = {(const uint8_t *)"\0\0\0\0\0", 5}, .state = PH_FIELD_BINARY};
    struct ph_range_key key;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(read_text("int8", bad[i], &key));
    assert_false(read_text("oid", "-1", &key));
    assert_false(read_text("uuid", "80010203-0405-0607-0809-0a0b0c0d0ef", &key));
    assert_false(read_text("uuid", "80010203-0405-0607-0809-0a0b0c0d0efff", &key));
    assert_false(read_text("uuid", "80010203-0405-0607-0809-0a0b0c0d0efg", &key));
    assert_int_equal(none.width, 0);
    assert_false(ph_range_key_read(&none, &field, &key));
    assert_false(ph_range_key_read(&int4, &field, &key));
    for (int i = PH_FIELD_ABSENT; i <= PH_FIELD_UNCHANGED; i++) {
        field.state = (enum ph_field_state)i;
        assert_false(ph_range_key_read(&int4, &field, &key));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_the_servers_order),
        cmocka_unit_test(both_forms_are_one),
        cmocka_unit_test(times_in_binary_only),
        cmocka_unit_test(nothing_else_is_a_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
