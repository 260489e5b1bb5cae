/* Frames of the spool as bytes: what is written is read, anything else is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/spool_pack.h"

#include <stdlib.h>
#include <string.h>

static const struct ph_spool_id id = {{1, 2, 3}};

static struct ph_frame
sample_frame(void)
{
    return (struct ph_frame){.type = PH_FRAME_CHANGES,
                             .flags = PH_FRAME_CONTINUES | PH_FRAME_SCHEMA,
                             .xid = 0,
                             .nonce = 0xdeadbeef,
                             .session = 5,
                             .first_end = 100,
                             .last_end = 0x16B374D848,
                             .durable = {3, 4096}};
}

static void
assert_same_frame(const struct ph_frame *a, const struct ph_frame *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->packing, b->packing);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->single_kind, b->single_kind);
    assert_int_equal(a->stored_len, b->stored_len);
    assert_int_equal(a->raw_len, b->raw_len);
    assert_int_equal(a->xid, b->xid);
    assert_int_equal(a->nonce, b->nonce);
    assert_int_equal(a->session, b->session);
    assert_int_equal(a->first_end, b->first_end);
    assert_int_equal(a->last_end, b->last_end);
    assert_int_equal(a->durable.segment, b->durable.segment);
    assert_int_equal(a->durable.offset, b->durable.offset);
    assert_int_equal(a->body_sum, b->body_sum);
}

static void
round_trip(enum ph_spool_packing packing, size_t len, bool noise)
{
    struct ph_spool_packer packer;
    struct ph_frame frame = sample_frame();
    struct ph_frame again;
    struct ph_buf out;
    struct ph_buf unpacked;
    struct ph_span raw;
    uint8_t *bytes = malloc(len + 1);
    uint32_t seed = 1;

    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = noise ? (uint8_t)(seed >> 24) : (uint8_t)(i / 100);
    }
    ph_spool_packer_init(&packer, packing);
    ph_buf_init(&out, SIZE_MAX / 2);
    ph_buf_init(&unpacked, PH_FRAME_RAW_MAX);
    uint64_t key = ph_spool_segment_key(&id, 9);
    assert_int_equal(
        ph_frame_build(&packer, &frame, key, 777, (struct ph_span){bytes, len}, &out, NULL), PH_OK);
    assert_int_equal(out.len, ph_frame_size(&frame));
    if (packing != PH_PACK_NONE && !noise && len > 1000)
        assert_true(frame.stored_len < len / 4);
    if (noise)
        assert_int_equal(frame.packing, PH_PACK_NONE);
    assert_true(ph_frame_decode(out.data, key, 777, &again));
    assert_same_frame(&frame, &again);
    struct ph_span stored = {out.data + PH_FRAME_HEADER_SIZE, again.stored_len};
    assert_int_equal(ph_frame_unpack(&packer, &again, stored, &unpacked, &raw, NULL), PH_OK);
    assert_int_equal(raw.len, len);
    assert_memory_equal(raw.data, bytes, len);
    for (size_t at = PH_FRAME_HEADER_SIZE; at < out.len; at += 1 + out.len / 50) {
        out.data[at] ^= 1;
        assert_int_equal(ph_frame_unpack(&packer, &again, stored, &unpacked, &raw, NULL),
                         PH_E_SPOOL_DAMAGED);
        out.data[at] ^= 1;
    }
    ph_spool_packer_free(&packer);
    ph_buf_free(&out);
    ph_buf_free(&unpacked);
    free(bytes);
}

static void
test_bodies(void **state)
{
    static const size_t lengths[] = {0, 1, 63, 64, 65, 1000, 70000, 1 << 20};

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        round_trip(PH_PACK_NONE, lengths[i], false);
        round_trip(PH_PACK_LZ4, lengths[i], false);
        round_trip(PH_PACK_ZSTD, lengths[i], false);
    }
    round_trip(PH_PACK_LZ4, 70000, true);
    round_trip(PH_PACK_ZSTD, 70000, true);
}

static void
test_header_bits(void **state)
{
    uint64_t key = ph_spool_segment_key(&id, 9);
    uint8_t bytes[PH_FRAME_HEADER_SIZE];
    struct ph_frame frame = sample_frame();
    struct ph_frame again;

    (void)state;
    ph_frame_encode(&frame, key, 5000, bytes);
    assert_true(ph_frame_decode(bytes, key, 5000, &again));
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(ph_frame_decode(bytes, key, 5000, &again));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* A frame is one at its own place only: not moved, not of another segment or spool. */
static void
test_header_place(void **state)
{
    static const struct ph_spool_id other = {{1, 2, 4}};
    uint64_t key = ph_spool_segment_key(&id, 9);
    uint8_t bytes[PH_FRAME_HEADER_SIZE];
    struct ph_frame frame = sample_frame();
    struct ph_frame again;

    (void)state;
    ph_frame_encode(&frame, key, 5000, bytes);
    assert_true(ph_frame_decode(bytes, key, 5000, &again));
    assert_false(ph_frame_decode(bytes, key, 5001, &again));
    assert_false(ph_frame_decode(bytes, ph_spool_segment_key(&id, 10), 5000, &again));
    assert_false(ph_frame_decode(bytes, ph_spool_segment_key(&other, 9), 5000, &again));
}

