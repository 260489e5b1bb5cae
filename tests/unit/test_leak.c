/* What a leak scan looks for and how it finds it, without servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "job/leak_search.h"
#include "job/leak_text.h"
#include "rules/mask_lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ph_span
span(const char *text)
{
    return (struct ph_span){(const uint8_t *)text, strlen(text)};
}

/* ---- which values ---- */

static bool
telling(const char *text)
{
    struct ph_span value = span(text);

    return ph_leak_telling(&value);
}

static void
test_telling(void **state)
{
    struct ph_span value = span("  Ann Lee\n");

    (void)state;
    assert_true(ph_leak_telling(&value));
    assert_int_equal(value.len, 7);
    assert_memory_equal(value.data, "Ann Lee", 7);
    assert_true(telling("Annie"));
    assert_true(telling("\xC3\xA9\xC3\xA9."));
    assert_true(telling("+49 30 1234567"));
    assert_false(telling("Anna "));
    assert_false(telling(""));
    assert_false(telling("     "));
    assert_false(telling("10115"));
    assert_false(telling("2024-01-31")); /* a date */
    assert_false(telling("**********"));
}

static int
by_number(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The kept values in an order that does not depend on the hash, as one text. */
static char *
kept(const struct ph_leak_sample *sample)
{
    char **items = calloc(sample->n + 1, sizeof *items);
    char *out = calloc(sample->n + 1, 64);

    assert_non_null(items);
    assert_non_null(out);
    for (uint32_t i = 0; i < sample->n; i++)
        assert_true(asprintf(&items[i], "%.*s ", sample->items[i]->len, sample->items[i]->bytes) >
                    0);
    qsort(items, sample->n, sizeof *items, by_number);
    for (uint32_t i = 0; i < sample->n; i++) {
        strncat(out, items[i], 60);
        free(items[i]);
    }
    free(items);
    return out;
}

static void
add_numbered(struct ph_leak_sample *sample, uint32_t number)
{
    char text[40];

    snprintf(text, sizeof text, "value%u", number);
    assert_true(ph_leak_sample_add(sample, span(text)));
}

/* Rows in another order, and values that come again and again, give the same values. */
static void
test_sample(void **state)
{
    struct ph_leak_sample up;
    struct ph_leak_sample down;

    (void)state;
    assert_true(ph_leak_sample_init(&up, 100));
    assert_true(ph_leak_sample_init(&down, 100));
    for (uint32_t i = 0; i < 50000; i++)
        add_numbered(&up, i);
    for (uint32_t times = 0; times < 2; times++) {
        for (uint32_t i = 50000; i > 0; i--)
            add_numbered(&down, i - 1);
    }
    ph_leak_sample_finish(&up);
    ph_leak_sample_finish(&down);
    assert_int_equal(up.n, 100);
    char *of_up = kept(&up);
    char *of_down = kept(&down);
    assert_string_equal(of_up, of_down);
    assert_true(up.distinct > 30000 && up.distinct < 80000);
    assert_int_equal(down.distinct, up.distinct);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(up.items[i]->rows, 1);
        assert_int_equal(down.items[i]->rows, 2);
    }
    free(of_up);
    free(of_down);
    ph_leak_sample_free(&up);
    ph_leak_sample_free(&down);
}

static void
test_small_sample(void **state)
{
    struct ph_leak_sample sample;
    char longer[300];

    (void)state;
    memset(longer, 'x', sizeof longer);
    longer[299] = '\0';
    assert_true(ph_leak_sample_init(&sample, 1000));
    for (uint32_t i = 0; i < 49000; i++)
        add_numbered(&sample, i % 700);
    assert_true(ph_leak_sample_add(&sample, span(longer)));
    ph_leak_sample_finish(&sample);
    assert_int_equal(sample.n, 701);
    assert_false(sample.is_part);
    assert_int_equal(sample.distinct, 701);
    assert_false(sample.has_common);
    uint32_t cut = 0;
    for (uint32_t i = 0; i < sample.n; i++)
        cut += sample.items[i]->is_cut;
    assert_int_equal(cut, 1);
    ph_leak_sample_free(&sample);
}

