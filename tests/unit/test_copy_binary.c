#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/copy_binary.h"

static const uint16_t first[] = {0};
static const uint16_t first_two[] = {0, 1};

static const struct ph_copy_shape keyed = {first, 1, 3, 1000};
static const struct ph_copy_shape keyless = {NULL, 0, 3, 1000};

static struct ph_span
span(const char *text)
{
    return (struct ph_span){(const uint8_t *)text, text == NULL ? 0 : strlen(text)};
}

static void
put_row(struct ph_buf *out, const char *a, const char *b, const char *c)
{
    ph_copy_binary_put_count(out, 3);
    ph_copy_binary_put_field(out, span(a));
    ph_copy_binary_put_field(out, span(b));
    ph_copy_binary_put_field(out, span(c));
}

static struct ph_span
all(const struct ph_buf *buf)
{
    return (struct ph_span){buf->data, buf->len};
}

static ph_code
digest(const struct ph_copy_shape *shape, struct ph_span bytes, struct ph_copy_walked *walked,
       struct ph_digest *total)
{
    struct ph_digest_set set;
    struct ph_error err = {0};

    assert_true(ph_digest_set_init(&set, PH_DIGEST_MIN_BUCKETS));
    ph_code rc = ph_copy_binary_digest(shape, bytes, &set, walked, &err);
    assert_int_equal(rc, rc == PH_OK ? PH_OK : err.code);
    if (total != NULL)
        *total = ph_digest_set_total(&set);
    ph_digest_set_free(&set);
    return rc;
}

static void
header_is_checked(void **context)
{
    struct ph_buf buf;
    struct ph_error err;
    size_t consumed;

    (void)context;
    ph_buf_init(&buf, 1000);
    ph_copy_binary_put_header(&buf);
    assert_int_equal(buf.len, PH_COPY_BINARY_HEADER_SIZE);
    for (size_t len = 0; len <= buf.len; len++) {
        assert_int_equal(ph_copy_binary_header((struct ph_span){buf.data, len}, &consumed, &err),
                         PH_OK);
        assert_int_equal(consumed, len == buf.len ? len : 0);
    }
    assert_int_equal(ph_copy_binary_header((struct ph_span){NULL, 0}, &consumed, &err), PH_OK);
    buf.data[18] = 3; /* an extension area of three bytes */
    assert_int_equal(ph_copy_binary_header(all(&buf), &consumed, &err), PH_OK);
    assert_int_equal(consumed, 0);
    ph_buf_puts(&buf, "extra");
    assert_int_equal(ph_copy_binary_header(all(&buf), &consumed, &err), PH_OK);
    assert_int_equal(consumed, 22);
    buf.data[15] = 0x7f;
    assert_int_equal(ph_copy_binary_header(all(&buf), &consumed, &err), PH_E_PROTOCOL);
    buf.data[12] = 1; /* the OIDs that servers before 12 sent */
    assert_int_equal(ph_copy_binary_header(all(&buf), &consumed, &err), PH_E_UNSUPPORTED);
    buf.data[4] = 'X';
    assert_int_equal(ph_copy_binary_header(all(&buf), &consumed, &err), PH_E_PROTOCOL);
    ph_buf_free(&buf);
}

static void
whole_rows_are_taken(void **context)
{
    struct ph_buf buf;
    struct ph_copy_walked walked;
    size_t two_rows;

    (void)context;
    ph_buf_init(&buf, 1000);
    put_row(&buf, "a", NULL, "");
    put_row(&buf, "b", "x", "longer than the others");
    two_rows = buf.len;
    put_row(&buf, "c", "y", "z");
    for (size_t len = two_rows; len < buf.len; len++) {
        assert_int_equal(digest(&keyed, (struct ph_span){buf.data, len}, &walked, NULL), PH_OK);
        assert_int_equal(walked.consumed, two_rows);
        assert_int_equal(walked.rows, 2);
        assert_false(walked.ended);
    }
    ph_copy_binary_put_trailer(&buf);
    assert_int_equal(digest(&keyed, all(&buf), &walked, NULL), PH_OK);
    assert_int_equal(walked.consumed, buf.len);
    assert_int_equal(walked.rows, 3);
    assert_true(walked.ended);
    ph_buf_putc(&buf, 0);
    assert_int_equal(digest(&keyed, all(&buf), &walked, NULL), PH_E_PROTOCOL);
    assert_int_equal(walked.rows, 3);
    ph_buf_free(&buf);
}

