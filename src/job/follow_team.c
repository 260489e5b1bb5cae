/*
 * Far behind the source, several workers apply what waits: each the tables of its own, all from one
 * position to another, where they meet (docs/decisions/0022). Until then the target is no state
 * that the source had. Who does what is written down before anything is applied so, and the next
 * run goes on with exactly that.
 *
 * They meet at what is durable in the spool when they begin, so that all of it is there for whoever
 * goes on.
 */
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/stop.h"
#include "job/copy_parts.h"
#include "job/follow_parts.h"
#include "job/follow_sets.h"
#include "pg/fence.h"
#include "pg/ledger_team.h"

/* Times --bulk-from. What the applier did since it was asked to leave must not be for nothing. */
#define FAR_BEHIND 4u
#define STILL_FAR_BEHIND 2u
#define AGAIN_AFTER_NS UINT64_C(2000000000)
#define ARENA_LIMIT ((size_t)16 << 20)
#define WIND_UP_MS 10
#define NOBODY UINT32_MAX

struct worker {
    struct ph_follow_team *team;
    struct ph_applier *applier; /* NULL: it has nothing to do any more, or not begun */
    ph_lsn applied;             /* these two under the team's lock */
    ph_lsn durable;
};

struct ph_follow_team {
    struct ph_follow *follow;
    struct ph_arena arena; /* of `ledger` */
    struct ph_ledger_team ledger;
    struct worker *workers; /* number i + 1 */
    uint32_t failed;        /* the first of them that did, from 0; or NOBODY */
    pthread_mutex_t lock;   /* what has moved, and follow->pruned */
};

/* ---- whether there is to be one ---- */

/* *meet: up to where a team would go. Not beyond the end that was asked for. */
static bool
is_far_behind(const struct ph_job *job, ph_lsn applied, uint64_t times, ph_lsn *meet)
{
    const struct ph_follow *follow = job->follow;
    struct ph_spool_positions spool;

    ph_spool_get_positions(follow->spool, &spool);
    *meet = spool.durable;
    return job->ledger.phase == PH_PHASE_FOLLOW && follow->has_mark &&
           applied >= follow->consistent && *meet > applied &&
           (*meet - applied) / times >= job->options->bulk_from_bytes &&
           (spool.open_streams == 0 || follow->is_leaving) &&
           (follow->mark == 0 || *meet <= follow->mark);
}

static bool
has_routes(const struct ph_plan *plan)
{
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        if (plan->tables[i].route != NULL)
            return true;
    }
    return false;
}

static ph_code
read_inherits(struct ph_conn *target, struct ph_arena *arena, struct ph_inherits **out, uint32_t *n,
              struct ph_error *err)
{
    struct ph_result *r;

    PH_TRY(ph_conn_query(target, "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits", 0, NULL,
                         &r, err));
    *n = (uint32_t)ph_result_rows(r);
    *out = PH_ARENA_ARRAY(arena, struct ph_inherits, (size_t)*n + 1);
    for (uint32_t i = 0; *out != NULL && i < *n; i++)
        (*out)[i] = (struct ph_inherits){ph_result_u32(r, (int)i, 0), ph_result_u32(r, (int)i, 1)};
    ph_result_free(r);
    return *out != NULL ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

/* Who would apply what: out->worker_of and n_workers, in `arena`. */
static ph_code
deal_tables(struct ph_job *job, struct ph_arena *arena, struct ph_ledger_team *out,
            struct ph_error *err)
{
    struct ph_inherits *inherits;
    uint32_t n;

