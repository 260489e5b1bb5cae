#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "fake_types.h"
#include "fake_values.h"
#include "wire/oid_remap.h"

static struct fake_types here;
static struct fake_types there;
static struct ph_arena arena;
static struct ph_error err;

static int
make_catalogs(void **context)
{
    (void)context;
    fake_types_init(&here, 16400);
    fake_types_init(&there, 90000);
    ph_arena_init(&arena, 1u << 20);
    return 0;
}

static int
drop_catalogs(void **context)
{
    (void)context;
    ph_arena_reset(&arena);
    return 0;
}

/* A program for one column, of one user type. */
static ph_code
compile_oids(ph_oid source, ph_oid target, const struct ph_oid_remap **out)
{
    struct ph_column a = {.name = "a", .type_oid = source};
    struct ph_column b = {.name = "b", .type_oid = target};
    struct ph_plan_column column = {"a", "b", &a, &b, false};

    return ph_oid_remap_compile(&column, 1, &here.catalog, &there.catalog, &arena, out, &err);
}

static const struct ph_oid_remap *
compiled(enum user_type which)
{
    const struct ph_oid_remap *remap;

    assert_int_equal(compile_oids(fake_oid(&here, which), fake_oid(&there, which), &remap), PH_OK);
    return remap;
}

static void
nothing_to_rewrite_is_no_program(void **context)
{
    (void)context;
    assert_null(compiled(MOOD));
    assert_null(compiled(POSINT));
    assert_null(compiled(MOODRANGE));
    assert_null(compiled(MOODMULTIRANGE));
    assert_null(compiled(PLAIN));
    assert_non_null(compiled(MOODS));
    assert_non_null(compiled(PAIRRANGE));
}

static void
types_that_differ_are_refused(void **context)
{
    const struct ph_oid_remap *remap;

    (void)context;
    assert_int_equal(compile_oids(1007, INT4, &remap), PH_E_INTERNAL);
    assert_int_equal(compile_oids(INT4, INT4RANGE, &remap), PH_E_INTERNAL);
    assert_int_equal(compile_oids(INT4, 555555, &remap), PH_E_INTERNAL);
    assert_int_equal(compile_oids(fake_oid(&here, ENDLESS), fake_oid(&there, ENDLESS), &remap),
                     PH_E_INTERNAL);
    assert_int_equal(compile_oids(fake_oid(&here, PAIR), fake_oid(&there, PLAIN), &remap),
                     PH_E_INTERNAL);
    assert_string_equal(err.notes, "column a");
}

static void
no_memory_is_reported(void **context)
{
    const struct ph_oid_remap *remap;
    unsigned failures = 0;

    (void)context;
    /* A little more room each time: every allocation fails once. */
    for (size_t room = 0; room < 4000; room += 16) {
        ph_arena_reset(&arena);
        ph_arena_init(&arena, room);
        ph_code rc = compile_oids(fake_oid(&here, NESTS), fake_oid(&there, NESTS), &remap);
        assert_true(rc == PH_OK || rc == PH_E_MEMORY);
        failures += rc != PH_OK;
    }
    assert_true(failures > 3);
}

/* {(3,ok,x)} of pair[], OIDs of `oids`. */
static void
put_pairs(struct ph_buf *out, const struct fake_types *oids)
{
    ph_copy_binary_put_count(out, 1);
    fake_put_u32(out, 20 + 4 + 4 + 12 + 10 + 9);
    fake_put_u32(out, 1);
    fake_put_u32(out, 0);
    fake_put_u32(out, fake_oid(oids, PAIR));
    fake_put_u32(out, 1);
    fake_put_u32(out, 1);
    fake_put_u32(out, 4 + 12 + 10 + 9);
    fake_put_u32(out, 3);
    fake_put_u32(out, fake_oid(oids, POSINT));
    fake_put_u32(out, 4);
    fake_put_u32(out, 3);
    fake_put_u32(out, fake_oid(oids, MOOD));
    fake_put_u32(out, 2);
    ph_buf_puts(out, "ok");
    fake_put_u32(out, TEXT);
    fake_put_u32(out, 1);
    ph_buf_puts(out, "x");
}

