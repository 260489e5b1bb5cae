#include "job/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static bool
allocate(struct ph_schedule *s)
{
    size_t tables = s->plan->n_tables + (size_t)1;
    size_t lots = s->plan->n_lots + (size_t)1;

    s->lots = calloc(lots, sizeof *s->lots);
    s->lot_level = calloc(lots, sizeof *s->lot_level);
    s->lot_head = calloc(lots, sizeof *s->lot_head);
    s->lot_next = calloc(s->plan->n_chunks + (size_t)1, sizeof *s->lot_next);
    s->chunks_left = calloc(tables, sizeof *s->chunks_left);
    s->level_left = calloc(s->n_levels, sizeof *s->level_left);
    s->leader = calloc(tables, sizeof *s->leader);
    s->group_left = calloc(tables, sizeof *s->group_left);
    s->read_back = calloc(tables, sizeof *s->read_back);
    s->verified = calloc(tables, sizeof *s->verified);
    s->begun = calloc(tables, sizeof *s->begun);
    return s->lots != NULL && s->lot_level != NULL && s->lot_head != NULL && s->lot_next != NULL &&
           s->chunks_left != NULL && s->level_left != NULL && s->leader != NULL &&
           s->group_left != NULL && s->read_back != NULL && s->verified != NULL && s->begun != NULL;
}

static uint32_t
level_of(const struct ph_table_plan *table)
{
    return table->ordered_by_fk ? table->level : 0;
}

static uint32_t
count_levels(const struct ph_plan *plan)
{
    uint32_t n = 1;

    for (uint32_t i = 0; i < plan->n_tables; i++) {
        if (level_of(&plan->tables[i]) >= n)
            n = level_of(&plan->tables[i]) + 1;
    }
    return n;
}

/* Once all that goes into the target is in. */
static void
push_read_back(struct ph_schedule *s, uint32_t leader)
{
    if (s->parts != NULL && !s->verified[leader])
        s->read_back[s->read_tail++] = leader;
}

struct by_target {
    ph_oid target;
    bool is_beside;
    uint32_t table;
};

static int
compare_targets(const void *left, const void *right)
{
    const struct by_target *a = left;
    const struct by_target *b = right;

    if (a->target != b->target)
        return a->target < b->target ? -1 : 1;
    if (a->is_beside != b->is_beside)
        return a->is_beside ? 1 : -1;
    return a->table < b->table ? -1 : a->table > b->table;
}

/*
 * Where partitioning differs, several source tables go into one target, which is read back once. Of
 * those whose rows are told from the others' there only these are read, by themselves.
 */
static bool
find_leaders(struct ph_schedule *s)
{
    uint32_t n = s->plan->n_tables;
    struct by_target *order = calloc(n + (size_t)1, sizeof *order);

    if (order == NULL)
        return false;
    for (uint32_t t = 0; t < n; t++)
        order[t] =
            (struct by_target){s->plan->tables[t].target->oid, s->plan->tables[t].is_beside, t};
    qsort(order, n, sizeof *order, compare_targets);
    for (uint32_t i = 0; i < n; i++) {
        bool is_first = i == 0 || order[i].target != order[i - 1].target ||
                        order[i].is_beside != order[i - 1].is_beside;
        s->leader[order[i].table] = is_first ? order[i].table : s->leader[order[i - 1].table];
    }
    free(order);
    return true;
}

/* Chunks are put in front of their lot's list, so they are walked backwards. */
static void
link_chunks(struct ph_schedule *s, const struct ph_chunk_state *chunks)
{
    for (uint32_t i = s->plan->n_chunks; i-- > 0;) {
        const struct ph_chunk *chunk = &s->plan->chunks[i];
        if (chunks[i].done) {
            s->begun[chunk->table] = true;
            continue;
        }
        s->lot_next[i] = s->lot_head[chunk->lot];
        s->lot_head[chunk->lot] = i + 1;
        s->chunks_left[chunk->table]++;
        s->lot_level[chunk->lot] = level_of(&s->plan->tables[chunk->table]);
    }
}

/* Lots in the plan's order: tables are ordered, and so are the chunks of a table. */
static void
queue_lots(struct ph_schedule *s, const struct ph_chunk_state *chunks)
{
    link_chunks(s, chunks);
    for (uint32_t t = 0; t < s->plan->n_tables; t++) {
        const struct ph_table_plan *table = &s->plan->tables[t];
        for (uint32_t i = table->first_chunk; i < table->first_chunk + table->n_chunks; i++) {
            uint32_t lot = s->plan->chunks[i].lot;
            if (s->lot_head[lot] == i + 1)
                s->lots[s->n_lots++] = lot;
        }
    }
}

static void
count_tables(struct ph_schedule *s, const struct ph_table_state *tables)
{
    for (uint32_t t = 0; t < s->plan->n_tables; t++) {
        uint32_t leader = s->leader[t];
        s->n_groups += leader == t;
        s->verified[leader] =
            tables[leader].verified || tables[leader].is_past || tables[leader].has_changes;
        if (s->chunks_left[t] > 0) {
            s->level_left[level_of(&s->plan->tables[t])]++;
            s->group_left[leader]++;
        } else {
            s->tables_loaded++;
        }
    }
    for (uint32_t t = 0; t < s->plan->n_tables; t++) {
        if (s->leader[t] != t)
            continue;
        s->tables_verified += s->verified[t];
        if (s->group_left[t] == 0)
            push_read_back(s, t);
    }
}

