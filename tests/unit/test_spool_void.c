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
    case_txn(&c, 1, 0);
    MUST(ph_spool_flush(c.spool, must));
    assert_reads(reader, ph_buf_text(&c.written));
    ph_spool_reader_close(reader);
    case_free(&c);
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
    case_txn(&c, 1, 0);
    MUST(ph_spool_flush(c.spool, must));
    assert_reads(reader, ph_buf_text(&c.written));
    ph_spool_reader_close(reader);
    case_free(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restart_before_the_first_read),
        cmocka_unit_test(test_pruned_before_the_first_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
