#include "flow/receiver.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "flow/receiver_parts.h"

#define MS UINT64_C(1000000)
#define FIRST_PAUSE_NS (200 * MS)
#define LONGEST_PAUSE_NS (15000 * MS)
/* A session that has lasted so long was a good one: the next pause is short again. */
#define GOOD_SESSION_NS (2000 * MS)
/* Syncs are at least so far apart: what is not durable is only acknowledged later. */
#define SYNC_EVERY_NS (100 * MS)
#define SYNC_WAIT_MS 200
#define SILENCE_NS (600000 * MS)

void
ph_receiver_show(struct ph_receiver *receiver, enum ph_receiver_state state,
                 const struct ph_error *trouble)
{
    struct ph_receiver_look *now = &receiver->now;

    now->transactions = receiver->transactions_before + receiver->intake.transactions;
    now->repeated = receiver->repeated_before + receiver->intake.repeated;
    pthread_mutex_lock(&receiver->lock);
    if (receiver->seen.state != PH_RECEIVER_FAILED) {
        struct ph_error before = receiver->seen.trouble;
        receiver->seen = *now;
        receiver->seen.state = state;
        receiver->seen.trouble = trouble != NULL ? *trouble : before;
        if (trouble == NULL)
            ph_error_reset(&receiver->seen.trouble);
    }
    pthread_mutex_unlock(&receiver->lock);
}

static void
wake(const struct ph_receiver *receiver)
{
    const uint64_t one = 1;

    /* A counter that is full wakes, too. */
    (void)!write(receiver->wake_fd, &one, sizeof one);
}

void
ph_receiver_wait(struct ph_receiver *receiver, int fd, uint64_t wait_ns)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
                           {.fd = receiver->wake_fd, .events = POLLIN}};
    const struct timespec wait = {.tv_sec = (time_t)(wait_ns / (1000 * MS)),
                                  .tv_nsec = (long)(wait_ns % (1000 * MS))};
    uint64_t count;

    if (ppoll(fds, 2, &wait, NULL) > 0 && (fds[1].revents & POLLIN) != 0)
        (void)!read(receiver->wake_fd, &count, sizeof count);
}

/* Given up, by either thread; the first reason counts. */
static void
fail(struct ph_receiver *receiver, const struct ph_error *err)
{
    pthread_mutex_lock(&receiver->lock);
    if (receiver->seen.state != PH_RECEIVER_FAILED) {
        receiver->seen.state = PH_RECEIVER_FAILED;
        receiver->seen.trouble = *err;
    }
    pthread_mutex_unlock(&receiver->lock);
    atomic_store(&receiver->failed, true);
    wake(receiver);
}

/* ---- receiving ---- */

/* A walsender's session, up to the stream; what waits for it is read in pieces before. */
static ph_code
reach_stream(struct ph_receiver *receiver, struct ph_error *err)
{
    PH_TRY(ph_receiver_connect(receiver, err));
    receiver->awaits_large = false;
    if (ph_receiver_is_far_behind(receiver))
        PH_TRY(ph_receiver_read_pieces(receiver, err));
    if (receiver->awaits_large)
        PH_TRY(ph_replication_send_early(receiver->session, err));
    return ph_receiver_begin_stream(receiver, err);
}

void
ph_receiver_count_transactions(struct ph_receiver *receiver)
{
    receiver->transactions_before += receiver->intake.transactions;
    receiver->repeated_before += receiver->intake.repeated;
    receiver->intake = (struct ph_intake){0};
}

static ph_code
run_session(struct ph_receiver *receiver, struct ph_error *err)
{
    struct ph_error ignored;

    PH_TRY(ph_spool_end_session(receiver->params.spool, err));
    ph_receiver_show(receiver, PH_RECEIVER_CONNECTING, NULL);
    ph_code rc = reach_stream(receiver, err);
    if (rc == PH_OK) {
        rc = ph_receiver_stream(receiver, err);
        if (rc == PH_E_STOPPED && ph_receiver_is_over(receiver))
            ph_receiver_end_stream(receiver);
    }
    ph_receiver_count_transactions(receiver);
    ph_replication_free(receiver->session);
    receiver->session = NULL;
    ph_code end = ph_spool_end_session(receiver->params.spool, rc == PH_OK ? err : &ignored);
    return rc == PH_OK ? end : rc;
}

static void
pause_for(struct ph_receiver *receiver, uint64_t pause_ns)
{
    uint64_t until = ph_clock_ns() + pause_ns;
    uint64_t now;

    while ((now = ph_clock_ns()) < until && !ph_receiver_is_over(receiver))
        ph_receiver_wait(receiver, -1, until - now);
}

