#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pgoutput_bytes.h"
#include "wire/pgoutput.h"

#define EPOCH_US INT64_C(946684800000000)

struct fixture {
    struct ph_pgoutput *decoder;
    struct ph_buf bytes;
    struct ph_stream_event event;
    struct ph_error err;
    uint64_t arrival;
};

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->decoder = ph_pgoutput_new();
    assert_non_null(f->decoder);
    ph_buf_init(&f->bytes, 1 << 20);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;

    ph_pgoutput_free(f->decoder);
    ph_buf_free(&f->bytes);
    free(f);
    return 0;
}

/* Decodes what lies in f->bytes. */
static ph_code
decode_at(struct fixture *f, uint64_t arrival)
{
    assert_true(ph_buf_ok(&f->bytes));
    return ph_pgoutput_decode(f->decoder, (struct ph_span){f->bytes.data, f->bytes.len}, arrival,
                              &f->event, &f->err);
}

static ph_code
decode(struct fixture *f)
{
    return decode_at(f, ++f->arrival);
}

static void
expect(struct fixture *f, enum ph_stream_kind kind)
{
    ph_code rc = decode(f);

    if (rc != PH_OK)
        fail_msg("%s", f->err.message);
    assert_int_equal(f->event.head.kind, kind);
    assert_int_equal(f->event.head.type, f->bytes.data[0]);
}

