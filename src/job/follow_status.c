/* What a follow tells: to the display, and as its row in the ledger. */
#include <stdio.h>

#include "base/clock.h"
#include "job/follow_parts.h"

#define JSON_LIMIT ((size_t)1 << 20)
/* A source with nothing to send answers every status, one in ten seconds at least. */
#define HEARD_WITHIN_S 30.0

static const char *const receiver_states[] = {
    [PH_RECEIVER_CONNECTING] = "connecting", [PH_RECEIVER_STREAMING] = "streaming",
    [PH_RECEIVER_PAUSED] = "paused",         [PH_RECEIVER_WAITING] = "waiting",
    [PH_RECEIVER_STOPPED] = "stopped",       [PH_RECEIVER_FAILED] = "failed",
};

void
ph_follow_add_up(struct ph_follow *follow, const struct ph_applier_look *look)
{
    pthread_mutex_lock(&follow->lock);
    follow->past.transactions += look->transactions;
    follow->past.counted += look->counted;
    follow->past.changes += look->changes;
    follow->past.skipped += look->skipped;
    follow->past.conflicts += look->conflicts;
    follow->past.groups += look->groups;
    follow->past.replays += look->replays;
    follow->past.early += look->early;
    follow->past.early_left += look->early_left;
    follow->past.applied = look->applied;
    pthread_mutex_unlock(&follow->lock);
}

/* What the source's clock says now; 0: not known. */
static int64_t
source_now(struct ph_source_clock *clock, int64_t last_us, uint64_t now_ns)
{
    if (last_us != clock->us)
        *clock = (struct ph_source_clock){last_us, now_ns};
    return clock->us == 0 ? 0 : clock->us + (int64_t)((now_ns - clock->at_ns) / 1000);
}

/*
 * 0 when nothing waits, which only a source can say that is heard. Negative: not known, since
 * nothing was applied yet, or the source has said nothing.
 */
static double
seconds_behind(const struct ph_applier_look *look, bool is_heard, int64_t now_us)
{
    if (look->is_idle)
        return is_heard ? 0 : -1;
    if (look->applied_us == 0 || now_us == 0)
        return -1;
    return now_us > look->applied_us ? (double)(now_us - look->applied_us) / 1e6 : 0;
}

void
ph_follow_judge_source(struct ph_source_clock *clock, const struct ph_receiver_look *receiver,
                       const struct ph_applier_look *applier, uint64_t now_ns,
                       struct ph_follow_progress *out)
{
    int64_t now_us = source_now(clock, receiver->last_sent_us, now_ns);

    out->heard_s = -1;
    if (receiver->last_input_ns != 0)
        out->heard_s =
            now_ns > receiver->last_input_ns ? (double)(now_ns - receiver->last_input_ns) / 1e9 : 0;
    out->is_heard = receiver->state == PH_RECEIVER_STREAMING && out->heard_s >= 0 &&
                    out->heard_s < HEARD_WITHIN_S;
    out->lag_s = seconds_behind(applier, out->is_heard, now_us);
}

/* ---- rates ---- */

/* One sample a second; the rates are those since the oldest of them. */
static void
take_rates(struct ph_follow *follow, struct ph_follow_progress *out)
{
    uint64_t now = ph_clock_ns();
    struct ph_follow_sample *last = &follow->samples[(follow->n_samples - 1) % PH_FOLLOW_SAMPLES];
    const struct ph_follow_sample sample = {now, out->transactions, out->applied, out->received};

    if (follow->n_samples == 0 || (double)(now - last->at_ns) / 1e9 >= 1)
        follow->samples[follow->n_samples++ % PH_FOLLOW_SAMPLES] = sample;
    uint32_t first =
        follow->n_samples > PH_FOLLOW_SAMPLES ? follow->n_samples % PH_FOLLOW_SAMPLES : 0;
    const struct ph_follow_sample *from = &follow->samples[first];
    double span = (double)(now - from->at_ns) / 1e9;
    out->drain_s = out->lag_bytes == 0 && out->is_heard ? 0 : -1;
    if (span <= 0)
        return;
    out->transactions_s = (double)(out->transactions - from->transactions) / span;
    out->in_bytes_s = (double)(out->received - from->received) / span;
    out->out_bytes_s = (double)(out->applied - from->applied) / span;
    if (out->lag_bytes > 0 && out->out_bytes_s > out->in_bytes_s)
        out->drain_s = (double)out->lag_bytes / (out->out_bytes_s - out->in_bytes_s);
}

/* ---- the picture ---- */

/*
 * Transactions that wait. Of those that an earlier run has received nobody knows how many there
 * are until they are read.
 */
static void
take_waiting(const struct ph_follow *follow, uint64_t applied, uint64_t received,
             struct ph_follow_progress *out)
{
    applied += follow->past.counted;
    out->lag_transactions = received > applied ? received - applied : 0;
    out->has_older = out->applied < follow->received_from;
}

