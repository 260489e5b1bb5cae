/*
 * One parser for the fixed beginning of a message serves both peek and decode; decode goes on from
 * there with what the transaction and the announced tables say.
 *
 * The receiver peeks at every message and the applier decodes every one, so the way through
 * take_tuple is kept straight: it only measures, and what is wrong is worded on the cold side.
 */
#include "wire/pgoutput.h"

#include <stdlib.h>

#include "wire/stream_rels.h"

/* Microseconds from 1970 to 2000, where the server's clock begins. */
#define EPOCH_US INT64_C(946684800000000)

#define TRUNCATE_CASCADE 1u
#define TRUNCATE_RESTART_IDENTITY 2u
#define MESSAGE_TRANSACTIONAL 1u

struct ph_pgoutput {
    bool in_transaction; /* between Begin and Commit */
    bool in_block;       /* between Stream Start and Stream Stop; never both */
    uint32_t top_xid;    /* of either; otherwise 0 */
    struct ph_stream_rels rels;
    /* of the change decoded last */
    struct ph_field *new_fields;
    struct ph_field *old_fields;
    uint32_t fields_capacity; /* of each */
    ph_oid *truncated;
    uint32_t truncated_capacity;
    /* what the last change's table was, so that runs of changes need no look-up; NULL: none */
    const struct ph_stream_rel *last_rel;
};

static ph_code __attribute__((cold)) too_short(char type, struct ph_error *err)
{
    return PH_FAIL(err, PH_E_PROTOCOL, "a message '%c' of the change stream ends too early", type);
}

static bool
take_text(struct ph_cursor *in, const char **out)
{
    const uint8_t *end = memchr(in->at, 0, ph_cursor_left(in));

    if (end == NULL)
        return false;
    *out = (const char *)in->at;
    in->at = end + 1;
    return true;
}

static bool
take_time(struct ph_cursor *in, int64_t *out)
{
    uint64_t us;

    if (!ph_take_u64(in, &us))
        return false;
    *out = (int64_t)(us + (uint64_t)EPOCH_US);
    return true;
}

static ph_code
kind_of(uint8_t type, enum ph_stream_kind *out, struct ph_error *err)
{
    static const uint8_t types[] = "BCORYIUDTMSEcA";
    static const uint8_t kinds[] = {
        PH_STREAM_BEGIN,        PH_STREAM_COMMIT,      PH_STREAM_ORIGIN,      PH_STREAM_RELATION,
        PH_STREAM_TYPE,         PH_STREAM_CHANGE,      PH_STREAM_CHANGE,      PH_STREAM_CHANGE,
        PH_STREAM_CHANGE,       PH_STREAM_MESSAGE,     PH_STREAM_BLOCK_START, PH_STREAM_BLOCK_STOP,
        PH_STREAM_BLOCK_COMMIT, PH_STREAM_BLOCK_ABORT,
    };
    const uint8_t *at = memchr(types, type, sizeof kinds);

    if (at != NULL) {
        *out = kinds[at - types];
        return PH_OK;
    }
    if (type != '\0' && strchr("bPKrp", type) != NULL)
        return PH_FAIL(err, PH_E_PROTOCOL,
                       "the stream brings a prepared transaction (message '%c'), which was not "
                       "asked for: the slot was made with two_phase",
                       type);
    return PH_FAIL(err, PH_E_PROTOCOL, "unknown message 0x%02x in the change stream", type);
}

/* Commit and Stream Commit, behind the xid that the latter has. */
static bool
take_commit(struct ph_cursor *in, struct ph_stream_head *head)
{
    uint8_t unused_flags;

    return ph_take_u8(in, &unused_flags) && ph_take_u64(in, &head->commit_lsn) &&
           ph_take_u64(in, &head->end_lsn) && take_time(in, &head->time_us);
}

static bool
take_abort(struct ph_cursor *in, struct ph_stream_head *head)
{
    if (!ph_take_u32(in, &head->top_xid) || !ph_take_u32(in, &head->xid))
        return false;
    /* protocol version 4 with parallel streaming says where and when */
    return ph_cursor_left(in) == 0 ||
           (ph_take_u64(in, &head->lsn) && take_time(in, &head->time_us));
}

static bool
take_logical_message(struct ph_cursor *in, struct ph_stream_head *head)
{
    uint8_t flags;

    if (!ph_take_u8(in, &flags) || !ph_take_u64(in, &head->lsn))
        return false;
    head->transactional = (flags & MESSAGE_TRANSACTIONAL) != 0;
    return true;
}

