/*
 * Splitting by memchr: libc's is vectorised, and nothing but newline and tab has to be looked at.
 * As in copy_binary.c one parser serves the digest and the row-by-row walk.
 */
#include "wire/copy_text.h"

#include <assert.h>

enum outcome { TOOK_ROW, TOOK_END, NEEDS_MORE, BAD_COUNT, TOO_LARGE };

struct line {
    struct ph_span text;
    uint32_t n_fields;
    uint64_t key_hash; /* 0 without a key */
};

/* The characters that are escaped by a letter, and the letters. */
static const char escaped[] = "\b\f\n\r\t\v\\";
static const char letters[] = "bfnrtv\\";

static bool
is_text(struct ph_span span, const char *two)
{
    return span.len == 2 && memcmp(span.data, two, 2) == 0;
}

/* A table without columns has empty lines, and so has one with one column of empty strings. */
static inline __attribute__((always_inline)) void
split(const struct ph_copy_shape *shape, struct ph_span *fields, struct line *line)
{
    const uint8_t *at = line->text.data;
    const uint8_t *end = at + line->text.len;
    const uint16_t *key = shape->key_fields;
    uint32_t keys_left = shape->n_key_fields;

    line->key_hash = 0;
    line->n_fields = 0;
    if (shape->n_fields == 0 && at == end)
        return;
    for (;;) {
        const uint8_t *tab = memchr(at, '\t', (size_t)(end - at));
        struct ph_span field = {at, (size_t)((tab == NULL ? end : tab) - at)};
        if (fields != NULL && line->n_fields < shape->n_fields)
            fields[line->n_fields] = is_text(field, "\\N") ? (struct ph_span){NULL, 0} : field;
        if (keys_left > 0 && line->n_fields == *key) {
            line->key_hash = ph_digest_key(line->key_hash, field);
            key++;
            keys_left--;
        }
        line->n_fields++;
        if (tab == NULL)
            return;
        at = tab + 1;
    }
}

static inline __attribute__((always_inline)) enum outcome
take_line(const struct ph_copy_shape *shape, struct ph_cursor in, struct ph_span *fields,
          struct line *out)
{
    size_t left = ph_cursor_left(&in);
    const uint8_t *newline = left == 0 ? NULL : memchr(in.at, '\n', left);
    size_t len = newline == NULL ? left : (size_t)(newline - in.at);

    if (len > shape->max_row_bytes)
        return TOO_LARGE;
    if (newline == NULL)
        return NEEDS_MORE;
    out->text = (struct ph_span){in.at, len};
    if (is_text(out->text, "\\."))
        return TOOK_END;
    split(shape, fields, out);
    return out->n_fields == shape->n_fields ? TOOK_ROW : BAD_COUNT;
}

static __attribute__((noinline, cold)) ph_code
word_failure(const struct ph_copy_shape *shape, const struct line *line, enum outcome outcome,
             struct ph_error *err)
{
    if (outcome == BAD_COUNT)
        return PH_FAIL(err, PH_E_PROTOCOL, "line has %u fields, expected %u", line->n_fields,
                       shape->n_fields);
    return PH_FAIL(err, PH_E_ROW_TOO_LARGE, "a row is larger than %zu bytes", shape->max_row_bytes);
}

ph_code
ph_copy_text_digest(const struct ph_copy_shape *shape, struct ph_span bytes,
                    struct ph_digest_set *set, struct ph_copy_walked *walked, struct ph_error *err)
{
    struct ph_cursor in = ph_cursor_of(bytes.data, bytes.len);
    struct line line;
    enum outcome outcome;
    uint64_t rows = 0;

    assert(shape->max_row_bytes > 0);
    while ((outcome = take_line(shape, in, NULL, &line)) == TOOK_ROW) {
        struct ph_hash128 hash = ph_digest_row(line.text);
        ph_digest_set_put(set, shape->n_key_fields > 0 ? line.key_hash : hash.lo, hash,
                          line.text.len);
        in.at += line.text.len + 1;
        rows++;
    }
    if (outcome == TOOK_END)
        in.at += line.text.len + 1;
    *walked = (struct ph_copy_walked){
        .consumed = (size_t)(in.at - bytes.data), .rows = rows, .ended = outcome == TOOK_END};
    if (outcome == NEEDS_MORE || (outcome == TOOK_END && ph_cursor_left(&in) == 0))
        return PH_OK;
    if (outcome == TOOK_END)
        return PH_FAIL(err, PH_E_PROTOCOL, "%zu bytes behind the end of COPY data",
                       ph_cursor_left(&in));
    return word_failure(shape, &line, outcome, err);
}

ph_code
ph_copy_text_next(const struct ph_copy_shape *shape, struct ph_span bytes, struct ph_span *fields,
                  struct ph_copy_row *row, struct ph_error *err)
{
    struct line line;
    enum outcome outcome = take_line(shape, ph_cursor_of(bytes.data, bytes.len), fields, &line);

    *row = (struct ph_copy_row){.item = PH_COPY_MORE};
    if (outcome == NEEDS_MORE)
        return PH_OK;
    if (outcome != TOOK_ROW && outcome != TOOK_END)
        return word_failure(shape, &line, outcome, err);
    row->raw = (struct ph_span){bytes.data, line.text.len + 1};
    row->item = PH_COPY_END;
    if (outcome == TOOK_END)
        return PH_OK;
    row->item = PH_COPY_ROW;
    row->image = line.text;
    row->hash = ph_digest_row(line.text);
    row->key_hash = shape->n_key_fields > 0 ? line.key_hash : row->hash.lo;
    return PH_OK;
}

void
ph_copy_text_put_field(struct ph_buf *out, struct ph_span value)
{
    if (value.data == NULL) {
        ph_buf_puts(out, "\\N");
        return;
    }
    for (size_t i = 0; i < value.len; i++) {
        const char *found = memchr(escaped, value.data[i], sizeof escaped - 1);
        if (found != NULL)
            ph_buf_putc(out, '\\');
        ph_buf_putc(out, found != NULL ? letters[found - escaped] : (char)value.data[i]);
    }
}

void
ph_copy_text_unescape(struct ph_span field, struct ph_buf *out)
{
    for (size_t i = 0; i < field.len; i++) {
        const char *found = NULL;
        if (field.data[i] == '\\' && i + 1 < field.len) {
            i++;
            found = memchr(letters, field.data[i], sizeof letters - 1);
        }
        ph_buf_putc(out, found != NULL ? escaped[found - letters] : (char)field.data[i]);
    }
}
