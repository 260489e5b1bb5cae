/*
 * The spool after crashes and damage: a torn tail is cut to whole frames, anything else is refused,
 * and nothing is ever read that was not written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spool/internal.h"
#include "spool_case.h"

/* A directory as it would be after a crash of the machine that lost nothing. */
static void
copy_files(const char *from, const char *to)
{
    struct dirent **entries;
    int n = scandir(from, &entries, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.') {
            char path[600];
            struct stat st;

            snprintf(path, sizeof path, "%s/%s", from, entries[i]->d_name);
            int in = open(path, O_RDONLY);
            assert_true(in >= 0 && fstat(in, &st) == 0);
            uint8_t *bytes = malloc((size_t)st.st_size + 1);
            assert_int_equal(read(in, bytes, (size_t)st.st_size), st.st_size);
            close(in);
            snprintf(path, sizeof path, "%s/%s", to, entries[i]->d_name);
            int out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
            assert_int_equal(write(out, bytes, (size_t)st.st_size), st.st_size);
            close(out);
            free(bytes);
        }
        free(entries[i]);
    }
    free(entries);
}

static void
empty_directory(const char *dir)
{
    struct dirent **entries;
    int n = scandir(dir, &entries, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        char path[600];

        snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            unlink(path);
        free(entries[i]);
    }
    free(entries);
}

/* A second case with the files of the first. */
static void
crash(const struct spool_case *from, struct spool_case *to)
{
    empty_directory(to->dir);
    copy_files(from->dir, to->dir);
    to->params = from->params;
    to->params.dir = to->dir;
    to->params.mode = PH_SPOOL_OPEN;
}

static uint8_t
flip(const char *path, off_t at, uint8_t with)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);

    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= with;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
    return byte;
}

/* What can be read is the beginning of what was written, up to the end of a line. */
static void
assert_prefix(const struct spool_case *written, const struct ph_buf *read)
{
    assert_true(read->len <= written->written.len);
    if (read->len > 0) {
        assert_memory_equal(read->data, written->written.data, read->len);
        assert_int_equal(read->data[read->len - 1], '\n');
    }
}

/* Three segments of sessions, transactions, streamed ones and progress, all small. */
static void
fill(struct spool_case *c, enum ph_spool_packing packing)
{
    case_init(c, case_memory());
    c->params.packing = packing;
    c->params.frame_bytes = 200;
    c->params.segment_bytes = 1200;
    case_open(c);
    case_begin_session(c);
    case_txn(c, 2, 40);
    case_block(c, 5, 0, 2, 50);
    case_progress(c);
    MUST(ph_spool_flush(c->spool, must));
    MUST(ph_spool_sync(c->spool, 0, must));
    case_block(c, 5, 1, 2, 50);
    case_txn(c, 6, 90);
    case_stream_commit(c, 5);
    MUST(ph_spool_flush(c->spool, must));
}

/* Open what is there and read all of it. */
static ph_code
open_and_read(struct spool_case *c, struct ph_buf *out, struct ph_spool_positions *positions)
{
    struct ph_error err;

    ph_buf_clear(out);
    *positions = (struct ph_spool_positions){0};
    ph_code rc = ph_spool_open(&c->params, &c->spool, &err);
    if (rc == PH_OK) {
        *positions = case_positions(c);
        rc = case_read_from(c->spool, positions->begin, out, &err);
        struct ph_buf stream;
        ph_buf_init(&stream, (size_t)1 << 20);
        if (rc == PH_OK && positions->open_streams == 0)
            rc = case_read_stream(c->spool, 5, positions->written, &stream, &err);
        ph_buf_free(&stream);
    }
    if (rc != PH_OK && rc != PH_E_SPOOL_DAMAGED && rc != PH_E_GAP && rc != PH_E_SPOOL_OTHER)
        fprintf(stderr, "%s: %s\n", ph_code_text(rc), err.message);
    return rc;
}

