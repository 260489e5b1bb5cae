/* The spool as long as nothing goes wrong: writing, reading, positions, pruning, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spool_case.h"

static void
begin(struct spool_case *c, size_t frame_bytes, uint64_t segment_bytes)
{
    case_init(c, case_memory());
    c->params.frame_bytes = frame_bytes;
    c->params.segment_bytes = segment_bytes;
    case_open(c);
    case_begin_session(c);
}

static void
reopen(struct spool_case *c)
{
    ph_spool_close(c->spool);
    c->spool = NULL;
    case_open(c);
}

static void
flush(struct spool_case *c)
{
    MUST(ph_spool_flush(c->spool, must));
}

static void
sync_now(struct spool_case *c)
{
    MUST(ph_spool_sync(c->spool, 0, must));
}

static void
test_empty(void **state)
{
    struct ph_spool_positions positions;
    struct ph_spool_session session;
    struct spool_case c;
    struct stat st;
    char path[512];
    off_t bytes = 0;

    (void)state;
    case_init(&c, case_memory());
    rmdir(c.dir);
    case_open(&c);
    assert_int_equal(stat(c.dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_true(case_segment(&c, 0, path, sizeof path, &bytes));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    for (int i = 0; i < 2; i++) {
        positions = case_positions(&c);
        assert_int_equal(positions.begin, SPOOL_BEGIN_LSN);
        assert_int_equal(positions.written, SPOOL_BEGIN_LSN);
        assert_int_equal(positions.durable, SPOOL_BEGIN_LSN);
        assert_false(ph_spool_last_session(c.spool, &session));
        reopen(&c);
    }
    case_free(&c);
    assert_int_not_equal(stat(c.dir, &st), 0);
}

static void
test_round_trip(void **state)
{
    static const enum ph_spool_packing packings[] = {PH_PACK_NONE, PH_PACK_LZ4, PH_PACK_ZSTD};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct spool_case c;

        case_init(&c, case_memory());
        c.params.packing = packings[i];
        c.params.frame_bytes = 1000;
        c.params.segment_bytes = 8000;
        case_open(&c);
        case_begin_session(&c);
        for (uint32_t n = 0; n < 100; n++)
            case_txn(&c, n % 7, n % 300);
        case_progress(&c);
        case_txn(&c, 30, 200); /* over several frames and segments */
        case_txn(&c, 2, 5000); /* single messages */
        flush(&c);
        assert_true(case_positions(&c).segments > 3);
        assert_int_equal(case_positions(&c).written, c.lsn);
        assert_int_equal(case_positions(&c).durable, SPOOL_BEGIN_LSN);
        assert_true(case_reads_all(&c, SPOOL_BEGIN_LSN));
        sync_now(&c);
        assert_int_equal(case_positions(&c).durable, c.lsn);
        reopen(&c);
        assert_int_equal(case_positions(&c).durable, c.lsn);
        assert_int_equal(case_positions(&c).begin, SPOOL_BEGIN_LSN);
        assert_true(case_reads_all(&c, SPOOL_BEGIN_LSN));
        case_free(&c);
    }
}

/* Reading from each end: what ends later is there whole, from its beginning, and nothing before
 * the transaction that was asked for but what shares its frame. */
static void
test_read_from(void **state)
{
    struct spool_case c;
    ph_lsn ends[60];
    char text[64];

    (void)state;
    begin(&c, 400, 3000);
    for (uint32_t i = 0; i < 60; i++) {
        if (i == 30)
            case_progress(&c);
        ends[i] = case_txn(&c, 1 + i % 9, 17 * (i % 10));
    }
    flush(&c);
    for (uint32_t i = 0; i < 60; i++) {
        struct ph_buf out;

        ph_buf_init(&out, (size_t)1 << 24);
        MUST(case_read_from(c.spool, ends[i], &out, must));
        if (i < 59) {
            snprintf(text, sizeof text, "begin %u\n", (unsigned)i + 2);
            const char *from = strstr(ph_buf_text(&out), text);
            assert_non_null(from);
            const char *whole = strstr(ph_buf_text(&c.written), text);
            assert_string_equal(from, whole);
        }
        /* The first line is no change: a transaction is given from its beginning or not at all. */
        assert_true(strncmp(ph_buf_text(&out), "change", 6) != 0);
        assert_true(strncmp(ph_buf_text(&out), "commit", 6) != 0);
        ph_buf_free(&out);
    }
    case_free(&c);
}

