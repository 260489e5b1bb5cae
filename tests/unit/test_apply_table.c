/* How a table is described: keys, texts, what cannot be done. The texts as servers have taken them.
 */
#include "fake_apply.h"

#include "apply/statement.h"

static struct ph_error err;

static struct fake_apply fake;

static int
forget(void **context)
{
    (void)context;
    fake_apply_free(&fake);
    return 0;
}

static const struct ph_apply_table *
describe(char replica_identity, const struct fake_column *columns)
{
    fake_apply_free(&fake);
    fake_apply_init(&fake, replica_identity, columns);
    return fake_apply_table(&fake);
}

/* TRAPS 91: `character` and `bit` in a cast mean one character, one bit. */
static void
texts_name_types_as_the_catalog_does(void **context)
{
    static const struct fake_column columns[] = {
        {.name = "v", .source_type = 1042},
        {.name = "id", .source_type = 23, .is_key = true},
        {.name = "g\"x", .source_type = 23, .target_type = 20},
        {.name = "made", .source_type = 23, .generated = 's'},
        {.name = NULL},
    };
    const struct ph_apply_table *table = describe('d', columns);

    (void)context;
    assert_int_equal(table->way, PH_APPLY_BY_KEY);
    assert_int_equal(table->n_columns, 3);
    assert_int_equal(table->n_stream_fields, 4);
    assert_string_equal(table->columns[0].name, "id");
    assert_int_equal(table->columns[0].field, 1);
    assert_string_equal(
        table->insert_sql,
        "INSERT INTO \"app\".\"t\" (\"id\", \"v\", \"g\"\"x\") OVERRIDING SYSTEM VALUE SELECT "
        "pg_catalog.unnest($1::\"pg_catalog\".\"_int4\"), "
        "pg_catalog.unnest($2::\"pg_catalog\".\"_bpchar\"), "
        "pg_catalog.unnest($3::\"pg_catalog\".\"_int4\")::\"pg_catalog\".\"text\"::"
        "\"pg_catalog\".\"int8\"");
    assert_string_equal(table->delete_sql,
                        "DELETE FROM ONLY \"app\".\"t\" AS t WHERE t.\"id\" "
                        "OPERATOR(pg_catalog.=) ANY ($1::\"pg_catalog\".\"_int4\")");
    assert_false(table->can_copy);
}

static void
values_as_text_are_cast(void **context)
{
    static const struct fake_column columns[] = {
        {.name = "id", .source_type = 1700, .is_key = true},
        {.name = "j", .source_type = 114},
        {.name = NULL},
    };
    const struct ph_apply_table *table;

    (void)context;
    fake_apply_free(&fake);
    fake_apply_init(&fake, 'd', columns);
    fake.params.stream = PH_FORMAT_TEXT;
    table = fake_apply_table(&fake);
    assert_string_equal(table->delete_sql,
                        "DELETE FROM ONLY \"app\".\"t\" AS t USING (SELECT "
                        "pg_catalog.unnest($1::\"pg_catalog\".\"_text\")::\"pg_catalog\"."
                        "\"numeric\" AS k0) AS u WHERE t.\"id\" OPERATOR(pg_catalog.=) u.k0");
    assert_true(table->can_copy);
    assert_true(table->copies_text);
    assert_string_equal(table->copy_sql, "COPY \"app\".\"t\" (\"id\", \"j\") FROM STDIN");
    assert_false(table->key_is_bytes);
}

static void
keys_of_full_identity_come_from_the_target(void **context)
{
    static const struct fake_column with_key[] = {
        {.name = "a", .source_type = 25},
        {.name = "id", .source_type = 23, .is_key = true},
        {.name = NULL},
    };
    static const struct fake_column without[] = {
        {.name = "a", .source_type = 25, .not_null = true},
        {.name = "j", .source_type = 114},
        {.name = NULL},
    };
    const struct ph_apply_table *table = describe('f', with_key);

    (void)context;
    assert_int_equal(table->n_keys, 1);
    assert_true(table->has_index);
    assert_string_equal(table->columns[0].name, "id");
    fake.index.is_immediate = false;
    assert_int_equal(fake_apply_table(&fake)->n_keys, 0);
    /* Not made yet on the target. */
    struct ph_index of_source = fake.index;
    of_source.is_immediate = true;
    fake.target_rel.n_indexes = 0;
    fake.source_rel.indexes = &of_source;
    fake.source_rel.n_indexes = 1;
    assert_int_equal(fake_apply_table(&fake)->n_keys, 0); /* NULLs on the source */
    fake.source_columns[1].not_null = true;
    assert_int_equal(fake_apply_table(&fake)->n_keys, 1);
    assert_false(fake_apply_table(&fake)->has_index);
    table = describe('f', without);
    assert_int_equal(table->way, PH_APPLY_BY_ROW);
    /* Exact by = where that says it, by text where it does not. */
    assert_non_null(strstr(table->delete_sql,
                           "WHERE x.\"a\" OPERATOR(pg_catalog.=) u.k0 AND "
                           "ROW(x.\"j\")::\"pg_catalog\".\"text\" COLLATE \"pg_catalog\".\"C\" = "
                           "ROW(u.k1)::\"pg_catalog\".\"text\" COLLATE \"pg_catalog\".\"C\""));
}