    PH_TRY(read_inherits(job->target_control, arena, &inherits, &n, err));
    out->worker_of = PH_ARENA_ARRAY(arena, uint32_t, (size_t)job->plan.n_tables + 1);
    if (out->worker_of == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    return ph_follow_sets_deal(&(struct ph_follow_sets_params){.plan = &job->plan,
                                                               .target = &job->target_catalog,
                                                               .inherits = inherits,
                                                               .n_inherits = n,
                                                               .most = job->apply_jobs},
                               out->worker_of, &out->n_workers, err);
}

/* Rows that rules made may go to any table, and to quarantine: they stay with one. */
static ph_code
find_whether_divisible(struct ph_job *job, struct ph_error *err)
{
    struct ph_ledger_team team = {0};
    struct ph_arena arena;
    ph_code rc = PH_OK;

    job->follow->may_divide = PH_DIVIDE_NO;
    if (job->apply_jobs < 2 || has_routes(&job->plan))
        return PH_OK;
    ph_arena_init(&arena, ARENA_LIMIT);
    rc = deal_tables(job, &arena, &team, err);
    if (rc == PH_OK && team.n_workers > 1)
        job->follow->may_divide = PH_DIVIDE_YES;
    ph_arena_reset(&arena);
    return rc;
}

/* A verification needs states of the source, which a team does not come by. */
static ph_code
is_verified(struct ph_job *job, bool *is, struct ph_error *err)
{
    PH_TRY(ph_fence_is_verified(job->target_control, job->options->name, is, err));
    if (*is)
        job->follow->team_after_ns = ph_clock_ns() + AGAIN_AFTER_NS;
    return PH_OK;
}

ph_code
ph_follow_consider_team(struct ph_job *job, const struct ph_applier_look *look,
                        struct ph_error *err)
{
    struct ph_follow *follow = job->follow;
    bool verified;
    ph_lsn meet;