/* One in a hundred rows has it, a hundred at least: nobody's. */
static void
test_common_values(void **state)
{
    struct ph_leak_sample sample;

    (void)state;
    assert_true(ph_leak_sample_init(&sample, 100));
    for (uint32_t i = 0; i < 20000; i++) {
        add_numbered(&sample, i);
        if (i % 90 == 0)
            assert_true(ph_leak_sample_add(&sample, span("unknown")));
        if (i % 210 == 0)
            assert_true(ph_leak_sample_add(&sample, span("seldom")));
    }
    ph_leak_sample_finish(&sample);
    for (uint32_t i = 0; i < sample.n; i++)
        assert_memory_not_equal(sample.items[i]->bytes, "unknown", 7);
    ph_leak_sample_free(&sample);

    assert_true(ph_leak_sample_init(&sample, 30000));
    for (uint32_t i = 0; i < 20000; i++) {
        add_numbered(&sample, i);
        if (i % 90 == 0)
            assert_true(ph_leak_sample_add(&sample, span("unknown")));
        if (i % 210 == 0)
            assert_true(ph_leak_sample_add(&sample, span("seldom")));
    }
    ph_leak_sample_finish(&sample);
    assert_int_equal(sample.distinct, 20002);
    assert_int_equal(sample.n, 20001);
    assert_true(sample.has_common);
    ph_leak_sample_free(&sample);
}

/* ---- finding ---- */

struct searching {
    struct ph_leak_sample sample;
    struct ph_leak_search search;
    char found[200]; /* the values, in the order they were found */
};

static void
begin(struct searching *s, const char *const *values)
{
    memset(s, 0, sizeof *s);
    assert_true(ph_leak_sample_init(&s->sample, 1000));
    for (; *values != NULL; values++)
        assert_true(ph_leak_sample_add(&s->sample, span(*values)));
    ph_leak_sample_finish(&s->sample);
    assert_true(ph_leak_search_init(&s->search, s->sample.n));
    for (uint32_t i = 0; i < s->sample.n; i++)
        ph_leak_search_put(&s->search, s->sample.items[i], 0, i);
    ph_leak_search_finish(&s->search);
}

static void
end(struct searching *s)
{
    ph_leak_search_free(&s->search);
    ph_leak_sample_free(&s->sample);
}

static void
note(void *arg, const struct ph_leak_needle *needle)
{
    struct searching *s = arg;
    size_t len = strlen(s->found);

    snprintf(s->found + len, sizeof s->found - len, "%.*s;", needle->len, needle->text);
}

static const char *
in(struct searching *s, const char *text)
{
    s->found[0] = '\0';
    ph_leak_search_run(&s->search, span(text), note, s);
    return s->found;
}

static void
test_whole_words(void **state)
{
    static const char *const values[] = {"Winter",        "Ann Lee",    "Ann Lee-Smith",
                                         "K\xC3\xB6hler", "Ann Le Roy", NULL};
    struct searching s;

    (void)state;
    begin(&s, values);
    assert_string_equal(in(&s, "Winter"), "Winter;");
    assert_string_equal(in(&s, "Mrs Winter called"), "Winter;");
    assert_string_equal(in(&s, "(Winter), Winter."), "Winter;Winter;");
    assert_string_equal(in(&s, "Winters"), "");
    assert_string_equal(in(&s, "Midwinter, MidWinter"), "");
    assert_string_equal(in(&s, "in winter"), ""); /* a word is taken as it is written */
    assert_string_equal(in(&s, "about ANN LEE"), "Ann Lee;");
    assert_string_equal(in(&s, "ann lee-smith"), "Ann Lee-Smith;Ann Lee;");
    assert_string_equal(in(&s, "Ann Le Roi"), "");
    assert_string_equal(in(&s, "Ann Lees"), "");
    assert_string_equal(in(&s, "Frau K\xC3\xB6hler"), "K\xC3\xB6hler;");
    assert_string_equal(in(&s, "K\xC3\xB6hler\xC3\xA9"), "");
    assert_string_equal(in(&s, "Ann"), "");
    assert_string_equal(in(&s, ""), "");
    assert_string_equal(in(&s, "Winte"), "");
    end(&s);
}