static void
digest_is_of_the_rows_not_their_order(void **context)
{
    struct ph_buf buf;
    struct ph_buf other;
    struct ph_copy_walked walked;
    struct ph_digest a;
    struct ph_digest b;

    (void)context;
    ph_buf_init(&buf, 1000);
    ph_buf_init(&other, 1000);
    put_row(&buf, "a", "1", NULL);
    put_row(&buf, "b", "2", "");
    put_row(&other, "b", "2", "");
    put_row(&other, "a", "1", NULL);
    assert_int_equal(digest(&keyed, all(&buf), &walked, &a), PH_OK);
    assert_int_equal(digest(&keyless, all(&other), &walked, &b), PH_OK);
    assert_true(ph_digest_equal(&a, &b));
    assert_int_equal(a.bytes, 2 * 12 + 4);
    ph_buf_clear(&other);
    put_row(&other, "b", "2", NULL); /* NULL and '' change places */
    put_row(&other, "a", "1", "");
    assert_int_equal(digest(&keyed, all(&other), &walked, &b), PH_OK);
    assert_false(ph_digest_equal(&a, &b));
    ph_buf_free(&buf);
    ph_buf_free(&other);
}

static void
key_chooses_the_bucket(void **context)
{
    struct ph_copy_shape shape = {first_two, 2, 3, 1000};
    struct ph_buf buf;
    struct ph_digest_set set;
    struct ph_copy_walked walked;
    struct ph_error err;
    uint64_t key = ph_digest_key(ph_digest_key(0, span("k")), span(""));

    (void)context;
    ph_buf_init(&buf, 1000);
    put_row(&buf, "k", NULL, "1");
    put_row(&buf, "k", NULL, "2");
    assert_true(ph_digest_set_init(&set, PH_DIGEST_MIN_BUCKETS));
    assert_int_equal(ph_copy_binary_digest(&shape, all(&buf), &set, &walked, &err), PH_OK);
    assert_int_equal(set.buckets[ph_digest_bucket_of(&set, key)].rows, 2);
    ph_digest_set_free(&set);
    ph_buf_free(&buf);
}

static void
broken_tuples_are_refused(void **context)
{
    static const uint8_t negative[] = {0, 3, 0xff, 0xff, 0xff, 0xfe, 0, 0};
    static const uint8_t two_fields[] = {0, 2};
    static const uint8_t minus_two[] = {0xff, 0xfe};
    struct ph_copy_walked walked;

    (void)context;
    assert_int_equal(digest(&keyed, (struct ph_span){negative, sizeof negative}, &walked, NULL),
                     PH_E_PROTOCOL);
    assert_int_equal(digest(&keyed, (struct ph_span){two_fields, sizeof two_fields}, &walked, NULL),
                     PH_E_PROTOCOL);
    assert_int_equal(digest(&keyed, (struct ph_span){minus_two, sizeof minus_two}, &walked, NULL),
                     PH_E_PROTOCOL);
    assert_int_equal(walked.consumed, 0);
}

static void
long_rows_are_refused_early(void **context)
{
    struct ph_copy_shape shape = {first, 1, 3, 20};
    static const uint8_t claims[] = {0, 3, 0, 0, 0, 1, 'k', 0x7f, 0xff, 0xff, 0xff};
    static const uint8_t fits[] = {0, 3, 0, 0, 0, 1, 'k', 0, 0, 0, 9};
    struct ph_buf buf;
    struct ph_copy_walked walked;

    (void)context;
    assert_int_equal(digest(&shape, (struct ph_span){claims, sizeof claims}, &walked, NULL),
                     PH_E_ROW_TOO_LARGE);
    assert_int_equal(digest(&shape, (struct ph_span){fits, sizeof fits}, &walked, NULL), PH_OK);
    ph_buf_init(&buf, 1000);
    put_row(&buf, "123456", NULL, NULL); /* 20 bytes */
    assert_int_equal(digest(&shape, all(&buf), &walked, NULL), PH_OK);
    assert_int_equal(walked.rows, 1);
    put_row(&buf, "1234567", NULL, NULL);
    assert_int_equal(digest(&shape, all(&buf), &walked, NULL), PH_E_ROW_TOO_LARGE);
    assert_int_equal(walked.rows, 1);
    assert_int_equal(walked.consumed, 20);
    ph_buf_free(&buf);
}

