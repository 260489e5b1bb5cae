/*
 * The spool alone: how fast small changes go in, to disk, and out again.
 *
 *   micro_spool DIR [TRANSACTIONS [CHANGE_BYTES [FRAME_KB [lz4|zstd|none]]]]
 *
 * Transactions of five changes as pgbench makes them. First one thread appends while another syncs;
 * then one reads all; then both at once. CPU is the process's, per message.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "spool/reader.h"
#include "spool/spool.h"

#define CHANGES 5u

struct bench {
    struct ph_spool *spool;
    uint64_t txns;
    size_t change_bytes;
    uint64_t base; /* transactions of earlier rounds */
    uint64_t messages_read;
    uint64_t bytes_read;
    atomic_bool done;
};

static void
must(ph_code rc, const struct ph_error *err)
{
    if (rc == PH_OK)
        return;
    fprintf(stderr, "micro_spool: %s: %s\n", ph_code_text(rc), err->message);
    exit(1);
}

static void
append(struct bench *bench, enum ph_spool_message_kind kind, struct ph_span bytes, ph_lsn end)
{
    struct ph_spool_message message = {.kind = kind, .bytes = bytes, .end_lsn = end};
    struct ph_error err;

    must(ph_spool_append(bench->spool, &message, &err), &err);
}

/* An update of one column: the tuple's text repeats, its key and value do not. */
static void
vary(uint8_t *change, size_t len, uint64_t n)
{
    for (size_t at = 10; at + 24 <= len; at += 40) {
        n = n * 6364136223846793005u + 1442695040888963407u;
        memcpy(change + at, &n, sizeof n);
    }
}

static void *
write_all(void *arg)
{
    struct bench *bench = arg;
    uint8_t change[65536];
    struct ph_error err;

    memset(change, ' ', sizeof change);
    for (uint64_t n = bench->base; n < bench->base + bench->txns; n++) {
        append(bench, PH_SPOOL_BEGIN, (struct ph_span){change, 21}, 0);
        for (uint32_t i = 0; i < CHANGES; i++) {
            vary(change, bench->change_bytes, n * CHANGES + i);
            append(bench, PH_SPOOL_CHANGE, (struct ph_span){change, bench->change_bytes}, 0);
        }
        append(bench, PH_SPOOL_COMMIT, (struct ph_span){change, 26}, 1000 + (n + 1) * 100);
    }
    must(ph_spool_flush(bench->spool, &err), &err);
    return NULL;
}

static void *
sync_all(void *arg)
{
    struct bench *bench = arg;
    struct ph_error err;

    while (!atomic_load(&bench->done))
        must(ph_spool_sync(bench->spool, 100, &err), &err);
    return NULL;
}

static void *
read_all(void *arg)
{
    struct bench *bench = arg;
    ph_lsn end = 1000 + (bench->base + bench->txns) * 100;
    struct ph_spool_reader *reader;
    struct ph_spool_step step = {0};
    struct ph_spool_item item;
    struct ph_error err;

    must(ph_spool_reader_open(bench->spool, 1000 + bench->base * 100, &reader, &err), &err);
    bench->messages_read = bench->bytes_read = 0;
    while (step.last_end < end) {
        bool more = true;

        must(ph_spool_reader_next(reader, 1000, &step, &err), &err);
        while (more) {
            must(ph_spool_reader_message(reader, &item, &more, &err), &err);
            bench->messages_read += more;
            bench->bytes_read += more ? item.bytes.len : 0;
        }
    }
    ph_spool_reader_close(reader);
    return NULL;
}

static double
cpu_seconds(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (double)used.ru_utime.tv_sec + (double)used.ru_stime.tv_sec +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* Run the threads given at once, beside a syncer. */
static void
measure(struct bench *bench, const char *name, void *(*first)(void *), void *(*second)(void *))
{
    double messages = (double)bench->txns * (CHANGES + 2);
    double megabytes = (double)bench->txns * (CHANGES * (double)bench->change_bytes + 47) / 1e6;
    pthread_t threads[3];
    struct ph_error err;

    atomic_store(&bench->done, false);
    uint64_t begun = ph_clock_ns();
    double cpu = cpu_seconds();
    pthread_create(&threads[0], NULL, sync_all, bench);
    pthread_create(&threads[1], NULL, first, bench);
    if (second != NULL)
        pthread_create(&threads[2], NULL, second, bench);
    pthread_join(threads[1], NULL);
    if (second != NULL)
        pthread_join(threads[2], NULL);
    double wall = ph_clock_seconds_since(begun);
    must(ph_spool_sync(bench->spool, 0, &err), &err);
    double durable = ph_clock_seconds_since(begun);
    cpu = cpu_seconds() - cpu;
    atomic_store(&bench->done, true);
    pthread_join(threads[0], NULL);
    printf("%-12s %6.2f s (%.2f durable), %5.0f MB/s, %5.3f us a message, CPU %5.3f\n", name, wall,
           durable, megabytes / wall, wall * 1e6 / messages, cpu * 1e6 / messages);
}

static enum ph_spool_packing
packing_of(const char *name)
{
    if (strcmp(name, "none") == 0)
        return PH_PACK_NONE;
    return strcmp(name, "zstd") == 0 ? PH_PACK_ZSTD : PH_PACK_LZ4;
}

int
main(int argc, char **argv)
{
    struct ph_spool_params params = {.id = ph_spool_id_of("micro"), .begin = 1000};
    struct ph_spool_session session = {.system_id = 1, .timeline = 1, .start = 1000};
    struct ph_spool_positions positions;
    struct bench bench = {.txns = 1000000, .change_bytes = 110};
    struct ph_error err;
    uint64_t removed;

    if (argc < 2) {
        fprintf(stderr, "usage: micro_spool DIR [TRANSACTIONS [CHANGE_BYTES [FRAME_KB [lz4|zstd|"
                        "none]]]]\n");
        return 2;
    }
    params.dir = argv[1];
    if (argc > 2)
        bench.txns = strtoull(argv[2], NULL, 10);
    if (argc > 3)
        bench.change_bytes = strtoul(argv[3], NULL, 10) % 65536;
    params.frame_bytes = argc > 4 ? strtoul(argv[4], NULL, 10) << 10 : 0;
    params.packing = packing_of(argc > 5 ? argv[5] : "lz4");
    must(ph_spool_open(&params, &bench.spool, &err), &err);
    must(ph_spool_begin_session(bench.spool, &session, &err), &err);
    measure(&bench, "append", write_all, NULL);
    ph_spool_get_positions(bench.spool, &positions);
    printf("%-12s %6.0f MB, %.2f of what it was\n", "on disk", (double)positions.bytes / 1e6,
           (double)positions.bytes /
               ((double)bench.txns * (CHANGES * (double)bench.change_bytes + 47)));
    measure(&bench, "read", read_all, NULL);
    bench.base += bench.txns;
    measure(&bench, "both at once", write_all, read_all);
    ph_spool_close(bench.spool);
    must(ph_spool_remove(params.dir, NULL, &removed, &err), &err);
    return 0;
}
