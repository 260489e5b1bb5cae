/*
 * Input: number of fields, bits of the key fields, size limit / 16, where to cut; then the bytes of
 * a COPY BINARY stream. Whole, by two pieces, row by row and by a walk must come to the same.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/copy_binary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void
by_rows(const struct ph_copy_shape *shape, struct ph_span bytes, struct ph_digest_set *set,
        const struct ph_copy_walked *walked)
{
    struct ph_span fields[64];
    struct ph_copy_row row = {.item = PH_COPY_ROW};
    size_t at = 0;

    for (uint64_t i = 0; i < walked->rows; i++) {
        struct ph_span rest = {bytes.data + at, bytes.len - at};
        CHECK(ph_copy_binary_next(shape, rest, fields, &row, NULL) == PH_OK);
        CHECK(row.item == PH_COPY_ROW && row.raw.len <= shape->max_row_bytes);
        for (uint32_t f = 0; f < shape->n_fields; f++)
            CHECK(fields[f].data == NULL ||
                  (fields[f].data >= rest.data &&
                   fields[f].data + fields[f].len <= rest.data + row.raw.len));
        ph_digest_set_put(set, row.key_hash, row.hash, row.image.len);
        at += row.raw.len;
    }
    CHECK(at + (walked->ended ? 2 : 0) == walked->consumed);
}

static void
check(const struct ph_copy_shape *shape, struct ph_span bytes, size_t cut)
{
    struct ph_digest_set whole;
    struct ph_digest_set other;
    struct ph_copy_walked walked;
    struct ph_copy_walked first;
    struct ph_copy_walked second;

    CHECK(ph_digest_set_init(&whole, 1024) && ph_digest_set_init(&other, 1024));
    ph_code rc = ph_copy_binary_digest(shape, bytes, &whole, &walked, NULL);
    CHECK(walked.consumed <= bytes.len && walked.rows == whole.rows);
    by_rows(shape, bytes, &other, &walked);
    CHECK(memcmp(whole.buckets, other.buckets, 1024 * sizeof whole.buckets[0]) == 0);
    ph_digest_set_clear(&other);
    if (cut > bytes.len)
        cut = bytes.len;
    if (ph_copy_binary_digest(shape, (struct ph_span){bytes.data, cut}, &other, &first, NULL) ==
            PH_OK &&
        !first.ended) {
        struct ph_span rest = {bytes.data + first.consumed, bytes.len - first.consumed};
        CHECK(ph_copy_binary_digest(shape, rest, &other, &second, NULL) == rc);
        CHECK(first.consumed + second.consumed == walked.consumed);
        CHECK(memcmp(whole.buckets, other.buckets, 1024 * sizeof whole.buckets[0]) == 0);
    }
    ph_digest_set_free(&whole);
    ph_digest_set_free(&other);
}

static ph_code
count_row(void *arg, const struct ph_copy_row *row, struct ph_error *err)
{
    (void)err;
    CHECK(row->item == PH_COPY_ROW);
    ++*(uint64_t *)arg;
    return PH_OK;
}

/* `bytes` begin with the header, which is whole and of `header` bytes. */
static void
check_walk(const struct ph_copy_shape *shape, struct ph_span bytes, size_t header, size_t cut)
{
    struct ph_span rows = {bytes.data + header, bytes.len - header};
    struct ph_digest_set set;
    struct ph_copy_walked walked;
    struct ph_span fields[64];
    uint64_t seen = 0;
    struct ph_copy_binary_walk walk = {
        .shape = *shape, .fields = fields, .visit = count_row, .arg = &seen};
    size_t consumed;

    CHECK(ph_digest_set_init(&set, 1024));
    ph_code rc = ph_copy_binary_digest(shape, rows, &set, &walked, NULL);
    ph_digest_set_free(&set);
    if (cut > bytes.len)
        cut = bytes.len;
    if (ph_copy_binary_walk(&walk, (struct ph_span){bytes.data, cut}, &consumed, NULL) != PH_OK)
        return;
    CHECK(consumed <= cut);
    struct ph_span rest = {bytes.data + consumed, bytes.len - consumed};
    CHECK(ph_copy_binary_walk(&walk, rest, &consumed, NULL) == rc);
    CHECK(seen == walked.rows && walk.has_ended == walked.ended);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint16_t keys[8];
    struct ph_copy_shape shape = {.key_fields = keys};
    struct ph_span bytes;
    size_t header;

    if (len < 4)
        return 0;
    shape.n_fields = data[0] % 64;
    for (uint16_t i = 0; i < 8 && i < shape.n_fields; i++)
        if ((data[1] >> i & 1) != 0)
            keys[shape.n_key_fields++] = i;
    shape.max_row_bytes = 16 * (1 + (size_t)data[2]);
    bytes = (struct ph_span){data + 4, len - 4};
    ph_code rc = ph_copy_binary_header(bytes, &header, NULL);
    CHECK(header <= bytes.len && (rc == PH_OK || header == 0));
    if (header > 0) {
        check(&shape, (struct ph_span){bytes.data + header, bytes.len - header}, data[3]);
        check_walk(&shape, bytes, header, data[3]);
    }
    check(&shape, bytes, data[3]);
    return 0;
}