static void
rows_come_one_by_one(void **context)
{
    struct ph_buf buf;
    struct ph_span fields[3];
    struct ph_copy_row row;
    struct ph_error err;
    struct ph_span rest;

    (void)context;
    ph_buf_init(&buf, 1000);
    put_row(&buf, "key", NULL, "");
    ph_copy_binary_put_trailer(&buf);
    rest = all(&buf);
    assert_int_equal(ph_copy_binary_next(&keyed, rest, fields, &row, &err), PH_OK);
    assert_int_equal(row.item, PH_COPY_ROW);
    assert_int_equal(row.raw.len, 2 + 12 + 3);
    assert_int_equal(row.image.len, 12 + 3);
    assert_int_equal(row.key_hash, ph_digest_key(0, span("key")));
    assert_memory_equal(fields[0].data, "key", 3);
    assert_null(fields[1].data);
    assert_non_null(fields[2].data);
    assert_int_equal(fields[2].len, 0);
    assert_int_equal(ph_copy_binary_next(&keyless, rest, NULL, &row, &err), PH_OK);
    assert_int_equal(row.key_hash, ph_digest_row(row.image).lo);
    rest = (struct ph_span){rest.data + row.raw.len, rest.len - row.raw.len};
    assert_int_equal(ph_copy_binary_next(&keyed, rest, fields, &row, &err), PH_OK);
    assert_int_equal(row.item, PH_COPY_END);
    assert_int_equal(row.raw.len, 2);
    rest.len = 1;
    assert_int_equal(ph_copy_binary_next(&keyed, rest, fields, &row, &err), PH_OK);
    assert_int_equal(row.item, PH_COPY_MORE);
    buf.data[1] = 9;
    assert_int_equal(ph_copy_binary_next(&keyed, all(&buf), fields, &row, &err), PH_E_PROTOCOL);
    ph_buf_free(&buf);
}

struct seen {
    struct ph_span fields[15];
    uint32_t rows;
    ph_code answer; /* to each of them */
};

static ph_code
count_row(void *arg, const struct ph_copy_row *row, struct ph_error *err)
{
    struct seen *seen = arg;

    assert_int_equal(row->item, PH_COPY_ROW);
    seen->rows++;
    return seen->answer == PH_OK ? PH_OK : PH_FAIL(err, seen->answer, "as asked");
}

static struct ph_copy_binary_walk
walk_of(const struct ph_copy_shape *shape, struct seen *seen)
{
    return (struct ph_copy_binary_walk){
        .shape = *shape, .fields = seen->fields, .visit = count_row, .arg = seen};
}

/* As a reader does that gets `step` more bytes at a time. */
static ph_code
walk_in_steps(struct ph_copy_binary_walk *walk, struct ph_span bytes, size_t step)
{
    size_t begin = 0;

    for (size_t end = step; begin < bytes.len; end += step) {
        struct ph_error err;
        size_t consumed;
        if (end > bytes.len)
            end = bytes.len;
        PH_TRY(ph_copy_binary_walk(walk, (struct ph_span){bytes.data + begin, end - begin},
                                   &consumed, &err));
        begin += consumed;
        if (end == bytes.len)
            break;
    }
    return begin == bytes.len ? PH_OK : PH_E_PROTOCOL;
}

static void
a_copy_is_walked_over_in_pieces(void **context)
{
    struct ph_buf buf;

    (void)context;
    ph_buf_init(&buf, 1000);
    ph_copy_binary_put_header(&buf);
    put_row(&buf, "key", NULL, "");
    put_row(&buf, "key", "two", "three");
    size_t before_the_end = buf.len;
    ph_copy_binary_put_trailer(&buf);
    for (size_t step = 1; step <= buf.len; step++) {
        struct seen seen = {.rows = 0};
        struct ph_copy_binary_walk walk = walk_of(&keyed, &seen);
        assert_int_equal(walk_in_steps(&walk, (struct ph_span){buf.data, before_the_end}, step),
                         PH_OK);
        assert_int_equal(seen.rows, 2);
        assert_memory_equal(seen.fields[2].data, "three", 5);
        assert_false(walk.has_ended);
        walk = walk_of(&keyed, &seen);
        assert_int_equal(walk_in_steps(&walk, all(&buf), step), PH_OK);
        assert_int_equal(seen.rows, 4);
        assert_true(walk.has_ended);
    }
    ph_buf_free(&buf);
}

