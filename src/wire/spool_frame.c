#include "wire/spool_frame.h"

#include <string.h>
#include <xxhash.h>

#define SEGMENT_MAGIC 0x70685367u /* "phSg" */
#define FRAME_MAGIC 0xf7506846u   /* 0xf7 "PhF": the first byte is no ASCII, nor a length's */
#define VERSION 1u
#define SEGMENT_SUM (PH_SEGMENT_HEADER_SIZE - 8) /* where the checksums lie */
#define FRAME_SUM (PH_FRAME_HEADER_SIZE - 8)

#define SEGMENT_FLAGS (PH_SEGMENT_RESTART | PH_SEGMENT_HOLLOW | PH_SEGMENT_OPEN)
#define FRAME_FLAGS                                                                                \
    (PH_FRAME_CONTINUES | PH_FRAME_OPEN | PH_FRAME_SCHEMA | PH_FRAME_HEAD | PH_FRAME_SINGLE)

void
ph_segment_header_encode(const struct ph_segment_header *header,
                         uint8_t out[PH_SEGMENT_HEADER_SIZE])
{
    ph_store_u32(out, SEGMENT_MAGIC);
    ph_store_u16(out + 4, VERSION);
    ph_store_u16(out + 6, header->flags);
    memcpy(out + 8, header->id.bytes, PH_SPOOL_ID_SIZE);
    ph_store_u64(out + 24, header->number);
    ph_store_u64(out + 32, header->session);
    ph_store_u64(out + 40, header->begin);
    ph_store_u64(out + 48, header->prev_size);
    ph_store_u64(out + 56, header->durable.segment);
    ph_store_u64(out + 64, header->durable.offset);
    ph_store_u32(out + 72, header->nonce);
    ph_store_u32(out + 76, 0);
    ph_store_u64(out + SEGMENT_SUM, XXH3_64bits(out, SEGMENT_SUM));
}

bool
ph_segment_header_decode(const uint8_t in[PH_SEGMENT_HEADER_SIZE], struct ph_segment_header *header)
{
    if (ph_load_u32(in) != SEGMENT_MAGIC || ph_load_u16(in + 4) != VERSION ||
        ph_load_u64(in + SEGMENT_SUM) != XXH3_64bits(in, SEGMENT_SUM))
        return false;
    header->flags = ph_load_u16(in + 6);
    memcpy(header->id.bytes, in + 8, PH_SPOOL_ID_SIZE);
    header->number = ph_load_u64(in + 24);
    header->session = ph_load_u64(in + 32);
    header->begin = ph_load_u64(in + 40);
    header->prev_size = ph_load_u64(in + 48);
    header->durable.segment = ph_load_u64(in + 56);
    header->durable.offset = ph_load_u64(in + 64);
    header->nonce = ph_load_u32(in + 72);
    return (header->flags & ~SEGMENT_FLAGS) == 0 && header->number > 0;
}

uint64_t
ph_spool_segment_key(const struct ph_spool_id *id, uint64_t number)
{
    uint8_t bytes[PH_SPOOL_ID_SIZE + 8];

    memcpy(bytes, id->bytes, PH_SPOOL_ID_SIZE);
    ph_store_u64(bytes + PH_SPOOL_ID_SIZE, number);
    return XXH3_64bits(bytes, sizeof bytes);
}

/* Of the header's fields and the place they lie at. */
static uint64_t
header_sum(const uint8_t header[PH_FRAME_HEADER_SIZE], uint64_t key, uint64_t offset)
{
    uint8_t bytes[FRAME_SUM + 16];

    memcpy(bytes, header, FRAME_SUM);
    ph_store_u64(bytes + FRAME_SUM, key);
    ph_store_u64(bytes + FRAME_SUM + 8, offset);
    return XXH3_64bits(bytes, sizeof bytes);
}

void
ph_frame_encode(const struct ph_frame *frame, uint64_t key, uint64_t offset,
                uint8_t out[PH_FRAME_HEADER_SIZE])
{
    ph_store_u32(out, FRAME_MAGIC);
    out[4] = (uint8_t)frame->type;
    out[5] = (uint8_t)frame->packing;
    out[6] = frame->flags;
    out[7] = frame->single_kind;
    ph_store_u32(out + 8, frame->stored_len);
    ph_store_u32(out + 12, frame->raw_len);
    ph_store_u32(out + 16, frame->xid);
    ph_store_u32(out + 20, frame->nonce);
    ph_store_u64(out + 24, frame->session);
    ph_store_u64(out + 32, frame->first_end);
    ph_store_u64(out + 40, frame->last_end);
    ph_store_u64(out + 48, frame->durable.segment);
    ph_store_u64(out + 56, frame->durable.offset);
    ph_store_u64(out + 64, frame->body_sum);
    ph_store_u64(out + FRAME_SUM, header_sum(out, key, offset));
}

