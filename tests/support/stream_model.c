#include "support/stream_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "support/scratch.h"
#include "wire/pgoutput.h"

#define KEYS 65536u
#define TABLES_MAX 32u
#define FIELDS_MAX 8u
#define STREAMS_MAX 64u

struct row {
    char *fields[FIELDS_MAX]; /* malloc'ed; "<null>" */
    uint32_t n;
};

struct table {
    ph_oid oid;
    char name[64];
    struct row *rows; /* KEYS of them; n 0: no row */
};

struct kept {
    struct kept *next;
    uint32_t xid;
    uint64_t arrival;
    size_t len;
    uint8_t bytes[];
};

struct stream {
    uint32_t top_xid; /* 0: free */
    struct kept *first;
    struct kept **last;
};

struct model_parts {
    struct ph_pgoutput *in_order;
    struct ph_pgoutput *late;
    uint64_t arrival;
    uint32_t block_of; /* top xid while inside a block */
    struct table tables[TABLES_MAX];
    uint32_t n_tables;
    struct stream streams[STREAMS_MAX];
};

struct stream_model *
stream_model_new(void)
{
    struct stream_model *model = calloc(1, sizeof *model);

    assert_non_null(model);
    model->parts = calloc(1, sizeof *model->parts);
    assert_non_null(model->parts);
    model->parts->in_order = ph_pgoutput_new();
    model->parts->late = ph_pgoutput_new();
    return model;
}

static void
clear_row(struct row *row)
{
    for (uint32_t i = 0; i < row->n; i++)
        free(row->fields[i]);
    *row = (struct row){0};
}

/* Forgets the messages of one (sub)transaction, or of all of them (0). */
static void
drop_kept(struct stream *stream, uint32_t xid)
{
    struct kept **at = &stream->first;

    while (*at != NULL) {
        struct kept *kept = *at;
        if (xid != 0 && kept->xid != xid) {
            at = &kept->next;
            continue;
        }
        *at = kept->next;
        free(kept);
    }
    stream->last = at;
}

static void
end_stream(struct stream *stream)
{
    drop_kept(stream, 0);
    *stream = (struct stream){0};
}

void
stream_model_free(struct stream_model *model)
{
    struct model_parts *parts = model->parts;

    for (uint32_t t = 0; t < parts->n_tables; t++) {
        for (uint32_t k = 0; k < KEYS; k++)
            clear_row(&parts->tables[t].rows[k]);
        free(parts->tables[t].rows);
    }
    for (uint32_t i = 0; i < STREAMS_MAX; i++)
        end_stream(&parts->streams[i]);
    ph_pgoutput_free(parts->in_order);
    ph_pgoutput_free(parts->late);
    free(parts);
    free(model);
}

void
stream_model_session(struct stream_model *model)
{
    for (uint32_t i = 0; i < STREAMS_MAX; i++)
        end_stream(&model->parts->streams[i]);
    model->parts->block_of = 0;
    ph_pgoutput_new_session(model->parts->in_order);
    ph_pgoutput_new_session(model->parts->late);
}

/* ---- rows ---- */

static struct table *
table_of(struct stream_model *model, const struct ph_stream_rel *rel)
{
    struct model_parts *parts = model->parts;

    for (uint32_t i = 0; i < parts->n_tables; i++) {
        if (parts->tables[i].oid == rel->oid)
            return &parts->tables[i];
    }
    assert_true(parts->n_tables < TABLES_MAX);
    struct table *table = &parts->tables[parts->n_tables++];
    table->oid = rel->oid;
    snprintf(table->name, sizeof table->name, "%s", rel->name);
    table->rows = calloc(KEYS, sizeof *table->rows);
    assert_non_null(table->rows);
    return table;
}

static char *
text_of(struct stream_model *model, const struct ph_field *field, ph_oid type)
{
    char number[32];

    switch (field->state) {
    case PH_FIELD_NULL:
        return strdup("<null>");
    case PH_FIELD_BINARY:
        model->binary_fields++;
        if (type == 23 || type == 20) {
            assert_int_equal(field->bytes.len, type == 23 ? 4 : 8);
            snprintf(number, sizeof number, "%" PRId64,
                     type == 23 ? (int32_t)ph_load_u32(field->bytes.data)
                                : (int64_t)ph_load_u64(field->bytes.data));
            return strdup(number);
        }
        return strndup((const char *)field->bytes.data, field->bytes.len);
    case PH_FIELD_TEXT:
        return strndup((const char *)field->bytes.data, field->bytes.len);
    case PH_FIELD_ABSENT:
    case PH_FIELD_UNCHANGED:
        break;
    }
    fail_msg("a field has no value");
    return NULL;
}

