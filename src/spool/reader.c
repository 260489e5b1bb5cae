/*
 * Reading in order. Where to begin is found from headers: the first frame with an end after `from`,
 * or the frame in which the transaction that ends there began. From the head of that segment to
 * that frame only definitions are given.
 */
#include "spool/reader.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "spool/body.h"
#include "spool/internal.h"

struct ph_spool_reader {
    struct ph_spool *spool;
    struct ph_frame_source source;
    struct ph_frame_body body;
    struct ph_spool_place at;    /* the next frame */
    struct ph_spool_place start; /* before it only definitions are given */
    /*
     * The frame there begins inside a transaction that is not to be given. When that frame is gone
     * before it is read, a connection has made what was open in it void: its segment could not go
     * otherwise, since nobody can have applied what ends behind `from`.
     */
    bool inside;

    struct ph_frame frame; /* of the step */
    uint64_t frame_at;
    bool to_load;
    bool only_schema;
    uint64_t left_to; /* the spool's */
};

enum more { MORE, NO_MORE };

/*
 * Go to where the next frame lies; *visible: how far its segment can be read. Segments that were
 * pruned have nothing that is needed.
 */
static enum more
advance(struct ph_spool_reader *reader, uint64_t *visible)
{
    struct ph_spool *spool = reader->spool;

    if (reader->at.segment < spool->segments[0].number)
        reader->at = (struct ph_spool_place){spool->segments[0].number, PH_SEGMENT_HEADER_SIZE};
    for (;;) {
        const struct ph_segment *segment = ph_spool_find_segment(spool, reader->at.segment);

        if (segment == NULL)
            return NO_MORE;
        *visible = segment->size;
        if (reader->at.offset < segment->size && !segment->hollow)
            return MORE;
        if (segment == ph_spool_last_segment(spool))
            return NO_MORE;
        reader->at = (struct ph_spool_place){segment->number + 1, PH_SEGMENT_HEADER_SIZE};
    }
}

/* The same, with a wait. */
static ph_code
await(struct ph_spool_reader *reader, uint64_t deadline, enum more *more, uint64_t *visible,
      struct ph_error *err)
{
    struct ph_spool *spool = reader->spool;
    struct ph_frame_source *source = &reader->source;
    bool waited = true;

    pthread_mutex_lock(&spool->lock);
    ph_code rc = ph_spool_check_poison(spool, err);
    *more = NO_MORE;
    while (rc == PH_OK && (*more = advance(reader, visible)) == NO_MORE && deadline > 0 && waited) {
        waited = ph_spool_wait(spool, deadline);
        rc = ph_spool_check_poison(spool, err);
    }
    if (rc == PH_OK && *more == MORE) {
        const struct ph_segment *segment = ph_spool_find_segment(spool, reader->at.segment);

        if (source->fd < 0 || source->number != segment->number) {
            bool there;

            rc = ph_frame_source_open(source, spool->dir_fd, segment->number, &there, err);
            if (rc == PH_OK && !there)
                rc = PH_FAIL(err, PH_E_SPOOL_DAMAGED, "segment %" PRIu64 " of the spool is gone",
                             segment->number);
        }
        source->key = segment->key;
        source->nonce = segment->nonce;
    }
    pthread_mutex_unlock(&spool->lock);
    return rc;
}

/* Damage, unless the frame was cut off because it could not be synced. */
static ph_code
no_frame(struct ph_spool_reader *reader, struct ph_error *err)
{
    pthread_mutex_lock(&reader->spool->lock);
    ph_code rc = ph_spool_check_poison(reader->spool, err);
    pthread_mutex_unlock(&reader->spool->lock);
    return rc != PH_OK ? rc
                       : ph_frame_source_damaged(&reader->source, reader->at.offset,
                                                 "no frame begins here", err);
}

/* Take the header of the next frame; *more NO_MORE: there is none (yet). */
static ph_code
next_frame(struct ph_spool_reader *reader, uint64_t deadline, enum more *more, struct ph_error *err)
{
    uint64_t visible = 0;
    bool there;

    PH_TRY(await(reader, deadline, more, &visible, err));
    if (*more == NO_MORE)
        return PH_OK;
    PH_TRY(ph_frame_source_header(&reader->source, reader->at.offset, visible, &reader->frame,
                                  &there, err));
    if (!there)
        return no_frame(reader, err);
    reader->frame_at = reader->at.offset;
    reader->at.offset += ph_frame_size(&reader->frame);
    return PH_OK;
}

