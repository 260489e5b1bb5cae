/* The messages of one frame, taken one by one. One owner, one thread. */
#ifndef PH_SPOOL_BODY_H
#define PH_SPOOL_BODY_H

#include "base/buf.h"
#include "spool/source.h"
#include "wire/spool_pack.h"

struct ph_frame_body {
    struct ph_spool_packer packer;
    struct ph_buf raw;
    struct ph_cursor left;
    uint8_t single; /* message kind of PH_FRAME_SINGLE, until it is taken; otherwise 0 */
};

void ph_frame_body_init(struct ph_frame_body *body);
void ph_frame_body_free(struct ph_frame_body *body);
/* No messages. Gives back memory that one large frame took. */
void ph_frame_body_clear(struct ph_frame_body *body);
/*
 * The messages of the frame at `offset` of the source. They live until the source or the body is
 * used again. PH_E_SPOOL_DAMAGED, PH_E_DISK, PH_E_MEMORY.
 */
ph_code ph_frame_body_load(struct ph_frame_body *body, struct ph_frame_source *source,
                           uint64_t offset, const struct ph_frame *frame,
                           struct ph_error *err) PH_MUST_CHECK;
/* *more false: there is none. PH_E_SPOOL_DAMAGED. */
ph_code ph_frame_body_next(struct ph_frame_body *body, struct ph_spool_item *item, bool *more,
                           struct ph_error *err) PH_MUST_CHECK;

#endif
