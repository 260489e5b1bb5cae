/* What becomes of messages of pgoutput in the spool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/intake.h"
#include "pgoutput_bytes.h"
#include "spool_case.h"

static struct spool_case c;
static struct ph_intake intake;
static struct ph_buf message;

static void
begin_session(void)
{
    case_begin_session(&c);
    ph_lsn at = case_positions(&c).durable;
    intake = (struct ph_intake){.spool = c.spool, .start = at, .reached = at};
}

static int
begin(void **state)
{
    (void)state;
    case_init(&c, case_memory());
    c.params.frame_bytes = 200;
    case_open(&c);
    ph_buf_init(&message, 1 << 20);
    begin_session();
    return 0;
}

static int
finish(void **state)
{
    (void)state;
    case_free(&c);
    ph_buf_free(&message);
    return 0;
}

static ph_code
take(struct ph_error *err)
{
    return ph_intake_take(&intake, (struct ph_span){message.data, message.len}, err);
}

static void
expect(ph_code code, const char *part)
{
    struct ph_error err = {0};

    assert_int_equal(take(&err), code);
    if (part != NULL && strstr(err.message, part) == NULL)
        fail_msg("%s", err.message);
}

/* ---- messages ---- */

static void
make_begin(ph_lsn commit)
{
    start(&message, 'B', 0);
    put_u64(&message, commit);
    put_u64(&message, 1);
    put_u32(&message, 700);
}

static void
put_ends(ph_lsn commit, ph_lsn end)
{
    ph_buf_putc(&message, '\0');
    put_u64(&message, commit);
    put_u64(&message, end);
    put_u64(&message, 1);
}

static void
make_commit(ph_lsn commit, ph_lsn end)
{
    start(&message, 'C', 0);
    put_ends(commit, end);
}

static void
make_row(uint32_t xid)
{
    start(&message, 'I', xid);
    put_u32(&message, 42);
    ph_buf_puts(&message, "a row, not looked into");
}

static void
make_object(char type, uint32_t xid, uint32_t oid, const char *name)
{
    start(&message, type, xid);
    put_u32(&message, oid);
    put_text(&message, name);
}

static void
make_block_start(uint32_t xid)
{
    start(&message, 'S', xid);
    ph_buf_putc(&message, '\1');
}

static void
make_stop(void)
{
    start(&message, 'E', 0);
}

static void
make_block_commit(uint32_t xid, ph_lsn commit, ph_lsn end)
{
    start(&message, 'c', xid);
    put_ends(commit, end);
}

static void
make_abort(uint32_t xid, uint32_t subxid)
{
    start(&message, 'A', xid);
    put_u32(&message, subxid);
}

static void
make_aside(void)
{
    start(&message, 'M', 0);
    ph_buf_putc(&message, '\0');
    put_u64(&message, 1);
    put_text(&message, "prefix");
}

/* ---- what the spool has ---- */

/* Kinds of the steps and first bytes of their messages. */
static const char *
contents(void)
{
    static char out[1000];
    struct ph_spool_reader *reader;
    struct ph_spool_step step;
    struct ph_spool_item item;
    size_t len = 0;
    bool more;

    MUST(ph_spool_flush(c.spool, must));
    MUST(ph_spool_reader_open(c.spool, SPOOL_BEGIN_LSN, &reader, must));
    for (;;) {
        MUST(ph_spool_reader_next(reader, 0, &step, must));
        if (step.what == PH_READ_NOTHING)
            break;
        static const char names[] = "-:_scap";
        len += (size_t)snprintf(out + len, sizeof out - len, " %c", names[step.what]);
        for (;;) {
            MUST(ph_spool_reader_message(reader, &item, &more, must));
            if (!more)
                break;
            len += (size_t)snprintf(out + len, sizeof out - len, "%c%d", (char)item.bytes.data[0],
                                    (int)item.kind);
        }
    }
    ph_spool_reader_close(reader);
    return out;
}

static void
every_kind(void **state)
{
    (void)state;
    make_begin(1010);
    expect(PH_OK, NULL);
    assert_false(ph_intake_is_between(&intake));
    make_object('Y', 0, 42, "a type");
    expect(PH_OK, NULL);
    make_object('R', 0, 42, "a table of the same number");
    expect(PH_OK, NULL);
    make_row(0);
    expect(PH_OK, NULL);
    make_aside();
    expect(PH_OK, NULL);
    make_commit(1010, 1020);
    expect(PH_OK, NULL);
    assert_true(ph_intake_is_between(&intake));
    assert_int_equal(intake.reached, 1020);
    make_aside();
    expect(PH_OK, NULL);
    make_block_start(800);
    expect(PH_OK, NULL);
    assert_false(ph_intake_is_between(&intake));
    make_object('Y', 801, 43, "inside");
    expect(PH_OK, NULL);
    make_object('R', 801, 42, "inside");
    expect(PH_OK, NULL);
    make_row(801);
    expect(PH_OK, NULL);
    make_stop();
    expect(PH_OK, NULL);
    make_abort(800, 801);
    expect(PH_OK, NULL);
    make_block_commit(800, 1030, 1040);
    expect(PH_OK, NULL);
    make_block_start(900);
    expect(PH_OK, NULL);
    make_stop();
    expect(PH_OK, NULL);
    make_abort(900, 900);
    expect(PH_OK, NULL);
    MUST(ph_intake_progress(&intake, 1050, must));
    MUST(ph_intake_progress(&intake, 1050, must));
    assert_int_equal(intake.transactions, 2);
    assert_string_equal(contents(), " : _B1 _Y3R3I2M2C4M5 sS2Y3R3I2E2A2 cR3Y3c6 sS2E2 aA7 p");
}

