/*
 * Which statements a group needs: a list of stages, made in one pass over the entries.
 *
 * Partial updates are parted by the set of columns that came, since each set is a text of its own.
 * A pattern's number is where its words begin in `patterns`.
 */
#include "apply/statement_parts.h"

#include <stdlib.h>
#include <string.h>

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory for the statements of a group");
}

static ph_code
push_stage(struct ph_apply_statements *st, const struct ph_stage *stage, struct ph_error *err)
{
    if (st->n_stages == st->stage_room) {
        size_t room = st->stage_room == 0 ? 64 : st->stage_room * 2;
        struct ph_stage *stages = realloc(st->stages, room * sizeof *stages);
        if (stages == NULL)
            return no_memory(err);
        st->stages = stages;
        st->stage_room = room;
    }
    st->stages[st->n_stages++] = *stage;
    return PH_OK;
}

static uint32_t
words_of(const struct ph_apply_table *table)
{
    return (table->n_columns + 63) / 64;
}

ph_code
ph_stages_pattern(struct ph_apply_statements *st, const struct ph_apply_table *table,
                  const uint8_t *tuple, size_t first_word, uint32_t *out, struct ph_error *err)
{
    uint32_t n = words_of(table);

    if (st->n_pattern_words + n > st->pattern_room) {
        size_t room = 2 * st->pattern_room + n + 16;
        uint64_t *patterns =
            room > UINT32_MAX / 2 ? NULL : realloc(st->patterns, room * sizeof *patterns);
        if (patterns == NULL)
            return no_memory(err);
        st->patterns = patterns;
        st->pattern_room = room;
    }
    uint64_t *made = st->patterns + st->n_pattern_words;
    memset(made, 0, n * sizeof *made);
    for (uint32_t i = 0; i < table->n_columns; i++) {
        if (ph_load_u32(tuple) != PH_TUPLE_UNCHANGED)
            made[i / 64] |= UINT64_C(1) << i % 64;
        tuple += ph_tuple_field_size(tuple);
    }
    for (size_t at = first_word; at < st->n_pattern_words; at += n) {
        if (memcmp(st->patterns + at, made, n * sizeof *made) == 0) {
            *out = (uint32_t)at;
            return PH_OK;
        }
    }
    *out = (uint32_t)st->n_pattern_words;
    st->n_pattern_words += n;
    return PH_OK;
}

/* What a range of folded entries comes to. */
struct count {
    uint32_t deletes;
    uint32_t updates; /* of all columns */
    uint32_t inserts;
    size_t first_word; /* of the patterns of its partial updates */
};

static ph_code
count_range(struct ph_apply_statements *st, struct ph_fold_table *state, uint32_t first,
            uint32_t end, struct count *out, struct ph_error *err)
{
    *out = (struct count){.first_word = st->n_pattern_words};
    for (uint32_t i = first; i < end; i++) {
        struct ph_fold_entry *entry = &state->entries[i];
        if (state->table->n_keys == 0) {
            out->deletes += entry->copies < 0;
            out->inserts += entry->copies > 0 ? (uint32_t)entry->copies : 0;
            continue;
        }
        out->deletes += ph_fold_deletes(entry);
        out->inserts += ph_fold_inserts(entry);
        if (!ph_fold_updates(entry))
            continue;
        entry->pattern = PH_PATTERN_ALL;
        if (entry->is_partial)
            PH_TRY(ph_stages_pattern(st, state->table, entry->tuple, out->first_word,
                                     &entry->pattern, err));
        else
            out->updates++;
    }
    return PH_OK;
}

static ph_code
push_deletes(struct ph_apply_statements *st, struct ph_stage stage, const struct count *count,
             struct ph_error *err)
{
    stage.kind = PH_APPLY_DELETE;
    return count->deletes == 0 ? PH_OK : push_stage(st, &stage, err);
}

