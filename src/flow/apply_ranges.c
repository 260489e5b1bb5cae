/*
 * Changes of a table whose ranges of keys were copied under several epochs (model/epoch_filter.h):
 * what of one is left for the ranges whose copy does not have it. That is at most one change.
 *
 *     row was in   row is in    copies that lack it    becomes
 *     a            a            a                      itself
 *     a            b            both                   itself
 *     a            b            a only                 DELETE of the old row
 *     a            b            b only                 INSERT of the new row
 *
 * Such an INSERT needs the row whole. A large value that the UPDATE did not touch does not come,
 * unless the old row does. To read it from the source was rejected: what is there now may have
 * moved on under another key, and would have to be looked for. The table is copied again instead,
 * whole, which is seldom: only where keys change, between the copies of the two ranges.
 */
#include <stdlib.h>
#include <string.h>

#include "flow/applier_parts.h"

enum { NO_COLUMN = -1 };

static ph_code
is_torn(struct ph_applier *applier, const struct ph_apply_place *place, const char *why,
        struct ph_error *err)
{
    const struct ph_table_plan *table = ph_apply_place_plan(place);
    char label[160];

    applier->params.filter->torn = table->index + 1;
    ph_plan_table_label(table, label, sizeof label);
    PH_FAIL(err, PH_E_TORN, "its parts were copied under several snapshots, and %s", why);
    ph_error_object(err, "%s", label);
    return PH_E_TORN;
}

/* Only of the replica identity an old value is sure to come. */
static int32_t
find_key(const struct ph_stream_rel *rel, const char *column)
{
    for (uint32_t i = 0; i < rel->n_columns; i++) {
        if (strcmp(rel->columns[i].name, column) == 0)
            return rel->columns[i].in_key ? (int32_t)i : NO_COLUMN;
    }
    return NO_COLUMN;
}

/* ---- a row that moves ---- */

/* The new row with what came of the old one. */
static ph_code
fill_in(struct ph_applier *applier, const struct ph_change *change, struct ph_change *out,
        bool *is_whole, struct ph_error *err)
{
    *is_whole = true;
    if (change->n_fields > applier->filled_room) {
        struct ph_field *fields = realloc(applier->filled, change->n_fields * sizeof *fields);
        if (fields == NULL)
            return PH_FAIL(err, PH_E_MEMORY, "out of memory");
        applier->filled = fields;
        applier->filled_room = change->n_fields;
    }
    for (uint32_t i = 0; i < change->n_fields; i++) {
        struct ph_field *field = &applier->filled[i];
        *field = change->new_fields[i];
        if (field->state == PH_FIELD_UNCHANGED && change->old_image == PH_OLD_ROW)
            *field = change->old_fields[i];
        *is_whole &= field->state != PH_FIELD_UNCHANGED && field->state != PH_FIELD_ABSENT;
    }
    out->kind = PH_CHANGE_INSERT;
    out->old_image = PH_OLD_NONE;
    out->old_fields = NULL;
    out->new_fields = applier->filled;
    return PH_OK;
}

static void
make_delete(struct ph_change *out)
{
    out->kind = PH_CHANGE_DELETE;
    out->new_fields = NULL;
}

/* ---- any change ---- */

struct sides { /* of a change: which ranges it is about */
    bool has_old;
    bool has_new;
    uint32_t old;
    uint32_t new;
};

/* false: a key is none. An UPDATE without the old row has left it in its place. */
static bool
find_sides(const struct ph_epoch_ranges *ranges, const struct ph_change *change, int32_t column,
           struct sides *out)
{
    struct ph_range_key key;

    *out = (struct sides){.has_old = change->kind != PH_CHANGE_INSERT,
                          .has_new = change->kind != PH_CHANGE_DELETE};
    if (out->has_new) {
        if (!ph_range_key_read(&ranges->type, &change->new_fields[column], &key))
            return false;
        out->new = ph_epoch_range_of(ranges, &key);
    }
    out->old = out->new;
    if (out->has_old && change->old_image != PH_OLD_NONE) {
        if (!ph_range_key_read(&ranges->type, &change->old_fields[column], &key))
            return false;
        out->old = ph_epoch_range_of(ranges, &key);
    }
    return true;
}

ph_code
ph_applier_sift(struct ph_applier *applier, const struct ph_txn_event *event,
                const struct ph_apply_place *place, struct ph_sifted *out, struct ph_error *err)
{
    const struct ph_epoch_filter *filter = applier->params.filter;
    const struct ph_stream_rel *rel = event->event->rel;
    const struct ph_change *change = &event->event->change;
    const struct ph_epoch_ranges *ranges =
        ph_epoch_filter_ranges(filter, rel->oid, ph_apply_place_plan(place)->index);
    int32_t column = find_key(rel, ranges->column);
    struct sides sides;
    bool is_whole;

    *out = (struct ph_sifted){.made = *change};
    if (column == NO_COLUMN || !find_sides(ranges, change, column, &sides))
        return is_torn(applier, place, "which one a row lies in does not come any more", err);
    bool takes_old = sides.has_old && ph_epoch_filter_decide_in(filter, &event->txn, ranges,
                                                                sides.old) == PH_EPOCH_APPLY;
    bool takes_new = sides.has_new && ph_epoch_filter_decide_in(filter, &event->txn, ranges,
                                                                sides.new) == PH_EPOCH_APPLY;
    if (!takes_old && !takes_new)
        return PH_OK;
    out->change = &out->made;
    if (takes_old == sides.has_old && takes_new == sides.has_new)
        return PH_OK;
    if (takes_old) {
        make_delete(&out->made);
        return PH_OK;
    }
    PH_TRY(fill_in(applier, change, &out->made, &is_whole, err));
    return is_whole
               ? PH_OK
               : is_torn(applier, place,
                         "a row moved from one to another with a value that did not come", err);
}