/* A definition of a type and one of a table do not take each other's place. */
static void
objects_are_apart(void **state)
{
    struct ph_spool_reader *reader;
    struct ph_spool_step step;
    struct ph_spool_item item;
    bool more;
    int definitions = 0;

    (void)state;
    make_begin(1010);
    expect(PH_OK, NULL);
    make_object('Y', 0, 42, "type");
    expect(PH_OK, NULL);
    make_object('R', 0, 42, "table");
    expect(PH_OK, NULL);
    make_object('R', 0, 42, "table again");
    expect(PH_OK, NULL);
    make_commit(1010, 1020);
    expect(PH_OK, NULL);
    make_begin(1030);
    expect(PH_OK, NULL);
    make_commit(1030, 1040);
    expect(PH_OK, NULL);
    MUST(ph_spool_flush(c.spool, must));
    MUST(ph_spool_reader_open(c.spool, 1020, &reader, must));
    for (step.what = PH_READ_SESSION; step.what != PH_READ_NOTHING;) {
        MUST(ph_spool_reader_next(reader, 0, &step, must));
        for (more = step.what != PH_READ_NOTHING; more;) {
            MUST(ph_spool_reader_message(reader, &item, &more, must));
            definitions += more && item.kind == PH_SPOOL_SCHEMA;
        }
    }
    ph_spool_reader_close(reader);
    assert_true(definitions >= 2);
}

static void
what_was_committed_before_is_left_out(void **state)
{
    (void)state;
    intake.start = intake.reached = 1100;
    make_begin(1099);
    expect(PH_OK, NULL);
    assert_false(ph_intake_is_between(&intake));
    make_object('R', 0, 42, "table");
    expect(PH_OK, NULL);
    make_row(0);
    expect(PH_OK, NULL);
    make_commit(1099, 1100);
    expect(PH_OK, NULL);
    assert_true(ph_intake_is_between(&intake));
    make_block_start(800);
    expect(PH_OK, NULL);
    make_stop();
    expect(PH_OK, NULL);
    make_block_commit(800, 1090, 1095);
    expect(PH_OK, NULL);
    assert_int_equal(intake.repeated, 2);
    assert_int_equal(intake.transactions, 0);
    make_begin(1100);
    expect(PH_OK, NULL);
    make_commit(1100, 1110);
    expect(PH_OK, NULL);
    assert_int_equal(intake.transactions, 1);
    assert_int_equal(intake.repeated, 2);
    assert_string_equal(contents(), " : sS2E2 _B1C4");
}

static void
misplaced(void **state)
{
    (void)state;
    make_row(0);
    expect(PH_E_PROTOCOL, "outside of any transaction");
    make_stop();
    expect(PH_E_PROTOCOL, "'E' where none can be");
    make_commit(1010, 1020);
    expect(PH_E_PROTOCOL, "a commit without a transaction");
    make_begin(1010);
    expect(PH_OK, NULL);
    expect(PH_E_PROTOCOL, "a transaction inside another");
    make_block_start(800);
    expect(PH_E_PROTOCOL, "'S' where none can be");
    make_block_commit(800, 1010, 1020);
    expect(PH_E_PROTOCOL, "a transaction inside another");
    make_abort(800, 800);
    expect(PH_E_PROTOCOL, "a transaction inside another");
    make_commit(1010, 1000);
    expect(PH_E_PROTOCOL, "ends before the last one");
    make_commit(1010, 1020);
    expect(PH_OK, NULL);
    make_block_start(800);
    expect(PH_OK, NULL);
    expect(PH_E_PROTOCOL, "'S' inside a block");
    make_begin(1030);
    expect(PH_E_PROTOCOL, "'B' inside a block");
    make_abort(800, 801);
    expect(PH_E_PROTOCOL, "'A' inside a block");
    start(&message, 'Y', 0);
    put_u32(&message, 800);
    expect(PH_E_PROTOCOL, "ends too early");
    make_stop();
    expect(PH_OK, NULL);
    start(&message, 'Y', 0);
    expect(PH_E_PROTOCOL, "ends too early");
    start(&message, '?', 0);
    expect(PH_E_PROTOCOL, "unknown message");
}

/* A message that found no room is taken at the next try, and counts once. */
static void
full_and_again(void **state)
{
    struct ph_error err = {0};
    ph_code rc = PH_OK;
    ph_lsn lsn = 1010;

    (void)state;
    case_free(&c);
    case_init(&c, case_memory());
    c.params.frame_bytes = 200;
    c.params.limit_bytes = 20000;
    c.params.packing = PH_PACK_NONE;
    case_open(&c);
    begin_session();
    uint32_t full = 0;
    for (uint32_t n = 0; n < 900; n++) {
        if (n % 3 == 0)
            make_begin(lsn);
        else if (n % 3 == 1)
            make_row(0);
        else
            make_commit(lsn, lsn + 10);
        while ((rc = take(&err)) == PH_E_SPOOL_LIMIT) {
            full++;
            MUST(ph_spool_sync(c.spool, 0, must));
            MUST(ph_spool_prune(c.spool, intake.reached, must));
        }
        assert_int_equal(rc, PH_OK);
        lsn += n % 3 == 2 ? 10 : 0;
    }
    assert_true(full > 1);
    assert_int_equal(intake.transactions, 300);
    assert_int_equal(intake.reached, lsn);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_kind, begin, finish),
        cmocka_unit_test_setup_teardown(objects_are_apart, begin, finish),
        cmocka_unit_test_setup_teardown(what_was_committed_before_is_left_out, begin, finish),
        cmocka_unit_test_setup_teardown(misplaced, begin, finish),
        cmocka_unit_test_setup_teardown(full_and_again, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
