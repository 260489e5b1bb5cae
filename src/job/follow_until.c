/*
 * Where a follow ends: by the command's --until, or by `stop --at`, which the ledger keeps until a
 * run has come there. "Now" becomes a position of the source's WAL when it is given, so that what
 * is written later does not move the end.
 */
#include "base/clock.h"
#include "base/log.h"
#include "job/follow_parts.h"
#include "pg/slot.h"

#define MARK_PREFIX "pghaul.mark"
#define CAUGHT_UP_S 1.0

ph_code
ph_follow_take_until(struct ph_job *job, struct ph_error *err)
{
    ph_lsn lsn;

    job->until = job->options->until;
    if (job->until.kind != PH_UNTIL_NOW)
        return PH_OK;
    PH_TRY(ph_slot_source_end(job->source_control, &lsn, err));
    job->until = (struct ph_until){PH_UNTIL_LSN, lsn};
    return PH_OK;
}

ph_code
ph_follow_read_end(const struct ph_job *job, struct ph_conn *target, struct ph_conn *source,
                   struct ph_until *until, struct ph_error *err)
{
    const char *name = job->options->name;
    ph_lsn lsn;

    PH_TRY(ph_ledger_end_asked(target, name, until, err));
    if (until->kind != PH_UNTIL_NOW)
        return PH_OK;
    PH_TRY(ph_slot_source_end(source, &lsn, err));
    PH_TRY(ph_ledger_now_is(target, name, lsn, err));
    return ph_ledger_end_asked(target, name, until, err);
}

/* A message of our own: behind it lies nothing that was committed before. */
static ph_code
set_mark(struct ph_job *job, ph_lsn *mark, struct ph_error *err)
{
    static const uint8_t content[] = "end";

    job->follow->mark_ns = ph_clock_ns();
    return ph_message_emit(job->source_control, PH_MESSAGE_AT_COMMIT, MARK_PREFIX,
                           (struct ph_span){content, sizeof content - 1}, mark, err);
}

ph_code
ph_follow_begin_end(struct ph_job *job, const struct ph_until *until, struct ph_error *err)
{
    struct ph_follow *follow = job->follow;
    char text[PH_LSN_TEXT];

    follow->until = *until;
    follow->mark = 0;
    follow->has_mark = true;
    if (until->kind == PH_UNTIL_STOPPED)
        return PH_OK;
    /* also for a position: it may be the source's end, behind which nothing comes by itself */
    PH_TRY(set_mark(job, &follow->mark, err));
    if (until->kind == PH_UNTIL_LSN) {
        /* before the consistent point the target is no state that the source ever had */
        follow->mark = until->lsn > follow->consistent ? until->lsn : follow->consistent;
        ph_log(PH_LOG_INFO, "follow.until", "job %s: ends at %s", job->options->name,
               ph_lsn_print(follow->mark, text));
    }
    if (follow->applier != NULL)
        ph_applier_set_end(follow->applier, follow->mark);
    return PH_OK;
}

/*
 * The applier has ended at the mark. Caught up is who applied it within a second of its being
 * written; otherwise more may have come meanwhile, and there is another round.
 */
bool
ph_follow_is_over(const struct ph_follow *follow)
{
    return follow->until.kind != PH_UNTIL_CAUGHT_UP ||
           ph_clock_seconds_since(follow->mark_ns) < CAUGHT_UP_S;
}
