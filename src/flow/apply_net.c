#include "flow/apply_net.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_LIMIT ((size_t)8 << 30) /* a row has at most 1 GB, and there are two */

void
ph_apply_net_init(struct ph_apply_net *net)
{
    *net = (struct ph_apply_net){0};
    ph_arena_init(&net->arena, ARENA_LIMIT);
}

void
ph_apply_net_free(struct ph_apply_net *net)
{
    ph_arena_reset(&net->arena);
    free(net->pieces);
    ph_apply_net_init(net);
}

void
ph_apply_net_clear(struct ph_apply_net *net)
{
    if (net->arena.total_bytes > 0)
        ph_arena_reset(&net->arena);
    net->n = net->n_came = net->n_places = 0;
}

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory for what a change becomes");
}

/* ---- adding ---- */

static bool
keep_fields(struct ph_apply_net *net, const struct ph_field **fields, uint32_t n)
{
    if (*fields == NULL)
        return true;
    struct ph_field *copy = PH_ARENA_ARRAY(&net->arena, struct ph_field, (size_t)n + 1);
    if (copy == NULL)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const struct ph_span bytes = (*fields)[i].bytes;
        copy[i] = (*fields)[i];
        if (bytes.len == 0)
            continue;
        uint8_t *at = ph_arena_alloc(&net->arena, bytes.len);
        if (at == NULL)
            return false;
        memcpy(at, bytes.data, bytes.len);
        copy[i].bytes.data = at;
    }
    *fields = copy;
    return true;
}

static struct ph_net_piece *
push(struct ph_apply_net *net, const struct ph_apply_table *table, const struct ph_change *change,
     uint32_t came)
{
    if (net->n == net->room) {
        uint32_t room = net->room == 0 ? 16 : net->room * 2;
        struct ph_net_piece *larger = realloc(net->pieces, room * sizeof *larger);
        if (larger == NULL)
            return NULL;
        net->pieces = larger;
        net->room = room;
    }
    net->pieces[net->n] = (struct ph_net_piece){
        .table = table, .change = *change, .came = came, .with = PH_NET_ALONE};
    return &net->pieces[net->n++];
}

ph_code
ph_apply_net_add(struct ph_apply_net *net, const struct ph_apply_table *table,
                 const struct ph_reshaped *made, bool is_kept, struct ph_error *err)
{
    net->n_places++;
    for (uint32_t i = 0; i < made->n; i++) {
        struct ph_change change = made->changes[i];
        if (is_kept && (!keep_fields(net, &change.new_fields, change.n_fields) ||
                        !keep_fields(net, &change.old_fields, change.n_fields)))
            return no_memory(err);
        if (push(net, table, &change, net->n_came++) == NULL)
            return no_memory(err);
    }
    return PH_OK;
}

/* ---- keys ---- */

/* Of an INSERT the new one, else the old one. */
static const struct ph_field *
key_fields(const struct ph_net_piece *piece)
{
    return piece->change.kind == PH_CHANGE_INSERT ? piece->change.new_fields
                                                  : piece->change.old_fields;
}

static bool
is_same_field(const struct ph_field *a, const struct ph_field *b)
{
    return a->state == b->state && a->bytes.len == b->bytes.len &&
           (a->bytes.len == 0 || memcmp(a->bytes.data, b->bytes.data, a->bytes.len) == 0);
}

/* Rows of both are found by the same columns of one table. */
static bool
has_same_columns(const struct ph_apply_table *a, const struct ph_apply_table *b)
{
    if (a->target->oid != b->target->oid || a->n_keys != b->n_keys || a->n_keys == 0)
        return false;
    for (uint32_t i = 0; i < a->n_keys; i++) {
        if (a->columns[i].element_oid != b->columns[i].element_oid ||
            strcmp(a->columns[i].name, b->columns[i].name) != 0)
            return false;
    }
    return true;
}

static bool
has_same_key(const struct ph_apply_table *a, const struct ph_field *x,
             const struct ph_apply_table *b, const struct ph_field *y)
{
    for (uint32_t i = 0; i < a->n_keys; i++) {
        if (!is_same_field(&x[a->columns[i].field], &y[b->columns[i].field]))
            return false;
    }
    return true;
}

/* ---- a change of a key ---- */

static bool
is_whole(const struct ph_net_piece *piece)
{
    for (uint32_t i = 0; i < piece->table->n_columns; i++) {
        enum ph_field_state state = piece->change.new_fields[piece->table->columns[i].field].state;
        if (state == PH_FIELD_UNCHANGED || state == PH_FIELD_ABSENT)
            return false;
    }
    return true;
}

/* Not where a key of the target may have changed it already: then there is nothing to delete. */
static bool
is_to_split(const struct ph_net_piece *piece)
{
    const struct ph_apply_table *table = piece->table;
    const struct ph_change *change = &piece->change;

    return change->kind == PH_CHANGE_UPDATE && change->old_image != PH_OLD_NONE &&
           change->old_fields != NULL && change->new_fields != NULL && table->may_split_moves &&
           !table->may_miss_moves && is_whole(piece) &&
           (table->n_keys == 0 ||
            !has_same_key(table, change->old_fields, table, change->new_fields));
}

