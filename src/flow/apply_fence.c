/*
 * The applier's side of a fence (pg/fence.h): it stands where verify asked it to, then cuts before
 * the first transaction that verify's snapshot of the source does not see.
 *
 * Transactions wait for their commit to reach the disk after they wrote it, and are not visible
 * before: so what a snapshot does not see of the stream lies at its end, nearly always, and a
 * position is what the snapshot is. When it is not so the fence is void, and verify asks again.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "flow/applier_parts.h"

#define LONGEST_HOLD_MS 1000u
#define SNAPSHOT_LIMIT ((size_t)1 << 20)

void
ph_applier_fence_init(struct ph_apply_fence *fence)
{
    ph_arena_init(&fence->arena, SNAPSHOT_LIMIT);
}

void
ph_applier_fence_free(struct ph_apply_fence *fence)
{
    ph_arena_reset(&fence->arena);
}

/* ---- what comes by ---- */

static bool
is_after(struct ph_span content, const char *word, char *rest, size_t size)
{
    size_t len = strlen(word);

    if (content.len <= len || content.len - len >= size || memcmp(content.data, word, len) != 0)
        return false;
    memcpy(rest, content.data + len, content.len - len);
    rest[content.len - len] = '\0';
    return true;
}

void
ph_applier_fence_message(struct ph_applier *applier, const struct ph_txn_event *event)
{
    struct ph_apply_fence *fence = &applier->fence;
    char id[PH_FENCE_ID_SIZE];

    if (ph_applier_is_in_team(applier)) /* what it commits is no state of the source */
        return;
    if (event->event->prefix == NULL || strcmp(event->event->prefix, PH_FENCE_PREFIX) != 0)
        return;
    if (is_after(event->event->content, "begin ", id, sizeof id)) {
        snprintf(fence->id, sizeof fence->id, "%s", id);
        fence->step = PH_FENCE_NAMED;
        fence->ends = false;
    } else if (is_after(event->event->content, "end ", id, sizeof id)) {
        fence->ends = fence->step == PH_FENCE_BEHIND && strcmp(id, fence->id) == 0;
    }
}

/* ---- standing ---- */

static ph_code
tell(struct ph_applier *applier, enum ph_fence_state state, bool *told, struct ph_error *err)
{
    const struct ph_fence_news news = {
        .state = state,
        .position = applier->target.applied,
        .held_us = applier->fence.longest_us,
    };

    return ph_fence_tell(applier->target.conn, applier->params.job, applier->fence.id, &news, told,
                         err);
}

/*
 * What was read behind the cut need not be on the target before verify is told: it may have locked
 * a table until it is.
 */
static bool
is_quiet(const struct ph_applier *applier)
{
    return !applier->sent.is_there && applier->target.committing == 0 && !applier->target.is_open;
}

static ph_code
end_fence(struct ph_applier *applier, enum ph_fence_state state, struct ph_error *err)
{
    struct ph_apply_fence *fence = &applier->fence;
    bool told;

    if (!is_quiet(applier))
        PH_TRY(ph_applier_settle(applier, err));
    fence->step = PH_FENCE_NONE;
    fence->ends = false;
    return tell(applier, state, &told, err);
}

/* Wait until verify is done, or has been too slow. */
static ph_code
hold(struct ph_applier *applier, enum ph_fence_lock lock, uint64_t since_ns, bool *let_go,
     struct ph_error *err)
{
    struct ph_apply_fence *fence = &applier->fence;

    PH_TRY(ph_fence_wait(applier->target.conn, applier->params.job, lock, LONGEST_HOLD_MS, let_go,
                         err));
    uint64_t held_us = (ph_clock_ns() - since_ns) / 1000;
    if (held_us > fence->longest_us)
        fence->longest_us = held_us;
    return PH_OK;
}

static bool
sees(const struct ph_apply_fence *fence, uint32_t xid)
{
    return ph_xid_snapshot_sees(&fence->snapshot, ph_xid_widen(&fence->snapshot, xid));
}

static bool
sees_all_recent(const struct ph_apply_fence *fence)
{
    uint64_t n = fence->n_recent < PH_RECENT_TXNS ? fence->n_recent : PH_RECENT_TXNS;

    for (uint64_t i = 0; i < n; i++) {
        if (!sees(fence, fence->recent[i]))
            return false;
    }
    return true;
}

/* The target is where the first message stands. */
static ph_code
stand(struct ph_applier *applier, struct ph_error *err)
{
    struct ph_apply_fence *fence = &applier->fence;
    struct ph_conn *conn = applier->target.conn;
    const char *text;
    bool goes;

    fence->step = PH_FENCE_NONE;
    fence->longest_us = 0;
    PH_TRY(ph_applier_settle(applier, err));
    uint64_t start = ph_clock_ns();
    (void)ph_epoch_filter_retire(applier->params.filter, applier->target.applied);
    if (applier->params.filter->open_lsn != 0)
        return end_fence(applier, PH_FENCE_VOID, err); /* not a state of the source yet */
    PH_TRY(ph_fence_stand(conn, applier->params.job, fence->id, &goes, err));
    if (!goes)
        return PH_OK;
    PH_TRY(hold(applier, PH_FENCE_FIRST, start, &goes, err));
    ph_arena_reset(&fence->arena);
    PH_TRY(ph_fence_snapshot(conn, applier->params.job, fence->id, &fence->arena, &text, err));
    if (!goes || text == NULL)
        return end_fence(applier, PH_FENCE_VOID, err);
    PH_TRY(ph_xid_snapshot_parse(&fence->arena, text, &fence->snapshot, err));
    if (!sees_all_recent(fence))
        return end_fence(applier, PH_FENCE_VOID, err);
    fence->step = PH_FENCE_ARMED;
    return PH_OK;
}

/* The target is what verify's snapshot of the source is, if nothing that it sees comes behind. */
static ph_code
cut(struct ph_applier *applier, struct ph_error *err)
{
    bool let_go;
    bool told;

    PH_TRY(ph_applier_settle(applier, err));
    uint64_t start = ph_clock_ns();
    applier->fence.step = PH_FENCE_NONE;
    PH_TRY(tell(applier, PH_FENCE_CUT, &told, err));
    if (!told)
        return PH_OK; /* whoever asked has given up, and perhaps asked anew */
    PH_TRY(hold(applier, PH_FENCE_SECOND, start, &let_go, err));
    if (!let_go)
        return end_fence(applier, PH_FENCE_VOID, err);
    applier->fence.step = PH_FENCE_BEHIND;
    return PH_OK;
}

ph_code
ph_applier_fence_begin(struct ph_applier *applier, const struct ph_source_txn *txn,
                       struct ph_error *err)
{
    struct ph_apply_fence *fence = &applier->fence;

    if (fence->step == PH_FENCE_ARMED && !sees(fence, txn->xid))
        return cut(applier, err);
    if (fence->step == PH_FENCE_BEHIND && sees(fence, txn->xid))
        return end_fence(applier, PH_FENCE_VOID, err);
    return PH_OK;
}

ph_code
ph_applier_fence_commit(struct ph_applier *applier, const struct ph_source_txn *txn,
                        struct ph_error *err)
{
    struct ph_apply_fence *fence = &applier->fence;

    fence->recent[fence->n_recent++ % PH_RECENT_TXNS] = txn->xid;
    if (fence->step == PH_FENCE_NAMED)
        return stand(applier, err);
    return fence->ends ? end_fence(applier, PH_FENCE_GOOD, err) : PH_OK;
}