/* The tail torn at every byte behind what was durable. */
static void
test_torn(void **state)
{
    struct spool_case written;
    struct spool_case torn;
    struct ph_buf out;
    char path[512];
    off_t size = 0;
    ph_lsn durable = 0;

    (void)state;
    fill(&written, PH_PACK_LZ4);
    case_init(&torn, case_memory());
    ph_buf_init(&out, (size_t)1 << 20);
    durable = case_positions(&written).durable;
    int segments = case_count_segments(&written);
    assert_true(segments >= 3);
    ph_lsn before = 0;
    for (int last = 2; last < segments; last++) {
        assert_true(case_segment(&written, last, path, sizeof path, &size));
        for (off_t cut = 0; cut < size; cut++) {
            struct ph_spool_positions positions;
            struct ph_spool_session session;
            char other[512];
            off_t bytes;

            crash(&written, &torn);
            for (int later = last + 1; case_segment(&torn, last + 1, other, sizeof other, &bytes);
                 later++)
                unlink(other);
            assert_true(case_segment(&torn, last, other, sizeof other, &bytes));
            assert_int_equal(truncate(other, cut), 0);
            assert_int_equal(open_and_read(&torn, &out, &positions), PH_OK);
            assert_prefix(&written, &out);
            assert_true(positions.written >= durable && positions.durable == positions.written);
            assert_true(positions.written >= before);
            before = positions.written;
            /* The slot that was told more than there is now is noticed. */
            ph_lsn start;
            struct ph_error err;
            assert_int_equal(ph_spool_start(&positions, durable, positions.begin, &start, &err),
                             PH_OK);
            if (positions.written < written.lsn)
                assert_int_equal(
                    ph_spool_start(&positions, written.lsn, positions.begin, &start, &err),
                    PH_E_GAP);
            /* It goes on. */
            session = case_session(positions.durable);
            MUST(ph_spool_begin_session(torn.spool, &session, must));
            torn.lsn = written.lsn;
            case_txn(&torn, 1, 1);
            MUST(ph_spool_flush(torn.spool, must));
            ph_spool_close(torn.spool);
            torn.spool = NULL;
            assert_int_equal(open_and_read(&torn, &out, &positions), PH_OK);
            assert_non_null(strstr(ph_buf_text(&out), "commit"));
            ph_spool_close(torn.spool);
            torn.spool = NULL;
        }
    }
    ph_buf_free(&out);
    case_free(&torn);
    case_free(&written);
}

/*
 * Every byte of every file damaged. Closed cleanly, all but the last mark was known to be durable:
 * refused, when it is opened or when it is read. Otherwise a tail may be cut, which the slot's
 * position tells.
 */
static void
damage_each_byte(enum ph_spool_packing packing, bool closed)
{
    struct spool_case written;
    struct spool_case damaged;
    struct ph_buf out;
    char path[512];
    off_t size = 0;
    uint64_t refused = 0;
    uint64_t cut = 0;

    fill(&written, packing);
    if (closed) {
        ph_spool_close(written.spool);
        written.spool = NULL;
    }
    case_init(&damaged, case_memory());
    ph_buf_init(&out, (size_t)1 << 20);
    int segments = case_count_segments(&written);
    for (int i = 0; i < segments; i++) {
        assert_true(case_segment(&written, i, path, sizeof path, &size));
        for (off_t at = 0; at < size; at++) {
            struct ph_spool_positions positions;
            struct ph_error err;
            ph_lsn start;
            char other[512];
            off_t bytes;

            crash(&written, &damaged);
            assert_true(case_segment(&damaged, i, other, sizeof other, &bytes));
            flip(other, at, (uint8_t)(1 << at % 8));
            ph_code rc = open_and_read(&damaged, &out, &positions);
            assert_prefix(&written, &out);
            if (rc != PH_OK) {
                assert_true(rc == PH_E_SPOOL_DAMAGED || rc == PH_E_GAP);
                refused++;
            } else if (positions.written == written.lsn) {
                assert_int_equal(out.len, written.written.len); /* only the mark is gone */
                assert_true(closed && i == segments - 1 && at >= size - 80);
            } else {
                assert_false(closed);
                assert_int_equal(
                    ph_spool_start(&positions, written.lsn, positions.begin, &start, &err),
                    PH_E_GAP);
                cut++;
            }
            ph_spool_close(damaged.spool);
            damaged.spool = NULL;
        }
    }
    assert_true(refused > 300);
    assert_true(closed == (cut == 0));
    ph_buf_free(&out);
    case_free(&damaged);
    case_free(&written);
}

