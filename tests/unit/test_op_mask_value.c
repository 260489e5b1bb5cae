#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mask_run.h"

static const struct ph_value row_1 = {(const uint8_t *)"\0\0\0\4\0\0\0\1", 8};
static const struct ph_value row_2 = {(const uint8_t *)"\0\0\0\4\0\0\0\2", 8};
static const char *const ten[] = {"10"};

static int64_t
shifted(struct mask *mask, int64_t value, const char *person)
{
    uint8_t bytes[8];
    uint32_t width = strncmp(mask->run.op->signature, "date", 4) == 0 ? 4 : 8;
    struct ph_value args[2] = {{bytes + 8 - width, (int32_t)width}, {NULL, PH_VALUE_NULL}};

    ph_rule_put_i64(bytes, value);
    if (person != NULL)
        args[1] = (struct ph_value){(const uint8_t *)person, (int32_t)strlen(person)};
    assert_int_equal(mask_values(mask, args), PH_RULE_OK);
    assert_int_equal(mask->out.len, width);
    return width == 4 ? ph_rule_get_i32(&mask->out) : ph_rule_get_i64(&mask->out);
}

static void
dates_of_a_person(void **context)
{
    struct mask mask;

    (void)context;
    assert_true(mask_try(&mask, "mask_date", "date, any -> date", ten, 1, MASK_SECRET));
    for (char c = 'a'; c <= 'z'; c++) {
        const char person[] = {c, '\0'};
        int64_t by = shifted(&mask, 1000, person) - 1000;
        assert_true(by != 0 && by >= -10 && by <= 10);
        assert_int_equal(shifted(&mask, 7000, person) - 7000, by);
    }
    assert_true(shifted(&mask, 1000, NULL) != 1000);
    assert_int_equal(shifted(&mask, INT32_MAX, "a"), INT32_MAX);
    assert_int_equal(shifted(&mask, INT32_MIN, "a"), INT32_MIN);
    assert_true(shifted(&mask, 2145031948, "a") < 2145031948);
    assert_true(shifted(&mask, 2145031948, "b") < 2145031948);
    assert_true(shifted(&mask, -2451545, "a") > -2451545);
    const struct ph_value nulls[] = {{NULL, PH_VALUE_NULL}, {NULL, PH_VALUE_NULL}};
    assert_int_equal(mask_values(&mask, nulls), PH_RULE_OK);
    assert_int_equal(mask.out.len, PH_VALUE_NULL);
    const struct ph_value wrong[] = {{(const uint8_t *)"abc", 3}, {NULL, PH_VALUE_NULL}};
    assert_int_equal(mask_values(&mask, wrong), PH_RULE_BAD);
    mask_end(&mask);
}

/* A person's id is the same in integers of every width, as it is in a join. */
static void
dates_of_a_numbered_person(void **context)
{
    static const char *const rows[] = {"date, any -> date", "date, int4 -> date",
                                       "date, int2 -> date"};
    static const int64_t persons[] = {0, 7, 30000, -1};
    struct mask mask;

    (void)context;
    for (size_t i = 0; i < sizeof persons / sizeof persons[0]; i++) {
        int64_t first = 0;
        for (size_t row = 0; row < 3; row++) {
            size_t width = (size_t)8 >> row;
            uint8_t day[4];
            uint8_t id[8];
            assert_true(mask_try(&mask, "mask_date", rows[row], NULL, 0, MASK_SECRET));
            ph_rule_put_i32(day, 1000);
            ph_rule_put_i64(id, persons[i]);
            const struct ph_value values[] = {{day, 4}, {id + 8 - width, (int32_t)width}};
            assert_int_equal(mask_values(&mask, values), PH_RULE_OK);
            int64_t by = ph_rule_get_i32(&mask.out) - 1000;
            first = row == 0 ? by : first;
            assert_int_equal(by, first);
            mask_end(&mask);
        }
    }
}

static void
dates_of_a_row(void **context)
{
    const char *const none[] = {"0"};
    struct mask mask;
    uint8_t bytes[8] = {0};

    (void)context;
    assert_true(mask_try(&mask, "mask_date", "timestamp -> timestamp", NULL, 0, MASK_SECRET));
    assert_int_equal(mask_bytes(&mask, bytes, 8), PH_RULE_BAD);
    mask.run.call.row_key = row_1;
    int64_t first = shifted(&mask, 12345, NULL);
    assert_int_equal((first - 12345) % INT64_C(86400000000), 0);
    mask.run.call.row_key = row_2;
    assert_true(shifted(&mask, 12345, NULL) != first);
    mask_end(&mask);
    assert_false(mask_try(&mask, "mask_date", "date -> date", none, 1, MASK_SECRET));
    mask_end(&mask);
}

