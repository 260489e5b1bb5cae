/* Random values of every kind of user type, sent under one server's OIDs and under another's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../unit/fake_types.h"
#include "../unit/fake_values.h"
#include "wire/oid_remap.h"

#define TUPLES 4000

static struct fake_types here;
static struct fake_types there;
static struct ph_arena arena;

static const enum user_type columns_used[] = {
    MOOD,      MOODS,     POSINTS,        PAIR,           PAIRS,   PAIRSET,    NEST,
    MOODRANGE, PAIRRANGE, PAIRMULTIRANGE, MOODMULTIRANGE, VECTORS, PAIRRANGES, NESTS};
#define COLUMNS (sizeof columns_used / sizeof columns_used[0])

static const struct ph_oid_remap *
compiled(const struct fake_types *from, const struct fake_types *to)
{
    static struct ph_column columns[2][COLUMNS];
    struct ph_plan_column plan[COLUMNS];
    const struct ph_oid_remap *remap;
    struct ph_error err;

    for (size_t i = 0; i < COLUMNS; i++) {
        columns[0][i].type_oid = fake_oid(from, columns_used[i]);
        columns[1][i].type_oid = fake_oid(to, columns_used[i]);
        plan[i] = (struct ph_plan_column){"a", "b", &columns[0][i], &columns[1][i], false};
    }
    assert_int_equal(
        ph_oid_remap_compile(plan, COLUMNS, &from->catalog, &to->catalog, &arena, &remap, &err),
        PH_OK);
    assert_non_null(remap);
    return remap;
}

static void
put_tuple(struct ph_buf *out, const struct fake_types *types, uint64_t seed)
{
    struct fake_random random = {seed};
    ph_oid oids[COLUMNS];

    for (size_t i = 0; i < COLUMNS; i++)
        oids[i] = fake_oid(types, columns_used[i]);
    ph_buf_clear(out);
    fake_put_tuple(out, &types->catalog, oids, COLUMNS, &random);
    assert_true(ph_buf_ok(out));
}

static void
there_and_back_is_identity(void **context)
{
    struct ph_error err;
    struct ph_buf source;
    struct ph_buf target;
    struct ph_buf bytes;

    (void)context;
    fake_types_init(&here, 16400);
    fake_types_init(&there, 90000);
    ph_arena_init(&arena, 1u << 20);
    ph_buf_init(&source, 1u << 24);
    ph_buf_init(&target, 1u << 24);
    ph_buf_init(&bytes, 1u << 24);
    const struct ph_oid_remap *forth = compiled(&here, &there);
    const struct ph_oid_remap *back = compiled(&there, &here);
    for (uint64_t seed = 0; seed < TUPLES; seed++) {
        put_tuple(&source, &here, seed);
        put_tuple(&target, &there, seed);
        ph_buf_clear(&bytes);
        ph_buf_append(&bytes, source.data, source.len);
        assert_int_equal(ph_oid_remap_apply(forth, bytes.data, bytes.len, &err), PH_OK);
        assert_int_equal(bytes.len, target.len);
        assert_memory_equal(bytes.data, target.data, target.len);
        assert_int_equal(ph_oid_remap_apply(back, bytes.data, bytes.len, &err), PH_OK);
        assert_memory_equal(bytes.data, source.data, source.len);
    }
    ph_buf_free(&source);
    ph_buf_free(&target);
    ph_buf_free(&bytes);
    ph_arena_reset(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back_is_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
