/*
 * Input: values, one a line, a 0 byte, a text. What is found stands there, whole values are found
 * in themselves, and quoted texts are taken apart within their bounds.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "job/leak_search.h"
#include "job/leak_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MOST 50u

struct seen {
    struct ph_span text;
    const struct ph_leak_needle *wanted;
    bool was_found;
};

static bool
is_letter(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool
same(uint8_t a, uint8_t b)
{
    return a == b || (is_letter(a) && is_letter(b) && (a ^ b) == 0x20);
}

static void
stands_there(void *arg, const struct ph_leak_needle *needle)
{
    struct seen *seen = arg;
    bool found = false;

    for (size_t at = 0; at + needle->len <= seen->text.len && !found; at++) {
        found = true;
        for (size_t i = 0; i < needle->len && found; i++)
            found = same(needle->text[i], seen->text.data[at + i]);
    }
    CHECK(found);
    seen->was_found |= needle == seen->wanted;
}

static bool
take(void *sample, struct ph_span value)
{
    return ph_leak_telling(&value) ? ph_leak_sample_add(sample, value) : true;
}

static void
take_lines(struct ph_leak_sample *sample, struct ph_span lines)
{
    for (size_t at = 0; at < lines.len;) {
        const uint8_t *end = memchr(lines.data + at, '\n', lines.len - at);
        size_t len = end != NULL ? (size_t)(end - lines.data) - at : lines.len - at;
        CHECK(take(sample, (struct ph_span){lines.data + at, len}));
        at += len + 1;
    }
}

static void
search(const struct ph_leak_search *search, struct ph_span text)
{
    struct seen seen = {.text = text};
    struct ph_buf plain;

    ph_leak_search_run(search, text, stands_there, &seen);
    ph_buf_init(&plain, (size_t)1 << 24);
    ph_leak_unescape(text, &plain);
    CHECK(ph_buf_ok(&plain) && plain.len <= text.len);
    CHECK(
        ph_leak_is_escaped(text) ||
        (plain.len == text.len && (text.len == 0 || memcmp(plain.data, text.data, text.len) == 0)));
    seen.text = (struct ph_span){plain.data, plain.len};
    ph_leak_search_run(search, seen.text, stands_there, &seen);
    ph_buf_free(&plain);
    for (uint32_t i = 0; i < search->n; i++) {
        const struct ph_leak_needle *needle = &search->needles[i];
        struct seen own = {.text = {needle->text, needle->len}, .wanted = needle};
        ph_leak_search_run(search, own.text, stands_there, &own);
        CHECK(own.was_found);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *zero = len > 0 ? memchr(data, 0, len) : NULL;
    size_t n_values = zero != NULL ? (size_t)(zero - data) : len;
    struct ph_span text = {data + n_values, len - n_values};
    struct ph_leak_sample sample;
    struct ph_leak_search all;
    struct ph_buf scratch;

    if (text.len > 0)
        text = (struct ph_span){text.data + 1, text.len - 1};
    CHECK(ph_leak_sample_init(&sample, MOST));
    ph_buf_init(&scratch, (size_t)1 << 24);
    take_lines(&sample, (struct ph_span){data, n_values});
    CHECK(ph_leak_each_leaf(text, PH_LEAK_STRINGS_AND_NUMBERS, &scratch, take, &sample));
    CHECK(ph_leak_each_leaf(text, PH_LEAK_STRINGS, &scratch, take, &sample));
    ph_leak_sample_finish(&sample);
    CHECK(sample.n <= MOST && (sample.is_part || sample.n <= sample.distinct));
    CHECK(ph_leak_search_init(&all, sample.n));
    for (uint32_t i = 0; i < sample.n; i++)
        ph_leak_search_put(&all, sample.items[i], 0, i);
    ph_leak_search_finish(&all);
    search(&all, text);
    ph_leak_search_free(&all);
    ph_leak_sample_free(&sample);
    ph_buf_free(&scratch);
    return 0;
}