static void
test_addresses_and_numbers(void **state)
{
    static const char *const values[] = {"ann@example.org", "123456789", "+49 30 1234567",
                                         "10.20.30.40", NULL};
    struct searching s;

    (void)state;
    begin(&s, values);
    assert_string_equal(in(&s, "mailto:Ann@Example.org?subject=x"), "ann@example.org;");
    assert_string_equal(in(&s, "Write to ann@example.org."), "ann@example.org;");
    assert_string_equal(in(&s, "<ann@example.org>,<ann@example.org>"),
                        "ann@example.org;ann@example.org;");
    assert_string_equal(in(&s, "jo.ann@example.org joann@example.org jo-ann@example.org"), "");
    assert_string_equal(in(&s, "ann@example.org.uk"), "");
    assert_string_equal(in(&s, "no. 123456789, paid"), "123456789;");
    assert_string_equal(in(&s, "123456789,123456789"), "123456789;123456789;");
    assert_string_equal(in(&s, "-123456789"), "123456789;");
    assert_string_equal(in(&s, "1234567890 0123456789"), "");
    assert_string_equal(in(&s, "0.123456789 123456789.5"), "");
    assert_string_equal(in(&s, "tel +49 30 1234567!"), "+49 30 1234567;");
    assert_string_equal(in(&s, "10.20.30.40/32"), "10.20.30.40;");
    assert_string_equal(in(&s, "10.20.30.401"), "");
    end(&s);
}

/* Against the obvious way, on texts made of few letters, where values overlap and nest. */
static void
test_against_simple(void **state)
{
    static const char letters[] = "ab -";
    struct searching s;
    char values[300][9];
    const char *list[301];
    uint64_t seed = 7;

    (void)state;
    for (int i = 0; i < 300; i++) {
        int len = 5 + i % 4;
        for (int k = 0; k < len; k++) {
            seed = seed * UINT64_C(6364136223846793005) + 1;
            bool is_end = k == 0 || k == len - 1;
            values[i][k] = letters[(seed >> 33) % (is_end ? 2 : 4)];
        }
        values[i][len] = '\0';
        list[i] = values[i];
    }
    list[300] = NULL;
    begin(&s, list);
    for (int times = 0; times < 3000; times++) {
        char text[25];
        for (int k = 0; k < 24; k++) {
            seed = seed * UINT64_C(6364136223846793005) + 1;
            text[k] = letters[(seed >> 33) % 4];
        }
        text[24] = '\0';
        uint32_t expected = 0;
        for (uint32_t i = 0; i < s.sample.n; i++) {
            const struct ph_leak_value *value = s.sample.items[i];
            for (size_t at = 0; at + value->len <= 24; at++)
                expected += memcmp(text + at, value->bytes, value->len) == 0 &&
                            (at == 0 || !strchr("ab", text[at - 1])) &&
                            (at + value->len == 24 || !strchr("ab", text[at + value->len]));
        }
        in(&s, text);
        uint32_t got = 0;
        for (const char *c = s.found; *c != '\0'; c++)
            got += *c == ';';
        assert_int_equal(got, expected);
    }
    end(&s);
}

/* ---- texts with quoted parts ---- */

