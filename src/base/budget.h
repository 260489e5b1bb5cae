/*
 * The memory and rate limits that all lanes share.
 *
 * Ordinary rows live in the lanes' fixed pools, which were sized from --memory. A row larger than a
 * batch needs memory of its own: its lane takes the one large-row token, and while it is held the
 * other lanes wait at the gate before they read on, so that the peak is the pools and one such row.
 * Thread-safe.
 */
#ifndef PH_BASE_BUDGET_H
#define PH_BASE_BUDGET_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct ph_budget {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const void *large_owner;  /* who holds the large-row token; NULL: nobody */
    bool stopped;             /* nobody waits any more */
    uint64_t rate_bytes;      /* per second; 0: no limit */
    uint64_t rate_from_ns;    /* start of the rate's reckoning */
    uint64_t rate_used_bytes; /* since then */
};

void ph_budget_init(struct ph_budget *budget, uint64_t rate_bytes);
void ph_budget_destroy(struct ph_budget *budget);
/* Before reading more: waits while another owner holds the token, and for the rate. */
void ph_budget_gate(struct ph_budget *budget, const void *owner);
/* Account bytes that were read, for the rate. */
void ph_budget_used(struct ph_budget *budget, uint64_t bytes);
/* Take the token; waits for the present owner. Taking it twice by one owner is fine. */
void ph_budget_large_begin(struct ph_budget *budget, const void *owner);
/* Give it back; no-op for anybody but the owner. */
void ph_budget_large_end(struct ph_budget *budget, const void *owner);
/* Everybody goes on at once, for ever: the job is ending. */
void ph_budget_stop(struct ph_budget *budget);

#endif