static void
test_damaged(void **state)
{
    (void)state;
    damage_each_byte(PH_PACK_LZ4, true);
    damage_each_byte(PH_PACK_NONE, true);
}

static void
test_damaged_unsynced(void **state)
{
    (void)state;
    damage_each_byte(PH_PACK_LZ4, false);
}

/* A page of the tail that never reached the disk, while later ones did. */
static void
test_hole_in_tail(void **state)
{
    struct spool_case written;
    struct spool_case torn;
    struct ph_spool_positions positions;
    struct ph_buf out;
    char path[512];
    off_t size = 0;

    (void)state;
    case_init(&written, case_memory());
    written.params.frame_bytes = 200;
    case_open(&written);
    case_begin_session(&written);
    for (int i = 0; i < 100; i++)
        case_txn(&written, 2, 100);
    MUST(ph_spool_flush(written.spool, must));
    case_init(&torn, case_memory());
    ph_buf_init(&out, (size_t)1 << 20);
    assert_true(case_segment(&written, 1, path, sizeof path, &size));
    for (off_t page = 0; page + 8192 < size; page += 4096) {
        char zeros[4096] = {0};
        off_t bytes;

        crash(&written, &torn);
        assert_true(case_segment(&torn, 1, path, sizeof path, &bytes));
        int fd = open(path, O_RDWR);
        assert_int_equal(pwrite(fd, zeros, sizeof zeros, page), sizeof zeros);
        close(fd);
        assert_int_equal(open_and_read(&torn, &out, &positions), PH_OK);
        assert_prefix(&written, &out);
        assert_true(out.len < written.written.len);
        ph_spool_close(torn.spool);
        torn.spool = NULL;
    }
    ph_buf_free(&out);
    case_free(&torn);
    case_free(&written);
}

static void
test_missing_segments(void **state)
{
    struct spool_case written;
    struct spool_case damaged;
    struct ph_spool_positions positions;
    struct ph_buf out;
    struct ph_error err;
    ph_lsn start;
    char path[512];
    off_t size = 0;

    (void)state;
    fill(&written, PH_PACK_LZ4);
    for (int i = 0; i < 10; i++) {
        case_txn(&written, 3, 100);
        MUST(ph_spool_flush(written.spool, must));
        MUST(ph_spool_sync(written.spool, 0, must));
    }
    ph_spool_close(written.spool);
    written.spool = NULL;
    case_init(&damaged, case_memory());
    ph_buf_init(&out, (size_t)1 << 20);
    int segments = case_count_segments(&written);
    for (int i = 0; i < segments; i++) {
        crash(&written, &damaged);
        assert_true(case_segment(&damaged, i, path, sizeof path, &size));
        unlink(path);
        ph_code rc = open_and_read(&damaged, &out, &positions);
        if (i > 0 && i < segments - 1) {
            assert_int_equal(rc, PH_E_SPOOL_DAMAGED);
        } else {
            /* At the ends it is the positions that tell. */
            assert_int_equal(rc, PH_OK);
            rc = ph_spool_start(&positions, written.lsn, SPOOL_BEGIN_LSN, &start, &err);
            assert_int_equal(rc, i == 0 ? PH_OK : PH_E_GAP); /* the first one is empty */
        }
        ph_spool_close(damaged.spool);
        damaged.spool = NULL;
    }
    crash(&written, &damaged);
    for (int i = 0; i < 2; i++) {
        assert_true(case_segment(&damaged, 0, path, sizeof path, &size));
        unlink(path);
    }
    assert_int_equal(open_and_read(&damaged, &out, &positions), PH_OK);
    assert_int_equal(ph_spool_start(&positions, written.lsn, SPOOL_BEGIN_LSN, &start, &err),
                     PH_E_GAP);
    ph_spool_close(damaged.spool);
    damaged.spool = NULL;
    empty_directory(damaged.dir);
    assert_int_equal(open_and_read(&damaged, &out, &positions), PH_E_GAP);
    /* A segment cut short at a frame, and one that grew. */
    for (int grow = 0; grow < 2; grow++) {
        crash(&written, &damaged);
        assert_true(case_segment(&damaged, 2, path, sizeof path, &size));
        assert_int_equal(truncate(path, grow ? size + 1 : 88), 0);
        assert_int_equal(open_and_read(&damaged, &out, &positions), PH_E_SPOOL_DAMAGED);
        ph_spool_close(damaged.spool);
        damaged.spool = NULL;
    }
    ph_buf_free(&out);
    case_free(&damaged);
    case_free(&written);
}

