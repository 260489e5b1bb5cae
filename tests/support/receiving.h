/*
 * A receiver at work in a test: tables that are written to, a slot, a spool, and what the spool's
 * reader makes of it in memory (support/stream_model.h), transaction by transaction.
 *
 * Main thread only. All of it fails the running test and does not return.
 */
#ifndef PH_TEST_RECEIVING_H
#define PH_TEST_RECEIVING_H

#include <pthread.h>
#include <stdatomic.h>

#include "flow/receiver.h"
#include "spool/reader.h"
#include "support/pgcluster.h"
#include "support/stream_model.h"

#include <libpq-fe.h>

extern struct pg_test_cluster *receiving_source; /* of the test at hand */
extern struct ph_endpoint receiving_endpoint;    /* its */

void receiving_must(ph_code rc, const struct ph_error *err);

/* Fixtures: of the program, and of each test. */
int receiving_setup(void **state);
int receiving_teardown(void **state);
int receiving_with_usual(void **state);
/* Until the test's end this is the source. */
void receiving_use(struct pg_test_cluster *cluster);

/* With each major but Debian's that is installed as the source, and a small decoding memory. */
void receiving_on_every_major(void (*test)(const char *slot));

struct receiving {
    PGconn *sql; /* on the source */
    struct ph_receiver_params params;
    struct ph_spool_params spool_params;
    struct ph_spool *spool;
    struct ph_receiver *receiver;
    struct ph_spool_reader *reader;
    struct stream_model *model;
    struct held *first; /* messages of a transaction that has not committed yet */
    struct held **last;
    ph_lsn made; /* the slot's first position */
    uint32_t markers;
    uint32_t sessions; /* that the reader has seen */
};

/* Tables and slot; params may be changed before the spool is opened and the receiver started. */
struct receiving receiving_new(const char *slot);
void receiving_open_spool(struct receiving *f);
void receiving_start(struct receiving *f);
void receiving_open_reader(struct receiving *f, ph_lsn from);
/* All of these. */
struct receiving receiving_begin(const char *slot);
void receiving_stop(struct receiving *f);
/* Stops it and drops the slot. */
void receiving_end(struct receiving *f);
struct ph_receiver_look receiving_look(struct receiving *f);

/* One step of the spool's reader; false: there is none within wait_ms. */
bool receiving_read_step(struct receiving *f, uint32_t wait_ms);
void receiving_read_for(struct receiving *f, double seconds);
/* Write a marker, and read until it is there. */
void receiving_catch_up(struct receiving *f);
/* The reader is another one: what was half read comes again. */
void receiving_forget(struct receiving *f);
/* Catch up; then the rows are the source's. */
void receiving_assert_same(struct receiving *f);
/* As many as rows in app.log, and markers, and `others`. */
void receiving_assert_transactions(struct receiving *f, int64_t others);

/* Rows into app.big, of 100 bytes; some hundred are a large transaction. */
void receiving_write_many(PGconn *conn, int from, int to, const char *text);

/* A thread of many small transactions, of one row in app.log each, until the end. */
struct receiving_writer {
    pthread_t thread;
    const char *conninfo;
    atomic_bool over;
    atomic_uint committed; /* or rolled back, as was meant */
    unsigned seed;
};
void receiving_writer_begin(struct receiving_writer *w, unsigned seed);
void receiving_writer_end(struct receiving_writer *w);

ph_lsn receiving_lsn(const char *text);
/* Of the slot. */
ph_lsn receiving_confirmed(struct receiving *f);
void receiving_wait_confirmed(struct receiving *f, ph_lsn at_least, int deadline_ms);
void receiving_wait_state(struct receiving *f, enum ph_receiver_state state, int deadline_ms);
/* The receiver gives up with that, and has begun no stream. */
void receiving_expect_failure(struct receiving *f, ph_code code, const char *part);

#endif
