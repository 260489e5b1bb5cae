/* The planner on catalogs made by hand: matching, keys, order, chunks, lots, what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "job/planner.h"

#include <stdio.h>
#include <string.h>

#define MB ((uint64_t)1 << 20)
#define INT4 23u
#define TEXT 25u

/* A catalog with room for a few tables that tests fill. */
struct world {
    struct ph_rel rels[12];
    struct ph_column columns[12][5];
    struct ph_index indexes[12][3];
    struct ph_foreign_key keys[12];
    struct ph_catalog catalog;
};

static struct ph_type types[] = {
    {.oid = INT4, .schema = "pg_catalog", .name = "int4", .kind = 'b', .has_binary = true},
    {.oid = TEXT, .schema = "pg_catalog", .name = "text", .kind = 'b', .has_binary = true},
};
static const int16_t first_column[] = {1};
static const int16_t both_columns[] = {2, 1};

static struct world source;
static struct world target;
static struct ph_arena arena;
static struct ph_plan plan;
static struct ph_error err;

/* Columns id int4 not null and note text. */
static struct ph_rel *
add(struct world *world, const char *name, uint64_t bytes)
{
    uint32_t n = world->catalog.n_rels++;
    struct ph_rel *rel = &world->rels[n];

    world->columns[n][0] =
        (struct ph_column){.name = "id", .attnum = 1, .type_oid = INT4, .not_null = true};
    world->columns[n][1] = (struct ph_column){.name = "note", .attnum = 2, .type_oid = TEXT};
    *rel = (struct ph_rel){
        .oid = 100 + n,
        .root_oid = 100 + n,
        .schema = "public",
        .name = name,
        .kind = PH_REL_TABLE,
        .persistence = 'p',
        .access_method = "heap",
        .can_read = true,
        .pages = bytes / 8192,
        .bytes = bytes,
        .tuples = -1,
        .columns = world->columns[n],
        .n_columns = 2,
        .indexes = world->indexes[n],
    };
    return rel;
}

static struct ph_index *
add_index(struct world *world, const struct ph_rel *rel, uint64_t bytes)
{
    struct ph_rel *at = &world->rels[rel - world->rels];
    struct ph_index *index = &world->indexes[rel - world->rels][at->n_indexes++];

    *index = (struct ph_index){.is_unique = true,
                               .is_valid = true,
                               .is_immediate = true,
                               .bytes = bytes,
                               .key_attnums = first_column,
                               .n_keys = 1};
    return index;
}

static void
refer(struct world *world, const struct ph_rel *from, const struct ph_rel *to)
{
    world->keys[world->catalog.n_foreign_keys++] = (struct ph_foreign_key){
        .name = "fk", .rel_oid = from->oid, .ref_oid = to->oid, .enforced = true};
}

static void
make_partition(struct ph_rel *leaf, const struct ph_rel *parent, const char *bound)
{
    leaf->is_partition = true;
    leaf->parent_oid = parent->oid;
    leaf->root_oid = parent->root_oid;
    leaf->partition_bound = bound;
}

static void
reset_world(struct world *world)
{
    *world = (struct world){.catalog = {.version_num = 150000, .encoding = "UTF8"}};
    world->catalog.rels = world->rels;
    world->catalog.types = types;
    world->catalog.n_types = 2;
    world->catalog.foreign_keys = world->keys;
}

static int
begin(void **state)
{
    (void)state;
    reset_world(&source);
    reset_world(&target);
    ph_arena_init(&arena, 64 * MB);
    ph_error_reset(&err);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    ph_arena_reset(&arena);
    return 0;
}

static ph_code
make(struct ph_planner_params params)
{
    static bool all[12] = {true, true, true, true, true, true, true, true, true, true, true, true};
    struct ph_selection selection = {.whole_database = true, .rels = all};

    params.source = &source.catalog;
    params.selection = &selection;
    if (params.jobs == 0)
        params.jobs = 1;
    if (params.split_bytes == 0)
        params.split_bytes = 1024 * MB;
    return ph_planner_make(&params, &arena, &plan, &err);
}

static void
must_make(struct ph_planner_params params)
{
    if (make(params) != PH_OK)
        fail_msg("%s", err.message);
}

