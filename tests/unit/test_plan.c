/* The statements of a plan, letter by letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/plan.h"

static const struct ph_rel source = {.schema = "Sch\"a", .name = "t", .kind = PH_REL_TABLE};
static const struct ph_rel target = {.schema = "s", .name = "T t", .kind = PH_REL_TABLE};
static const struct ph_rel root = {.schema = "s", .name = "root", .kind = PH_REL_PARTITIONED};
static const struct ph_column id = {.name = "id", .attnum = 1};
static const struct ph_column made = {.name = "ma\"de", .attnum = 2, .generated = 's'};
static const struct ph_plan_column columns[] = {
    {.source_name = "id", .target_name = "Id", .source = &id, .target = &id},
    {.source_name = "ma\"de", .target_name = "x", .source = &made, .target = &id},
};
static const uint16_t key[] = {0};

static void
says(void (*put)(const struct ph_table_plan *, const struct ph_chunk *, struct ph_buf *),
     const struct ph_table_plan *table, const struct ph_chunk *chunk, const char *expected)
{
    struct ph_buf out;

    ph_buf_init(&out, 1 << 20);
    put(table, chunk, &out);
    assert_true(ph_buf_ok(&out));
    assert_string_equal(ph_buf_text(&out), expected);
    ph_buf_free(&out);
}

static void
test_whole(void **state)
{
    struct ph_table_plan table = {
        .source = &source, .target = &target, .columns = columns, .n_columns = 1};
    static const struct ph_chunk whole = {.kind = PH_CHUNK_WHOLE};

    (void)state;
    says(ph_plan_copy_out_sql, &table, &whole,
         "COPY \"Sch\"\"a\".\"t\" (\"id\") TO STDOUT (FORMAT binary)");
    says(ph_plan_copy_in_sql, &table, &whole,
         "COPY \"s\".\"T t\" (\"Id\") FROM STDIN (FORMAT binary)");
    says(ph_plan_read_back_sql, &table, &whole,
         "COPY \"s\".\"T t\" (\"Id\") TO STDOUT (FORMAT binary)");
    table.freeze = true;
    table.format = PH_FORMAT_TEXT;
    says(ph_plan_copy_in_sql, &table, &whole,
         "COPY \"s\".\"T t\" (\"Id\") FROM STDIN (FORMAT text, FREEZE)");
    table.n_columns = 0;
    says(ph_plan_copy_out_sql, &table, &whole, "COPY \"Sch\"\"a\".\"t\" TO STDOUT (FORMAT text)");
}

static void
test_select(void **state)
{
    struct ph_table_plan table = {
        .source = &source, .target = &root, .columns = columns, .n_columns = 2};
    static const struct ph_chunk whole = {.kind = PH_CHUNK_WHOLE};

    (void)state;
    says(ph_plan_copy_out_sql, &table, &whole,
         "COPY (SELECT \"id\", \"ma\"\"de\" FROM ONLY \"Sch\"\"a\".\"t\")"
         " TO STDOUT (FORMAT binary)");
    says(ph_plan_read_back_sql, &table, &whole,
         "COPY (SELECT \"Id\", \"x\" FROM \"s\".\"root\") TO STDOUT (FORMAT binary)");
    table.target = &target;
    table.n_columns = 1;
    table.where[PH_SOURCE] = table.where[PH_TARGET] = "WHERE id > 3";
    says(
        ph_plan_copy_out_sql, &table, &whole,
        "COPY (SELECT \"id\" FROM ONLY \"Sch\"\"a\".\"t\" WHERE id > 3) TO STDOUT (FORMAT binary)");
    says(ph_plan_read_back_sql, &table, &whole,
         "COPY (SELECT \"Id\" FROM ONLY \"s\".\"T t\" WHERE id > 3) TO STDOUT (FORMAT binary)");
}

static void
test_ranges(void **state)
{
    struct ph_table_plan table = {.source = &source,
                                  .target = &target,
                                  .columns = columns,
                                  .n_columns = 1,
                                  .key_fields = key,
                                  .n_key_fields = 1};

    (void)state;
    says(ph_plan_copy_out_sql, &table,
         &(struct ph_chunk){.kind = PH_CHUNK_CTID, .lo = "10", .hi = "20"},
         "COPY (SELECT \"id\" FROM ONLY \"Sch\"\"a\".\"t\" WHERE ctid >= '(10,0)'::tid"
         " AND ctid < '(20,0)'::tid) TO STDOUT (FORMAT binary)");
    says(ph_plan_copy_out_sql, &table, &(struct ph_chunk){.kind = PH_CHUNK_CTID, .hi = "20"},
         "COPY (SELECT \"id\" FROM ONLY \"Sch\"\"a\".\"t\" WHERE ctid < '(20,0)'::tid)"
         " TO STDOUT (FORMAT binary)");
    says(ph_plan_copy_out_sql, &table, &(struct ph_chunk){.kind = PH_CHUNK_KEY, .lo = "o'x"},
         "COPY (SELECT \"id\" FROM ONLY \"Sch\"\"a\".\"t\" WHERE \"id\" >= 'o''x')"
         " TO STDOUT (FORMAT binary)");
}

static void
test_label(void **state)
{
    const struct ph_table_plan table = {.source = &source};
    char label[8];

    (void)state;
    ph_plan_table_label(&table, label, sizeof label);
    assert_string_equal(label, "Sch\"a.t");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_select),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_label),
    };

    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