static ph_code
push_updates(struct ph_apply_statements *st, struct ph_stage stage, const struct count *count,
             size_t end_word, struct ph_error *err)
{
    uint32_t n = words_of(st->fold->tables[stage.table].table);

    stage.kind = PH_APPLY_UPDATE;
    stage.pattern = PH_PATTERN_ALL;
    if (count->updates > 0)
        PH_TRY(push_stage(st, &stage, err));
    for (size_t at = count->first_word; at < end_word; at += n) {
        stage.pattern = (uint32_t)at;
        PH_TRY(push_stage(st, &stage, err));
    }
    return PH_OK;
}

static ph_code
push_inserts(struct ph_apply_statements *st, struct ph_stage stage, const struct count *count,
             struct ph_error *err)
{
    bool by_copy = st->limits.copy_rows > 0 && count->inserts >= st->limits.copy_rows &&
                   st->fold->tables[stage.table].table->can_copy;

    stage.kind = by_copy ? PH_APPLY_COPY : PH_APPLY_INSERT;
    stage.n_rows = count->inserts;
    return count->inserts == 0 ? PH_OK : push_stage(st, &stage, err);
}

static ph_code
push_single(struct ph_apply_statements *st, struct ph_stage stage,
            const struct ph_fold_table *state, struct ph_error *err)
{
    const struct ph_fold_entry *entry = &state->entries[stage.first];

    stage.is_single = true;
    stage.end = stage.first + 1;
    stage.pattern = PH_PATTERN_ALL;
    switch (entry->kind) {
    case PH_CHANGE_INSERT:
        stage.kind = PH_APPLY_INSERT;
        break;
    case PH_CHANGE_UPDATE:
        stage.kind = PH_APPLY_UPDATE;
        break;
    case PH_CHANGE_DELETE:
    case PH_CHANGE_TRUNCATE:
        stage.kind = PH_APPLY_DELETE;
        break;
    }
    if (stage.kind == PH_APPLY_UPDATE && entry->is_partial)
        PH_TRY(ph_stages_pattern(st, state->table, entry->tuple, st->n_pattern_words,
                                 &stage.pattern, err));
    return push_stage(st, &stage, err);
}

/* A table whose changes are parted by single ones, in the order they came. */
static ph_code
push_parts(struct ph_apply_statements *st, uint32_t table, struct ph_error *err)
{
    struct ph_fold_table *state = &st->fold->tables[table];
    struct count count;

    for (uint32_t i = 0; i < state->n_entries;) {
        struct ph_stage stage = {.table = table, .first = i};
        if (state->entries[i].is_single) {
            PH_TRY(push_single(st, stage, state, err));
            i++;
            continue;
        }
        while (i < state->n_entries && !state->entries[i].is_single)
            i++;
        stage.end = i;
        PH_TRY(count_range(st, state, stage.first, stage.end, &count, err));
        PH_TRY(push_deletes(st, stage, &count, err));
        PH_TRY(push_updates(st, stage, &count, st->n_pattern_words, err));
        PH_TRY(push_inserts(st, stage, &count, err));
    }
    return PH_OK;
}

static int
compare_states(const void *a, const void *b, void *arg)
{
    const struct ph_fold *fold = arg;
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    uint32_t level_x = fold->tables[x].table->level;
    uint32_t level_y = fold->tables[y].table->level;

    if (level_x != level_y)
        return level_x < level_y ? -1 : 1;
    return x < y ? -1 : x > y;
}

static ph_code
order_states(struct ph_apply_statements *st, struct count **counts, size_t **ends,
             struct ph_error *err)
{
    uint32_t n = st->fold->n_touched;

    free(st->order);
    st->order = calloc((size_t)n + 1, sizeof *st->order);
    *counts = calloc((size_t)n + 1, sizeof **counts);
    *ends = calloc((size_t)n + 1, sizeof **ends);
    if (st->order == NULL || *counts == NULL || *ends == NULL)
        return no_memory(err);
    if (n > 0)
        memcpy(st->order, st->fold->touched, n * sizeof *st->order);
    qsort_r(st->order, n, sizeof *st->order, compare_states, st->fold);
    return PH_OK;
}

static struct ph_stage
whole(const struct ph_apply_statements *st, uint32_t table)
{
    return (struct ph_stage){.table = table, .end = st->fold->tables[table].n_entries};
}

