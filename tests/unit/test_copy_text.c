#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "wire/copy_text.h"

static const uint16_t second[] = {1};
static const uint16_t first_two[] = {0, 1};
static const struct ph_copy_shape keyed = {second, 1, 3, 1000};
static const struct ph_copy_shape keyless = {NULL, 0, 3, 1000};

static struct ph_span
span(const char *text)
{
    return (struct ph_span){(const uint8_t *)text, strlen(text)};
}

static ph_code
digest(const struct ph_copy_shape *shape, struct ph_span bytes, struct ph_copy_walked *walked,
       struct ph_digest *total)
{
    struct ph_digest_set set;
    struct ph_error err = {0};

    assert_true(ph_digest_set_init(&set, PH_DIGEST_MIN_BUCKETS));
    ph_code rc = ph_copy_text_digest(shape, bytes, &set, walked, &err);
    assert_int_equal(rc, rc == PH_OK ? PH_OK : err.code);
    if (total != NULL)
        *total = ph_digest_set_total(&set);
    ph_digest_set_free(&set);
    return rc;
}

static void
whole_lines_are_taken(void **context)
{
    static const char lines[] = "a\tb\t\\N\n\t\t\nlast\tx\ty\n";
    struct ph_copy_walked walked;

    (void)context;
    for (size_t len = 0; len < sizeof lines; len++) {
        uint64_t whole = (len >= 7) + (len >= 10) + (len >= 19);
        size_t consumed = whole == 3 ? 19 : whole == 2 ? 10 : whole * 7;
        assert_int_equal(digest(&keyed, (struct ph_span){span(lines).data, len}, &walked, NULL),
                         PH_OK);
        assert_int_equal(walked.rows, whole);
        assert_int_equal(walked.consumed, consumed);
        assert_false(walked.ended);
    }
}

static void
the_end_marker_ends(void **context)
{
    const struct ph_copy_shape one = {NULL, 0, 1, 1000};
    struct ph_copy_walked walked;

    (void)context;
    assert_int_equal(digest(&keyed, span("a\tb\tc\n\\.\n"), &walked, NULL), PH_OK);
    assert_int_equal(walked.rows, 1);
    assert_int_equal(walked.consumed, 9);
    assert_true(walked.ended);
    assert_int_equal(digest(&keyed, span("\\.\na\tb\tc\n"), &walked, NULL), PH_E_PROTOCOL);
    /* A value \. comes as \\. */
    assert_int_equal(digest(&one, span("\\\\.\n\\N\n\n"), &walked, NULL), PH_OK);
    assert_int_equal(walked.rows, 3);
    assert_false(walked.ended);
}

static void
wrong_field_counts_are_refused(void **context)
{
    const struct ph_copy_shape none = {NULL, 0, 0, 1000};
    struct ph_copy_walked walked;

    (void)context;
    assert_int_equal(digest(&keyed, span("a\tb\tc\na\tb\n"), &walked, NULL), PH_E_PROTOCOL);
    assert_int_equal(walked.rows, 1);
    assert_int_equal(walked.consumed, 6);
    assert_int_equal(digest(&keyed, span("a\tb\tc\td\n"), &walked, NULL), PH_E_PROTOCOL);
    assert_int_equal(digest(&keyed, span("\n"), &walked, NULL), PH_E_PROTOCOL);
    assert_int_equal(digest(&none, span("\n\n"), &walked, NULL), PH_OK);
    assert_int_equal(walked.rows, 2);
    assert_int_equal(digest(&none, span("x\n"), &walked, NULL), PH_E_PROTOCOL);
}

static void
long_lines_are_refused_early(void **context)
{
    const struct ph_copy_shape shape = {second, 1, 3, 6};
    struct ph_copy_walked walked;

    (void)context;
    assert_int_equal(digest(&shape, span("ab\tc\td\n"), &walked, NULL), PH_OK);
    assert_int_equal(digest(&shape, span("ab\tc\tde\n"), &walked, NULL), PH_E_ROW_TOO_LARGE);
    assert_int_equal(digest(&shape, span("ab\tc\td"), &walked, NULL), PH_OK);
    assert_int_equal(digest(&shape, span("ab\tc\tde"), &walked, NULL), PH_E_ROW_TOO_LARGE);
}