static void
null_and_bool(void **context)
{
    struct mask mask;
    int n_true = 0;

    (void)context;
    assert_true(mask_try(&mask, "mask_null", "any -> any", NULL, 0, NULL));
    assert_int_equal(mask_bytes(&mask, "x", 1), PH_RULE_OK);
    assert_int_equal(mask.out.len, PH_VALUE_NULL);
    mask_end(&mask);
    assert_true(mask_try(&mask, "mask_bool", "bool -> bool", NULL, 0, MASK_SECRET));
    for (uint8_t i = 0; i < 100; i++) {
        mask.run.call.row_key = (struct ph_value){&i, 1};
        assert_int_equal(mask_bytes(&mask, "\1", 1), PH_RULE_OK);
        n_true += mask.out.data[0];
        assert_in_range(mask.out.data[0], 0, 1);
    }
    assert_in_range(n_true, 20, 80);
    mask_end(&mask);
}

static void
addresses(void **context)
{
    uint64_t *hashes = malloc(MASK_MANY * sizeof *hashes);
    uint8_t v4[] = {2, 32, 0, 4, 10, 0, 0, 0};
    uint8_t v6[20] = {3, 128, 0, 16, 0x20, 1};
    uint8_t net[] = {2, 16, 1, 4, 192, 168, 0, 0};
    uint8_t net6[20] = {3, 7, 1, 16, 0x20};
    struct mask mask;

    (void)context;
    assert_true(mask_try(&mask, "mask_ip", "inet -> inet", NULL, 0, MASK_SECRET));
    for (uint32_t i = 0; i < MASK_MANY; i++) {
        ph_store_u32(v4 + 4, i);
        assert_int_equal(mask_bytes(&mask, v4, 8), PH_RULE_OK);
        hashes[i] = ph_load_u64(mask.out.data);
    }
    assert_int_equal(mask_repeats(hashes, MASK_MANY), 0);
    free(hashes);
    assert_int_equal(mask_bytes(&mask, v6, 20), PH_RULE_OK);
    assert_memory_equal(mask.out.data, v6, 4);
    assert_memory_not_equal(mask.out.data + 4, v6 + 4, 16);
    assert_int_equal(mask_bytes(&mask, v4, 7), PH_RULE_BAD);
    v4[1] = 33;
    assert_int_equal(mask_bytes(&mask, v4, 8), PH_RULE_BAD);
    mask_end(&mask);
    assert_true(mask_try(&mask, "mask_ip", "cidr -> cidr", NULL, 0, MASK_SECRET));
    assert_int_equal(mask_bytes(&mask, net, 8), PH_RULE_OK);
    assert_memory_equal(mask.out.data, net, 4);
    assert_memory_equal(mask.out.data + 6, "\0\0", 2);
    for (uint8_t bits = 0; bits <= 7; bits++) {
        net6[1] = bits;
        net6[4] = 0;
        assert_int_equal(mask_bytes(&mask, net6, 20), PH_RULE_OK);
        assert_int_equal(mask.out.data[4] & (0xff >> bits), 0);
    }
    mask_end(&mask);
}

/* ---- numbers ---- */

static void
ints_are_within(void **context)
{
    const char *const range[] = {"-10", "10"};
    const char *const all[] = {"-9223372036854775808", "9223372036854775807"};
    const char *const wrong[] = {"2", "1"};
    struct mask two;
    struct mask eight;
    bool seen[21] = {false};
    uint8_t bytes[8];

    (void)context;
    assert_true(mask_try(&two, "mask_number", "int2 -> int2", range, 2, MASK_SECRET));
    assert_true(mask_try(&eight, "mask_number", "int8 -> int8", range, 2, MASK_SECRET));
    for (int i = -300; i < 300; i++) {
        ph_rule_put_i64(bytes, i);
        assert_int_equal(mask_bytes(&eight, bytes, 8), PH_RULE_OK);
        assert_int_equal(mask_bytes(&two, bytes + 6, 2), PH_RULE_OK);
        int64_t got = ph_rule_get_i64(&eight.out);
        assert_int_equal(ph_rule_get_i16(&two.out), got);
        assert_true(got >= -10 && got <= 10);
        seen[got + 10] = true;
    }
    for (int i = 0; i < 21; i++)
        assert_true(seen[i]);
    assert_int_equal(mask_bytes(&two, bytes, 3), PH_RULE_BAD);
    mask_end(&two);
    mask_end(&eight);
    assert_true(mask_try(&eight, "mask_number", "int8 -> int8", all, 2, MASK_SECRET));
    assert_int_equal(mask_bytes(&eight, bytes, 8), PH_RULE_OK);
    mask_end(&eight);
    assert_false(mask_try(&eight, "mask_number", "int8 -> int8", wrong, 2, MASK_SECRET));
    mask_end(&eight);
    assert_false(mask_try(&eight, "mask_number", "int8 -> int8", NULL, 0, MASK_SECRET));
    mask_end(&eight);
}