/* The first table of a Truncate; `in` stays before its number of tables. */
static bool
look_at_truncate(struct ph_cursor in, struct ph_stream_head *head)
{
    uint32_t n;
    uint8_t flags;

    return ph_take_u32(&in, &n) && ph_take_u8(&in, &flags) && n > 0 &&
           ph_take_u32(&in, &head->relid);
}

/* What stands behind type and xid, as far as the head has it. */
static bool
take_head(struct ph_cursor *in, struct ph_stream_head *head)
{
    uint8_t first;

    switch (head->kind) {
    case PH_STREAM_BEGIN:
        return ph_take_u64(in, &head->commit_lsn) && take_time(in, &head->time_us) &&
               ph_take_u32(in, &head->top_xid);
    case PH_STREAM_COMMIT:
        return take_commit(in, head);
    case PH_STREAM_ORIGIN:
        return ph_take_u64(in, &head->lsn);
    case PH_STREAM_RELATION:
        return ph_take_u32(in, &head->relid);
    case PH_STREAM_CHANGE:
        return head->type == 'T' ? look_at_truncate(*in, head) : ph_take_u32(in, &head->relid);
    case PH_STREAM_MESSAGE:
        return take_logical_message(in, head);
    case PH_STREAM_BLOCK_START:
        if (!ph_take_u32(in, &head->top_xid) || !ph_take_u8(in, &first))
            return false;
        head->first_block = first == 1;
        return true;
    case PH_STREAM_BLOCK_COMMIT:
        return ph_take_u32(in, &head->top_xid) && take_commit(in, head);
    case PH_STREAM_BLOCK_ABORT:
        return take_abort(in, head);
    case PH_STREAM_TYPE:
    case PH_STREAM_BLOCK_STOP:
        break;
    }
    return true;
}

static bool
carries_xid(enum ph_stream_kind kind)
{
    return kind == PH_STREAM_RELATION || kind == PH_STREAM_TYPE || kind == PH_STREAM_CHANGE ||
           kind == PH_STREAM_MESSAGE;
}

/* Messages that are nothing but their head. */
static bool
is_all_head(enum ph_stream_kind kind)
{
    return kind == PH_STREAM_BEGIN || kind == PH_STREAM_COMMIT || kind == PH_STREAM_BLOCK_START ||
           kind == PH_STREAM_BLOCK_STOP || kind == PH_STREAM_BLOCK_COMMIT ||
           kind == PH_STREAM_BLOCK_ABORT;
}

static bool
lacks_xid(const struct ph_stream_head *head)
{
    return head->top_xid == 0 &&
           (head->kind == PH_STREAM_BEGIN || head->kind == PH_STREAM_BLOCK_START ||
            head->kind == PH_STREAM_BLOCK_COMMIT || head->kind == PH_STREAM_BLOCK_ABORT);
}

static ph_code
read_head(struct ph_cursor *in, enum ph_stream_place place, struct ph_stream_head *head,
          struct ph_error *err)
{
    uint8_t type;

    *head = (struct ph_stream_head){0};
    if (!ph_take_u8(in, &type))
        return PH_FAIL(err, PH_E_PROTOCOL, "an empty message in the change stream");
    PH_TRY(kind_of(type, &head->kind, err));
    head->type = (char)type;
    if (place == PH_INSIDE_BLOCK && carries_xid(head->kind) && !ph_take_u32(in, &head->xid))
        return too_short(head->type, err);
    if (!take_head(in, head))
        return too_short(head->type, err);
    if (is_all_head(head->kind) && ph_cursor_left(in) > 0)
        return PH_FAIL(err, PH_E_PROTOCOL,
                       "a message '%c' of the change stream is %zu bytes longer "
                       "than it should be",
                       head->type, ph_cursor_left(in));
    if (lacks_xid(head))
        return PH_FAIL(err, PH_E_PROTOCOL,
                       "a message '%c' of the change stream names no transaction", head->type);
    return PH_OK;
}

ph_code
ph_pgoutput_peek(struct ph_span message, enum ph_stream_place place, struct ph_stream_head *out,
                 struct ph_error *err)
{
    struct ph_cursor in = ph_cursor_of(message.data, message.len);

    return read_head(&in, place, out, err);
}

struct ph_pgoutput *
ph_pgoutput_new(void)
{
    struct ph_pgoutput *decoder = calloc(1, sizeof *decoder);

    if (decoder != NULL)
        ph_stream_rels_init(&decoder->rels);
    return decoder;
}

