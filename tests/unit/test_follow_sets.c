/* Which tables are applied apart: what belongs together stays together, whatever joins it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "job/follow_sets.h"

#include <string.h>

#define TABLES 8u
#define ROOT                                                                                       \
    108u /* a partitioned table that is not in the plan itself, as 109 is no table of it           \
          */
#define BESIDE 109u

static struct ph_rel rels[TABLES + 2];
static struct ph_rel sources[TABLES];
static struct ph_table_plan tables[TABLES];
static struct ph_foreign_key keys[4];
static struct ph_inherits inherits[2];
static struct ph_plan plan;
static struct ph_catalog target;
static struct ph_follow_sets_params params;
static uint32_t worker_of[TABLES];
static uint32_t n_workers;

/* Eight tables of one size, 100 to 107 on the target and 200 to 207 on the source, all apart. */
static int
prepare(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < TABLES + 2; i++)
        rels[i] = (struct ph_rel){.oid = 100 + i, .root_oid = 100 + i};
    for (uint32_t i = 0; i < TABLES; i++) {
        sources[i] = (struct ph_rel){.oid = 200 + i, .root_oid = 200 + i};
        tables[i] = (struct ph_table_plan){
            .index = i, .source = &sources[i], .target = &rels[i], .bytes = 1000};
    }
    plan = (struct ph_plan){.tables = tables, .n_tables = TABLES};
    target = (struct ph_catalog){.rels = rels, .n_rels = TABLES + 2, .foreign_keys = keys};
    params = (struct ph_follow_sets_params){
        .plan = &plan, .target = &target, .inherits = inherits, .most = 64};
    return 0;
}

static void
deal(void)
{
    struct ph_error err;

    ph_error_reset(&err);
    memset(worker_of, 0, sizeof worker_of);
    assert_int_equal(ph_follow_sets_deal(&params, worker_of, &n_workers, &err), PH_OK);
    for (uint32_t i = 0; i < TABLES; i++)
        assert_in_range(worker_of[i], 1, n_workers);
}

static void
all_are_apart_without_a_reason(void **state)
{
    (void)state;
    deal();
    assert_int_equal(n_workers, TABLES);
    for (uint32_t i = 0; i < TABLES; i++)
        for (uint32_t j = 0; j < i; j++)
            assert_int_not_equal(worker_of[i], worker_of[j]);
}

/* Also by way of a table that is not the job's, and from one to the next. */
static void
foreign_keys_join(void **state)
{
    (void)state;
    keys[0] = (struct ph_foreign_key){.rel_oid = 107, .ref_oid = 100};
    keys[1] = (struct ph_foreign_key){.rel_oid = 103, .ref_oid = 107};
    keys[2] = (struct ph_foreign_key){.rel_oid = BESIDE, .ref_oid = 101};
    keys[3] = (struct ph_foreign_key){.rel_oid = BESIDE, .ref_oid = 102};
    target.n_foreign_keys = 4;
    deal();
    assert_int_equal(n_workers, 5);
    assert_int_equal(worker_of[7], worker_of[0]);
    assert_int_equal(worker_of[3], worker_of[0]);
    assert_int_equal(worker_of[1], worker_of[2]);
    assert_int_not_equal(worker_of[0], worker_of[1]);
}

static void
partitions_of_either_side_join(void **state)
{
    (void)state;
    rels[0].is_partition = rels[5].is_partition = true;
    rels[0].root_oid = rels[5].root_oid = ROOT;
    sources[1].root_oid = sources[6].root_oid = 300;
    deal();
    assert_int_equal(n_workers, 6);
    assert_int_equal(worker_of[0], worker_of[5]);
    assert_int_equal(worker_of[1], worker_of[6]);
    /* a key of the root joins what another is joined to */
    keys[0] = (struct ph_foreign_key){.rel_oid = 101, .ref_oid = ROOT};
    target.n_foreign_keys = 1;
    deal();
    assert_int_equal(n_workers, 5);
    assert_int_equal(worker_of[6], worker_of[5]);
}

static void
one_target_and_inheritance_join(void **state)
{
    (void)state;
    tables[2].target = tables[4].target;
    inherits[0] = (struct ph_inherits){.child = 106, .parent = 107};
    inherits[1] = (struct ph_inherits){.child = 999, .parent = 100}; /* unknown here */
    params.n_inherits = 2;
    deal();
    assert_int_equal(n_workers, 6);
    assert_int_equal(worker_of[2], worker_of[4]);
    assert_int_equal(worker_of[6], worker_of[7]);
}

/* The largest first, the others to who has least. */
static void
bytes_are_dealt_evenly(void **state)
{
    (void)state;
    tables[5].bytes = 1 << 30;
    params.most = 3;
    deal();
    assert_int_equal(n_workers, 3);
    uint32_t n[4] = {0};
    for (uint32_t i = 0; i < TABLES; i++)
        n[worker_of[i]]++;
    assert_int_equal(n[worker_of[5]], 1);
    for (uint32_t i = 1; i <= 3; i++)
        assert_true(n[i] >= 1);
    params.most = 1;
    deal();
    assert_int_equal(n_workers, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_are_apart_without_a_reason, prepare),
        cmocka_unit_test_setup(foreign_keys_join, prepare),
        cmocka_unit_test_setup(partitions_of_either_side_join, prepare),
        cmocka_unit_test_setup(one_target_and_inheritance_join, prepare),
        cmocka_unit_test_setup(bytes_are_dealt_evenly, prepare),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