static void
equality_that_is_not_known_keeps_the_order(void **context)
{
    static const struct fake_column columns[] = {
        {.name = "k", .source_type = 25, .is_key = true},
        {.name = NULL},
    };
    static const struct fake_column mixed[] = {
        {.name = "k", .source_type = 23, .target_type = 1700, .is_key = true},
        {.name = NULL},
    };

    (void)context;
    assert_int_equal(describe('d', columns)->way, PH_APPLY_BY_KEY);
    fake.target_columns[0].nondeterministic = true;
    assert_int_equal(fake_apply_table(&fake)->way, PH_APPLY_IN_ORDER);
    assert_int_equal(describe('d', mixed)->way, PH_APPLY_IN_ORDER);
}

static void
expect(ph_code code, const char *part)
{
    const struct ph_apply_table *table = NULL;

    ph_error_reset(&err);
    assert_int_equal(ph_apply_table_build(&fake.params, &fake.arena, &table, &err), code);
    assert_null(table);
    assert_string_equal(err.object, "app.t");
    if (strstr(err.message, part) == NULL)
        fail_msg("%s", err.message);
}

static void
what_the_plan_does_not_have_is_refused(void **context)
{
    static const struct fake_column columns[] = {
        {.name = "id", .source_type = 23, .is_key = true},
        {.name = "v", .source_type = 25},
        {.name = NULL},
    };
    static const struct fake_column regclass[] = {
        {.name = "id", .source_type = 23, .is_key = true},
        {.name = "r", .source_type = 2205},
        {.name = NULL},
    };
    static const struct fake_column generated[] = {
        {.name = "id", .source_type = 23},
        {.name = "g", .source_type = 23, .is_key = true, .generated = 's'},
        {.name = NULL},
    };

    (void)context;
    describe('d', columns);
    fake.stream_columns[1].name = "w";
    expect(PH_E_TYPES, "column w of the source is not on the target");
    fake.rel.n_columns = 1;
    expect(PH_E_TYPES, "column v is no longer on the source");
    fake.rel.n_columns = 2;
    fake.stream_columns[1].name = "v";
    fake.stream_columns[1].type_oid = 20;
    expect(PH_E_TYPES, "column v has another type");
    fake_apply_free(&fake);
    fake_apply_init(&fake, 'd', regclass);
    expect(PH_E_UNSUPPORTED, "column r cannot come in binary");
    fake.params.stream = PH_FORMAT_TEXT;
    assert_non_null(fake_apply_table(&fake));
    fake_apply_free(&fake);
    fake_apply_init(&fake, 'd', generated);
    expect(PH_E_UNSUPPORTED, "column g of the replica identity is generated");
}

/* TRAPS 90: arrays as values go as elements of a domain's array. */
static void
arrays_need_domains(void **context)
{
    static const struct fake_column columns[] = {
        {.name = "id", .source_type = 23, .is_key = true},
        {.name = "a", .source_type = 1007},
        {.name = "b", .source_type = 1007},
        {.name = NULL},
    };
    const struct ph_plan plan = {.tables = &fake.plan, .n_tables = 1};
    struct ph_buf sql;

    (void)context;
    ph_buf_init(&sql, 10000);
    fake_apply_free(&fake);
    fake_apply_init(&fake, 'd', columns);
    expect(PH_E_LEDGER, "lacks the domain");
    assert_int_equal(
        ph_apply_domains(&plan, &fake.source, &fake.target, PH_FORMAT_BINARY, &sql, &err), PH_OK);
    assert_string_equal(ph_buf_text(&sql),
                        "CREATE DOMAIN \"pghaul\".\"a_int4\" AS \"pg_catalog\".\"_int4\";\n");
    fake.types[fake.target.n_types++] = (struct ph_type){.oid = 20000,
                                                         .schema = "pghaul",
                                                         .name = "a_int4",
                                                         .kind = 'd',
                                                         .base_oid = 1007,
                                                         .typmod = -1,
                                                         .array_oid = 20001};
    fake.types[fake.target.n_types++] = (struct ph_type){
        .oid = 20001, .schema = "pghaul", .name = "_a_int4", .kind = 'b', .elem_oid = 20000};
    const struct ph_apply_table *table = fake_apply_table(&fake);
    assert_int_equal(table->columns[1].element_oid, 20000);
    assert_string_equal(table->columns[1].param_sql, "\"pghaul\".\"_a_int4\"");
    ph_buf_clear(&sql);
    assert_int_equal(
        ph_apply_domains(&plan, &fake.source, &fake.target, PH_FORMAT_BINARY, &sql, &err), PH_OK);
    assert_int_equal(
        ph_apply_domains(&plan, &fake.source, &fake.target, PH_FORMAT_TEXT, &sql, &err), PH_OK);
    assert_int_equal(sql.len, 0);
    assert_int_equal(ph_apply_stream_format(&plan, &fake.source, &fake.target, &err),
                     PH_FORMAT_BINARY);
    ph_buf_free(&sql);
}