void
ph_pgoutput_free(struct ph_pgoutput *decoder)
{
    if (decoder == NULL)
        return;
    ph_stream_rels_reset(&decoder->rels);
    free(decoder->new_fields);
    free(decoder->old_fields);
    free(decoder->truncated);
    free(decoder);
}

void
ph_pgoutput_new_session(struct ph_pgoutput *decoder)
{
    decoder->in_transaction = false;
    decoder->in_block = false;
    decoder->top_xid = 0;
    decoder->last_rel = NULL;
    ph_stream_rels_forget(&decoder->rels);
}

/* The transaction whose announcements hold here; 0: those outside. */
static uint32_t
book_of(const struct ph_pgoutput *decoder)
{
    return decoder->in_block ? decoder->top_xid : 0;
}

const struct ph_stream_rel *
ph_pgoutput_rel(const struct ph_pgoutput *decoder, ph_oid relid)
{
    return ph_stream_rels_find(&decoder->rels, book_of(decoder), relid);
}

/* ---- where in the stream a message may stand ---- */

static ph_code __attribute__((cold))
misplaced(const struct ph_pgoutput *decoder, const struct ph_stream_head *head,
          struct ph_error *err)
{
    return PH_FAIL(err, PH_E_PROTOCOL, "a message '%c' of the change stream %s", head->type,
                   decoder->in_block         ? "inside a block of a streamed transaction"
                   : decoder->in_transaction ? "inside a transaction"
                                             : "outside of transactions");
}

/* Announcements and messages that are no part of a transaction may stand anywhere. */
static bool
may_stand_here(const struct ph_pgoutput *decoder, const struct ph_stream_head *head)
{
    bool outside = !decoder->in_transaction && !decoder->in_block;

    switch (head->kind) {
    case PH_STREAM_BEGIN:
    case PH_STREAM_BLOCK_START:
    case PH_STREAM_BLOCK_COMMIT:
    case PH_STREAM_BLOCK_ABORT:
        return outside;
    case PH_STREAM_COMMIT:
        return decoder->in_transaction;
    case PH_STREAM_BLOCK_STOP:
        return decoder->in_block;
    case PH_STREAM_ORIGIN:
    case PH_STREAM_CHANGE:
        return !outside;
    case PH_STREAM_MESSAGE:
        return !outside || !head->transactional;
    case PH_STREAM_RELATION:
    case PH_STREAM_TYPE:
        break;
    }
    return true;
}

/* The message was good: what it means for those that follow. */
static void
advance(struct ph_pgoutput *decoder, const struct ph_stream_head *head)
{
    if (!is_all_head(head->kind))
        return;
    decoder->last_rel = NULL;
    decoder->in_transaction = head->kind == PH_STREAM_BEGIN;
    decoder->in_block = head->kind == PH_STREAM_BLOCK_START;
    decoder->top_xid = decoder->in_transaction || decoder->in_block ? head->top_xid : 0;
    if (head->kind == PH_STREAM_BLOCK_COMMIT)
        ph_stream_rels_commit(&decoder->rels, head->top_xid);
    else if (head->kind == PH_STREAM_BLOCK_ABORT)
        ph_stream_rels_abort(&decoder->rels, head->top_xid);
}

/* ---- rows ---- */

static bool
ensure_fields(struct ph_pgoutput *decoder)
{
    uint32_t n = decoder->rels.max_columns;

    if (n <= decoder->fields_capacity)
        return true;
    struct ph_field *new_fields = realloc(decoder->new_fields, n * sizeof *new_fields);
    if (new_fields != NULL)
        decoder->new_fields = new_fields;
    struct ph_field *old_fields = realloc(decoder->old_fields, n * sizeof *old_fields);
    if (old_fields != NULL)
        decoder->old_fields = old_fields;
    if (new_fields == NULL || old_fields == NULL)
        return false;
    decoder->fields_capacity = n;
    return true;
}

static inline bool
take_field(struct ph_cursor *in, enum ph_field_state null_means, struct ph_field *field)
{
    uint8_t kind;
    uint32_t len;

    if (!ph_take_u8(in, &kind))
        return false;
    field->bytes = (struct ph_span){NULL, 0};
    if (kind == 'n' || kind == 'u') {
        field->state = kind == 'n' ? null_means : PH_FIELD_UNCHANGED;
        return true;
    }
    field->state = kind == 'b' ? PH_FIELD_BINARY : PH_FIELD_TEXT;
    return (kind == 'b' || kind == 't') && ph_take_u32(in, &len) &&
           ph_take_span(in, len, &field->bytes);
}

