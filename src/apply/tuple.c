#include "apply/tuple.h"

#include <string.h>

#include "apply/key.h"
#include "wire/oid_remap.h"

static bool
has_come(const struct ph_field *field)
{
    return field->state != PH_FIELD_UNCHANGED && field->state != PH_FIELD_ABSENT;
}

static const struct ph_field *
pick(const struct ph_apply_column *column, const struct ph_tuple_source *from)
{
    const struct ph_field *field = &from->fields[column->field];

    if (has_come(field) || from->fill == NULL || (!from->fill_all && !column->is_key))
        return field;
    return &from->fill[column->field];
}

/* An upper bound; what a single image can have at most is far below SIZE_MAX. */
static size_t
room_for(const struct ph_apply_table *table, const struct ph_tuple_source *from, uint32_t n)
{
    size_t room = 0;

    for (uint32_t i = 0; i < n; i++) {
        const struct ph_field *field = pick(&table->columns[i], from);
        room += 4;
        if (field->state == PH_FIELD_TEXT || field->state == PH_FIELD_BINARY)
            room += field->bytes.len;
    }
    return room;
}

static ph_code
wrong_form(const struct ph_apply_table *table, const struct ph_apply_column *column,
           struct ph_error *err)
{
    ph_error_set(err, PH_E_PROTOCOL, "column %s came %s", column->name,
                 column->carry == PH_CARRY_TEXT ? "in binary" : "as text");
    ph_error_object(err, "%s", table->label);
    return PH_E_PROTOCOL;
}

static ph_code
put_value(const struct ph_apply_table *table, const struct ph_apply_column *column,
          const struct ph_field *field, uint8_t *at, struct ph_error *err)
{
    bool is_text = field->state == PH_FIELD_TEXT;

    if (is_text != (column->carry == PH_CARRY_TEXT) || field->bytes.len > INT32_MAX)
        return wrong_form(table, column, err);
    ph_store_u32(at, (uint32_t)field->bytes.len);
    if (field->bytes.len > 0)
        memcpy(at + 4, field->bytes.data, field->bytes.len);
    if (!column->needs_remap)
        return PH_OK;
    ph_code rc =
        ph_oid_remap_field(table->remap, column->remap_column, at + 4, field->bytes.len, err);
    if (rc != PH_OK) {
        ph_error_note(err, "column %s", column->name);
        ph_error_object(err, "%s", table->label);
    }
    return rc;
}

ph_code
ph_tuple_put(const struct ph_apply_table *table, const struct ph_tuple_source *from, uint32_t n,
             struct ph_store *store, struct ph_tuple *out, struct ph_error *err)
{
    uint8_t *at = ph_store_room(store, room_for(table, from, n));

    if (at == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a change");
    *out = (struct ph_tuple){.data = at};
    for (uint32_t i = 0; i < n; i++) {
        const struct ph_apply_column *column = &table->columns[i];
        const struct ph_field *field = pick(column, from);
        switch (field->state) {
        case PH_FIELD_NULL:
            ph_store_u32(at, PH_TUPLE_NULL);
            at += 4;
            break;
        case PH_FIELD_ABSENT:
        case PH_FIELD_UNCHANGED:
            ph_store_u32(at, PH_TUPLE_UNCHANGED);
            out->is_partial = true;
            at += 4;
            break;
        case PH_FIELD_TEXT:
        case PH_FIELD_BINARY:
            PH_TRY(put_value(table, column, field, at, err));
            at += 4 + field->bytes.len;
            break;
        }
    }
    out->len = (size_t)(at - out->data);
    return PH_OK;
}

void
ph_tuple_merge(const struct ph_apply_table *table, const struct ph_tuple *newer,
               const struct ph_tuple *earlier, uint8_t *room, struct ph_tuple *out)
{
    uint8_t *at = room;
    const uint8_t *a = newer->data;
    const uint8_t *b = earlier->data;

    *out = (struct ph_tuple){.data = at};
    for (uint32_t i = 0; i < table->n_columns; i++) {
        size_t newer_size = ph_tuple_field_size(a);
        size_t earlier_size = ph_tuple_field_size(b);
        bool has_come = ph_load_u32(a) != PH_TUPLE_UNCHANGED;
        size_t size = has_come ? newer_size : earlier_size;
        memcpy(at, has_come ? a : b, size);
        out->is_partial |= ph_load_u32(at) == PH_TUPLE_UNCHANGED;
        at += size;
        a += newer_size;
        b += earlier_size;
    }
    out->len = (size_t)(at - out->data);
}

ph_code
ph_tuple_key(const struct ph_apply_table *table, const uint8_t *tuple, struct ph_store *store,
             struct ph_span *out, struct ph_error *err)
{
    size_t size = ph_tuple_size(tuple, table->n_keys);
    uint8_t *start = ph_store_room(store, size + PH_KEY_ROOM(0) * (size_t)table->n_keys);
    uint8_t *at = start;

    if (start == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a change");
    for (uint32_t i = 0; i < table->n_keys; i++) {
        uint32_t len = ph_load_u32(tuple);
        if (len >= PH_TUPLE_UNCHANGED) {
            ph_store_u32(at, len);
            at += 4;
        } else {
            at += ph_key_put(&table->columns[i], (struct ph_span){tuple + 4, len}, at);
        }
        tuple += ph_tuple_field_size(tuple);
    }
    *out = (struct ph_span){start, (size_t)(at - start)};
    return PH_OK;
}
