/*
 * What the digest of COPY data costs per row, without any server: `ninja micro_copy`, release
 * build. Batches of about 256 kB are walked over and over, as a lane does; median and spread of 15
 * runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "wire/copy_binary.h"
#include "wire/copy_text.h"

#define RUNS 15
#define BATCH_BYTES (256u * 1024)
#define BYTES_PER_RUN (512u << 20)

struct sample {
    const char *name;
    uint32_t n_fields;
    uint32_t n_key_fields;
    uint32_t n_buckets;
    uint32_t widths[24]; /* of the fields, 0 ends */
};

static const struct sample samples[] = {
    {"accounts: 3 int4, char(84), key", 4, 1, 2048, {4, 4, 4, 84}},
    {"accounts, keyless", 4, 0, 2048, {4, 4, 4, 84}},
    {"two int8, key", 2, 1, 2048, {8, 8}},
    {"20 columns, 300 bytes, uuid key", 20, 1, 2048, {16, 8, 8, 8, 4, 4,  4,  1,   1, 20,
                                                      30, 8, 8, 4, 4, 12, 40, 100, 8, 12}},
    {"one text of 2 kB", 2, 1, 2048, {8, 2048}},
    {"one text of 60 kB", 2, 1, 2048, {8, 61440}},
};

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static uint64_t
fill_binary(struct ph_buf *out, const struct sample *sample)
{
    uint8_t bytes[61440];
    uint32_t state = 1;
    uint64_t rows = 0;

    while (out->len < BATCH_BYTES) {
        ph_copy_binary_put_count(out, sample->n_fields);
        for (uint32_t i = 0; i < sample->n_fields; i++) {
            for (uint32_t b = 0; b < sample->widths[i]; b++)
                bytes[b] = (uint8_t)((state = state * 1664525u + 1013904223u) >> 24);
            ph_copy_binary_put_field(out, (struct ph_span){bytes, sample->widths[i]});
        }
        rows++;
    }
    return rows;
}

/* The same widths; digits and letters, nothing to escape. */
static uint64_t
fill_text(struct ph_buf *out, const struct sample *sample)
{
    uint32_t state = 1;
    uint64_t rows = 0;

    while (out->len < BATCH_BYTES) {
        for (uint32_t i = 0; i < sample->n_fields; i++) {
            if (i > 0)
                ph_buf_putc(out, '\t');
            for (uint32_t b = 0; b < sample->widths[i]; b++)
                ph_buf_putc(out, (char)('0' + ((state = state * 1664525u + 1013904223u) >> 27)));
        }
        ph_buf_putc(out, '\n');
        rows++;
    }
    return rows;
}

static const struct format {
    const char *name;
    uint64_t (*fill)(struct ph_buf *out, const struct sample *sample);
    ph_code (*digest)(const struct ph_copy_shape *shape, struct ph_span bytes,
                      struct ph_digest_set *set, struct ph_copy_walked *walked,
                      struct ph_error *err);
} formats[] = {
    {"binary", fill_binary, ph_copy_binary_digest},
    {"text", fill_text, ph_copy_text_digest},
};

static void
run(const struct format *format, const struct sample *sample)
{
    static const uint16_t first[] = {0};
    struct ph_copy_shape shape = {first, sample->n_key_fields, sample->n_fields, 1u << 20};
    struct ph_digest_set set;
    struct ph_buf batch;
    double ns[RUNS];

    ph_buf_init(&batch, 4 * BATCH_BYTES);
    uint64_t rows = format->fill(&batch, sample);
    if (!ph_digest_set_init(&set, sample->n_buckets) || !ph_buf_ok(&batch))
        exit(1);
    uint64_t rounds = BYTES_PER_RUN / batch.len;
    for (int i = 0; i < RUNS; i++) {
        uint64_t start = ph_clock_ns();
        for (uint64_t round = 0; round < rounds; round++) {
            struct ph_copy_walked walked;
            if (format->digest(&shape, (struct ph_span){batch.data, batch.len}, &set, &walked,
                               NULL) != PH_OK ||
                walked.rows != rows)
                exit(1);
        }
        ns[i] = (double)(ph_clock_ns() - start) / (double)(rounds * rows);
    }
    qsort(ns, RUNS, sizeof ns[0], by_value);
    printf("%-6s %-34s %9.1f ns/row  (%.1f to %.1f)  %6.2f GB/s\n", format->name, sample->name,
           ns[RUNS / 2], ns[0], ns[RUNS - 1], (double)batch.len / (double)rows / ns[RUNS / 2]);
    ph_digest_set_free(&set);
    ph_buf_free(&batch);
}

int
main(void)
{
    for (size_t f = 0; f < sizeof formats / sizeof formats[0]; f++)
        for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
            run(&formats[f], &samples[i]);
    return 0;
}
