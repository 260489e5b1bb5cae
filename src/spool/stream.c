/*
 * One streamed transaction, from its extents as they were when it was opened, or as they come to
 * be.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "spool/body.h"
#include "spool/internal.h"
#include "spool/reader.h"

#define PLACE_ALL ((struct ph_spool_place){UINT64_MAX, UINT64_MAX})

struct ph_spool_stream {
    struct ph_spool *spool;
    struct ph_frame_source source;
    struct ph_frame_body body;
    uint64_t session;
    uint32_t xid;
    struct ph_stream_extent *extents;
    uint32_t n_extents;
    uint32_t extent;             /* the current one */
    uint64_t at;                 /* in it: the next frame */
    struct ph_spool_place until; /* nothing behind it is given */
    struct ph_spool_place frame; /* of the message given last */
    uint32_t given;              /* messages of it */
    uint32_t skip;               /* and so many of the next one are not to be given again */
};

/* All but those that are there already, the last of which may have grown. Under the lock. */
static bool
copy_extents(struct ph_spool_stream *stream, const struct ph_stream *found)
{
    uint32_t same = stream->n_extents > 0 ? stream->n_extents - 1 : 0;

    if (found->n_extents > stream->n_extents) {
        void *more = realloc(stream->extents, found->n_extents * sizeof *stream->extents);

        if (more == NULL)
            return false;
        stream->extents = more;
    }
    if (found->n_extents == 0)
        return true;
    memcpy(stream->extents + same, found->extents + same,
           (found->n_extents - same) * sizeof *stream->extents);
    if (stream->n_extents == 0)
        stream->at = stream->extents[0].begin;
    stream->n_extents = found->n_extents;
    return true;
}

static struct ph_spool_stream *
make(struct ph_spool *spool, struct ph_spool_place until)
{
    struct ph_spool_stream *stream = calloc(1, sizeof *stream);

    if (stream == NULL)
        return NULL;
    stream->spool = spool;
    stream->until = until;
    ph_frame_source_init(&stream->source, PH_SOURCE_READ);
    ph_frame_body_init(&stream->body);
    return stream;
}

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory for a streamed transaction");
}

ph_code
ph_spool_stream_open(struct ph_spool *spool, uint32_t xid, ph_lsn end_lsn,
                     struct ph_spool_stream **out, struct ph_error *err)
{
    struct ph_spool_stream *stream = make(spool, PLACE_ALL);

    *out = NULL;
    if (stream == NULL)
        return no_memory(err);
    pthread_mutex_lock(&spool->lock);
    const struct ph_stream *found =
        ph_streams_find(&spool->streams, spool->session.number, xid, end_lsn);
    bool copied = found != NULL && copy_extents(stream, found);
    if (found != NULL) {
        stream->session = found->session;
        stream->xid = found->xid;
    }
    pthread_mutex_unlock(&spool->lock);
    if (copied) {
        *out = stream;
        return PH_OK;
    }
    ph_spool_stream_close(stream);
    return found == NULL ? PH_OK : no_memory(err);
}

ph_code
ph_spool_stream_follow(struct ph_spool *spool, uint64_t session, uint32_t xid,
                       struct ph_spool_stream **out, struct ph_error *err)
{
    struct ph_spool_stream *stream = make(spool, (struct ph_spool_place){0});
    enum ph_spool_fate fate;

    *out = NULL;
    if (stream == NULL)
        return no_memory(err);
    stream->session = session;
    stream->xid = xid;
    ph_code rc = ph_spool_stream_extend(stream, stream->until, &fate, err);
    if (rc == PH_OK && stream->n_extents > 0)
        *out = stream;
    else
        ph_spool_stream_close(stream);
    return rc;
}

static enum ph_spool_fate
fate_of(const struct ph_stream *found)
{
    if (found == NULL || found->state == PH_STREAM_VOID)
        return PH_FATE_VOID;
    return found->state == PH_STREAM_COMMITTED ? PH_FATE_COMMITTED : PH_FATE_OPEN;
}

ph_code
ph_spool_stream_extend(struct ph_spool_stream *stream, struct ph_spool_place until,
                       enum ph_spool_fate *fate, struct ph_error *err)
{
    struct ph_spool *spool = stream->spool;

