/*
 * Appending. Messages are gathered to a frame; a frame is packed, written behind the last one in
 * one call, and then shown to readers. The file is never mapped: a full disk shall be an error, not
 * a signal.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "spool/internal.h"

/* Each holds a descriptor; who writes faster than the disk waits for it. */
#define UNSYNCED_SEGMENTS 16

/* A buffer that one large message made is given back when it is this many times too large. */
#define SHRINK_FACTOR 8

ph_code
ph_spool_put(struct ph_spool *spool, int fd, uint64_t offset, struct ph_span bytes,
             struct ph_error *err)
{
    size_t done = 0;

    while (done < bytes.len) {
        ssize_t n = pwrite(fd, bytes.data + done, bytes.len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
        PH_FAILPOINT(spool_half_written);
    }
    if (done == bytes.len)
        return PH_OK;
    ph_code rc = ph_spool_disk_error("write to", spool->dir, bytes.len, err);
    if (ftruncate(fd, (off_t)offset) != 0) {
        pthread_mutex_lock(&spool->lock);
        ph_spool_poison(spool);
        pthread_mutex_unlock(&spool->lock);
    }
    return rc;
}

ph_code
ph_spool_check_limit(struct ph_spool *spool, uint64_t more, struct ph_error *err)
{
    pthread_mutex_lock(&spool->lock);
    uint64_t bytes = spool->bytes;
    pthread_mutex_unlock(&spool->lock);
    if (spool->limit_bytes == 0 || bytes + more <= spool->limit_bytes)
        return PH_OK;
    return PH_FAIL(err, PH_E_SPOOL_LIMIT,
                   "the spool in %s has %" PRIu64 " bytes, its limit is %" PRIu64 ": %" PRIu64
                   " more do not fit",
                   spool->dir, bytes, spool->limit_bytes, more);
}

static ph_code
rotate_for(struct ph_spool *spool, size_t raw_len, struct ph_error *err)
{
    pthread_mutex_lock(&spool->lock);
    ph_code rc = ph_spool_check_poison(spool, err);
    uint64_t size = ph_spool_last_segment(spool)->size;
    bool behind = spool->n_segments > UNSYNCED_SEGMENTS &&
                  spool->segments[spool->n_segments - UNSYNCED_SEGMENTS].fd >= 0;
    pthread_mutex_unlock(&spool->lock);
    PH_TRY(rc);
    if (size == spool->head_size || size + PH_FRAME_HEADER_SIZE + raw_len <= spool->segment_bytes)
        return PH_OK;
    if (behind)
        PH_TRY(ph_spool_sync_all(spool, err));
    return ph_spool_begin_segment(spool, PH_START_ROTATED, &spool->session, err);
}

static ph_code
show_frame(struct ph_spool *spool, const struct ph_frame *frame, struct ph_error *err)
{
    pthread_mutex_lock(&spool->lock);
    ph_code rc = ph_spool_check_poison(spool, err);
    if (rc == PH_OK && !ph_spool_note_frame(spool, frame))
        rc = PH_FAIL(err, PH_E_MEMORY, "no memory for the index of the spool");
    if (rc == PH_OK)
        pthread_cond_broadcast(&spool->changed);
    pthread_mutex_unlock(&spool->lock);
    return rc;
}

ph_code
ph_spool_write_frame(struct ph_spool *spool, struct ph_frame *frame, struct ph_span raw,
                     struct ph_error *err)
{
    PH_TRY(rotate_for(spool, raw.len, err));
    pthread_mutex_lock(&spool->lock);
    struct ph_segment segment = *ph_spool_last_segment(spool);
    frame->durable = spool->durable_place;
    frame->session = spool->session.number;
    pthread_mutex_unlock(&spool->lock);
    assert(segment.fd >= 0);
    frame->nonce = segment.nonce;
    PH_TRY(ph_frame_build(&spool->packer, frame, segment.key, segment.size, raw, &spool->frame_out,
                          err));
    struct ph_span bytes = {spool->frame_out.data, spool->frame_out.len};
    if (frame->type != PH_FRAME_MARK)
        PH_TRY(ph_spool_check_limit(spool, bytes.len, err));
    PH_TRY(ph_spool_put(spool, segment.fd, segment.size, bytes, err));
    if (spool->frame_out.cap > SHRINK_FACTOR * (spool->frame_bytes + PH_FRAME_HEADER_SIZE))
        ph_buf_free(&spool->frame_out);
    return show_frame(spool, frame, err);
}

ph_code
ph_spool_flush(struct ph_spool *spool, struct ph_error *err)
{
    if (spool->gathered.len == 0)
        return PH_OK;
    struct ph_frame frame = spool->gather;
    if (frame.type == PH_FRAME_CHANGES && spool->in_txn)
        frame.flags |= PH_FRAME_OPEN;
    PH_TRY(ph_spool_write_frame(spool, &frame,
                                (struct ph_span){spool->gathered.data, spool->gathered.len}, err));
    ph_buf_clear(&spool->gathered);
    return PH_OK;
}

static bool
is_streamed(const struct ph_spool_message *message)
{
    return message->xid != 0 &&
           (message->kind == PH_SPOOL_CHANGE || message->kind == PH_SPOOL_SCHEMA);
}

/* What is wrong with a message at this place; NULL: nothing. */
static const char *
misplaced(const struct ph_spool *spool, const struct ph_spool_message *message)
{
    if (!spool->in_session)
        return "a message outside of any session";
    switch (message->kind) {
    case PH_SPOOL_COMMIT:
        if (!spool->in_txn)
            return "a commit without a transaction";
        return message->end_lsn > spool->taken ? NULL : "a commit that ends before the last one";
    case PH_SPOOL_STREAM_COMMIT:
        if (message->end_lsn <= spool->taken)
            return "a commit that ends before the last one";
        break;
    case PH_SPOOL_CHANGE:
    case PH_SPOOL_SCHEMA:
        if (!is_streamed(message))
            return spool->in_txn ? NULL : "a change outside of any transaction";
        break;
    case PH_SPOOL_BEGIN:
    case PH_SPOOL_ASIDE:
    case PH_SPOOL_STREAM_ABORT:
        break;
    }
    return spool->in_txn ? "a transaction inside another" : NULL;
}

/* The messages in front of this one go to a frame of their own. */
static bool
must_flush(const struct ph_spool *spool, const struct ph_spool_message *message,
           enum ph_frame_type type)
{
    const struct ph_frame *gather = &spool->gather;

