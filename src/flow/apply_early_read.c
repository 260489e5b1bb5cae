/* The early way's reading of the blocks. */
#include <string.h>

#include "base/failpoint.h"
#include "flow/apply_early_parts.h"

/* A subtransaction begins a part of its own, to be gone back to, in this share of a full one. */
#define SUB_SHARE 16u
/* It is not worth it when so many changes were for nothing, and more than were not. */
#define WASTE UINT64_C(500000)
#define XID_AT 1u
#define XID_END 5u

/* ---- going back ---- */

/* All that was taken since `point`, sent or not, is to be read again. */
static void
read_again(struct ph_early *early, const struct early_point *point)
{
    struct early_reading *reading = &early->reading;

    reading->wasted += reading->changes - point->changes + ph_fold_changes(reading->fold);
    reading->changes = point->changes;
    reading->taken = point->taken;
    reading->went_back = true;
    reading->newest = point->newest;
    reading->part = *point;
    ph_fold_clear(reading->fold);
    ph_change_notes_clear(&reading->notes);
    ph_spool_stream_back(reading->stream, &point->mark);
    early->waiting++;
    if (reading->renamed != point->renamed)
        ph_early_give_up(early, "a table has changed since the savepoint");
    else if (reading->wasted > WASTE && reading->wasted > reading->changes)
        ph_early_give_up(early, "too much of it is rolled back");
}

/* Without the subtransactions that were rolled back since; at once, because of their locks. */
static ph_code
go_back(struct ph_early *early, struct ph_error *err)
{
    struct early_reading *reading = &early->reading;
    uint32_t xid = reading->back_to_xid;
    struct ph_error why;

    reading->back_to_xid = 0;
    if (ph_xid_is_later(xid, reading->part.newest)) {
        read_again(early, &reading->part);
        return PH_OK;
    }
    while (reading->n_points > 1 &&
           !ph_xid_is_later(xid, reading->points[reading->n_points - 1].newest))
        reading->n_points--;
    ph_error_reset(&why);
    ph_code rc = ph_early_back_to_point(early, &reading->points[reading->n_points - 1], &why);
    if (rc == PH_OK)
        read_again(early, &reading->points[reading->n_points - 1]);
    return ph_early_failure(early, rc, &why, err);
}

/*
 * A subtransaction was rolled back. Several are so at once, when one had others, and are told one
 * by one, the earliest first, maybe in several blocks: none's changes are taken again meanwhile.
 */
static ph_code
take_abort(struct ph_early *early, struct ph_span message, struct ph_error *err)
{
    struct early_reading *reading = &early->reading;
    struct ph_stream_head head;

    PH_TRY(ph_pgoutput_peek(message, PH_OUTSIDE_BLOCK, &head, err));
    if (ph_xid_set_has(&reading->aborted, head.xid))
        return PH_OK;
    if (!ph_xid_set_add(&reading->aborted, head.xid))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (ph_xid_spans_have(&reading->gone, head.xid))
        return PH_OK;
    if (!ph_xid_spans_add(&reading->gone, head.xid, reading->newest))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (ph_xid_is_later(head.xid, reading->newest))
        return PH_OK;
    if (reading->back_to_xid == 0 || ph_xid_is_later(reading->back_to_xid, head.xid))
        reading->back_to_xid = head.xid;
    /* as where nothing else has arrived yet */
    return PH_FAILPOINT_ERROR(early_rollback_alone) ? go_back(early, err) : PH_OK;
}

/* ---- messages ---- */

/* The part that begins with the message given last. */
static void
begin_part(struct early_reading *reading)
{
    reading->part = (struct early_point){.mark = ph_spool_stream_mark(reading->stream),
                                         .newest = reading->newest,
                                         .renamed = reading->renamed,
                                         .changes = reading->changes,
                                         .taken = reading->taken};
}

ph_code
ph_early_decode(struct ph_early *early, struct ph_span message, struct ph_error *err)
{
    struct early_reading *reading = &early->reading;

    return ph_pgoutput_decode(reading->decoder, message, 0, &reading->event, err);
}