/* Where a transaction that is open behind this frame began, given where one before it did. */
static struct ph_spool_place
open_since(const struct ph_frame *frame, struct ph_spool_place here, struct ph_spool_place before)
{
    bool goes_on = (frame->flags & PH_FRAME_CONTINUES) != 0 && frame->last_end == 0;

    if (frame->type == PH_FRAME_SESSION)
        return (struct ph_spool_place){0};
    if (frame->type != PH_FRAME_CHANGES)
        return before;
    if ((frame->flags & PH_FRAME_OPEN) == 0)
        return (struct ph_spool_place){0};
    return goes_on ? before : here;
}

/* What is known on the way to the frame with the first end after `from`. */
struct search {
    struct ph_spool_place since; /* behind the last end before that */
    struct ph_spool_place open;  /* the frame where the transaction that is open began; segment 0 */
    bool open_inside;            /* that frame begins inside another one */
};

static void
start_with(struct ph_spool_reader *reader, const struct search *search)
{
    bool begun_before =
        search->open.segment != 0 && ph_spool_place_before(search->open, search->since);

    reader->start = begun_before ? search->open : search->since;
    reader->inside = begun_before && search->open_inside;
}

/* One frame of the search; true: it has an end after `from`. */
static bool
search_frame(struct ph_spool_reader *reader, struct search *search, ph_lsn from)
{
    const struct ph_frame *frame = &reader->frame;
    struct ph_spool_place here = {reader->at.segment, reader->frame_at};
    bool inside = (frame->flags & PH_FRAME_CONTINUES) != 0;
    bool has_end = frame->last_end != 0 && frame->type != PH_FRAME_SESSION;

    if ((frame->flags & PH_FRAME_HEAD) != 0)
        return false;
    if (has_end && frame->last_end > from) {
        start_with(reader, search);
        if (inside && frame->first_end <= from) {
            /* The end of a transaction that is not asked for. */
            reader->start = here;
            reader->inside = true;
        }
        return true;
    }
    if (has_end)
        search->since = reader->at;
    struct ph_spool_place since = open_since(frame, here, search->open);
    if (since.segment == here.segment && since.offset == here.offset)
        search->open_inside = inside;
    search->open = since;
    return false;
}

/* Set start and inside, from the head of a segment on. */
static ph_code
locate(struct ph_spool_reader *reader, ph_lsn from, struct ph_error *err)
{
    struct search search = {.since = reader->at};
    enum more more = MORE;

    while (more == MORE) {
        PH_TRY(next_frame(reader, 0, &more, err));
        if (more == MORE && search_frame(reader, &search, from))
            return PH_OK;
    }
    start_with(reader, &search);
    return PH_OK;
}

/* The segment to begin with: the first one in which something begins that ends after `from`. */
static ph_code
choose_segment(struct ph_spool_reader *reader, ph_lsn from, struct ph_error *err)
{
    struct ph_spool *spool = reader->spool;
    struct ph_spool_positions positions;

    pthread_mutex_lock(&spool->lock);
    ph_spool_fill_positions(spool, &positions);
    reader->left_to = spool->left_to;
    size_t i = ph_spool_first_readable(spool);
    while (i + 1 < spool->n_segments && spool->segments[i].needed_to <= from)
        i++;
    if (i < spool->n_segments)
        reader->at = (struct ph_spool_place){spool->segments[i].number, PH_SEGMENT_HEADER_SIZE};
    pthread_mutex_unlock(&spool->lock);
    if (positions.begin <= from)
        return PH_OK;
    return PH_FAIL(err, PH_E_GAP, "the spool begins after the position to read from");
}

ph_code
ph_spool_reader_open(struct ph_spool *spool, ph_lsn from, struct ph_spool_reader **out,
                     struct ph_error *err)
{
    struct ph_spool_reader *reader = calloc(1, sizeof *reader);