static void
assert_stream(struct spool_case *c, uint32_t xid, ph_lsn end, const char *expected)
{
    struct ph_buf out;

    ph_buf_init(&out, (size_t)1 << 30);
    MUST(case_read_stream(c->spool, xid, end, &out, must));
    assert_string_equal(ph_buf_text(&out), expected);
    ph_buf_free(&out);
}

/* Lines of the transcript that belong to one streamed transaction. */
static const char *
streamed_lines(const struct spool_case *c, uint32_t xid, struct ph_buf *out)
{
    char prefix[32];

    snprintf(prefix, sizeof prefix, "streamed %u.", (unsigned)xid);
    ph_buf_clear(out);
    for (const char *line = ph_buf_text(&c->written); *line != '\0';
         line = strchr(line, '\n') + 1) {
        if (strncmp(line, prefix, strlen(prefix)) == 0)
            ph_buf_append(out, line, (size_t)(strchr(line, '\n') - line) + 1);
    }
    return ph_buf_text(out);
}

static void
test_streams(void **state)
{
    struct spool_case c;
    struct ph_buf lines;
    ph_lsn ends[5] = {0};

    (void)state;
    ph_buf_init(&lines, (size_t)1 << 30);
    begin(&c, 500, 5000);
    for (uint32_t block = 0; block < 40; block++) {
        for (uint32_t xid = 1; xid <= 4; xid++)
            case_block(&c, xid, block, 1 + (block + xid) % 5, 60);
        case_txn(&c, 2, 50);
    }
    case_block(&c, 5, 0, 1, 3000);
    ends[1] = case_stream_commit(&c, 1);
    case_put(&c, PH_SPOOL_STREAM_ABORT, 2, 0, 0, "stream abort 2");
    ends[3] = case_stream_commit(&c, 3);
    case_txn(&c, 1, 1);
    flush(&c);
    assert_int_equal(case_positions(&c).open_streams, 2);
    assert_true(case_reads_all(&c, SPOOL_BEGIN_LSN));
    for (int i = 0; i < 2; i++) {
        assert_stream(&c, 1, ends[1], streamed_lines(&c, 1, &lines));
        assert_stream(&c, 3, ends[3], streamed_lines(&c, 3, &lines));
        assert_stream(&c, 4, 0, streamed_lines(&c, 4, &lines));
        assert_stream(&c, 5, 0, streamed_lines(&c, 5, &lines));
        assert_stream(&c, 2, 0, "");
        assert_stream(&c, 1, 0, "");
        assert_stream(&c, 1, ends[3], "");
        reopen(&c); /* the index is rebuilt */
    }
    /* A new session annuls what is open; committed ones stay. */
    case_begin_session(&c);
    assert_int_equal(case_positions(&c).open_streams, 0);
    assert_stream(&c, 4, 0, "");
    assert_stream(&c, 3, ends[3], streamed_lines(&c, 3, &lines));
    ph_buf_clear(&c.written);
    case_block(&c, 4, 7, 3, 10);
    flush(&c);
    assert_stream(&c, 4, 0, streamed_lines(&c, 4, &lines));
    ph_buf_free(&lines);
    case_free(&c);
}

