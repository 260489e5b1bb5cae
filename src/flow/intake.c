#include "flow/intake.h"

#include <stdlib.h>
#include <string.h>

/* Types and relations have OIDs of their own catalogs. */
#define XID_END 5u /* inside blocks the xid stands behind the first byte */
#define TYPE_OBJECT ((uint64_t)1 << 32)

/* Behind the type byte, and the xid inside blocks. */
static ph_code
type_object(const struct ph_intake *intake, struct ph_span message, uint64_t *object,
            struct ph_error *err)
{
    size_t skip = intake->block_xid != 0 ? 5 : 1;
    struct ph_cursor in = ph_cursor_of(message.data, message.len);
    uint32_t oid;

    if (message.len < skip)
        return PH_FAIL(err, PH_E_PROTOCOL, "a Type message of the change stream ends too early");
    in.at += skip;
    if (!ph_take_u32(&in, &oid))
        return PH_FAIL(err, PH_E_PROTOCOL, "a Type message of the change stream ends too early");
    *object = TYPE_OBJECT | oid;
    return PH_OK;
}

/* What the spool is told of a message, which is not left out. */
static ph_code
describe(const struct ph_intake *intake, const struct ph_stream_head *head,
         struct ph_spool_message *out, struct ph_error *err)
{
    out->kind = PH_SPOOL_CHANGE;
    out->xid = intake->block_xid;
    switch (head->kind) {
    case PH_STREAM_BEGIN:
        out->kind = PH_SPOOL_BEGIN;
        break;
    case PH_STREAM_COMMIT:
        out->kind = PH_SPOOL_COMMIT;
        out->end_lsn = head->end_lsn;
        break;
    case PH_STREAM_RELATION:
        out->kind = PH_SPOOL_SCHEMA;
        out->object = head->relid;
        break;
    case PH_STREAM_TYPE:
        out->kind = PH_SPOOL_SCHEMA;
        return type_object(intake, out->bytes, &out->object, err);
    case PH_STREAM_MESSAGE:
        if (!intake->in_txn && intake->block_xid == 0)
            out->kind = PH_SPOOL_ASIDE;
        break;
    case PH_STREAM_BLOCK_START:
        out->xid = head->top_xid;
        break;
    case PH_STREAM_BLOCK_COMMIT:
        out->kind = PH_SPOOL_STREAM_COMMIT;
        out->xid = head->top_xid;
        out->end_lsn = head->end_lsn;
        break;
    case PH_STREAM_BLOCK_ABORT:
        out->xid = head->top_xid;
        if (head->xid == head->top_xid)
            out->kind = PH_SPOOL_STREAM_ABORT;
        break;
    case PH_STREAM_ORIGIN:
    case PH_STREAM_CHANGE:
    case PH_STREAM_BLOCK_STOP:
        break;
    }
    return PH_OK;
}

/* What the spool does not look at, or would take for a message of the block. */
static ph_code
check_place(const struct ph_intake *intake, const struct ph_stream_head *head, struct ph_error *err)
{
    bool ends_block = head->kind == PH_STREAM_BLOCK_STOP;
    bool in_block = intake->block_xid != 0;
    bool whole = head->kind == PH_STREAM_BEGIN || head->kind == PH_STREAM_COMMIT ||
                 head->kind == PH_STREAM_BLOCK_START || head->kind == PH_STREAM_BLOCK_COMMIT ||
                 head->kind == PH_STREAM_BLOCK_ABORT;
    bool wrong = (ends_block && !in_block) || (whole && in_block) ||
                 (head->kind == PH_STREAM_BLOCK_START && intake->in_txn);

    return wrong ? PH_FAIL(err, PH_E_PROTOCOL, "the stream has a message '%c' %s", head->type,
                           in_block ? "inside a block" : "where none can be")
                 : PH_OK;
}

/* Of a transaction that was committed before the start: the server should not send it. */
static bool
is_repeated(const struct ph_intake *intake, const struct ph_stream_head *head)
{
    return (head->kind == PH_STREAM_BEGIN || head->kind == PH_STREAM_BLOCK_COMMIT) &&
           head->commit_lsn < intake->start;
}

static void
leave_out(struct ph_intake *intake, const struct ph_stream_head *head)
{
    intake->leaving_out =
        head->kind == PH_STREAM_BEGIN || (intake->leaving_out && head->kind != PH_STREAM_COMMIT);
    intake->in_txn = intake->leaving_out;
    if (!intake->leaving_out)
        intake->repeated++;
}

static void
note_taken(struct ph_intake *intake, const struct ph_stream_head *head)
{
    if (head->kind == PH_STREAM_BEGIN)
        intake->in_txn = true;
    else if (head->kind == PH_STREAM_BLOCK_START)
        intake->block_xid = head->top_xid;
    else if (head->kind == PH_STREAM_BLOCK_STOP)
        intake->block_xid = 0;
    if (head->kind != PH_STREAM_COMMIT && head->kind != PH_STREAM_BLOCK_COMMIT)
        return;
    if (head->kind == PH_STREAM_COMMIT)
        intake->in_txn = false;
    intake->reached = head->end_lsn;
    intake->transactions++;
}

/*
 * A definition is kept in the form it has outside of blocks, without the xid: the spool repeats it
 * where it holds for all, once its transaction has committed.
 */
static ph_code
append_definition(struct ph_intake *intake, struct ph_spool_message *out, struct ph_error *err)
{
    struct ph_span in = out->bytes;

    if (in.len < XID_END)
        return PH_FAIL(err, PH_E_PROTOCOL, "a definition in the change stream ends too early");
    uint8_t *plain = malloc(in.len - XID_END + 1);
    if (plain == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    plain[0] = in.data[0];
    memcpy(plain + 1, in.data + XID_END, in.len - XID_END);
    out->bytes = (struct ph_span){plain, in.len - XID_END + 1};
    ph_code rc = ph_spool_append(intake->spool, out, err);
    free(plain);
    return rc;
}

ph_code
ph_intake_take(struct ph_intake *intake, struct ph_span message, struct ph_error *err)
{
    struct ph_spool_message out = {.bytes = message};
    struct ph_stream_head head;

    PH_TRY(ph_pgoutput_peek(message, intake->block_xid != 0 ? PH_INSIDE_BLOCK : PH_OUTSIDE_BLOCK,
                            &head, err));
    PH_TRY(check_place(intake, &head, err));
    if (intake->leaving_out || is_repeated(intake, &head)) {
        leave_out(intake, &head);
        return PH_OK;
    }
    PH_TRY(describe(intake, &head, &out, err));
    if (out.kind == PH_SPOOL_SCHEMA && intake->block_xid != 0)
        PH_TRY(append_definition(intake, &out, err));
    else
        PH_TRY(ph_spool_append(intake->spool, &out, err));
    note_taken(intake, &head);
    return PH_OK;
}

bool
ph_intake_is_between(const struct ph_intake *intake)
{
    return !intake->in_txn && intake->block_xid == 0;
}

ph_code
ph_intake_progress(struct ph_intake *intake, ph_lsn lsn, struct ph_error *err)
{
    if (lsn <= intake->reached)
        return PH_OK;
    PH_TRY(ph_spool_progress(intake->spool, lsn, err));
    intake->reached = lsn;
    return PH_OK;
}