static ph_code __attribute__((cold))
bad_tuple(const struct ph_stream_rel *rel, const char *what, struct ph_error *err)
{
    PH_FAIL(err, PH_E_PROTOCOL, "a row in the change stream %s", what);
    ph_error_object(err, "%s.%s", rel->schema, rel->name);
    return PH_E_PROTOCOL;
}

static ph_code
take_tuple(struct ph_cursor *in, const struct ph_stream_rel *rel, enum ph_field_state null_means,
           struct ph_field *fields, struct ph_error *err)
{
    uint16_t n;

    if (!ph_take_u16(in, &n))
        return bad_tuple(rel, "ends too early", err);
    if (n != rel->n_columns)
        return bad_tuple(rel, "has another number of columns than the table as announced", err);
    for (uint32_t i = 0; i < n; i++) {
        if (!take_field(in, null_means, &fields[i]))
            return bad_tuple(rel, "is damaged or ends too early", err);
    }
    return PH_OK;
}

/* 'K': key image, 'O': whole old row; any other: none, and nothing is taken. */
static ph_code
take_old_image(struct ph_pgoutput *decoder, struct ph_cursor *in, const struct ph_stream_rel *rel,
               struct ph_change *change, struct ph_error *err)
{
    uint8_t mark = ph_cursor_left(in) > 0 ? *in->at : 0;

    if (mark != 'K' && mark != 'O')
        return PH_OK;
    in->at++;
    change->old_image = mark == 'K' ? PH_OLD_KEY : PH_OLD_ROW;
    change->old_fields = decoder->old_fields;
    return take_tuple(in, rel, mark == 'K' ? PH_FIELD_ABSENT : PH_FIELD_NULL, decoder->old_fields,
                      err);
}

static ph_code
take_new_image(struct ph_pgoutput *decoder, struct ph_cursor *in, const struct ph_stream_rel *rel,
               struct ph_change *change, struct ph_error *err)
{
    uint8_t mark;

    if (!ph_take_u8(in, &mark) || mark != 'N')
        return bad_tuple(rel, "has no new image", err);
    change->new_fields = decoder->new_fields;
    return take_tuple(in, rel, PH_FIELD_NULL, decoder->new_fields, err);
}

static ph_code
find_rel(struct ph_pgoutput *decoder, ph_oid relid, const struct ph_stream_rel **out,
         struct ph_error *err)
{
    if (decoder->last_rel == NULL || decoder->last_rel->oid != relid)
        decoder->last_rel = ph_pgoutput_rel(decoder, relid);
    *out = decoder->last_rel;
    if (*out != NULL)
        return PH_OK;
    return PH_FAIL(err, PH_E_PROTOCOL,
                   "the change stream has a change of table %u, which it did not announce", relid);
}

static ph_code
decode_row(struct ph_pgoutput *decoder, struct ph_cursor *in, struct ph_stream_event *out,
           struct ph_error *err)
{
    struct ph_change *change = &out->change;

    PH_TRY(find_rel(decoder, out->head.relid, &out->rel, err));
    if (!ensure_fields(decoder))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    change->n_fields = out->rel->n_columns;
    change->kind = out->head.type == 'I'   ? PH_CHANGE_INSERT
                   : out->head.type == 'U' ? PH_CHANGE_UPDATE
                                           : PH_CHANGE_DELETE;
    if (change->kind != PH_CHANGE_INSERT)
        PH_TRY(take_old_image(decoder, in, out->rel, change, err));
    if (change->kind != PH_CHANGE_DELETE)
        return take_new_image(decoder, in, out->rel, change, err);
    return change->old_image == PH_OLD_NONE ? bad_tuple(out->rel, "has no old image", err) : PH_OK;
}

static bool
ensure_truncated(struct ph_pgoutput *decoder, uint32_t n)
{
    if (n <= decoder->truncated_capacity)
        return true;
    ph_oid *truncated = realloc(decoder->truncated, n * sizeof *truncated);
    if (truncated == NULL)
        return false;
    decoder->truncated = truncated;
    decoder->truncated_capacity = n;
    return true;
}

static ph_code
decode_truncate(struct ph_pgoutput *decoder, struct ph_cursor *in, struct ph_stream_event *out,
                struct ph_error *err)
{
    struct ph_change *change = &out->change;
    const struct ph_stream_rel *rel;
    uint32_t n;
    uint8_t flags;

