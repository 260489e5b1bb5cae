/* What a new connection makes void: a transaction that was open, and blocks that take up room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spool_case.h"

/* Written, up to a frame in which X ends and Y begins; returns X's end. */
static ph_lsn
write_up_to_a_shared_frame(struct spool_case *c)
{
    case_init(c, case_memory());
    case_open(c);
    case_begin_session(c);
    (void)case_txn(c, 2, 10);
    MUST(ph_spool_flush(c->spool, must));
    case_put(c, PH_SPOOL_BEGIN, 0, 0, 0, "begin X");
    MUST(ph_spool_flush(c->spool, must));
    c->lsn += 100;
    case_put(c, PH_SPOOL_COMMIT, 0, c->lsn, 0, "commit X");
    case_put(c, PH_SPOOL_BEGIN, 0, 0, 0, "begin Y");
    MUST(ph_spool_flush(c->spool, must));
    MUST(ph_spool_end_session(c->spool, must));
    return c->lsn;
}

static void
assert_reads(struct ph_spool_reader *reader, const char *expected)
{
    struct ph_spool_step step;
    struct ph_buf out;

    ph_buf_init(&out, (size_t)1 << 20);
    for (;;) {
        MUST(ph_spool_reader_next(reader, 0, &step, must));
        if (step.what == PH_READ_NOTHING)
            break;
        MUST(case_read_step(reader, &step, &out, must));
    }
    assert_string_equal(ph_buf_text(&out), expected);
    ph_buf_free(&out);
}

/* Also of one more transaction; the reader and all else are at their end. */
static void
gives_what_comes(struct spool_case *c, struct ph_spool_reader *reader)
{
    case_txn(c, 1, 0);
    MUST(ph_spool_flush(c->spool, must));
    assert_reads(reader, ph_buf_text(&c->written));
    ph_spool_reader_close(reader);
    case_free(c);
}

/* The target had more than is left here: the spool begins anew between opening and reading. */
static void
test_restart_before_the_first_read(void **state)
{
    struct ph_spool_reader *reader;
    struct spool_case c;

    (void)state;
    c.lsn = write_up_to_a_shared_frame(&c) + 1000;
    MUST(ph_spool_reader_open(c.spool, c.lsn, &reader, must));
    struct ph_spool_session session = case_session(c.lsn);
    MUST(ph_spool_begin_session(c.spool, &session, must));
    ph_buf_clear(&c.written);
    ph_buf_puts(&c.written, "session 2\n");
    case_txn(&c, 1, 0);
    MUST(ph_spool_flush(c.spool, must));
    gives_what_comes(&c, reader);
}

/* The same where all that is here was applied, and pruned. */
static void
test_pruned_before_the_first_read(void **state)
{
    struct ph_spool_reader *reader;
    struct spool_case c;

    (void)state;
    ph_lsn end = write_up_to_a_shared_frame(&c);
    MUST(ph_spool_reader_open(c.spool, end, &reader, must));
    ph_buf_clear(&c.written);
    case_begin_session(&c);
    MUST(ph_spool_prune(c.spool, end, must));
    assert_int_equal(case_positions(&c).segments, 1);
    gives_what_comes(&c, reader);
}

/* All is applied but for what has no end, which nobody could read: it is not given. */
static void
test_left_sessions(void **state)
{
    struct spool_case c;
    struct ph_buf out;

    (void)state;
    ph_lsn end = write_up_to_a_shared_frame(&c);
    ph_spool_close(c.spool);
    case_open(&c);
    ph_spool_leave_sessions(c.spool);
    ph_buf_clear(&c.written);
    ph_buf_init(&out, (size_t)1 << 20);
    MUST(case_read_from(c.spool, end, &out, must));
    assert_int_equal(out.len, 0);
    case_begin_session(&c);
    case_txn(&c, 1, 0);
    MUST(ph_spool_flush(c.spool, must));
    assert_true(case_reads_all(&c, end));
    ph_buf_free(&out);
    case_free(&c);
}

/* ---- blocks ---- */

