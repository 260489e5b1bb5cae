#include "base/budget.h"

#include <time.h>

#include "base/clock.h"

void
ph_budget_init(struct ph_budget *budget, uint64_t rate_bytes)
{
    pthread_condattr_t attr;

    *budget = (struct ph_budget){.rate_bytes = rate_bytes, .rate_from_ns = ph_clock_ns()};
    pthread_mutex_init(&budget->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&budget->changed, &attr);
    pthread_condattr_destroy(&attr);
}

void
ph_budget_destroy(struct ph_budget *budget)
{
    pthread_cond_destroy(&budget->changed);
    pthread_mutex_destroy(&budget->lock);
}

/* When the bytes used so far will be within the rate. */
static uint64_t
rate_due_ns(const struct ph_budget *budget)
{
    double seconds = (double)budget->rate_used_bytes / (double)budget->rate_bytes;

    return budget->rate_from_ns + (uint64_t)(seconds * 1e9);
}

static void
wait_for_rate(struct ph_budget *budget)
{
    if (budget->rate_bytes == 0)
        return;
    while (!budget->stopped) {
        uint64_t due = rate_due_ns(budget);
        uint64_t now = ph_clock_ns();
        if (due <= now) {
            /* an idle time is not saved up for a burst later */
            if (now - due > 1000000000u) {
                budget->rate_from_ns = now;
                budget->rate_used_bytes = 0;
            }
            return;
        }
        struct timespec until = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)};
        pthread_cond_timedwait(&budget->changed, &budget->lock, &until);
    }
}

void
ph_budget_gate(struct ph_budget *budget, const void *owner)
{
    pthread_mutex_lock(&budget->lock);
    while (budget->large_owner != NULL && budget->large_owner != owner && !budget->stopped)
        pthread_cond_wait(&budget->changed, &budget->lock);
    wait_for_rate(budget);
    pthread_mutex_unlock(&budget->lock);
}

void
ph_budget_used(struct ph_budget *budget, uint64_t bytes)
{
    if (budget->rate_bytes == 0)
        return;
    pthread_mutex_lock(&budget->lock);
    budget->rate_used_bytes += bytes;
    pthread_mutex_unlock(&budget->lock);
}

void
ph_budget_large_begin(struct ph_budget *budget, const void *owner)
{
    pthread_mutex_lock(&budget->lock);
    while (budget->large_owner != NULL && budget->large_owner != owner && !budget->stopped)
        pthread_cond_wait(&budget->changed, &budget->lock);
    budget->large_owner = owner;
    pthread_mutex_unlock(&budget->lock);
}

void
ph_budget_large_end(struct ph_budget *budget, const void *owner)
{
    pthread_mutex_lock(&budget->lock);
    if (budget->large_owner == owner) {
        budget->large_owner = NULL;
        pthread_cond_broadcast(&budget->changed);
    }
    pthread_mutex_unlock(&budget->lock);
}

void
ph_budget_stop(struct ph_budget *budget)
{
    pthread_mutex_lock(&budget->lock);
    budget->stopped = true;
    pthread_cond_broadcast(&budget->changed);
    pthread_mutex_unlock(&budget->lock);
}
