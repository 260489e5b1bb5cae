/*
 * One tuple parser, inlined twice: into the digest of a whole buffer, which every row of every copy
 * passes through, and into the row-by-row walk. It only measures; the cold side words the failures.
 * The hashes stay functions of base/digest: inlined here they were not measurably faster
 * (bench/micro: 13 ns a row of pgbench_accounts either way).
 */
#include "wire/copy_binary.h"

#include <assert.h>

#define SIGNATURE_SIZE 11u
#define FLAGS_CRITICAL 0xffff0000u
#define EXTENSION_LIMIT (1u << 20) /* no server sends one; what is larger is no header */

static const uint8_t signature[SIGNATURE_SIZE] = {'P',  'G',  'C',  'O',  'P', 'Y',
                                                  '\n', 0xff, '\r', '\n', 0};

enum outcome { TOOK_ROW, TOOK_END, NEEDS_MORE, BAD_COUNT, BAD_LENGTH, TOO_LARGE };

struct tuple {
    const uint8_t *end;
    uint64_t key_hash; /* 0 without a key */
};

ph_code
ph_copy_binary_header(struct ph_span bytes, size_t *consumed, struct ph_error *err)
{
    struct ph_cursor in = ph_cursor_of(bytes.data, bytes.len);
    struct ph_span magic = {NULL, 0};
    struct ph_span extension;
    size_t known = bytes.len < SIGNATURE_SIZE ? bytes.len : SIGNATURE_SIZE;
    uint32_t flags;
    uint32_t extension_len;

    *consumed = 0;
    if (known > 0 &&
        (!ph_take_span(&in, known, &magic) || memcmp(magic.data, signature, known) != 0))
        return PH_FAIL(err, PH_E_PROTOCOL, "binary COPY data does not start with its signature");
    if (!ph_take_u32(&in, &flags) || !ph_take_u32(&in, &extension_len))
        return PH_OK;
    if ((flags & FLAGS_CRITICAL) != 0)
        return PH_FAIL(err, PH_E_UNSUPPORTED, "binary COPY header has unknown flags 0x%08x", flags);
    if (extension_len > EXTENSION_LIMIT)
        return PH_FAIL(err, PH_E_PROTOCOL, "binary COPY header extension of %u bytes",
                       extension_len);
    if (ph_take_span(&in, extension_len, &extension))
        *consumed = (size_t)(in.at - bytes.data);
    return PH_OK;
}

/*
 * The lengths seen so far say where the row ends at the least, so a row above the limit is refused
 * before its bytes are there.
 */
static inline __attribute__((always_inline)) enum outcome
take_tuple(const struct ph_copy_shape *shape, struct ph_cursor in, struct ph_span *fields,
           struct tuple *out)
{
    const uint8_t *start = in.at;
    const uint16_t *key = shape->key_fields;
    uint32_t keys_left = shape->n_key_fields;
    uint64_t key_hash = 0;
    int16_t count;

    if (!ph_take_i16(&in, &count))
        return NEEDS_MORE;
    out->end = in.at;
    if (count == -1)
        return TOOK_END;
    if (count < 0 || (uint32_t)count != shape->n_fields)
        return BAD_COUNT;
    for (uint32_t i = 0; i < shape->n_fields; i++) {
        struct ph_span field = {NULL, 0};
        int32_t len;
        if (!ph_take_i32(&in, &len))
            return NEEDS_MORE;
        if (len < -1)
            return BAD_LENGTH;
        if (len >= 0 && !ph_take_span(&in, (size_t)len, &field))
            return (size_t)(in.at - start) + (size_t)len > shape->max_row_bytes ? TOO_LARGE
                                                                                : NEEDS_MORE;
        if (fields != NULL)
            fields[i] = field;
        if (keys_left > 0 && i == *key) {
            key_hash = ph_digest_key(key_hash, field);
            key++;
            keys_left--;
        }
    }
    out->end = in.at;
    out->key_hash = key_hash;
    return (size_t)(in.at - start) > shape->max_row_bytes ? TOO_LARGE : TOOK_ROW;
}

static __attribute__((noinline, cold)) ph_code
word_failure(const struct ph_copy_shape *shape, struct ph_span at, enum outcome outcome,
             struct ph_error *err)
{
    if (outcome == BAD_COUNT)
        return PH_FAIL(err, PH_E_PROTOCOL, "tuple has %d fields, expected %u",
                       (int)(int16_t)ph_load_u16(at.data), shape->n_fields);
    if (outcome == BAD_LENGTH)
        return PH_FAIL(err, PH_E_PROTOCOL, "tuple has a field of negative length");
    return PH_FAIL(err, PH_E_ROW_TOO_LARGE, "a row is larger than %zu bytes", shape->max_row_bytes);
}