static void
digest_is_of_the_lines_not_their_order(void **context)
{
    struct ph_copy_walked walked;
    struct ph_digest a;
    struct ph_digest b;

    (void)context;
    assert_int_equal(digest(&keyed, span("a\t1\t\\N\nb\t2\t\n"), &walked, &a), PH_OK);
    assert_int_equal(digest(&keyless, span("b\t2\t\na\t1\t\\N\n"), &walked, &b), PH_OK);
    assert_true(ph_digest_equal(&a, &b));
    assert_int_equal(a.bytes, 6 + 4);
    assert_int_equal(digest(&keyed, span("b\t2\t\\N\na\t1\t\n"), &walked, &b), PH_OK);
    assert_false(ph_digest_equal(&a, &b));
}

static void
rows_come_one_by_one(void **context)
{
    struct ph_span rest = span("a\tkey\t\\N\n\\.\n");
    struct ph_span fields[3];
    struct ph_copy_row row;
    struct ph_error err;

    (void)context;
    assert_int_equal(ph_copy_text_next(&keyed, rest, fields, &row, &err), PH_OK);
    assert_int_equal(row.item, PH_COPY_ROW);
    assert_int_equal(row.raw.len, 9);
    assert_int_equal(row.image.len, 8);
    assert_int_equal(row.key_hash, ph_digest_key(0, span("key")));
    assert_int_equal(fields[1].len, 3);
    assert_null(fields[2].data);
    assert_int_equal(ph_copy_text_next(&keyless, rest, NULL, &row, &err), PH_OK);
    assert_int_equal(row.key_hash, ph_digest_row(row.image).lo);
    rest = (struct ph_span){rest.data + row.raw.len, rest.len - row.raw.len};
    assert_int_equal(ph_copy_text_next(&keyed, rest, fields, &row, &err), PH_OK);
    assert_int_equal(row.item, PH_COPY_END);
    assert_int_equal(row.raw.len, 3);
    rest.len = 2;
    assert_int_equal(ph_copy_text_next(&keyed, rest, fields, &row, &err), PH_OK);
    assert_int_equal(row.item, PH_COPY_MORE);
    assert_int_equal(ph_copy_text_next(&keyed, span("a\tb\tc\td\te\n"), fields, &row, &err),
                     PH_E_PROTOCOL);
    assert_string_equal(err.message, "line has 5 fields, expected 3");
}

static void
escapes_go_both_ways(void **context)
{
    static const uint8_t value[] = {'a', '\t', '\n', '\\', 'N', '\r', '\b', '\f', '\v', 0xc3, 0xa4};
    struct ph_buf out;

    (void)context;
    ph_buf_init(&out, 1000);
    ph_copy_text_put_field(&out, (struct ph_span){value, sizeof value});
    assert_string_equal(ph_buf_text(&out), "a\\t\\n\\\\N\\r\\b\\f\\v\xc3\xa4");
    struct ph_span field = span("a\\t\\n\\\\N\\r\\b\\f\\v\xc3\xa4\\q\\");
    ph_buf_clear(&out);
    ph_copy_text_unescape(field, &out);
    assert_int_equal(out.len, sizeof value + 2);
    assert_memory_equal(out.data, value, sizeof value);
    assert_string_equal(ph_buf_text(&out) + sizeof value, "q\\");
    ph_buf_clear(&out);
    ph_copy_text_put_field(&out, (struct ph_span){NULL, 0});
    assert_string_equal(ph_buf_text(&out), "\\N");
    ph_buf_free(&out);
}

/* golden/copy.sql made these with a server of major 15. */
static const struct {
    const char *name;
    uint32_t n_fields;
    uint64_t rows;
} captures[] = {
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
        char path[400];
        static uint8_t bytes[1 << 16];

        snprintf(path, sizeof path, PH_TEST_DIR "/unit/golden/copy15_%s.txt", captures[i].name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        size_t len = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        assert_int_equal(digest(&shape, (struct ph_span){bytes, len}, &walked, NULL), PH_OK);
        assert_int_equal(walked.rows, captures[i].rows);
        assert_int_equal(walked.consumed, len);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_lines_are_taken),
        cmocka_unit_test(the_end_marker_ends),
        cmocka_unit_test(wrong_field_counts_are_refused),
        cmocka_unit_test(long_lines_are_refused_early),
        cmocka_unit_test(digest_is_of_the_lines_not_their_order),
        cmocka_unit_test(rows_come_one_by_one),
        cmocka_unit_test(escapes_go_both_ways),
        cmocka_unit_test(captures_of_a_server_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
