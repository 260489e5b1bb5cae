/*
 * What a message of the change stream costs to look at and to decode, without any server: `ninja
 * micro_pgoutput`, release build. Transactions of ten changes each; median of 15 runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "wire/pgoutput.h"

#define RUNS 15
#define MESSAGES 120000u /* twelve a transaction */
#define ROUNDS 20

struct sample {
    const char *name;
    char type; /* of the changes */
    uint32_t n_fields;
    uint32_t widths[24];
};

static const struct sample samples[] = {
    {"insert, 3 columns", 'I', 3, {8, 4, 30}},
    {"update of accounts: 3 int4, char(84)", 'U', 4, {4, 4, 4, 84}},
    {"delete, 1 key of 4 columns", 'D', 4, {4, 0, 0, 0}},
    {"update, 20 columns, 300 bytes", 'U', 20, {16, 8, 8, 8, 4, 4,  4,  1,   1, 20,
                                                30, 8, 8, 4, 4, 12, 40, 100, 8, 12}},
};

static void
put_u32(struct ph_buf *out, uint32_t v)
{
    uint8_t raw[4];

    ph_store_u32(raw, v);
    ph_buf_append(out, raw, sizeof raw);
}

static void
put_u16(struct ph_buf *out, uint16_t v)
{
    uint8_t raw[2];

    ph_store_u16(raw, v);
    ph_buf_append(out, raw, sizeof raw);
}

static void
put_zeros(struct ph_buf *out, size_t n)
{
    static const uint8_t zeros[128];

    ph_buf_append(out, zeros, n);
}

static void
put_relation(struct ph_buf *out, const struct sample *sample)
{
    ph_buf_putc(out, 'R');
    put_u32(out, 1);
    ph_buf_append(out, "public\0accounts\0d", 17);
    put_u16(out, (uint16_t)sample->n_fields);
    for (uint32_t i = 0; i < sample->n_fields; i++) {
        ph_buf_append(out, "\0c\0", 3);
        put_u32(out, 23);
        put_u32(out, UINT32_MAX);
    }
}

static void
put_change(struct ph_buf *out, const struct sample *sample)
{
    ph_buf_putc(out, sample->type);
    put_u32(out, 1);
    ph_buf_putc(out, sample->type == 'D' ? 'K' : 'N');
    put_u16(out, (uint16_t)sample->n_fields);
    for (uint32_t i = 0; i < sample->n_fields; i++) {
        ph_buf_putc(out, sample->widths[i] == 0 ? 'n' : 'b');
        if (sample->widths[i] == 0)
            continue;
        put_u32(out, sample->widths[i]);
        put_zeros(out, sample->widths[i]);
    }
}

/* Message n of the stream. */
static void
put_message(struct ph_buf *out, const struct sample *sample, uint32_t n)
{
    if (n % 12 == 0) {
        ph_buf_putc(out, 'B');
        put_zeros(out, 16);
        put_u32(out, n + 1);
    } else if (n % 12 == 11) {
        ph_buf_putc(out, 'C');
        put_zeros(out, 25);
    } else {
        put_change(out, sample);
    }
}

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void
fail(const struct ph_error *err)
{
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

/* ns a message */
static double
run(struct ph_pgoutput *decoder, const struct ph_buf *bytes, const uint32_t *ends)
{
    struct ph_stream_event event;
    struct ph_stream_head head;
    struct ph_error err;
    uint64_t start = ph_clock_ns();

    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0, at = 0; i < MESSAGES; at = ends[i++]) {
            struct ph_span message = {bytes->data + at, ends[i] - at};
            ph_code rc = decoder == NULL ? ph_pgoutput_peek(message, PH_OUTSIDE_BLOCK, &head, &err)
                                         : ph_pgoutput_decode(decoder, message, i, &event, &err);
            if (rc != PH_OK)
                fail(&err);
        }
    }
    return (double)(ph_clock_ns() - start) / ((double)MESSAGES * ROUNDS);
}

static double
median(struct ph_pgoutput *decoder, const struct ph_buf *bytes, const uint32_t *ends)
{
    double runs[RUNS];

    for (int i = 0; i < RUNS; i++)
        runs[i] = run(decoder, bytes, ends);
    qsort(runs, RUNS, sizeof runs[0], by_value);
    return runs[RUNS / 2];
}

static void
measure(const struct sample *sample)
{
    static uint32_t ends[MESSAGES];
    struct ph_pgoutput *decoder = ph_pgoutput_new();
    struct ph_stream_event event;
    struct ph_error err;
    struct ph_buf bytes;

    ph_buf_init(&bytes, (size_t)1 << 30);
    put_relation(&bytes, sample);
    if (decoder == NULL || ph_pgoutput_decode(decoder, (struct ph_span){bytes.data, bytes.len}, 0,
                                              &event, &err) != PH_OK)
        fail(&err);
    ph_buf_clear(&bytes);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        put_message(&bytes, sample, i);
        ends[i] = (uint32_t)bytes.len;
    }
    printf("%-40s peek %5.1f ns  decode %6.1f ns a message\n", sample->name,
           median(NULL, &bytes, ends), median(decoder, &bytes, ends));
    ph_buf_free(&bytes);
    ph_pgoutput_free(decoder);
}

int
main(void)
{
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
        measure(&samples[i]);
    return 0;
}
