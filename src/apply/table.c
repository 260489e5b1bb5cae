/*
 * Building the description of a table. What the stream announces decides which columns there are;
 * the plan says where each of them goes.
 *
 * The key. With replica identity default or index it is what the stream marks. Under FULL every
 * column is marked, so a unique index of the target is taken that any row has one place in, or of
 * the source: rows are then found by it, and changes folded. Without one rows are told apart by all
 * of their bytes.
 */
#include "apply/table.h"

#include <string.h>

#include "apply/carry.h"
#include "apply/key.h"
#include "apply/late.h"
#include "apply/sql.h"
#include "model/type_match.h"
#include "wire/oid_remap.h"

#define TEXT_LIMIT_BYTES ((size_t)4 << 20)

struct builder {
    const struct ph_apply_table_params *params;
    const struct ph_table_plan *whole; /* with late columns */
    struct ph_arena *arena;
    struct ph_apply_table *table;
    struct ph_apply_column *columns;
    uint32_t *fields; /* per column of the plan: its field in the stream */
    bool *keys;       /* per column of the plan */
    uint32_t n_keys;
    struct ph_error *err;
};

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory for a table's description");
}

static const char *
put_text(struct builder *b, void (*put)(const struct ph_apply_table *, struct ph_buf *))
{
    struct ph_buf text;

    ph_buf_init(&text, TEXT_LIMIT_BYTES);
    put(b->table, &text);
    const char *out = ph_buf_ok(&text) ? ph_arena_strdup(b->arena, ph_buf_text(&text)) : NULL;
    ph_buf_free(&text);
    return out;
}

static void
put_target(const struct ph_apply_table *table, struct ph_buf *out)
{
    ph_buf_puts(out, table->target->kind == PH_REL_PARTITIONED ? "" : "ONLY ");
    ph_buf_put_qualified(out, table->target->schema, table->target->name);
}

static const struct ph_plan_column *
find_planned(const struct ph_table_plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->n_columns; i++)
        if (strcmp(plan->columns[i].source_name, name) == 0)
            return &plan->columns[i];
    return NULL;
}

/* The target computes it, whatever the source sends; or the job's rules, which knew it, drop it. */
static bool
is_left_out(const struct ph_table_plan *plan, const char *name)
{
    const struct ph_column *column = ph_rel_column_named(plan->target, name);

    if (plan->route != NULL)
        return ph_rel_column_named(plan->source, name) != NULL;
    return column != NULL && column->generated != '\0';
}

static ph_code
check_stream(const struct builder *b)
{
    const struct ph_stream_rel *rel = b->params->rel;
    const struct ph_table_plan *plan = b->params->plan;

    for (uint32_t i = 0; i < rel->n_columns; i++) {
        const struct ph_stream_column *column = &rel->columns[i];
        if (find_planned(plan, column->name) != NULL)
            continue;
        if (!is_left_out(plan, column->name))
            return PH_FAIL(b->err, PH_E_TYPES, "column %s of the source is not on the target",
                           column->name);
        if (column->in_key && rel->replica_identity != 'f' && plan->route == NULL)
            return PH_FAIL(b->err, PH_E_UNSUPPORTED,
                           "column %s of the replica identity is generated on the target",
                           column->name);
    }
    return PH_OK;
}

/* Fills `fields`: every column of the plan must be announced, as the type that it was planned for.
 */
static ph_code
find_fields(struct builder *b)
{
    const struct ph_stream_rel *rel = b->params->rel;
    const struct ph_table_plan *plan = b->params->plan;

    PH_TRY(check_stream(b));
    for (uint32_t i = 0; i < plan->n_columns; i++) {
        const struct ph_plan_column *column = &plan->columns[i];
        b->fields[i] = ph_apply_find_field(rel, column->source_name);
        if (b->fields[i] == PH_NO_FIELD)
            return PH_FAIL(b->err, PH_E_TYPES, "column %s is no longer on the source",
                           column->source_name);
        if (rel->columns[b->fields[i]].type_oid != column->source->type_oid)
            return PH_FAIL(b->err, PH_E_TYPES, "column %s has another type on the source now",
                           column->source_name);
    }
    return PH_OK;
}

