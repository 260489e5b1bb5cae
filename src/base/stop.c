/*
 * Process-wide on purpose: a signal is. The state is three atomics (docs/shared-state.md); the
 * handler only stores to them and writes to an eventfd, both async-signal-safe. The eventfd is
 * never read, so that any number of pollers see it.
 */
#include "base/stop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

static atomic_bool requested;
static atomic_int by_signal;
static atomic_int wake_fd = -1;

void
ph_stop_request(void)
{
    int fd = atomic_load(&wake_fd);
    int saved = errno;

    if (!atomic_exchange(&requested, true) && fd >= 0) {
        uint64_t one = 1;
        ssize_t ignored = write(fd, &one, sizeof one);
        (void)ignored; /* an eventfd at 0 always takes a 1 */
    }
    errno = saved;
}

static void
on_signal(int number)
{
    int none = 0;

    atomic_compare_exchange_strong(&by_signal, &none, number);
    ph_stop_request();
    if (number == SIGINT)
        signal(SIGINT, SIG_DFL);
}

static ph_code
catch_signal(int number, void (*handler)(int), struct ph_error *err)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    if (sigaction(number, &action, NULL) != 0)
        return PH_FAIL(err, PH_E_INTERNAL, "cannot catch signal %d: %s", number, strerror(errno));
    return PH_OK;
}

ph_code
ph_stop_init(struct ph_error *err)
{
    int fd = atomic_load(&wake_fd);

    if (fd < 0) {
        fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0)
            return PH_FAIL(err, PH_E_INTERNAL, "cannot make an eventfd: %s", strerror(errno));
        atomic_store(&wake_fd, fd);
    }
    PH_TRY(catch_signal(SIGINT, on_signal, err));
    PH_TRY(catch_signal(SIGTERM, on_signal, err));
    /* a closed terminal; nohup has it ignored, and so it stays */
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        PH_TRY(catch_signal(SIGHUP, on_signal, err));
    return catch_signal(SIGPIPE, SIG_IGN, err);
}

bool
ph_stop_requested(void)
{
    return atomic_load_explicit(&requested, memory_order_relaxed);
}

int
ph_stop_fd(void)
{
    return atomic_load(&wake_fd);
}

int
ph_stop_signal(void)
{
    return atomic_load(&by_signal);
}

bool
ph_stop_wait_ms(unsigned wait_ms)
{
    uint64_t start = ph_clock_ns();

    while (!ph_stop_requested()) {
        uint64_t passed_ms = (ph_clock_ns() - start) / 1000000;
        struct pollfd poller = {.fd = ph_stop_fd(), .events = POLLIN};

        if (passed_ms >= wait_ms)
            break;
        uint64_t left_ms = wait_ms - passed_ms;
        poll(&poller, 1, left_ms > 60000 ? 60000 : (int)left_ms);
    }
    return ph_stop_requested();
}

ph_code
ph_stop_check(struct ph_error *err)
{
    int number = ph_stop_signal();

    if (!ph_stop_requested())
        return PH_OK;
    if (number == 0)
        return PH_FAIL(err, PH_E_STOPPED, "stopped as asked");
    return PH_FAIL(err, PH_E_STOPPED, "stopped by SIG%s", sigabbrev_np(number));
}

void
ph_stop_reset(void)
{
    int fd = atomic_exchange(&wake_fd, -1);

    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    atomic_store(&requested, false);
    atomic_store(&by_signal, 0);
    if (fd >= 0)
        close(fd);
}
