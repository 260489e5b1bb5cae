/*
 * One session: messages to the spool, statuses to the server.
 *
 * All that has come is read before anything else is done, and what was read goes to the spool's
 * file when nothing more comes, so that readers see it at once. A server that decodes as fast as it
 * can sends 8 kB at a time: then the receiver lets some gather before it reads on.
 */
#include <poll.h>
#include <time.h>

#include "base/clock.h"
#include "flow/receiver_parts.h"

#define MS UINT64_C(1000000)
/* An acknowledgement that has moved is told after so long, while messages flow and when not. */
#define BUSY_ACK_NS (1000 * MS)
#define IDLE_ACK_NS (50 * MS)
/* A keepalive's position is noted in the spool this often at most. */
#define PROGRESS_EVERY_NS (1000 * MS)
/* While the spool is full: how often it is tried again, and the server told that we live. */
#define FULL_EVERY_NS (200 * MS)
#define LONGEST_WAIT_NS (1000 * MS)
/* Messages, or bytes, that are taken before the clock is looked at. */
#define BATCH_MESSAGES 512
#define BATCH_BYTES ((uint64_t)4 << 20)
#define NAP_NS 100000u
/*
 * In full flow a nap lasts as long as it takes for some messages to come in. Each is a packet of
 * its own, of which the buffer of a unix socket (208 kB) holds some 200: a full one holds up the
 * server.
 */
#define FLOW_BYTES ((uint64_t)256 << 10)
#define FLOW_NAP_NS 200000u
#define LONGEST_FLOW_NAP_NS 800000u
#define FLOW_PATIENCE_NS 1000000u
#define FEW_MESSAGES 40u
#define MANY_MESSAGES 100u
#define MANY_BYTES ((uint64_t)96 << 10)
#define STOP_WAIT_MS 3000

/* ---- statuses ---- */

ph_lsn
ph_receiver_safe_position(const struct ph_receiver *receiver,
                          const struct ph_spool_positions *positions)
{
    ph_lsn safe = atomic_load(&receiver->applied_durable);

    if (receiver->params.ack == PH_ACK_SPOOLED)
        safe = ph_receiver_larger(safe, positions->durable);
    return ph_receiver_larger(safe, receiver->now.acknowledged);
}

static ph_code
send_status(struct ph_receiver *receiver, const struct ph_spool_positions *positions,
            struct ph_error *err)
{
    ph_lsn applied = atomic_load(&receiver->applied);
    ph_lsn safe = ph_receiver_safe_position(receiver, positions);
    const struct ph_walsender_status status = {.written =
                                                   ph_receiver_larger(positions->written, safe),
                                               .flushed = safe,
                                               .applied = applied};

    PH_TRY(ph_replication_status(receiver->session, &status, err));
    receiver->now.acknowledged = safe;
    receiver->told = applied;
    receiver->told_ns = ph_clock_ns();
    receiver->reply_wanted = false;
    return PH_OK;
}

enum pace { BUSY, IDLE };

/* When the next status is due. */
static uint64_t
status_due_ns(const struct ph_receiver *receiver, const struct ph_spool_positions *positions,
              enum pace pace)
{
    if (receiver->reply_wanted)
        return 0;
    if (ph_receiver_safe_position(receiver, positions) > receiver->now.acknowledged)
        return receiver->told_ns + (pace == IDLE ? IDLE_ACK_NS : BUSY_ACK_NS);
    if (atomic_load(&receiver->applied) > receiver->told)
        return receiver->told_ns + BUSY_ACK_NS;
    return receiver->told_ns + receiver->status_every_ns;
}

/* ---- into the spool ---- */

typedef ph_code step_fn(struct ph_receiver *receiver, struct ph_error *err);

static ph_code
begin_session(struct ph_receiver *receiver, struct ph_error *err)
{
    return ph_spool_begin_session(receiver->params.spool, &receiver->frame, err);
}

static ph_code
take_message(struct ph_receiver *receiver, struct ph_error *err)
{
    return ph_intake_take(&receiver->intake, receiver->message, err);
}

ph_code
ph_receiver_flush(struct ph_receiver *receiver, struct ph_error *err)
{
    PH_TRY(ph_spool_flush(receiver->params.spool, err));
    receiver->unflushed = false;
    receiver->flushed_ns = ph_clock_ns();
    return PH_OK;
}

static ph_code
note_progress(struct ph_receiver *receiver, struct ph_error *err)
{
    PH_TRY(ph_intake_progress(&receiver->intake, receiver->keepalive, err));
    receiver->progress_ns = ph_clock_ns();
    return PH_OK;
}