static void
test_order_by_size(void **state)
{
    (void)state;
    add(&source, "small", 1 * MB);
    add(&source, "large", 9 * MB);
    add(&source, "empty", 0);
    must_make((struct ph_planner_params){.freeze = PH_FREEZE_WHERE_SAFE});
    assert_int_equal(plan.n_tables, 3);
    assert_string_equal(plan.tables[0].source->name, "large");
    assert_string_equal(plan.tables[2].source->name, "empty");
    assert_int_equal(plan.tables[2].index, 2);
    assert_int_equal(plan.tables[0].format, PH_FORMAT_BINARY);
    assert_true(plan.tables[0].freeze);
    assert_false(plan.tables[1].freeze);
    assert_int_equal(plan.n_chunks, 3);
    assert_int_equal(plan.n_lots, 2);
    assert_int_equal(plan.chunks[1].lot, 1);
    assert_int_equal(plan.chunks[2].lot, 1);
    assert_true(plan.bytes == 10 * MB);
    assert_int_equal(plan.tables[0].n_key_fields, 0);
}

static void
test_order_by_fk(void **state)
{
    struct ph_rel *child = add(&source, "child", 50 * MB);
    struct ph_rel *parent = add(&source, "parent", 1 * MB);
    struct ph_rel *ring = add(&source, "ring", 2 * MB);
    struct ph_rel *third = add(&source, "third", 2 * MB);

    (void)state;
    refer(&source, child, parent);
    refer(&source, parent, ring);
    refer(&source, ring, parent);
    refer(&source, third, third);
    refer(&source, ring, third);
    must_make((struct ph_planner_params){.order = PH_ORDER_BY_FK});
    assert_string_equal(plan.tables[0].source->name, "third");
    assert_true(plan.tables[0].refers_to_itself);
    assert_string_equal(plan.tables[1].source->name, "ring");
    assert_string_equal(plan.tables[2].source->name, "parent");
    assert_int_equal(plan.tables[1].group, plan.tables[2].group);
    assert_string_equal(plan.tables[3].source->name, "child");
    assert_int_equal(plan.tables[3].level, 2);
    assert_int_equal(plan.n_rings, 1);
    assert_string_equal(plan.rings[0], "public.parent -> public.ring -> public.parent");
    assert_int_equal(plan.chunks[0].lot, 0);
    assert_int_equal(plan.chunks[1].lot, 1);
    assert_int_equal(plan.chunks[2].lot, 1);
    assert_true(plan.tables[0].ordered_by_fk);
    must_make((struct ph_planner_params){.order = PH_ORDER_BY_SIZE});
    assert_string_equal(plan.tables[0].source->name, "child");
    assert_int_equal(plan.tables[0].level, 2);
}

static void
test_blocks(void **state)
{
    struct ph_rel *rel = add(&source, "t", 100 * MB);

    (void)state;
    rel->toast_bytes = 40 * MB;
    rel->pages = 60 * MB / 8192;
    must_make((struct ph_planner_params){.split_bytes = 20 * MB, .freeze = PH_FREEZE_WHERE_SAFE});
    assert_int_equal(plan.n_chunks, 5);
    assert_int_equal(plan.tables[0].n_chunks, 5);
    assert_int_equal(plan.chunks[0].kind, PH_CHUNK_CTID);
    assert_null(plan.chunks[0].lo);
    assert_string_equal(plan.chunks[0].hi, "1536");
    assert_string_equal(plan.chunks[1].lo, "1536");
    assert_null(plan.chunks[4].hi);
    assert_int_equal(plan.chunks[4].number, 4);
    assert_int_equal(plan.n_lots, 5);
    assert_false(plan.tables[0].freeze);
    /* Never below 16 MB, however many jobs. */
    must_make((struct ph_planner_params){.split_bytes = 1024 * MB, .jobs = 64});
    assert_int_equal(plan.n_chunks, 6);
    source.catalog.version_num = 130000;
    must_make((struct ph_planner_params){.split_bytes = 20 * MB});
    assert_int_equal(plan.n_chunks, 1);
    assert_int_equal(plan.chunks[0].kind, PH_CHUNK_WHOLE);
}

static void
test_key_choice(void **state)
{
    struct ph_rel *rel = add(&source, "t", MB);
    struct ph_index *partial = add_index(&source, rel, 1);
    struct ph_index *wide = add_index(&source, rel, 10);
    struct ph_index *narrow = add_index(&source, rel, 10);

    (void)state;
    partial->is_partial = true;
    wide->key_attnums = both_columns;
    wide->n_keys = 2;
    must_make((struct ph_planner_params){.jobs = 1});
    assert_int_equal(plan.tables[0].n_key_fields, 1);
    assert_int_equal(plan.tables[0].key_fields[0], 0);
    narrow->is_immediate = false;
    must_make((struct ph_planner_params){.jobs = 1});
    assert_int_equal(plan.tables[0].n_key_fields, 0); /* note may be NULL */
    source.columns[0][1].not_null = true;
    must_make((struct ph_planner_params){.jobs = 1});
    assert_int_equal(plan.tables[0].n_key_fields, 2);
    assert_int_equal(plan.tables[0].key_fields[0], 0); /* ascending, not in the index's order */
    assert_int_equal(plan.tables[0].key_fields[1], 1);
    narrow->is_primary = true;
    must_make((struct ph_planner_params){.jobs = 1});
    assert_int_equal(plan.tables[0].n_key_fields, 1);
}