/* Kept as it is outside of blocks; here all is inside of one. */
static ph_code
take_definition(struct ph_early *early, struct ph_span message, struct ph_error *err)
{
    struct early_reading *reading = &early->reading;
    struct ph_stream_head head;
    uint8_t raw[XID_END - XID_AT];

    PH_TRY(ph_pgoutput_peek(message, PH_OUTSIDE_BLOCK, &head, err));
    ph_store_u32(raw, early->xid);
    ph_buf_clear(&early->scratch);
    ph_buf_append(&early->scratch, message.data, XID_AT);
    ph_buf_append(&early->scratch, raw, sizeof raw);
    ph_buf_append(&early->scratch, message.data + XID_AT, message.len - XID_AT);
    if (!ph_buf_ok(&early->scratch))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    const struct ph_stream_rel *before = ph_pgoutput_rel(reading->decoder, head.relid);
    PH_TRY(ph_early_decode(early, (struct ph_span){early->scratch.data, early->scratch.len}, err));
    const struct ph_stream_rel *after = ph_pgoutput_rel(reading->decoder, head.relid);
    reading->renamed += before != NULL && before != after;
    return PH_OK;
}

/* Whether the change goes behind those that are gathered, or is the first of a part. */
static bool
begins_part(const struct ph_early *early, const struct ph_apply_table *table)
{
    const struct early_reading *reading = &early->reading;
    uint32_t xid = reading->event.head.xid;

    if (ph_fold_is_full(reading->fold) || !ph_fold_takes(reading->fold, table))
        return true;
    return ph_xid_is_later(xid, reading->newest) &&
           ph_fold_bytes(reading->fold) >= early->applier->params.group_bytes / SUB_SHARE;
}

/* Where the change at hand goes. */
struct early_way {
    struct ph_apply_place *place;
    uint32_t n;
};

/* The next table, the end when out->table is NULL. */
static ph_code
next_table(struct ph_early *early, struct early_way *way, struct ph_routed_table *out,
           struct ph_error *err)
{
    enum ph_epoch_verdict verdict;

    *out = (struct ph_routed_table){0};
    while (way->n > 0 && out->table == NULL) {
        struct ph_apply_place *place = way->place;
        way->place = ph_apply_place_next(place);
        way->n--;
        PH_TRY(ph_applier_table(early->applier, NULL, false, early->reading.event.rel, place,
                                &verdict, out, err));
    }
    return PH_OK;
}

/* All that comes of the change is of one part: going back reads it again whole. */
static ph_code
make_room(struct ph_early *early, struct early_way way, struct ph_error *err)
{
    struct ph_routed_table to;

    for (;;) {
        PH_TRY(next_table(early, &way, &to, err));
        if (to.table == NULL)
            return PH_OK;
        if (begins_part(early, to.table))
            return ph_early_send_part(early, err);
    }
}

/* Rows for the quarantine are none of a part's: such a transaction is applied at its commit. */
static ph_code
add_change(struct ph_early *early, struct early_way way, struct ph_error *err)
{
    struct early_reading *reading = &early->reading;
    struct ph_reshaped reshaped;
    struct ph_routed_table to;

    for (;;) {
        PH_TRY(next_table(early, &way, &to, err));
        if (to.table == NULL)
            break;
        PH_TRY(ph_reshape_change(early->applier->reshape, &to, &reading->event.change,
                                 &reading->notes, &reshaped, err));
        for (uint32_t i = 0; i < reshaped.n; i++)
            PH_TRY(ph_fold_add(reading->fold, to.table, &reshaped.changes[i], err));
    }
    reading->taken++;
    if (ph_xid_is_later(reading->event.head.xid, reading->newest))
        reading->newest = reading->event.head.xid;
    return PH_OK;
}

