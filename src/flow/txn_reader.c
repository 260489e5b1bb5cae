#include "flow/txn_reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define SCRATCH_LIMIT ((size_t)1 << 30)
#define BLOCK_START_BYTES 6u

struct xid_set { /* of rolled back subtransactions; sorted by nothing, looked through by hashing */
    uint32_t *slots; /* 0: free, which no xid is */
    uint32_t n;
    uint32_t capacity; /* 0 or a power of two */
};

struct ph_txn_reader {
    struct ph_spool *spool;
    struct ph_spool_reader *in;
    struct ph_pgoutput *decoder;
    struct ph_stream_event event;
    struct ph_buf scratch;
    ph_lsn from;
    uint64_t arrival;
    bool has_step; /* messages of `step` may still come */
    struct ph_spool_step step;
    bool is_open;    /* BEGIN was read, COMMIT not */
    bool is_skipped; /* it ended before `from` */
    struct ph_source_txn txn;
    int64_t time_us;
    struct ph_spool_stream *stream; /* the streamed transaction that is given out */
    struct ph_span commit;          /* its last message; lives as long as the step does */
    struct xid_set aborted;
};

/* ---- the set of rolled back subtransactions ---- */

static uint32_t
place_of(const struct xid_set *set, uint32_t xid)
{
    uint32_t at = (xid * 2654435761u) & (set->capacity - 1);

    while (set->slots[at] != 0 && set->slots[at] != xid)
        at = (at + 1) & (set->capacity - 1);
    return at;
}

static bool
has_xid(const struct xid_set *set, uint32_t xid)
{
    return set->n > 0 && set->slots[place_of(set, xid)] == xid;
}

static bool
grow_set(struct xid_set *set)
{
    struct xid_set larger = {.capacity = set->capacity == 0 ? 64 : set->capacity * 2};

    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (larger.slots == NULL)
        return false;
    for (uint32_t i = 0; i < set->capacity; i++) {
        if (set->slots[i] != 0)
            larger.slots[place_of(&larger, set->slots[i])] = set->slots[i];
    }
    larger.n = set->n;
    free(set->slots);
    *set = larger;
    return true;
}

static bool
add_xid(struct xid_set *set, uint32_t xid)
{
    if (set->n * 2 >= set->capacity && !grow_set(set))
        return false;
    uint32_t at = place_of(set, xid);
    set->n += set->slots[at] == 0;
    set->slots[at] = xid;
    return true;
}

static void
clear_set(struct xid_set *set)
{
    free(set->slots);
    *set = (struct xid_set){0};
}

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
    clear_set(&reader->aborted);
    free(reader);
}

const struct ph_stream_rel *
ph_txn_reader_rel(const struct ph_txn_reader *reader, ph_oid relid)
{
    return ph_pgoutput_rel(reader->decoder, relid);
}

/* ---- decoding ---- */

static ph_code
decode(struct ph_txn_reader *reader, struct ph_span message, struct ph_error *err)
{
    return ph_pgoutput_decode(reader->decoder, message, ++reader->arrival, &reader->event, err);
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

    clear_set(&reader->aborted);
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
        if (rc == PH_OK && head.xid != xid && !add_xid(&reader->aborted, head.xid))
            rc = PH_FAIL(err, PH_E_MEMORY, "out of memory");
        if (rc != PH_OK)
            break;
    }
    ph_spool_stream_close(stream);
    return rc;
}

/*
 * The step's own messages: definitions that hold for all from here on, then the commit, which is
 * returned.
 */
static ph_code
find_commit(struct ph_txn_reader *reader, struct ph_span *commit, struct ph_error *err)
{
    struct ph_spool_item item;
    bool more;

    commit->data = NULL;
    for (;;) {
        PH_TRY(ph_spool_reader_message(reader->in, &item, &more, err));
        if (!more)
            break;
        if (item.kind != PH_SPOOL_SCHEMA) {
            *commit = item.bytes;
            continue;
        }
        if (reader->is_skipped)
            PH_TRY(decode_definition(reader, item.bytes, reader->step.xid, err));
    }
    if (commit->data == NULL)
        return PH_FAIL(err, PH_E_SPOOL_DAMAGED, "transaction %u has no commit in the spool",
                       reader->step.xid);
    return PH_OK;
}

static ph_code
begin_block(struct ph_txn_reader *reader, struct ph_error *err)
{
    uint8_t start[BLOCK_START_BYTES] = {'S'};

    ph_store_u32(start + 1, reader->step.xid);
    start[5] = 1;
    return decode(reader, (struct ph_span){start, sizeof start}, err);
}

static ph_code
end_block(struct ph_txn_reader *reader, struct ph_error *err)
{
    static const uint8_t stop[] = {'E'};

    return decode(reader, (struct ph_span){stop, sizeof stop}, err);
}

/* Its end was before `from`: only what it announced still matters. */
static ph_code
skip_streamed(struct ph_txn_reader *reader, struct ph_error *err)
{
    struct ph_span commit;

    reader->is_skipped = true;
    PH_TRY(begin_block(reader, err));
    PH_TRY(find_commit(reader, &commit, err));
    PH_TRY(end_block(reader, err));
    reader->has_step = false;
    return decode(reader, commit, err);
}

static ph_code
begin_streamed(struct ph_txn_reader *reader, struct ph_txn_event *out, struct ph_error *err)
{
    struct ph_stream_head head;

    reader->is_skipped = false;
    PH_TRY(find_commit(reader, &reader->commit, err));
    PH_TRY(ph_pgoutput_peek(reader->commit, PH_OUTSIDE_BLOCK, &head, err));
    PH_TRY(find_aborted(reader, err));
    PH_TRY(ph_spool_stream_open(reader->spool, reader->step.xid, reader->step.last_end,
                                &reader->stream, err));
    if (reader->stream == NULL)
        return missing(reader, err);
    begin(reader, &head);
    *out =
        (struct ph_txn_event){.step = PH_TXN_BEGIN, .txn = reader->txn, .time_us = reader->time_us};
    return PH_OK;
}

static ph_code
commit_streamed(struct ph_txn_reader *reader, struct ph_txn_event *out, struct ph_error *err)
{
    ph_spool_stream_close(reader->stream);
    reader->stream = NULL;
    clear_set(&reader->aborted);
    reader->has_step = false;
    reader->is_open = false;
    *out = (struct ph_txn_event){.step = PH_TXN_COMMIT,
                                 .txn = reader->txn,
                                 .end_lsn = reader->step.last_end,
                                 .time_us = reader->time_us};
    reader->txn = (struct ph_source_txn){0};
    return decode(reader, reader->commit, err);
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
        *got = show(reader, out) && !has_xid(&reader->aborted, reader->event.head.xid);
    }
    return PH_OK;
}

/* ---- steps ---- */

static ph_code
void_what_is_open(struct ph_txn_reader *reader, struct ph_txn_event *out)
{
    ph_pgoutput_new_session(reader->decoder);
    *out = (struct ph_txn_event){.step = PH_TXN_VOID, .txn = reader->txn};
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
            return begin_streamed(reader, out, err);
        *got = false;
        return skip_streamed(reader, err);
    case PH_READ_STREAM:
    case PH_READ_STREAM_ABORT:
        break; /* blocks are read when their transaction commits */
    }
    *got = false;
    return PH_OK;
}

ph_code
ph_txn_reader_next(struct ph_txn_reader *reader, uint32_t wait_ms, struct ph_txn_event *out,
                   struct ph_error *err)
{
    bool got = false;

    while (!got) {
        if (reader->stream != NULL) {
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
