/*
 * Opening a spool that somebody else left behind, perhaps in the middle of a write.
 *
 *   1. All headers, of segments and of frames, up to the first place that is not what it should be.
 *      Headers say how far the spool was durable when they were written: the farthest is the mark.
 *      Behind a bad place headers are searched for byte by byte, since one there may say that the
 * bad place was durable.
 *   2. Bodies are read from the mark on only. Before it they were durable once; who reads them
 *      later compares their checksums.
 *   3. A bad place before the mark is damage, and refused. Any other is a torn tail: what comes
 * from there on was never known to be durable, so it was never acknowledged. It is cut.
 *   4. What is left fills the table and the index, from headers, and is synced: it may lie in the
 *      page cache only. When that fails all behind the mark is cut: the kernel may have dropped it,
 *      and would not say so to who opens it next.
 *
 * Rejected: to call every bad frame a torn tail, and rely on the slot's position to notice; the
 * data that still could be read by hand would be cut away.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "spool/internal.h"

struct found {
    struct ph_segment_header header;
    uint64_t size;
    bool valid;
};

struct scan {
    struct ph_spool *spool;
    struct found *segments;
    uint64_t *numbers;
    size_t n;
    struct ph_frame_source source;
    struct ph_spool_place mark;
    struct ph_spool_place bad; /* segment 0: none */
    struct ph_buf body;
};

static void
raise_mark(struct scan *scan, struct ph_spool_place place)
{
    if (ph_spool_place_before(scan->mark, place))
        scan->mark = place;
}