static void
test_prune(void **state)
{
    struct spool_case c;
    struct ph_buf lines;
    ph_lsn ends[100];

    (void)state;
    ph_buf_init(&lines, (size_t)1 << 30);
    begin(&c, 300, 2000);
    for (int i = 0; i < 50; i++)
        ends[i] = case_txn(&c, 3, 100);
    flush(&c);
    uint64_t before = case_positions(&c).segments;
    MUST(ph_spool_prune(c.spool, ends[49], must));
    assert_int_equal(case_positions(&c).segments, before - 1); /* the first one held nothing */
    assert_int_equal(case_positions(&c).begin, SPOOL_BEGIN_LSN);
    sync_now(&c);
    for (int i = 0; i < 50; i += 7) {
        MUST(ph_spool_prune(c.spool, ends[i], must));
        assert_true(case_positions(&c).begin <= ends[i]);
        ph_buf_clear(&lines);
        MUST(case_read_from(c.spool, ends[i], &lines, must));
        assert_true(i == 49 || strstr(ph_buf_text(&lines), "commit 50 ") != NULL);
        assert_int_equal(case_positions(&c).segments, (uint64_t)case_count_segments(&c));
    }
    assert_true(case_positions(&c).segments < before / 2);
    MUST(ph_spool_prune(c.spool, ends[49], must));
    assert_int_equal(case_positions(&c).segments, 1);
    struct ph_spool_reader *reader;
    struct ph_error err;
    assert_int_equal(ph_spool_reader_open(c.spool, ends[0], &reader, &err), PH_E_GAP);
    assert_null(reader);
    struct ph_spool_positions positions = case_positions(&c);
    reopen(&c);
    assert_int_equal(case_positions(&c).begin, positions.begin);
    assert_int_equal(case_positions(&c).durable, positions.durable);
    /* Prune all of a spool that nobody writes to, and go on. */
    case_begin_session(&c);
    sync_now(&c);
    MUST(ph_spool_prune(c.spool, ends[49], must));
    assert_int_equal(case_positions(&c).segments, 1);
    assert_int_equal(case_positions(&c).begin, ends[49]);
    reopen(&c);
    assert_int_equal(case_positions(&c).begin, ends[49]);
    assert_int_equal(case_positions(&c).written, ends[49]);
    ph_buf_free(&lines);
    case_free(&c);
}

/* A segment with blocks of an open streamed transaction stays, those behind it become hollow. */
static void
prune_streams(size_t filler)
{
    struct spool_case c;
    struct ph_buf lines;
    ph_lsn last = 0;

    ph_buf_init(&lines, (size_t)1 << 30);
    begin(&c, 300, 2000);
    case_txn(&c, 20, 100);
    case_block(&c, 77, 0, 5, 100);
    for (uint32_t i = 0; i < 50; i++)
        last = case_txn(&c, 1 + i % 9, filler); /* over the ends of segments */
    case_block(&c, 77, 1, 5, 100);
    for (int i = 0; i < 20; i++)
        last = case_txn(&c, 3, 100);
    flush(&c);
    sync_now(&c);
    uint64_t bytes = case_positions(&c).bytes;
    MUST(ph_spool_prune(c.spool, last, must));
    assert_true(case_positions(&c).bytes < bytes / 3);
    assert_int_equal(case_positions(&c).segments, (uint64_t)case_count_segments(&c));
    for (int i = 0; i < 2; i++) {
        assert_stream(&c, 77, 0, streamed_lines(&c, 77, &lines));
        ph_lsn from = case_positions(&c).begin;
        assert_true(from <= last && from > SPOOL_BEGIN_LSN);
        ph_buf_clear(&lines);
        MUST(case_read_from(c.spool, last, &lines, must));
        if (i == 0)
            reopen(&c);
    }
    /* Annulled: it goes with what is applied next. */
    reopen(&c);
    case_begin_session(&c);
    MUST(ph_spool_prune(c.spool, last, must));
    last = case_txn(&c, 1, 1);
    flush(&c);
    sync_now(&c);
    MUST(ph_spool_prune(c.spool, last, must));
    assert_int_equal(case_positions(&c).segments, 1);
    ph_buf_free(&lines);
    case_free(&c);
}

static void
test_prune_streams(void **state)
{
    (void)state;
    for (size_t filler = 100; filler < 300; filler += 10)
        prune_streams(filler);
}