static struct row *
row_of(struct stream_model *model, struct table *table, const struct ph_field *key, ph_oid type)
{
    char *text = text_of(model, key, type);
    unsigned long id = strtoul(text, NULL, 10);

    free(text);
    assert_true(id < KEYS);
    return &table->rows[id];
}

static void
put_row(struct stream_model *model, const struct ph_stream_event *event, struct row *from,
        struct row *to)
{
    struct row made = {.n = event->change.n_fields};

    assert_true(made.n <= FIELDS_MAX);
    for (uint32_t i = 0; i < made.n; i++) {
        const struct ph_field *field = &event->change.new_fields[i];
        if (field->state == PH_FIELD_UNCHANGED) {
            model->unchanged_fields++;
            assert_non_null(from);
            assert_true(i < from->n);
            made.fields[i] = strdup(from->fields[i]);
        } else {
            made.fields[i] = text_of(model, field, event->rel->columns[i].type_oid);
        }
    }
    if (from != NULL)
        clear_row(from);
    if (to->n != 0)
        fail_msg("%s: two rows of one key", event->rel->name);
    *to = made;
}

static void
truncate(struct stream_model *model, const struct ph_change *change)
{
    for (uint32_t i = 0; i < change->n_truncated; i++) {
        const struct ph_stream_rel *rel = ph_pgoutput_rel(model->parts->late, change->truncated[i]);
        assert_non_null(rel);
        struct table *table = table_of(model, rel);
        for (uint32_t k = 0; k < KEYS; k++)
            clear_row(&table->rows[k]);
    }
}

static void
apply(struct stream_model *model, const struct ph_stream_event *event)
{
    const struct ph_change *change = &event->change;

    if (change->kind == PH_CHANGE_TRUNCATE) {
        truncate(model, change);
        return;
    }
    ph_oid type = event->rel->columns[0].type_oid;
    struct table *table = table_of(model, event->rel);
    struct row *from = NULL;
    if (change->kind != PH_CHANGE_INSERT) {
        const struct ph_field *key =
            change->old_image != PH_OLD_NONE ? change->old_fields : change->new_fields;
        from = row_of(model, table, key, type);
        if (from->n == 0)
            fail_msg("%s: a change of a row that is not there", table->name);
    }
    if (change->kind == PH_CHANGE_DELETE)
        clear_row(from);
    else
        put_row(model, event, from, row_of(model, table, change->new_fields, type));
}

/* ---- messages ---- */

static struct stream *
stream_of(struct stream_model *model, uint32_t top_xid)
{
    struct stream *free_one = NULL;

    for (uint32_t i = 0; i < STREAMS_MAX; i++) {
        struct stream *stream = &model->parts->streams[i];
        if (stream->top_xid == top_xid)
            return stream;
        if (stream->top_xid == 0)
            free_one = stream;
    }
    assert_non_null(free_one);
    free_one->top_xid = top_xid;
    free_one->last = &free_one->first;
    return free_one;
}

static void
keep(struct stream_model *model, const struct ph_stream_head *head, struct ph_span message)
{
    struct stream *stream = stream_of(model, model->parts->block_of);
    struct kept *kept = malloc(sizeof *kept + message.len);

    assert_non_null(kept);
    *kept = (struct kept){.xid = head->xid, .arrival = model->parts->arrival, .len = message.len};
    memcpy(kept->bytes, message.data, message.len);
    *stream->last = kept;
    stream->last = &kept->next;
}