static void
oids_are_rewritten_where_they_stand(void **context)
{
    const struct ph_oid_remap *remap = compiled(PAIRS);
    struct ph_buf source;
    struct ph_buf target;
    struct ph_buf again;

    (void)context;
    ph_buf_init(&source, 1000);
    ph_buf_init(&target, 1000);
    ph_buf_init(&again, 1000);
    put_pairs(&source, &here);
    put_pairs(&target, &there);
    assert_false(ph_oid_remap_needs(NULL, 0));
    assert_int_equal(ph_oid_remap_apply(remap, source.data, source.len, &err), PH_OK);
    assert_memory_equal(source.data, target.data, target.len);
    put_pairs(&again, &here);
    assert_true(ph_oid_remap_needs(remap, 0));
    assert_int_equal(ph_oid_remap_field(remap, 0, again.data + 6, again.len - 6, &err), PH_OK);
    assert_memory_equal(again.data, target.data, target.len);
    /* Once more: these OIDs are not the source's. */
    assert_int_equal(ph_oid_remap_field(remap, 0, again.data + 6, again.len - 6, &err),
                     PH_E_PROTOCOL);
    assert_int_equal(ph_oid_remap_apply(remap, source.data, source.len, &err), PH_E_PROTOCOL);
    ph_buf_free(&source);
    ph_buf_free(&target);
    ph_buf_free(&again);
}

/* {1,NULL} or {1,2} of int4[], as `flags` has it. */
static void
put_numbers(struct ph_buf *out, uint32_t flags, bool has_null)
{
    ph_copy_binary_put_count(out, 1);
    fake_put_u32(out, has_null ? 20 + 8 + 4 : 20 + 8 + 8);
    fake_put_u32(out, 1);
    fake_put_u32(out, flags);
    fake_put_u32(out, INT4);
    fake_put_u32(out, 2);
    fake_put_u32(out, 1);
    fake_put_u32(out, 4);
    fake_put_u32(out, 1);
    fake_put_u32(out, has_null ? UINT32_MAX : 4);
    if (!has_null)
        fake_put_u32(out, 2);
}

/* The target says of what it has received whether there are NULLs, not whether there were. */
static void
former_nulls_are_forgotten(void **context)
{
    static const struct {
        uint32_t flags;
        bool has_null;
        uint32_t wanted;
    } cases[] = {{1, true, 1}, {1, false, 0}, {0, false, 0}};
    const struct ph_oid_remap *remap;
    struct ph_buf row;

    (void)context;
    assert_int_equal(compile_oids(1007, 1007, &remap), PH_OK);
    ph_buf_init(&row, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ph_buf_clear(&row);
        put_numbers(&row, cases[i].flags, cases[i].has_null);
        assert_int_equal(ph_oid_remap_apply(remap, row.data, row.len, &err), PH_OK);
        assert_int_equal(ph_load_u32(row.data + 10), cases[i].wanted);
    }
    ph_buf_clear(&row);
    put_numbers(&row, 1, false);
    assert_int_equal(ph_oid_remap_field(remap, 0, row.data + 6, row.len - 7, &err), PH_E_PROTOCOL);
    ph_buf_free(&row);
}

/* What comes out when one byte of a good tuple is another, or the tuple ends early. */
static void
broken_values_are_refused(void **context)
{
    const struct ph_oid_remap *remap = compiled(PAIRS);
    struct ph_buf good;
    uint8_t bytes[100];

    (void)context;
    ph_buf_init(&good, 1000);
    put_pairs(&good, &here);
    for (size_t len = 0; len < good.len; len++) {
        memcpy(bytes, good.data, good.len);
        assert_int_equal(ph_oid_remap_apply(remap, bytes, len, &err), PH_E_PROTOCOL);
    }
    memcpy(bytes, good.data, good.len);
    assert_int_equal(ph_oid_remap_apply(remap, bytes, good.len + 1, &err), PH_E_PROTOCOL);
    static const struct {
        size_t at;
        uint8_t byte;
    } wrong[] = {
        {0, 9},    {1, 2},    /* field count */
        {2, 255},  {5, 80},   /* field length */
        {9, 7},               /* dimensions */
        {9, 2},               /* more dimensions than there are bytes for */
        {17, 0},              /* element type */
        {18, 255}, {21, 2},   /* array length */
        {29, 34},  {29, 200}, /* element length */
        {33, 2},              /* attributes */
        {37, 0},   {49, 0},   /* their types */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        memcpy(bytes, good.data, good.len);
        bytes[wrong[i].at] = wrong[i].byte;
        assert_int_equal(ph_oid_remap_apply(remap, bytes, good.len, &err), PH_E_PROTOCOL);
    }
    ph_buf_free(&good);
}

