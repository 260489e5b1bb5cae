/* A streamed transaction read while it is written, and back to marks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spool_case.h"

#define XID 1u

struct follow {
    struct spool_case c;
    struct ph_spool_reader *reader;
    struct ph_spool_stream *stream; /* of XID */
    struct ph_buf got;
    struct ph_spool_mark mark;
    size_t mark_len; /* of got; 0: none is set */
    enum ph_spool_fate fate;
    uint64_t session;
};

/* Transcripts have each message in a line. */
static void
read_stream(struct follow *follow, struct ph_spool_place until)
{
    struct ph_spool_item item;
    bool more = true;

    MUST(ph_spool_stream_extend(follow->stream, until, &follow->fate, must));
    for (;;) {
        MUST(ph_spool_stream_next(follow->stream, &item, &more, must));
        if (!more)
            return;
        assert_false(ph_spool_place_before(until, ph_spool_stream_place(follow->stream)));
        if (follow->mark_len == 0 && follow->got.len > 300) {
            follow->mark = ph_spool_stream_mark(follow->stream);
            follow->mark_len = follow->got.len;
        }
        ph_buf_append(&follow->got, item.bytes.data, item.bytes.len);
        ph_buf_putc(&follow->got, '\n');
    }
}

/* As the applier does: the stream is read up to where the reader is. */
static void
read_all(struct follow *follow)
{
    struct ph_spool_step step;

    for (;;) {
        MUST(ph_spool_reader_next(follow->reader, 0, &step, must));
        if (step.what == PH_READ_NOTHING)
            return;
        if (step.xid != XID)
            continue;
        follow->session = step.session;
        if (follow->stream == NULL)
            MUST(ph_spool_stream_follow(follow->c.spool, step.session, XID, &follow->stream, must));
        assert_non_null(follow->stream);
        read_stream(follow, ph_spool_reader_place(follow->reader));
    }
}

static void
assert_got_all(const struct follow *follow)
{
    const char *at = ph_buf_text(&follow->got);

    for (const char *line = ph_buf_text(&follow->c.written); *line != '\0';
         line = strchr(line, '\n') + 1) {
        size_t len = (size_t)(strchr(line, '\n') - line) + 1;
        if (strncmp(line, "streamed 1.", 11) != 0)
            continue;
        assert_memory_equal(at, line, len);
        at += len;
    }
    assert_int_equal(*at, '\0');
}

static void
begin(struct follow *follow)
{
    *follow = (struct follow){0};
    case_init(&follow->c, case_memory());
    follow->c.params.frame_bytes = 500;
    follow->c.params.segment_bytes = 8000;
    case_open(&follow->c);
    case_begin_session(&follow->c);
    ph_buf_init(&follow->got, (size_t)1 << 30);
    MUST(ph_spool_reader_open(follow->c.spool, SPOOL_BEGIN_LSN, &follow->reader, must));
}

static void
end(struct follow *follow)
{
    ph_spool_stream_close(follow->stream);
    ph_spool_reader_close(follow->reader);
    ph_buf_free(&follow->got);
    case_free(&follow->c);
}

/* Blocks of others between, so many that extents are joined; read often, and rarely. */
static void
write_and_read(struct follow *follow, uint32_t read_every)
{
    for (uint32_t block = 0; block < 120; block++) {
        for (uint32_t xid = 1; xid <= 3; xid++)
            case_block(&follow->c, xid, block, 1 + (block + xid) % 4, 60);
        case_txn(&follow->c, 2, 50);
        MUST(ph_spool_flush(follow->c.spool, must));
        if (block % read_every == 0)
            read_all(follow);
    }
    read_all(follow);
    assert_got_all(follow);
}

static void
test_read_while_written(void **state)
{
    static const uint32_t every[] = {1, 7, 1000};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct follow follow;
        begin(&follow);
        write_and_read(&follow, every[i]);
        assert_int_equal(follow.fate, PH_FATE_OPEN);
        case_stream_commit(&follow.c, XID);
        MUST(ph_spool_flush(follow.c.spool, must));
        read_all(&follow);
        assert_int_equal(follow.fate, PH_FATE_COMMITTED);
        assert_got_all(&follow);
        end(&follow);
    }
}

static void
test_back_to_a_mark(void **state)
{
    struct follow follow;

    (void)state;
    begin(&follow);
    write_and_read(&follow, 5);
    for (int i = 0; i < 2; i++) {
        assert_true(follow.mark_len > 0);
        ph_spool_stream_back(follow.stream, &follow.mark);
        follow.got.len = follow.mark_len;
        case_block(&follow.c, XID, 1000, 3, 100);
        MUST(ph_spool_flush(follow.c.spool, must));
        read_all(&follow);
        assert_got_all(&follow);
    }
    end(&follow);
}

/* Only what lies up to the place is given, whatever else there is by now. */
static void
test_not_ahead(void **state)
{
    struct ph_spool_step step;
    struct follow follow;
    size_t last = 0;

    (void)state;
    begin(&follow);
    for (uint32_t block = 0; block < 30; block++)
        case_block(&follow.c, XID, block, 2, 300);
    MUST(ph_spool_flush(follow.c.spool, must));
    case_stream_commit(&follow.c, XID);
    for (;;) {
        MUST(ph_spool_reader_next(follow.reader, 0, &step, must));
        if (step.what == PH_READ_SESSION)
            continue;
        if (step.what != PH_READ_STREAM)
            break;
        if (follow.stream == NULL)
            MUST(ph_spool_stream_follow(follow.c.spool, step.session, XID, &follow.stream, must));
        read_stream(&follow, ph_spool_reader_place(follow.reader));
        assert_true(follow.got.len > last && follow.got.len < last + 1500);
        last = follow.got.len;
    }
    assert_int_equal(step.what, PH_READ_STREAM_COMMIT);
    assert_got_all(&follow);
    end(&follow);
}

static void
test_comes_to_nothing(void **state)
{
    struct ph_spool_stream *stream;
    struct follow follow;

    (void)state;
    begin(&follow);
    write_and_read(&follow, 10);
    case_put(&follow.c, PH_SPOOL_STREAM_ABORT, XID, 0, 0, "stream abort 1");
    read_all(&follow);
    assert_int_equal(follow.fate, PH_FATE_VOID);
    end(&follow);
    begin(&follow);
    write_and_read(&follow, 10);
    case_begin_session(&follow.c);
    MUST(ph_spool_stream_extend(follow.stream, (struct ph_spool_place){0}, &follow.fate, must));
    assert_int_equal(follow.fate, PH_FATE_VOID);
    MUST(ph_spool_stream_follow(follow.c.spool, follow.session + 1, XID, &stream, must));
    assert_null(stream);
    end(&follow);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_while_written),
        cmocka_unit_test(test_back_to_a_mark),
        cmocka_unit_test(test_not_ahead),
        cmocka_unit_test(test_comes_to_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
