/*
 * A new segment: its header, the session it belongs to and the definitions that hold are written in
 * one go, so that whoever begins to read there has what he needs, and it is in the table only when
 * all that is in the file. Neither file nor directory is synced here: the receiver would wait. The
 * first sync of the segment does both before E moves into it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "spool/internal.h"

struct head {
    struct ph_segment segment;
    struct ph_segment_header header;
    struct ph_frame frames[2];
    uint32_t n_frames;
};

static void
fill_head(struct ph_spool *spool, enum ph_segment_start start,
          const struct ph_spool_session *session, struct head *head)
{
    uint32_t nonce = (uint32_t)ph_clock_ns();

    (void)!getrandom(&nonce, sizeof nonce, 0); /* fails before the kernel's pool is filled only */
    pthread_mutex_lock(&spool->lock);
    const struct ph_segment *last = spool->n_segments > 0 ? ph_spool_last_segment(spool) : NULL;
    bool restart = start == PH_START_RESTART;
    bool open = spool->txn_open && !restart;
    ph_lsn begin = restart ? session->start : spool->written;
    head->segment = (struct ph_segment){.number = last != NULL ? last->number + 1 : 1,
                                        .size = PH_SEGMENT_HEADER_SIZE,
                                        .begin = begin,
                                        .ready = open ? PH_LSN_UNKNOWN : begin,
                                        .needed_to = open ? PH_LSN_UNKNOWN : begin,
                                        .nonce = nonce};
    head->segment.key = ph_spool_segment_key(&spool->id, head->segment.number);
    head->header = (struct ph_segment_header){.id = spool->id,
                                              .number = head->segment.number,
                                              .session = session != NULL ? session->number : 0,
                                              .begin = begin,
                                              .prev_size = last != NULL ? last->size : 0,
                                              .durable = spool->durable_place,
                                              .nonce = nonce};
    pthread_mutex_unlock(&spool->lock);
    if (restart)
        head->header.flags = PH_SEGMENT_RESTART;
    else if (open && start == PH_START_ROTATED)
        head->header.flags = PH_SEGMENT_OPEN;
}

static ph_code
put_frame(struct ph_spool *spool, struct head *head, const struct ph_frame *proto,
          struct ph_span raw, struct ph_error *err)
{
    struct ph_frame *frame = &head->frames[head->n_frames++];

    *frame = *proto;
    frame->nonce = head->segment.nonce;
    frame->session = head->header.session;
    frame->durable = head->header.durable;
    PH_TRY(ph_frame_build(&spool->packer, frame, head->segment.key, spool->head_out.len, raw,
                          &spool->frame_out, err));
    ph_buf_append(&spool->head_out, spool->frame_out.data, spool->frame_out.len);
    return PH_OK;
}

static ph_code
put_session(struct ph_spool *spool, enum ph_segment_start start,
            const struct ph_spool_session *session, struct head *head, struct ph_error *err)
{
    uint8_t body[PH_SPOOL_SESSION_BODY_MAX];
    size_t len = ph_spool_session_encode(session, body);
    struct ph_frame frame = {.type = PH_FRAME_SESSION,
                             .flags = start == PH_START_ROTATED ? PH_FRAME_HEAD : 0,
                             .first_end = session->start,
                             .last_end = session->start};

    return put_frame(spool, head, &frame, (struct ph_span){body, len}, err);
}

static ph_code
put_schema(struct ph_spool *spool, struct head *head, struct ph_error *err)
{
    static const struct ph_frame frame = {.type = PH_FRAME_CHANGES,
                                          .flags = PH_FRAME_HEAD | PH_FRAME_SCHEMA};
    struct ph_buf raw;

    if (spool->schema.n_global == 0)
        return PH_OK;
    ph_buf_init(&raw, PH_FRAME_RAW_MAX);
    ph_schema_write(&spool->schema, 0, &raw);
    ph_code rc = ph_buf_ok(&raw)
                     ? put_frame(spool, head, &frame, (struct ph_span){raw.data, raw.len}, err)
                     : PH_FAIL(err, PH_E_MEMORY, "no memory for the definitions of the session");
    ph_buf_free(&raw);
    return rc;
}

static ph_code
compose(struct ph_spool *spool, enum ph_segment_start start, const struct ph_spool_session *session,
        struct head *head, struct ph_error *err)
{
    uint8_t header[PH_SEGMENT_HEADER_SIZE];

    fill_head(spool, start, session, head);
    ph_segment_header_encode(&head->header, header);
    ph_buf_clear(&spool->head_out);
    ph_buf_append(&spool->head_out, header, sizeof header);
    if (session != NULL) {
        PH_TRY(put_session(spool, start, session, head, err));
        PH_TRY(put_schema(spool, head, err));
    }
    if (!ph_buf_ok(&spool->head_out))
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the head of a segment");
    /* A connection makes void what the one before left open: a full spool gets room by it. */
    return start == PH_START_ROTATED ? ph_spool_check_limit(spool, spool->head_out.len, err)
                                     : PH_OK;
}

static ph_code
create(struct ph_spool *spool, struct ph_segment *segment, struct ph_error *err)
{
    char name[PH_SEGMENT_NAME_SIZE];

    ph_segment_name(segment->number, name);
    segment->fd = openat(spool->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                         S_IRUSR | S_IWUSR);
    if (segment->fd < 0)
        return ph_spool_disk_error("create", name, spool->head_out.len, err);
    PH_FAILPOINT(spool_segment_made);
    ph_code rc = ph_spool_put(spool, segment->fd, 0,
                              (struct ph_span){spool->head_out.data, spool->head_out.len}, err);
    if (rc == PH_OK)
        return PH_OK;
    close(segment->fd);
    ph_spool_unlink(spool->dir_fd, segment->number);
    return rc;
}

/* The last segment is written to no more. It is open for the syncer unless that is done with it. */
static void
leave_last(struct ph_spool *spool)
{
    struct ph_segment *last = spool->n_segments > 0 ? ph_spool_last_segment(spool) : NULL;

    if (last == NULL || last->fd < 0 || last->synced < last->size || !last->in_directory)
        return;
    close(last->fd);
    last->fd = -1;
}

static bool
enter(struct ph_spool *spool, const struct head *head)
{
    leave_last(spool);
    if (!ph_spool_add_segment(spool, &head->segment))
        return false;
    for (uint32_t i = 0; i < head->n_frames; i++)
        (void)ph_spool_note_frame(spool, &head->frames[i]); /* only STREAM frames need memory */
    pthread_cond_broadcast(&spool->changed);
    return true;
}

ph_code
ph_spool_begin_segment(struct ph_spool *spool, enum ph_segment_start start,
                       const struct ph_spool_session *session, struct ph_error *err)
{
    struct head head = {0};

    PH_TRY(compose(spool, start, session, &head, err));
    PH_TRY(create(spool, &head.segment, err));
    pthread_mutex_lock(&spool->lock);
    bool entered = !spool->poisoned && enter(spool, &head);
    ph_code rc = entered ? PH_OK : ph_spool_check_poison(spool, err);
    pthread_mutex_unlock(&spool->lock);
    if (!entered) {
        close(head.segment.fd);
        ph_spool_unlink(spool->dir_fd, head.segment.number);
        return rc != PH_OK ? rc : PH_FAIL(err, PH_E_MEMORY, "no memory for a segment");
    }
    spool->head_size = spool->head_out.len;
    return PH_OK;
}
