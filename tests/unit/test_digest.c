#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/digest.h"

static struct ph_span
span(const char *text)
{
    return (struct ph_span){(const uint8_t *)text, strlen(text)};
}

static void
put(struct ph_digest_set *set, const char *key, const char *row)
{
    ph_digest_set_put(set, ph_digest_key(0, span(key)), ph_digest_row(span(row)), strlen(row));
}

static void
buckets_grow_with_the_table(void **context)
{
    (void)context;
    assert_int_equal(ph_digest_buckets_for(0), PH_DIGEST_MIN_BUCKETS);
    assert_int_equal(ph_digest_buckets_for(1024 * 4096), 1024);
    assert_int_equal(ph_digest_buckets_for(1024 * 4096 + 1), 2048);
    assert_int_equal(ph_digest_buckets_for(UINT64_MAX), PH_DIGEST_MOST_CHOSEN);
}

static void
impossible_sets_are_refused(void **context)
{
    static const uint32_t wrong[] = {0, 1, 512, 1025, 3000, PH_DIGEST_MAX_BUCKETS * 2};
    struct ph_digest_set set;

    (void)context;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(ph_digest_set_init(&set, wrong[i]));
}

/* trap 58: equal rows must not cancel each other. */
static void
trap_58_duplicates_count(void **context)
{
    struct ph_digest_set set;

    (void)context;
    assert_true(ph_digest_set_init(&set, 1024));
    struct ph_digest empty = ph_digest_set_total(&set);
    put(&set, "k", "row");
    struct ph_digest one = ph_digest_set_total(&set);
    put(&set, "k", "row");
    struct ph_digest two = ph_digest_set_total(&set);
    assert_false(ph_digest_equal(&empty, &one));
    assert_false(ph_digest_equal(&one, &two));
    assert_true(two.sum.lo != 0 || two.sum.hi != 0);
    assert_int_equal(two.rows, 2);
    assert_int_equal(two.bytes, 6);
    ph_digest_set_free(&set);
}

static void
sums_carry_into_the_high_half(void **context)
{
    struct ph_digest_set set;

    (void)context;
    assert_true(ph_digest_set_init(&set, 1024));
    ph_digest_set_put(&set, 5, (struct ph_hash128){UINT64_MAX, 1}, 0);
    ph_digest_set_put(&set, 5, (struct ph_hash128){2, 1}, 0);
    assert_int_equal(set.buckets[5].sum.lo, 1);
    assert_int_equal(set.buckets[5].sum.hi, 3);
    ph_digest_set_put(&set, 6, (struct ph_hash128){UINT64_MAX, 0}, 0);
    assert_int_equal(ph_digest_set_total(&set).sum.lo, 0);
    assert_int_equal(ph_digest_set_total(&set).sum.hi, 4);
    ph_digest_set_free(&set);
}

static void
chunks_add_up_to_the_table(void **context)
{
    struct ph_digest_set table;
    struct ph_digest_set chunks[2];

    (void)context;
    assert_true(ph_digest_set_init(&table, 1024));
    assert_true(ph_digest_set_init(&chunks[0], 1024));
    assert_true(ph_digest_set_init(&chunks[1], 1024));
    for (uint32_t i = 0; i < 3000; i++) {
        const struct ph_span key = {(const uint8_t *)&i, sizeof i};
        struct ph_hash128 row = ph_digest_row(key);
        ph_digest_set_put(&table, ph_digest_key(0, key), row, 4);
        ph_digest_set_put(&chunks[i % 7 == 0], ph_digest_key(0, key), row, 4);
    }
    ph_digest_set_add(&chunks[0], &chunks[1]);
    assert_int_equal(chunks[0].rows, 3000);
    for (uint32_t i = 0; i < 1024; i++)
        assert_true(ph_digest_bucket_equal(&table.buckets[i], &chunks[0].buckets[i]));
    struct ph_digest a = ph_digest_set_total(&table);
    struct ph_digest b = ph_digest_set_total(&chunks[0]);
    assert_true(ph_digest_equal(&a, &b));
    ph_digest_set_clear(&table);
    a = ph_digest_set_total(&table);
    assert_int_equal(a.rows + a.bytes + a.sum.lo + a.sum.hi, 0);
    ph_digest_set_free(&table);
    ph_digest_set_free(&chunks[0]);
    ph_digest_set_free(&chunks[1]);
}

static void
sets_survive_being_stored(void **context)
{
    struct ph_digest_set set;
    struct ph_digest_set back;
    struct ph_buf out;

    (void)context;
    ph_buf_init(&out, 1u << 20);
    assert_true(ph_digest_set_init(&set, 2048));
    put(&set, "a", "1");
    put(&set, "b", "22");
    put(&set, "a", "333");
    ph_digest_set_write(&set, &out);
    assert_true(ph_digest_set_read(&back, (struct ph_span){out.data, out.len}));
    assert_int_equal(back.n_buckets, 2048);
    assert_int_equal(back.rows, 3);
    assert_int_equal(back.bytes, 6);
    assert_memory_equal(back.buckets, set.buckets, 2048 * sizeof set.buckets[0]);
    ph_digest_set_free(&back);
    for (size_t len = 0; len < out.len; len++)
        assert_false(ph_digest_set_read(&back, (struct ph_span){out.data, len}));
    assert_null(back.buckets);
    ph_digest_set_free(&set);
    ph_buf_free(&out);
}

static void
damaged_sets_are_refused(void **context)
{
    /* Offsets into: version, n_buckets, n_used, rows, bytes, then per bucket 28 bytes. */
    static const struct {
        size_t at;
        uint8_t byte;
    } wrong[] = {
        {0, 2},                    /* version */
        {3, 0},                    /* buckets: not a power of two in range */
        {8, 3},                    /* entries */
        {16, 9},                   /* rows */
        {25, 1},                   /* a bucket that there is not */
        {25 + 27, 0},              /* a bucket without rows */
        {25 + 28, 1}, {25 + 3, 9}, /* not there; not ascending */
    };
    struct ph_digest_set set;
    struct ph_buf out;

    (void)context;
    ph_buf_init(&out, 1u << 20);
    assert_true(ph_digest_set_init(&set, 1024));
    ph_digest_set_put(&set, 7, (struct ph_hash128){1, 2}, 3);
    ph_digest_set_put(&set, 8, (struct ph_hash128){1, 2}, 3);
    ph_digest_set_write(&set, &out);
    ph_digest_set_free(&set);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t kept = out.data[wrong[i].at];
        out.data[wrong[i].at] = wrong[i].byte;
        if (wrong[i].byte != kept)
            assert_false(ph_digest_set_read(&set, (struct ph_span){out.data, out.len}));
        out.data[wrong[i].at] = kept;
    }
    assert_true(ph_digest_set_read(&set, (struct ph_span){out.data, out.len}));
    ph_digest_set_free(&set);
    ph_buf_free(&out);
}

static void
digests_have_a_text(void **context)
{
    const struct ph_digest digest = {.sum = {.lo = 0xabc, .hi = 1}};
    char text[PH_DIGEST_TEXT_SIZE];

    (void)context;
    ph_digest_text(&digest, text);
    assert_string_equal(text, "00000000000000010000000000000abc");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_grow_with_the_table),
        cmocka_unit_test(impossible_sets_are_refused),
        cmocka_unit_test(trap_58_duplicates_count),
        cmocka_unit_test(sums_carry_into_the_high_half),
        cmocka_unit_test(chunks_add_up_to_the_table),
        cmocka_unit_test(sets_survive_being_stored),
        cmocka_unit_test(damaged_sets_are_refused),
        cmocka_unit_test(digests_have_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
