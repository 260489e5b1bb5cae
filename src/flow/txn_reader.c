#include "flow/txn_reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "model/xid_set.h"

#define SCRATCH_LIMIT ((size_t)1 << 30)
#define LENGTH_BYTES 4u
/* Bits of a place in the spool that are the offset in its segment. */
#define OFFSET_BITS 40

struct ph_txn_reader {
    struct ph_spool *spool;
    struct ph_spool_reader *in;
    struct ph_pgoutput *decoder;
    struct ph_stream_event event;
    struct ph_buf scratch;
    ph_lsn from;
    bool has_step; /* messages of `step` may still come */
    struct ph_spool_step step;
    bool is_open;    /* BEGIN was read, COMMIT not */
    bool is_skipped; /* it ended before `from` */
    struct ph_source_txn txn;
    int64_t time_us;
    struct ph_spool_stream *stream; /* the streamed transaction that is given out */
    bool has_streamed;              /* its commit was announced, it was not begun */
    struct ph_span commit;          /* its last message; lives as long as the step does */
    struct ph_buf definitions;      /* that hold for all from there on, each behind its length */
    struct ph_xid_set aborted;      /* subtransactions of it */
};

/* ---- opening ---- */

ph_code
ph_txn_reader_open(struct ph_spool *spool, ph_lsn from, struct ph_txn_reader **out,
                   struct ph_error *err)
{
    struct ph_txn_reader *reader = calloc(1, sizeof *reader);
    ph_code rc = PH_OK;

    *out = NULL;
    if (reader == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    reader->spool = spool;
    reader->from = from;
    ph_buf_init(&reader->scratch, SCRATCH_LIMIT);
    ph_buf_init(&reader->definitions, SCRATCH_LIMIT);
    reader->decoder = ph_pgoutput_new();
    if (reader->decoder == NULL)
        rc = PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (rc == PH_OK)
        rc = ph_spool_reader_open(spool, from, &reader->in, err);
    if (rc != PH_OK) {
        ph_txn_reader_close(reader);
        return rc;
    }
    *out = reader;
    return PH_OK;
}

void
ph_txn_reader_close(struct ph_txn_reader *reader)
{
    if (reader == NULL)
        return;
    ph_spool_stream_close(reader->stream);
    ph_spool_reader_close(reader->in);
    ph_pgoutput_free(reader->decoder);
    ph_buf_free(&reader->scratch);
    ph_buf_free(&reader->definitions);
    ph_xid_set_clear(&reader->aborted);
    free(reader);
}

const struct ph_stream_rel *
ph_txn_reader_rel(const struct ph_txn_reader *reader, ph_oid relid)
{
    return ph_pgoutput_rel(reader->decoder, relid);
}

/* ---- decoding ---- */

/*
 * When the server sent what is read now: its place in the spool, since the blocks of a streamed
 * transaction are read late.
 */
static uint64_t
arrival(const struct ph_txn_reader *reader)
{
    struct ph_spool_place place = reader->stream != NULL ? ph_spool_stream_place(reader->stream)
                                                         : ph_spool_reader_place(reader->in);

    return place.segment << OFFSET_BITS | place.offset;
}

static ph_code
decode(struct ph_txn_reader *reader, struct ph_span message, struct ph_error *err)
{
    return ph_pgoutput_decode(reader->decoder, message, arrival(reader), &reader->event, err);
}

/*
 * A definition is kept in the form it has outside of blocks; inside of one the server's message has
 * the transaction behind its first byte.
 */
static ph_code
decode_definition(struct ph_txn_reader *reader, struct ph_span message, uint32_t xid,
                  struct ph_error *err)
{
    struct ph_buf *scratch = &reader->scratch;
    uint8_t raw[4];