static void
decode_late(struct stream_model *model, struct ph_span message, uint64_t arrival)
{
    struct ph_stream_event event;
    struct ph_error err;

    if (ph_pgoutput_decode(model->parts->late, message, arrival, &event, &err) != PH_OK)
        fail_msg("late: %s", err.message);
    if (event.head.kind == PH_STREAM_CHANGE)
        apply(model, &event);
    if (event.head.kind == PH_STREAM_MESSAGE)
        snprintf(model->message, sizeof model->message, "%s %.*s", event.prefix,
                 (int)event.content.len, (const char *)event.content.data);
    if (event.head.kind == PH_STREAM_BEGIN)
        model->in_transaction = true;
    if (event.head.kind == PH_STREAM_COMMIT || event.head.kind == PH_STREAM_BLOCK_COMMIT) {
        model->in_transaction = false;
        model->transactions++;
        model->streamed += event.head.kind == PH_STREAM_BLOCK_COMMIT ? 1 : 0;
        model->end_lsn = event.head.end_lsn;
    }
}

static void
put_together(struct stream_model *model, uint32_t top_xid)
{
    struct stream *stream = stream_of(model, top_xid);
    uint8_t block_start[6] = {'S', 0, 0, 0, 0, 1};

    ph_store_u32(block_start + 1, top_xid);
    decode_late(model, (struct ph_span){block_start, sizeof block_start}, 0);
    for (struct kept *kept = stream->first; kept != NULL; kept = kept->next)
        decode_late(model, (struct ph_span){kept->bytes, kept->len}, kept->arrival);
    decode_late(model, (struct ph_span){(const uint8_t *)"E", 1}, 0);
    end_stream(stream);
}

static void
abort_stream(struct stream_model *model, const struct ph_stream_head *head)
{
    struct stream *stream = stream_of(model, head->top_xid);

    model->aborted++;
    if (head->xid == head->top_xid)
        end_stream(stream);
    else
        drop_kept(stream, head->xid);
}

void
stream_model_feed(struct stream_model *model, struct ph_span message)
{
    struct model_parts *parts = model->parts;
    struct ph_stream_event event;
    struct ph_stream_head head;
    struct ph_error err;

    parts->arrival++;
    enum ph_stream_place place = parts->block_of != 0 ? PH_INSIDE_BLOCK : PH_OUTSIDE_BLOCK;
    if (ph_pgoutput_peek(message, place, &head, &err) != PH_OK ||
        ph_pgoutput_decode(parts->in_order, message, parts->arrival, &event, &err) != PH_OK)
        fail_msg("%s", err.message);
    assert_int_equal(head.kind, event.head.kind);
    assert_int_equal(head.xid, event.head.xid);
    assert_int_equal(head.relid, event.head.relid);
    if (head.kind == PH_STREAM_BLOCK_START) {
        model->blocks++;
        parts->block_of = head.top_xid;
        (void)stream_of(model, head.top_xid);
    } else if (head.kind == PH_STREAM_BLOCK_STOP) {
        parts->block_of = 0;
    } else if (head.kind == PH_STREAM_BLOCK_ABORT) {
        abort_stream(model, &head);
    } else if (parts->block_of != 0) {
        keep(model, &head, message);
    } else {
        if (head.kind == PH_STREAM_BLOCK_COMMIT)
            put_together(model, head.top_xid);
        decode_late(model, message, parts->arrival);
    }
}

bool
stream_model_has(const struct stream_model *model, const char *name, uint32_t key)
{
    for (uint32_t t = 0; t < model->parts->n_tables; t++) {
        const struct table *table = &model->parts->tables[t];
        if (strcmp(table->name, name) == 0)
            return table->rows[key].n > 0;
    }
    return false;
}

const char *
stream_model_rows(struct stream_model *model, const char *name)
{
    struct ph_buf out;

    ph_buf_init(&out, (size_t)64 << 20);
    for (uint32_t t = 0; t < model->parts->n_tables; t++) {
        const struct table *table = &model->parts->tables[t];
        if (strcmp(table->name, name) != 0)
            continue;
        for (uint32_t k = 0; k < KEYS; k++) {
            for (uint32_t i = 0; i < table->rows[k].n; i++) {
                ph_buf_puts(&out, i > 0 ? "|" : "");
                ph_buf_puts(&out, table->rows[k].fields[i]);
            }
            ph_buf_puts(&out, table->rows[k].n > 0 ? "\n" : "");
        }
    }
    assert_true(ph_buf_ok(&out));
    char *text = strdup(ph_buf_text(&out));
    ph_buf_free(&out);
    return scratch_keep(text);
}
