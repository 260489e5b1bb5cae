/* Transactions out of the spool: what holds of a table, and streamed ones that are left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/intake.h"
#include "flow/txn_reader.h"
#include "pgoutput_bytes.h"
#include "spool_case.h"

#define LARGE 500u /* the streamed transaction's xid */
#define TABLE 16384u

static struct spool_case c;
static struct ph_intake intake;
static struct ph_buf message;
static struct ph_txn_reader *reader;

static int
begin(void **state)
{
    (void)state;
    case_init(&c, case_memory());
    c.params.frame_bytes = 200;
    case_open(&c);
    ph_buf_init(&message, 1 << 20);
    case_begin_session(&c);
    ph_lsn at = case_positions(&c).durable;
    intake = (struct ph_intake){.spool = c.spool, .start = at, .reached = at};
    MUST(ph_txn_reader_open(c.spool, at, &reader, must));
    return 0;
}

static int
finish(void **state)
{
    (void)state;
    ph_txn_reader_close(reader);
    reader = NULL;
    case_free(&c);
    ph_buf_free(&message);
    return 0;
}

static void
take(void)
{
    MUST(ph_intake_take(&intake, (struct ph_span){message.data, message.len}, must));
}

static void
insert(uint32_t xid, uint16_t n)
{
    static const char *const values[] = {"1", "2", "3", "4", "5"};

    start(&message, 'I', xid);
    put_u32(&message, TABLE);
    put_tuple(&message, 'N', values, n);
    take();
}

/* A transaction of one row; `announced`: the table comes before it. */
static void
whole(uint64_t lsn, uint16_t n, bool announced)
{
    put_begin(&message, lsn, (uint32_t)lsn);
    take();
    if (announced) {
        put_relation(&message, 0, TABLE, "t", n);
        take();
    }
    insert(0, n);
    put_commit(&message, lsn);
    take();
}

static void
block(uint8_t first, uint16_t n, bool announced)
{
    put_block_start(&message, LARGE, first);
    take();
    if (announced) {
        put_relation(&message, LARGE, TABLE, "t", n);
        take();
    }
    insert(LARGE, n);
    start(&message, 'E', 0);
    take();
}

static void
commit_large(uint64_t lsn)
{
    put_block_commit(&message, LARGE, lsn);
    take();
    MUST(ph_spool_flush(c.spool, must));
}

/* The next event but blocks passed by. */
static struct ph_txn_event
next(void)
{
    struct ph_txn_event event;

    do
        MUST(ph_txn_reader_next(reader, 0, &event, must));
    while (event.step == PH_TXN_BLOCK || event.step == PH_TXN_VOID);
    return event;
}

static void
expect_whole(uint32_t xid, uint32_t rows, uint32_t columns)
{
    assert_int_equal(next().step, PH_TXN_BEGIN);
    for (uint32_t i = 0; i < rows; i++) {
        struct ph_txn_event event = next();
        assert_int_equal(event.step, PH_TXN_CHANGE);
        assert_int_equal(event.txn.xid, xid);
        assert_int_equal(event.event->rel->n_columns, columns);
    }
    assert_int_equal(next().step, PH_TXN_COMMIT);
}

/* An announcement outside that came later than one inside is the later one, at the commit, too. */
static void
test_the_later_announcement(void **state)
{
    (void)state;
    whole(2000, 2, true);
    block(1, 3, true);
    whole(2100, 4, true);
    commit_large(2200);
    whole(2300, 4, false);
    MUST(ph_spool_flush(c.spool, must));
    expect_whole(2000, 1, 2);
    expect_whole(2100, 1, 4);
    assert_int_equal(next().step, PH_TXN_BLOCK_COMMIT);
    expect_whole(LARGE, 1, 3);
    expect_whole(2300, 1, 4);
}

static void
test_left_out(void **state)
{
    for (int leave = 0; leave < 2; leave++) {
        begin(state);
        whole(2000, 2, true);
        block(1, 3, true);
        whole(2100, 2, false);
        block(0, 3, false);
        commit_large(2200);
        whole(2300, 3, false); /* what it announced holds for all now */
        MUST(ph_spool_flush(c.spool, must));
        expect_whole(2000, 1, 2);
        expect_whole(2100, 1, 2);
        struct ph_txn_event event = next();
        assert_int_equal(event.step, PH_TXN_BLOCK_COMMIT);
        assert_int_equal(event.txn.xid, LARGE);
        assert_int_equal(event.txn.commit_lsn, 2200);
        assert_int_equal(event.end_lsn, 2208);
        if (leave == 1)
            ph_txn_reader_leave_out(reader);
        else
            expect_whole(LARGE, 2, 3);
        expect_whole(2300, 1, 3);
        assert_int_equal(next().step, PH_TXN_NOTHING);
        finish(state);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_later_announcement, begin, finish),
        cmocka_unit_test(test_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