static bool
is_parted(const struct ph_apply_statements *st, uint32_t table)
{
    return st->fold->tables[table].n_singles > 0;
}

/*
 * A row of one table may leave it along one route of its source and come along another: as DELETE
 * and INSERT, although it was never gone.
 */
static bool
shares_rows(const struct ph_apply_statements *st, const struct ph_apply_table *table)
{
    for (uint32_t i = 0; i < st->fold->n_touched; i++) {
        const struct ph_apply_table *other = st->fold->tables[st->order[i]].table;
        if (other->plan != table->plan && other->target == table->target &&
            other->plan->source == table->plan->source)
            return true;
    }
    return false;
}

/*
 * Changes that stand by themselves come after all that is folded, whatever was before them. That
 * shows where the target acts upon other rows for them (ON DELETE CASCADE and the like): then all
 * of the group has to go in the source's order.
 */
static ph_code
check_actions(const struct ph_apply_statements *st, struct ph_error *err)
{
    for (uint32_t i = 0; i < st->fold->n_touched; i++) {
        const struct ph_apply_table *table = st->fold->tables[st->order[i]].table;
        if (table->n_own > 0 && shares_rows(st, table))
            return PH_FAIL(err, PH_E_CONSTRAINT,
                           "changes of %s cannot be folded: the target has columns of its own, and "
                           "rows go over to another route",
                           table->label);
        if (table->has_actions &&
            (is_parted(st, st->order[i]) || (!table->may_split_moves && shares_rows(st, table))))
            return PH_FAIL(err, PH_E_CONSTRAINT,
                           "changes of %s cannot be folded: foreign keys act upon its rows or for "
                           "them",
                           table->label);
    }
    return PH_OK;
}

static ph_code
push_net(struct ph_apply_statements *st, const struct count *counts, const size_t *ends,
         struct ph_error *err)
{
    uint32_t n = st->fold->n_touched;

    for (uint32_t i = n; i-- > 0;)
        if (!is_parted(st, st->order[i]))
            PH_TRY(push_deletes(st, whole(st, st->order[i]), &counts[i], err));
    for (uint32_t i = 0; i < n; i++)
        if (!is_parted(st, st->order[i]))
            PH_TRY(push_updates(st, whole(st, st->order[i]), &counts[i], ends[i], err));
    for (uint32_t i = 0; i < n; i++) {
        if (is_parted(st, st->order[i]))
            PH_TRY(push_parts(st, st->order[i], err));
        else
            PH_TRY(push_inserts(st, whole(st, st->order[i]), &counts[i], err));
    }
    return PH_OK;
}

static ph_code
make_net(struct ph_apply_statements *st, struct ph_error *err)
{
    struct count *counts = NULL;
    size_t *ends = NULL;
    ph_code rc = order_states(st, &counts, &ends, err);

    if (rc == PH_OK)
        rc = check_actions(st, err);
    for (uint32_t i = 0; rc == PH_OK && i < st->fold->n_touched; i++) {
        struct ph_fold_table *state = &st->fold->tables[st->order[i]];
        ph_fold_sort(state);
        if (state->n_singles == 0)
            rc = count_range(st, state, 0, state->n_entries, &counts[i], err);
        ends[i] = st->n_pattern_words;
    }
    if (rc == PH_OK)
        rc = push_net(st, counts, ends, err);
    free(counts);
    free(ends);
    return rc;
}

static ph_code
make_replay(struct ph_apply_statements *st, struct ph_error *err)
{
    for (size_t i = 0; i < st->fold->n_order; i++) {
        const struct ph_fold_place *place = &st->fold->order[i];
        const struct ph_stage stage = {
            .table = place->table,
            .first = place->entry,
            .change = place->change,
        };
        PH_TRY(push_single(st, stage, &st->fold->tables[place->table], err));
    }
    return PH_OK;
}

ph_code
ph_stages_make(struct ph_apply_statements *st, struct ph_error *err)
{
    st->n_stages = 0;
    st->n_pattern_words = 0;
    return st->fold->mode == PH_FOLD_REPLAY ? make_replay(st, err) : make_net(st, err);
}