static void
broken_ranges_are_refused(void **context)
{
    static const uint8_t empty[] = {0, 1, 0, 0, 0, 1, 0x01};
    static const uint8_t no_flags[] = {0, 1, 0, 0, 0, 0};
    static const uint8_t no_bound[] = {0, 1, 0, 0, 0, 1, 0x10};
    static const uint8_t no_ranges[] = {0, 1, 0, 0, 0, 4, 0, 0, 0, 0};
    static const uint8_t many_ranges[] = {0, 1, 0, 0, 0, 4, 0xff, 0, 0, 0};
    const struct ph_oid_remap *range = compiled(PAIRRANGE);
    const struct ph_oid_remap *multirange = compiled(PAIRMULTIRANGE);
    uint8_t bytes[16];

    (void)context;
#define APPLY(remap, raw)                                                                          \
    (memcpy(bytes, raw, sizeof raw), ph_oid_remap_apply(remap, bytes, sizeof raw, &err))
    assert_int_equal(APPLY(range, empty), PH_OK);
    assert_int_equal(APPLY(range, no_flags), PH_E_PROTOCOL);
    assert_int_equal(APPLY(range, no_bound), PH_E_PROTOCOL);
    assert_int_equal(APPLY(multirange, no_ranges), PH_OK);
    assert_int_equal(APPLY(multirange, many_ranges), PH_E_PROTOCOL);
#undef APPLY
}

static void
whole_buffers_are_rewritten(void **context)
{
    const struct ph_oid_remap *remap = compiled(PAIRS);
    struct ph_buf source;
    struct ph_buf target;
    size_t consumed;

    (void)context;
    ph_buf_init(&source, 1000);
    ph_buf_init(&target, 1000);
    for (int i = 0; i < 3; i++)
        put_pairs(&target, &there);
    size_t one = target.len / 3;
    for (size_t cut = 0; cut <= 3 * one; cut++) {
        ph_buf_clear(&source);
        for (int i = 0; i < 3; i++)
            put_pairs(&source, &here);
        assert_int_equal(ph_oid_remap_apply_all(remap, source.data, cut, &consumed, &err), PH_OK);
        assert_int_equal(consumed, cut / one * one);
        assert_memory_equal(source.data, target.data, consumed);
    }
    ph_buf_clear(&source);
    put_pairs(&source, &here);
    ph_copy_binary_put_trailer(&source);
    assert_int_equal(ph_oid_remap_apply_all(remap, source.data, source.len, &consumed, &err),
                     PH_OK);
    assert_int_equal(consumed, one);
    ph_store_u32(source.data + 2, 0xfffffffe);
    assert_int_equal(ph_oid_remap_apply_all(remap, source.data, source.len, &consumed, &err),
                     PH_E_PROTOCOL);
    ph_buf_free(&source);
    ph_buf_free(&target);
}

int
main(void)
{
#define WITH_CATALOGS(test) cmocka_unit_test_setup_teardown(test, make_catalogs, drop_catalogs)
    const struct CMUnitTest tests[] = {
        WITH_CATALOGS(nothing_to_rewrite_is_no_program),
        WITH_CATALOGS(types_that_differ_are_refused),
        WITH_CATALOGS(no_memory_is_reported),
        WITH_CATALOGS(oids_are_rewritten_where_they_stand),
        WITH_CATALOGS(former_nulls_are_forgotten),
        WITH_CATALOGS(broken_values_are_refused),
        WITH_CATALOGS(broken_ranges_are_refused),
        WITH_CATALOGS(whole_buffers_are_rewritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
