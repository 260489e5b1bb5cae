/* Two multisets of rows compared: every kind of difference, duplicates, and what does not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "job/diff_table.h"

#define ROOMY ((size_t)1 << 20)

struct words {
    char text[2000];
};

static void
add(struct ph_diff_table *table, enum ph_side side, uint64_t key, uint64_t row, uint32_t block)
{
    struct ph_scanned_row scanned = {
        .key_hash = key << 24 | 5, /* the same bucket */
        .hash = {row, ~row},
        .place = {.relid = 1, .block = block, .offset = 1},
    };

    assert_true(ph_diff_table_add(table, side, &scanned));
}

static ph_code
put_words(void *arg, const struct ph_row_difference *difference, struct ph_error *err)
{
    static const char *const kinds[] = {"missing", "extra", "changed"};
    struct words *words = arg;
    size_t len = strlen(words->text);

    (void)err;
    snprintf(words->text + len, sizeof words->text - len, "%s %u x%u s%u t%u\n",
             kinds[difference->kind], (unsigned)(difference->key_hash >> 24),
             (unsigned)difference->count, difference->source.relid ? difference->source.block : 0,
             difference->target.relid ? difference->target.block : 0);
    return PH_OK;
}

static void
expect(struct ph_diff_table *table, enum ph_diff_pairing pairing, const char *text)
{
    struct words words = {""};

    assert_int_equal(ph_diff_table_each(table, pairing, put_words, &words, NULL), PH_OK);
    assert_string_equal(words.text, text);
}

static void
finds_every_kind(void **state)
{
    struct ph_diff_table table;

    (void)state;
    assert_true(ph_diff_table_init(&table, ROOMY));
    add(&table, PH_SOURCE, 1, 100, 11);
    add(&table, PH_SOURCE, 2, 200, 12);
    add(&table, PH_SOURCE, 3, 300, 13);
    add(&table, PH_TARGET, 4, 400, 24);
    add(&table, PH_TARGET, 3, 301, 23);
    add(&table, PH_TARGET, 1, 100, 21);
    expect(&table, PH_DIFF_BY_KEY,
           "missing 2 x1 s12 t0\nchanged 3 x1 s13 t23\nextra 4 x1 s0 t24\n");
    ph_diff_table_clear(&table);
    expect(&table, PH_DIFF_BY_KEY, "");
    ph_diff_table_free(&table);
}

/* Pairs of equal rows cancel under XOR; here they count. */
static void
counts_duplicates(void **state)
{
    struct ph_diff_table table;

    (void)state;
    assert_true(ph_diff_table_init(&table, ROOMY));
    for (uint32_t i = 0; i < 2; i++)
        add(&table, PH_SOURCE, 1, 100, i);
    for (uint32_t i = 0; i < 3; i++)
        add(&table, PH_TARGET, 1, 100, 20 + i);
    for (uint32_t i = 0; i < 4; i++)
        add(&table, PH_SOURCE, 2, 200, 30 + i);
    for (uint32_t i = 0; i < 2; i++)
        add(&table, PH_TARGET, 2, 200, 40 + i);
    for (uint32_t i = 0; i < 2; i++)
        add(&table, PH_TARGET, 3, 300, 50 + i);
    expect(&table, PH_DIFF_KEYLESS, "extra 1 x1 s0 t22\nmissing 2 x2 s33 t0\nextra 3 x2 s0 t51\n");
    ph_diff_table_free(&table);
}

/* A key that the target has twice: one is changed (or the same), the other is one too many. */
static void
pairs_duplicate_keys(void **state)
{
    struct ph_diff_table table;

    (void)state;
    assert_true(ph_diff_table_init(&table, ROOMY));
    add(&table, PH_SOURCE, 1, 100, 11);
    add(&table, PH_TARGET, 1, 101, 21);
    add(&table, PH_TARGET, 1, 102, 22);
    add(&table, PH_SOURCE, 2, 200, 12);
    add(&table, PH_TARGET, 2, 200, 23);
    add(&table, PH_TARGET, 2, 201, 24);
    expect(&table, PH_DIFF_BY_KEY, "changed 1 x1 s11 t22\nextra 1 x1 s0 t21\nextra 2 x1 s0 t24\n");
    ph_diff_table_free(&table);
}

static void
says_when_it_is_full(void **state)
{
    struct ph_diff_table table;
    struct ph_scanned_row row = {.key_hash = 0};
    uint32_t n = 0;

    (void)state;
    assert_true(ph_diff_table_init(&table, 1));
    for (; n < 1000; n++) {
        row.key_hash = (uint64_t)n << 24;
        row.hash.lo = n;
        if (!ph_diff_table_add(&table, PH_SOURCE, &row))
            break;
    }
    assert_int_equal(n, 64);
    row.key_hash = 0;
    row.hash.lo = 0;
    assert_true(ph_diff_table_add(&table, PH_TARGET, &row)); /* one that is there has its place */
    ph_diff_table_free(&table);
}

static void
many_equal_rows_cost_one_entry(void **state)
{
    struct ph_diff_table table;

    (void)state;
    assert_true(ph_diff_table_init(&table, 1));
    for (uint32_t i = 0; i < 100000; i++)
        add(&table, PH_TARGET, 1, 100, i);
    add(&table, PH_SOURCE, 1, 100, 7);
    expect(&table, PH_DIFF_KEYLESS, "extra 1 x99999 s0 t99999\n");
    ph_diff_table_free(&table);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_every_kind),
        cmocka_unit_test(counts_duplicates),
        cmocka_unit_test(pairs_duplicate_keys),
        cmocka_unit_test(says_when_it_is_full),
        cmocka_unit_test(many_equal_rows_cost_one_entry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