/* A segment in another's place, and one of the same number that was there before. */
static void
test_foreign_segments(void **state)
{
    struct spool_case written;
    struct spool_case damaged;
    struct ph_spool_positions positions;
    struct ph_buf out;
    char from[512];
    char to[512];
    off_t size = 0;

    (void)state;
    fill(&written, PH_PACK_LZ4);
    case_init(&damaged, case_memory());
    ph_buf_init(&out, (size_t)1 << 20);
    crash(&written, &damaged);
    assert_true(case_segment(&damaged, 1, from, sizeof from, &size));
    assert_true(case_segment(&damaged, 2, to, sizeof to, &size));
    assert_int_equal(rename(from, to), 0);
    assert_int_not_equal(open_and_read(&damaged, &out, &positions), PH_OK);
    ph_spool_close(damaged.spool);
    damaged.spool = NULL;
    /* The same history written anew: other nonces, so its frames are not these. */
    struct spool_case again;
    fill(&again, PH_PACK_LZ4);
    crash(&written, &damaged);
    assert_true(case_segment(&again, 2, from, sizeof from, &size));
    assert_true(case_segment(&damaged, 2, to, sizeof to, &size));
    int in = open(from, O_RDONLY);
    int fd = open(to, O_RDWR);
    uint8_t bytes[4096];
    ssize_t len = pread(in, bytes, sizeof bytes, 88); /* behind its header */
    assert_true(len > 0);
    assert_int_equal(pwrite(fd, bytes, (size_t)len, 88), len);
    close(in);
    close(fd);
    ph_code rc = open_and_read(&damaged, &out, &positions);
    assert_true(rc == PH_E_SPOOL_DAMAGED || out.len < written.written.len);
    assert_prefix(&written, &out);
    ph_spool_close(damaged.spool);
    damaged.spool = NULL;
    ph_buf_free(&out);
    case_free(&again);
    case_free(&damaged);
    case_free(&written);
}

static uint32_t
roll(uint32_t *noise, uint32_t below)
{
    *noise = *noise * 1664525u + 1013904223u;
    return (*noise >> 12) % below;
}

/* Some bytes of one place over another, of the same or of another file. */
static void
overwrite(const char *from, off_t from_at, const char *to, off_t to_at, size_t len)
{
    uint8_t bytes[600] = {0};
    int in = open(from, O_RDONLY);
    int out = open(to, O_RDWR);

    if (in >= 0 && out >= 0) {
        ssize_t n = pread(in, bytes, len, from_at);
        if (n > 0)
            assert_int_equal(pwrite(out, bytes, (size_t)n, to_at), n);
    }
    close(in);
    close(out);
}

