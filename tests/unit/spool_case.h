/*
 * A spool in a directory of its own, filled with messages that say what they are, and read back as
 * a transcript: one line a message, "session N" and "progress LSN" for what has none. Definitions
 * are left out of the transcripts, since heads of segments repeat them.
 */
#ifndef PH_TEST_SPOOL_CASE_H
#define PH_TEST_SPOOL_CASE_H

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "spool/reader.h"
#include "spool/spool.h"
#include "spool/start.h"

struct spool_case {
    char dir[64];
    struct ph_spool_params params;
    struct ph_spool *spool;
    ph_lsn lsn; /* of the last end */
    uint32_t next_txn;
    struct ph_buf written; /* transcript */
};

#define SPOOL_BEGIN_LSN 1000u

static inline void
case_fail(const char *what, const struct ph_error *err)
{
    fprintf(stderr, "%s: %s (%s)\n", what, err->message, err->notes);
    abort();
}

#define MUST(call)                                                                                 \
    do {                                                                                           \
        struct ph_error must_error_ = {0};                                                         \
        struct ph_error *must = &must_error_;                                                      \
        if ((call) != PH_OK)                                                                       \
            case_fail(#call, must);                                                                \
    } while (0)

/* Where syncs cost nothing; what they do to a disk no test sees. */
static inline const char *
case_memory(void)
{
    return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static inline void
case_init(struct spool_case *c, const char *under)
{
    *c = (struct spool_case){.lsn = SPOOL_BEGIN_LSN};
    snprintf(c->dir, sizeof c->dir, "%s/ph-spool-XXXXXX", under);
    if (mkdtemp(c->dir) == NULL)
        abort();
    c->params = (struct ph_spool_params){.dir = c->dir,
                                         .id = ph_spool_id_of("token of the test"),
                                         .mode = PH_SPOOL_CREATE,
                                         .packing = PH_PACK_LZ4,
                                         .begin = SPOOL_BEGIN_LSN};
    ph_buf_init(&c->written, (size_t)1 << 30);
}

static inline void
case_open(struct spool_case *c)
{
    MUST(ph_spool_open(&c->params, &c->spool, must));
    c->params.mode = PH_SPOOL_OPEN;
}

static inline void
case_free(struct spool_case *c)
{
    uint64_t removed;

    ph_spool_close(c->spool);
    MUST(ph_spool_remove(c->dir, NULL, &removed, must));
    ph_buf_free(&c->written);
}

static inline struct ph_spool_positions
case_positions(struct spool_case *c)
{
    struct ph_spool_positions positions;

    ph_spool_get_positions(c->spool, &positions);
    return positions;
}

static inline struct ph_spool_session
case_session(ph_lsn start)
{
    return (struct ph_spool_session){.system_id = 7,
                                     .timeline = 1,
                                     .start = start,
                                     .database = "db",
                                     .slot = "slot",
                                     .publication = "pub",
                                     .options = "proto_version '2'"};
}

/* Ends the session before, drops what it had not finished, begins the next. */
static inline void
case_begin_session(struct spool_case *c)
{
    MUST(ph_spool_end_session(c->spool, must));
    struct ph_spool_positions positions = case_positions(c);
    struct ph_spool_session session = case_session(positions.durable);
    MUST(ph_spool_begin_session(c->spool, &session, must));
    c->lsn = positions.written;
    ph_buf_printf(&c->written, "session %" PRIu64 "\n", session.number);
}

/* `filler` bytes make it longer; they are the message's own, so that they do not pack too well. */
static inline ph_code
case_try(struct spool_case *c, enum ph_spool_message_kind kind, uint32_t xid, ph_lsn end_lsn,
         size_t filler, const char *text, struct ph_error *err)
{
    struct ph_buf bytes;
    uint32_t noise = (uint32_t)strlen(text) * 2654435761u + (uint32_t)c->written.len;

    ph_buf_init(&bytes, (size_t)1 << 30);
    ph_buf_puts(&bytes, text);
    for (size_t i = 0; i < filler; i++) {
        noise = noise * 1664525u + 1013904223u;
        ph_buf_putc(&bytes, (char)('a' + (noise >> 24) % 26));
    }
    struct ph_spool_message message = {.kind = kind,
                                       .bytes = {bytes.data, bytes.len},
                                       .xid = xid,
                                       .end_lsn = end_lsn,
                                       .object = (uint64_t)strlen(text)};
    ph_code rc = ph_spool_append(c->spool, &message, err);
    if (rc == PH_OK && kind != PH_SPOOL_SCHEMA) {
        ph_buf_append(&c->written, bytes.data, bytes.len);
        ph_buf_putc(&c->written, '\n');
    }
    ph_buf_free(&bytes);
    return rc;
}

static inline void
case_put(struct spool_case *c, enum ph_spool_message_kind kind, uint32_t xid, ph_lsn end_lsn,
         size_t filler, const char *text)
{
    MUST(case_try(c, kind, xid, end_lsn, filler, text, must));
}

/* A transaction of n changes; returns its end. */
static inline ph_lsn
case_txn(struct spool_case *c, uint32_t changes, size_t filler)
{
    uint32_t txn = ++c->next_txn;
    char text[64];

    snprintf(text, sizeof text, "begin %u", (unsigned)txn);
    case_put(c, PH_SPOOL_BEGIN, 0, 0, 0, text);
    for (uint32_t i = 0; i < changes; i++) {
        snprintf(text, sizeof text, "change %u.%u ", (unsigned)txn, (unsigned)i);
        case_put(c, PH_SPOOL_CHANGE, 0, 0, filler, text);
    }
    c->lsn += 100;
    snprintf(text, sizeof text, "commit %u @%" PRIu64, (unsigned)txn, c->lsn);
    case_put(c, PH_SPOOL_COMMIT, 0, c->lsn, 0, text);
    return c->lsn;
}

static inline void
case_block(struct spool_case *c, uint32_t xid, uint32_t block, uint32_t changes, size_t filler)
{
    char text[64];

    for (uint32_t i = 0; i < changes; i++) {
        snprintf(text, sizeof text, "streamed %u.%u.%u ", (unsigned)xid, (unsigned)block,
                 (unsigned)i);
        case_put(c, PH_SPOOL_CHANGE, xid, 0, filler, text);
    }
}

static inline ph_lsn
case_stream_commit(struct spool_case *c, uint32_t xid)
{
    char text[64];

    c->lsn += 100;
    snprintf(text, sizeof text, "stream commit %u @%" PRIu64, (unsigned)xid, c->lsn);
    case_put(c, PH_SPOOL_STREAM_COMMIT, xid, c->lsn, 0, text);
    return c->lsn;
}

static inline void
case_progress(struct spool_case *c)
{
    c->lsn += 10;
    MUST(ph_spool_progress(c->spool, c->lsn, must));
    ph_buf_printf(&c->written, "progress %" PRIu64 "\n", c->lsn);
}

/* Read the messages of a step. */
static inline ph_code
case_read_step(struct ph_spool_reader *reader, const struct ph_spool_step *step, struct ph_buf *out,
               struct ph_error *err)
{
    struct ph_spool_item item;
    bool more = true;

    if (step->what == PH_READ_SESSION)
        ph_buf_printf(out, "session %" PRIu64 "\n", step->session);
    if (step->what == PH_READ_PROGRESS)
        ph_buf_printf(out, "progress %" PRIu64 "\n", step->last_end);
    while (more) {
        PH_TRY(ph_spool_reader_message(reader, &item, &more, err));
        if (!more || item.kind == PH_SPOOL_SCHEMA)
            continue;
        ph_buf_append(out, item.bytes.data, item.bytes.len);
        ph_buf_putc(out, '\n');
    }
    return PH_OK;
}

/* All that there is from `from` on. */
static inline ph_code
case_read_from(struct ph_spool *spool, ph_lsn from, struct ph_buf *out, struct ph_error *err)
{
    struct ph_spool_reader *reader;
    struct ph_spool_step step;
    ph_code rc = ph_spool_reader_open(spool, from, &reader, err);

    while (rc == PH_OK) {
        rc = ph_spool_reader_next(reader, 0, &step, err);
        if (rc != PH_OK || step.what == PH_READ_NOTHING)
            break;
        rc = case_read_step(reader, &step, out, err);
    }
    ph_spool_reader_close(reader);
    return rc;
}

static inline ph_code
case_read_stream(struct ph_spool *spool, uint32_t xid, ph_lsn end_lsn, struct ph_buf *out,
                 struct ph_error *err)
{
    struct ph_spool_stream *stream;
    struct ph_spool_item item;
    bool more = true;

    PH_TRY(ph_spool_stream_open(spool, xid, end_lsn, &stream, err));
    ph_code rc = PH_OK;
    while (stream != NULL && more && rc == PH_OK) {
        rc = ph_spool_stream_next(stream, &item, &more, err);
        if (rc != PH_OK || !more)
            break;
        ph_buf_append(out, item.bytes.data, item.bytes.len);
        ph_buf_putc(out, '\n');
    }
    ph_spool_stream_close(stream);
    return rc;
}

/* Whether reading gives what was written, line by line. */
static inline bool
case_reads_all(struct spool_case *c, ph_lsn from)
{
    struct ph_buf out;

    ph_buf_init(&out, (size_t)1 << 30);
    MUST(case_read_from(c->spool, from, &out, must));
    bool same = out.len == c->written.len && memcmp(out.data, c->written.data, out.len) == 0;
    if (!same)
        fprintf(stderr, "--- written\n%.2000s--- read\n%.2000s", ph_buf_text(&c->written),
                ph_buf_text(&out));
    ph_buf_free(&out);
    return same;
}

/* Path of the nth segment file there is, in order of names; its size. false: no such. */
static inline bool
case_segment(const struct spool_case *c, int nth, char *path, size_t size, off_t *bytes)
{
    struct dirent **entries;
    struct stat st;
    bool found = false;
    int n = scandir(c->dir, &entries, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        if (strstr(entries[i]->d_name, ".spool") != NULL && nth-- == 0) {
            snprintf(path, size, "%s/%s", c->dir, entries[i]->d_name);
            found = true;
        }
        free(entries[i]);
    }
    free(entries);
    if (found && stat(path, &st) == 0)
        *bytes = st.st_size;
    return found;
}

static inline int
case_count_segments(const struct spool_case *c)
{
    char path[512];
    off_t bytes;
    int n = 0;

    while (case_segment(c, n, path, sizeof path, &bytes))
        n++;
    return n;
}

#endif
