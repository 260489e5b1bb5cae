/*
 * The inner parts of a pipeline: what conn_pipeline.c, which sends and waits, shares with
 * conn_pipeline_answers.c, which reads. The connection's thread.
 */
#ifndef PH_PG_CONN_PIPELINE_PARTS_H
#define PH_PG_CONN_PIPELINE_PARTS_H

#include "pg/conn_internal.h"
#include "pg/param_arrays.h"
#include "pg/prepared.h"

enum ph_pipeline_entry_kind { PH_ENTRY_PREPARE, PH_ENTRY_DEALLOCATE, PH_ENTRY_RUN, PH_ENTRY_SYNC };

/* What an answer is awaited for. */
struct ph_pipeline_entry {
    enum ph_pipeline_entry_kind kind;
    bool is_commit;
    uint32_t index;  /* of the statement in its stretch; SYNC: how many there were */
    uint32_t number; /* PREPARE, DEALLOCATE */
    int64_t expected_rows;
    uint64_t tag;
    struct ph_result **result;
};

struct ph_pipeline_misses {
    struct ph_pipeline_miss *items;
    uint32_t n;
    uint32_t cap;
};

struct ph_pipeline {
    struct ph_conn *conn;
    struct ph_prepared_set prepared;
    bool on;          /* libpq is in pipeline mode */
    bool dead;        /* answers and entries cannot be matched any more */
    uint64_t stretch; /* number of the one that is being queued */
    uint32_t queued;  /* statements in it */
    uint32_t n_syncs; /* sync points whose answer was not read */
    size_t unsent;    /* bytes given to libpq since all was sent; an estimate */
    /* A ring: head <= tail, both only grow; cap is a power of two. */
    struct ph_pipeline_entry *entries;
    uint64_t head;
    uint64_t tail;
    uint64_t cap;
    bool answered; /* the entry at the head: the NULL behind its answer comes next */
    /* Of the stretch whose answers are being read. */
    ph_code rc;
    struct ph_error first;
    bool has_failure;
    struct ph_pipeline_failure failure;
    struct ph_pipeline_misses misses;
    struct ph_pipeline_misses reported; /* of the stretch before: the caller may look at them */
    struct ph_param_arrays params;
    struct {
        void (*call)(void *arg); /* NULL: it waits as long as it takes */
        void *arg;
        int after_ms;
        int waited_ms; /* since something came, or since the last call */
    } impatience;
};

/* Take answers that are here already, up to the next sync point. */
void ph_pipeline_take_answers(struct ph_pipeline *pipeline);
/* Take the answer to the sync point at the head: whether it is here. */
bool ph_pipeline_take_sync(struct ph_pipeline *pipeline);
/*
 * What became of the stretch, to the caller: its first failure, which is returned, and its misses.
 * Of the next one nothing is known from here on.
 */
ph_code ph_pipeline_report(struct ph_pipeline *pipeline, struct ph_pipeline_outcome *outcome,
                           struct ph_error *err);

#endif