    if (follow->is_leaving || follow->may_divide == PH_DIVIDE_NO ||
        ph_clock_ns() < follow->team_after_ns ||
        !is_far_behind(job, look->applied, FAR_BEHIND, &meet))
        return PH_OK;
    if (follow->may_divide == PH_DIVIDE_UNKNOWN)
        PH_TRY(find_whether_divisible(job, err));
    if (follow->may_divide == PH_DIVIDE_NO)
        return PH_OK;
    PH_TRY(is_verified(job, &verified, err));
    if (verified)
        return PH_OK;
    follow->is_leaving = true;
    ph_applier_ask_leave(follow->applier);
    return PH_OK;
}

/* ---- making one ---- */

static ph_code
note_team(struct ph_job *job, const struct ph_ledger_team *team, struct ph_error *err)
{
    char from[PH_LSN_TEXT];
    char to[PH_LSN_TEXT];

    PH_TRY(ph_ledger_begin_team(job->target_control, job->options->name, team, job->plan.n_tables,
                                job->follow->position, err));
    PH_FAILPOINT(after_team_noted);
    ph_log(PH_LOG_INFO, "team.begun",
           "far behind: %u workers apply the tables among them from %s to %s; the target is not "
           "consistent until they meet there",
           team->n_workers, ph_lsn_print(job->follow->position, from),
           ph_lsn_print(team->meet, to));
    return PH_OK;
}

/* A new one, when it is time for it. */
static ph_code
make_team(struct ph_job *job, struct ph_error *err)
{
    struct ph_follow *follow = job->follow;
    struct ph_ledger_team team = {0};
    struct ph_arena arena;
    bool verified;

    if (follow->may_divide != PH_DIVIDE_YES || ph_clock_ns() < follow->team_after_ns ||
        !is_far_behind(job, follow->position, STILL_FAR_BEHIND, &team.meet))
        return PH_OK;
    PH_TRY(is_verified(job, &verified, err));
    if (verified)
        return PH_OK;
    ph_arena_init(&arena, ARENA_LIMIT);
    ph_code rc = deal_tables(job, &arena, &team, err);
    if (rc == PH_OK && team.n_workers > 1)
        rc = note_team(job, &team, err);
    ph_arena_reset(&arena);
    return rc;
}

void
ph_follow_free_team(struct ph_follow *follow)
{
    struct ph_follow_team *team = follow->team;

    if (team == NULL)
        return;
    follow->team = NULL;
    ph_arena_reset(&team->arena);
    pthread_mutex_destroy(&team->lock);
    free(team->workers);
    free(team);
}

/* From the ledger, as whoever finds it there would. */
static ph_code
load_team(struct ph_job *job, struct ph_follow_team *team, struct ph_error *err)
{
    PH_TRY(ph_ledger_load_team(job->target_control, job->options->name, job->plan.n_tables,
                               &team->arena, &team->ledger, err));
    team->workers = calloc((size_t)team->ledger.n_workers + 1, sizeof *team->workers);
    if (team->workers == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < team->ledger.n_workers; i++)
        team->workers[i] = (struct worker){.team = team,
                                           .applied = team->ledger.positions[i],
                                           .durable = team->ledger.positions[i]};
    return PH_OK;
}

ph_code
ph_follow_take_team(struct ph_job *job, struct ph_error *err)
{
    struct ph_follow *follow = job->follow;
    bool has;

    PH_TRY(ph_ledger_has_team(job->target_control, job->options->name, &has, err));
    if (!has)
        PH_TRY(make_team(job, err));
    struct ph_follow_team *team = calloc(1, sizeof *team);
    if (team == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    team->follow = follow;
    team->failed = NOBODY;
    ph_arena_init(&team->arena, ARENA_LIMIT);
    pthread_mutex_init(&team->lock, NULL);
    follow->team = team;
    ph_code rc = load_team(job, team, err);
    if (rc != PH_OK || team->ledger.meet == 0)
        ph_follow_free_team(follow);
    if (rc == PH_OK && follow->team == NULL && follow->is_leaving) /* it was not time any more */
        follow->team_after_ns = ph_clock_ns() + AGAIN_AFTER_NS;
    follow->is_leaving = false;
    return rc;
}

/* ---- at work ---- */

/* The last of them says how far all are. By the workers' threads, one after the other. */
static void
has_moved(void *arg, ph_lsn applied, ph_lsn durable)
{
    struct worker *worker = arg;
    struct ph_follow_team *team = worker->team;

    pthread_mutex_lock(&team->lock);
    worker->applied = applied;
    worker->durable = durable;
    for (uint32_t i = 0; i < team->ledger.n_workers; i++) {
        const struct worker *other = &team->workers[i];
        applied = other->applied < applied ? other->applied : applied;
        durable = other->durable < durable ? other->durable : durable;
    }
    ph_follow_has_moved(team->follow, applied, durable);
    pthread_mutex_unlock(&team->lock);
}

static ph_code
start_workers(struct ph_job *job, struct ph_follow_team *team, struct ph_error *err)
{
    struct ph_applier_params params;

    ph_follow_describe_applier(job, &params);
    params.worker_of = team->ledger.worker_of;
    params.meet = team->ledger.meet;
    params.group_bytes /= team->ledger.n_workers;
    params.moved = has_moved;
    for (uint32_t i = 0; i < team->ledger.n_workers; i++) {
        struct worker *worker = &team->workers[i];
        if (team->ledger.positions[i] == params.meet)
            continue;
        params.worker = i + 1;
        params.position = team->ledger.positions[i];
        params.arg = worker;
        PH_TRY(ph_applier_start(&params, &worker->applier, err));
    }
    return PH_OK;
}

/* All of them, or one that should not have. */
static ph_code
look_at_workers(struct ph_job *job, bool *has_ended, struct ph_error *err)
{
    struct ph_follow_team *team = job->follow->team;
    struct ph_applier_look look;
    bool all = true;

    (void)err;
    for (uint32_t i = 0; i < team->ledger.n_workers; i++) {
        if (team->workers[i].applier == NULL)
            continue;
        ph_applier_get(team->workers[i].applier, &look);
        all &= look.has_ended;
        if (look.has_ended && !look.at_end && team->failed == NOBODY)
            team->failed = i;
    }
    *has_ended = all || team->failed != NOBODY;
    return PH_OK;
}

/* Also when everything is to stop: the counts are their last words. */
static void
wait_for_workers(struct ph_follow_team *team)
{
    struct ph_applier_look look;

    for (uint32_t i = 0; i < team->ledger.n_workers; i++) {
        if (team->workers[i].applier != NULL)
            ph_applier_ask_stop(team->workers[i].applier);
    }
    for (uint32_t i = 0; i < team->ledger.n_workers; i++) {
        look.has_ended = team->workers[i].applier == NULL;
        while (!look.has_ended) {
            ph_applier_get(team->workers[i].applier, &look);
            if (!look.has_ended)
                (void)poll(NULL, 0, WIND_UP_MS);
        }
    }
}

/* The failure that came first, as far as that was seen. */
static ph_code
stop_workers(struct ph_follow_team *team, struct ph_error *err)
{
    ph_code first = PH_OK;

    for (uint32_t i = 0; i < team->ledger.n_workers; i++) {
        struct worker *worker = &team->workers[i];
        struct ph_error why;
        if (worker->applier == NULL)
            continue;
        ph_error_reset(&why);
        ph_code rc = ph_applier_stop(worker->applier, &why);
        worker->applier = NULL;
        if (rc == PH_OK || (first != PH_OK && i != team->failed))
            continue;
        first = rc;
        *err = why;
    }
    return first;
}

/* Each has written down that it is there. */
static ph_code
end_team(struct ph_job *job, struct ph_follow_team *team, struct ph_error *err)
{
    char text[PH_LSN_TEXT];

    PH_FAILPOINT(before_team_end);
    PH_TRY(ph_ledger_end_team(job->target_control, job->options->name, &team->ledger, err));
    ph_log(PH_LOG_INFO, "team.met", "the workers have met at %s: the target is consistent again",
           ph_lsn_print(team->ledger.meet, text));
    return PH_OK;
}

static ph_code
run_team(struct ph_job *job, struct ph_follow_team *team, struct ph_error *err)
{
    struct ph_applier_look look;
    struct ph_error why;

    ph_error_reset(&why);
    ph_code rc = start_workers(job, team, err);
    if (rc == PH_OK)
        rc = ph_follow_watch_until(job, look_at_workers, err);
    wait_for_workers(team);
    ph_follow_look_at_team(team, &look);
    ph_follow_add_up(job->follow, &look);
    ph_code applied = stop_workers(team, &why);
    if (applied != PH_OK) {
        *err = why;
        return applied;
    }
    PH_TRY(rc);
    PH_TRY(ph_stop_check(err));
    return end_team(job, team, err);
}

ph_code
ph_follow_run_team(struct ph_job *job, struct ph_error *err)
{
    ph_code rc = run_team(job, job->follow->team, err);

    ph_follow_free_team(job->follow);
    return rc;
}

/* ---- what others see ---- */

static bool
is_slower(const struct ph_applier_look *look, const struct ph_applier_look *than)
{
    return look->applied != than->applied ? look->applied < than->applied
                                          : look->transactions > than->transactions;
}

void
ph_follow_look_at_team(struct ph_follow_team *team, struct ph_applier_look *out)
{
    struct ph_applier_look slowest = {.applied = team->ledger.meet, .durable = team->ledger.meet};
    struct ph_applier_look sum = {0};

    for (uint32_t i = 0; i < team->ledger.n_workers; i++) {
        const struct worker *worker = &team->workers[i];
        struct ph_applier_look look = {.applied = team->ledger.positions[i],
                                       .durable = team->ledger.positions[i]};
        if (worker->applier != NULL)
            ph_applier_get(worker->applier, &look);
        if (is_slower(&look, &slowest))
            slowest = look;
        sum.changes += look.changes;
        sum.skipped += look.skipped;
        sum.conflicts += look.conflicts;
        sum.groups += look.groups;
        sum.replays += look.replays;
    }
    *out = (struct ph_applier_look){
        .applied = slowest.applied,
        .durable = slowest.durable,
        .read = slowest.read,
        .applied_us = slowest.applied_us,
        .transactions = slowest.transactions,
        .counted = slowest.counted,
        .changes = sum.changes,
        .skipped = sum.skipped,
        .conflicts = sum.conflicts,
        .groups = sum.groups,
        .replays = sum.replays,
    };
}

ph_lsn
ph_follow_team_meets(const struct ph_follow_team *team, uint32_t *n_workers)
{
    *n_workers = team->ledger.n_workers;
    return team->ledger.meet;
}
