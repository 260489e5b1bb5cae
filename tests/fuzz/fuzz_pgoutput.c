/*
 * A change stream: messages, each behind its length in two bytes. What is decoded must lie within
 * the message and fit its table; what decode takes, peek takes as the same.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/pgoutput.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void
check_inside(struct ph_span whole, struct ph_span part)
{
    CHECK(part.len == 0 ||
          (part.data >= whole.data && part.data + part.len <= whole.data + whole.len));
}

static void
check_fields(struct ph_span message, const struct ph_field *fields, uint32_t n)
{
    for (uint32_t i = 0; fields != NULL && i < n; i++) {
        check_inside(message, fields[i].bytes);
        CHECK(fields[i].state == PH_FIELD_TEXT || fields[i].state == PH_FIELD_BINARY ||
              fields[i].bytes.len == 0);
    }
}

static void
check_change(struct ph_span message, const struct ph_stream_event *event)
{
    const struct ph_change *change = &event->change;

    CHECK(event->rel != NULL && event->rel->oid == change->relid);
    CHECK(event->head.top_xid != 0);
    if (change->kind == PH_CHANGE_TRUNCATE) {
        CHECK(change->n_truncated > 0 && change->truncated[0] == change->relid);
        return;
    }
    CHECK(change->n_fields == event->rel->n_columns);
    CHECK((change->new_fields == NULL) == (change->kind == PH_CHANGE_DELETE));
    CHECK((change->old_fields == NULL) == (change->old_image == PH_OLD_NONE));
    check_fields(message, change->new_fields, change->n_fields);
    check_fields(message, change->old_fields, change->n_fields);
}

static void
check_texts(struct ph_span message, const struct ph_stream_event *event)
{
    size_t len = 0;

    check_inside(message, event->content);
    if (event->prefix != NULL)
        len += strlen(event->prefix);
    if (event->name != NULL)
        len += strlen(event->name);
    CHECK(len < message.len);
}

static void
check_relation(const struct ph_pgoutput *decoder, const struct ph_stream_rel *rel)
{
    size_t len = strlen(rel->schema) + strlen(rel->name);

    for (uint32_t i = 0; i < rel->n_columns; i++)
        len += strlen(rel->columns[i].name);
    CHECK(len < 65536 && ph_pgoutput_rel(decoder, rel->oid) == rel);
}

static void
one(struct ph_pgoutput *decoder, struct ph_span message, uint64_t arrival,
    enum ph_stream_place *place)
{
    struct ph_stream_event event;
    struct ph_stream_head head;

    ph_code peeked = ph_pgoutput_peek(message, *place, &head, NULL);
    ph_code rc = ph_pgoutput_decode(decoder, message, arrival, &event, NULL);
    CHECK(rc == PH_OK || rc == PH_E_PROTOCOL);
    if (rc != PH_OK)
        return;
    CHECK(peeked == PH_OK && head.kind == event.head.kind && head.xid == event.head.xid &&
          head.relid == event.head.relid && head.end_lsn == event.head.end_lsn);
    CHECK(head.top_xid == 0 || head.top_xid == event.head.top_xid);
    check_texts(message, &event);
    if (event.head.kind == PH_STREAM_CHANGE)
        check_change(message, &event);
    if (event.head.kind == PH_STREAM_RELATION)
        check_relation(decoder, event.rel);
    if (event.head.kind == PH_STREAM_BLOCK_START)
        *place = PH_INSIDE_BLOCK;
    if (event.head.kind == PH_STREAM_BLOCK_STOP)
        *place = PH_OUTSIDE_BLOCK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ph_pgoutput *decoder = ph_pgoutput_new();
    enum ph_stream_place place = PH_OUTSIDE_BLOCK;
    struct ph_cursor in = ph_cursor_of(data, len);
    struct ph_span message;
    uint64_t arrival = 0;
    uint16_t size;

    CHECK(decoder != NULL);
    while (ph_take_u16(&in, &size)) {
        size_t left = ph_cursor_left(&in);
        (void)ph_take_span(&in, size < left ? size : left, &message);
        if (size == UINT16_MAX) {
            ph_pgoutput_new_session(decoder);
            place = PH_OUTSIDE_BLOCK;
            continue;
        }
        one(decoder, message, arrival++, &place);
    }
    ph_pgoutput_free(decoder);
    return 0;
}