static bool
is_full(ph_code rc)
{
    return rc == PH_E_SPOOL_LIMIT || rc == PH_E_DISK_FULL;
}

/*
 * While the spool is full nothing is read, so the server stops sending; it does take statuses, and
 * would hang up without them.
 */
static ph_code
wait_for_room(struct ph_receiver *receiver, struct ph_error *err)
{
    struct ph_spool_positions positions;

    ph_receiver_wait(receiver, -1, FULL_EVERY_NS);
    ph_spool_get_positions(receiver->params.spool, &positions);
    PH_TRY(send_status(receiver, &positions, err));
    return ph_receiver_is_over(receiver) ? PH_FAIL(err, PH_E_STOPPED, "stopped") : PH_OK;
}

/* Do a step of the spool, as often as it takes until there is room for it. */
static ph_code
insist(struct ph_receiver *receiver, step_fn *step, struct ph_error *err)
{
    ph_code rc = step(receiver, err);

    if (!is_full(rc))
        return rc;
    while (is_full(rc)) {
        ph_receiver_show(receiver, PH_RECEIVER_PAUSED, err);
        PH_TRY(wait_for_room(receiver, err));
        rc = step(receiver, err);
    }
    receiver->heard_ns = ph_clock_ns();
    ph_receiver_show(receiver, PH_RECEIVER_STREAMING, NULL);
    return rc;
}

/* ---- from the server ---- */

static ph_code
take(struct ph_receiver *receiver, const struct ph_walsender_message *message, struct ph_error *err)
{
    struct ph_receiver_look *now = &receiver->now;

    now->last_sent_us = message->sent_us;
    atomic_store_explicit(&receiver->source_clock_us, message->sent_us, memory_order_relaxed);
    now->source_end = ph_receiver_larger(now->source_end, message->wal_end);
    if (message->item == PH_WALSENDER_KEEPALIVE) {
        receiver->keepalive = ph_receiver_larger(receiver->keepalive, message->wal_end);
        receiver->reply_wanted |= message->reply_wanted;
        return PH_OK;
    }
    now->messages++;
    now->bytes += message->payload.len;
    receiver->message = message->payload;
    PH_TRY(insist(receiver, take_message, err));
    receiver->unflushed = true;
    return PH_OK;
}

/* What is there, up to a batch; *drained: that was all. */
static ph_code
read_batch(struct ph_receiver *receiver, bool *drained, struct ph_error *err)
{
    uint64_t before = receiver->now.bytes;
    struct ph_walsender_message message;
    bool got = true;
    uint32_t n;

    for (n = 0; n < BATCH_MESSAGES && receiver->now.bytes - before < BATCH_BYTES; n++) {
        PH_TRY(ph_replication_read(receiver->session, &message, &got, err));
        if (!got)
            break;
        PH_TRY(take(receiver, &message, err));
        if (receiver->reply_wanted)
            break;
    }
    receiver->flow += receiver->now.bytes - before;
    if (n > 0)
        receiver->now.last_input_ns = receiver->heard_ns = ph_clock_ns();
    *drained = !got;
    return PH_OK;
}

static void
nap(uint32_t ns)
{
    const struct timespec time = {.tv_nsec = ns};

    (void)nanosleep(&time, NULL);
}

/* Judged by what one of that length has brought. */
static void
adapt_flow_nap(struct ph_receiver *receiver, uint64_t messages, uint64_t bytes)
{
    if (messages > MANY_MESSAGES || bytes > MANY_BYTES)
        receiver->flow_nap_ns /= 2;
    else if (messages < FEW_MESSAGES)
        receiver->flow_nap_ns += receiver->flow_nap_ns / 2;
    if (receiver->flow_nap_ns > LONGEST_FLOW_NAP_NS)
        receiver->flow_nap_ns = LONGEST_FLOW_NAP_NS;
    if (receiver->flow_nap_ns < NAP_NS)
        receiver->flow_nap_ns = NAP_NS;
}

/* Read on after a moment, or several in full flow: *drained says that nothing more came. */
static ph_code
read_after_nap(struct ph_receiver *receiver, bool *drained, struct ph_error *err)
{
    uint64_t messages = receiver->now.messages;
    uint64_t bytes = receiver->now.bytes;
    bool flows = receiver->flow > FLOW_BYTES;
    uint32_t slept_ns = 0;

    do {
        uint32_t ns = flows ? receiver->flow_nap_ns : NAP_NS;
        nap(ns);
        slept_ns += ns;
        PH_TRY(read_batch(receiver, drained, err));
        if (receiver->now.messages > messages) {
            *drained = false;
            if (flows)
                adapt_flow_nap(receiver, receiver->now.messages - messages,
                               receiver->now.bytes - bytes);
            return PH_OK;
        }
    } while (flows && slept_ns < FLOW_PATIENCE_NS);
    return PH_OK;
}