static void
damage_somehow(const struct spool_case *c, uint32_t *noise)
{
    char a[512];
    char b[512];
    off_t size_a = 0;
    off_t size_b = 0;
    int n = case_count_segments(c);

    if (n == 0)
        return;
    assert_true(case_segment(c, (int)roll(noise, (uint32_t)n), a, sizeof a, &size_a));
    assert_true(case_segment(c, (int)roll(noise, (uint32_t)n), b, sizeof b, &size_b));
    off_t at_a = (off_t)roll(noise, (uint32_t)size_a + 1);
    off_t at_b = (off_t)roll(noise, (uint32_t)size_b + 1);
    switch (roll(noise, 8)) {
    case 0:
    case 1:
        overwrite(a, at_a, b, at_b, 1 + roll(noise, 600));
        break;
    case 2: /* the same place of two segments */
        overwrite(a, at_a, b, at_a, 1 + roll(noise, 600));
        break;
    case 3:
        overwrite("/dev/zero", 0, b, at_b, 1 + roll(noise, 600));
        break;
    case 4:
        assert_int_equal(truncate(b, at_b), 0);
        break;
    case 5: /* grows: with zeros */
        assert_int_equal(truncate(b, size_b + at_b), 0);
        break;
    case 6:
        assert_int_equal(rename(a, b), 0);
        break;
    default:
        if (at_b < size_b)
            flip(b, at_b, (uint8_t)(1 + roll(noise, 255)));
        break;
    }
}

static void
test_random_damage(void **state)
{
    struct spool_case written[2];
    struct spool_case damaged;
    struct ph_buf out;
    uint32_t noise = 1;
    uint32_t whole = 0;

    (void)state;
    for (int closed = 0; closed < 2; closed++) {
        struct spool_case *c = &written[closed];

        fill(c, PH_PACK_LZ4);
        for (int i = 0; i < 6; i++)
            case_txn(c, 3, 100);
        MUST(ph_spool_flush(c->spool, must));
        if (closed == 1) {
            ph_spool_close(c->spool);
            c->spool = NULL;
        }
    }
    case_init(&damaged, case_memory());
    ph_buf_init(&out, (size_t)1 << 20);
    for (uint32_t i = 0; i < 600; i++) {
        const struct spool_case *c = &written[i % 2];
        struct ph_spool_positions positions;
        struct ph_error err;
        ph_lsn start;

        crash(c, &damaged);
        for (uint32_t n = 1 + roll(&noise, 3); n > 0; n--)
            damage_somehow(&damaged, &noise);
        ph_code rc = open_and_read(&damaged, &out, &positions);
        if (positions.begin == SPOOL_BEGIN_LSN)
            assert_prefix(c, &out);
        if (rc == PH_OK)
            rc = ph_spool_start(&positions, c->lsn, SPOOL_BEGIN_LSN, &start, &err);
        if (rc == PH_OK) {
            assert_int_equal(out.len, c->written.len);
            whole++;
        } else {
            assert_true(rc == PH_E_SPOOL_DAMAGED || rc == PH_E_GAP);
        }
        ph_spool_close(damaged.spool);
        damaged.spool = NULL;
    }
    assert_true(whole < 200);
    ph_buf_free(&out);
    case_free(&damaged);
    case_free(&written[0]);
    case_free(&written[1]);
}

