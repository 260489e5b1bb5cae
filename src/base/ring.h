/*
 * Bounded blocking ring of pointers between threads.
 *
 * Push hands over ownership and sets the caller's pointer to NULL. A ring ends in one of two ways:
 * close (what is inside is still popped, then pop says false) or abort (push and pop say false at
 * once; what is inside stays for ph_ring_drain). Any number of threads on either side.
 * Waiting times are kept to tell which side is the slow one.
 */
#ifndef PH_BASE_RING_H
#define PH_BASE_RING_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ph_ring {
    pthread_mutex_t lock;
    pthread_cond_t not_empty;
    pthread_cond_t not_full;
    void **slots;
    size_t capacity;
    size_t head;
    size_t count;
    bool closed;
    bool aborted;
    uint64_t push_wait_ns; /* under lock; read with ph_ring_waits */
    uint64_t pop_wait_ns;
};

struct ph_ring_waits {
    uint64_t push_ns; /* the consumer was the slow side */
    uint64_t pop_ns;  /* the producer was the slow side */
    size_t count;     /* items inside now */
};

/* false: no memory. */
bool ph_ring_init(struct ph_ring *ring, size_t capacity);
/* No thread may use the ring any more; items inside must have been drained. */
void ph_ring_destroy(struct ph_ring *ring);

/* Takes `*item` (a non-NULL pointer) and sets it to NULL; false, item kept: closed or aborted. */
#define ph_ring_push(ring, item) ph_ring_push_raw((ring), (void **)(void *)(item))
bool ph_ring_push_raw(struct ph_ring *ring, void **item);
/* NULL: closed and empty, or aborted. */
void *ph_ring_pop(struct ph_ring *ring);
/* NULL at once when there is nothing; does not look at the end state. */
void *ph_ring_drain(struct ph_ring *ring);
void ph_ring_close(struct ph_ring *ring);
void ph_ring_abort(struct ph_ring *ring);
struct ph_ring_waits ph_ring_get_waits(struct ph_ring *ring);

#endif