/* ---- the session ---- */

static bool
has_progress(const struct ph_receiver *receiver)
{
    return receiver->keepalive > receiver->intake.reached &&
           ph_intake_is_between(&receiver->intake);
}

/* Everything that is due but reading. */
static ph_code
serve(struct ph_receiver *receiver, enum pace pace, struct ph_error *err)
{
    struct ph_spool_positions positions;
    bool asked = receiver->reply_wanted;

    ph_spool_get_positions(receiver->params.spool, &positions);
    if (ph_clock_ns() >= status_due_ns(receiver, &positions, pace))
        PH_TRY(send_status(receiver, &positions, err));
    uint64_t now = ph_clock_ns();
    if (receiver->unflushed && (pace == IDLE || now - receiver->flushed_ns > PH_RECEIVER_FLUSH_NS))
        PH_TRY(insist(receiver, ph_receiver_flush, err));
    /* A server that shuts down asks, and waits until we have it all. */
    if (has_progress(receiver) &&
        (asked || (pace == IDLE && now - receiver->progress_ns >= PROGRESS_EVERY_NS)))
        PH_TRY(insist(receiver, note_progress, err));
    return PH_OK;
}

/*
 * A server that does nothing else sends keepalives. One that decodes what is not published may say
 * nothing for very long (before 15), so the next session is given more time.
 */
static ph_code
check_silence(struct ph_receiver *receiver, struct ph_error *err)
{
    uint64_t silent_ns = ph_clock_ns() - receiver->heard_ns;

    if (silent_ns < receiver->silence_ns)
        return PH_OK;
    receiver->silence_ns *= 2;
    PH_FAIL(err, PH_E_CONNECT, "the source has sent nothing for %u s",
            (unsigned)(silent_ns / (1000 * MS)));
    ph_error_object(err, "%s", receiver->params.source->label);
    return PH_E_CONNECT;
}

static void
await_input(struct ph_receiver *receiver)
{
    struct ph_spool_positions positions;
    uint64_t now = ph_clock_ns();
    uint64_t until = now + LONGEST_WAIT_NS;

    ph_spool_get_positions(receiver->params.spool, &positions);
    uint64_t due = status_due_ns(receiver, &positions, IDLE);
    if (due < until)
        until = due;
    if (has_progress(receiver) && receiver->progress_ns + PROGRESS_EVERY_NS < until)
        until = receiver->progress_ns + PROGRESS_EVERY_NS;
    if (until <= now)
        return;
    receiver->flow = 0;
    ph_receiver_wait(receiver, ph_replication_fd(receiver->session), until - now);
}

ph_code
ph_receiver_stream(struct ph_receiver *receiver, struct ph_error *err)
{
    receiver->told_ns = receiver->flushed_ns = receiver->progress_ns = ph_clock_ns();
    receiver->heard_ns = ph_clock_ns();
    receiver->keepalive = receiver->told = 0;
    receiver->reply_wanted = receiver->unflushed = false;
    receiver->flow_nap_ns = FLOW_NAP_NS;
    PH_TRY(insist(receiver, begin_session, err));
    receiver->now.sessions++;
    while (!ph_receiver_is_over(receiver)) {
        bool drained;

        PH_TRY(read_batch(receiver, &drained, err));
        if (drained && receiver->unflushed)
            PH_TRY(read_after_nap(receiver, &drained, err));
        PH_TRY(serve(receiver, drained ? IDLE : BUSY, err));
        ph_receiver_show(receiver, PH_RECEIVER_STREAMING, NULL);
        if (drained)
            await_input(receiver);
        PH_TRY(check_silence(receiver, err));
    }
    return PH_FAIL(err, PH_E_STOPPED, "stopped");
}

static ph_code
make_durable(struct ph_receiver *receiver, struct ph_error *err)
{
    PH_TRY(ph_spool_flush(receiver->params.spool, err));
    if (has_progress(receiver))
        PH_TRY(note_progress(receiver, err));
    return ph_spool_sync(receiver->params.spool, 0, err);
}

void
ph_receiver_end_stream(struct ph_receiver *receiver)
{
    struct ph_spool_positions positions;

    (void)make_durable(receiver, NULL); /* what is not is not acknowledged */
    ph_spool_get_positions(receiver->params.spool, &positions);
    if (send_status(receiver, &positions, NULL) == PH_OK)
        (void)ph_replication_stop(receiver->session, STOP_WAIT_MS, NULL);
}