static const struct ph_column *
side_of(const struct ph_plan_column *column, bool of_target)
{
    return of_target ? column->target : column->source;
}

static const struct ph_column *
column_at(const struct ph_table_plan *plan, bool of_target, int16_t attnum, uint32_t *position)
{
    for (*position = 0; *position < plan->n_columns; ++*position)
        if (side_of(&plan->columns[*position], of_target)->attnum == attnum)
            return side_of(&plan->columns[*position], of_target);
    return NULL;
}

/* Whether every row that comes has exactly one place in it. */
static bool
identifies_rows(const struct ph_table_plan *plan, bool of_target, const struct ph_index *index)
{
    uint32_t position;

    if (!index->is_unique || !index->is_valid || !index->is_immediate || index->is_partial ||
        index->has_expressions)
        return false;
    for (uint32_t i = 0; i < index->n_keys; i++) {
        const struct ph_column *column =
            column_at(plan, of_target, index->key_attnums[i], &position);
        if (column == NULL || !column->not_null)
            return false;
    }
    return true;
}

static const struct ph_index *
find_index(const struct ph_table_plan *plan, bool of_target)
{
    const struct ph_rel *rel = of_target ? plan->target : plan->source;
    const struct ph_index *found = NULL;

    for (uint32_t i = 0; i < rel->n_indexes; i++) {
        const struct ph_index *index = &rel->indexes[i];
        if (identifies_rows(plan, of_target, index) && (found == NULL || index->is_primary))
            found = index;
    }
    return found;
}

/* The target's indexes may be made later than its catalog was read: the source's will do. */
const struct ph_index *
ph_apply_full_key(const struct ph_table_plan *plan, bool *of_target)
{
    const struct ph_index *index = plan->target != NULL ? find_index(plan, true) : NULL;

    *of_target = index != NULL;
    return index != NULL ? index : find_index(plan, false);
}

static void
find_full_keys(struct builder *b)
{
    const struct ph_table_plan *plan = b->params->plan;
    bool of_target;
    const struct ph_index *index = ph_apply_full_key(plan, &of_target);
    uint32_t position;

    for (uint32_t i = 0; index != NULL && i < index->n_keys; i++)
        if (column_at(plan, of_target, index->key_attnums[i], &position) != NULL)
            b->keys[position] = true;
}

static void
find_keys(struct builder *b)
{
    const struct ph_stream_rel *rel = b->params->rel;
    const struct ph_table_plan *plan = b->params->plan;

    if (b->params->keys != NULL) {
        memcpy(b->keys, b->params->keys, plan->n_columns * sizeof *b->keys);
    } else if (rel->replica_identity == 'f') {
        find_full_keys(b);
    } else {
        for (uint32_t i = 0; i < plan->n_columns; i++)
            b->keys[i] = rel->columns[b->fields[i]].in_key;
    }
    for (uint32_t i = 0; i < plan->n_columns; i++)
        b->n_keys += b->keys[i];
}

static const char *
equality_of(struct builder *b, const struct ph_type *base)
{
    struct ph_buf text;

    ph_buf_init(&text, 1024);
    ph_type_put_equals(base, &text);
    const char *out = ph_buf_ok(&text) ? ph_arena_strdup(b->arena, ph_buf_text(&text)) : NULL;
    ph_buf_free(&text);
    return out;
}

static ph_code
fill_column(struct builder *b, uint32_t planned, struct ph_apply_column *column)
{
    const struct ph_apply_table_params *params = b->params;
    const struct ph_plan_column *from = &params->plan->columns[planned];
    const struct ph_carry_params carry = {params->source, params->target, params->stream};
    const struct ph_type *base = ph_type_base(params->target, from->target->type_oid);

    *column = (struct ph_apply_column){
        .name = from->target_name,
        .field = b->fields[planned],
        .is_key = b->keys[planned],
        .is_identity_always = from->target->identity == 'a',
        .key_kind = ph_key_kind_of(params->source, params->target, from),
        .equals = equality_of(b, base),
        .type_name = base == NULL ? "" : base->name,
    };
    column->compares_exactly = from->target->not_null && column->key_kind == PH_KEY_BYTES;
    column->image_sql = "";
    if (from->target->typmod != -1 && from->target->typmod != from->source->typmod) {
        column->compares_exactly = false;
        column->image_sql = ph_arena_printf(b->arena, "::%s", from->target->type_text);
    }
    if (column->equals == NULL || column->image_sql == NULL)
        return no_memory(b->err);
    PH_TRY(ph_carry_choose(&carry, from, &column->carry, b->err));
    return ph_carry_fill(&carry, from, b->arena, column, b->err);
}