static ph_code
take_change(struct ph_early *early, struct ph_span message, struct ph_error *err)
{
    struct early_reading *reading = &early->reading;
    const struct ph_stream_event *event = &reading->event;
    struct early_way way;

    PH_TRY(ph_early_decode(early, message, err));
    if (ph_xid_spans_have(&reading->gone, event->head.xid))
        return PH_OK;
    if (event->change.kind == PH_CHANGE_TRUNCATE)
        return PH_FAIL(err, PH_E_UNSUPPORTED, "it truncates a table");
    PH_TRY(ph_applier_places(early->applier, event->rel, &way.place, &way.n, err));
    if (way.n == 0)
        return PH_OK;
    PH_TRY(make_room(early, way, err));
    if (early->xid == 0)
        return PH_OK;
    if (ph_fold_is_empty(reading->fold))
        begin_part(reading);
    return add_change(early, way, err);
}

static ph_code
take_message(struct ph_early *early, const struct ph_spool_item *item, struct ph_error *err)
{
    uint8_t type = item->bytes.len > 0 ? item->bytes.data[0] : 0;

    if (item->kind == PH_SPOOL_SCHEMA)
        return take_definition(early, item->bytes, err);
    switch (type) {
    case 'I':
    case 'U':
    case 'D':
    case 'T':
        return take_change(early, item->bytes, err);
    default: /* where blocks begin and end; logical messages */
        return PH_OK;
    }
}

static bool
is_abort(const struct ph_spool_item *item)
{
    return item->kind != PH_SPOOL_SCHEMA && item->bytes.len > 0 && item->bytes.data[0] == 'A';
}

ph_code
ph_early_read_on(struct ph_early *early, struct ph_spool_place until, struct ph_error *err)
{
    struct early_reading *reading = &early->reading;
    enum ph_spool_fate fate;
    bool more = true;

    PH_TRY(ph_spool_stream_extend(reading->stream, until, &fate, err));
    if (fate == PH_FATE_VOID) {
        ph_early_give_up(early, "it was rolled back");
        return PH_OK;
    }
    while (more && early->xid != 0) {
        struct ph_spool_item item;
        struct ph_error why;
        ph_code rc;
        ph_error_reset(&why);
        PH_TRY(ph_spool_stream_next(reading->stream, &item, &more, err));
        if (more && is_abort(&item))
            rc = take_abort(early, item.bytes, &why);
        else if (reading->back_to_xid != 0)
            rc = go_back(early, &why);
        else
            rc = more ? take_message(early, &item, &why) : PH_OK;
        PH_TRY(ph_early_failure(early, rc, &why, err));
    }
    return PH_OK;
}

/* ---- counting ---- */

static ph_code
is_counted(struct ph_early *early, const struct ph_spool_item *item, bool *is, struct ph_error *err)
{
    struct ph_stream_head head;
    uint32_t n_places;

    *is = false;
    if (item->kind == PH_SPOOL_SCHEMA || item->bytes.len == 0 ||
        strchr("IUD", item->bytes.data[0]) == NULL)
        return PH_OK;
    PH_TRY(ph_pgoutput_peek(item->bytes, PH_INSIDE_BLOCK, &head, err));
    (void)ph_apply_tables_places(&early->applier->tables, head.relid, &n_places);
    *is = n_places > 0 && !ph_xid_set_has(&early->reading.aborted, head.xid);
    return PH_OK;
}

ph_code
ph_early_has_all(struct ph_early *early, struct ph_spool_place until, bool *has_all,
                 struct ph_error *err)
{
    struct ph_spool_stream *stream;
    enum ph_spool_fate fate;
    uint64_t n = 0;
    bool more = true;

    *has_all = false;
    PH_TRY(ph_spool_stream_follow(early->applier->params.spool, early->session, early->xid, &stream,
                                  err));
    if (stream == NULL)
        return PH_OK;
    ph_code rc = ph_spool_stream_extend(stream, until, &fate, err);
    while (rc == PH_OK && more) {
        struct ph_spool_item item;
        bool is = false;
        rc = ph_spool_stream_next(stream, &item, &more, err);
        if (rc == PH_OK && more)
            rc = is_counted(early, &item, &is, err);
        n += is;
    }
    ph_spool_stream_close(stream);
    *has_all = rc == PH_OK && n == early->reading.taken;
    return rc;
}
