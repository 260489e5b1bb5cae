/*
 * A mutex and two conditions. Items are batches of some hundred kilobytes, so a lock-free ring
 * would save nothing that can be measured, and ThreadSanitizer understands this one.
 */
#include "base/ring.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"

bool
ph_ring_init(struct ph_ring *ring, size_t capacity)
{
    *ring = (struct ph_ring){.capacity = capacity};
    ring->slots = calloc(capacity, sizeof *ring->slots);
    if (ring->slots == NULL)
        return false;
    pthread_mutex_init(&ring->lock, NULL);
    pthread_cond_init(&ring->not_empty, NULL);
    pthread_cond_init(&ring->not_full, NULL);
    return true;
}

void
ph_ring_destroy(struct ph_ring *ring)
{
    if (ring->slots == NULL)
        return;
    assert(ring->count == 0);
    pthread_cond_destroy(&ring->not_full);
    pthread_cond_destroy(&ring->not_empty);
    pthread_mutex_destroy(&ring->lock);
    free(ring->slots);
    ring->slots = NULL;
}

static void
wait_on(struct ph_ring *ring, pthread_cond_t *cond, uint64_t *waited_ns)
{
    uint64_t before = ph_clock_ns();

    pthread_cond_wait(cond, &ring->lock);
    *waited_ns += ph_clock_ns() - before;
}

bool
ph_ring_push_raw(struct ph_ring *ring, void **item)
{
    assert(*item != NULL);
    pthread_mutex_lock(&ring->lock);
    while (ring->count == ring->capacity && !ring->closed && !ring->aborted)
        wait_on(ring, &ring->not_full, &ring->push_wait_ns);
    bool open = !ring->closed && !ring->aborted;
    if (open) {
        ring->slots[(ring->head + ring->count) % ring->capacity] = *item;
        ring->count++;
        *item = NULL;
        pthread_cond_signal(&ring->not_empty);
    }
    pthread_mutex_unlock(&ring->lock);
    return open;
}

static void *
take_head(struct ph_ring *ring)
{
    void *item = ring->slots[ring->head];

    ring->head = (ring->head + 1) % ring->capacity;
    ring->count--;
    pthread_cond_signal(&ring->not_full);
    return item;
}

void *
ph_ring_pop(struct ph_ring *ring)
{
    void *item = NULL;

    pthread_mutex_lock(&ring->lock);
    while (ring->count == 0 && !ring->closed && !ring->aborted)
        wait_on(ring, &ring->not_empty, &ring->pop_wait_ns);
    if (ring->count > 0 && !ring->aborted)
        item = take_head(ring);
    pthread_mutex_unlock(&ring->lock);
    return item;
}

void *
ph_ring_drain(struct ph_ring *ring)
{
    void *item = NULL;

    pthread_mutex_lock(&ring->lock);
    if (ring->count > 0)
        item = take_head(ring);
    pthread_mutex_unlock(&ring->lock);
    return item;
}

static void
end(struct ph_ring *ring, bool *flag)
{
    pthread_mutex_lock(&ring->lock);
    *flag = true;
    pthread_cond_broadcast(&ring->not_empty);
    pthread_cond_broadcast(&ring->not_full);
    pthread_mutex_unlock(&ring->lock);
}

void
ph_ring_close(struct ph_ring *ring)
{
    end(ring, &ring->closed);
}

void
ph_ring_abort(struct ph_ring *ring)
{
    end(ring, &ring->aborted);
}

struct ph_ring_waits
ph_ring_get_waits(struct ph_ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    struct ph_ring_waits waits = {ring->push_wait_ns, ring->pop_wait_ns, ring->count};
    pthread_mutex_unlock(&ring->lock);
    return waits;
}
