/*
 * The values of sequences: set on the target as they were read from the source
 * (ph_catalog_read_sequences). Sequences are found by schema and name.
 */
#ifndef PH_PG_SEQUENCE_H
#define PH_PG_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/catalog.h"
#include "pg/conn.h"

struct ph_sequences {
    const struct ph_catalog *source; /* with values */
    void *arg;
    /* Whether this one takes part; those that cannot be read never do. NULL: all. */
    bool (*wanted)(void *arg, const struct ph_sequence_state *sequence);
};

/*
 * setval with is_called, some hundred in one statement. In the transaction under way, if any. *n:
 * how many were set.
 */
ph_code ph_sequences_set(struct ph_conn *target, const struct ph_sequences *sequences, uint32_t *n,
                         struct ph_error *err);

#endif
