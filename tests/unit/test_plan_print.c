/* A plan as text and as JSON, which a strict parser reads back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "job/plan_print.h"

#include <jansson.h>
#include <string.h>

static const struct ph_rel large = {.schema = "public", .name = "lar\"ge", .kind = PH_REL_TABLE};
static const struct ph_rel small = {.schema = "public", .name = "small", .kind = PH_REL_TABLE};
static const struct ph_rel root = {.schema = "public", .name = "root", .kind = PH_REL_PARTITIONED};
static const struct ph_column id = {.name = "id", .attnum = 1};
static const struct ph_plan_column columns[] = {
    {.source_name = "id", .target_name = "id", .source = &id, .target = &id}};
static const uint16_t key[] = {0};
static const char *const rings[] = {"a.a -> b.b -> a.a"};

static struct ph_table_plan tables[] = {
    {.source = &large,
     .target = &large,
     .columns = columns,
     .n_columns = 1,
     .format = PH_FORMAT_BINARY,
     .format_reason = "binary",
     .key_fields = key,
     .n_key_fields = 1,
     .n_chunks = 2,
     .bytes = 3 << 20,
     .rows = 12345},
    {.index = 1,
     .source = &small,
     .target = &root,
     .columns = columns,
     .n_columns = 1,
     .format = PH_FORMAT_TEXT,
     .format_reason = "column id: reg* types name objects by OID",
     .first_chunk = 2,
     .n_chunks = 1,
     .level = 1,
     .refers_to_itself = true,
     .where = {"WHERE x", "WHERE x"}},
};
static struct ph_chunk chunks[] = {
    {.kind = PH_CHUNK_CTID, .hi = "5"}, {.kind = PH_CHUNK_CTID, .lo = "5"}, {.table = 1}};
static struct ph_omitted omitted[] = {{.object = "public.f", .reason = "a foreign table"}};
static const struct ph_plan plan = {
    .tables = tables,
    .n_tables = 2,
    .chunks = chunks,
    .n_chunks = 3,
    .n_lots = 3,
    .omitted = omitted,
    .n_omitted = 1,
    .rings = rings,
    .n_rings = 1,
    .bytes = 3 << 20,
    .rows = 12345,
};

static void
test_text(void **state)
{
    struct ph_buf out;

    (void)state;
    ph_buf_init(&out, 1 << 20);
    ph_plan_print_text(&plan, &out);
    assert_string_equal(
        ph_buf_text(&out),
        "2 tables, about 12,345 rows, 3.0 MB, in 3 chunks and 3 transactions; order: largest "
        "first\n"
        "\n"
        "    #  level  table               size      rows  chunks        format\n"
        "    1      0  public.lar\"ge     3.0 MB     12.3k  2 by blocks   binary\n"
        "    2      1  public.small         0 B         0  1             text    column id: reg* "
        "types name objects by OID; into public.root; no key; refers to itself; WHERE x\n"
        "\n"
        "foreign keys in a ring:\n"
        "  a.a -> b.b -> a.a\n"
        "\n"
        "rows not copied:\n"
        "  public.f: a foreign table\n");
    ph_buf_free(&out);
}

static void
test_json(void **state)
{
    struct ph_buf out;

    (void)state;
    ph_buf_init(&out, 1 << 20);
    ph_plan_print_json(&plan, &out);
    assert_true(ph_buf_ok(&out));
    json_t *json = json_loads(ph_buf_text(&out), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    json_t *first = json_array_get(json_object_get(json, "tables"), 0);
    json_t *second = json_array_get(json_object_get(json, "tables"), 1);
    assert_string_equal(json_string_value(json_object_get(json, "order")), "size");
    assert_string_equal(json_string_value(json_object_get(first, "table")), "public.lar\"ge");
    assert_string_equal(json_string_value(json_object_get(first, "chunk_kind")), "blocks");
    assert_int_equal(json_array_size(json_object_get(first, "key")), 1);
    assert_true(json_is_null(json_object_get(first, "where")));
    assert_true(json_is_false(json_object_get(first, "rewrites_values")));
    assert_string_equal(json_string_value(json_object_get(second, "target")), "public.root");
    assert_true(json_is_true(json_object_get(second, "refers_to_itself")));
    assert_int_equal(json_array_size(json_object_get(json, "omitted")), 1);
    json_decref(json);
    ph_buf_free(&out);
}

static void
test_empty(void **state)
{
    const struct ph_plan nothing = {.n_tables = 0};
    struct ph_buf out;

    (void)state;
    ph_buf_init(&out, 1 << 20);
    ph_plan_print_json(&nothing, &out);
    json_t *json = json_loads(ph_buf_text(&out), 0, NULL);
    assert_non_null(json);
    json_decref(json);
    ph_buf_clear(&out);
    ph_plan_print_text(&nothing, &out);
    assert_non_null(strstr(ph_buf_text(&out), "0 tables"));
    ph_buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_empty),
    };

    return cmocka_run_group_tests_name("plan_print", tests, NULL, NULL);
}