    if (message.len == 0)
        return PH_FAIL(err, PH_E_PROTOCOL, "an empty definition in the spool");
    ph_store_u32(raw, xid);
    ph_buf_clear(scratch);
    ph_buf_append(scratch, message.data, 1);
    ph_buf_append(scratch, raw, sizeof raw);
    ph_buf_append(scratch, message.data + 1, message.len - 1);
    if (!ph_buf_ok(scratch))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    return decode(reader, (struct ph_span){scratch->data, scratch->len}, err);
}

/* What the caller is to see of the message just decoded; false: nothing. */
static bool
show(struct ph_txn_reader *reader, struct ph_txn_event *out)
{
    const struct ph_stream_event *event = &reader->event;

    out->event = event;
    out->txn = reader->txn;
    out->time_us = reader->time_us;
    switch (event->head.kind) {
    case PH_STREAM_CHANGE:
        out->step = PH_TXN_CHANGE;
        return true;
    case PH_STREAM_MESSAGE:
        out->step = PH_TXN_MESSAGE;
        return true;
    case PH_STREAM_BEGIN:
    case PH_STREAM_COMMIT:
    case PH_STREAM_ORIGIN:
    case PH_STREAM_RELATION:
    case PH_STREAM_TYPE:
    case PH_STREAM_BLOCK_START:
    case PH_STREAM_BLOCK_STOP:
    case PH_STREAM_BLOCK_COMMIT:
    case PH_STREAM_BLOCK_ABORT:
        return false;
    }
    return false;
}

/* ---- transactions that came whole ---- */

static void
begin(struct ph_txn_reader *reader, const struct ph_stream_head *head)
{
    reader->is_open = true;
    reader->txn = (struct ph_source_txn){head->top_xid, head->commit_lsn};
    reader->time_us = head->time_us;
    /* a record that begins before the end of another one ends there at the latest */
    reader->is_skipped = head->commit_lsn < reader->from;
}

static bool
take_message(struct ph_txn_reader *reader, struct ph_txn_event *out)
{
    const struct ph_stream_head *head = &reader->event.head;

    if (head->kind == PH_STREAM_BEGIN) {
        begin(reader, head);
        *out = (struct ph_txn_event){
            .step = PH_TXN_BEGIN, .txn = reader->txn, .time_us = reader->time_us};
        return !reader->is_skipped;
    }
    if (head->kind == PH_STREAM_COMMIT) {
        *out = (struct ph_txn_event){.step = PH_TXN_COMMIT,
                                     .txn = reader->txn,
                                     .end_lsn = head->end_lsn,
                                     .time_us = reader->time_us};
        reader->is_open = false;
        reader->txn = (struct ph_source_txn){0};
        return !reader->is_skipped;
    }
    return show(reader, out) && !(reader->is_open && reader->is_skipped);
}

static ph_code
next_of_changes(struct ph_txn_reader *reader, struct ph_txn_event *out, bool *got,
                struct ph_error *err)
{
    struct ph_spool_item item;

