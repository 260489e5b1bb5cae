/*
 * Which statements a session has prepared, by their full text, and which of them have to go because
 * there are too many: what was used longest ago goes first. Only bookkeeping: conn_pipeline.c
 * talks to the server.
 *
 * A statement counts as there when the server's answer to its preparation was read ("confirmed").
 * Only such ones are let go: to deallocate one that was never made would be an error, and an error
 * ends a whole stretch of the pipeline. The connection's thread only.
 */
#ifndef PH_PG_PREPARED_H
#define PH_PG_PREPARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/catalog.h"

struct ph_prepared {
    char *key; /* the text, its 0 byte, the types */
    size_t key_len;
    uint64_t hash;
    uint64_t stretch; /* the one that asked for it */
    uint64_t used;    /* grows with each use */
    uint32_t number;  /* its name on the server is "ph_NUMBER"; never used twice */
    bool confirmed;
};

struct ph_prepared_set {
    struct ph_prepared *items;
    uint32_t n;
    uint32_t cap;
    uint32_t max; /* more may be there while they are not confirmed */
    uint32_t last_number;
    uint64_t clock;
    uint32_t *stale; /* numbers that are on the server and not wanted any more */
    uint32_t n_stale;
    uint32_t cap_stale;
};

void ph_prepared_init(struct ph_prepared_set *set, uint32_t max);
void ph_prepared_reset(struct ph_prepared_set *set);

/* NULL: unknown. Valid until the next call that changes the set; so with ph_prepared_add. */
struct ph_prepared *ph_prepared_find(struct ph_prepared_set *set, const char *sql,
                                     const ph_oid *types, uint32_t n_types);
/* A statement that the stretch is about to prepare. Copies; NULL when memory ran out. */
struct ph_prepared *ph_prepared_add(struct ph_prepared_set *set, const char *sql,
                                    const ph_oid *types, uint32_t n_types, uint64_t stretch);
/* The same statement once more under another number: nobody knows what became of the first. */
void ph_prepared_renew(struct ph_prepared_set *set, struct ph_prepared *item, uint64_t stretch);

/* The server's answer to the preparation, and to a deallocation that it refused. */
void ph_prepared_confirm(struct ph_prepared_set *set, uint32_t number);
void ph_prepared_refuse(struct ph_prepared_set *set, uint32_t number);
void ph_prepared_keep_stale(struct ph_prepared_set *set, uint32_t number);

/* The next one to deallocate, which the set forgets; false: none. */
bool ph_prepared_let_go(struct ph_prepared_set *set, uint32_t *number);
/* All of them are to be deallocated: the tables that they are about have changed. */
void ph_prepared_forget(struct ph_prepared_set *set);

#endif