static void
test_prune_committed_stream(void **state)
{
    struct spool_case c;
    struct ph_buf lines;

    (void)state;
    ph_buf_init(&lines, (size_t)1 << 30);
    begin(&c, 300, 2000);
    case_block(&c, 77, 0, 50, 100);
    ph_lsn before = case_txn(&c, 3, 100);
    ph_lsn commit = case_stream_commit(&c, 77);
    for (int i = 0; i < 20; i++)
        case_txn(&c, 3, 100);
    flush(&c);
    sync_now(&c);
    MUST(ph_spool_prune(c.spool, before, must));
    assert_stream(&c, 77, commit, streamed_lines(&c, 77, &lines));
    uint64_t segments = case_positions(&c).segments;
    MUST(ph_spool_prune(c.spool, commit, must));
    assert_true(case_positions(&c).segments < segments - 1);
    assert_stream(&c, 77, commit, "");
    ph_buf_free(&lines);
    case_free(&c);
}

static void
test_sessions(void **state)
{
    struct ph_spool_session session;
    struct ph_error err;
    struct spool_case c;

    (void)state;
    begin(&c, 200, 100000);
    case_txn(&c, 3, 100);
    /* The connection breaks inside a transaction, part of which is written. */
    case_put(&c, PH_SPOOL_BEGIN, 0, 0, 0, "begin half");
    for (int i = 0; i < 4; i++)
        case_put(&c, PH_SPOOL_CHANGE, 0, 0, 150, "change half ");
    assert_int_equal(ph_spool_progress(c.spool, c.lsn + 1, &err), PH_E_PROTOCOL);
    session = case_session(c.lsn);
    assert_int_equal(ph_spool_begin_session(c.spool, &session, &err), PH_E_INTERNAL);
    MUST(ph_spool_end_session(c.spool, must));
    assert_int_equal(case_positions(&c).durable, c.lsn);
    /* Nothing can be appended between sessions. */
    assert_int_equal(case_try(&c, PH_SPOOL_BEGIN, 0, 0, 0, "begin", &err), PH_E_PROTOCOL);
    /* Another source, slot, publication or timeline. */
    session = case_session(c.lsn);
    session.system_id++;
    assert_int_equal(ph_spool_begin_session(c.spool, &session, &err), PH_E_SPOOL_OTHER);
    session = case_session(c.lsn);
    session.slot[0]++;
    assert_int_equal(ph_spool_begin_session(c.spool, &session, &err), PH_E_SPOOL_OTHER);
    session = case_session(c.lsn);
    session.publication[0]++;
    assert_int_equal(ph_spool_begin_session(c.spool, &session, &err), PH_E_SPOOL_OTHER);
    session = case_session(c.lsn);
    session.timeline++;
    assert_int_equal(ph_spool_begin_session(c.spool, &session, &err), PH_E_GAP);
    session.timeline_switch = c.lsn - 1;
    assert_int_equal(ph_spool_begin_session(c.spool, &session, &err), PH_E_GAP);
    session.timeline_switch = c.lsn;
    assert_int_equal(ph_spool_begin_session(c.spool, &session, &err), PH_OK);
    assert_int_equal(session.number, 2);
    ph_buf_puts(&c.written, "session 2\n");
    MUST(ph_spool_end_session(c.spool, must));
    session = case_session(c.lsn - 1);
    session.timeline = 2;
    assert_int_equal(ph_spool_begin_session(c.spool, &session, &err), PH_E_INTERNAL);
    reopen(&c);
    assert_true(ph_spool_last_session(c.spool, &session));
    assert_int_equal(session.number, 2);
    assert_int_equal(session.timeline, 2);
    assert_string_equal(session.options, "proto_version '2'");
    session.start = c.lsn;
    assert_int_equal(ph_spool_begin_session(c.spool, &session, &err), PH_OK);
    ph_buf_puts(&c.written, "session 3\n");
    case_txn(&c, 1, 1);
    flush(&c);
    assert_int_equal(case_positions(&c).written, c.lsn);
    case_free(&c);
}