static ph_code
split(struct ph_apply_net *net, struct ph_error *err)
{
    uint32_t n = net->n;

    for (uint32_t i = 0; i < n; i++) {
        if (!is_to_split(&net->pieces[i]))
            continue;
        struct ph_change change = net->pieces[i].change;
        change.kind = PH_CHANGE_INSERT;
        change.old_image = PH_OLD_NONE;
        change.old_fields = NULL;
        if (push(net, net->pieces[i].table, &change, net->pieces[i].came) == NULL)
            return no_memory(err);
        net->pieces[i].change.kind = PH_CHANGE_DELETE;
        net->pieces[i].change.new_fields = NULL;
    }
    return PH_OK;
}

/* ---- pairs ---- */

static uint32_t
count(const struct ph_apply_net *net, ph_oid target)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < net->n; i++)
        n += net->pieces[i].table->target->oid == target;
    return n;
}

static bool
is_same_row(const struct ph_net_piece *gone, const struct ph_net_piece *come)
{
    return has_same_columns(gone->table, come->table) &&
           has_same_key(gone->table, key_fields(gone), come->table, key_fields(come));
}

/*
 * The DELETE of the row that the INSERT brings back: under its key, or under another where nothing
 * but these two becomes of the change in that table. NULL: none.
 */
static struct ph_net_piece *
find_gone(const struct ph_apply_net *net, const struct ph_net_piece *come)
{
    ph_oid target = come->table->target->oid;
    struct ph_net_piece *last = NULL;

    for (uint32_t i = 0; i < net->n; i++) {
        struct ph_net_piece *gone = &net->pieces[i];
        if (gone->change.kind != PH_CHANGE_DELETE || gone->with != PH_NET_ALONE ||
            gone->table->target->oid != target)
            continue;
        if (gone->came == come->came || is_same_row(gone, come))
            return gone;
        last = gone;
    }
    return last != NULL && count(net, target) == 2 ? last : NULL;
}

/* ---- rows that must not go ---- */

/*
 * The INSERT becomes an UPDATE of the row as the DELETE would have found it. All routes of a table
 * fill the same columns, so nothing stays that was the other's.
 */
static ph_code
make_update(struct ph_apply_net *net, const struct ph_net_piece *gone, struct ph_net_piece *come,
            struct ph_error *err)
{
    const struct ph_apply_table *table = come->table;
    struct ph_change *change = &come->change;
    bool is_same = is_same_row(gone, come);

    change->kind = PH_CHANGE_UPDATE;
    if (is_same)
        return PH_OK;
    struct ph_field *old =
        PH_ARENA_ARRAY(&net->arena, struct ph_field, (size_t)change->n_fields + 1);
    if (old == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < table->n_keys; i++)
        old[table->columns[i].field] = gone->change.old_fields[gone->table->columns[i].field];
    change->old_image = PH_OLD_KEY;
    change->old_fields = old;
    return PH_OK;
}

static ph_code
merge(struct ph_apply_net *net, struct ph_net_piece *come, struct ph_error *err)
{
    struct ph_net_piece *gone = find_gone(net, come);

    if (gone == NULL || !has_same_columns(gone->table, come->table))
        return PH_OK;
    PH_TRY(make_update(net, gone, come, err));
    *gone = net->pieces[--net->n]; /* order comes later */
    return PH_OK;
}

/* From the end on: the last piece takes the place of one that goes, and has been looked at. */
static ph_code
merge_referred(struct ph_apply_net *net, struct ph_error *err)
{
    for (uint32_t i = net->n; i-- > 0;) {
        struct ph_net_piece *come = &net->pieces[i];
        if (come->change.kind == PH_CHANGE_INSERT && !come->table->may_split_moves)
            PH_TRY(merge(net, come, err));
    }
    return PH_OK;
}

/* ---- order ---- */

static int
compare(const void *left, const void *right)
{
    static const int ranks[] = {
        [PH_CHANGE_DELETE] = 0, [PH_CHANGE_UPDATE] = 1, [PH_CHANGE_INSERT] = 2};
    const struct ph_net_piece *a = left;
    const struct ph_net_piece *b = right;

    if (a->change.kind != b->change.kind)
        return ranks[a->change.kind] - ranks[b->change.kind];
    if (a->table->level != b->table->level)
        return (a->table->level < b->table->level) == (a->change.kind != PH_CHANGE_DELETE) ? -1 : 1;
    return a->came < b->came ? -1 : a->came > b->came;
}

static void
join(struct ph_apply_net *net)
{
    for (uint32_t i = 0; i < net->n; i++) {
        struct ph_net_piece *come = &net->pieces[i];
        struct ph_net_piece *gone =
            come->change.kind == PH_CHANGE_INSERT ? find_gone(net, come) : NULL;
        if (gone == NULL)
            continue;
        come->with = (uint32_t)(gone - net->pieces);
        gone->with = come->with; /* nobody else's */
    }
}

ph_code
ph_apply_net_settle(struct ph_apply_net *net, struct ph_error *err)
{
    if (net->n < 2)
        return PH_OK;
    if (net->n_places > 1)
        PH_TRY(split(net, err));
    PH_TRY(merge_referred(net, err));
    qsort(net->pieces, net->n, sizeof *net->pieces, compare);
    join(net);
    return PH_OK;
}
