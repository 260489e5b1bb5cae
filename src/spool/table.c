/* The table of segments, and what a frame changes in it: the same while writing and on recovery. */
#include <stdlib.h>

#include "spool/internal.h"

bool
ph_spool_add_segment(struct ph_spool *spool, const struct ph_segment *segment)
{
    if (spool->n_segments == spool->cap_segments) {
        size_t cap = spool->cap_segments == 0 ? 16 : spool->cap_segments * 2;
        void *more = realloc(spool->segments, cap * sizeof *spool->segments);

        if (more == NULL)
            return false;
        spool->segments = more;
        spool->cap_segments = cap;
    }
    spool->segments[spool->n_segments++] = *segment;
    spool->bytes += segment->size;
    return true;
}

struct ph_segment *
ph_spool_find_segment(struct ph_spool *spool, uint64_t number)
{
    if (spool->n_segments == 0 || number < spool->segments[0].number)
        return NULL;
    uint64_t at = number - spool->segments[0].number;
    return at < spool->n_segments ? &spool->segments[at] : NULL;
}

size_t
ph_spool_first_readable(const struct ph_spool *spool)
{
    size_t i = spool->n_segments;

    while (i > 0 && !spool->segments[i - 1].hollow)
        i--;
    return i;
}

void
ph_spool_settle(struct ph_spool *spool, ph_lsn end)
{
    for (size_t i = spool->n_segments; i > 0; i--) {
        struct ph_segment *segment = &spool->segments[i - 1];

        if (segment->ready != PH_LSN_UNKNOWN && segment->needed_to != PH_LSN_UNKNOWN)
            break;
        if (segment->ready == PH_LSN_UNKNOWN)
            segment->ready = end;
        if (segment->needed_to == PH_LSN_UNKNOWN)
            segment->needed_to = end;
    }
    spool->txn_open = false;
}

static void
need_to(struct ph_segment *segment, ph_lsn end)
{
    if (segment->needed_to < end) /* UNKNOWN is more than all */
        segment->needed_to = end;
}

static void
note_changes(struct ph_spool *spool, struct ph_segment *segment, const struct ph_frame *frame)
{
    if (frame->last_end != 0) {
        if (spool->txn_open)
            ph_spool_settle(spool, frame->first_end);
        need_to(segment, frame->last_end);
    }
    if ((frame->flags & PH_FRAME_OPEN) != 0) {
        spool->txn_open = true;
        segment->needed_to = PH_LSN_UNKNOWN;
    }
}

static bool
note_stream(struct ph_spool *spool, struct ph_segment *segment, const struct ph_frame *frame,
            uint64_t offset)
{
    struct ph_stream_extent extent = {segment->number, offset, offset + ph_frame_size(frame)};
    bool new_here;

    if (!ph_streams_add(&spool->streams, frame->session, frame->xid, &extent, &new_here))
        return false;
    segment->streams += new_here;
    return true;
}

bool
ph_spool_note_frame(struct ph_spool *spool, const struct ph_frame *frame)
{
    struct ph_segment *segment = ph_spool_last_segment(spool);
    uint64_t offset = segment->size;
    struct ph_spool_place here = {segment->number, offset};

    if ((frame->flags & PH_FRAME_HEAD) == 0) {
        switch (frame->type) {
        case PH_FRAME_SESSION:
            ph_spool_settle(spool, spool->written);
            ph_streams_annul(&spool->streams, spool->written, here);
            need_to(segment, frame->last_end);
            break;
        case PH_FRAME_CHANGES:
            note_changes(spool, segment, frame);
            break;
        case PH_FRAME_STREAM:
            if (!note_stream(spool, segment, frame, offset))
                return false;
            break;
        case PH_FRAME_STREAM_COMMIT:
            need_to(segment, frame->last_end);
            ph_streams_end(&spool->streams, frame->session, frame->xid, PH_STREAM_COMMITTED,
                           frame->last_end, here);
            break;
        case PH_FRAME_STREAM_ABORT:
            ph_streams_end(&spool->streams, frame->session, frame->xid, PH_STREAM_VOID,
                           spool->written, here);
            break;
        case PH_FRAME_PROGRESS:
            need_to(segment, frame->last_end);
            break;
        case PH_FRAME_MARK:
            break;
        }
    }
    if (frame->last_end > spool->written)
        spool->written = frame->last_end;
    segment->size += ph_frame_size(frame);
    spool->bytes += ph_frame_size(frame);
    return true;
}

void
ph_spool_fill_positions(const struct ph_spool *spool, struct ph_spool_positions *out)
{
    size_t first = ph_spool_first_readable(spool);
    ph_lsn begin = first < spool->n_segments ? spool->segments[first].ready : spool->written;

    *out = (struct ph_spool_positions){.begin = begin,
                                       .written = spool->written,
                                       .durable = spool->durable,
                                       .bytes = spool->bytes,
                                       .segments = spool->n_segments,
                                       .open_streams = spool->streams.n_open};
}
