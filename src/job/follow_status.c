/* What a follow tells: its row in the ledger. */
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "job/follow_parts.h"

#define JSON_LIMIT ((size_t)1 << 20)

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
    follow->past.changes += look->changes;
    follow->past.skipped += look->skipped;
    follow->past.conflicts += look->conflicts;
    follow->past.groups += look->groups;
    follow->past.replays += look->replays;
    follow->past.applied = look->applied;
    pthread_mutex_unlock(&follow->lock);
}

/* Seconds between the source's commit of what was applied last and now; 0 when nothing waits. */
static double
seconds_behind(const struct ph_applier_look *look, const struct ph_spool_positions *spool)
{
    struct timespec now;

    if (look->applied_us == 0 || look->applied >= spool->written)
        return 0;
    clock_gettime(CLOCK_REALTIME, &now);
    double behind = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - (double)look->applied_us / 1e6;
    return behind > 0 ? behind : 0;
}

static void
put_lsn(struct ph_buf *out, const char *name, ph_lsn lsn)
{
    char text[PH_LSN_TEXT];

    ph_buf_printf(out, "\"%s\":\"%s\",", name, ph_lsn_print(lsn, text));
}

static void
put_follow(struct ph_follow *follow, struct ph_buf *out)
{
    struct ph_applier_look look = {0};
    struct ph_receiver_look receiver;
    struct ph_spool_positions spool;

    ph_spool_get_positions(follow->spool, &spool);
    ph_receiver_look(follow->receiver, &receiver);
    if (follow->applier != NULL)
        ph_applier_get(follow->applier, &look);
    ph_lsn source = receiver.source_end > spool.written ? receiver.source_end : spool.written;
    ph_buf_puts(out, ",\"follow\":{");
    put_lsn(out, "source", source);
    put_lsn(out, "received", spool.written);
    put_lsn(out, "safe", spool.durable);
    put_lsn(out, "acknowledged", receiver.acknowledged);
    put_lsn(out, "applied", look.applied);
    put_lsn(out, "applied_durable", look.durable);
    put_lsn(out, "consistent_from", follow->consistent);
    pthread_mutex_lock(&follow->lock);
    ph_buf_printf(out,
                  "\"consistent\":%s,\"lag_bytes\":%" PRIu64 ",\"lag_s\":%.3f,"
                  "\"receiver\":\"%s\",\"spool_bytes\":%" PRIu64 ",\"spool_segments\":%" PRIu64
                  ",\"transactions\":%" PRIu64 ",\"changes\":%" PRIu64 ",\"skipped\":%" PRIu64
                  ",\"conflicts\":%" PRIu64 ",\"groups\":%" PRIu64 ",\"replays\":%" PRIu64 "}}",
                  look.applied >= follow->consistent ? "true" : "false",
                  source > look.applied ? source - look.applied : 0, seconds_behind(&look, &spool),
                  receiver_states[receiver.state], spool.bytes, spool.segments,
                  follow->past.transactions + look.transactions,
                  follow->past.changes + look.changes, follow->past.skipped + look.skipped,
                  follow->past.conflicts + look.conflicts, follow->past.groups + look.groups,
                  follow->past.replays + look.replays);
    pthread_mutex_unlock(&follow->lock);
}

ph_code
ph_follow_write_progress(struct ph_job *job, struct ph_error *err)
{
    struct ph_progress progress = {.phase = "follow",
                                   .elapsed_s = ph_clock_seconds_since(job->started_ns)};
    struct ph_buf json;

    progress.tables = progress.tables_done = job->plan.n_tables;
    ph_buf_init(&json, JSON_LIMIT);
    ph_progress_put_json(&json, &progress);
    if (ph_buf_ok(&json) && json.len > 0)
        json.len--; /* the closing brace comes behind the rest */
    put_follow(job->follow, &json);
    ph_code rc = ph_buf_ok(&json) ? ph_ledger_progress(job->target_control, job->options->name,
                                                       ph_buf_text(&json), err)
                                  : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&json);
    return rc;
}
