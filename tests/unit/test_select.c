/* The selection from patterns, against a catalog made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "job/select.h"

#include <stdio.h>
#include <string.h>

static struct ph_rel rels[] = {
    {.oid = 1, .schema = "public", .name = "users", .kind = PH_REL_TABLE},
    {.oid = 2, .schema = "public", .name = "audit_1", .kind = PH_REL_TABLE},
    {.oid = 3, .schema = "public", .name = "metrics", .kind = PH_REL_PARTITIONED},
    {.oid = 4,
     .schema = "parts",
     .name = "metrics_sub",
     .kind = PH_REL_PARTITIONED,
     .is_partition = true,
     .parent_oid = 3},
    {.oid = 5,
     .schema = "parts",
     .name = "metrics_leaf",
     .kind = PH_REL_TABLE,
     .is_partition = true,
     .parent_oid = 4},
    {.oid = 6, .schema = "auth", .name = "Users", .kind = PH_REL_TABLE},
    {.oid = 7, .schema = "public", .name = "users_id_seq", .kind = PH_REL_SEQUENCE},
    {.oid = 8, .schema = "public", .name = "member", .kind = PH_REL_TABLE, .extension = "x"},
    {.oid = 9,
     .schema = "public",
     .name = "config",
     .kind = PH_REL_TABLE,
     .extension = "x",
     .is_config = true,
     .config_where = ""},
    {.oid = 10, .schema = "public", .name = "v", .kind = PH_REL_VIEW},
};
static struct ph_sequence_state sequences[] = {{.oid = 7, .owned_by = 1}};
static const char *const schemas[] = {"auth", "empty", "parts", "public"};
static const struct ph_catalog catalog = {
    .rels = rels,
    .n_rels = sizeof rels / sizeof *rels,
    .sequences = sequences,
    .n_sequences = 1,
    .schemas = schemas,
    .n_schemas = 4,
};

struct lists {
    const char *schemas[3];
    const char *exclude_schemas[3];
    const char *tables[3];
    const char *excludes[3];
};

/* The same in the form of the options, whose strings are not const. */
struct kept_list {
    char texts[3][40];
    char *items[3];
};
struct kept {
    struct kept_list lists[4];
};

static struct ph_string_list
list_of(const char *const *items, struct kept_list *kept)
{
    struct ph_string_list list = {.items = kept->items};

    for (; list.n < 3 && items[list.n] != NULL; list.n++) {
        snprintf(kept->texts[list.n], sizeof kept->texts[0], "%s", items[list.n]);
        kept->items[list.n] = kept->texts[list.n];
    }
    return list;
}

static struct ph_options
options_of(const struct lists *lists, struct kept *kept)
{
    return (struct ph_options){
        .schemas = list_of(lists->schemas, &kept->lists[0]),
        .exclude_schemas = list_of(lists->exclude_schemas, &kept->lists[1]),
        .tables = list_of(lists->tables, &kept->lists[2]),
        .excludes = list_of(lists->excludes, &kept->lists[3]),
    };
}

/* The selected OIDs in order must be `expected`. */
static void
selects(struct lists lists, const char *expected)
{
    struct kept kept;
    struct ph_options options = options_of(&lists, &kept);
    struct ph_arena arena;
    struct ph_selection selection;
    struct ph_error err = {.code = PH_OK};
    char got[100] = "";

    ph_arena_init(&arena, 1 << 20);
    if (ph_select(&catalog, &options, &arena, &selection, &err) != PH_OK)
        fail_msg("%s", err.message);
    for (uint32_t i = 0; i < catalog.n_rels; i++) {
        if (!ph_selection_has(&selection, &catalog, &rels[i]))
            continue;
        size_t len = strlen(got);
        snprintf(got + len, sizeof got - len, " %u", rels[i].oid);
        assert_true(ph_selection_has_oid(&selection, &catalog, rels[i].oid));
    }
    assert_string_equal(got, expected);
    assert_false(ph_selection_has_oid(&selection, &catalog, 77));
    ph_arena_reset(&arena);
}

static void
fails(struct lists lists, const char *naming)
{
    struct kept kept;
    struct ph_options options = options_of(&lists, &kept);
    struct ph_arena arena;
    struct ph_selection selection;
    struct ph_error err = {.code = PH_OK};

    ph_arena_init(&arena, 1 << 20);
    assert_int_equal(ph_select(&catalog, &options, &arena, &selection, &err), PH_E_SELECTION);
    assert_non_null(strstr(err.message, naming));
    ph_arena_reset(&arena);
}

static void
test_in_and_out(void **state)
{
    (void)state;
    selects((struct lists){.schemas = {NULL}}, " 1 2 3 4 5 6 7 9 10");
    selects((struct lists){.schemas = {"auth"}}, " 6");
    selects((struct lists){.exclude_schemas = {"public", "parts"}}, " 6");
    selects((struct lists){.tables = {"users"}}, " 1 7");
    selects((struct lists){.tables = {"\"Users\"", "v"}}, " 6 10");
    selects((struct lists){.schemas = {"auth"}, .tables = {"public.users"}}, " 1 6 7");
    selects((struct lists){.excludes = {"audit_*", "users"}}, " 3 4 5 6 9 10");
    selects((struct lists){.schemas = {"p*"}, .excludes = {"public.*"}, .tables = {"auth.*"}},
            " 6");
}

static void
test_partitions(void **state)
{
    (void)state;
    selects((struct lists){.tables = {"metrics"}}, " 3 4 5");
    selects((struct lists){.tables = {"metrics_leaf"}}, " 5");
    selects((struct lists){.tables = {"users"}, .schemas = {"parts"}}, " 1 4 5 7");
    selects((struct lists){.tables = {"metrics", "users"}, .excludes = {"metrics_leaf"}},
            " 1 3 4 7");
    selects((struct lists){.schemas = {"auth", "parts"}, .excludes = {"metrics"}}, " 6");
}

static void
test_nothing(void **state)
{
    (void)state;
    fails((struct lists){.tables = {"nosuch"}}, "nosuch");
    fails((struct lists){.tables = {"users", "audit_?_*"}}, "audit_?_*");
    fails((struct lists){.schemas = {"nosuch"}}, "--schema nosuch");
    fails((struct lists){.exclude_schemas = {"nosuch"}}, "--exclude-schema nosuch");
    fails((struct lists){.excludes = {"nosuch.*"}}, "--exclude nosuch.*");
    fails((struct lists){.schemas = {"empty"}}, "no table");
    fails((struct lists){.tables = {"v"}}, "no table");
    fails((struct lists){.tables = {"member"}}, "no table");
    fails((struct lists){.tables = {"users"}, .excludes = {"users"}}, "no table");
    fails((struct lists){.tables = {"a.b.c"}}, "a.b.c");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_and_out),
        cmocka_unit_test(test_partitions),
        cmocka_unit_test(test_nothing),
    };

    return cmocka_run_group_tests_name("select", tests, NULL, NULL);
}