static void
a_walk_ends_with_the_copy_or_the_visitors_error(void **context)
{
    struct seen seen = {.answer = PH_E_STOPPED};
    struct ph_copy_binary_walk walk = walk_of(&keyed, &seen);
    struct ph_error err;
    struct ph_buf buf;
    size_t consumed;

    (void)context;
    ph_buf_init(&buf, 1000);
    ph_copy_binary_put_header(&buf);
    put_row(&buf, "key", NULL, "");
    put_row(&buf, "key", NULL, "");
    ph_copy_binary_put_trailer(&buf);
    assert_int_equal(ph_copy_binary_walk(&walk, all(&buf), &consumed, &err), PH_E_STOPPED);
    assert_int_equal(seen.rows, 1);
    seen.answer = PH_OK;
    walk = walk_of(&keyed, &seen);
    assert_int_equal(ph_copy_binary_walk(&walk, all(&buf), &consumed, &err), PH_OK);
    assert_int_equal(consumed, buf.len);
    assert_int_equal(ph_copy_binary_walk(&walk, all(&buf), &consumed, &err), PH_E_PROTOCOL);
    assert_int_equal(ph_copy_binary_walk(&walk, (struct ph_span){NULL, 0}, &consumed, &err), PH_OK);
    ph_copy_binary_put_trailer(&buf);
    walk = walk_of(&keyed, &seen);
    assert_int_equal(ph_copy_binary_walk(&walk, all(&buf), &consumed, &err), PH_E_PROTOCOL);
    ph_buf_free(&buf);
}

struct capture {
    const char *name;
    uint32_t n_fields;
    uint64_t rows;
};

/* golden/copy.sql made these with a server of major 15. */
static const struct capture captures[] = {
    {"narrow", 4, 100}, {"empty", 2, 0}, {"nocols", 0, 3}, {"mixed", 15, 21}, {"onetext", 1, 5},
};

static void
captures_of_a_server_are_read(void **context)
{
    (void)context;
    for (size_t i = 0; i < sizeof captures / sizeof captures[0]; i++) {
        struct ph_copy_shape shape = {first_two, captures[i].n_fields < 2 ? 0 : 2,
                                      captures[i].n_fields, 1u << 20};
        struct ph_copy_walked walked;
        struct ph_error err;
        char path[400];
        static uint8_t bytes[1 << 16];
        size_t header;

        snprintf(path, sizeof path, PH_TEST_DIR "/unit/golden/copy15_%s.bin", captures[i].name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        size_t len = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        assert_int_equal(ph_copy_binary_header((struct ph_span){bytes, len}, &header, &err), PH_OK);
        assert_int_equal(header, PH_COPY_BINARY_HEADER_SIZE);
        assert_int_equal(
            digest(&shape, (struct ph_span){bytes + header, len - header}, &walked, NULL), PH_OK);
        assert_int_equal(walked.rows, captures[i].rows);
        assert_int_equal(walked.consumed, len - header);
        assert_true(walked.ended);
        struct seen seen = {.rows = 0};
        struct ph_copy_binary_walk walk = walk_of(&shape, &seen);
        assert_int_equal(walk_in_steps(&walk, (struct ph_span){bytes, len}, 7), PH_OK);
        assert_int_equal(seen.rows, captures[i].rows);
        assert_true(walk.has_ended);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_is_checked),
        cmocka_unit_test(whole_rows_are_taken),
        cmocka_unit_test(digest_is_of_the_rows_not_their_order),
        cmocka_unit_test(key_chooses_the_bucket),
        cmocka_unit_test(broken_tuples_are_refused),
        cmocka_unit_test(long_rows_are_refused_early),
        cmocka_unit_test(rows_come_one_by_one),
        cmocka_unit_test(a_copy_is_walked_over_in_pieces),
        cmocka_unit_test(a_walk_ends_with_the_copy_or_the_visitors_error),
        cmocka_unit_test(captures_of_a_server_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
