/*
 * Folding with changes that no source would send: whatever comes, a group is refused or its
 * statements are whole, and the same when they are made again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "apply/statement.h"

#define COLUMNS 3
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ph_rel rel = {.schema = "s", .name = "t", .kind = PH_REL_TABLE};

/* What the first byte says: how the table is keyed and how its first column compares. */
static void
make_table(uint8_t how, struct ph_apply_column *columns, struct ph_apply_table *table)
{
    static const enum ph_key_kind kinds[] = {PH_KEY_BYTES, PH_KEY_NUMERIC, PH_KEY_FLOAT,
                                             PH_KEY_BPCHAR};
    uint32_t n_keys = how % 3;
    enum ph_key_kind kind = kinds[how / 4 % 4];

    for (uint32_t i = 0; i < COLUMNS; i++)
        columns[i] = (struct ph_apply_column){
            .name = "c",
            .field = COLUMNS - 1 - i,
            .is_key = i < n_keys,
            .key_kind = kind,
            .carry = (how & 16) != 0 ? PH_CARRY_TEXT : PH_CARRY_BINARY,
            .param_sql = "x",
            .open_sql = "",
            .cast_sql = "",
            .equals = "=",
            .type_name = "text",
        };
    *table = (struct ph_apply_table){
        .target = &rel,
        .label = "s.t",
        .target_sql = "t",
        .way = n_keys == 0 ? PH_APPLY_BY_ROW
                           : ((how & 128) != 0 ? PH_APPLY_IN_ORDER : PH_APPLY_BY_KEY),
        .columns = columns,
        .n_columns = COLUMNS,
        .n_keys = n_keys,
        .n_stream_fields = COLUMNS,
        .key_is_bytes = kind == PH_KEY_BYTES || n_keys == 0,
        .may_split_moves = (how & 32) != 0,
        .keeps_identity = (how & 64) != 0,
        .can_copy = true,
        .copies_text = (how & 16) != 0,
        .insert_sql = "i",
        .delete_sql = "d",
        .copy_sql = "c",
    };
}

/* A field: a byte of state and length, then so many bytes. */
static void
take_fields(struct ph_cursor *in, bool as_text, struct ph_field *fields)
{
    for (int i = 0; i < COLUMNS; i++) {
        uint8_t head = 0;
        size_t len;
        fields[i] = (struct ph_field){{NULL, 0}, PH_FIELD_NULL};
        if (!ph_take_u8(in, &head))
            continue;
        len = head >> 3 < ph_cursor_left(in) ? head >> 3 : ph_cursor_left(in);
        if ((head & 7) < 4)
            fields[i].state = as_text ? PH_FIELD_TEXT : PH_FIELD_BINARY;
        else if ((head & 7) < 6)
            fields[i].state = PH_FIELD_UNCHANGED;
        else if (head == 7)
            fields[i].state = as_text ? PH_FIELD_BINARY : PH_FIELD_TEXT;
        if (fields[i].state == PH_FIELD_TEXT || fields[i].state == PH_FIELD_BINARY)
            CHECK(ph_take_span(in, len, &fields[i].bytes));
    }
}

static bool
take_change(struct ph_cursor *in, bool as_text, struct ph_field *new_fields,
            struct ph_field *old_fields, struct ph_change *change)
{
    uint8_t head;

    if (!ph_take_u8(in, &head))
        return false;
    *change = (struct ph_change){
        .kind = (enum ph_change_kind)(head % 3),
        .old_image = (enum ph_old_image)(head / 4 % 3),
        .n_fields = COLUMNS,
    };
    if (change->kind != PH_CHANGE_DELETE) {
        take_fields(in, as_text, new_fields);
        change->new_fields = new_fields;
    }
    if (change->old_image != PH_OLD_NONE) {
        take_fields(in, as_text, old_fields);
        change->old_fields = old_fields;
    }
    return true;
}

static void
check_param(struct ph_span param, uint32_t n_rows)
{
    struct ph_cursor in = ph_cursor_of(param.data, param.len);
    struct ph_span header;
    struct ph_span value;
    uint32_t len;
    bool has_null = false;

    CHECK(ph_take_span(&in, 20, &header));
    CHECK(ph_load_u32(header.data) == 1 && ph_load_u32(header.data + 12) == n_rows);
    for (uint32_t i = 0; i < n_rows; i++) {
        CHECK(ph_take_u32(&in, &len));
        has_null |= len == UINT32_MAX;
        CHECK(len == UINT32_MAX || ph_take_span(&in, len, &value));
    }
    CHECK(ph_cursor_left(&in) == 0 && ph_load_u32(header.data + 4) == has_null);
}

/* Sum of all lengths, to compare two rounds by. */
static size_t
check_statements(struct ph_apply_statements *statements, struct ph_fold *fold)
{
    struct ph_apply_statement statement;
    size_t sum = 0;
    char text[64];

    CHECK(ph_apply_statements_begin(statements, fold, NULL) == PH_OK);
    for (;;) {
        CHECK(ph_apply_statements_next(statements, &statement, NULL) == PH_OK);
        if (statement.kind == PH_APPLY_NONE)
            return sum;
        CHECK(statement.n_rows > 0);
        for (uint32_t i = 0; i < statement.n_params; i++) {
            check_param(statement.params[i], statement.n_rows);
            sum += statement.params[i].len;
        }
        ph_apply_key_text(&statement, statement.n_rows - 1, NULL, text, sizeof text);
        sum += strlen(statement.sql) + statement.data.len;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ph_apply_limits limits = {.rows = 3, .bytes = 100, .copy_rows = 4};
    struct ph_cursor in = ph_cursor_of(data, size);
    struct ph_apply_column columns[COLUMNS];
    struct ph_field fields[2][COLUMNS];
    struct ph_apply_table table;
    struct ph_change change;
    uint8_t how;
    uint8_t mode;

    if (!ph_take_u8(&in, &how) || !ph_take_u8(&in, &mode))
        return 0;
    make_table(how, columns, &table);
    struct ph_fold *fold = ph_fold_new((mode & 1) == 0 ? PH_FOLD_NET : PH_FOLD_REPLAY, 1000);
    struct ph_apply_statements *statements = ph_apply_statements_new(&limits);
    CHECK(fold != NULL && statements != NULL);
    while (take_change(&in, (how & 16) != 0, fields[0], fields[1], &change)) {
        ph_code rc = (mode & 3) == 3 ? ph_fold_overwrite(fold, &table, &change, NULL)
                                     : ph_fold_add(fold, &table, &change, NULL);
        CHECK(rc == PH_OK || rc == PH_E_PROTOCOL);
        if (rc != PH_OK || ((mode & 4) != 0 && ph_fold_is_full(fold)))
            ph_fold_clear(fold);
    }
    CHECK(check_statements(statements, fold) == check_statements(statements, fold));
    ph_apply_statements_free(statements);
    ph_fold_free(fold);
    return 0;
}