#ifdef PH_FAILPOINTS
/* A sync that fails is the end of this spool, and what was not durable is gone for the next one. */
static void
test_poison(void **state)
{
    struct ph_error err;
    struct spool_case c;
    struct ph_buf out;

    (void)state;
    case_init(&c, case_memory());
    c.params.frame_bytes = 200;
    c.params.segment_bytes = 1000;
    case_open(&c);
    case_begin_session(&c);
    case_txn(&c, 3, 50);
    MUST(ph_spool_flush(c.spool, must));
    MUST(ph_spool_sync(c.spool, 0, must));
    ph_lsn durable = c.lsn;
    size_t kept = c.written.len;
    for (int i = 0; i < 10; i++)
        case_txn(&c, 3, 50);
    MUST(ph_spool_flush(c.spool, must));
    setenv("PGHAUL_FAILPOINT", "spool_sync=error", 1);
    assert_int_equal(ph_spool_sync(c.spool, 0, &err), PH_E_DISK);
    unsetenv("PGHAUL_FAILPOINT");
    assert_int_equal(ph_spool_sync(c.spool, 0, &err), PH_E_DISK);
    assert_int_equal(case_positions(&c).durable, durable);
    assert_int_equal(case_try(&c, PH_SPOOL_BEGIN, 0, 0, 500, "begin", &err), PH_E_DISK);
    assert_int_equal(ph_spool_prune(c.spool, durable, &err), PH_E_DISK);
    assert_int_equal(ph_spool_end_session(c.spool, &err), PH_E_DISK);
    ph_buf_init(&out, (size_t)1 << 20);
    assert_int_equal(case_read_from(c.spool, durable, &out, &err), PH_E_DISK);
    ph_spool_close(c.spool);
    c.spool = NULL;
    case_open(&c);
    assert_int_equal(case_positions(&c).durable, durable);
    ph_buf_clear(&out);
    MUST(case_read_from(c.spool, SPOOL_BEGIN_LSN, &out, must));
    assert_int_equal(out.len, kept);
    assert_memory_equal(out.data, c.written.data, kept);
    ph_buf_free(&out);
    case_free(&c);
}

/* The same where it fails while a spool is opened whose writer was killed. */
static void
test_sync_fails_at_opening(void **state)
{
    struct ph_spool_positions positions;
    struct spool_case written;
    struct spool_case c;
    struct ph_error err;
    struct ph_buf out;

    (void)state;
    fill(&written, PH_PACK_NONE);
    ph_lsn durable = case_positions(&written).durable;
    case_init(&c, case_memory());
    crash(&written, &c);
    assert_true(case_count_segments(&c) > 2);
    setenv("PGHAUL_FAILPOINT", "spool_found_sync=error", 1);
    assert_int_equal(ph_spool_open(&c.params, &c.spool, &err), PH_E_DISK);
    unsetenv("PGHAUL_FAILPOINT");
    ph_buf_init(&out, (size_t)1 << 20);
    assert_int_equal(open_and_read(&c, &out, &positions), PH_OK);
    assert_int_equal(positions.written, durable);
    assert_prefix(&written, &out);
    ph_buf_free(&out);
    case_free(&c);
    case_free(&written);
}
#endif

/* Killed while the first segment was made: the same command makes it anew. Damage is refused. */
static void
test_stillborn(void **state)
{
    static const off_t sizes[] = {0, 1, PH_SEGMENT_HEADER_SIZE - 1};
    struct ph_spool_positions positions;
    struct ph_error err = {0};
    struct spool_case c;
    char name[PH_SEGMENT_NAME_SIZE];
    char path[600];
    bool found;

    (void)state;
    case_init(&c, case_memory());
    case_open(&c);
    ph_segment_name(1, name);
    snprintf(path, sizeof path, "%s/%s", c.dir, name);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ph_spool_close(c.spool);
        c.spool = NULL;
        assert_int_equal(truncate(path, sizes[i]), 0);
        MUST(ph_spool_inspect(c.dir, &c.params.id, &positions, &found, must));
        assert_false(found);
        c.params.mode = PH_SPOOL_CREATE;
        case_open(&c);
        assert_int_equal(case_positions(&c).durable, SPOOL_BEGIN_LSN);
    }
    ph_spool_close(c.spool);
    c.spool = NULL;
    flip(path, 9, 0x40);
    c.params.mode = PH_SPOOL_CREATE;
    assert_int_equal(ph_spool_open(&c.params, &c.spool, &err), PH_E_SPOOL_OTHER);
    case_free(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_torn),
        cmocka_unit_test(test_stillborn),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_damaged_unsynced),
        cmocka_unit_test(test_hole_in_tail),
        cmocka_unit_test(test_missing_segments),
        cmocka_unit_test(test_foreign_segments),
        cmocka_unit_test(test_random_damage),
#ifdef PH_FAILPOINTS
        cmocka_unit_test(test_poison),
        cmocka_unit_test(test_sync_fails_at_opening),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