/* Keys first. */
static ph_code
fill_columns(struct builder *b)
{
    const struct ph_table_plan *plan = b->params->plan;
    uint32_t key = 0;
    uint32_t other = b->n_keys;

    for (uint32_t i = 0; i < plan->n_columns; i++)
        PH_TRY(fill_column(b, i, &b->columns[b->keys[i] ? key++ : other++]));
    return PH_OK;
}

/* The program sees only the columns that go in binary: others may be of types it cannot take. */
static ph_code
compile_remap(struct builder *b)
{
    const struct ph_table_plan *plan = b->params->plan;
    struct ph_plan_column *binary =
        PH_ARENA_ARRAY(b->arena, struct ph_plan_column, (size_t)plan->n_columns + 1);
    uint32_t n = 0;

    if (binary == NULL)
        return no_memory(b->err);
    for (uint32_t i = 0; i < plan->n_columns; i++) {
        if (b->columns[i].carry != PH_CARRY_BINARY)
            continue;
        const char *name = b->params->rel->columns[b->columns[i].field].name;
        const struct ph_plan_column *planned = find_planned(plan, name);
        if (planned == NULL)
            return PH_FAIL(b->err, PH_E_INTERNAL, "column %s is not planned", name);
        binary[n] = *planned;
        b->columns[i].remap_column = n++;
    }
    PH_TRY(ph_oid_remap_compile(binary, n, b->params->source, b->params->target, b->arena,
                                &b->table->remap, b->err));
    for (uint32_t i = 0; i < plan->n_columns; i++)
        b->columns[i].needs_remap = b->columns[i].carry == PH_CARRY_BINARY &&
                                    ph_oid_remap_needs(b->table->remap, b->columns[i].remap_column);
    return PH_OK;
}

static void
look_at_columns(struct builder *b)
{
    struct ph_apply_table *table = b->table;
    uint32_t n_text = 0;
    uint32_t n_via = 0;

    table->way = table->n_keys == 0 ? PH_APPLY_BY_ROW : PH_APPLY_BY_KEY;
    table->key_is_bytes = true;
    for (uint32_t i = 0; i < table->n_columns; i++) {
        const struct ph_apply_column *column = &table->columns[i];
        n_text += column->carry == PH_CARRY_TEXT;
        n_via += column->carry == PH_CARRY_VIA_TEXT;
        if (!column->is_key) {
            table->keeps_identity |= column->is_identity_always;
            continue;
        }
        table->key_is_identity |= column->is_identity_always;
        table->key_is_bytes &= column->key_kind == PH_KEY_BYTES;
        if (column->key_kind == PH_KEY_UNKNOWN)
            table->way = PH_APPLY_IN_ORDER;
    }
    table->copies_text = n_text > 0;
    table->can_copy = table->n_columns > 0 && table->n_fills == 0 && n_via == 0 &&
                      (n_text == 0 || n_text == table->n_columns);
}

/* Whether the target finds rows of a key without reading the table. */
static bool
has_index(const struct builder *b)
{
    const struct ph_rel *target = b->params->plan->target;
    uint32_t position;

    for (uint32_t i = 0; i < target->n_indexes; i++) {
        const struct ph_index *index = &target->indexes[i];
        if (index->is_valid && !index->is_partial && index->n_keys > 0 &&
            column_at(b->params->plan, true, index->key_attnums[0], &position) != NULL &&
            b->keys[position])
            return true;
    }
    return false;
}

