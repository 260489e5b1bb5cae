/*
 * What a table of the source becomes on the target: the relation its rows go into, the columns, the
 * key that buckets are chosen by, and the format.
 */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "job/plan_route.h"
#include "job/planner_parts.h"
#include "model/type_match.h"
#include "wire/oid_remap.h"

#define FIRST_USER_OID 16384u

static int
compare_names(const struct ph_rel *a, const struct ph_rel *b)
{
    int order = strcmp(a->schema, b->schema);

    return order != 0 ? order : strcmp(a->name, b->name);
}

static int
compare_rel_pointers(const void *a, const void *b)
{
    const struct ph_rel *const *rel_a = a;
    const struct ph_rel *const *rel_b = b;

    return compare_names(*rel_a, *rel_b);
}

ph_code
ph_planner_index_target(struct ph_planner *planner)
{
    uint32_t n = planner->target->n_rels;

    planner->target_by_name = PH_ARENA_ARRAY(planner->arena, const struct ph_rel *, (size_t)n + 1);
    if (planner->target_by_name == NULL)
        return ph_planner_no_memory(planner);
    for (uint32_t i = 0; i < n; i++)
        planner->target_by_name[i] = &planner->target->rels[i];
    qsort(planner->target_by_name, n, sizeof(const struct ph_rel *), compare_rel_pointers);
    return PH_OK;
}

static const struct ph_rel *
find_on_target(const struct ph_planner *planner, const struct ph_rel *rel)
{
    const struct ph_rel *const *found =
        bsearch(&rel, planner->target_by_name, planner->target->n_rels,
                sizeof(const struct ph_rel *), compare_rel_pointers);

    return found == NULL ? NULL : *found;
}

static bool
has_user_types(const struct ph_rel *rel)
{
    for (uint32_t i = 0; i < rel->n_columns; i++) {
        if (rel->columns[i].type_oid >= FIRST_USER_OID)
            return true;
    }
    return false;
}

/*
 * Hash partitioning by an enum follows the OIDs of its labels, by text the bytes of the encoding:
 * the same key lands in another partition on another server. pg_dump has the same trap.
 */
static bool
hashes_alike(const struct ph_planner *planner, const struct ph_rel *root)
{
    return strncmp(root->partition_key, "HASH", 4) != 0 ||
           (!has_user_types(root) &&
            strcmp(planner->source->encoding, planner->target->encoding) == 0);
}

