#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "wire/copy_binary.h"
#include "wire/copy_trim.h"

static struct ph_span
span(const char *text)
{
    return (struct ph_span){(const uint8_t *)text, text == NULL ? 0 : strlen(text)};
}

struct row {
    const char *a;
    const char *b;
    const char *c;
};

static void
put(struct ph_buf *out, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ph_copy_binary_put_count(out, 3);
        ph_copy_binary_put_field(out, span(rows[i].a));
        ph_copy_binary_put_field(out, span(rows[i].b));
        ph_copy_binary_put_field(out, span(rows[i].c));
    }
}

static void
becomes(const uint16_t *fields, uint32_t n_fields, const struct row *before,
        const struct row *after, size_t n, bool trailer)
{
    struct ph_buf given;
    struct ph_buf wanted;

    ph_buf_init(&given, 1 << 16);
    ph_buf_init(&wanted, 1 << 16);
    put(&given, before, n);
    put(&wanted, after, n);
    if (trailer) {
        ph_copy_binary_put_trailer(&given);
        ph_copy_binary_put_trailer(&wanted);
    }
    size_t len = ph_copy_binary_trim(fields, n_fields, given.data, given.len);
    assert_int_equal(len, wanted.len);
    assert_memory_equal(given.data, wanted.data, len);
    ph_buf_free(&given);
    ph_buf_free(&wanted);
}

static const struct row padded[] = {
    {"a  ", "b                     ", "c "},
    {" ", NULL, ""},
    {NULL, "        ", "  "},
    {"  x", "                 y", "z"},
    {"", "1234567 ", " "},
    {"\t ", "\xc3\xa4       ", NULL},
};
#define N (sizeof padded / sizeof padded[0])

static void
test_only_the_named_fields(void **state)
{
    static const uint16_t second[] = {1};
    static const uint16_t outer[] = {0, 2};
    static const struct row without_second[] = {
        {"a  ", "b", "c "},   {" ", NULL, ""},
        {NULL, "", "  "},     {"  x", "                 y", "z"},
        {"", "1234567", " "}, {"\t ", "\xc3\xa4", NULL},
    };
    static const struct row without_outer[] = {
        {"a", "b                     ", "c"}, {"", NULL, ""},       {NULL, "        ", ""},
        {"  x", "                 y", "z"},   {"", "1234567 ", ""}, {"\t", "\xc3\xa4       ", NULL},
    };

    (void)state;
    becomes(second, 1, padded, without_second, N, false);
    becomes(second, 1, padded, without_second, N, true);
    becomes(outer, 2, padded, without_outer, N, true);
    becomes(NULL, 0, padded, padded, N, true);
    becomes(second, 1, padded, padded, 0, true);
    becomes(second, 1, padded, padded, 0, false);
}

/* What is no whole row stays as it is; nothing behind the buffer is read. */
static void
test_cut_short(void **state)
{
    static const uint16_t every[] = {0, 1, 2};
    struct ph_buf whole;

    (void)state;
    ph_buf_init(&whole, 1 << 16);
    put(&whole, padded, N);
    for (size_t len = 0; len < whole.len; len++) {
        uint8_t *bytes = malloc(len + 1);
        assert_non_null(bytes);
        memcpy(bytes, whole.data, len);
        uint8_t *exact = realloc(bytes, len > 0 ? len : 1);
        assert_true(ph_copy_binary_trim(every, 3, exact, len) <= len);
        free(exact);
    }
    ph_buf_free(&whole);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_named_fields),
        cmocka_unit_test(test_cut_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
