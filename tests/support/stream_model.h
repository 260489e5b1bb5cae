/*
 * What a change stream makes of tables, in memory, for tests: every message is decoded twice, once
 * as it comes and once, for streamed transactions, put together at their commit; the latter are the
 * rows. Strict: a change that does not fit the rows fails the test.
 *
 * Tables have an int key as first column, between 0 and 65535, and few columns of int4, int8 or
 * text.
 */
#ifndef PH_TEST_STREAM_MODEL_H
#define PH_TEST_STREAM_MODEL_H

#include "model/change.h"
#include "support/pgcluster.h"

struct stream_model {
    /* for reading */
    bool in_transaction;   /* its changes are rows already; not of streamed ones */
    uint32_t transactions; /* committed, streamed ones included */
    uint32_t streamed;     /* of them */
    uint32_t blocks;
    uint32_t aborted; /* subtransactions and transactions */
    uint32_t binary_fields;
    uint32_t unchanged_fields;
    ph_lsn end_lsn;   /* of the last commit */
    char message[64]; /* content of the last logical message */
    struct model_parts *parts;
};

struct stream_model *stream_model_new(void);
void stream_model_free(struct stream_model *model);
/* A connection begins anew. */
void stream_model_session(struct stream_model *model);
/* A message as it arrived. */
void stream_model_feed(struct stream_model *model, struct ph_span message);
/* Whether the table has a row of that key. */
bool stream_model_has(const struct stream_model *model, const char *table, uint32_t key);
/* The rows of a table by key, as sql_rows shows them. Lives until the program ends. */
const char *stream_model_rows(struct stream_model *model, const char *table);

#endif