static void
take_counts(const struct ph_follow *follow, const struct ph_applier_look *look,
            struct ph_follow_progress *out)
{
    const struct ph_applier_look *past = &follow->past;

    out->transactions = past->transactions + look->transactions;
    out->changes = past->changes + look->changes;
    out->skipped = past->skipped + look->skipped;
    out->conflicts = past->conflicts + look->conflicts;
    out->groups = past->groups + look->groups;
    out->replays = past->replays + look->replays;
    out->early = past->early + look->early;
    out->early_left = past->early_left + look->early_left;
}

void
ph_follow_take_picture(struct ph_follow *follow)
{
    struct ph_follow_progress out = follow->shown; /* what was read of the slot stays */
    struct ph_applier_look look = {0};
    struct ph_receiver_look receiver;
    struct ph_spool_positions spool;

    look.applied = look.durable = follow->position;
    if (follow->applier != NULL)
        ph_applier_get(follow->applier, &look);
    if (follow->team != NULL)
        ph_follow_look_at_team(follow->team, &look);
    ph_spool_get_positions(follow->spool, &spool);
    ph_receiver_look(follow->receiver, &receiver);
    out.is_on = true;
    out.is_waiting = follow->applier == NULL && follow->team == NULL;
    out.workers = 0;
    out.meet = follow->team != NULL ? ph_follow_team_meets(follow->team, &out.workers) : 0;
    snprintf(out.receiver, sizeof out.receiver, "%s", receiver_states[receiver.state]);
    out.source = receiver.source_end > spool.written ? receiver.source_end : spool.written;
    out.received = spool.written;
    out.safe = spool.durable;
    out.acknowledged = receiver.acknowledged;
    out.applied = look.applied;
    out.applied_durable = look.durable;
    out.consistent_from = follow->consistent;
    out.is_consistent = !out.is_waiting && out.workers == 0 && look.applied >= follow->consistent;
    out.lag_bytes = out.source > look.applied ? out.source - look.applied : 0;
    take_waiting(follow, look.counted, receiver.transactions, &out);
    ph_follow_judge_source(&follow->clock, &receiver, &look, ph_clock_ns(), &out);
    out.spool_bytes = spool.bytes;
    out.spool_segments = spool.segments;
    take_counts(follow, &look, &out);
    out.transactions_s = out.in_bytes_s = out.out_bytes_s = 0;
    take_rates(follow, &out);
    pthread_mutex_lock(&follow->lock);
    follow->shown = out;
    pthread_mutex_unlock(&follow->lock);
}

void
ph_follow_watch(struct ph_job *job, struct ph_conn *source)
{
    ph_follow_guard(job->follow, source);
    ph_follow_take_picture(job->follow);
}

void
ph_follow_read_progress(const struct ph_job *job, struct ph_follow_progress *out)
{
    struct ph_follow *follow = job->follow;

    pthread_mutex_lock(&follow->lock);
    *out = follow->shown;
    pthread_mutex_unlock(&follow->lock);
}

/* The plan itself is loaded anew while the display goes on. */
static void
note_tables(struct ph_follow *follow)
{
    pthread_mutex_lock(&follow->lock);
    follow->n_tables = follow->job->plan.n_tables;
    pthread_mutex_unlock(&follow->lock);
}

/* On the display's thread, too. */
static void
read_progress(void *arg, struct ph_progress *out)
{
    struct ph_follow *follow = arg;

    snprintf(out->phase, sizeof out->phase, "follow");
    out->elapsed_s = ph_clock_seconds_since(follow->job->started_ns);
    ph_follow_read_progress(follow->job, &out->follow);
    pthread_mutex_lock(&follow->lock);
    out->tables = out->tables_done = follow->n_tables;
    pthread_mutex_unlock(&follow->lock);
}

void
ph_follow_show_begin(struct ph_follow *follow)
{
    const struct ph_observer *observer = &follow->job->run->observer;

    note_tables(follow);
    ph_follow_take_picture(follow);
    if (observer->started != NULL)
        observer->started(observer->context, read_progress, follow);
}

void
ph_follow_show_end(struct ph_follow *follow)
{
    const struct ph_observer *observer = &follow->job->run->observer;

    if (observer->ended != NULL)
        observer->ended(observer->context);
}

ph_code
ph_follow_write_progress(struct ph_job *job, struct ph_error *err)
{
    struct ph_follow *follow = job->follow;
    struct ph_progress progress = {0};
    struct ph_buf json;

    note_tables(follow);
    ph_follow_guard(follow, job->source_control);
    ph_follow_take_picture(follow);
    read_progress(follow, &progress);
    ph_buf_init(&json, JSON_LIMIT);
    ph_progress_put_json(&json, &progress);
    ph_code rc = ph_buf_ok(&json) ? ph_ledger_progress(job->target_control, job->options->name,
                                                       ph_buf_text(&json), err)
                                  : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&json);
    return rc;
}
