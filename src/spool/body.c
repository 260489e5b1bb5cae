#include "spool/body.h"

#include <inttypes.h>

#define KEPT_BYTES ((size_t)1 << 20)

void
ph_frame_body_init(struct ph_frame_body *body)
{
    *body = (struct ph_frame_body){0};
    ph_spool_packer_init(&body->packer, PH_PACK_NONE);
    ph_buf_init(&body->raw, PH_FRAME_RAW_MAX);
}

void
ph_frame_body_free(struct ph_frame_body *body)
{
    ph_spool_packer_free(&body->packer);
    ph_buf_free(&body->raw);
}

void
ph_frame_body_clear(struct ph_frame_body *body)
{
    body->left = (struct ph_cursor){0};
    body->single = 0;
    if (body->raw.cap > KEPT_BYTES)
        ph_buf_free(&body->raw);
}

ph_code
ph_frame_body_load(struct ph_frame_body *body, struct ph_frame_source *source, uint64_t offset,
                   const struct ph_frame *frame, struct ph_error *err)
{
    struct ph_span stored;
    struct ph_span raw;

    ph_frame_body_clear(body);
    PH_TRY(ph_frame_source_body(source, offset, frame, &stored, err));
    ph_code rc = ph_frame_unpack(&body->packer, frame, stored, &body->raw, &raw, err);
    if (rc != PH_OK) {
        ph_error_note(err, "spool segment %" PRIu64 ", byte %" PRIu64, source->number, offset);
        return rc;
    }
    body->left = ph_cursor_of(raw.data, raw.len);
    if ((frame->flags & PH_FRAME_SINGLE) != 0)
        body->single = frame->single_kind;
    return PH_OK;
}

ph_code
ph_frame_body_next(struct ph_frame_body *body, struct ph_spool_item *item, bool *more,
                   struct ph_error *err)
{
    struct ph_cursor *left = &body->left;

    if (body->single != 0) {
        *item = (struct ph_spool_item){(enum ph_spool_message_kind)body->single,
                                       {left->at, ph_cursor_left(left)}};
        left->at = left->end;
        body->single = 0;
        *more = true;
        return PH_OK;
    }
    *more = ph_cursor_left(left) > 0;
    if (!*more || ph_spool_message_take(left, item))
        return PH_OK;
    return PH_FAIL(err, PH_E_SPOOL_DAMAGED, "a frame of the spool ends inside a message");
}
