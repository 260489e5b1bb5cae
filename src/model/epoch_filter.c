#include "model/epoch_filter.h"

#include <stddef.h>
#include <string.h>

#define ARENA_LIMIT ((size_t)64 << 20)

struct ph_epoch_table {
    ph_oid oid; /* 0: free */
    uint32_t planned;
    uint32_t epoch;                       /* position in epochs */
    const struct ph_epoch_ranges *ranges; /* NULL: it is of that one epoch whole */
    const uint32_t *several;              /* with ranges: of which epochs, positions, each once */
    uint32_t n_several;
};

void
ph_epoch_filter_init(struct ph_epoch_filter *filter)
{
    *filter = (struct ph_epoch_filter){0};
    ph_arena_init(&filter->arena, ARENA_LIMIT);
}

void
ph_epoch_filter_reset(struct ph_epoch_filter *filter)
{
    ph_arena_reset(&filter->arena);
    ph_epoch_filter_init(filter);
}

static ph_code
make_room_for_epoch(struct ph_epoch_filter *filter, struct ph_error *err)
{
    if (filter->n_epochs < filter->cap_epochs)
        return PH_OK;
    uint32_t cap = filter->cap_epochs == 0 ? 8 : filter->cap_epochs * 2;
    struct ph_epoch_mark *epochs = PH_ARENA_ARRAY(&filter->arena, struct ph_epoch_mark, cap);
    if (epochs == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (filter->n_epochs > 0)
        memcpy(epochs, filter->epochs, filter->n_epochs * sizeof *epochs);
    filter->epochs = epochs;
    filter->cap_epochs = cap;
    return PH_OK;
}

ph_code
ph_epoch_filter_add_epoch(struct ph_epoch_filter *filter, uint32_t number, ph_lsn lsn,
                          const char *snapshot, struct ph_error *err)
{
    struct ph_epoch_mark mark = {.number = number, .lsn = lsn};

    PH_TRY(make_room_for_epoch(filter, err));
    ph_code rc = ph_xid_snapshot_parse(&filter->arena, snapshot, &mark.snapshot, err);
    if (rc != PH_OK) {
        ph_error_note(err, "epoch %u", number);
        return rc;
    }
    filter->epochs[filter->n_epochs++] = mark;
    if (lsn > filter->open_lsn)
        filter->open_lsn = lsn;
    if (lsn > filter->consistent_lsn)
        filter->consistent_lsn = lsn;
    return PH_OK;
}

/* OIDs are handed out one after the other: the multiplication spreads them. */
static uint32_t
place_of(const struct ph_epoch_filter *filter, ph_oid oid, uint32_t planned)
{
    return (uint32_t)((((uint64_t)planned << 32 | oid) * UINT64_C(0x9E3779B97F4A7C15)) >> 32) &
           (filter->n_places - 1);
}

/* The table's place, or the free one where it belongs; there always is a free one. */
static struct ph_epoch_table *
find_place(const struct ph_epoch_filter *filter, ph_oid oid, uint32_t planned)
{
    uint32_t at = place_of(filter, oid, planned);

    while (filter->tables[at].oid != 0 &&
           (filter->tables[at].oid != oid || filter->tables[at].planned != planned))
        at = (at + 1) & (filter->n_places - 1);
    return &filter->tables[at];
}

/* Half of the places stay free. */
static ph_code
make_room_for_table(struct ph_epoch_filter *filter, struct ph_error *err)
{
    const struct ph_epoch_table *old = filter->tables;
    uint32_t n_old = filter->n_places;

    if (filter->n_tables < n_old / 2)
        return PH_OK;
    uint32_t n = n_old == 0 ? 64 : n_old * 2;
    struct ph_epoch_table *tables = PH_ARENA_ARRAY(&filter->arena, struct ph_epoch_table, n);
    if (tables == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    filter->tables = tables;
    filter->n_places = n;
    for (uint32_t i = 0; i < n_old; i++) {
        if (old[i].oid != 0)
            *find_place(filter, old[i].oid, old[i].planned) = old[i];
    }
    return PH_OK;
}

/* Where it is in epochs. */
static ph_code
find_epoch(const struct ph_epoch_filter *filter, uint32_t number, ph_oid oid, uint32_t *at,
           struct ph_error *err)
{
    *at = 0;
    while (*at < filter->n_epochs && filter->epochs[*at].number != number)
        ++*at;
    if (*at == filter->n_epochs || oid == 0)
        return PH_FAIL(err, PH_E_LEDGER, "table %u is of epoch %u, which is not there", oid,
                       number);
    return PH_OK;
}

static ph_code
put_table(struct ph_epoch_filter *filter, const struct ph_epoch_table *table, struct ph_error *err)
{
    PH_TRY(make_room_for_table(filter, err));
    struct ph_epoch_table *place = find_place(filter, table->oid, table->planned);
    filter->n_tables += place->oid == 0;
    *place = *table;
    return PH_OK;
}

ph_code
ph_epoch_filter_add_table(struct ph_epoch_filter *filter, ph_oid oid, uint32_t planned,
                          uint32_t epoch, struct ph_error *err)
{
    struct ph_epoch_table table = {.oid = oid, .planned = planned};

    PH_TRY(find_epoch(filter, epoch, oid, &table.epoch, err));
    return put_table(filter, &table, err);
}

static ph_code
copy_ranges(const struct ph_epoch_ranges *ranges, struct ph_range_key *bounds, uint32_t *epochs,
            struct ph_error *err)
{
    for (uint32_t i = 0; i < ranges->n; i++) {
        epochs[i] = ranges->epochs[i];
        if (i + 1 == ranges->n)
            break;
        bounds[i] = ranges->bounds[i];
        if (i > 0 && !ph_range_key_is_less(&bounds[i - 1], &bounds[i]))
            return PH_FAIL(err, PH_E_LEDGER, "ranges of a table are not in order");
    }
    return PH_OK;
}

static ph_code
gather_epochs(const struct ph_epoch_filter *filter, const struct ph_epoch_ranges *ranges,
              uint32_t *several, struct ph_epoch_table *table, struct ph_error *err)
{
    table->several = several;
    for (uint32_t i = 0; i < ranges->n; i++) {
        uint32_t at;
        uint32_t known = 0;
        PH_TRY(find_epoch(filter, ranges->epochs[i], table->oid, &at, err));
        while (known < table->n_several && several[known] != at)
            known++;
        if (known == table->n_several)
            several[table->n_several++] = at;
    }
    return PH_OK;
}

ph_code
ph_epoch_filter_add_ranges(struct ph_epoch_filter *filter, ph_oid oid, uint32_t planned,
                           const struct ph_epoch_ranges *ranges, struct ph_error *err)
{
    struct ph_epoch_ranges *copy = PH_ARENA_ARRAY(&filter->arena, struct ph_epoch_ranges, 1);
    struct ph_range_key *bounds = PH_ARENA_ARRAY(&filter->arena, struct ph_range_key, ranges->n);
    uint32_t *epochs = PH_ARENA_ARRAY(&filter->arena, uint32_t, ranges->n);
    uint32_t *several = PH_ARENA_ARRAY(&filter->arena, uint32_t, ranges->n);
    struct ph_epoch_table table = {.oid = oid, .planned = planned, .ranges = copy};

    if (copy == NULL || bounds == NULL || epochs == NULL || several == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    PH_TRY(copy_ranges(ranges, bounds, epochs, err));
    PH_TRY(gather_epochs(filter, ranges, several, &table, err));
    *copy = *ranges;
    copy->bounds = bounds;
    copy->epochs = epochs;
    copy->column = ph_arena_strdup(&filter->arena, ranges->column);
    if (copy->column == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    return put_table(filter, &table, err);
}

static enum ph_epoch_verdict
decide_by(const struct ph_epoch_mark *epoch, const struct ph_source_txn *txn)
{
    if (txn->commit_lsn >= epoch->lsn)
        return PH_EPOCH_APPLY;
    return ph_xid_snapshot_sees(&epoch->snapshot, ph_xid_widen(&epoch->snapshot, txn->xid))
               ? PH_EPOCH_SKIP
               : PH_EPOCH_APPLY;
}

/* What they agree in. */
static enum ph_epoch_verdict
decide_by_several(const struct ph_epoch_filter *filter, const struct ph_source_txn *txn,
                  const struct ph_epoch_table *table)
{
    enum ph_epoch_verdict first = decide_by(&filter->epochs[table->several[0]], txn);

    for (uint32_t i = 1; i < table->n_several; i++) {
        if (decide_by(&filter->epochs[table->several[i]], txn) != first)
            return PH_EPOCH_BY_RANGE;
    }
    return first;
}

enum ph_epoch_verdict
ph_epoch_filter_decide(const struct ph_epoch_filter *filter, const struct ph_source_txn *txn,
                       ph_oid oid, uint32_t planned)
{
    if (filter->n_places == 0)
        return PH_EPOCH_UNKNOWN;
    const struct ph_epoch_table *place = find_place(filter, oid, planned);
    if (place->oid == 0)
        return PH_EPOCH_UNKNOWN;
    if (place->ranges != NULL)
        return decide_by_several(filter, txn, place);
    return decide_by(&filter->epochs[place->epoch], txn);
}

const struct ph_epoch_ranges *
ph_epoch_filter_ranges(const struct ph_epoch_filter *filter, ph_oid oid, uint32_t planned)
{
    return find_place(filter, oid, planned)->ranges;
}

uint32_t
ph_epoch_range_of(const struct ph_epoch_ranges *ranges, const struct ph_range_key *key)
{
    uint32_t from = 0;
    uint32_t to = ranges->n - 1;

    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (ph_range_key_is_less(key, &ranges->bounds[middle]))
            to = middle;
        else
            from = middle + 1;
    }
    return from;
}

enum ph_epoch_verdict
ph_epoch_filter_decide_in(const struct ph_epoch_filter *filter, const struct ph_source_txn *txn,
                          const struct ph_epoch_ranges *ranges, uint32_t range)
{
    uint32_t at = 0;

    while (filter->epochs[at].number != ranges->epochs[range])
        at++;
    return decide_by(&filter->epochs[at], txn);
}

/* An epoch's L is set to 0, below every commit. */
bool
ph_epoch_filter_retire(struct ph_epoch_filter *filter, ph_lsn position)
{
    filter->open_lsn = 0;
    for (uint32_t i = 0; i < filter->n_epochs; i++) {
        struct ph_epoch_mark *epoch = &filter->epochs[i];
        if (epoch->lsn <= position)
            epoch->lsn = 0;
        if (epoch->lsn > filter->open_lsn)
            filter->open_lsn = epoch->lsn;
    }
    return filter->open_lsn == 0;
}