static void
floats_are_within(void **context)
{
    const char *const range[] = {"0.25", "0.75"};
    const char *const wrong[] = {"0", "inf"};
    struct mask mask;

    (void)context;
    assert_true(mask_try(&mask, "mask_number", "float8 -> float8", range, 2, MASK_SECRET));
    for (uint32_t i = 0; i < 1000; i++) {
        uint8_t bytes[8];
        double value;
        ph_store_u64(bytes, UINT64_C(0x123456789abcdef) * i);
        assert_int_equal(mask_bytes(&mask, bytes, 8), PH_RULE_OK);
        uint64_t bits = ph_load_u64(mask.out.data);
        memcpy(&value, &bits, sizeof value);
        assert_true(value >= 0.25 && value <= 0.75);
    }
    mask_end(&mask);
    assert_false(mask_try(&mask, "mask_number", "float8 -> float8", wrong, 2, MASK_SECRET));
    mask_end(&mask);
}

static void
numerics_are_within(void **context)
{
    const char *const range[] = {"-1000.5", "99999.99"};
    const char *const narrow[] = {"0.001", "0.002"};
    const char *const wrong[] = {"1e3", "2000"};
    struct mask mask;
    uint8_t in[] = {0, 1, 0, 0, 0, 0, 0, 2, 0, 7}; /* 7.00 */

    (void)context;
    assert_true(mask_try(&mask, "mask_number", "numeric -> numeric", range, 2, MASK_SECRET));
    for (uint16_t i = 1; i < 1000; i++) {
        ph_store_u16(in + 8, i);
        assert_int_equal(mask_bytes(&mask, in, sizeof in), PH_RULE_OK);
        assert_true(mask.out.len >= 8);
        uint32_t n = ph_load_u16(mask.out.data);
        assert_int_equal(mask.out.len, 8 + 2 * n);
        assert_int_equal(ph_load_u16(mask.out.data + 6), 2);
        double value = 0;
        double unit = 1;
        for (int w = (int16_t)ph_load_u16(mask.out.data + 2); w > 0; w--)
            unit *= 10000;
        for (int w = (int16_t)ph_load_u16(mask.out.data + 2); w < 0; w++)
            unit /= 10000;
        for (uint32_t g = 0; g < n; g++, unit /= 10000)
            value += unit * ph_load_u16(mask.out.data + 8 + 2 * g);
        if (ph_load_u16(mask.out.data + 4) != 0)
            value = -value;
        assert_true(value >= -1000.5 && value <= 100000);
        assert_true(n == 0 || ph_load_u16(mask.out.data + 8 + 2 * (n - 1)) != 0);
    }
    assert_int_equal(mask_bytes(&mask, in, 9), PH_RULE_BAD);
    assert_int_equal(mask_bytes(&mask, in, 7), PH_RULE_BAD);
    assert_int_equal(mask_bytes(&mask, "\0\0\0\0\xc0\0\0\0", 8), PH_RULE_OK); /* NaN */
    mask_end(&mask);
    assert_true(mask_try(&mask, "mask_number", "numeric -> numeric", narrow, 2, MASK_SECRET));
    assert_int_equal(mask_bytes(&mask, in, sizeof in), PH_RULE_OK);
    assert_int_equal(ph_load_u16(mask.out.data + 6), 9);
    mask_end(&mask);
    assert_false(mask_try(&mask, "mask_number", "numeric -> numeric", wrong, 2, MASK_SECRET));
    mask_end(&mask);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_of_a_person), cmocka_unit_test(dates_of_a_numbered_person),
        cmocka_unit_test(dates_of_a_row),    cmocka_unit_test(null_and_bool),
        cmocka_unit_test(addresses),         cmocka_unit_test(ints_are_within),
        cmocka_unit_test(floats_are_within), cmocka_unit_test(numerics_are_within),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