/* A checksum that fits proves who wrote it; this is against a writer of another mind. */
static bool
is_sound(const struct ph_frame *frame)
{
    bool single = (frame->flags & PH_FRAME_SINGLE) != 0;

    if ((frame->flags & ~FRAME_FLAGS) != 0 || frame->stored_len > PH_FRAME_STORED_MAX ||
        frame->raw_len > PH_FRAME_RAW_MAX || frame->first_end > frame->last_end)
        return false;
    if (frame->packing == PH_PACK_NONE && frame->stored_len != frame->raw_len)
        return false;
    return single == (frame->single_kind != 0) && frame->single_kind <= PH_SPOOL_STREAM_ABORT;
}

bool
ph_frame_decode(const uint8_t in[PH_FRAME_HEADER_SIZE], uint64_t key, uint64_t offset,
                struct ph_frame *frame)
{
    if (ph_load_u32(in) != FRAME_MAGIC ||
        ph_load_u64(in + FRAME_SUM) != header_sum(in, key, offset))
        return false;
    if (in[4] < PH_FRAME_SESSION || in[4] > PH_FRAME_MARK || in[5] > PH_PACK_ZSTD)
        return false;
    frame->type = (enum ph_frame_type)in[4];
    frame->packing = (enum ph_spool_packing)in[5];
    frame->flags = in[6];
    frame->single_kind = in[7];
    frame->stored_len = ph_load_u32(in + 8);
    frame->raw_len = ph_load_u32(in + 12);
    frame->xid = ph_load_u32(in + 16);
    frame->nonce = ph_load_u32(in + 20);
    frame->session = ph_load_u64(in + 24);
    frame->first_end = ph_load_u64(in + 32);
    frame->last_end = ph_load_u64(in + 40);
    frame->durable.segment = ph_load_u64(in + 48);
    frame->durable.offset = ph_load_u64(in + 56);
    frame->body_sum = ph_load_u64(in + 64);
    return is_sound(frame);
}

size_t
ph_frame_find(struct ph_span bytes, size_t from)
{
    uint8_t magic[4];

    ph_store_u32(magic, FRAME_MAGIC);
    if (from >= bytes.len)
        return bytes.len;
    const uint8_t *at = memmem(bytes.data + from, bytes.len - from, magic, sizeof magic);
    return at == NULL ? bytes.len : (size_t)(at - bytes.data);
}

uint64_t
ph_frame_body_sum(struct ph_span stored)
{
    return XXH3_64bits(stored.data, stored.len);
}

void
ph_spool_message_prefix(enum ph_spool_message_kind kind, size_t len,
                        uint8_t out[PH_SPOOL_MESSAGE_PREFIX])
{
    out[0] = (uint8_t)kind;
    ph_store_u32(out + 1, (uint32_t)len);
}

bool
ph_spool_message_take(struct ph_cursor *in, struct ph_spool_item *item)
{
    struct ph_cursor at = *in;
    uint8_t kind;
    uint32_t len;

    if (!ph_take_u8(&at, &kind) || kind < PH_SPOOL_BEGIN || kind > PH_SPOOL_STREAM_ABORT ||
        !ph_take_u32(&at, &len) || !ph_take_span(&at, len, &item->bytes))
        return false;
    item->kind = (enum ph_spool_message_kind)kind;
    *in = at;
    return true;
}

static uint8_t *
put_text(uint8_t *out, const char *text, size_t size)
{
    size_t len = strnlen(text, size - 1);

    ph_store_u16(out, (uint16_t)len);
    memcpy(out + 2, text, len);
    return out + 2 + len;
}

size_t
ph_spool_session_encode(const struct ph_spool_session *session,
                        uint8_t out[PH_SPOOL_SESSION_BODY_MAX])
{
    uint8_t *at = out;

    ph_store_u64(at, session->system_id);
    ph_store_u32(at + 8, session->timeline);
    ph_store_u64(at + 12, session->start);
    at = put_text(at + 20, session->database, sizeof session->database);
    at = put_text(at, session->slot, sizeof session->slot);
    at = put_text(at, session->publication, sizeof session->publication);
    at = put_text(at, session->options, sizeof session->options);
    return (size_t)(at - out);
}

static bool
take_text(struct ph_cursor *in, char *out, size_t size)
{
    struct ph_span text;
    uint16_t len;

    if (!ph_take_u16(in, &len) || len >= size || !ph_take_span(in, len, &text) ||
        memchr(text.data, 0, len) != NULL)
        return false;
    memcpy(out, text.data, len);
    out[len] = '\0';
    return true;
}

bool
ph_spool_session_decode(struct ph_span body, struct ph_spool_session *session)
{
    struct ph_cursor in = ph_cursor_of(body.data, body.len);

    *session = (struct ph_spool_session){0};
    return ph_take_u64(&in, &session->system_id) && ph_take_u32(&in, &session->timeline) &&
           ph_take_u64(&in, &session->start) &&
           take_text(&in, session->database, sizeof session->database) &&
           take_text(&in, session->slot, sizeof session->slot) &&
           take_text(&in, session->publication, sizeof session->publication) &&
           take_text(&in, session->options, sizeof session->options) && ph_cursor_left(&in) == 0;
}