static bool
acts(char action)
{
    return action == 'c' || action == 'n' || action == 'd';
}

static bool
is_key_column(const struct builder *b, const struct ph_rel *rel, int16_t attnum)
{
    const char *name = NULL;

    for (uint32_t i = 0; i < rel->n_columns; i++)
        if (rel->columns[i].attnum == attnum)
            name = rel->columns[i].name;
    for (uint32_t i = 0; name != NULL && i < b->table->n_keys; i++)
        if (strcmp(b->columns[i].name, name) == 0)
            return true;
    return false;
}

/* Whether what a foreign key refers to changes only when the rows' own key does. */
static bool
refers_to_key(const struct builder *b, const struct ph_foreign_key *key)
{
    const struct ph_rel *rel = ph_catalog_rel(b->params->target, key->ref_oid);

    for (uint32_t i = 0; rel != NULL && i < rel->n_indexes; i++) {
        const struct ph_index *index = &rel->indexes[i];
        if (index->oid != key->ref_index)
            continue;
        for (uint32_t j = 0; j < index->n_keys; j++)
            if (!is_key_column(b, rel, index->key_attnums[j]))
                return false;
        return true;
    }
    return false;
}

/*
 * Changes that are folded per key are not in the source's order from table to table. Where a change
 * of this table acts upon rows of others on the target as it did on the source, that order is kept.
 */
static void
look_at_actions(struct builder *b, const struct ph_foreign_key *key, bool is_parent)
{
    b->table->has_actions |= acts(key->on_delete) || acts(key->on_update);
    if (is_parent && acts(key->on_update) && !refers_to_key(b, key) &&
        b->table->way == PH_APPLY_BY_KEY)
        b->table->way = PH_APPLY_IN_ORDER;
}

static bool
is_key(const struct builder *b, const struct ph_index *index)
{
    for (uint32_t i = 0; i < index->n_keys; i++) {
        uint32_t at;
        if (column_at(b->params->plan, true, index->key_attnums[i], &at) == NULL || !b->keys[at])
            return false;
    }
    return index->n_keys == b->n_keys;
}

static bool
may_reorder(const struct builder *b)
{
    const struct ph_rel *target = b->params->plan->target;

    if (b->table->way != PH_APPLY_BY_KEY || b->table->has_actions || b->params->enforces_keys)
        return false;
    for (uint32_t i = 0; i < target->n_indexes; i++)
        if (target->indexes[i].is_unique && !is_key(b, &target->indexes[i]))
            return false;
    return true;
}

/*
 * Rows change, and do not go and come again: what refers to them would go as well, or stand in the
 * way; what an enforced key has changed already, as on the source, would come once more; and what
 * the target has in columns of its own would be lost.
 */
static void
keep_rows(struct ph_apply_table *table)
{
    table->may_split_moves = false;
    if (table->n_keys == 0)
        table->way = PH_APPLY_IN_ORDER;
}

/* What the key has done to rows of the table by the time their own changes come. */
static void
look_at_parent(struct builder *b, const struct ph_foreign_key *key)
{
    struct ph_apply_table *table = b->table;

    table->may_miss |= key->on_delete == 'c';
    table->may_miss_moves |=
        key->on_update == 'c' || key->on_update == 'd' || key->on_delete == 'd';
    if (table->n_keys > 0 || (!acts(key->on_delete) && !acts(key->on_update)))
        return;
    keep_rows(table); /* found by all that they are, and so no more */
    table->may_miss_moves |= acts(key->on_update) || key->on_delete == 'n';
}

static void
look_at_foreign_keys(struct builder *b)
{
    const struct ph_catalog *catalog = b->params->target;
    ph_oid oid = b->table->target->oid;

    b->table->may_split_moves = true;
    if (!b->params->enforces_keys)
        return;
    for (uint32_t i = 0; i < catalog->n_foreign_keys; i++) {
        const struct ph_foreign_key *key = &catalog->foreign_keys[i];
        if (!key->enforced)
            continue;
        /* a partition takes part in the keys of its ancestors */
        bool is_parent = ph_catalog_is_within(catalog, oid, key->ref_oid);
        bool is_child = ph_catalog_is_within(catalog, oid, key->rel_oid);
        if (is_parent)
            keep_rows(b->table);
        if (is_parent || is_child)
            look_at_actions(b, key, is_parent);
        if (is_child)
            look_at_parent(b, key);
    }
}