    *out = NULL;
    if (reader == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a reader of the spool");
    reader->spool = spool;
    ph_frame_source_init(&reader->source, PH_SOURCE_HOP);
    ph_frame_body_init(&reader->body);
    ph_code rc = choose_segment(reader, from, err);
    struct ph_spool_place head = reader->at;
    if (rc == PH_OK)
        rc = locate(reader, from, err);
    if (rc != PH_OK) {
        ph_spool_reader_close(reader);
        return rc;
    }
    reader->at = head;
    reader->frame = (struct ph_frame){.type = PH_FRAME_MARK};
    ph_frame_source_free(&reader->source);
    ph_frame_source_init(&reader->source, PH_SOURCE_READ);
    *out = reader;
    return PH_OK;
}

void
ph_spool_reader_close(struct ph_spool_reader *reader)
{
    if (reader == NULL)
        return;
    ph_frame_source_free(&reader->source);
    ph_frame_body_free(&reader->body);
    free(reader);
}

/* What the frame is to who reads; NOTHING: not for him. */
static enum ph_spool_read
meaning(const struct ph_spool_reader *reader)
{
    const struct ph_frame *frame = &reader->frame;
    bool head = (frame->flags & PH_FRAME_HEAD) != 0;

    if (frame->session <= reader->left_to)
        return PH_READ_NOTHING;
    if (reader->only_schema)
        return (frame->flags & PH_FRAME_SCHEMA) != 0 ? PH_READ_CHANGES : PH_READ_NOTHING;
    switch (frame->type) {
    case PH_FRAME_SESSION:
        return head ? PH_READ_NOTHING : PH_READ_SESSION;
    case PH_FRAME_CHANGES:
        return PH_READ_CHANGES;
    case PH_FRAME_STREAM:
        return PH_READ_STREAM;
    case PH_FRAME_STREAM_COMMIT:
        return PH_READ_STREAM_COMMIT;
    case PH_FRAME_STREAM_ABORT:
        return PH_READ_STREAM_ABORT;
    case PH_FRAME_PROGRESS:
        return PH_READ_PROGRESS;
    case PH_FRAME_MARK:
        return PH_READ_NOTHING;
    }
    return PH_READ_NOTHING;
}

/* The transaction that is not given ended in the frame before, taken or not. */
static void
leave_frame(struct ph_spool_reader *reader)
{
    if (!reader->only_schema && reader->frame.type == PH_FRAME_CHANGES &&
        reader->frame.last_end != 0)
        reader->inside = false;
}

ph_code
ph_spool_reader_next(struct ph_spool_reader *reader, uint32_t wait_ms, struct ph_spool_step *step,
                     struct ph_error *err)
{
    uint64_t deadline = wait_ms > 0 ? ph_clock_ns() + (uint64_t)wait_ms * 1000000 : 0;
    enum more more;

    ph_frame_body_clear(&reader->body);
    reader->to_load = false;
    leave_frame(reader);
    *step = (struct ph_spool_step){.what = PH_READ_NOTHING};
    while (step->what == PH_READ_NOTHING) {
        PH_TRY(next_frame(reader, deadline, &more, err));
        if (more == NO_MORE)
            return PH_OK;
        struct ph_spool_place here = {reader->at.segment, reader->frame_at};
        reader->only_schema = ph_spool_place_before(here, reader->start);
        step->what = meaning(reader);
        /* What was open before a connection is void: nothing is left to be passed over. */
        if (step->what == PH_READ_SESSION)
            reader->inside = false;
    }
    bool has_messages = step->what != PH_READ_SESSION && step->what != PH_READ_PROGRESS;
    reader->to_load = has_messages;
    step->session = reader->frame.session;
    step->xid = reader->only_schema ? 0 : reader->frame.xid;
    step->last_end = reader->only_schema ? 0 : reader->frame.last_end;
    step->raw_bytes = has_messages ? reader->frame.raw_len : 0;
    return PH_OK;
}

/* Whether a message is to be given, by its kind. */
static bool
is_wanted(struct ph_spool_reader *reader, enum ph_spool_message_kind kind)
{
    if (reader->only_schema)
        return kind == PH_SPOOL_SCHEMA;
    if (!reader->inside || reader->frame.type != PH_FRAME_CHANGES ||
        (reader->frame.flags & PH_FRAME_HEAD) != 0)
        return true;
    if (kind == PH_SPOOL_COMMIT)
        reader->inside = false;
    return kind == PH_SPOOL_SCHEMA;
}

ph_code
ph_spool_reader_message(struct ph_spool_reader *reader, struct ph_spool_item *item, bool *more,
                        struct ph_error *err)
{
    if (reader->to_load) {
        reader->to_load = false;
        PH_TRY(ph_frame_body_load(&reader->body, &reader->source, reader->frame_at, &reader->frame,
                                  err));
    }
    do {
        PH_TRY(ph_frame_body_next(&reader->body, item, more, err));
    } while (*more && !is_wanted(reader, item->kind));
    return PH_OK;
}

struct ph_spool_place
ph_spool_reader_place(const struct ph_spool_reader *reader)
{
    return (struct ph_spool_place){reader->at.segment, reader->frame_at};
}