static void
refuse(struct fixture *f, const char *part)
{
    assert_int_equal(decode(f), PH_E_PROTOCOL);
    assert_int_equal(f->err.code, PH_E_PROTOCOL);
    if (strstr(f->err.message, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", f->err.message, part);
}

static void
begin(struct fixture *f, uint32_t xid)
{
    put_begin(&f->bytes, 0x100, xid);
    expect(f, PH_STREAM_BEGIN);
}

static void
commit(struct fixture *f)
{
    put_commit(&f->bytes, 0x100);
    expect(f, PH_STREAM_COMMIT);
}

static void
open_block(struct fixture *f, uint32_t xid)
{
    put_block_start(&f->bytes, xid, 1);
    expect(f, PH_STREAM_BLOCK_START);
}

static void
close_block(struct fixture *f)
{
    start(&f->bytes, 'E', 0);
    expect(f, PH_STREAM_BLOCK_STOP);
}

static void
relation(struct fixture *f, uint32_t xid, uint32_t oid, uint16_t n)
{
    put_relation(&f->bytes, xid, oid, "t", n);
    expect(f, PH_STREAM_RELATION);
}

static void
put_insert(struct ph_buf *out, uint32_t xid, uint32_t oid, uint16_t n)
{
    static const char *const words[] = {"1", "a", "b", "c"};

    start(out, 'I', xid);
    put_u32(out, oid);
    put_tuple(out, 'N', words, n);
}

static void
assert_field(const struct ph_field *field, enum ph_field_state state, const char *text)
{
    assert_int_equal(field->state, state);
    assert_int_equal(field->bytes.len, strlen(text));
    assert_memory_equal(field->bytes.data == NULL ? (const uint8_t *)"" : field->bytes.data, text,
                        strlen(text));
}

static void
transaction_marks(void **state)
{
    struct fixture *f = *state;

    begin(f, 77);
    assert_int_equal(f->event.head.top_xid, 77);
    assert_int_equal(f->event.head.commit_lsn, 0x100);
    assert_int_equal(f->event.head.time_us, EPOCH_US + 1000000);
    start(&f->bytes, 'O', 0);
    put_u64(&f->bytes, 0x55);
    put_text(&f->bytes, "elsewhere");
    expect(f, PH_STREAM_ORIGIN);
    assert_int_equal(f->event.head.lsn, 0x55);
    assert_int_equal(f->event.head.top_xid, 77);
    assert_string_equal(f->event.name, "elsewhere");
    commit(f);
    assert_int_equal(f->event.head.top_xid, 77);
    assert_int_equal(f->event.head.commit_lsn, 0x100);
    assert_int_equal(f->event.head.end_lsn, 0x108);
    assert_int_equal(f->event.head.time_us, EPOCH_US + 1000000);
    refuse(f, "outside of transactions");
}

static void
relation_says_all(void **state)
{
    struct fixture *f = *state;

    put_relation(&f->bytes, 0, 500, "order\"s", 3);
    expect(f, PH_STREAM_RELATION);
    const struct ph_stream_rel *rel = f->event.rel;
    assert_int_equal(f->event.head.relid, 500);
    assert_int_equal(rel->oid, 500);
    assert_string_equal(rel->schema, "public");
    assert_string_equal(rel->name, "order\"s");
    assert_int_equal(rel->replica_identity, 'd');
    assert_int_equal(rel->n_columns, 3);
    assert_string_equal(rel->columns[0].name, "k");
    assert_true(rel->columns[0].in_key);
    assert_int_equal(rel->columns[0].type_oid, 23);
    assert_int_equal(rel->columns[0].typmod, -1);
    assert_string_equal(rel->columns[2].name, "v2");
    assert_false(rel->columns[2].in_key);
    assert_ptr_equal(ph_pgoutput_rel(f->decoder, 500), rel);
    assert_null(ph_pgoutput_rel(f->decoder, 501));
    assert_null(ph_pgoutput_rel(f->decoder, 0));

    start(&f->bytes, 'R', 0);
    put_u32(&f->bytes, 501);
    put_text(&f->bytes, "");
    put_text(&f->bytes, "pg_thing");
    ph_buf_putc(&f->bytes, 'f');
    put_u16(&f->bytes, 0);
    expect(f, PH_STREAM_RELATION);
    assert_string_equal(f->event.rel->schema, "pg_catalog");

    start(&f->bytes, 'Y', 0);
    put_u32(&f->bytes, 900);
    put_text(&f->bytes, "public");
    put_text(&f->bytes, "mood");
    expect(f, PH_STREAM_TYPE);
    assert_int_equal(f->event.type_oid, 900);
    assert_string_equal(f->event.schema, "public");
    assert_string_equal(f->event.name, "mood");
    f->bytes.data[5] = '\0'; /* schema "" and the type's name "ublic", then too many bytes */
    refuse(f, "longer");
}

/* Equal announcements are one object, others a new one; both go on living. */
static void
relation_versions(void **state)
{
    struct fixture *f = *state;

    relation(f, 0, 500, 2);
    const struct ph_stream_rel *first = f->event.rel;
    relation(f, 0, 500, 3);
    const struct ph_stream_rel *second = f->event.rel;
    assert_ptr_not_equal(first, second);
    assert_ptr_equal(ph_pgoutput_rel(f->decoder, 500), second);
    relation(f, 0, 500, 2);
    assert_ptr_equal(f->event.rel, first);
    assert_int_equal(second->n_columns, 3);
}

static void
inserts_and_updates(void **state)
{
    struct fixture *f = *state;
    const struct ph_change *change = &f->event.change;

    begin(f, 7);
    relation(f, 0, 500, 4);
    start(&f->bytes, 'I', 0);
    put_u32(&f->bytes, 500);
    put_tuple(&f->bytes, 'N', (const char *const[]){"12", "-", "#bin", ""}, 4);
    expect(f, PH_STREAM_CHANGE);
    assert_int_equal(change->kind, PH_CHANGE_INSERT);
    assert_int_equal(change->old_image, PH_OLD_NONE);
    assert_null(change->old_fields);
    assert_int_equal(change->relid, 500);
    assert_int_equal(change->xid, 0);
    assert_int_equal(change->n_fields, 4);
    assert_int_equal(f->event.head.top_xid, 7);
    assert_field(&change->new_fields[0], PH_FIELD_TEXT, "12");
    assert_field(&change->new_fields[1], PH_FIELD_NULL, "");
    assert_field(&change->new_fields[2], PH_FIELD_BINARY, "bin");
    assert_field(&change->new_fields[3], PH_FIELD_TEXT, "");

    start(&f->bytes, 'U', 0);
    put_u32(&f->bytes, 500);
    put_tuple(&f->bytes, 'N', (const char *const[]){"12", "~", "-", "x"}, 4);
    expect(f, PH_STREAM_CHANGE);
    assert_int_equal(change->kind, PH_CHANGE_UPDATE);
    assert_int_equal(change->old_image, PH_OLD_NONE);
    assert_null(change->old_fields);
    assert_field(&change->new_fields[1], PH_FIELD_UNCHANGED, "");
    assert_field(&change->new_fields[2], PH_FIELD_NULL, "");

    start(&f->bytes, 'U', 0);
    put_u32(&f->bytes, 500);
    put_tuple(&f->bytes, 'K', (const char *const[]){"12", "-", "-", "-"}, 4);
    put_tuple(&f->bytes, 'N', (const char *const[]){"13", "-", "-", "x"}, 4);
    expect(f, PH_STREAM_CHANGE);
    assert_int_equal(change->old_image, PH_OLD_KEY);
    assert_field(&change->old_fields[0], PH_FIELD_TEXT, "12");
    assert_field(&change->old_fields[1], PH_FIELD_ABSENT, "");
    assert_field(&change->new_fields[0], PH_FIELD_TEXT, "13");
    assert_field(&change->new_fields[1], PH_FIELD_NULL, "");
}

static void
deletes_and_truncates(void **state)
{
    struct fixture *f = *state;
    const struct ph_change *change = &f->event.change;

    relation(f, 0, 500, 2);
    relation(f, 0, 501, 1);
    begin(f, 7);
    start(&f->bytes, 'D', 0);
    put_u32(&f->bytes, 500);
    put_tuple(&f->bytes, 'O', (const char *const[]){"12", "-"}, 2);
    expect(f, PH_STREAM_CHANGE);
    assert_int_equal(change->kind, PH_CHANGE_DELETE);
    assert_int_equal(change->old_image, PH_OLD_ROW);
    assert_null(change->new_fields);
    assert_field(&change->old_fields[1], PH_FIELD_NULL, "");
    assert_int_equal(f->event.rel->oid, 500);

    for (uint8_t flags = 0; flags < 4; flags++) {
        start(&f->bytes, 'T', 0);
        put_u32(&f->bytes, 2);
        ph_buf_putc(&f->bytes, (char)flags);
        put_u32(&f->bytes, 501);
        put_u32(&f->bytes, 500);
        expect(f, PH_STREAM_CHANGE);
        assert_int_equal(change->kind, PH_CHANGE_TRUNCATE);
        assert_int_equal(change->n_truncated, 2);
        assert_int_equal(change->truncated[0], 501);
        assert_int_equal(change->truncated[1], 500);
        assert_int_equal(change->relid, 501);
        assert_int_equal(f->event.rel->oid, 501);
        assert_int_equal(change->cascade, (flags & 1) != 0);
        assert_int_equal(change->restart_identity, (flags & 2) != 0);
        assert_null(change->new_fields);
        assert_int_equal(change->n_fields, 0);
    }
    f->bytes.data[13] = 9; /* the second table: 0x000901f4 */
    refuse(f, "did not announce");
    start(&f->bytes, 'T', 0);
    put_u32(&f->bytes, UINT32_MAX);
    ph_buf_putc(&f->bytes, '\0');
    put_u32(&f->bytes, 501);
    refuse(f, "ends too early");
}

static void
wrong_rows_are_refused(void **state)
{
    struct fixture *f = *state;

    relation(f, 0, 500, 2);
    begin(f, 7);
    put_insert(&f->bytes, 0, 500, 3);
    refuse(f, "another number of columns");
    assert_string_equal(f->err.object, "public.t");
    put_insert(&f->bytes, 0, 400, 2);
    refuse(f, "table 400");
    put_insert(&f->bytes, 0, 500, 2);
    f->bytes.data[5] = 'K';
    refuse(f, "no new image");
    f->bytes.data[0] = 'D';
    f->bytes.data[5] = 'N';
    refuse(f, "no old image");
    put_insert(&f->bytes, 0, 500, 2);
    f->bytes.data[8] = 'x';
    refuse(f, "damaged");
    f->bytes.data[8] = 't';
    expect(f, PH_STREAM_CHANGE);
    ph_store_u32(f->bytes.data + 9, UINT32_MAX);
    refuse(f, "damaged");
}

static void
wrong_relations_are_refused(void **state)
{
    struct fixture *f = *state;

    put_relation(&f->bytes, 0, 0, "t", 2);
    refuse(f, "no table");
    put_relation(&f->bytes, 0, 500, "t", 2);
    f->bytes.data[14] = 'x';
    refuse(f, "replica identity");
    f->bytes.data[14] = '\0';
    refuse(f, "replica identity");
    put_relation(&f->bytes, 0, 500, "t", 2);
    ph_store_u16(f->bytes.data + 15, 1665);
    refuse(f, "1665 columns");
    ph_store_u16(f->bytes.data + 15, 1600);
    refuse(f, "1600 columns");
    ph_store_u16(f->bytes.data + 15, 1);
    refuse(f, "too early or too late");
    assert_null(ph_pgoutput_rel(f->decoder, 500));
}

static void
put_message(struct ph_buf *out, uint32_t xid, char flags)
{
    start(out, 'M', xid);
    ph_buf_putc(out, flags);
    put_u64(out, 0x777);
    put_text(out, "pghaul");
    put_u32(out, 5);
    ph_buf_append(out, "he\0lo", 5);
}

static void
logical_messages(void **state)
{
    struct fixture *f = *state;

    put_message(&f->bytes, 0, 0);
    expect(f, PH_STREAM_MESSAGE);
    assert_false(f->event.head.transactional);
    assert_int_equal(f->event.head.lsn, 0x777);
    assert_int_equal(f->event.head.top_xid, 0);
    assert_string_equal(f->event.prefix, "pghaul");
    assert_int_equal(f->event.content.len, 5);
    assert_memory_equal(f->event.content.data, "he\0lo", 5);
    put_message(&f->bytes, 0, 1);
    refuse(f, "outside of transactions");
    begin(f, 8);
    put_message(&f->bytes, 0, 1);
    expect(f, PH_STREAM_MESSAGE);
    assert_true(f->event.head.transactional);
    assert_int_equal(f->event.head.top_xid, 8);
    put_message(&f->bytes, 0, 0);
    expect(f, PH_STREAM_MESSAGE);
    assert_int_equal(f->event.head.top_xid, 0);
    commit(f);
    open_block(f, 9);
    put_message(&f->bytes, 10, 1);
    expect(f, PH_STREAM_MESSAGE);
    assert_int_equal(f->event.head.top_xid, 9);
    assert_int_equal(f->event.head.xid, 10);
}

static void
blocks_carry_xids(void **state)
{
    struct fixture *f = *state;

    put_block_start(&f->bytes, 90, 1);
    expect(f, PH_STREAM_BLOCK_START);
    assert_true(f->event.head.first_block);
    assert_int_equal(f->event.head.top_xid, 90);
    start(&f->bytes, 'O', 0);
    put_u64(&f->bytes, 0x55);
    put_text(&f->bytes, "elsewhere");
    expect(f, PH_STREAM_ORIGIN);
    relation(f, 91, 500, 2);
    assert_int_equal(f->event.head.xid, 91);
    put_insert(&f->bytes, 92, 500, 2);
    expect(f, PH_STREAM_CHANGE);
    assert_int_equal(f->event.change.xid, 92);
    assert_int_equal(f->event.head.xid, 92);
    assert_int_equal(f->event.head.top_xid, 90);
    start(&f->bytes, 'T', 92);
    put_u32(&f->bytes, 1);
    ph_buf_putc(&f->bytes, '\0');
    put_u32(&f->bytes, 500);
    expect(f, PH_STREAM_CHANGE);
    assert_int_equal(f->event.change.xid, 92);
    start(&f->bytes, 'Y', 92);
    put_u32(&f->bytes, 900);
    put_text(&f->bytes, "");
    put_text(&f->bytes, "mood");
    expect(f, PH_STREAM_TYPE);
    assert_string_equal(f->event.schema, "pg_catalog");
    close_block(f);
    assert_int_equal(f->event.head.top_xid, 90);
    put_block_start(&f->bytes, 90, 0);
    expect(f, PH_STREAM_BLOCK_START);
    assert_false(f->event.head.first_block);
    close_block(f);
    put_block_commit(&f->bytes, 90, 0x900);
    expect(f, PH_STREAM_BLOCK_COMMIT);
    assert_int_equal(f->event.head.top_xid, 90);
    assert_int_equal(f->event.head.commit_lsn, 0x900);
    assert_int_equal(f->event.head.end_lsn, 0x908);
    assert_int_equal(f->event.head.time_us, EPOCH_US + 1000000);
}

static void
block_aborts(void **state)
{
    struct fixture *f = *state;

    put_block_abort(&f->bytes, 90, 92);
    expect(f, PH_STREAM_BLOCK_ABORT);
    assert_int_equal(f->event.head.top_xid, 90);
    assert_int_equal(f->event.head.xid, 92);
    assert_int_equal(f->event.head.lsn, 0);
    put_u64(&f->bytes, 0xabc);
    put_u64(&f->bytes, 5);
    expect(f, PH_STREAM_BLOCK_ABORT);
    assert_int_equal(f->event.head.lsn, 0xabc);
    assert_int_equal(f->event.head.time_us, EPOCH_US + 5);
    f->bytes.len -= 8;
    refuse(f, "ends too early");
}

/* An announcement inside a streamed transaction is that transaction's own until it commits. */
static void
trap_15_relations_of_streams(void **state)
{
    struct fixture *f = *state;

    relation(f, 0, 500, 2);
    open_block(f, 90);
    assert_null(ph_pgoutput_rel(f->decoder, 500));
    put_insert(&f->bytes, 90, 500, 2);
    refuse(f, "did not announce");
    relation(f, 90, 500, 3);
    put_insert(&f->bytes, 90, 500, 3);
    expect(f, PH_STREAM_CHANGE);
    close_block(f);

    begin(f, 91);
    put_insert(&f->bytes, 0, 500, 2);
    expect(f, PH_STREAM_CHANGE);
    commit(f);
    open_block(f, 95);
    put_insert(&f->bytes, 95, 500, 3);
    refuse(f, "did not announce");
    relation(f, 95, 500, 4);
    relation(f, 95, 502, 1);
    close_block(f);

    put_block_commit(&f->bytes, 90, 0x900);
    expect(f, PH_STREAM_BLOCK_COMMIT);
    begin(f, 92);
    put_insert(&f->bytes, 0, 500, 2);
    refuse(f, "another number of columns");
    put_insert(&f->bytes, 0, 500, 3);
    expect(f, PH_STREAM_CHANGE);
    commit(f);

    put_block_start(&f->bytes, 95, 0);
    expect(f, PH_STREAM_BLOCK_START);
    put_insert(&f->bytes, 95, 500, 4);
    expect(f, PH_STREAM_CHANGE);
    close_block(f);
    put_block_abort(&f->bytes, 95, 95);
    expect(f, PH_STREAM_BLOCK_ABORT);
    assert_int_equal(ph_pgoutput_rel(f->decoder, 500)->n_columns, 3);
    assert_null(ph_pgoutput_rel(f->decoder, 502));
}

/* The server forgets what it announced when a subtransaction aborts, and says it again. */
static void
trap_15_subtransaction_abort(void **state)
{
    struct fixture *f = *state;

    open_block(f, 90);
    relation(f, 91, 500, 3);
    close_block(f);
    put_block_abort(&f->bytes, 90, 91);
    expect(f, PH_STREAM_BLOCK_ABORT);
    put_block_start(&f->bytes, 90, 0);
    expect(f, PH_STREAM_BLOCK_START);
    put_insert(&f->bytes, 90, 500, 3);
    refuse(f, "did not announce");
    relation(f, 90, 500, 2);
    put_insert(&f->bytes, 90, 500, 2);
    expect(f, PH_STREAM_CHANGE);
    close_block(f);
    put_block_commit(&f->bytes, 90, 0x900);
    expect(f, PH_STREAM_BLOCK_COMMIT);
    assert_int_equal(ph_pgoutput_rel(f->decoder, 500)->n_columns, 2);
}

/* Blocks that are put back at the commit do not overrule what the server announced after them. */
static void
trap_15_late_blocks(void **state)
{
    struct fixture *f = *state;

    put_relation(&f->bytes, 0, 500, "t", 3);
    assert_int_equal(decode_at(f, 20), PH_OK);
    open_block(f, 90);
    put_relation(&f->bytes, 90, 500, "t", 2);
    assert_int_equal(decode_at(f, 10), PH_OK);
    put_relation(&f->bytes, 90, 501, "t", 2);
    assert_int_equal(decode_at(f, 11), PH_OK);
    put_insert(&f->bytes, 90, 500, 2);
    expect(f, PH_STREAM_CHANGE);
    close_block(f);
    put_block_commit(&f->bytes, 90, 0x900);
    expect(f, PH_STREAM_BLOCK_COMMIT);
    assert_int_equal(ph_pgoutput_rel(f->decoder, 500)->n_columns, 3);
    assert_int_equal(ph_pgoutput_rel(f->decoder, 501)->n_columns, 2);
}

static void
new_session_forgets(void **state)
{
    struct fixture *f = *state;

    relation(f, 0, 500, 2);
    const struct ph_stream_rel *rel = f->event.rel;
    open_block(f, 90);
    relation(f, 90, 500, 2);
    ph_pgoutput_new_session(f->decoder);
    assert_null(ph_pgoutput_rel(f->decoder, 500));
    begin(f, 91);
    put_insert(&f->bytes, 0, 500, 2);
    refuse(f, "did not announce");
    relation(f, 0, 500, 2);
    assert_ptr_equal(f->event.rel, rel);
    put_insert(&f->bytes, 0, 500, 2);
    expect(f, PH_STREAM_CHANGE);
    ph_pgoutput_new_session(f->decoder);
    open_block(f, 90);
    put_insert(&f->bytes, 90, 500, 2);
    refuse(f, "did not announce");
}

static void
many_tables_and_streams(void **state)
{
    struct fixture *f = *state;

    for (uint32_t i = 1; i <= 500; i++)
        relation(f, 0, i * 8, (uint16_t)(i % 50 + 1));
    for (uint32_t x = 1; x <= 40; x++) {
        open_block(f, x);
        for (uint32_t i = 1; i <= 20; i++)
            relation(f, x, i * 8, (uint16_t)(x + i));
        close_block(f);
    }
    for (uint32_t x = 1; x <= 40; x++) {
        put_block_start(&f->bytes, x, 0);
        expect(f, PH_STREAM_BLOCK_START);
        for (uint32_t i = 1; i <= 20; i++)
            assert_int_equal(ph_pgoutput_rel(f->decoder, i * 8)->n_columns, x + i);
        close_block(f);
        if (x % 2 == 0)
            put_block_commit(&f->bytes, x, 0x900);
        else
            put_block_abort(&f->bytes, x, x);
        expect(f, x % 2 == 0 ? PH_STREAM_BLOCK_COMMIT : PH_STREAM_BLOCK_ABORT);
        for (uint32_t i = 1; i <= 20; i++)
            assert_int_equal(ph_pgoutput_rel(f->decoder, i * 8)->n_columns,
                             x == 1 ? i % 50 + 1 : (x / 2 * 2) + i);
    }
    for (uint32_t i = 21; i <= 500; i++)
        assert_int_equal(ph_pgoutput_rel(f->decoder, i * 8)->n_columns, i % 50 + 1);
}

static void
misplaced_messages(void **state)
{
    struct fixture *f = *state;

    relation(f, 0, 500, 2);
    put_insert(&f->bytes, 0, 500, 2);
    refuse(f, "outside of transactions");
    start(&f->bytes, 'E', 0);
    refuse(f, "outside of transactions");
    put_commit(&f->bytes, 1);
    refuse(f, "outside of transactions");
    start(&f->bytes, 'O', 0);
    put_u64(&f->bytes, 1);
    put_text(&f->bytes, "x");
    refuse(f, "outside of transactions");
    begin(f, 1);
    put_begin(&f->bytes, 1, 2);
    refuse(f, "inside a transaction");
    put_block_start(&f->bytes, 2, 1);
    refuse(f, "inside a transaction");
    start(&f->bytes, 'E', 0);
    refuse(f, "inside a transaction");
    put_block_abort(&f->bytes, 2, 2);
    refuse(f, "inside a transaction");
    commit(f);
    open_block(f, 3);
    put_block_start(&f->bytes, 4, 1);
    refuse(f, "inside a block");
    put_begin(&f->bytes, 1, 4);
    refuse(f, "inside a block");
    put_commit(&f->bytes, 1);
    refuse(f, "inside a block");
    put_block_commit(&f->bytes, 3, 1);
    refuse(f, "inside a block");
    close_block(f);
    put_begin(&f->bytes, 1, 0);
    refuse(f, "no transaction");
    start(&f->bytes, 'S', 0);
    put_u32(&f->bytes, 0);
    ph_buf_putc(&f->bytes, '\1');
    refuse(f, "no transaction");
}

static void
prepared_and_unknown(void **state)
{
    struct fixture *f = *state;

    for (const char *type = "bPKrp"; *type != '\0'; type++) {
        start(&f->bytes, *type, 0);
        refuse(f, "two_phase");
    }
    for (int type = 0; type < 256; type++) {
        start(&f->bytes, (char)type, 0);
        if (type == 0 || strchr("bPKrpBCORYIUDTMSEcA", type) == NULL)
            refuse(f, "unknown message");
    }
    ph_buf_clear(&f->bytes);
    refuse(f, "empty");
}

/* ---- damage: all kinds of messages, made again for every position ---- */

static const char *const row_words[] = {"12", "#abc"};
static const char *const key_words[] = {"12", "-"};

static void
put_sample(struct ph_buf *out, char type, uint32_t xid)
{
    start(out, type, xid);
    put_u32(out, type == 'T' ? 1 : 500);
    if (type == 'T') {
        ph_buf_putc(out, '\3');
        put_u32(out, 500);
    }
    if (type == 'U' || type == 'D')
        put_tuple(out, type == 'U' ? 'K' : 'O', key_words, 2);
    if (type == 'U' || type == 'I')
        put_tuple(out, 'N', row_words, 2);
}

static void
put_any(struct ph_buf *out, char type, uint32_t xid)
{
    switch (type) {
    case 'B':
        put_begin(out, 1, 2);
        break;
    case 'C':
        put_commit(out, 1);
        break;
    case 'R':
        put_relation(out, xid, 500, "t", 2);
        break;
    case 'M':
        put_message(out, xid, 1);
        break;
    case 'S':
        put_block_start(out, 90, 1);
        break;
    case 'c':
        put_block_commit(out, 90, 1);
        break;
    case 'A':
        put_block_abort(out, 90, 91);
        break;
    case 'O':
    case 'Y':
        start(out, type, type == 'O' ? 0 : xid);
        put_u32(out, 1);
        put_text(out, type == 'O' ? "abc" : "s"); /* an LSN of eight bytes ends in the text */
        put_text(out, "name");
        break;
    default:
        put_sample(out, type, xid);
        break;
    }
}

/* A decoder before the message: in a transaction, in a block, or outside, table 500 known. */
static void
prepare(struct fixture *f, char type, uint32_t xid)
{
    ph_pgoutput_free(f->decoder);
    f->decoder = ph_pgoutput_new();
    assert_non_null(f->decoder);
    if (xid != 0)
        open_block(f, 90);
    relation(f, xid, 500, 2);
    if (xid == 0 && strchr("CORYIUDTM", type) != NULL)
        begin(f, 2);
}

static void
damage(struct fixture *f, char type, uint32_t xid)
{
    put_any(&f->bytes, type, xid);
    size_t len = f->bytes.len;
    for (size_t cut = 0; cut < len; cut++) {
        prepare(f, type, xid);
        put_any(&f->bytes, type, xid);
        f->bytes.len = cut;
        refuse(f, "");
        put_any(&f->bytes, type, xid);
        assert_int_equal(decode(f), PH_OK);
    }
    prepare(f, type, xid);
    put_any(&f->bytes, type, xid);
    ph_buf_putc(&f->bytes, 'x');
    refuse(f, "");
    for (size_t at = 0; at < len; at++) {
        for (unsigned flip = 1; flip < 256; flip++) {
            prepare(f, type, xid);
            put_any(&f->bytes, type, xid);
            f->bytes.data[at] ^= (uint8_t)flip;
            ph_code rc = decode(f);
            assert_true(rc == PH_OK || rc == PH_E_PROTOCOL);
        }
    }
}

static void
damaged_anywhere(void **state)
{
    struct fixture *f = *state;

    for (const char *type = "BCORYIUDTMScA"; *type != '\0'; type++)
        damage(f, *type, 0);
    for (const char *type = "RYIUDTM"; *type != '\0'; type++)
        damage(f, *type, 91);
}

/* ---- memory that runs out ---- */

/* Sanitizers have an allocator of their own. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);

static int allocations_left = -1; /* then they fail; below 0: never */

static bool
runs_out(void)
{
    if (allocations_left < 0)
        return false;
    return allocations_left == 0 || allocations_left-- == 0;
}

void *
malloc(size_t size)
{
    return runs_out() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
    return runs_out() ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *old, size_t size)
{
    return runs_out() ? NULL : __libc_realloc(old, size);
}

/* With one allocation after the other failing, the message is refused, and then understood. */
static void
survive(struct fixture *f, enum ph_stream_kind kind)
{
    ph_code rc;
    int n = 0;

    do {
        allocations_left = n++;
        rc = ph_pgoutput_decode(f->decoder, (struct ph_span){f->bytes.data, f->bytes.len}, 1,
                                &f->event, &f->err);
        allocations_left = -1;
        assert_true(rc == PH_OK || rc == PH_E_MEMORY);
    } while (rc != PH_OK);
    assert_true(n > 1);
    assert_int_equal(f->event.head.kind, kind);
}

static void
out_of_memory(void **state)
{
    struct fixture *f = *state;

    allocations_left = 0;
    assert_null(ph_pgoutput_new());
    allocations_left = -1;
    for (uint32_t i = 1; i <= 32; i++)
        relation(f, 0, i, 1);
    put_relation(&f->bytes, 0, 500, "t", 3); /* more tables than there is room for */
    survive(f, PH_STREAM_RELATION);
    open_block(f, 90);
    put_relation(&f->bytes, 90, 500, "t", 4);
    survive(f, PH_STREAM_RELATION);
    put_insert(&f->bytes, 90, 500, 4);
    survive(f, PH_STREAM_CHANGE);
    put_sample(&f->bytes, 'T', 90);
    survive(f, PH_STREAM_CHANGE);
}
#endif

/* Peek says what decode says, and needs nothing but the place. */
static void
peek_agrees(void **state)
{
    struct fixture *f = *state;
    struct ph_stream_head head;

    for (int inside = 0; inside < 2; inside++) {
        uint32_t xid = inside == 0 ? 0 : 91;
        enum ph_stream_place place = inside == 0 ? PH_OUTSIDE_BLOCK : PH_INSIDE_BLOCK;
        for (const char *type = inside == 0 ? "BCORYIUDTMScA" : "RYIUDTM"; *type != '\0'; type++) {
            prepare(f, *type, xid);
            put_any(&f->bytes, *type, xid);
            struct ph_span message = {f->bytes.data, f->bytes.len};
            assert_int_equal(ph_pgoutput_peek(message, place, &head, &f->err), PH_OK);
            assert_int_equal(decode(f), PH_OK);
            assert_int_equal(head.kind, f->event.head.kind);
            assert_int_equal(head.type, *type);
            assert_int_equal(head.xid, *type == 'A' ? 91 : xid);
            assert_int_equal(head.relid, f->event.head.relid);
            assert_int_equal(head.commit_lsn, f->event.head.commit_lsn);
            assert_int_equal(head.end_lsn, f->event.head.end_lsn);
            assert_int_equal(head.lsn, f->event.head.lsn);
            assert_int_equal(head.time_us, f->event.head.time_us);
            assert_int_equal(head.top_xid,
                             strchr("BScA", *type) != NULL ? f->event.head.top_xid : 0);
        }
    }
    start(&f->bytes, 'E', 0);
    assert_int_equal(
        ph_pgoutput_peek((struct ph_span){f->bytes.data, 1}, PH_INSIDE_BLOCK, &head, &f->err),
        PH_OK);
    assert_int_equal(head.kind, PH_STREAM_BLOCK_STOP);
    assert_int_equal(ph_pgoutput_peek((struct ph_span){NULL, 0}, PH_INSIDE_BLOCK, &head, &f->err),
                     PH_E_PROTOCOL);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(transaction_marks),
        CASE(relation_says_all),
        CASE(relation_versions),
        CASE(inserts_and_updates),
        CASE(deletes_and_truncates),
        CASE(wrong_rows_are_refused),
        CASE(wrong_relations_are_refused),
        CASE(logical_messages),
        CASE(blocks_carry_xids),
        CASE(block_aborts),
        CASE(trap_15_relations_of_streams),
        CASE(trap_15_subtransaction_abort),
        CASE(trap_15_late_blocks),
        CASE(new_session_forgets),
        CASE(many_tables_and_streams),
        CASE(misplaced_messages),
        CASE(prepared_and_unknown),
        CASE(damaged_anywhere),
        CASE(peek_agrees),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        CASE(out_of_memory),
#endif
    };
#undef CASE
    ph_pgoutput_free(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