static bool
is_same_text(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* The same bounds under parents of the same name and key, all the way up. */
static bool
is_same_place(const struct ph_planner *planner, const struct ph_rel *source,
              const struct ph_rel *target)
{
    while (source->is_partition && target->is_partition) {
        const struct ph_rel *source_parent = ph_catalog_rel(planner->source, source->parent_oid);
        const struct ph_rel *target_parent = ph_catalog_rel(planner->target, target->parent_oid);
        if (source_parent == NULL || target_parent == NULL ||
            compare_names(source_parent, target_parent) != 0 ||
            !is_same_text(source->partition_bound, target->partition_bound) ||
            !is_same_text(source_parent->partition_key, target_parent->partition_key) ||
            !hashes_alike(planner, source_parent))
            return false;
        source = source_parent;
        target = target_parent;
    }
    return source->is_partition == target->is_partition;
}

/*
 * One partition whose rows are routed by the target's root takes all others along: the root is read
 * as a whole when it is compared. Siblings mostly come one after the other, so the last answer is
 * kept.
 */
static bool
needs_root(struct ph_planner *planner, const struct ph_rel *source)
{
    const struct ph_plan *plan = planner->plan;

    if (planner->asked_root == source->root_oid)
        return planner->needs_root;
    planner->asked_root = source->root_oid;
    planner->needs_root = false;
    for (uint32_t i = 0; i < plan->n_tables && !planner->needs_root; i++) {
        const struct ph_rel *sibling = plan->tables[i].source;
        if (sibling->root_oid != source->root_oid)
            continue;
        const struct ph_rel *same = find_on_target(planner, sibling);
        planner->needs_root =
            same == NULL || (same->is_partition && !is_same_place(planner, sibling, same));
    }
    return planner->needs_root;
}

static const struct ph_rel *
find_target(struct ph_planner *planner, const struct ph_rel *source)
{
    const struct ph_rel *same = find_on_target(planner, source);
    const struct ph_rel *root = ph_catalog_rel(planner->source, source->root_oid);

    if (planner->params->target == NULL)
        return source;
    if (same != NULL && !same->is_partition)
        return same;
    if (same != NULL && source->is_partition && !needs_root(planner, source))
        return same;
    /* Partitioned in another way: the target's root knows where each row belongs. */
    if (source->is_partition && root != NULL)
        return find_on_target(planner, root);
    if (same != NULL)
        return ph_catalog_rel(planner->target, same->root_oid);
    return NULL;
}

static void
put_column_problem(struct ph_planner *planner, const struct ph_table_plan *table,
                   const char *column, const char *problem)
{
    ph_planner_problem(planner, table->source);
    ph_buf_printf(&planner->problems, ": column %s %s", column, problem);
}

/* A column of the source that nothing on the target takes would be lost. */
static void
check_source_columns(struct ph_planner *planner, const struct ph_table_plan *table)
{
    for (uint32_t i = 0; i < table->source->n_columns; i++) {
        const struct ph_column *column = &table->source->columns[i];
        if (column->generated == '\0' && ph_rel_column_named(table->target, column->name) == NULL)
            put_column_problem(planner, table, column->name, "is missing on the target");
    }
}

static ph_code
match_columns(struct ph_planner *planner, struct ph_table_plan *table)
{
    const struct ph_rel *target = table->target;
    struct ph_plan_column *columns =
        PH_ARENA_ARRAY(planner->arena, struct ph_plan_column, (size_t)target->n_columns + 1);

    if (columns == NULL)
        return ph_planner_no_memory(planner);
    check_source_columns(planner, table);
    for (uint32_t i = 0; i < target->n_columns; i++) {
        const struct ph_column *theirs = &target->columns[i];
        const struct ph_column *ours = ph_rel_column_named(table->source, theirs->name);
        if (theirs->generated != '\0')
            continue;
        if (ours != NULL)
            columns[table->n_columns++] = (struct ph_plan_column){
                .source_name = ours->name,
                .target_name = theirs->name,
                .source = ours,
                .target = theirs,
            };
        else if (theirs->not_null && !theirs->has_default && theirs->identity == '\0')
            put_column_problem(planner, table, theirs->name,
                               "is only on the target, NOT NULL and without a default");
    }
    if (table->n_columns == 0 && target->n_columns > 0) {
        ph_planner_problem(planner, table->source);
        ph_buf_puts(&planner->problems, ": no column to copy");
    }
    table->columns = columns;
    return PH_OK;
}

/* Position of a column of that side's relation in table->columns, or -1. */
static int
field_of(const struct ph_table_plan *table, enum ph_side side, const struct ph_rel *rel,
         int16_t attnum)
{
    for (uint32_t c = 0; c < rel->n_columns; c++) {
        if (rel->columns[c].attnum != attnum)
            continue;
        for (uint32_t i = 0; i < table->n_columns; i++) {
            const struct ph_plan_column *column = &table->columns[i];
            if (strcmp(side == PH_SOURCE ? column->source_name : column->target_name,
                       rel->columns[c].name) == 0)
                return (int)i;
        }
    }
    return -1;
}

static bool
is_usable_key(const struct ph_table_plan *table, enum ph_side side, const struct ph_rel *rel,
              const struct ph_index *index)
{
    if (!index->is_unique || !index->is_valid || index->is_partial || index->has_expressions ||
        (!index->is_primary && !index->is_immediate))
        return false;
    for (uint32_t k = 0; k < index->n_keys; k++) {
        int field = field_of(table, side, rel, index->key_attnums[k]);
        if (field < 0)
            return false;
        const struct ph_plan_column *column = &table->columns[field];
        if (!(side == PH_SOURCE ? column->source : column->target)->not_null)
            return false;
    }
    return true;
}

/* The primary key, else the smallest usable unique index; bytes decide, then the number of columns.
 */
static const struct ph_index *
choose_key(const struct ph_table_plan *table, enum ph_side side, const struct ph_rel *rel)
{
    const struct ph_index *best = NULL;

    for (uint32_t i = 0; i < rel->n_indexes; i++) {
        const struct ph_index *index = &rel->indexes[i];
        if (!is_usable_key(table, side, rel, index))
            continue;
        if (best == NULL || index->is_primary ||
            (!best->is_primary && (index->bytes < best->bytes ||
                                   (index->bytes == best->bytes && index->n_keys < best->n_keys))))
            best = index;
    }
    return best;
}

/* The walks over rows (wire/copy_row.h) take the key's fields as they come by. */
static void
insert_ascending(uint16_t *fields, uint32_t n, uint16_t field)
{
    for (; n > 0 && fields[n - 1] > field; n--)
        fields[n] = fields[n - 1];
    fields[n] = field;
}

/* By the indexes of `rel` of that side: the table itself or, when its rows mix with others', the
 * root. */
static ph_code
set_key(struct ph_planner *planner, struct ph_table_plan *table, enum ph_side side,
        const struct ph_rel *rel)
{
    const struct ph_index *index = choose_key(table, side, rel);

    table->key_fields = NULL;
    table->n_key_fields = 0;
    if (index == NULL)
        return PH_OK;
    uint16_t *fields = PH_ARENA_ARRAY(planner->arena, uint16_t, (size_t)index->n_keys + 1);
    if (fields == NULL)
        return ph_planner_no_memory(planner);
    for (uint32_t k = 0; k < index->n_keys; k++)
        insert_ascending(fields, k, (uint16_t)field_of(table, side, rel, index->key_attnums[k]));
    table->key_fields = fields;
    table->n_key_fields = index->n_keys;
    return PH_OK;
}

/* A misfit of types is one of the problems that are told together, anything else ends it. */
static ph_code
collect_misfit(struct ph_planner *planner, const struct ph_table_plan *table, ph_code rc,
               const struct ph_error *why)
{
    if (rc == PH_E_TYPES) {
        ph_planner_problem(planner, table->source);
        ph_buf_printf(&planner->problems, ": %s", why->message);
        return PH_OK;
    }
    if (rc != PH_OK && planner->err != NULL)
        *planner->err = *why;
    return rc;
}

static ph_code
set_format(struct ph_planner *planner, struct ph_table_plan *table)
{
    struct ph_table_match match = {0};
    struct ph_error mismatch = {.code = PH_OK};
    ph_code rc = ph_type_match_table(table->columns, table->n_columns, planner->source,
                                     planner->target, &match, &mismatch);

    if (rc != PH_OK)
        return collect_misfit(planner, table, rc, &mismatch);
    table->format = match.format;
    table->may_change = match.may_change;
    table->format_reason = ph_arena_strdup(planner->arena, match.reason);
    if (table->format_reason == NULL)
        return ph_planner_no_memory(planner);
    if (table->format == PH_FORMAT_BINARY)
        PH_TRY(ph_oid_remap_compile(table->columns, table->n_columns, planner->source,
                                    planner->target, planner->arena, &table->remap, planner->err));
    return ph_planner_weigh_format(planner, table);
}

static ph_code
match_route(struct ph_planner *planner, struct ph_table_plan *table)
{
    struct ph_error why = {.code = PH_OK};

    PH_TRY(ph_plan_set_route(table, planner->params->rules, table->route, planner->arena,
                             planner->err));
    PH_TRY(set_key(planner, table, PH_TARGET, table->target));
    table->n_buckets = ph_digest_buckets_for(table->rows);
    if (!table->route->has_program)
        return set_format(planner, table);
    ph_code rc =
        ph_plan_set_program_format(table, planner->source, planner->target, planner->arena, &why);
    return collect_misfit(planner, table, rc, &why);
}

ph_code
ph_planner_match(struct ph_planner *planner, struct ph_table_plan *table)
{
    if (table->route != NULL)
        return match_route(planner, table);
    table->rules = planner->params->rules; /* they may say what is not told of it */
    table->target = find_target(planner, table->source);
    if (table->target == NULL) {
        ph_planner_problem(planner, table->source);
        ph_buf_puts(&planner->problems, ": the target has no such table");
        return PH_OK;
    }
    if (table->target->kind != PH_REL_TABLE && table->target->kind != PH_REL_PARTITIONED) {
        ph_planner_problem(planner, table->source);
        ph_buf_puts(&planner->problems, ": not a table on the target");
        return PH_OK;
    }
    PH_TRY(match_columns(planner, table));
    PH_TRY(set_key(planner, table, PH_SOURCE, table->source));
    table->n_buckets = ph_digest_buckets_for(table->rows);
    return set_format(planner, table);
}

static int
compare_targets(const void *a, const void *b)
{
    const struct ph_table_plan *const *table_a = a;
    const struct ph_table_plan *const *table_b = b;

    if ((*table_a)->target->oid != (*table_b)->target->oid)
        return (*table_a)->target->oid < (*table_b)->target->oid ? -1 : 1;
    return (*table_a)->source->oid < (*table_b)->source->oid ? -1 : 1;
}

/* Rows that go into one target along routes are compared as the target has them. */
static ph_code
align_keys(struct ph_planner *planner, struct ph_table_plan **tables, uint32_t n, bool has_route)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct ph_rel *root = ph_catalog_rel(planner->source, tables[i]->source->root_oid);
        if (has_route)
            PH_TRY(set_key(planner, tables[i], PH_TARGET, tables[i]->target));
        else if (root != NULL)
            PH_TRY(set_key(planner, tables[i], PH_SOURCE, root));
    }
    return PH_OK;
}

