#include "flow/apply_early.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/apply_early_parts.h"

#define BLOCK_START_BYTES 6u
#define SCRATCH_LIMIT ((size_t)1 << 30)

/* ---- making and ending ---- */

struct ph_early *
ph_early_new(struct ph_applier *applier)
{
    struct ph_early *early = calloc(1, sizeof *early);

    if (early == NULL)
        return NULL;
    early->applier = applier;
    ph_buf_init(&early->scratch, SCRATCH_LIMIT);
    return early;
}

static void
end_reading(struct ph_early *early)
{
    struct early_reading *reading = &early->reading;

    if (early->is_reading) {
        ph_spool_stream_close(reading->stream);
        ph_pgoutput_free(reading->decoder);
        ph_apply_tables_forget_rels(&early->applier->tables);
        ph_fold_free(reading->fold);
        ph_change_notes_free(&reading->notes);
        ph_xid_set_clear(&reading->aborted);
        ph_xid_spans_clear(&reading->gone);
    }
    *reading = (struct early_reading){0};
    early->is_reading = false;
}

/* The transaction at hand is none any more. */
static void
leave(struct ph_early *early)
{
    if (early->is_open)
        ph_apply_mind(&early->applier->target, 0, NULL, NULL);
    if (early->is_open && !early->has_yielded && early->is_connected)
        ph_early_roll_back(early);
    end_reading(early);
    early->is_open = false;
    early->has_yielded = false;
    early->xid = 0;
    early->waiting = 0;
}

void
ph_early_give_up(struct ph_early *early, const char *why)
{
    struct ph_applier *applier = early->applier;

    ph_log(PH_LOG_DEBUG, "early.left", "transaction %u is applied at its commit: %s", early->xid,
           why);
    /* without memory for it, it may be tried again */
    (void)ph_xid_set_add(&early->given_up, early->xid);
    if (early->is_open) {
        pthread_mutex_lock(&applier->lock);
        applier->look.early_left++;
        pthread_mutex_unlock(&applier->lock);
    }
    leave(early);
}

void
ph_early_free(struct ph_early *early)
{
    if (early == NULL)
        return;
    end_reading(early);
    ph_early_disconnect(early);
    ph_xid_set_clear(&early->given_up);
    ph_buf_free(&early->scratch);
    free(early);
}

static bool
is_everybodys(ph_code rc)
{
    return rc == PH_E_STOPPED || rc == PH_E_MEMORY || rc == PH_E_DISK || rc == PH_E_SPOOL_DAMAGED ||
           rc == PH_E_POSITION;
}

ph_code
ph_early_failure(struct ph_early *early, ph_code rc, const struct ph_error *why,
                 struct ph_error *err)
{
    if (rc == PH_OK)
        return PH_OK;
    if (early->has_failed || is_everybodys(rc)) {
        *err = *why;
        return rc;
    }
    ph_early_give_up(early, why->message);
    return PH_OK;
}

/* ---- a transaction ---- */

static ph_code
enter_block(struct ph_early *early, struct ph_error *err)
{
    uint8_t start[BLOCK_START_BYTES] = {'S'};

    ph_store_u32(start + 1, early->xid);
    start[5] = 1;
    return ph_early_decode(early, (struct ph_span){start, sizeof start}, err);
}