    if (!ph_take_u32(in, &n) || !ph_take_u8(in, &flags) || n > ph_cursor_left(in) / sizeof(ph_oid))
        return too_short('T', err);
    if (!ensure_truncated(decoder, n))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < n; i++) {
        (void)ph_take_u32(in, &decoder->truncated[i]);
        PH_TRY(find_rel(decoder, decoder->truncated[i], &rel, err));
        if (i == 0)
            out->rel = rel;
    }
    change->kind = PH_CHANGE_TRUNCATE;
    change->truncated = decoder->truncated;
    change->n_truncated = n;
    change->cascade = (flags & TRUNCATE_CASCADE) != 0;
    change->restart_identity = (flags & TRUNCATE_RESTART_IDENTITY) != 0;
    return PH_OK;
}

static ph_code
decode_change(struct ph_pgoutput *decoder, struct ph_cursor *in, struct ph_stream_event *out,
              struct ph_error *err)
{
    out->change.relid = out->head.relid;
    out->change.xid = out->head.xid;
    return out->head.type == 'T' ? decode_truncate(decoder, in, out, err)
                                 : decode_row(decoder, in, out, err);
}

/* ---- the other messages ---- */

static ph_code
decode_relation(struct ph_pgoutput *decoder, struct ph_cursor *in, uint64_t arrival,
                struct ph_stream_event *out, struct ph_error *err)
{
    /* the head has taken the OID already, which the announcement begins with */
    struct ph_span body = {in->at - sizeof(ph_oid), ph_cursor_left(in) + sizeof(ph_oid)};

    PH_TRY(
        ph_stream_rels_announce(&decoder->rels, book_of(decoder), arrival, body, &out->rel, err));
    decoder->last_rel = NULL;
    in->at = in->end;
    return PH_OK;
}

static bool
take_type(struct ph_cursor *in, struct ph_stream_event *out)
{
    if (!ph_take_u32(in, &out->type_oid) || !take_text(in, &out->schema) ||
        !take_text(in, &out->name))
        return false;
    if (out->schema[0] == '\0')
        out->schema = "pg_catalog";
    return true;
}

static bool
take_content(struct ph_cursor *in, struct ph_stream_event *out)
{
    uint32_t len;

    return take_text(in, &out->prefix) && ph_take_u32(in, &len) &&
           ph_take_span(in, len, &out->content);
}

static ph_code
decode_body(struct ph_pgoutput *decoder, struct ph_cursor *in, uint64_t arrival,
            struct ph_stream_event *out, struct ph_error *err)
{
    bool complete = true;

    switch (out->head.kind) {
    case PH_STREAM_CHANGE:
        return decode_change(decoder, in, out, err);
    case PH_STREAM_RELATION:
        return decode_relation(decoder, in, arrival, out, err);
    case PH_STREAM_TYPE:
        complete = take_type(in, out);
        break;
    case PH_STREAM_ORIGIN:
        complete = take_text(in, &out->name);
        break;
    case PH_STREAM_MESSAGE:
        complete = take_content(in, out);
        break;
    case PH_STREAM_BEGIN:
    case PH_STREAM_COMMIT:
    case PH_STREAM_BLOCK_START:
    case PH_STREAM_BLOCK_STOP:
    case PH_STREAM_BLOCK_COMMIT:
    case PH_STREAM_BLOCK_ABORT:
        break;
    }
    return complete ? PH_OK : too_short(out->head.type, err);
}

ph_code
ph_pgoutput_decode(struct ph_pgoutput *decoder, struct ph_span message, uint64_t arrival,
                   struct ph_stream_event *out, struct ph_error *err)
{
    struct ph_cursor in = ph_cursor_of(message.data, message.len);

    *out = (struct ph_stream_event){0};
    PH_TRY(read_head(&in, decoder->in_block ? PH_INSIDE_BLOCK : PH_OUTSIDE_BLOCK, &out->head, err));
    if (!may_stand_here(decoder, &out->head))
        return misplaced(decoder, &out->head, err);
    if (out->head.top_xid == 0 && (out->head.kind != PH_STREAM_MESSAGE || out->head.transactional))
        out->head.top_xid = decoder->top_xid;
    PH_TRY(decode_body(decoder, &in, arrival, out, err));
    if (ph_cursor_left(&in) > 0)
        return PH_FAIL(err, PH_E_PROTOCOL,
                       "a message '%c' of the change stream is %zu bytes longer than it should be",
                       out->head.type, ph_cursor_left(&in));
    advance(decoder, &out->head);
    return PH_OK;
}