static void
test_unescape(void **state)
{
    struct ph_buf out;

    (void)state;
    ph_buf_init(&out, 1000);
    ph_leak_unescape(span("a\\\"b \\u00e9\\ud83d\\ude00 \"\"q\"\" \\\\ \\n.\\"), &out);
    assert_string_equal(ph_buf_text(&out), "a\"b \xC3\xA9\xF0\x9F\x98\x80 \"q\" \\ \n.\\");
    ph_buf_clear(&out);
    ph_leak_unescape(span("a\\nb\\r\\tc\\b\\fd\nn"), &out);
    assert_string_equal(ph_buf_text(&out), "a\nb\r\tc\b\fd\nn");
    assert_true(ph_leak_is_escaped(span("a\\b")));
    assert_true(ph_leak_is_escaped(span("(\"a \"\"b\"\"\")")));
    assert_false(ph_leak_is_escaped(span("{\"a\":\"b\"}")));
    assert_false(ph_leak_is_escaped(span("")));
    ph_buf_free(&out);
}

static bool
put_leaf(void *arg, struct ph_span leaf)
{
    ph_buf_append(arg, leaf.data, leaf.len);
    ph_buf_putc(arg, ';');
    return true;
}

static const char *
leaves(const char *json, enum ph_leak_leaves which)
{
    static char text[300];
    struct ph_buf out;
    struct ph_buf scratch;

    ph_buf_init(&out, 1000);
    ph_buf_init(&scratch, 1000);
    assert_true(ph_leak_each_leaf(span(json), which, &scratch, put_leaf, &out));
    snprintf(text, sizeof text, "%s", ph_buf_text(&out));
    ph_buf_free(&out);
    ph_buf_free(&scratch);
    return text;
}

static void
test_leaves(void **state)
{
    (void)state;
    assert_string_equal(
        leaves("{\"name\" : \"Ann\", \"list\": [\"x\\\"y\", 12, null]}", PH_LEAK_STRINGS),
        "Ann;x\"y;");
    assert_string_equal(leaves("[\"a:b\", 123, -4.5e6, true]", PH_LEAK_STRINGS_AND_NUMBERS),
                        "a:b;123;-4.5e6;");
    assert_string_equal(leaves("\"\\u00fcber\"", PH_LEAK_STRINGS), "\xC3\xBC"
                                                                   "ber;");
    assert_string_equal(leaves("\"open", PH_LEAK_STRINGS), "ope;");
    assert_string_equal(leaves("", PH_LEAK_STRINGS), "");
}

/* ---- what masks give themselves ---- */

static void
test_lists(void **state)
{
    static const struct ph_mask_list *const lists[] = {&ph_mask_first_names, &ph_mask_last_names,
                                                       &ph_mask_streets, &ph_mask_cities};

    (void)state;
    for (size_t l = 0; l < sizeof lists / sizeof lists[0]; l++) {
        for (uint32_t i = 0; i < lists[l]->n; i++)
            assert_true(ph_mask_lists_give(span(lists[l]->words[i])));
    }
    assert_true(ph_mask_lists_give(span("Smith")));
    assert_false(ph_mask_lists_give(span("Smit")));
    assert_false(ph_mask_lists_give((struct ph_span){(const uint8_t *)"A\0da", 4}));
    assert_true(ph_mask_lists_give(span("Ada Smith")));
    assert_true(ph_mask_lists_give(span("12 Oak Street")));
    assert_true(ph_mask_lists_give(span("12 Oak Street, 12345 Woodstock")));
    assert_true(ph_mask_lists_give(span("Woodstock")));
    assert_false(ph_mask_lists_give(span("Smithers")));
    assert_false(ph_mask_lists_give(span("Smith Ada")));
    assert_false(ph_mask_lists_give(span("Oak Oak Street")));
    assert_false(ph_mask_lists_give(span("12 Oak Street, 12345 Berlin")));
    assert_false(ph_mask_lists_give(span("")));
    assert_true(ph_mask_is_of_lists("mask_city"));
    assert_false(ph_mask_is_of_lists("mask_email"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_telling),        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_small_sample),   cmocka_unit_test(test_common_values),
        cmocka_unit_test(test_whole_words),    cmocka_unit_test(test_addresses_and_numbers),
        cmocka_unit_test(test_against_simple), cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_leaves),         cmocka_unit_test(test_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