static bool
is_preserved_alike(const struct ph_preserved *a, const struct ph_preserved *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return a->n_columns == b->n_columns && a->n_key == b->n_key &&
           memcmp(a->columns, b->columns, a->n_columns * sizeof *a->columns) == 0 &&
           memcmp(a->key, b->key, a->n_key * sizeof *a->key) == 0 &&
           (a->rows == NULL ? b->rows == NULL : b->rows != NULL && strcmp(a->rows, b->rows) == 0);
}

/* The target is read once, so all that goes into it has to be of the same columns and format. */
static void
check_family(struct ph_planner *planner, struct ph_table_plan **tables, uint32_t n,
             const struct ph_table_plan *text)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!ph_plan_fills_alike(tables[0], tables[i])) {
            ph_planner_problem(planner, tables[i]->source);
            ph_buf_printf(&planner->problems,
                          ": it and %s.%s go into %s.%s but fill different columns of it: give the "
                          "missing ones a rule, {set: null} at least",
                          tables[0]->source->schema, tables[0]->source->name,
                          tables[0]->target->schema, tables[0]->target->name);
        } else if (!is_preserved_alike(tables[0]->preserved, tables[i]->preserved)) {
            ph_planner_problem(planner, tables[i]->source);
            ph_buf_printf(&planner->problems,
                          ": it and %s.%s go into %s.%s but do not preserve the same of it: give "
                          "both the same `preserve:`",
                          tables[0]->source->schema, tables[0]->source->name,
                          tables[0]->target->schema, tables[0]->target->name);
        }
        if (text != NULL && tables[i]->inputs != NULL) {
            ph_planner_problem(planner, tables[i]->source);
            ph_buf_printf(&planner->problems,
                          ": rules need binary values, but rows of %s.%s go into the same table as "
                          "text: %s",
                          text->source->schema, text->source->name, text->format_reason);
        }
    }
}