static ph_code
fill_texts(struct builder *b)
{
    struct ph_apply_table *table = b->table;
    struct ph_buf label;

    ph_buf_init(&label, 1024);
    ph_buf_printf(&label, "%s.%s", table->target->schema, table->target->name);
    table->label = ph_buf_ok(&label) ? ph_arena_strdup(b->arena, ph_buf_text(&label)) : NULL;
    ph_buf_free(&label);
    table->target_sql = put_text(b, put_target);
    if (table->target_sql == NULL || table->label == NULL)
        return no_memory(b->err);
    table->insert_sql = put_text(b, ph_sql_put_insert);
    table->delete_sql = put_text(b, ph_sql_put_delete);
    table->copy_sql = put_text(b, ph_sql_put_copy);
    if (table->insert_sql == NULL || table->delete_sql == NULL || table->copy_sql == NULL)
        return no_memory(b->err);
    return PH_OK;
}

static ph_code
build(struct builder *b)
{
    struct ph_apply_table *table = b->table;

    if (table->n_columns == 0)
        return PH_FAIL(b->err, PH_E_UNSUPPORTED, "the table has no column that can be filled");
    PH_TRY(find_fields(b));
    find_keys(b);
    table->n_keys = b->n_keys;
    PH_TRY(fill_columns(b));
    PH_TRY(compile_remap(b));
    look_at_columns(b);
    table->has_index = has_index(b);
    look_at_foreign_keys(b);
    table->may_reinsert = table->may_split_moves;
    table->own = ph_apply_own_columns(b->whole, b->arena, &table->n_own);
    if (table->own == NULL)
        return no_memory(b->err);
    if (table->n_own > 0)
        keep_rows(table);
    table->may_reorder = may_reorder(b);
    return fill_texts(b);
}

static ph_code
build_planned(const struct ph_apply_table_params *params, const struct ph_table_plan *whole,
              const struct ph_apply_late *late, struct ph_arena *arena,
              const struct ph_apply_table **out, struct ph_error *err)
{
    const struct ph_table_plan *plan = params->plan;
    const struct ph_table_plan *of = params->behind != NULL ? params->behind : plan;
    size_t room = (size_t)plan->n_columns + 1;
    struct ph_apply_table *table = ph_arena_alloc(arena, sizeof *table);
    struct builder b = {
        .params = params,
        .whole = whole,
        .arena = arena,
        .table = table,
        .columns = PH_ARENA_ARRAY(arena, struct ph_apply_column, room),
        .fields = PH_ARENA_ARRAY(arena, uint32_t, room),
        .keys = PH_ARENA_ARRAY(arena, bool, room),
        .err = err,
    };

    if (table == NULL || b.columns == NULL || b.fields == NULL || b.keys == NULL)
        return no_memory(err);
    *table = (struct ph_apply_table){
        .index = params->index,
        .plan = of,
        .target = plan->target,
        .columns = b.columns,
        .n_columns = plan->n_columns,
        .fills = late->fills,
        .n_fills = late->n_fills,
        .n_stream_fields = params->rel->n_columns,
        .level = plan->level,
        .is_part = of->source->is_partition && !of->target->is_partition,
    };
    ph_code rc = build(&b);
    if (rc != PH_OK) {
        ph_error_object(err, "%s.%s", params->rel->schema, params->rel->name);
        return rc;
    }
    *out = table;
    return PH_OK;
}

ph_code
ph_apply_table_build(const struct ph_apply_table_params *params, struct ph_arena *arena,
                     const struct ph_apply_table **out, struct ph_error *err)
{
    struct ph_apply_table_params announced = *params;
    struct ph_apply_late late;

    PH_TRY(ph_apply_late_split(params, arena, &late, err));
    announced.plan = late.plan;
    return build_planned(&announced, params->plan, &late, arena, out, err);
}