    *got = false;
    while (!*got) {
        bool more;
        PH_TRY(ph_spool_reader_message(reader->in, &item, &more, err));
        if (!more) {
            reader->has_step = false;
            return PH_OK;
        }
        PH_TRY(decode(reader, item.bytes, err));
        *got = take_message(reader, out);
    }
    return PH_OK;
}

/* ---- transactions that came in blocks ---- */

static ph_code
missing(const struct ph_txn_reader *reader, struct ph_error *err)
{
    return PH_FAIL(err, PH_E_SPOOL_DAMAGED, "the blocks of transaction %u are not in the spool",
                   reader->step.xid);
}

/* Which of its subtransactions were rolled back. */
static ph_code
find_aborted(struct ph_txn_reader *reader, struct ph_error *err)
{
    uint32_t xid = reader->step.xid;
    struct ph_spool_stream *stream;
    ph_code rc;

    ph_xid_set_clear(&reader->aborted);
    PH_TRY(ph_spool_stream_open(reader->spool, xid, reader->step.last_end, &stream, err));
    if (stream == NULL)
        return missing(reader, err);
    for (;;) {
        struct ph_stream_head head;
        struct ph_spool_item item;
        bool more;
        rc = ph_spool_stream_next(stream, &item, &more, err);
        if (rc != PH_OK || !more)
            break;
        if (item.bytes.len == 0 || item.bytes.data[0] != 'A')
            continue;
        rc = ph_pgoutput_peek(item.bytes, PH_OUTSIDE_BLOCK, &head, err);
        if (rc == PH_OK && head.xid != xid && !ph_xid_set_add(&reader->aborted, head.xid))
            rc = PH_FAIL(err, PH_E_MEMORY, "out of memory");
        if (rc != PH_OK)
            break;
    }
    ph_spool_stream_close(stream);
    return rc;
}

static bool
keep_definition(struct ph_buf *kept, struct ph_span message)
{
    uint8_t length[LENGTH_BYTES];

    ph_store_u32(length, (uint32_t)message.len);
    ph_buf_append(kept, length, sizeof length);
    ph_buf_append(kept, message.data, message.len);
    return ph_buf_ok(kept);
}

/* The step's own messages: definitions that hold for all from here on, then the commit. */
static ph_code
find_commit(struct ph_txn_reader *reader, struct ph_error *err)
{
    struct ph_spool_item item;
    bool more;

    reader->commit.data = NULL;
    ph_buf_clear(&reader->definitions);
    for (;;) {
        PH_TRY(ph_spool_reader_message(reader->in, &item, &more, err));
        if (!more)
            break;
        if (item.kind != PH_SPOOL_SCHEMA)
            reader->commit = item.bytes;
        else if (!keep_definition(&reader->definitions, item.bytes))
            return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    if (reader->commit.data == NULL)
        return PH_FAIL(err, PH_E_SPOOL_DAMAGED, "transaction %u has no commit in the spool",
                       reader->step.xid);
    return PH_OK;
}

/*
 * The end of the step: the commit, and the definitions. They are the latest of all, whatever was
 * announced in and outside of the transaction before.
 */
static ph_code
end_streamed(struct ph_txn_reader *reader, struct ph_error *err)
{
    struct ph_cursor in = ph_cursor_of(reader->definitions.data, reader->definitions.len);
    struct ph_span definition;
    uint32_t len;

    reader->has_streamed = false;
    reader->has_step = false;
    reader->is_open = false;
    reader->txn = (struct ph_source_txn){0};
    PH_TRY(decode(reader, reader->commit, err));
    while (ph_take_u32(&in, &len) && ph_take_span(&in, len, &definition))
        PH_TRY(decode(reader, definition, err));
    return PH_OK;
}

/* Its end was before `from`: only what it announced still matters. */
static ph_code
skip_streamed(struct ph_txn_reader *reader, struct ph_error *err)
{
    reader->is_skipped = true;
    PH_TRY(find_commit(reader, err));
    return end_streamed(reader, err);
}

static ph_code
announce_streamed(struct ph_txn_reader *reader, struct ph_txn_event *out, struct ph_error *err)
{
    struct ph_stream_head head;

    PH_TRY(find_commit(reader, err));
    PH_TRY(ph_pgoutput_peek(reader->commit, PH_OUTSIDE_BLOCK, &head, err));
    begin(reader, &head);
    reader->is_open = false; /* so far */
    reader->is_skipped = false;
    reader->has_streamed = true;
    *out = (struct ph_txn_event){.step = PH_TXN_BLOCK_COMMIT,
                                 .txn = reader->txn,
                                 .time_us = reader->time_us,
                                 .end_lsn = reader->step.last_end,
                                 .session = reader->step.session,
                                 .place = ph_spool_reader_place(reader->in)};
    return PH_OK;
}

static ph_code
begin_streamed(struct ph_txn_reader *reader, struct ph_txn_event *out, struct ph_error *err)
{
    reader->has_streamed = false;
    PH_TRY(find_aborted(reader, err));
    PH_TRY(ph_spool_stream_open(reader->spool, reader->step.xid, reader->step.last_end,
                                &reader->stream, err));
    if (reader->stream == NULL)
        return missing(reader, err);
    reader->is_open = true;
    *out =
        (struct ph_txn_event){.step = PH_TXN_BEGIN, .txn = reader->txn, .time_us = reader->time_us};
    return PH_OK;
}

static ph_code
commit_streamed(struct ph_txn_reader *reader, struct ph_txn_event *out, struct ph_error *err)
{
    ph_spool_stream_close(reader->stream);
    reader->stream = NULL;
    ph_xid_set_clear(&reader->aborted);
    *out = (struct ph_txn_event){.step = PH_TXN_COMMIT,
                                 .txn = reader->txn,
                                 .end_lsn = reader->step.last_end,
                                 .time_us = reader->time_us};
    return end_streamed(reader, err);
}

static ph_code
next_of_stream(struct ph_txn_reader *reader, struct ph_txn_event *out, bool *got,
               struct ph_error *err)
{
    struct ph_spool_item item;
    bool more;

    *got = false;
    while (!*got) {
        PH_TRY(ph_spool_stream_next(reader->stream, &item, &more, err));
        if (!more) {
            *got = true;
            return commit_streamed(reader, out, err);
        }
        if (item.kind == PH_SPOOL_SCHEMA)
            PH_TRY(decode_definition(reader, item.bytes, reader->step.xid, err));
        else
            PH_TRY(decode(reader, item.bytes, err));
        *got = show(reader, out) && !ph_xid_set_has(&reader->aborted, reader->event.head.xid);
    }
    return PH_OK;
}

/* ---- steps ---- */

static struct ph_txn_event
tell_block(const struct ph_txn_reader *reader, enum ph_txn_step step)
{
    return (struct ph_txn_event){.step = step,
                                 .txn = {.xid = reader->step.xid},
                                 .session = reader->step.session,
                                 .place = ph_spool_reader_place(reader->in),
                                 .bytes = reader->step.raw_bytes};
}

static ph_code
void_what_is_open(struct ph_txn_reader *reader, struct ph_txn_event *out)
{
    ph_pgoutput_new_session(reader->decoder);
    *out = (struct ph_txn_event){
        .step = PH_TXN_VOID, .txn = reader->txn, .place = ph_spool_reader_place(reader->in)};
    reader->is_open = false;
    reader->txn = (struct ph_source_txn){0};
    return PH_OK;
}

/* A step of the spool that has just begun; *got: it is an event by itself. */
static ph_code
begin_step(struct ph_txn_reader *reader, struct ph_txn_event *out, bool *got, struct ph_error *err)
{
    *got = true;
    reader->has_step = false;
    switch (reader->step.what) {
    case PH_READ_NOTHING:
        *out = (struct ph_txn_event){.step = PH_TXN_NOTHING};
        return PH_OK;
    case PH_READ_SESSION:
        return void_what_is_open(reader, out);
    case PH_READ_PROGRESS:
        *out = (struct ph_txn_event){.step = PH_TXN_PROGRESS, .end_lsn = reader->step.last_end};
        return PH_OK;
    case PH_READ_CHANGES:
        *got = false;
        reader->has_step = true;
        return PH_OK;
    case PH_READ_STREAM_COMMIT:
        if (reader->step.last_end > reader->from)
            return announce_streamed(reader, out, err);
        *got = false;
        return skip_streamed(reader, err);
    case PH_READ_STREAM:
        *out = tell_block(reader, PH_TXN_BLOCK);
        return PH_OK;
    case PH_READ_STREAM_ABORT:
        *out = tell_block(reader, PH_TXN_BLOCK_ABORT);
        return PH_OK;
    }
    *got = false;
    return PH_OK;
}

void
ph_txn_reader_leave_out(struct ph_txn_reader *reader)
{
    reader->is_skipped = true;
}

ph_code
ph_txn_reader_next(struct ph_txn_reader *reader, uint32_t wait_ms, struct ph_txn_event *out,
                   struct ph_error *err)
{
    bool got = false;

    while (!got) {
        if (reader->has_streamed && reader->is_skipped) {
            PH_TRY(end_streamed(reader, err));
        } else if (reader->has_streamed) {
            got = true;
            PH_TRY(begin_streamed(reader, out, err));
        } else if (reader->stream != NULL) {
            PH_TRY(next_of_stream(reader, out, &got, err));
        } else if (reader->has_step) {
            PH_TRY(next_of_changes(reader, out, &got, err));
        } else {
            PH_TRY(ph_spool_reader_next(reader->in, wait_ms, &reader->step, err));
            PH_TRY(begin_step(reader, out, &got, err));
        }
    }
    return PH_OK;
}