#define LIMIT 100000u

/* Blocks of transaction 7, until it has so many; false: the spool is full before. */
static bool
put_blocks(struct spool_case *c, uint32_t n)
{
    struct ph_error err;

    for (uint32_t i = 0; i < n; i++) {
        ph_code rc = case_try(c, PH_SPOOL_CHANGE, 7, 0, 900, "block ", &err);
        assert_true(rc == PH_OK || rc == PH_E_SPOOL_LIMIT);
        if (rc != PH_OK)
            return false;
    }
    return true;
}

/* All is applied, and blocks take up more than half of the room. Returns the last end. */
static ph_lsn
fill_with_blocks(struct spool_case *c)
{
    case_init(c, case_memory());
    c->params.packing = PH_PACK_NONE;
    c->params.frame_bytes = 1000;
    c->params.limit_bytes = LIMIT;
    case_open(c);
    case_begin_session(c);
    ph_lsn end = case_txn(c, 2, 10);
    assert_true(put_blocks(c, 60));
    MUST(ph_spool_flush(c->spool, must));
    return end;
}

/* As an applier that has read all there is. */
static void
prune(struct spool_case *c, struct ph_spool_reader *reader, ph_lsn applied)
{
    struct ph_spool_step step;

    do {
        MUST(ph_spool_reader_next(reader, 0, &step, must));
        if (step.what == PH_READ_SESSION || step.what == PH_READ_STREAM_ABORT)
            ph_spool_has_passed(c->spool, ph_spool_reader_place(reader));
    } while (step.what != PH_READ_NOTHING);
    MUST(ph_spool_sync(c->spool, 0, must));
    MUST(ph_spool_prune(c->spool, applied, must));
}

/* What comes again has the room of what is void, though nothing else was applied meanwhile. */
static void
test_blocks_come_again(void **state)
{
    struct ph_spool_reader *reader;
    struct spool_case c;

    (void)state;
    ph_lsn end = fill_with_blocks(&c);
    MUST(ph_spool_reader_open(c.spool, end, &reader, must));
    case_begin_session(&c);
    assert_false(put_blocks(&c, 60));
    MUST(ph_spool_prune(c.spool, end, must));
    assert_false(put_blocks(&c, 1)); /* nobody has read that they are void */
    prune(&c, reader, end);
    assert_true(put_blocks(&c, 20));
    assert_int_equal(case_positions(&c).open_streams, 1);
    ph_spool_reader_close(reader);
    case_free(&c);
}

static void
test_rolled_back_for_another(void **state)
{
    struct ph_spool_reader *reader;
    struct spool_case c;

    (void)state;
    ph_lsn end = fill_with_blocks(&c);
    MUST(ph_spool_reader_open(c.spool, end, &reader, must));
    case_put(&c, PH_SPOOL_STREAM_ABORT, 7, 0, 0, "stream abort 7");
    prune(&c, reader, end);
    assert_true(put_blocks(&c, 60));
    ph_spool_reader_close(reader);
    case_free(&c);
}

/* The next run opens a spool that is full of what nobody wants: its connection makes it void. */
static void
test_opened_full(void **state)
{
    struct ph_spool_reader *reader;
    struct spool_case c;

    (void)state;
    ph_lsn end = fill_with_blocks(&c);
    while (put_blocks(&c, 1))
        continue;
    ph_spool_close(c.spool);
    case_open(&c);
    c.params.limit_bytes = LIMIT / 2;
    ph_spool_close(c.spool);
    case_open(&c);
    MUST(ph_spool_reader_open(c.spool, end, &reader, must));
    case_begin_session(&c);
    prune(&c, reader, end);
    assert_true(put_blocks(&c, 30));
    ph_spool_reader_close(reader);
    case_free(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restart_before_the_first_read),
        cmocka_unit_test(test_pruned_before_the_first_read),
        cmocka_unit_test(test_left_sessions),
        cmocka_unit_test(test_blocks_come_again),
        cmocka_unit_test(test_rolled_back_for_another),
        cmocka_unit_test(test_opened_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