/* One that has ended in the spool is not worth it. */
static ph_code
begin_reading(struct ph_early *early, struct ph_error *err)
{
    const struct ph_applier_params *params = &early->applier->params;
    struct early_reading *reading = &early->reading;
    enum ph_spool_fate fate = PH_FATE_VOID;

    PH_TRY(
        ph_spool_stream_follow(params->spool, early->session, early->xid, &reading->stream, err));
    if (reading->stream != NULL)
        PH_TRY(ph_spool_stream_extend(reading->stream, early->place, &fate, err));
    if (fate != PH_FATE_OPEN) {
        ph_spool_stream_close(reading->stream);
        reading->stream = NULL;
        leave(early);
        return PH_OK;
    }
    early->is_reading = true;
    reading->newest = early->xid;
    reading->decoder = ph_pgoutput_new();
    reading->fold = ph_fold_new(PH_FOLD_NET, params->group_bytes);
    ph_change_notes_init(&reading->notes, params->job, PH_ORPHANS_EARLY);
    if (reading->decoder == NULL || reading->fold == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    return enter_block(early, err);
}

static ph_code
read_blocks(struct ph_early *early, struct ph_error *err)
{
    early->waiting = 0;
    if (!early->is_reading)
        PH_TRY(begin_reading(early, err));
    return early->is_reading ? ph_early_read_on(early, early->place, err) : PH_OK;
}

/* As long as the copy may have it, its blocks wait; it may be that no other comes behind them. */
static bool
may_begin(const struct ph_early *early)
{
    return early->is_reading || early->applier->params.filter->open_lsn == 0;
}

static bool
is_it(const struct ph_early *early, const struct ph_txn_event *event)
{
    return early->xid != 0 && early->xid == event->txn.xid && early->session == event->session;
}

ph_code
ph_early_block(struct ph_early *early, const struct ph_txn_event *event, struct ph_error *err)
{
    ph_early_take_yield(early);
    if (early->xid == 0 && !ph_applier_is_in_team(early->applier) &&
        !ph_xid_set_has(&early->given_up, event->txn.xid)) {
        early->xid = event->txn.xid;
        early->session = event->session;
    }
    if (!is_it(early, event))
        return PH_OK;
    early->place = event->place;
    early->waiting += event->bytes;
    /* when much else is to do, it begins with what is a part of its own */
    if (early->is_open ||
        (early->waiting >= early->applier->params.group_bytes && may_begin(early)))
        return read_blocks(early, err);
    return PH_OK;
}

ph_code
ph_early_idle(struct ph_early *early, struct ph_error *err)
{
    ph_early_take_yield(early);
    if (early->waiting > 0 && may_begin(early))
        PH_TRY(read_blocks(early, err));
    return early->is_reading ? ph_early_send_part(early, err) : PH_OK;
}

void
ph_early_abort(struct ph_early *early, const struct ph_txn_event *event)
{
    if (is_it(early, event))
        leave(early);
}

bool
ph_early_is_on(const struct ph_early *early)
{
    return early->is_reading;
}

void
ph_early_void(struct ph_early *early)
{
    if (early->xid != 0)
        leave(early);
    ph_xid_set_clear(&early->given_up);
}

void
ph_early_begin_again(struct ph_early *early)
{
    if (early->xid != 0)
        ph_early_give_up(early, "the applier reads on from before it");
}

void
ph_early_give_way(struct ph_early *early)
{
    if (early->is_open)
        ph_early_give_up(early, "the applier needs the target for itself");
}

/* ---- its commit ---- */

/* *is_sent: the COMMIT; only when the server refuses it, it has not happened for certain. */
static ph_code
commit_now(struct ph_early *early, ph_lsn end, bool *is_sent, struct ph_error *err)
{
    *is_sent = false;
    PH_TRY(ph_apply_expect(&early->target, err));
    early->target.applied = early->applier->target.applied;
    PH_TRY(ph_apply_end(&early->target, end, err));
    PH_TRY(ph_apply_expect(&early->target, err));
    *is_sent = true;
    PH_TRY(ph_apply_commit(&early->target, err));
    ph_code rc = ph_apply_settle(&early->target, err);
    if (ph_applier_is_refusal(rc)) {
        *is_sent = false;
        ph_early_disconnect(early);
    }
    return rc;
}

static void
describe(const struct ph_early *early, const struct ph_txn_event *event, struct sent *out)
{
    *out = (struct sent){.is_there = true,
                         .from = early->applier->target.applied,
                         .end = event->end_lsn,
                         .txns = 1,
                         .counted = event->end_lsn > early->applier->params.count_from,
                         .changes = early->reading.changes,
                         .us = event->time_us};
}

static void
note_commit(struct ph_early *early, ph_lsn end)
{
    struct ph_applier *applier = early->applier;

    applier->target.applied = applier->target.durable = end;
    applier->target.made_durable_ns = ph_clock_ns();
    pthread_mutex_lock(&applier->lock);
    applier->look.early++;
    pthread_mutex_unlock(&applier->lock);
}

/* Going back and forth is where a change could be lost without any server's noticing. */
static ph_code
check_count(struct ph_early *early, struct ph_spool_place place, struct ph_error *err)
{
    bool has_all;

    PH_TRY(ph_early_has_all(early, place, &has_all, err));
    if (!has_all)
        ph_early_give_up(early, "other changes were applied than there are");
    return PH_OK;
}

ph_code
ph_early_commit(struct ph_early *early, const struct ph_txn_event *event, bool *done,
                struct sent *out, struct ph_error *err)
{
    struct ph_error why;
    bool is_sent;

    *done = false;
    if (!is_it(early, event))
        return PH_OK;
    if (!early->is_open ||
        ph_epoch_filter_is_open(early->applier->params.filter, event->txn.commit_lsn)) {
        leave(early);
        return PH_OK;
    }
    /* once more when the last of its messages were those of subtransactions rolled back */
    for (int i = 0; i < 2 && early->is_reading; i++)
        PH_TRY(ph_early_read_on(early, event->place, err));
    if (early->is_reading)
        PH_TRY(ph_early_send_part(early, err));
    PH_TRY(ph_early_settle(early, err));
    if (early->is_reading && early->reading.went_back)
        PH_TRY(check_count(early, event->place, err));
    if (!early->is_open)
        return PH_OK;
    describe(early, event, out);
    ph_error_reset(&why);
    ph_code rc = commit_now(early, event->end_lsn, &is_sent, &why);
    early->has_failed |= rc != PH_OK && is_sent; /* what became of it the ledger says */
    if (rc != PH_OK)
        return ph_early_failure(early, rc, &why, err);
    *done = true;
    note_commit(early, event->end_lsn);
    early->has_yielded = true; /* nothing to roll back */
    leave(early);
    return PH_OK;
}
