#include "job/stop_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/stop.h"

#define LOOK_EVERY_MS 100
#define SETTLE_MS 5000

static void
shut_down(struct ph_stop_watch *watch)
{
    for (int i = 0; i < 2; i++)
        ph_endpoint_cancel_all(watch->endpoints[i]);
}

static bool
last_words_are_over(struct ph_stop_watch *watch)
{
    uint64_t limit = atomic_load(&watch->last_words_ns);

    return limit != 0 && ph_clock_ns() > limit;
}

/* A stop is wished; true when it is time to act. */
static bool
grace_is_over(struct ph_stop_watch *watch, uint64_t wished_ns)
{
    unsigned grace_ms = atomic_load(&watch->grace_ms);

    return grace_ms == 0 || ph_clock_ns() - wished_ns > (uint64_t)grace_ms * 1000000;
}

static void *
run_watch(void *arg)
{
    struct ph_stop_watch *watch = arg;
    uint64_t wished_ns = 0;
    struct pollfd fds[2] = {{.fd = watch->over_fd, .events = POLLIN},
                            {.fd = ph_stop_fd(), .events = POLLIN}};

    for (;;) {
        bool acted = atomic_load(&watch->acted);
        bool is_wished = wished_ns != 0;
        (void)poll(fds, is_wished ? 1 : 2, is_wished ? LOOK_EVERY_MS : -1);
        if ((fds[0].revents & POLLIN) != 0)
            return NULL;
        if (!is_wished && ph_stop_requested())
            wished_ns = ph_clock_ns();
        if (!acted && wished_ns != 0 && grace_is_over(watch, wished_ns)) {
            shut_down(watch);
            atomic_store(&watch->acted, true);
        } else if (acted && last_words_are_over(watch)) {
            shut_down(watch);
            return NULL;
        }
    }
}

void
ph_stop_watch_begin(struct ph_stop_watch *watch, const struct ph_endpoint *source,
                    const struct ph_endpoint *target)
{
    watch->endpoints[0] = source;
    watch->endpoints[1] = target;
    atomic_store(&watch->acted, false);
    atomic_store(&watch->grace_ms, 0);
    atomic_store(&watch->last_words_ns, 0);
    watch->over_fd = eventfd(0, EFD_CLOEXEC);
    watch->running =
        watch->over_fd >= 0 && pthread_create(&watch->thread, NULL, run_watch, watch) == 0;
}

void
ph_stop_watch_last_words(struct ph_stop_watch *watch, unsigned limit_ms)
{
    static const struct timespec moment = {.tv_nsec = 10000000};

    for (unsigned waited = 0;
         waited < SETTLE_MS && watch->running && ph_stop_requested() && !atomic_load(&watch->acted);
         waited += 10)
        nanosleep(&moment, NULL);
    for (int i = 0; i < 2; i++)
        ph_endpoint_reopen(watch->endpoints[i]);
    atomic_store(&watch->last_words_ns, ph_clock_ns() + (uint64_t)limit_ms * 1000000);
}

void
ph_stop_watch_set_grace(struct ph_stop_watch *watch, unsigned grace_ms)
{
    atomic_store(&watch->grace_ms, grace_ms);
}

void
ph_stop_watch_end(struct ph_stop_watch *watch)
{
    uint64_t one = 1;

    if (watch->running && write(watch->over_fd, &one, sizeof one) == (ssize_t)sizeof one)
        pthread_join(watch->thread, NULL);
    if (watch->over_fd >= 0)
        close(watch->over_fd);
    watch->running = false;
    watch->over_fd = -1;
}
