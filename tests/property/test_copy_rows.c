/*
 * Both COPY formats: random rows, encoded, are what the walk gives back; the digest is the same by
 * whole buffers, by pieces, row by row, and in any order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "wire/copy_binary.h"
#include "wire/copy_text.h"

#define ROUNDS 300
#define MAX_FIELDS 6
#define MAX_ROWS 40
#define MAX_VALUE 24

typedef ph_code (*digest_fn)(const struct ph_copy_shape *, struct ph_span, struct ph_digest_set *,
                             struct ph_copy_walked *, struct ph_error *);
typedef ph_code (*next_fn)(const struct ph_copy_shape *, struct ph_span, struct ph_span *,
                           struct ph_copy_row *, struct ph_error *);

struct format {
    digest_fn digest;
    next_fn next;
    void (*put_row)(struct ph_buf *out, const struct ph_span *fields, uint32_t n);
    void (*read_field)(struct ph_span field, struct ph_buf *out);
};

static uint64_t state = 7;

static uint32_t
below(uint32_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

static void
put_binary(struct ph_buf *out, const struct ph_span *fields, uint32_t n)
{
    ph_copy_binary_put_count(out, n);
    for (uint32_t i = 0; i < n; i++)
        ph_copy_binary_put_field(out, fields[i]);
}

static void
read_binary(struct ph_span field, struct ph_buf *out)
{
    ph_buf_append(out, field.data, field.len);
}

static void
put_text(struct ph_buf *out, const struct ph_span *fields, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            ph_buf_putc(out, '\t');
        ph_copy_text_put_field(out, fields[i]);
    }
    ph_buf_putc(out, '\n');
}

static const struct format formats[] = {
    {ph_copy_binary_digest, ph_copy_binary_next, put_binary, read_binary},
    {ph_copy_text_digest, ph_copy_text_next, put_text, ph_copy_text_unescape},
};

struct table {
    uint8_t bytes[MAX_ROWS][MAX_FIELDS][MAX_VALUE];
    struct ph_span fields[MAX_ROWS][MAX_FIELDS];
    uint16_t keys[MAX_FIELDS];
    struct ph_copy_shape shape;
    uint32_t n_rows;
};

static void
make_table(struct table *table)
{
    table->n_rows = below(MAX_ROWS);
    table->shape = (struct ph_copy_shape){
        .key_fields = table->keys, .n_fields = 1 + below(MAX_FIELDS), .max_row_bytes = 4096};
    for (uint16_t i = 0; i < table->shape.n_fields; i++)
        if (below(3) == 0)
            table->keys[table->shape.n_key_fields++] = i;
    for (uint32_t row = 0; row < table->n_rows; row++)
        for (uint32_t i = 0; i < table->shape.n_fields; i++) {
            uint8_t *bytes = table->bytes[row][i];
            uint32_t len = below(MAX_VALUE);
            for (uint32_t b = 0; b < len; b++)
                bytes[b] = (uint8_t)(below(2) == 0 ? below(16) : below(256));
            table->fields[row][i] = (struct ph_span){below(6) == 0 ? NULL : bytes, len};
            if (table->fields[row][i].data == NULL)
                table->fields[row][i].len = 0;
        }
}

/* From row `first` on, around the end. */
static void
encode(const struct format *format, const struct table *table, uint32_t first, struct ph_buf *out)
{
    ph_buf_clear(out);
    ph_buf_reserve(out, 1);
    for (uint32_t i = 0; i < table->n_rows; i++)
        format->put_row(out, table->fields[(first + i) % table->n_rows], table->shape.n_fields);
}

static void
assert_rows_come_back(const struct format *format, const struct table *table, struct ph_span bytes,
                      struct ph_digest_set *set)
{
    struct ph_span fields[MAX_FIELDS];
    struct ph_copy_row row;
    struct ph_error err;
    struct ph_buf value;

    ph_buf_init(&value, 1000);
    ph_digest_set_clear(set);
    for (uint32_t i = 0; i < table->n_rows; i++) {
        assert_int_equal(format->next(&table->shape, bytes, fields, &row, &err), PH_OK);
        assert_int_equal(row.item, PH_COPY_ROW);
        for (uint32_t f = 0; f < table->shape.n_fields; f++) {
            assert_int_equal(fields[f].data == NULL, table->fields[i][f].data == NULL);
            ph_buf_clear(&value);
            format->read_field(fields[f], &value);
            assert_int_equal(value.len, table->fields[i][f].len);
            if (value.len > 0)
                assert_memory_equal(value.data, table->fields[i][f].data, value.len);
        }
        ph_digest_set_put(set, row.key_hash, row.hash, row.image.len);
        bytes = (struct ph_span){bytes.data + row.raw.len, bytes.len - row.raw.len};
    }
    assert_int_equal(bytes.len, 0);
    ph_buf_free(&value);
}

/* What a reader does whose pieces end anywhere. */
static void
digest_by_pieces(const struct format *format, const struct ph_copy_shape *shape,
                 struct ph_span bytes, struct ph_digest_set *set)
{
    size_t from = 0;
    size_t to = 0;

    ph_digest_set_clear(set);
    while (from < bytes.len) {
        struct ph_copy_walked walked;
        struct ph_error err;
        to += 1 + below(60);
        if (to > bytes.len)
            to = bytes.len;
        assert_int_equal(format->digest(shape, (struct ph_span){bytes.data + from, to - from}, set,
                                        &walked, &err),
                         PH_OK);
        from += walked.consumed;
    }
}

static void
assert_same(const struct ph_digest_set *a, const struct ph_digest_set *b)
{
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->bytes, b->bytes);
    assert_memory_equal(a->buckets, b->buckets, a->n_buckets * sizeof a->buckets[0]);
}

static void
rows_and_digests_agree(void **context)
{
    static struct table table;
    struct ph_digest_set whole;
    struct ph_digest_set other;
    struct ph_copy_walked walked;
    struct ph_error err;
    struct ph_buf bytes;

    (void)context;
    ph_buf_init(&bytes, 1u << 20);
    assert_true(ph_digest_set_init(&whole, PH_DIGEST_MIN_BUCKETS));
    assert_true(ph_digest_set_init(&other, PH_DIGEST_MIN_BUCKETS));
    for (int round = 0; round < ROUNDS * 2; round++) {
        const struct format *format = &formats[round % 2];
        make_table(&table);
        encode(format, &table, 0, &bytes);
        struct ph_span all = {bytes.data, bytes.len};
        ph_digest_set_clear(&whole);
        assert_int_equal(format->digest(&table.shape, all, &whole, &walked, &err), PH_OK);
        assert_int_equal(walked.rows, table.n_rows);
        assert_int_equal(walked.consumed, bytes.len);
        assert_rows_come_back(format, &table, all, &other);
        assert_same(&whole, &other);
        digest_by_pieces(format, &table.shape, all, &other);
        assert_same(&whole, &other);
        encode(format, &table, table.n_rows / 2, &bytes);
        digest_by_pieces(format, &table.shape, (struct ph_span){bytes.data, bytes.len}, &other);
        assert_same(&whole, &other);
    }
    ph_digest_set_free(&whole);
    ph_digest_set_free(&other);
    ph_buf_free(&bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_and_digests_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
