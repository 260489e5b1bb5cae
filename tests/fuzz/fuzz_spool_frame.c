/*
 * Input: a byte that chooses what follows: 0 a frame's header, to which the right checksum is put
 * first, and its body; 1 messages of a body; 2 a session; 3 a segment's header. Whatever is read
 * is written again as the same bytes.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "wire/spool_pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define KEY 77u
#define OFFSET 4000u
/* A checksum vouches for the length a body unpacks to; here it does not. */
#define UNPACKED_MAX ((size_t)1 << 20)

static void
walk_messages(struct ph_span body)
{
    struct ph_cursor in = ph_cursor_of(body.data, body.len);
    struct ph_spool_item item;
    uint8_t prefix[PH_SPOOL_MESSAGE_PREFIX];
    const uint8_t *at = in.at;

    while (ph_spool_message_take(&in, &item)) {
        CHECK(item.bytes.data + item.bytes.len == in.at && in.at <= in.end);
        ph_spool_message_prefix(item.kind, item.bytes.len, prefix);
        CHECK(memcmp(prefix, at, sizeof prefix) == 0);
        at = in.at;
    }
    CHECK(in.at == at);
}

static void
seal(uint8_t header[PH_FRAME_HEADER_SIZE])
{
    uint8_t bytes[PH_FRAME_HEADER_SIZE - 8 + 16];

    memcpy(bytes, header, PH_FRAME_HEADER_SIZE - 8);
    ph_store_u64(bytes + PH_FRAME_HEADER_SIZE - 8, KEY);
    ph_store_u64(bytes + PH_FRAME_HEADER_SIZE, OFFSET);
    ph_store_u64(header + PH_FRAME_HEADER_SIZE - 8, XXH3_64bits(bytes, sizeof bytes));
}

static void
unpack_frame(struct ph_frame frame, struct ph_span stored)
{
    struct ph_spool_packer packer;
    struct ph_buf out;
    struct ph_span raw;

    if (stored.len != frame.stored_len || frame.raw_len > UNPACKED_MAX)
        return;
    ph_spool_packer_init(&packer, PH_PACK_LZ4);
    ph_buf_init(&out, UNPACKED_MAX);
    frame.body_sum = ph_frame_body_sum(stored);
    if (ph_frame_unpack(&packer, &frame, stored, &out, &raw, NULL) == PH_OK) {
        CHECK(raw.len == frame.raw_len);
        walk_messages(raw);
    }
    ph_spool_packer_free(&packer);
    ph_buf_free(&out);
}

static void
read_frame(struct ph_span in)
{
    uint8_t header[PH_FRAME_HEADER_SIZE];
    uint8_t again[PH_FRAME_HEADER_SIZE];
    struct ph_frame frame;

    if (in.len < sizeof header)
        return;
    memcpy(header, in.data, sizeof header);
    CHECK(!ph_frame_decode(header, KEY, OFFSET + 1, &frame) ||
          !ph_frame_decode(header, KEY, OFFSET, &frame));
    seal(header);
    if (!ph_frame_decode(header, KEY, OFFSET, &frame))
        return;
    ph_frame_encode(&frame, KEY, OFFSET, again);
    CHECK(memcmp(header, again, sizeof again) == 0);
    CHECK(!ph_frame_decode(header, KEY, OFFSET + 1, &frame));
    unpack_frame(frame, (struct ph_span){in.data + sizeof header, in.len - sizeof header});
}

static void
read_session(struct ph_span in)
{
    struct ph_spool_session session;
    uint8_t body[PH_SPOOL_SESSION_BODY_MAX];

    if (!ph_spool_session_decode(in, &session))
        return;
    CHECK(ph_spool_session_encode(&session, body) == in.len);
    CHECK(memcmp(body, in.data, in.len) == 0);
}

static void
read_segment(struct ph_span in)
{
    uint8_t bytes[PH_SEGMENT_HEADER_SIZE];
    uint8_t again[PH_SEGMENT_HEADER_SIZE];
    struct ph_segment_header header;

    if (in.len < sizeof bytes)
        return;
    memcpy(bytes, in.data, sizeof bytes);
    ph_store_u64(bytes + sizeof bytes - 8, XXH3_64bits(bytes, sizeof bytes - 8));
    if (!ph_segment_header_decode(bytes, &header))
        return;
    ph_segment_header_encode(&header, again);
    CHECK(memcmp(bytes, again, 72) == 0); /* behind it: reserved bytes and the checksum */
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    struct ph_span in = {data + 1, len - 1};
    switch (data[0] % 4) {
    case 0:
        read_frame(in);
        break;
    case 1:
        walk_messages(in);
        break;
    case 2:
        read_session(in);
        break;
    default:
        read_segment(in);
        break;
    }
    CHECK(ph_frame_find(in, 0) <= in.len);
    return 0;
}