static void
test_columns(void **state)
{
    struct ph_rel *theirs;

    (void)state;
    add(&source, "t", MB);
    theirs = add(&target, "t", 0);
    target.columns[0][0] = (struct ph_column){.name = "note", .attnum = 1, .type_oid = TEXT};
    target.columns[0][1] =
        (struct ph_column){.name = "made", .attnum = 2, .type_oid = INT4, .generated = 's'};
    target.columns[0][2] = (struct ph_column){.name = "more", .attnum = 3, .type_oid = INT4};
    target.columns[0][3] = (struct ph_column){.name = "id", .attnum = 4, .type_oid = INT4};
    theirs->n_columns = 4;
    must_make((struct ph_planner_params){.target = &target.catalog});
    assert_int_equal(plan.tables[0].n_columns, 2);
    assert_string_equal(plan.tables[0].columns[0].source_name, "note");
    assert_string_equal(plan.tables[0].columns[1].target_name, "id");
    target.columns[0][2].not_null = true;
    theirs->n_columns = 3;
    assert_int_equal(make((struct ph_planner_params){.target = &target.catalog}), PH_E_TYPES);
    assert_non_null(strstr(err.message, "public.t: column id is missing on the target"));
    assert_non_null(strstr(err.message, "column more is only on the target"));
}

static void
test_missing_table_and_rights(void **state)
{
    struct ph_rel *rel = add(&source, "t", MB);

    (void)state;
    assert_int_equal(make((struct ph_planner_params){.target = &target.catalog}), PH_E_TYPES);
    assert_non_null(strstr(err.message, "public.t"));
    add(&target, "t", 0)->kind = PH_REL_VIEW;
    assert_int_equal(make((struct ph_planner_params){.target = &target.catalog}), PH_E_TYPES);
    rel->rls_hides = true;
    assert_int_equal(make((struct ph_planner_params){.jobs = 1}), PH_E_RLS);
    assert_non_null(strstr(err.message, "public.t"));
    rel->can_read = false;
    assert_int_equal(make((struct ph_planner_params){.jobs = 1}), PH_E_RIGHTS);
}

/* A root with two leaves on the source; the same on the target when asked. */
static void
add_family(struct world *world, const char *key, const char *second_bound)
{
    struct ph_rel *root = add(world, "root", 0);

    root->kind = PH_REL_PARTITIONED;
    root->partition_key = key;
    make_partition(add(world, "leaf_1", 2 * MB), root, "FOR VALUES FROM (1) TO (5)");
    make_partition(add(world, "leaf_2", 3 * MB), root, second_bound);
    add_index(world, root, 0)->is_primary = true;
}

static void
test_same_partitioning(void **state)
{
    (void)state;
    add_family(&source, "RANGE (id)", "DEFAULT");
    add_family(&target, "RANGE (id)", "DEFAULT");
    must_make((struct ph_planner_params){.target = &target.catalog});
    assert_int_equal(plan.n_tables, 2);
    assert_string_equal(plan.tables[0].source->name, "leaf_2");
    assert_string_equal(plan.tables[0].target->name, "leaf_2");
    assert_int_equal(plan.tables[0].n_key_fields, 0);
}

static void
test_other_partitioning(void **state)
{
    (void)state;
    add_family(&source, "RANGE (id)", "DEFAULT");
    add_family(&target, "RANGE (id)", "FOR VALUES FROM (5) TO (9)");
    must_make(
        (struct ph_planner_params){.target = &target.catalog, .freeze = PH_FREEZE_WHERE_SAFE});
    /* one that is routed by the root takes the other along: the root is compared as a whole */
    assert_string_equal(plan.tables[0].target->name, "root");
    assert_string_equal(plan.tables[1].target->name, "root");
    assert_false(plan.tables[0].freeze);
    assert_false(plan.tables[1].freeze);
    target.rels[0].partition_key = "LIST (id)";
    must_make((struct ph_planner_params){.target = &target.catalog});
    assert_ptr_equal(plan.tables[0].target, plan.tables[1].target);
    assert_int_equal(plan.tables[0].n_key_fields, 1);
    assert_int_equal(plan.tables[1].n_key_fields, 1);
    assert_int_equal(plan.tables[0].n_buckets, plan.tables[1].n_buckets);
    source.rels[0].partition_key = target.rels[0].partition_key = "HASH (id)";
    target.rels[2].partition_bound = "DEFAULT";
    snprintf(target.catalog.encoding, sizeof target.catalog.encoding, "LATIN1");
    must_make((struct ph_planner_params){.target = &target.catalog});
    assert_string_equal(plan.tables[0].target->name, "root");
}