    if (spool->gathered.len == 0)
        return false;
    if (gather->type != type || gather->xid != message->xid)
        return true;
    /*
     * A definition begins a frame: the head of a segment may have it already when the frame follows
     * it, and what came before must not be read by it.
     */
    if (type == PH_FRAME_CHANGES && message->kind == PH_SPOOL_SCHEMA && !spool->only_schema)
        return true;
    return spool->gathered.len + PH_SPOOL_MESSAGE_PREFIX + message->bytes.len > spool->frame_bytes;
}

static void
note_message(struct ph_frame *frame, const struct ph_spool_message *message)
{
    if (message->kind == PH_SPOOL_SCHEMA && frame->type == PH_FRAME_CHANGES)
        frame->flags |= PH_FRAME_SCHEMA;
    if (message->kind != PH_SPOOL_COMMIT)
        return;
    if (frame->first_end == 0)
        frame->first_end = message->end_lsn;
    frame->last_end = message->end_lsn;
}

/* It is gathered or written: from now on it counts. */
static void
take(struct ph_spool *spool, const struct ph_spool_message *message)
{
    if (message->kind == PH_SPOOL_BEGIN)
        spool->in_txn = true;
    if (message->kind == PH_SPOOL_COMMIT)
        spool->in_txn = false;
    if (message->kind == PH_SPOOL_COMMIT || message->kind == PH_SPOOL_STREAM_COMMIT)
        spool->taken = message->end_lsn;
}

static struct ph_frame
frame_for(const struct ph_spool *spool, const struct ph_spool_message *message)
{
    if (is_streamed(message))
        return (struct ph_frame){.type = PH_FRAME_STREAM, .xid = message->xid};
    return (struct ph_frame){.type = PH_FRAME_CHANGES,
                             .flags = spool->in_txn ? PH_FRAME_CONTINUES : 0};
}

static ph_code
write_single(struct ph_spool *spool, const struct ph_spool_message *message, struct ph_error *err)
{
    struct ph_frame frame = frame_for(spool, message);

    frame.flags |= PH_FRAME_SINGLE;
    frame.single_kind = (uint8_t)message->kind;
    note_message(&frame, message);
    bool open =
        message->kind == PH_SPOOL_BEGIN || (spool->in_txn && message->kind != PH_SPOOL_COMMIT);
    if (frame.type == PH_FRAME_CHANGES && open)
        frame.flags |= PH_FRAME_OPEN;
    return ph_spool_write_frame(spool, &frame, message->bytes, err);
}

static void
put_message(struct ph_buf *out, enum ph_spool_message_kind kind, struct ph_span bytes)
{
    uint8_t prefix[PH_SPOOL_MESSAGE_PREFIX];

    ph_spool_message_prefix(kind, bytes.len, prefix);
    ph_buf_append(out, prefix, sizeof prefix);
    ph_buf_append(out, bytes.data, bytes.len);
}

/* Room is there: gathered has frame_bytes. */
static void
gather(struct ph_spool *spool, const struct ph_spool_message *message)
{
    bool schema = message->kind == PH_SPOOL_SCHEMA;

    spool->only_schema = schema && (spool->gathered.len == 0 || spool->only_schema);
    if (spool->gathered.len == 0)
        spool->gather = frame_for(spool, message);
    put_message(&spool->gathered, message->kind, message->bytes);
    note_message(&spool->gather, message);
}

/* A frame of its own, behind the definitions that hold for all from now on. */
static ph_code
append_stream_end(struct ph_spool *spool, const struct ph_spool_message *message,
                  struct ph_error *err)
{
    bool commit = message->kind == PH_SPOOL_STREAM_COMMIT;
    struct ph_frame frame = {.type = commit ? PH_FRAME_STREAM_COMMIT : PH_FRAME_STREAM_ABORT,
                             .xid = message->xid};