/* ---- statements ------------------------------------------------------------------------------ */

struct value {
    uint8_t bytes[8];
    size_t len; /* 0: NULL */
};

static void
add(struct ph_fold *fold, const struct ph_apply_table *table, enum ph_change_kind kind,
    uint32_t key, struct value value)
{
    uint8_t bytes[4];
    const struct ph_field fields[] = {
        {{bytes, 4}, PH_FIELD_BINARY},
        {{value.bytes, value.len}, value.len == 0 ? PH_FIELD_NULL : PH_FIELD_BINARY},
    };
    struct ph_change change = {.kind = kind, .n_fields = 2};

    ph_store_u32(bytes, key);
    if (kind == PH_CHANGE_DELETE) {
        change.old_image = PH_OLD_KEY;
        change.old_fields = fields;
    } else {
        change.new_fields = fields;
    }
    assert_int_equal(ph_fold_add(fold, table, &change, &err), PH_OK);
}

static const struct fake_column two_columns[] = {
    {.name = "id", .source_type = 23, .is_key = true},
    {.name = "v", .source_type = 25},
    {.name = NULL},
};

static void
next(struct ph_apply_statements *statements, struct ph_apply_statement *out)
{
    assert_int_equal(ph_apply_statements_next(statements, out, &err), PH_OK);
}

static void
parameters_are_arrays_in_send_format(void **context)
{
    static const uint8_t keys[] = {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0,
                                   0, 1, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0,  0, 4, 0, 0, 0, 2};
    static const uint8_t values[] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0,   0,   25,   0,    0,    0,
                                     2, 0, 0, 0, 1, 0, 0, 0, 2, 'h', 'i', 0xff, 0xff, 0xff, 0xff};
    const struct ph_apply_table *table = describe('d', two_columns);
    const struct ph_apply_limits limits = {.rows = 2};
    struct ph_apply_statements *statements = ph_apply_statements_new(&limits);
    struct ph_fold *fold = ph_fold_new(PH_FOLD_NET, 1 << 20);
    struct ph_apply_statement statement;

    (void)context;
    add(fold, table, PH_CHANGE_INSERT, 1, (struct value){"hi", 2});
    add(fold, table, PH_CHANGE_INSERT, 2, (struct value){"", 0});
    add(fold, table, PH_CHANGE_INSERT, 3, (struct value){"x", 1});
    add(fold, table, PH_CHANGE_DELETE, 9, (struct value){"", 0});
    assert_int_equal(ph_apply_statements_begin(statements, fold, &err), PH_OK);
    next(statements, &statement);
    assert_int_equal(statement.kind, PH_APPLY_DELETE);
    assert_int_equal(statement.n_params, 1);
    next(statements, &statement);
    assert_int_equal(statement.kind, PH_APPLY_INSERT);
    assert_int_equal(statement.n_rows, 2);
    assert_int_equal(statement.expected_rows, 2);
    assert_int_equal(statement.n_params, 2);
    assert_int_equal(statement.params[0].len, sizeof keys);
    assert_memory_equal(statement.params[0].data, keys, sizeof keys);
    assert_int_equal(statement.params[1].len, sizeof values);
    assert_memory_equal(statement.params[1].data, values, sizeof values);
    char text[40];
    ph_apply_key_text(&statement, 1, NULL, text, sizeof text);
    assert_string_equal(text, "(id=2)");
    next(statements, &statement);
    assert_int_equal(statement.n_rows, 1);
    next(statements, &statement);
    assert_int_equal(statement.kind, PH_APPLY_NONE);
    ph_apply_statements_free(statements);
    ph_fold_free(fold);
}