/* A leaf and all of its root cannot both be targets; two tables can share the root. */
static void
test_target_within_another(void **state)
{
    (void)state;
    add_family(&source, "RANGE (id)", "DEFAULT");
    add_family(&target, "RANGE (id)", "DEFAULT");
    struct ph_rel *detached = &source.rels[2];
    detached->is_partition = false;
    detached->root_oid = detached->oid;
    assert_int_equal(make((struct ph_planner_params){.jobs = 1, .target = &target.catalog}),
                     PH_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "public.leaf_1: its rows go into public.leaf_1 on the "
                                        "target, which is a part of public.root, where those of "
                                        "public.leaf_2 go"));
    source.rels[1].is_partition = false;
    source.rels[1].root_oid = source.rels[1].oid;
    must_make((struct ph_planner_params){.target = &target.catalog});
    assert_string_equal(plan.tables[0].target->name, "root");
    assert_string_equal(plan.tables[1].target->name, "root");
}

static void
test_unpartitioned_target(void **state)
{
    (void)state;
    add_family(&source, "RANGE (id)", "DEFAULT");
    add(&target, "root", 0);
    must_make((struct ph_planner_params){.target = &target.catalog});
    assert_string_equal(plan.tables[0].target->name, "root");
    assert_string_equal(plan.tables[1].target->name, "root");
}

static void
test_freeze_and_references(void **state)
{
    struct ph_rel *referenced;
    struct ph_rel *other;

    (void)state;
    add(&source, "a", 3 * MB);
    add(&source, "b", 2 * MB);
    referenced = add(&target, "a", 0);
    other = add(&target, "b", 0);
    refer(&target, other, referenced);
    must_make(
        (struct ph_planner_params){.target = &target.catalog, .freeze = PH_FREEZE_WHERE_SAFE});
    assert_false(plan.tables[0].freeze);
    assert_true(plan.tables[1].freeze);
    assert_int_equal(plan.tables[1].level, 1);
}

static void
test_omitted(void **state)
{
    (void)state;
    add(&source, "f", 0)->kind = PH_REL_FOREIGN;
    add(&source, "m", MB)->kind = PH_REL_MATVIEW;
    add(&source, "u", MB)->persistence = 'u';
    add(&source, "v", 0)->kind = PH_REL_VIEW;
    struct ph_rel *config = add(&source, "config", 100 * MB);
    config->is_config = true;
    config->config_where = "WHERE id > 1";
    must_make((struct ph_planner_params){.split_bytes = 20 * MB});
    assert_int_equal(plan.n_tables, 2);
    assert_string_equal(plan.tables[0].where[PH_SOURCE], "WHERE id > 1");
    assert_int_equal(plan.tables[0].n_chunks, 1);
    assert_int_equal(plan.n_omitted, 2);
    assert_string_equal(plan.omitted[0].object, "public.f");
    source.catalog.is_standby = true;
    must_make((struct ph_planner_params){.jobs = 1});
    assert_int_equal(plan.n_omitted, 3);
}

static void
test_many_lots(void **state)
{
    static char names[12][16];

    (void)state;
    for (int i = 0; i < 12; i++) {
        snprintf(names[i], sizeof names[i], "t%d", i);
        add(&source, names[i], 3 * MB);
    }
    must_make((struct ph_planner_params){.jobs = 1});
    assert_int_equal(plan.n_lots, 6);
    assert_int_equal(plan.chunks[11].lot, 5);
    ph_arena_reset(&arena);
    ph_arena_init(&arena, 2000);
    assert_int_equal(make((struct ph_planner_params){.jobs = 1}), PH_E_MEMORY);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_order_by_size),
        TEST(test_order_by_fk),
        TEST(test_blocks),
        TEST(test_key_choice),
        TEST(test_columns),
        TEST(test_missing_table_and_rights),
        TEST(test_same_partitioning),
        TEST(test_other_partitioning),
        TEST(test_target_within_another),
        TEST(test_unpartitioned_target),
        TEST(test_freeze_and_references),
        TEST(test_omitted),
        TEST(test_many_lots),
    };

    return cmocka_run_group_tests_name("planner", tests, NULL, NULL);
}