/* A transaction that was half written when its connection broke holds nothing up. */
static void
test_half_transaction(void **state)
{
    struct spool_case c;
    struct ph_buf out;

    (void)state;
    begin(&c, 200, 1000);
    ph_lsn first = case_txn(&c, 3, 100);
    case_put(&c, PH_SPOOL_BEGIN, 0, 0, 0, "begin half");
    for (int i = 0; i < 20; i++)
        case_put(&c, PH_SPOOL_CHANGE, 0, 0, 100, "change half ");
    flush(&c);
    sync_now(&c);
    uint64_t segments = case_positions(&c).segments;
    MUST(ph_spool_prune(c.spool, first, must));
    assert_true(case_positions(&c).segments > 2); /* it may still end */
    assert_true(case_positions(&c).segments < segments);
    reopen(&c);
    case_begin_session(&c);
    sync_now(&c);
    MUST(ph_spool_prune(c.spool, first, must));
    assert_int_equal(case_positions(&c).segments, 1);
    assert_int_equal(case_positions(&c).begin, first);
    case_txn(&c, 2, 20);
    flush(&c);
    ph_buf_init(&out, (size_t)1 << 20);
    MUST(case_read_from(c.spool, first, &out, must));
    assert_memory_equal(ph_buf_text(&out), "session 2\nbegin 2\n", 18);
    ph_buf_free(&out);
    case_free(&c);
}

/* The target has more than the spool, whose tail was torn: it begins anew there. */
static void
test_restart(void **state)
{
    struct spool_case c;

    (void)state;
    begin(&c, 200, 1000);
    for (int i = 0; i < 20; i++)
        case_txn(&c, 3, 100);
    case_block(&c, 9, 0, 3, 100);
    flush(&c);
    reopen(&c);
    c.lsn += 5000;
    struct ph_spool_session session = case_session(c.lsn);
    MUST(ph_spool_begin_session(c.spool, &session, must));
    ph_buf_clear(&c.written);
    ph_buf_puts(&c.written, "session 2\n");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(case_positions(&c).begin, c.lsn);
        assert_int_equal(case_positions(&c).written, c.lsn);
        assert_int_equal(case_positions(&c).segments, 1);
        assert_int_equal(case_positions(&c).open_streams, 0);
        reopen(&c);
    }
    assert_true(case_reads_all(&c, c.lsn));
    case_free(&c);
}

static void
test_misplaced(void **state)
{
    struct ph_error err;
    struct spool_case c;

    (void)state;
    begin(&c, 200, 100000);
    c.params.message_bytes = 100;
    assert_int_equal(case_try(&c, PH_SPOOL_COMMIT, 0, c.lsn + 1, 0, "x", &err), PH_E_PROTOCOL);
    assert_int_equal(case_try(&c, PH_SPOOL_CHANGE, 0, 0, 0, "x", &err), PH_E_PROTOCOL);
    assert_int_equal(case_try(&c, PH_SPOOL_STREAM_COMMIT, 4, c.lsn, 0, "x", &err), PH_E_PROTOCOL);
    case_put(&c, PH_SPOOL_BEGIN, 0, 0, 0, "begin");
    assert_int_equal(case_try(&c, PH_SPOOL_BEGIN, 0, 0, 0, "x", &err), PH_E_PROTOCOL);
    assert_int_equal(case_try(&c, PH_SPOOL_CHANGE, 4, 0, 0, "x", &err), PH_E_PROTOCOL);
    assert_int_equal(case_try(&c, PH_SPOOL_STREAM_COMMIT, 4, c.lsn + 1, 0, "x", &err),
                     PH_E_PROTOCOL);
    assert_int_equal(case_try(&c, PH_SPOOL_ASIDE, 0, 0, 0, "x", &err), PH_E_PROTOCOL);
    assert_int_equal(case_try(&c, PH_SPOOL_COMMIT, 0, c.lsn, 0, "x", &err), PH_E_PROTOCOL);
    case_put(&c, PH_SPOOL_COMMIT, 0, c.lsn + 1, 0, "commit");
    case_put(&c, PH_SPOOL_ASIDE, 0, 0, 0, "aside");
    case_free(&c);
}