static void
receive(struct ph_receiver *receiver)
{
    uint64_t pause_ns = FIRST_PAUSE_NS;

    while (!ph_receiver_is_over(receiver)) {
        struct ph_error err = {0};
        uint64_t began = ph_clock_ns();
        (void)run_session(receiver, &err);
        if (ph_receiver_is_over(receiver))
            break;
        if (!ph_receiver_can_heal(receiver, &err)) {
            fail(receiver, &err);
            break;
        }
        if (ph_clock_ns() - began > GOOD_SESSION_NS)
            pause_ns = FIRST_PAUSE_NS;
        ph_receiver_show(receiver, PH_RECEIVER_WAITING, &err);
        pause_for(receiver, pause_ns);
        pause_ns = pause_ns * 2 < LONGEST_PAUSE_NS ? pause_ns * 2 : LONGEST_PAUSE_NS;
    }
    ph_receiver_show(receiver, PH_RECEIVER_STOPPED, NULL);
}

static void *
receive_main(void *arg)
{
    struct ph_receiver *receiver = arg;

    receive(receiver);
    atomic_store(&receiver->received, true);
    return NULL;
}

/* ---- syncing ---- */

static void *
sync_main(void *arg)
{
    struct ph_receiver *receiver = arg;
    const struct timespec rest = {.tv_nsec = SYNC_EVERY_NS};
    struct ph_spool_positions positions;
    ph_lsn durable = 0;

    while (!atomic_load(&receiver->received)) {
        struct ph_error err = {0};
        if (ph_spool_sync(receiver->params.spool, SYNC_WAIT_MS, &err) != PH_OK) {
            fail(receiver, &err);
            return NULL;
        }
        ph_spool_get_positions(receiver->params.spool, &positions);
        if (positions.durable > durable) {
            durable = positions.durable;
            wake(receiver);
        }
        (void)nanosleep(&rest, NULL);
    }
    return NULL;
}

/* ---- the owner's ---- */

static ph_code
start_threads(struct ph_receiver *receiver, struct ph_error *err)
{
    int rc = pthread_create(&receiver->receive_thread, NULL, receive_main, receiver);

    if (rc != 0)
        return PH_FAIL(err, PH_E_INTERNAL, "no thread for the receiver: %s", strerror(rc));
    rc = pthread_create(&receiver->sync_thread, NULL, sync_main, receiver);
    if (rc == 0)
        return PH_OK;
    atomic_store(&receiver->stopping, true);
    wake(receiver);
    pthread_join(receiver->receive_thread, NULL);
    return PH_FAIL(err, PH_E_INTERNAL, "no thread for the spool: %s", strerror(rc));
}

ph_code
ph_receiver_start(const struct ph_receiver_params *params, struct ph_receiver **out,
                  struct ph_error *err)
{
    struct ph_receiver *receiver = calloc(1, sizeof *receiver);

    *out = NULL;
    if (receiver == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    receiver->params = *params;
    receiver->silence_ns = params->silence_ms > 0 ? params->silence_ms * MS : SILENCE_NS;
    atomic_store(&receiver->applied, params->applied);
    atomic_store(&receiver->applied_durable, params->applied);
    atomic_store(&receiver->copy_seen, params->seen);
    pthread_mutex_init(&receiver->lock, NULL);
    receiver->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ph_code rc = receiver->wake_fd < 0
                     ? PH_FAIL(err, PH_E_INTERNAL, "no eventfd: %s", strerror(errno))
                     : start_threads(receiver, err);
    if (rc != PH_OK) {
        ph_receiver_free(receiver);
        return rc;
    }
    *out = receiver;
    return PH_OK;
}

void
ph_receiver_set_applied(struct ph_receiver *receiver, ph_lsn applied, ph_lsn durable)
{
    if (applied > atomic_load(&receiver->applied))
        atomic_store(&receiver->applied, applied);
    if (durable > atomic_load(&receiver->applied_durable))
        atomic_store(&receiver->applied_durable, durable);
}

int64_t
ph_receiver_source_clock(struct ph_receiver *receiver)
{
    return atomic_load_explicit(&receiver->source_clock_us, memory_order_relaxed);
}

void
ph_receiver_set_seen(struct ph_receiver *receiver, ph_lsn seen)
{
    if (seen > atomic_load(&receiver->copy_seen))
        atomic_store(&receiver->copy_seen, seen);
}

void
ph_receiver_stop(struct ph_receiver *receiver)
{
    atomic_store(&receiver->stopping, true);
    wake(receiver);
    ph_receiver_cancel_pieces(receiver);
    pthread_join(receiver->receive_thread, NULL);
    pthread_join(receiver->sync_thread, NULL);
}

void
ph_receiver_free(struct ph_receiver *receiver)
{
    if (receiver == NULL)
        return;
    if (receiver->wake_fd >= 0)
        close(receiver->wake_fd);
    pthread_mutex_destroy(&receiver->lock);
    free(receiver);
}

void
ph_receiver_look(struct ph_receiver *receiver, struct ph_receiver_look *out)
{
    pthread_mutex_lock(&receiver->lock);
    *out = receiver->seen;
    pthread_mutex_unlock(&receiver->lock);
}