/* A right checksum does not make a header right. */
static void
test_header_unsound(void **state)
{
    uint64_t key = ph_spool_segment_key(&id, 9);
    uint8_t bytes[PH_FRAME_HEADER_SIZE];
    struct ph_frame wrong[6];
    struct ph_frame again;

    (void)state;
    for (size_t i = 0; i < 6; i++)
        wrong[i] = sample_frame();
    wrong[0].type = (enum ph_frame_type)99;
    wrong[1].flags = 128;
    wrong[2].first_end = wrong[2].last_end + 1;
    wrong[3].stored_len = 1;
    wrong[4].packing = (enum ph_spool_packing)9;
    wrong[5].flags |= PH_FRAME_SINGLE;
    for (size_t i = 0; i < 6; i++) {
        ph_frame_encode(&wrong[i], key, 5000, bytes);
        assert_false(ph_frame_decode(bytes, key, 5000, &again));
    }
}

static void
test_segment_header(void **state)
{
    const struct ph_segment_header header = {.id = id,
                                             .number = 3,
                                             .session = 4,
                                             .begin = 5,
                                             .prev_size = 6,
                                             .durable = {7, 8},
                                             .nonce = 9,
                                             .flags = PH_SEGMENT_RESTART | PH_SEGMENT_OPEN};
    struct ph_segment_header again = {0};
    uint8_t bytes[PH_SEGMENT_HEADER_SIZE];

    (void)state;
    ph_segment_header_encode(&header, bytes);
    assert_true(ph_segment_header_decode(bytes, &again));
    assert_memory_equal(&again.id, &header.id, sizeof id);
    assert_int_equal(again.number, 3);
    assert_int_equal(again.session, 4);
    assert_int_equal(again.begin, 5);
    assert_int_equal(again.prev_size, 6);
    assert_int_equal(again.durable.segment, 7);
    assert_int_equal(again.durable.offset, 8);
    assert_int_equal(again.nonce, 9);
    assert_int_equal(again.flags, header.flags);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(ph_segment_header_decode(bytes, &again));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void
test_messages(void **state)
{
    uint8_t bytes[2 * PH_SPOOL_MESSAGE_PREFIX + 3];
    struct ph_spool_item item;

    (void)state;
    ph_spool_message_prefix(PH_SPOOL_BEGIN, 3, bytes);
    memcpy(bytes + PH_SPOOL_MESSAGE_PREFIX, "abc", 3);
    ph_spool_message_prefix(PH_SPOOL_COMMIT, 0, bytes + PH_SPOOL_MESSAGE_PREFIX + 3);
    struct ph_cursor in = ph_cursor_of(bytes, sizeof bytes);
    assert_true(ph_spool_message_take(&in, &item));
    assert_int_equal(item.kind, PH_SPOOL_BEGIN);
    assert_int_equal(item.bytes.len, 3);
    assert_memory_equal(item.bytes.data, "abc", 3);
    assert_true(ph_spool_message_take(&in, &item));
    assert_int_equal(item.kind, PH_SPOOL_COMMIT);
    assert_int_equal(item.bytes.len, 0);
    assert_false(ph_spool_message_take(&in, &item));
    for (size_t len = 0; len < PH_SPOOL_MESSAGE_PREFIX + 3; len++) {
        in = ph_cursor_of(bytes, len);
        assert_false(ph_spool_message_take(&in, &item));
        assert_ptr_equal(in.at, bytes);
    }
    bytes[0] = 0;
    in = ph_cursor_of(bytes, sizeof bytes);
    assert_false(ph_spool_message_take(&in, &item));
    bytes[0] = PH_SPOOL_STREAM_ABORT + 1;
    assert_false(ph_spool_message_take(&in, &item));
}

static void
test_session(void **state)
{
    struct ph_spool_session session = {.system_id = 0x1122334455667788,
                                       .timeline = 3,
                                       .start = 99,
                                       .database = "db",
                                       .slot = "s",
                                       .publication = "p",
                                       .options = ""};
    uint8_t body[PH_SPOOL_SESSION_BODY_MAX];
    struct ph_spool_session again;

    (void)state;
    memset(session.options, 'x', sizeof session.options - 1);
    size_t len = ph_spool_session_encode(&session, body);
    assert_true(ph_spool_session_decode((struct ph_span){body, len}, &again));
    assert_int_equal(again.system_id, session.system_id);
    assert_int_equal(again.timeline, 3);
    assert_int_equal(again.start, 99);
    assert_string_equal(again.database, "db");
    assert_string_equal(again.slot, "s");
    assert_string_equal(again.publication, "p");
    assert_string_equal(again.options, session.options);
    for (size_t cut = 0; cut < len; cut++)
        assert_false(ph_spool_session_decode((struct ph_span){body, cut}, &again));
    body[len] = 0;
    assert_false(ph_spool_session_decode((struct ph_span){body, len + 1}, &again));
}

static void
test_find(void **state)
{
    uint64_t key = ph_spool_segment_key(&id, 9);
    uint8_t bytes[300] = {0};
    struct ph_frame frame = sample_frame();

    (void)state;
    ph_frame_encode(&frame, key, 0, bytes + 101);
    assert_int_equal(ph_frame_find((struct ph_span){bytes, sizeof bytes}, 0), 101);
    assert_int_equal(ph_frame_find((struct ph_span){bytes, sizeof bytes}, 101), 101);
    assert_int_equal(ph_frame_find((struct ph_span){bytes, sizeof bytes}, 102), sizeof bytes);
    assert_int_equal(ph_frame_find((struct ph_span){bytes, sizeof bytes}, 999), sizeof bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),         cmocka_unit_test(test_header_bits),
        cmocka_unit_test(test_header_place),   cmocka_unit_test(test_header_unsound),
        cmocka_unit_test(test_segment_header), cmocka_unit_test(test_messages),
        cmocka_unit_test(test_session),        cmocka_unit_test(test_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
