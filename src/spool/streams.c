#include "spool/streams.h"

#include <assert.h>
#include <stdlib.h>

/* More extents than this in one segment become one: its reader then hops over others' frames. */
#define EXTENTS_PER_SEGMENT 8u

void
ph_stream_free(struct ph_stream *stream)
{
    free(stream->extents);
    free(stream);
}

void
ph_streams_init(struct ph_streams *streams)
{
    *streams = (struct ph_streams){.ended_tail = &streams->ended};
}

static void
free_list(struct ph_stream *stream)
{
    while (stream != NULL) {
        struct ph_stream *next = stream->next;

        ph_stream_free(stream);
        stream = next;
    }
}

void
ph_streams_free(struct ph_streams *streams)
{
    free_list(streams->open);
    free_list(streams->ended);
    ph_streams_init(streams);
}

/* The link that leads to it; to NULL when there is none. */
static struct ph_stream **
find_open(struct ph_streams *streams, uint64_t session, uint32_t xid)
{
    struct ph_stream **link = &streams->open;

    while (*link != NULL && ((*link)->xid != xid || (*link)->session != session))
        link = &(*link)->next;
    return link;
}

struct ph_stream *
ph_streams_find(struct ph_streams *streams, uint64_t session, uint32_t xid, ph_lsn end_lsn)
{
    struct ph_stream *stream = streams->ended;

    if (end_lsn == 0)
        return *find_open(streams, session, xid);
    while (stream != NULL && (stream->state != PH_STREAM_COMMITTED || stream->xid != xid ||
                              stream->end_lsn != end_lsn))
        stream = stream->next;
    return stream;
}

const struct ph_stream *
ph_streams_of_session(const struct ph_streams *streams, uint64_t session, uint32_t xid)
{
    const struct ph_stream *const lists[] = {streams->open, streams->ended};

    for (size_t i = 0; i < 2; i++) {
        for (const struct ph_stream *at = lists[i]; at != NULL; at = at->next) {
            if (at->session == session && at->xid == xid)
                return at;
        }
    }
    return NULL;
}

static struct ph_stream *
begin(struct ph_streams *streams, uint64_t session, uint32_t xid)
{
    struct ph_stream *stream = calloc(1, sizeof *stream);

    if (stream == NULL)
        return NULL;
    stream->session = session;
    stream->xid = xid;
    stream->next = streams->open;
    streams->open = stream;
    streams->n_open++;
    return stream;
}

static bool
add_extent(struct ph_stream *stream, const struct ph_stream_extent *extent)
{
    if (stream->n_extents == stream->cap_extents) {
        uint32_t cap = stream->cap_extents == 0 ? 4 : stream->cap_extents * 2;
        void *more = realloc(stream->extents, cap * sizeof *stream->extents);

        if (more == NULL)
            return false;
        stream->extents = more;
        stream->cap_extents = cap;
    }
    assert(stream->extents != NULL);
    stream->extents[stream->n_extents++] = *extent;
    return true;
}

bool
ph_streams_add(struct ph_streams *streams, uint64_t session, uint32_t xid,
               const struct ph_stream_extent *frame, bool *segment_is_new)
{
    struct ph_stream *stream = *find_open(streams, session, xid);

    *segment_is_new = false;
    if (stream == NULL)
        stream = begin(streams, session, xid);
    if (stream == NULL)
        return false;
    struct ph_stream_extent *last =
        stream->n_extents > 0 ? &stream->extents[stream->n_extents - 1] : NULL;
    bool same = last != NULL && last->segment == frame->segment;
    if (same && (last->end == frame->begin || stream->in_segment >= EXTENTS_PER_SEGMENT)) {
        last->end = frame->end;
        return true;
    }
    if (!add_extent(stream, frame))
        return false;
    stream->in_segment = same ? stream->in_segment + 1 : 1;
    *segment_is_new = !same;
    return true;
}

static void
end(struct ph_streams *streams, struct ph_stream **link, enum ph_stream_state state, ph_lsn end_lsn,
    struct ph_spool_place at)
{
    struct ph_stream *stream = *link;

    *link = stream->next;
    stream->next = NULL;
    stream->state = state;
    stream->end_lsn = end_lsn;
    stream->ended = at;
    *streams->ended_tail = stream;
    streams->ended_tail = &stream->next;
    streams->n_open--;
}

void
ph_streams_end(struct ph_streams *streams, uint64_t session, uint32_t xid,
               enum ph_stream_state state, ph_lsn end_lsn, struct ph_spool_place at)
{
    struct ph_stream **link = find_open(streams, session, xid);

    if (*link != NULL)
        end(streams, link, state, end_lsn, at);
}

void
ph_streams_annul(struct ph_streams *streams, ph_lsn end_lsn, struct ph_spool_place at)
{
    while (streams->open != NULL)
        end(streams, &streams->open, PH_STREAM_VOID, end_lsn, at);
}

/*
 * A void one ended after end_lsn: who has applied more than that has seen it end. Where nothing
 * more comes to be applied, because this one takes up the room, who has read its end has.
 */
static bool
is_done(const struct ph_stream *stream, ph_lsn applied, struct ph_spool_place passed)
{
    switch (stream->state) {
    case PH_STREAM_OPEN:
        return false;
    case PH_STREAM_COMMITTED:
        return stream->end_lsn <= applied;
    case PH_STREAM_VOID:
        return stream->end_lsn < applied || !ph_spool_place_before(passed, stream->ended);
    }
    return false;
}

struct ph_stream *
ph_streams_take_done(struct ph_streams *streams, ph_lsn applied, struct ph_spool_place passed)
{
    struct ph_stream **link = &streams->ended;

    while (*link != NULL && !is_done(*link, applied, passed))
        link = &(*link)->next;
    struct ph_stream *stream = *link;
    if (stream == NULL)
        return NULL;
    *link = stream->next;
    if (*link == NULL)
        streams->ended_tail = link;
    return stream;
}
