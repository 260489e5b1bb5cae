#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pgoutput_bytes.h"
#include "wire/walsender.h"

#define EPOCH_US INT64_C(946684800000000)

static struct ph_walsender_message message;
static struct ph_error err;

static ph_code
parse(const struct ph_buf *bytes, size_t len)
{
    return ph_walsender_read((struct ph_span){bytes->data, len}, &message, &err);
}

static void
data(void **state)
{
    struct ph_buf bytes;

    (void)state;
    ph_buf_init(&bytes, 100);
    start(&bytes, 'w', 0);
    put_u64(&bytes, 0x10);
    put_u64(&bytes, 0x20);
    put_u64(&bytes, 7);
    for (size_t cut = 0; cut < bytes.len; cut++)
        assert_int_equal(parse(&bytes, cut), PH_E_PROTOCOL);
    assert_int_equal(parse(&bytes, bytes.len), PH_OK);
    assert_int_equal(message.payload.len, 0);
    ph_buf_puts(&bytes, "hello");
    assert_int_equal(parse(&bytes, bytes.len), PH_OK);
    assert_int_equal(message.item, PH_WALSENDER_DATA);
    assert_int_equal(message.wal_start, 0x10);
    assert_int_equal(message.wal_end, 0x20);
    assert_int_equal(message.sent_us, EPOCH_US + 7);
    assert_int_equal(message.payload.len, 5);
    assert_memory_equal(message.payload.data, "hello", 5);
    bytes.data[0] = 'x';
    assert_int_equal(parse(&bytes, bytes.len), PH_E_PROTOCOL);
    ph_buf_free(&bytes);
}

static void
keepalive(void **state)
{
    struct ph_buf bytes;

    (void)state;
    ph_buf_init(&bytes, 100);
    start(&bytes, 'k', 0);
    put_u64(&bytes, 0x30);
    put_u64(&bytes, 9);
    ph_buf_putc(&bytes, '\1');
    for (size_t cut = 0; cut < bytes.len; cut++)
        assert_int_equal(parse(&bytes, cut), PH_E_PROTOCOL);
    assert_int_equal(parse(&bytes, bytes.len), PH_OK);
    assert_int_equal(message.item, PH_WALSENDER_KEEPALIVE);
    assert_true(message.reply_wanted);
    assert_int_equal(message.wal_end, 0x30);
    assert_int_equal(message.sent_us, EPOCH_US + 9);
    bytes.data[17] = '\0';
    assert_int_equal(parse(&bytes, bytes.len), PH_OK);
    assert_false(message.reply_wanted);
    ph_buf_putc(&bytes, 'x');
    assert_int_equal(parse(&bytes, bytes.len), PH_E_PROTOCOL);
    ph_buf_free(&bytes);
}

static void
status(void **state)
{
    uint8_t out[PH_WALSENDER_STATUS_BYTES];
    const struct ph_walsender_status given = {3, 2, 1};

    (void)state;
    ph_walsender_put_status(&given, EPOCH_US + 5, out);
    assert_int_equal(out[0], 'r');
    assert_int_equal(ph_load_u64(out + 1), 3);
    assert_int_equal(ph_load_u64(out + 9), 2);
    assert_int_equal(ph_load_u64(out + 17), 1);
    assert_int_equal(ph_load_u64(out + 25), 5);
    assert_int_equal(out[33], 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data),
        cmocka_unit_test(keepalive),
        cmocka_unit_test(status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
