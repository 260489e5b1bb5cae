/*
 * Input: which of three fields are trimmed, then rows of COPY BINARY. What is no row must not be
 * read past; what are rows must come out as the same rows without the blanks.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/copy_binary.h"
#include "wire/copy_trim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static const struct ph_copy_shape shape = {NULL, 0, 3, 1u << 20};

static struct ph_span
trimmed(struct ph_span field)
{
    while (field.len > 0 && field.data[field.len - 1] == ' ')
        field.len--;
    return field;
}

static void
check_field(struct ph_span before, struct ph_span after, bool is_trimmed)
{
    struct ph_span wanted = is_trimmed ? trimmed(before) : before;

    CHECK((before.data == NULL) == (after.data == NULL));
    CHECK(before.data == NULL ||
          (wanted.len == after.len && memcmp(wanted.data, after.data, wanted.len) == 0));
}

static void
check_rows(struct ph_span before, struct ph_span after, unsigned mask)
{
    struct ph_span fields[2][3];
    struct ph_copy_row rows[2];

    for (;;) {
        CHECK(ph_copy_binary_next(&shape, before, fields[0], &rows[0], NULL) == PH_OK);
        CHECK(ph_copy_binary_next(&shape, after, fields[1], &rows[1], NULL) == PH_OK);
        CHECK(rows[0].item == rows[1].item);
        if (rows[0].item != PH_COPY_ROW)
            return;
        for (unsigned i = 0; i < 3; i++)
            check_field(fields[0][i], fields[1][i], (mask >> i & 1) != 0);
        before = (struct ph_span){before.data + rows[0].raw.len, before.len - rows[0].raw.len};
        after = (struct ph_span){after.data + rows[1].raw.len, after.len - rows[1].raw.len};
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ph_copy_walked walked;
    struct ph_digest_set set;
    uint16_t fields[3];
    uint32_t n = 0;

    if (len == 0)
        return 0;
    for (uint16_t i = 0; i < 3; i++) {
        if ((data[0] >> i & 1) != 0)
            fields[n++] = i;
    }
    uint8_t *bytes = malloc(len);
    CHECK(bytes != NULL);
    memcpy(bytes, data + 1, len - 1);
    size_t after = ph_copy_binary_trim(fields, n, bytes, len - 1);
    CHECK(after <= len - 1);
    CHECK(ph_digest_set_init(&set, PH_DIGEST_MIN_BUCKETS));
    struct ph_span given = {data + 1, len - 1};
    if (ph_copy_binary_digest(&shape, given, &set, &walked, NULL) == PH_OK &&
        walked.consumed == given.len)
        check_rows(given, (struct ph_span){bytes, after}, data[0]);
    ph_digest_set_free(&set);
    free(bytes);
    return 0;
}