    PH_TRY(ph_spool_flush(spool, err));
    if (commit) {
        frame.first_end = frame.last_end = message->end_lsn;
        ph_schema_write(&spool->schema, message->xid, &spool->gathered);
        if (spool->gathered.len > 0)
            frame.flags |= PH_FRAME_SCHEMA;
    }
    put_message(&spool->gathered, message->kind, message->bytes);
    ph_code rc =
        ph_buf_ok(&spool->gathered)
            ? ph_spool_write_frame(spool, &frame,
                                   (struct ph_span){spool->gathered.data, spool->gathered.len}, err)
            : PH_FAIL(err, PH_E_MEMORY, "no memory for the end of a transaction");
    ph_buf_clear(&spool->gathered);
    PH_TRY(rc);
    if (commit)
        ph_schema_commit(&spool->schema, message->xid);
    else
        ph_schema_forget(&spool->schema, message->xid);
    return PH_OK;
}

static ph_code
append_message(struct ph_spool *spool, const struct ph_spool_message *message, struct ph_error *err)
{
    enum ph_frame_type type = is_streamed(message) ? PH_FRAME_STREAM : PH_FRAME_CHANGES;

    if (must_flush(spool, message, type))
        PH_TRY(ph_spool_flush(spool, err));
    if (message->kind == PH_SPOOL_SCHEMA &&
        !ph_schema_put(&spool->schema, message->object, message->xid, message->bytes))
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a definition");
    if (PH_SPOOL_MESSAGE_PREFIX + message->bytes.len > spool->frame_bytes)
        return write_single(spool, message, err);
    gather(spool, message);
    return PH_OK;
}

ph_code
ph_spool_append(struct ph_spool *spool, const struct ph_spool_message *message,
                struct ph_error *err)
{
    const char *wrong = misplaced(spool, message);

    if (wrong != NULL)
        return PH_FAIL(err, PH_E_PROTOCOL, "the stream has %s", wrong);
    if (message->bytes.len > spool->message_bytes)
        return PH_FAIL(err, PH_E_ROW_TOO_LARGE, "a change of %zu bytes; at most %zu are allowed",
                       message->bytes.len, spool->message_bytes);
    if (message->kind == PH_SPOOL_STREAM_COMMIT || message->kind == PH_SPOOL_STREAM_ABORT)
        PH_TRY(append_stream_end(spool, message, err));
    else
        PH_TRY(append_message(spool, message, err));
    take(spool, message);
    return PH_OK;
}

ph_code
ph_spool_progress(struct ph_spool *spool, ph_lsn lsn, struct ph_error *err)
{
    struct ph_frame frame = {.type = PH_FRAME_PROGRESS, .first_end = lsn, .last_end = lsn};

    if (!spool->in_session || spool->in_txn)
        return PH_FAIL(err, PH_E_PROTOCOL, "the stream has a keepalive's position %s",
                       spool->in_txn ? "inside a transaction" : "outside of any session");
    PH_TRY(ph_spool_flush(spool, err));
    if (lsn <= spool->taken)
        return PH_OK;
    PH_TRY(ph_spool_write_frame(spool, &frame, (struct ph_span){(const uint8_t *)"", 0}, err));
    spool->taken = lsn;
    return PH_OK;
}
