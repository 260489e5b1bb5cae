/*
 * One table through one lane, without ledger and plan: what moving rows costs pghaul itself.
 *
 *   micro_lane SOURCE TARGET TABLE COLUMNS [BATCH_KB]     binary COPY from server to server
 *   micro_lane SOURCE - TABLE COLUMNS [BATCH_KB]          rows are read, hashed and dropped
 *
 * The first column counts as the key. The target table must exist; it is emptied first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "flow/digest_program.h"
#include "flow/lane.h"
#include "pg/conn.h"

struct end {
    struct ph_conn *conn;
    const char *sql;
};

static ph_code
open_source(void *state, const struct ph_task *task, struct ph_error *err)
{
    struct end *end = state;

    (void)task;
    return ph_conn_copy_out_begin(end->conn, end->sql, err);
}

static ph_code
read_source(void *state, uint8_t *into, size_t size, size_t *len, struct ph_error *err)
{
    struct end *end = state;

    return ph_conn_copy_out_read(end->conn, into, size, len, err);
}

static void
abandon_source(void *state)
{
    (void)state;
}

static ph_code
begin_sink(void *state, const struct ph_task *task, struct ph_error *err)
{
    struct end *end = state;

    (void)task;
    return end->conn == NULL ? PH_OK : ph_conn_copy_in_begin(end->conn, end->sql, err);
}

static ph_code
write_sink(void *state, const struct ph_batch *batch, struct ph_error *err)
{
    struct end *end = state;

    return end->conn == NULL ? PH_OK
                             : ph_conn_copy_in_write(end->conn, batch->data, batch->len, err);
}

static ph_code
end_sink(void *state, const struct ph_task *task, uint64_t rows, struct ph_error *err)
{
    struct end *end = state;
    uint64_t taken = rows;

    (void)task;
    if (end->conn != NULL)
        PH_TRY(ph_conn_copy_in_end(end->conn, &taken, err));
    return taken == rows ? PH_OK : PH_FAIL(err, PH_E_INTERNAL, "rows are missing");
}

static void
abandon_sink(void *state, const struct ph_task *task)
{
    (void)state;
    (void)task;
}

static const struct ph_source_ops source_ops = {open_source, read_source, abandon_source};
static const struct ph_sink_ops sink_ops = {begin_sink, write_sink, end_sink, abandon_sink};

static void
must(ph_code rc, const struct ph_error *err)
{
    if (rc == PH_OK)
        return;
    fprintf(stderr, "micro_lane: %s\n", err->message);
    exit(1);
}

static struct ph_conn *
connect_to(struct ph_endpoint *endpoint, enum ph_side side, const char *conninfo)
{
    struct ph_conn *conn;
    struct ph_error err;

    must(ph_endpoint_init(endpoint, side, conninfo, "micro", &err), &err);
    must(ph_conn_open(endpoint, "copy", &conn, &err), &err);
    return conn;
}

static double
cpu_seconds(const struct timeval *t)
{
    return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static void
move(struct end *from, struct end *to, uint32_t n_columns, size_t batch_bytes)
{
    static const uint16_t key[] = {0};
    struct ph_table_plan table = {.format = PH_FORMAT_BINARY,
                                  .n_columns = n_columns,
                                  .key_fields = key,
                                  .n_key_fields = 1,
                                  .n_buckets = 2048};
    struct ph_digest_program program;
    struct ph_digest_set digest;
    struct ph_budget budget;
    struct ph_lane lane;
    struct ph_error err;
    struct rusage used;

    ph_budget_init(&budget, 0);
    ph_digest_program_init(&program, batch_bytes, (size_t)1 << 30);
    if (!ph_digest_set_init(&digest, table.n_buckets))
        exit(1);
    struct ph_lane_params params = {&source_ops, from,        &ph_digest_program_ops, &program,
                                    &budget,     batch_bytes, (uint64_t)1 << 30};
    struct ph_task task = {.table = &table, .digest = &digest};
    must(ph_lane_start(&lane, &params, &err), &err);
    uint64_t begun = ph_clock_ns();
    must(ph_lane_run(&lane, &task, &sink_ops, to, &err), &err);
    double wall = ph_clock_seconds_since(begun);
    ph_lane_stop(&lane);
    getrusage(RUSAGE_SELF, &used);
    printf("%llu rows, %.0f MB, %.2f s, CPU %.3f user %.3f system, %ld KB, %ld switches\n",
           (unsigned long long)atomic_load(&task.rows), (double)atomic_load(&task.bytes) / 1e6,
           wall, cpu_seconds(&used.ru_utime), cpu_seconds(&used.ru_stime), used.ru_maxrss,
           used.ru_nvcsw);
    ph_digest_set_free(&digest);
    ph_budget_destroy(&budget);
}

int
main(int argc, char **argv)
{
    struct ph_endpoint endpoints[2];
    struct ph_error err;
    char out[256];
    char in[256];

    if (argc < 5) {
        fprintf(stderr, "usage: micro_lane SOURCE TARGET|- TABLE COLUMNS [BATCH_KB]\n");
        return 2;
    }
    snprintf(out, sizeof out, "COPY %s TO STDOUT (FORMAT binary)", argv[3]);
    snprintf(in, sizeof in, "COPY %s FROM STDIN (FORMAT binary)", argv[3]);
    struct end from = {connect_to(&endpoints[0], PH_SOURCE, argv[1]), out};
    struct end to = {NULL, in};
    if (strcmp(argv[2], "-") != 0) {
        to.conn = connect_to(&endpoints[1], PH_TARGET, argv[2]);
        must(ph_conn_execf(to.conn, &err, "TRUNCATE %s", argv[3]), &err);
    }
    size_t batch_kb = argc > 5 ? strtoul(argv[5], NULL, 10) : 256;
    move(&from, &to, (uint32_t)strtoul(argv[4], NULL, 10), batch_kb << 10);
    ph_conn_free(from.conn);
    ph_conn_free(to.conn);
    return 0;
}