/* Where a program needs binary, text that was only cheaper gives way. */
static ph_code
prefer_binary(struct ph_planner *planner, struct ph_table_plan *table)
{
    struct ph_table_match match = {0};

    if (table->format != PH_FORMAT_TEXT)
        return PH_OK;
    PH_TRY(ph_type_match_table(table->columns, table->n_columns, planner->source, planner->target,
                               &match, planner->err));
    if (match.format == PH_FORMAT_TEXT)
        return PH_OK;
    table->format = PH_FORMAT_BINARY;
    table->format_reason = "binary: rules are applied to other rows of the target";
    return ph_oid_remap_compile(table->columns, table->n_columns, planner->source, planner->target,
                                planner->arena, &table->remap, planner->err);
}

/* One shape for all n tables that go into one target. */
static ph_code
align_family(struct ph_planner *planner, struct ph_table_plan **tables, uint32_t n)
{
    uint64_t rows = 0;
    bool has_route = false;
    bool has_program = false;
    const struct ph_table_plan *text = NULL;

    for (uint32_t i = 0; i < n; i++) {
        rows += tables[i]->rows;
        has_route |= tables[i]->route != NULL;
        has_program |= tables[i]->inputs != NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (has_program && tables[i]->inputs == NULL)
            PH_TRY(prefer_binary(planner, tables[i]));
        if (tables[i]->format == PH_FORMAT_TEXT)
            text = tables[i];
    }
    PH_TRY(align_keys(planner, tables, n, has_route));
    if (has_route)
        check_family(planner, tables, n, text);
    for (uint32_t i = 0; i < n; i++) {
        tables[i]->n_buckets = ph_digest_buckets_for(rows);
        if (text == NULL || tables[i]->format == PH_FORMAT_TEXT)
            continue;
        tables[i]->format = PH_FORMAT_TEXT;
        tables[i]->format_reason = text->format_reason;
        tables[i]->remap = NULL;
    }
    return PH_OK;
}

ph_code
ph_planner_align(struct ph_planner *planner)
{
    struct ph_plan *plan = planner->plan;
    struct ph_table_plan **by_target =
        PH_ARENA_ARRAY(planner->arena, struct ph_table_plan *, (size_t)plan->n_tables + 1);

    if (by_target == NULL)
        return ph_planner_no_memory(planner);
    for (uint32_t i = 0; i < plan->n_tables; i++)
        by_target[i] = &plan->tables[i];
    qsort(by_target, plan->n_tables, sizeof(struct ph_table_plan *), compare_targets);
    for (uint32_t i = 0, n; i < plan->n_tables; i += n) {
        n = 1;
        while (i + n < plan->n_tables && by_target[i + n]->target == by_target[i]->target)
            n++;
        if (n > 1 || by_target[i]->target->kind == PH_REL_PARTITIONED)
            PH_TRY(align_family(planner, &by_target[i], n));
    }
    return PH_OK;
}