static void
long_runs_of_inserts_are_copied(void **context)
{
    const struct ph_apply_table *table = describe('d', two_columns);
    const struct ph_apply_limits limits = {.bytes = 64, .copy_rows = 4};
    struct ph_apply_statements *statements = ph_apply_statements_new(&limits);
    struct ph_fold *fold = ph_fold_new(PH_FOLD_NET, 1 << 20);
    struct ph_apply_statement statement;
    uint32_t rows = 0;
    int pieces = 0;

    (void)context;
    for (uint32_t i = 0; i < 9; i++)
        add(fold, table, PH_CHANGE_INSERT, i, (struct value){"abcd", 4});
    assert_int_equal(ph_apply_statements_begin(statements, fold, &err), PH_OK);
    for (next(statements, &statement); statement.kind != PH_APPLY_NONE; pieces++) {
        assert_int_equal(statement.kind, PH_APPLY_COPY);
        assert_int_equal(statement.begins, pieces == 0);
        rows += statement.n_rows;
        assert_int_equal(statement.ends, rows == 9);
        assert_true(statement.data.len < 64 + 25);
        if (statement.begins)
            assert_memory_equal(statement.data.data, "PGCOPY\n\377\r\n", 11);
        if (statement.ends)
            assert_memory_equal(statement.data.data + statement.data.len - 2, "\377\377", 2);
        next(statements, &statement);
    }
    assert_int_equal(rows, 9);
    assert_true(pieces > 2);
    ph_apply_statements_free(statements);
    ph_fold_free(fold);
}

static void
children_go_before_parents_and_come_after(void **context)
{
    static const enum ph_apply_kind kinds[] = {PH_APPLY_DELETE, PH_APPLY_DELETE, PH_APPLY_UPDATE,
                                               PH_APPLY_UPDATE, PH_APPLY_INSERT, PH_APPLY_INSERT};
    static const uint32_t levels[] = {1, 0, 0, 1, 0, 1};
    const struct ph_apply_table *parent = describe('d', two_columns);
    const struct ph_apply_limits limits = {.rows = 0};
    struct ph_apply_statements *statements = ph_apply_statements_new(&limits);
    struct ph_fold *fold = ph_fold_new(PH_FOLD_NET, 100);
    struct ph_apply_statement statement;
    struct ph_apply_table child = *parent;

    (void)context;
    child.index = 40;
    child.level = 1;
    for (int i = 0; i < 2; i++) {
        const struct ph_apply_table *table = i == 0 ? &child : parent;
        add(fold, table, PH_CHANGE_INSERT, 1, (struct value){"a", 1});
        add(fold, table, PH_CHANGE_UPDATE, 2, (struct value){"a", 1});
        add(fold, table, PH_CHANGE_DELETE, 3, (struct value){"a", 1});
    }
    assert_true(ph_fold_is_full(fold));
    child.index = 0;
    assert_false(ph_fold_takes(fold, &child));
    child.index = 40;
    assert_int_equal(ph_apply_statements_begin(statements, fold, &err), PH_OK);
    for (int i = 0; i < 6; i++) {
        next(statements, &statement);
        assert_int_equal(statement.kind, kinds[i]);
        assert_int_equal(statement.table->level, levels[i]);
    }
    next(statements, &statement);
    assert_int_equal(statement.kind, PH_APPLY_NONE);
    ph_fold_clear(fold);
    assert_true(ph_fold_is_empty(fold));
    assert_int_equal(ph_apply_statements_begin(statements, fold, &err), PH_OK);
    next(statements, &statement);
    assert_int_equal(statement.kind, PH_APPLY_NONE);
    ph_apply_statements_free(statements);
    ph_fold_free(fold);
}

static void
truncate_names_all_tables(void **context)
{
    const struct ph_apply_table *table = describe('d', two_columns);
    const struct ph_apply_table *tables[] = {table, table};
    struct ph_buf sql;

    (void)context;
    ph_buf_init(&sql, 1000);
    ph_apply_put_truncate(tables, 2, ", \"app\".\"root\"", true, &sql);
    assert_string_equal(ph_buf_text(&sql),
                        "TRUNCATE ONLY \"app\".\"t\", ONLY \"app\".\"t\", \"app\".\"root\""
                        " RESTART IDENTITY");
    ph_buf_free(&sql);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_name_types_as_the_catalog_does),
        cmocka_unit_test(values_as_text_are_cast),
        cmocka_unit_test(keys_of_full_identity_come_from_the_target),
        cmocka_unit_test(equality_that_is_not_known_keeps_the_order),
        cmocka_unit_test(what_the_plan_does_not_have_is_refused),
        cmocka_unit_test(arrays_need_domains),
        cmocka_unit_test(parameters_are_arrays_in_send_format),
        cmocka_unit_test(long_runs_of_inserts_are_copied),
        cmocka_unit_test(children_go_before_parents_and_come_after),
        cmocka_unit_test(truncate_names_all_tables),
    };

    return cmocka_run_group_tests(tests, NULL, forget);
}