static void
test_limit(void **state)
{
    struct ph_error err;
    struct spool_case c;
    ph_lsn last = 0;
    ph_code rc = PH_OK;

    (void)state;
    case_init(&c, case_memory());
    c.params.frame_bytes = 1000;
    c.params.limit_bytes = 20000;
    case_open(&c);
    case_begin_session(&c);
    for (int i = 0; i < 100 && rc == PH_OK; i++) {
        last = case_txn(&c, 2, 100);
        rc = ph_spool_flush(c.spool, &err);
    }
    assert_int_equal(rc, PH_E_SPOOL_LIMIT);
    assert_non_null(strstr(err.message, "20000"));
    assert_true(case_positions(&c).bytes <= 20000);
    uint64_t bytes = case_positions(&c).bytes;
    assert_int_equal(ph_spool_flush(c.spool, &err), PH_E_SPOOL_LIMIT);
    assert_int_equal(case_positions(&c).bytes, bytes);
    /* What was gathered is still there, and goes out when there is room. */
    ph_lsn written = case_positions(&c).written;
    assert_true(written < last);
    sync_now(&c);
    MUST(ph_spool_prune(c.spool, written, must));
    flush(&c);
    assert_int_equal(case_positions(&c).written, last);
    struct ph_buf out;
    ph_buf_init(&out, (size_t)1 << 30);
    MUST(case_read_from(c.spool, written, &out, must));
    assert_non_null(strstr(ph_buf_text(&out), "commit"));
    ph_buf_free(&out);
    reopen(&c);
    assert_int_equal(case_positions(&c).written, last);
    case_free(&c);
}

/* All the definitions that come before the first message of the reading, in order of the reading.
 */
static void
read_schema(struct ph_spool *spool, ph_lsn from, struct ph_buf *out)
{
    struct ph_spool_reader *reader;
    struct ph_spool_step step;
    struct ph_spool_item item;
    bool more;

    MUST(ph_spool_reader_open(spool, from, &reader, must));
    for (bool done = false; !done;) {
        MUST(ph_spool_reader_next(reader, 0, &step, must));
        if (step.what == PH_READ_NOTHING)
            break;
        for (more = true; more && !done;) {
            MUST(ph_spool_reader_message(reader, &item, &more, must));
            if (more && item.kind == PH_SPOOL_SCHEMA) {
                ph_buf_append(out, item.bytes.data, item.bytes.len);
                ph_buf_putc(out, ' ');
            }
            done = more && item.kind != PH_SPOOL_SCHEMA && item.kind != PH_SPOOL_BEGIN;
        }
    }
    ph_spool_reader_close(reader);
}

/* What holds for each object at the end: the last definition given. Objects are text lengths. */
static void
assert_schema(struct spool_case *c, ph_lsn from, const char *last[], size_t n)
{
    struct ph_buf out;

    ph_buf_init(&out, (size_t)1 << 20);
    read_schema(c->spool, from, &out);
    for (size_t i = 0; i < n; i++) {
        const char *end = NULL;

        for (const char *at = ph_buf_text(&out); *at != '\0'; at += strcspn(at, " ") + 1) {
            if (strcspn(at, " ") == strlen(last[i]))
                end = at;
        }
        assert_non_null(end);
        assert_memory_equal(end, last[i], strlen(last[i]));
    }
    ph_buf_free(&out);
}