ph_code
ph_copy_binary_digest(const struct ph_copy_shape *shape, struct ph_span bytes,
                      struct ph_digest_set *set, struct ph_copy_walked *walked,
                      struct ph_error *err)
{
    struct ph_cursor in = ph_cursor_of(bytes.data, bytes.len);
    struct tuple tuple;
    enum outcome outcome;
    uint64_t rows = 0;

    assert(shape->max_row_bytes > 0);
    while ((outcome = take_tuple(shape, in, NULL, &tuple)) == TOOK_ROW) {
        struct ph_span image = {in.at + 2, (size_t)(tuple.end - in.at) - 2};
        struct ph_hash128 hash = ph_digest_row(image);
        ph_digest_set_put(set, shape->n_key_fields > 0 ? tuple.key_hash : hash.lo, hash, image.len);
        in.at = tuple.end;
        rows++;
    }
    if (outcome == TOOK_END)
        in.at = tuple.end;
    *walked = (struct ph_copy_walked){
        .consumed = (size_t)(in.at - bytes.data), .rows = rows, .ended = outcome == TOOK_END};
    if (outcome == NEEDS_MORE || (outcome == TOOK_END && ph_cursor_left(&in) == 0))
        return PH_OK;
    if (outcome == TOOK_END)
        return PH_FAIL(err, PH_E_PROTOCOL, "%zu bytes behind the end of binary COPY data",
                       ph_cursor_left(&in));
    return word_failure(shape, (struct ph_span){in.at, ph_cursor_left(&in)}, outcome, err);
}

ph_code
ph_copy_binary_next(const struct ph_copy_shape *shape, struct ph_span bytes, struct ph_span *fields,
                    struct ph_copy_row *row, struct ph_error *err)
{
    struct ph_cursor in = ph_cursor_of(bytes.data, bytes.len);
    struct tuple tuple;
    enum outcome outcome = take_tuple(shape, in, fields, &tuple);

    *row = (struct ph_copy_row){.item = PH_COPY_MORE};
    if (outcome == NEEDS_MORE)
        return PH_OK;
    if (outcome != TOOK_ROW && outcome != TOOK_END)
        return word_failure(shape, bytes, outcome, err);
    row->raw = (struct ph_span){bytes.data, (size_t)(tuple.end - bytes.data)};
    row->item = PH_COPY_END;
    if (outcome == TOOK_END)
        return PH_OK;
    row->item = PH_COPY_ROW;
    row->image = (struct ph_span){bytes.data + 2, row->raw.len - 2};
    row->hash = ph_digest_row(row->image);
    row->key_hash = shape->n_key_fields > 0 ? tuple.key_hash : row->hash.lo;
    return PH_OK;
}

ph_code
ph_copy_binary_walk(struct ph_copy_binary_walk *walk, struct ph_span bytes, size_t *consumed,
                    struct ph_error *err)
{
    struct ph_copy_row row;

    *consumed = 0;
    if (!walk->has_header) {
        PH_TRY(ph_copy_binary_header(bytes, consumed, err));
        walk->has_header = *consumed > 0;
        if (!walk->has_header)
            return PH_OK;
    }
    while (!walk->has_ended) {
        struct ph_span rest = {bytes.data + *consumed, bytes.len - *consumed};
        PH_TRY(ph_copy_binary_next(&walk->shape, rest, walk->fields, &row, err));
        if (row.item == PH_COPY_MORE)
            return PH_OK;
        *consumed += row.raw.len;
        walk->has_ended = row.item == PH_COPY_END;
        if (!walk->has_ended)
            PH_TRY(walk->visit(walk->arg, &row, err));
    }
    if (*consumed < bytes.len)
        return PH_FAIL(err, PH_E_PROTOCOL, "%zu bytes behind the end of binary COPY data",
                       bytes.len - *consumed);
    return PH_OK;
}

void
ph_copy_binary_put_header(struct ph_buf *out)
{
    static const uint8_t no_flags_no_extension[8] = {0};

    ph_buf_append(out, signature, sizeof signature);
    ph_buf_append(out, no_flags_no_extension, sizeof no_flags_no_extension);
}

void
ph_copy_binary_put_count(struct ph_buf *out, uint32_t n_fields)
{
    uint8_t raw[2];

    assert(n_fields <= INT16_MAX);
    ph_store_u16(raw, (uint16_t)n_fields);
    ph_buf_append(out, raw, sizeof raw);
}

void
ph_copy_binary_put_field(struct ph_buf *out, struct ph_span field)
{
    uint8_t raw[4];

    assert(field.len <= INT32_MAX);
    ph_store_u32(raw, field.data == NULL ? UINT32_MAX : (uint32_t)field.len);
    ph_buf_append(out, raw, sizeof raw);
    if (field.data != NULL)
        ph_buf_append(out, field.data, field.len);
}

void
ph_copy_binary_put_trailer(struct ph_buf *out)
{
    static const uint8_t trailer[2] = {0xff, 0xff};

    ph_buf_append(out, trailer, sizeof trailer);
}
