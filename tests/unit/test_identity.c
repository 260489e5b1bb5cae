/* Which replica identities can be used, and the statement that gives a table one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/identity.h"

#define V15 150020
#define V18 180004

static struct ph_column columns[4];
static struct ph_index indexes[3];
static const int16_t key_1[] = {1};
static const int16_t key_2[] = {2};
static const int16_t key_23[] = {2, 3};
static struct ph_rel rel;

static int
begin(void **state)
{
    (void)state;
    for (int16_t i = 0; i < 4; i++)
        columns[i] = (struct ph_column){.name = "c", .attnum = (int16_t)(i + 1), .not_null = true};
    indexes[0] = (struct ph_index){.name = "t_pkey",
                                   .is_unique = true,
                                   .is_primary = true,
                                   .is_valid = true,
                                   .is_immediate = true,
                                   .key_attnums = key_1,
                                   .n_keys = 1};
    indexes[1] = indexes[0];
    indexes[1].is_primary = false;
    indexes[1].name = "wide";
    indexes[1].key_attnums = key_23;
    indexes[1].n_keys = 2;
    indexes[2] = indexes[1];
    indexes[2].name = "Narrow";
    indexes[2].key_attnums = key_2;
    indexes[2].n_keys = 1;
    rel = (struct ph_rel){.schema = "s",
                          .name = "t",
                          .replica_identity = 'd',
                          .columns = columns,
                          .n_columns = 4,
                          .indexes = indexes,
                          .n_indexes = 3};
    return 0;
}

static void
is(int version, enum ph_identity expected)
{
    assert_int_equal(ph_rel_identity(&rel, version, NULL), expected);
    assert_int_equal(ph_identity_reason(expected)[0] == '\0', ph_identity_is_usable(expected));
}

static void
cured(int version, enum ph_identity_cure expected, const char *sql)
{
    struct ph_buf out;

    ph_buf_init(&out, 1024);
    assert_int_equal(ph_rel_identity_cure(&rel, version, PH_NEED_KEY, &out), expected);
    assert_string_equal(ph_buf_text(&out), sql);
    ph_buf_free(&out);
}

static void
usable(void **state)
{
    const struct ph_index *index;

    (void)state;
    is(V15, PH_IDENTITY_KEY);
    ph_rel_identity(&rel, V15, &index);
    assert_ptr_equal(index, &indexes[0]);
    rel.replica_identity = 'f';
    is(V15, PH_IDENTITY_FULL);
    ph_rel_identity(&rel, V15, &index);
    assert_null(index);
    rel.replica_identity = 'i';
    indexes[2].is_identity = true;
    is(V15, PH_IDENTITY_INDEX);
    ph_rel_identity(&rel, V15, &index);
    assert_ptr_equal(index, &indexes[2]);
}

/* TRAPS 4 */
static void
trap_4_none_nothing_lost_deferrable(void **state)
{
    (void)state;
    rel.replica_identity = 'n';
    is(V15, PH_IDENTITY_NOTHING);
    cured(V15, PH_CURE_KEY, "ALTER TABLE ONLY \"s\".\"t\" REPLICA IDENTITY DEFAULT");
    rel.replica_identity = 'i'; /* dropped: no index has the mark */
    is(V15, PH_IDENTITY_LOST_INDEX);
    rel.replica_identity = 'd';
    indexes[0].is_immediate = false;
    is(V15, PH_IDENTITY_DEFERRABLE);
    cured(V15, PH_CURE_INDEX,
          "ALTER TABLE ONLY \"s\".\"t\" REPLICA IDENTITY USING INDEX \"Narrow\"");
    indexes[0].is_primary = false;
    is(V15, PH_IDENTITY_NONE);
    columns[1].not_null = false; /* of both indexes */
    cured(V15, PH_CURE_FULL, "ALTER TABLE ONLY \"s\".\"t\" REPLICA IDENTITY FULL");
    columns[1].not_null = true;
    indexes[2].is_partial = true;
    cured(V15, PH_CURE_INDEX, "ALTER TABLE ONLY \"s\".\"t\" REPLICA IDENTITY USING INDEX \"wide\"");
    indexes[1].is_valid = false;
    cured(V15, PH_CURE_FULL, "ALTER TABLE ONLY \"s\".\"t\" REPLICA IDENTITY FULL");
}

/* TRAPS 5 */
static void
trap_5_generated_columns(void **state)
{
    (void)state;
    columns[0].generated = 's';
    is(V15, PH_IDENTITY_GENERATED);
    cured(V15, PH_CURE_INDEX,
          "ALTER TABLE ONLY \"s\".\"t\" REPLICA IDENTITY USING INDEX \"Narrow\"");
    assert_false(ph_rel_identity_needs_generated(&rel, V15));
    is(V18, PH_IDENTITY_KEY);
    assert_true(ph_rel_identity_needs_generated(&rel, V18));
    columns[0].generated = '\0';
    assert_false(ph_rel_identity_needs_generated(&rel, V18));
    columns[3].generated = 's';
    assert_false(ph_rel_identity_needs_generated(&rel, V18));
    rel.replica_identity = 'f';
    is(V18, PH_IDENTITY_FULL);
    assert_true(ph_rel_identity_needs_generated(&rel, V18));
    columns[3].generated = 'v';
    is(V18, PH_IDENTITY_GENERATED);
    rel.n_indexes = 0;
    cured(V18, PH_CURE_NONE, "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(usable, begin),
        cmocka_unit_test_setup(trap_4_none_nothing_lost_deferrable, begin),
        cmocka_unit_test_setup(trap_5_generated_columns, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