/* The server sends a definition once a session; who begins to read later must have it. */
static void
test_schema(void **state)
{
    struct spool_case c;
    const char *first[] = {"A", "BB", "CCC"};
    const char *later[] = {"a", "BB", "ccc", "DDDD"};

    (void)state;
    begin(&c, 300, 2500);
    case_put(&c, PH_SPOOL_BEGIN, 0, 0, 0, "begin x");
    for (size_t i = 0; i < 3; i++) {
        case_put(&c, PH_SPOOL_SCHEMA, 0, 0, 0, first[i]);
        case_put(&c, PH_SPOOL_CHANGE, 0, 0, 10, "change ");
    }
    c.lsn += 100;
    case_put(&c, PH_SPOOL_COMMIT, 0, c.lsn, 0, "commit x");
    ph_lsn early = case_txn(&c, 2, 30);
    case_txn(&c, 2, 30);
    ph_lsn late = 0;
    for (int i = 0; i < 20; i++)
        late = case_txn(&c, 2, 300);
    case_txn(&c, 2, 30);
    flush(&c);
    assert_schema(&c, early, first, 3); /* passed over in the same segment */
    assert_schema(&c, late, first, 3);  /* at the head of another segment */
    /* Redefined; one inside a streamed transaction counts from its commit on. */
    case_put(&c, PH_SPOOL_SCHEMA, 50, 0, 0, "ccc");
    case_put(&c, PH_SPOOL_SCHEMA, 50, 0, 0, "z");
    case_put(&c, PH_SPOOL_SCHEMA, 50, 0, 0, "DDDD");
    case_put(&c, PH_SPOOL_SCHEMA, 51, 0, 0, "EEEEE");
    case_put(&c, PH_SPOOL_BEGIN, 0, 0, 0, "begin y");
    case_put(&c, PH_SPOOL_CHANGE, 0, 0, 10, "change ");
    case_put(&c, PH_SPOOL_SCHEMA, 0, 0, 0, "a"); /* newer than the transaction's z */
    case_put(&c, PH_SPOOL_CHANGE, 0, 0, 10, "change ");
    c.lsn += 100;
    case_put(&c, PH_SPOOL_COMMIT, 0, c.lsn, 0, "commit y");
    early = case_stream_commit(&c, 50);
    case_put(&c, PH_SPOOL_STREAM_ABORT, 51, 0, 0, "stream abort 51");
    case_txn(&c, 2, 30);
    flush(&c);
    assert_schema(&c, early, later, 4);
    for (int i = 0; i < 20; i++)
        late = case_txn(&c, 2, 300);
    case_txn(&c, 2, 30);
    flush(&c);
    assert_schema(&c, late, later, 4);
    struct ph_buf out;
    ph_buf_init(&out, (size_t)1 << 20);
    read_schema(c.spool, late, &out);
    assert_null(strstr(ph_buf_text(&out), "EEEEE"));
    ph_buf_free(&out);
    sync_now(&c);
    MUST(ph_spool_prune(c.spool, late, must));
    reopen(&c);
    assert_schema(&c, late, later, 4);
    case_free(&c);
}

static void
test_start(void **state)
{
    const struct ph_spool_positions spool = {.begin = 100, .written = 900, .durable = 500};
    struct ph_error err;
    ph_lsn start;

    (void)state;
    assert_int_equal(ph_spool_start(&spool, 500, 100, &start, &err), PH_OK);
    assert_int_equal(start, 500);
    assert_int_equal(ph_spool_start(&spool, 0, 500, &start, &err), PH_OK);
    assert_int_equal(start, 500);
    /* The target has more than the spool, and the slot no more than the target. */
    assert_int_equal(ph_spool_start(&spool, 700, 700, &start, &err), PH_OK);
    assert_int_equal(start, 700);
    assert_int_equal(ph_spool_start(&spool, 700, 699, &start, &err), PH_E_GAP);
    assert_int_equal(ph_spool_start(&spool, 501, 100, &start, &err), PH_E_GAP);
    assert_non_null(strstr(err.message, "0/1F5"));
    assert_int_equal(ph_spool_start(&spool, 500, 99, &start, &err), PH_E_GAP);
}