static ph_code
read_headers(struct scan *scan, struct ph_error *err)
{
    const struct ph_spool *spool = scan->spool;

    scan->segments = calloc(scan->n + 1, sizeof *scan->segments);
    if (scan->segments == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the list of segments");
    for (size_t i = 0; i < scan->n; i++) {
        struct found *found = &scan->segments[i];

        PH_TRY(ph_spool_read_header(spool->dir_fd, scan->numbers[i], &found->header, &found->valid,
                                    &found->size, err));
        if (found->valid && memcmp(&found->header.id, &spool->id, sizeof spool->id) != 0)
            return PH_FAIL(err, PH_E_SPOOL_OTHER, "the spool in %s is another job's", spool->dir);
    }
    return PH_OK;
}

/* Segments before the last restart count no longer. */
static void
skip_to_restart(struct scan *scan, enum ph_recover_how how)
{
    size_t from = 0;

    for (size_t i = 0; i < scan->n; i++) {
        if (scan->segments[i].valid && (scan->segments[i].header.flags & PH_SEGMENT_RESTART) != 0)
            from = i;
    }
    for (size_t i = 0; i < from && how == PH_RECOVER_CUT; i++)
        ph_spool_unlink(scan->spool->dir_fd, scan->numbers[i]);
    memmove(scan->segments, scan->segments + from, (scan->n - from) * sizeof *scan->segments);
    memmove(scan->numbers, scan->numbers + from, (scan->n - from) * sizeof *scan->numbers);
    scan->n -= from;
}

/* Open segment i for reading its frames. A header that is none has no nonce: any will do. */
static ph_code
open_segment(struct scan *scan, size_t i, struct ph_error *err)
{
    bool there;

    PH_TRY(ph_frame_source_open(&scan->source, scan->spool->dir_fd, scan->numbers[i], &there, err));
    if (!there)
        return PH_FAIL(err, PH_E_DISK, "segment %" PRIu64 " of the spool went away",
                       scan->numbers[i]);
    scan->source.key = ph_spool_segment_key(&scan->spool->id, scan->numbers[i]);
    scan->source.nonce = scan->segments[i].valid ? scan->segments[i].header.nonce : 0;
    return PH_OK;
}

/* Whether segment i goes on where the one before ends; sets `bad`, or fails when it never could. */
static ph_code
check_link(struct scan *scan, size_t i, struct ph_error *err)
{
    assert(scan->segments != NULL && i < scan->n);
    const struct found *found = &scan->segments[i];
    const struct found *prev = i > 0 ? &scan->segments[i - 1] : NULL;

    if (prev != NULL && scan->numbers[i] != scan->numbers[i - 1] + 1)
        return PH_FAIL(err, PH_E_SPOOL_DAMAGED, "segment %" PRIu64 " of the spool is missing",
                       scan->numbers[i - 1] + 1);
    if (!found->valid) {
        scan->bad = (struct ph_spool_place){scan->numbers[i], 0};
        return PH_OK;
    }
    if (prev == NULL || (prev->header.flags & PH_SEGMENT_HOLLOW) != 0)
        return PH_OK;
    if (prev->size > found->header.prev_size)
        return PH_FAIL(err, PH_E_SPOOL_DAMAGED, "segment %" PRIu64 " of the spool grew",
                       scan->numbers[i - 1]);
    if (prev->size < found->header.prev_size)
        scan->bad = (struct ph_spool_place){scan->numbers[i - 1], prev->size};
    return PH_OK;
}

/* Headers of segment i; sets `bad` when they end before the file does. */
static ph_code
walk_headers(struct scan *scan, size_t i, struct ph_error *err)
{
    uint64_t size = scan->segments[i].size;
    uint64_t at = PH_SEGMENT_HEADER_SIZE;
    struct ph_frame frame;
    bool there = true;

    PH_TRY(open_segment(scan, i, err));
    raise_mark(scan, scan->segments[i].header.durable);
    while (at < size) {
        PH_TRY(ph_frame_source_header(&scan->source, at, size, &frame, &there, err));
        if (!there) {
            scan->bad = (struct ph_spool_place){scan->numbers[i], at};
            return PH_OK;
        }
        raise_mark(scan, frame.durable);
        at += ph_frame_size(&frame);
    }
    return PH_OK;
}

/* All that looks like a header of segment i from `at` on. */
static ph_code
search_headers(struct scan *scan, size_t i, uint64_t at, struct ph_error *err)
{
    uint64_t size = scan->segments[i].size;
    const uint8_t *bytes;
    struct ph_frame frame;

    PH_TRY(open_segment(scan, i, err));
    while (at < size && size - at >= PH_FRAME_HEADER_SIZE) {
        size_t len = size - at < PH_SOURCE_HOP ? (size_t)(size - at) : PH_SOURCE_HOP;

        PH_TRY(ph_frame_source_fetch(&scan->source, at, len, size, &bytes, err));
        if (bytes == NULL)
            break;
        size_t hit = ph_frame_find((struct ph_span){bytes, len}, 0);
        if (hit == len) {
            at += len - 3; /* the magic may lie across */
            continue;
        }
        at += hit;
        PH_TRY(ph_frame_source_fetch(&scan->source, at, PH_FRAME_HEADER_SIZE, size, &bytes, err));
        if (bytes != NULL && ph_frame_decode(bytes, scan->source.key, at, &frame))
            raise_mark(scan, frame.durable);
        at++;
    }
    return PH_OK;
}

static ph_code
find_bad(struct scan *scan, struct ph_error *err)
{
    size_t i = 0;

    for (; i < scan->n && scan->bad.segment == 0; i++) {
        PH_TRY(check_link(scan, i, err));
        if (scan->bad.segment == 0)
            PH_TRY(walk_headers(scan, i, err));
    }
    if (scan->bad.segment == 0)
        return PH_OK;
    for (i--; i < scan->n; i++) {
        if (scan->segments[i].valid)
            raise_mark(scan, scan->segments[i].header.durable);
        PH_TRY(search_headers(scan, i, scan->numbers[i] == scan->bad.segment ? scan->bad.offset : 0,
                              err));
    }
    return PH_OK;
}

/* Bodies from the mark on, up to the first bad place. */
static ph_code
check_bodies(struct scan *scan, struct ph_error *err)
{
    for (size_t i = 0; i < scan->n; i++) {
        bool last = scan->numbers[i] == scan->bad.segment;
        uint64_t end = last ? scan->bad.offset : scan->segments[i].size;

        if (scan->numbers[i] < scan->mark.segment)
            continue;
        PH_TRY(open_segment(scan, i, err));
        for (uint64_t at = PH_SEGMENT_HEADER_SIZE; at < end;) {
            struct ph_spool_place place = {scan->numbers[i], at};
            struct ph_frame frame;
            struct ph_span stored;
            bool there;

            PH_TRY(ph_frame_source_header(&scan->source, at, end, &frame, &there, err));
            if (!there)
                return ph_frame_source_damaged(&scan->source, at, "changed while it was read", err);
            if (!ph_spool_place_before(place, scan->mark)) {
                PH_TRY(ph_frame_source_body(&scan->source, at, &frame, &stored, err));
                if (ph_frame_body_sum(stored) != frame.body_sum) {
                    scan->bad = place;
                    return PH_OK;
                }
            }
            at += ph_frame_size(&frame);
        }
        if (last)
            break;
    }
    return PH_OK;
}

/* Take what comes from the bad place on out of the scan, and with CUT out of the directory. */
static ph_code
cut(struct scan *scan, enum ph_recover_how how, struct ph_error *err)
{
    char name[PH_SEGMENT_NAME_SIZE];

    if (scan->bad.segment == 0)
        return PH_OK;
    if (how == PH_RECOVER_CUT && ph_spool_place_before(scan->bad, scan->mark))
        return PH_FAIL(err, PH_E_SPOOL_DAMAGED,
                       "spool segment %" PRIu64 " is damaged at byte %" PRIu64, scan->bad.segment,
                       scan->bad.offset);
    /* From the end, so that a kill in between leaves no hole. */
    while (scan->n > 0 &&
           (scan->numbers[scan->n - 1] > scan->bad.segment ||
            (scan->bad.offset == 0 && scan->numbers[scan->n - 1] == scan->bad.segment))) {
        scan->n--;
        if (how == PH_RECOVER_CUT && ph_spool_unlink(scan->spool->dir_fd, scan->numbers[scan->n]))
            return ph_spool_disk_error("cut", scan->spool->dir, 0, err);
    }
    if (scan->n == 0 || scan->numbers[scan->n - 1] != scan->bad.segment)
        return PH_OK;
    scan->segments[scan->n - 1].size = scan->bad.offset;
    if (how == PH_RECOVER_LOOK)
        return PH_OK;
    ph_segment_name(scan->bad.segment, name);
    int fd = openat(scan->spool->dir_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    int rc = fd >= 0 ? ftruncate(fd, (off_t)scan->bad.offset) : -1;
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return rc == 0 ? PH_OK : ph_spool_disk_error("cut", name, 0, err);
}

static ph_code
load_session(struct scan *scan, uint64_t at, const struct ph_frame *frame, struct ph_error *err)
{
    struct ph_spool *spool = scan->spool;
    struct ph_span stored;
    struct ph_span raw;

    PH_TRY(ph_frame_source_body(&scan->source, at, frame, &stored, err));
    PH_TRY(ph_frame_unpack(&spool->packer, frame, stored, &scan->body, &raw, err));
    if (!ph_spool_session_decode(raw, &spool->session))
        return ph_frame_source_damaged(&scan->source, at, "no session", err);
    spool->session.number = frame->session;
    return PH_OK;
}

static ph_code
enter_segment(struct scan *scan, size_t i, struct ph_error *err)
{
    struct ph_spool *spool = scan->spool;
    const struct ph_segment_header *header = &scan->segments[i].header;
    bool chained = i > 0 && (scan->segments[i - 1].header.flags & PH_SEGMENT_HOLLOW) == 0;

    if (chained && header->begin != spool->written)
        return PH_FAIL(err, PH_E_SPOOL_DAMAGED,
                       "segment %" PRIu64 " of the spool does not follow the one before",
                       header->number);
    if (header->begin > spool->written)
        spool->written = header->begin;
    if (!chained)
        spool->txn_open = (header->flags & PH_SEGMENT_OPEN) != 0;
    /* All that ended in a hollow one is applied, durably: the exact end matters no more. */
    bool hollow = (header->flags & PH_SEGMENT_HOLLOW) != 0;
    if (hollow)
        ph_spool_settle(spool, header->begin);
    ph_lsn known = spool->txn_open ? PH_LSN_UNKNOWN : header->begin;
    struct ph_segment segment = {.number = header->number,
                                 .size = PH_SEGMENT_HEADER_SIZE,
                                 .key = ph_spool_segment_key(&spool->id, header->number),
                                 .begin = header->begin,
                                 .ready = known,
                                 .needed_to = known,
                                 .nonce = header->nonce,
                                 .fd = -1,
                                 .in_directory = true,
                                 .hollow = hollow};
    if (!ph_spool_add_segment(spool, &segment))
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the list of segments");
    return PH_OK;
}

static ph_code
load_segment(struct scan *scan, size_t i, struct ph_error *err)
{
    struct ph_spool *spool = scan->spool;
    uint64_t size = scan->segments[i].size;
    struct ph_frame frame;
    bool there;

    PH_TRY(enter_segment(scan, i, err));
    PH_TRY(open_segment(scan, i, err));
    for (uint64_t at = PH_SEGMENT_HEADER_SIZE; at < size; at += ph_frame_size(&frame)) {
        PH_TRY(ph_frame_source_header(&scan->source, at, size, &frame, &there, err));
        if (!there)
            return ph_frame_source_damaged(&scan->source, at, "changed while it was read", err);
        if (frame.type == PH_FRAME_SESSION)
            PH_TRY(load_session(scan, at, &frame, err));
        if (!ph_spool_note_frame(spool, &frame))
            return PH_FAIL(err, PH_E_MEMORY, "no memory for the index of the spool");
        struct ph_spool_place end = {scan->numbers[i], at + ph_frame_size(&frame)};
        if (!ph_spool_place_before(scan->mark, end))
            spool->durable = spool->written;
    }
    return PH_OK;
}

/* Best effort, as ph_spool_poison. */
static void
cut_to_mark(struct scan *scan)
{
    scan->bad = scan->mark.segment != 0 ? scan->mark : (struct ph_spool_place){scan->numbers[0], 0};
    (void)cut(scan, PH_RECOVER_CUT, NULL);
    (void)fsync(scan->spool->dir_fd);
}

static ph_code
sync_segment(struct scan *scan, uint64_t number, struct ph_error *err)
{
    char name[PH_SEGMENT_NAME_SIZE];

    ph_segment_name(number, name);
    int fd = openat(scan->spool->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return ph_spool_disk_error("open", name, 0, err);
    int rc = fsync(fd);
    int error = errno;
    if (rc == 0 && PH_FAILPOINT_ERROR(spool_found_sync)) {
        error = EIO;
        rc = -1;
    }
    close(fd);
    if (rc == 0)
        return PH_OK;
    cut_to_mark(scan);
    errno = error;
    return ph_spool_disk_error("sync", name, 0, err);
}

static ph_code
sync_found(struct scan *scan, struct ph_error *err)
{
    struct ph_spool *spool = scan->spool;

    for (size_t i = 0; i < scan->n; i++) {
        if (scan->numbers[i] >= scan->mark.segment)
            PH_TRY(sync_segment(scan, scan->numbers[i], err));
    }
    ph_code rc = ph_spool_sync_directory(spool->dir_fd, err);
    if (rc != PH_OK)
        cut_to_mark(scan);
    PH_TRY(rc);
    for (size_t i = 0; i < spool->n_segments; i++)
        spool->segments[i].synced = spool->segments[i].size;
    const struct ph_segment *last = ph_spool_last_segment(spool);
    spool->durable = spool->written;
    spool->durable_place = (struct ph_spool_place){last->number, last->size};
    return PH_OK;
}

static ph_code
run(struct scan *scan, enum ph_recover_how how, struct ph_error *err)
{
    PH_TRY(read_headers(scan, err));
    skip_to_restart(scan, how);
    PH_TRY(find_bad(scan, err));
    if (how == PH_RECOVER_CUT)
        PH_TRY(check_bodies(scan, err));
    PH_TRY(cut(scan, how, err));
    if (scan->n == 0)
        return PH_OK;
    for (size_t i = 0; i < scan->n; i++)
        PH_TRY(load_segment(scan, i, err));
    return how == PH_RECOVER_CUT ? sync_found(scan, err) : PH_OK;
}

ph_code
ph_spool_recover(struct ph_spool *spool, enum ph_recover_how how, struct ph_error *err)
{
    struct scan scan = {.spool = spool};

    ph_frame_source_init(&scan.source, PH_SOURCE_HOP);
    ph_buf_init(&scan.body, PH_FRAME_RAW_MAX);
    ph_code rc = ph_spool_list(spool->dir_fd, &scan.numbers, &scan.n, err);
    if (rc == PH_OK && scan.n > 0)
        rc = run(&scan, how, err);
    ph_frame_source_free(&scan.source);
    ph_buf_free(&scan.body);
    free(scan.segments);
    free(scan.numbers);
    return rc;
}
