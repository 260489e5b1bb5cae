/* One streamed transaction, from its extents as they were when it was opened. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "spool/body.h"
#include "spool/internal.h"
#include "spool/reader.h"

struct ph_spool_stream {
    struct ph_spool *spool;
    struct ph_frame_source source;
    struct ph_frame_body body;
    uint64_t session;
    uint32_t xid;
    struct ph_stream_extent *extents;
    uint32_t n_extents;
    uint32_t extent; /* the current one */
    uint64_t at;     /* in it; 0: not yet begun */
};

/* Under the lock. */
static bool
copy_extents(struct ph_spool_stream *stream, const struct ph_stream *found)
{
    size_t bytes = found->n_extents * sizeof *stream->extents;

    stream->session = found->session;
    stream->xid = found->xid;
    stream->n_extents = found->n_extents;
    stream->extents = malloc(bytes > 0 ? bytes : 1);
    if (stream->extents == NULL)
        return false;
    if (bytes > 0)
        memcpy(stream->extents, found->extents, bytes);
    return true;
}

ph_code
ph_spool_stream_open(struct ph_spool *spool, uint32_t xid, ph_lsn end_lsn,
                     struct ph_spool_stream **out, struct ph_error *err)
{
    struct ph_spool_stream *stream = calloc(1, sizeof *stream);

    *out = NULL;
    if (stream == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a streamed transaction");
    stream->spool = spool;
    ph_frame_source_init(&stream->source, PH_SOURCE_READ);
    ph_frame_body_init(&stream->body);
    pthread_mutex_lock(&spool->lock);
    const struct ph_stream *found =
        ph_streams_find(&spool->streams, spool->session.number, xid, end_lsn);
    bool copied = found != NULL && copy_extents(stream, found);
    pthread_mutex_unlock(&spool->lock);
    if (copied) {
        *out = stream;
        return PH_OK;
    }
    ph_spool_stream_close(stream);
    return found == NULL ? PH_OK
                         : PH_FAIL(err, PH_E_MEMORY, "no memory for a streamed transaction");
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
enter_extent(struct ph_spool_stream *stream, struct ph_error *err)
{
    const struct ph_stream_extent *extent = &stream->extents[stream->extent];
    struct ph_spool *spool = stream->spool;
    ph_code rc = PH_OK;
    bool there = true;

    stream->at = extent->begin;
    if (stream->source.fd >= 0 && stream->source.number == extent->segment)
        return PH_OK;
    pthread_mutex_lock(&spool->lock);
    const struct ph_segment *segment = ph_spool_find_segment(spool, extent->segment);
    if (segment != NULL && !segment->hollow) {
        rc = ph_frame_source_open(&stream->source, spool->dir_fd, extent->segment, &there, err);
        stream->source.key = segment->key;
        stream->source.nonce = segment->nonce;
    }
    pthread_mutex_unlock(&spool->lock);
    PH_TRY(rc);
    if (segment == NULL || !there)
        return PH_FAIL(err, PH_E_SPOOL_DAMAGED, "segment %" PRIu64 " of the spool is gone",
                       extent->segment);
    return PH_OK;
}

/* Load the next frame of the transaction; *more false: there is none. */
static ph_code
next_frame(struct ph_spool_stream *stream, bool *more, struct ph_error *err)
{
    struct ph_frame frame;

    for (*more = false; stream->extent < stream->n_extents && !*more;) {
        const struct ph_stream_extent *extent = &stream->extents[stream->extent];
        uint64_t at = stream->at;
        bool there;

        if (at == 0) {
            PH_TRY(enter_extent(stream, err));
            continue;
        }
        if (at >= extent->end) {
            stream->extent++;
            stream->at = 0;
            continue;
        }
        PH_TRY(ph_frame_source_header(&stream->source, at, extent->end, &frame, &there, err));
        if (!there)
            return ph_frame_source_damaged(&stream->source, at, "no frame begins here", err);
        stream->at += ph_frame_size(&frame);
        *more = frame.type == PH_FRAME_STREAM && frame.xid == stream->xid &&
                frame.session == stream->session;
        if (*more)
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
        if (*more || !frames)
            return PH_OK;
        PH_TRY(next_frame(stream, &frames, err));
    }
}