static void
test_inspect(void **state)
{
    struct ph_spool_id other = ph_spool_id_of("another");
    struct ph_spool_positions positions;
    struct ph_error err;
    struct spool_case c;
    uint64_t removed;
    bool found;

    (void)state;
    begin(&c, 200, 1000);
    for (int i = 0; i < 20; i++)
        case_txn(&c, 3, 100);
    flush(&c);
    sync_now(&c);
    case_block(&c, 5, 0, 3, 100);
    case_txn(&c, 3, 10);
    flush(&c);
    /* In use by ourselves, as by another process. */
    MUST(ph_spool_inspect(c.dir, &c.params.id, &positions, &found, must));
    assert_true(found);
    struct ph_spool_positions own = case_positions(&c);
    assert_int_equal(positions.begin, own.begin);
    assert_int_equal(positions.written, own.written);
    assert_int_equal(positions.durable, own.durable);
    assert_int_equal(positions.bytes, own.bytes);
    assert_int_equal(positions.segments, own.segments);
    assert_int_equal(positions.open_streams, 1);
    MUST(ph_spool_inspect(c.dir, NULL, &positions, &found, must));
    assert_int_equal(positions.written, own.written);
    assert_int_equal(ph_spool_inspect(c.dir, &other, &positions, &found, &err), PH_E_SPOOL_OTHER);
    assert_int_equal(ph_spool_remove(c.dir, NULL, &removed, &err), PH_E_JOB_RUNNING);
    struct ph_spool *second;
    assert_int_equal(ph_spool_open(&c.params, &second, &err), PH_E_JOB_RUNNING);
    ph_spool_close(c.spool);
    c.spool = NULL;
    assert_int_equal(ph_spool_remove(c.dir, &other, &removed, &err), PH_E_SPOOL_OTHER);
    c.params.id = other;
    assert_int_equal(ph_spool_open(&c.params, &second, &err), PH_E_SPOOL_OTHER);
    c.params.mode = PH_SPOOL_CREATE;
    assert_int_equal(ph_spool_open(&c.params, &second, &err), PH_E_SPOOL_OTHER);
    assert_null(second);
    case_free(&c);
    MUST(ph_spool_inspect(c.dir, NULL, &positions, &found, must));
    assert_false(found);
    MUST(ph_spool_remove(c.dir, NULL, &removed, must));
    assert_int_equal(removed, 0);
    c.params.mode = PH_SPOOL_OPEN;
    assert_int_equal(ph_spool_open(&c.params, &second, &err), PH_E_GAP);
}

/* Readers that stand in a segment when it goes away, waiting for more or not. */
static void
test_prune_behind_reader(void **state)
{
    struct ph_spool_reader *readers[2];
    struct ph_spool_step step;
    struct spool_case c;
    struct ph_buf out;

    (void)state;
    begin(&c, 300, 2000);
    ph_lsn first = case_txn(&c, 3, 100);
    flush(&c);
    ph_buf_init(&out, (size_t)1 << 20);
    for (int i = 0; i < 2; i++) {
        MUST(ph_spool_reader_open(c.spool, i == 0 ? SPOOL_BEGIN_LSN : first, &readers[i], must));
        do {
            MUST(ph_spool_reader_next(readers[i], 0, &step, must));
        } while (step.what != PH_READ_NOTHING);
    }
    /* Segments of a streamed transaction that comes to nothing. */
    case_block(&c, 9, 0, 60, 100);
    case_put(&c, PH_SPOOL_STREAM_ABORT, 9, 0, 0, "stream abort 9");
    ph_lsn last = 0;
    for (int i = 0; i < 30; i++)
        last = case_txn(&c, 3, 100);
    flush(&c);
    sync_now(&c);
    MUST(ph_spool_prune(c.spool, first + 100, must));
    assert_true(case_positions(&c).begin > SPOOL_BEGIN_LSN);
    for (int i = 0; i < 2; i++) {
        ph_buf_clear(&out);
        do {
            MUST(ph_spool_reader_next(readers[i], 0, &step, must));
            MUST(case_read_step(readers[i], &step, &out, must));
        } while (step.last_end < last);
        assert_non_null(strstr(ph_buf_text(&out), "begin 3\n"));
        ph_spool_reader_close(readers[i]);
    }
    ph_buf_free(&out);
    case_free(&c);
}

static void
test_large_message(void **state)
{
    struct ph_error err;
    struct spool_case c;

    (void)state;
    case_init(&c, case_memory());
    c.params.message_bytes = 6u << 20;
    case_open(&c);
    case_begin_session(&c);
    case_txn(&c, 2, 5u << 20);
    assert_int_equal(case_try(&c, PH_SPOOL_ASIDE, 0, 0, 6u << 20, "x", &err), PH_E_ROW_TOO_LARGE);
    case_block(&c, 3, 0, 2, 3u << 20);
    case_txn(&c, 20, 30);
    flush(&c);
    assert_true(case_reads_all(&c, SPOOL_BEGIN_LSN));
    case_free(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_read_from),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_prune),
        cmocka_unit_test(test_prune_streams),
        cmocka_unit_test(test_prune_committed_stream),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_half_transaction),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_misplaced),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_inspect),
        cmocka_unit_test(test_prune_behind_reader),
        cmocka_unit_test(test_large_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