    pthread_mutex_lock(&spool->lock);
    const struct ph_stream *found =
        ph_streams_of_session(&spool->streams, stream->session, stream->xid);
    bool copied = found == NULL || copy_extents(stream, found);
    *fate = fate_of(found);
    pthread_mutex_unlock(&spool->lock);
    stream->until = until;
    return copied ? PH_OK : no_memory(err);
}

void
ph_spool_stream_close(struct ph_spool_stream *stream)
{
    if (stream == NULL)
        return;
    ph_frame_source_free(&stream->source);
    ph_frame_body_free(&stream->body);
    free(stream->extents);
    free(stream);
}

static ph_code
enter_segment(struct ph_spool_stream *stream, uint64_t number, struct ph_error *err)
{
    struct ph_spool *spool = stream->spool;
    ph_code rc = PH_OK;
    bool there = true;

    if (stream->source.fd >= 0 && stream->source.number == number)
        return PH_OK;
    pthread_mutex_lock(&spool->lock);
    const struct ph_segment *segment = ph_spool_find_segment(spool, number);
    if (segment != NULL && !segment->hollow) {
        rc = ph_frame_source_open(&stream->source, spool->dir_fd, number, &there, err);
        stream->source.key = segment->key;
        stream->source.nonce = segment->nonce;
    }
    pthread_mutex_unlock(&spool->lock);
    PH_TRY(rc);
    if (segment == NULL || !there)
        return PH_FAIL(err, PH_E_SPOOL_DAMAGED, "segment %" PRIu64 " of the spool is gone", number);
    return PH_OK;
}

/* To the extent with the next frame; false: there is none up to `until`. */
static bool
advance(struct ph_spool_stream *stream)
{
    while (stream->extent < stream->n_extents) {
        const struct ph_stream_extent *extent = &stream->extents[stream->extent];

        if (stream->at < extent->end)
            return !ph_spool_place_before(stream->until,
                                          (struct ph_spool_place){extent->segment, stream->at});
        if (stream->extent + 1 == stream->n_extents)
            return false; /* it may grow */
        stream->extent++;
        stream->at = stream->extents[stream->extent].begin;
    }
    return false;
}

/* Load the next frame of the transaction; *more false: there is none. */
static ph_code
next_frame(struct ph_spool_stream *stream, bool *more, struct ph_error *err)
{
    struct ph_frame frame;

    for (*more = false; !*more && advance(stream);) {
        const struct ph_stream_extent *extent = &stream->extents[stream->extent];
        uint64_t at = stream->at;
        bool there;

        PH_TRY(enter_segment(stream, extent->segment, err));
        PH_TRY(ph_frame_source_header(&stream->source, at, extent->end, &frame, &there, err));
        if (!there)
            return ph_frame_source_damaged(&stream->source, at, "no frame begins here", err);
        stream->at += ph_frame_size(&frame);
        *more = frame.type == PH_FRAME_STREAM && frame.xid == stream->xid &&
                frame.session == stream->session;
        if (!*more)
            continue;
        stream->frame = (struct ph_spool_place){extent->segment, at};
        stream->given = 0;
        PH_TRY(ph_frame_body_load(&stream->body, &stream->source, at, &frame, err));
    }
    return PH_OK;
}

ph_code
ph_spool_stream_next(struct ph_spool_stream *stream, struct ph_spool_item *item, bool *more,
                     struct ph_error *err)
{
    bool frames = true;

    for (;;) {
        PH_TRY(ph_frame_body_next(&stream->body, item, more, err));
        if (*more)
            stream->given++;
        if (*more && stream->skip > 0)
            stream->skip--;
        else if (*more || !frames)
            return PH_OK;
        else
            PH_TRY(next_frame(stream, &frames, err));
    }
}

struct ph_spool_place
ph_spool_stream_place(const struct ph_spool_stream *stream)
{
    return stream->frame;
}

struct ph_spool_mark
ph_spool_stream_mark(const struct ph_spool_stream *stream)
{
    return (struct ph_spool_mark){stream->frame, stream->given - 1};
}

void
ph_spool_stream_back(struct ph_spool_stream *stream, const struct ph_spool_mark *mark)
{
    ph_frame_body_clear(&stream->body);
    for (uint32_t i = 0; i < stream->n_extents; i++) {
        const struct ph_stream_extent *extent = &stream->extents[i];

        if (extent->segment != mark->frame.segment || mark->frame.offset < extent->begin ||
            mark->frame.offset >= extent->end)
            continue;
        stream->extent = i;
        stream->at = mark->frame.offset;
        stream->skip = mark->message;
        return;
    }
}