ph_code
ph_schedule_init(struct ph_schedule *s, const struct ph_plan *plan,
                 const struct ph_chunk_state *chunks, const struct ph_table_state *tables,
                 const uint32_t *parts, struct ph_error *err)
{
    *s = (struct ph_schedule){
        .plan = plan,
        .parts = parts,
        .n_levels = count_levels(plan),
    };
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    if (!allocate(s) || !find_leaders(s)) {
        ph_schedule_destroy(s);
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    queue_lots(s, chunks);
    count_tables(s, tables);
    return PH_OK;
}

void
ph_schedule_destroy(struct ph_schedule *s)
{
    free(s->lots);
    free(s->lot_level);
    free(s->lot_head);
    free(s->lot_next);
    free(s->chunks_left);
    free(s->level_left);
    free(s->leader);
    free(s->group_left);
    free(s->read_back);
    free(s->verified);
    free(s->begun);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
}

/* Tables of the levels below are loaded. Lots are queued by level, so looking at the first is
 * enough. */
static bool
may_start(const struct ph_schedule *s, uint32_t lot)
{
    for (uint32_t level = 0; level < s->lot_level[lot]; level++) {
        if (s->level_left[level] > 0)
            return false;
    }
    return true;
}

/* The lots of a table lie side by side, so the first of them tells for all behind it. */
static void
close_when_old(struct ph_schedule *s)
{
    if (s->close_at_ns == 0 || s->next_lot == 0 || s->next_lot == s->n_lots)
        return;
    uint32_t first_chunk = s->lot_head[s->lots[s->next_lot]] - 1;
    if (s->begun[s->plan->chunks[first_chunk].table] || ph_clock_ns() < s->close_at_ns)
        return;
    s->n_lots = s->next_lot;
    s->closed = true;
}

static void
begin_tables(struct ph_schedule *s, uint32_t lot)
{
    for (uint32_t at = s->lot_head[lot]; at != 0; at = s->lot_next[at - 1])
        s->begun[s->plan->chunks[at - 1].table] = true;
}

static bool
take_work(struct ph_schedule *s, struct ph_work *work)
{
    close_when_old(s);
    if (s->next_lot < s->n_lots && may_start(s, s->lots[s->next_lot])) {
        *work = (struct ph_work){PH_WORK_LOT, s->lots[s->next_lot++], 0};
        begin_tables(s, work->index);
        s->running_lots++;
        return true;
    }
    if (s->read_head < s->read_tail) {
        uint32_t leader = s->read_back[s->read_head];
        *work = (struct ph_work){PH_WORK_READ_BACK, leader, s->read_part++};
        if (s->read_part == s->parts[leader]) {
            s->read_head++;
            s->read_part = 0;
        }
        return true;
    }
    return false;
}

struct ph_work
ph_schedule_next(struct ph_schedule *s)
{
    struct ph_work work = {PH_WORK_NONE, 0, 0};

    pthread_mutex_lock(&s->lock);
    while (!s->ended && !take_work(s, &work)) {
        if (s->next_lot == s->n_lots && s->running_lots == 0)
            break; /* a running lot may still add a table to read back; now none is */
        pthread_cond_wait(&s->changed, &s->lock);
    }
    if (s->ended)
        work.kind = PH_WORK_NONE;
    pthread_mutex_unlock(&s->lock);
    return work;
}

static void
chunk_loaded(struct ph_schedule *s, uint32_t t)
{
    if (--s->chunks_left[t] > 0)
        return;
    s->tables_loaded++;
    s->level_left[level_of(&s->plan->tables[t])]--;
    if (--s->group_left[s->leader[t]] == 0)
        push_read_back(s, s->leader[t]);
    if (s->on_loaded != NULL)
        s->on_loaded(s->on_loaded_arg, t);
}

ph_code
ph_schedule_each_chunk(const struct ph_schedule *s, uint32_t lot,
                       ph_code (*visit)(void *arg, const struct ph_chunk *chunk,
                                        struct ph_error *err),
                       void *arg, struct ph_error *err)
{
    for (uint32_t at = s->lot_head[lot]; at != 0; at = s->lot_next[at - 1])
        PH_TRY(visit(arg, &s->plan->chunks[at - 1], err));
    return PH_OK;
}

void
ph_schedule_lot_done(struct ph_schedule *s, uint32_t lot)
{
    pthread_mutex_lock(&s->lock);
    for (uint32_t at = s->lot_head[lot]; at != 0; at = s->lot_next[at - 1])
        chunk_loaded(s, s->plan->chunks[at - 1].table);
    s->running_lots--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void
ph_schedule_read_back_done(struct ph_schedule *s, uint32_t leader)
{
    pthread_mutex_lock(&s->lock);
    s->verified[leader] = true;
    s->tables_verified++;
    pthread_mutex_unlock(&s->lock);
}

void
ph_schedule_fail(struct ph_schedule *s, ph_code rc, const struct ph_error *err)
{
    pthread_mutex_lock(&s->lock);
    if (s->rc == PH_OK) {
        s->rc = rc;
        s->error = *err;
    }
    s->ended = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

bool
ph_schedule_ended(struct ph_schedule *s)
{
    pthread_mutex_lock(&s->lock);
    bool ended = s->ended;
    pthread_mutex_unlock(&s->lock);
    return ended;
}
