/*
 * A table to apply changes to, without a server: columns of built-in types under their real OIDs,
 * and the description that apply makes of them. Everything lives in the arena of the fake.
 */
#ifndef PH_TEST_FAKE_APPLY_H
#define PH_TEST_FAKE_APPLY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "apply/table.h"

#define FAKE_COLUMNS 8

static const struct ph_type fake_apply_types[] = {
    {.oid = 16, .name = "bool", .kind = 'b', .category = 'B', .array_oid = 1000},
    {.oid = 20, .name = "int8", .kind = 'b', .category = 'N', .array_oid = 1016},
    {.oid = 23, .name = "int4", .kind = 'b', .category = 'N', .array_oid = 1007},
    {.oid = 25, .name = "text", .kind = 'b', .category = 'S', .array_oid = 1009},
    {.oid = 114, .name = "json", .kind = 'b', .category = 'U', .array_oid = 199},
    {.oid = 199, .name = "_json", .kind = 'b', .category = 'A', .elem_oid = 114},
    {.oid = 701, .name = "float8", .kind = 'b', .category = 'N', .array_oid = 1022},
    {.oid = 1000, .name = "_bool", .kind = 'b', .category = 'A', .elem_oid = 16},
    {.oid = 1007, .name = "_int4", .kind = 'b', .category = 'A', .elem_oid = 23},
    {.oid = 1009, .name = "_text", .kind = 'b', .category = 'A', .elem_oid = 25},
    {.oid = 1014, .name = "_bpchar", .kind = 'b', .category = 'A', .elem_oid = 1042},
    {.oid = 1016, .name = "_int8", .kind = 'b', .category = 'A', .elem_oid = 20},
    {.oid = 1022, .name = "_float8", .kind = 'b', .category = 'A', .elem_oid = 701},
    {.oid = 1042, .name = "bpchar", .kind = 'b', .category = 'S', .array_oid = 1014},
    {.oid = 1231, .name = "_numeric", .kind = 'b', .category = 'A', .elem_oid = 1700},
    {.oid = 1700, .name = "numeric", .kind = 'b', .category = 'N', .array_oid = 1231},
    {.oid = 2205, .name = "regclass", .kind = 'b', .category = 'N', .array_oid = 2210},
    {.oid = 2210, .name = "_regclass", .kind = 'b', .category = 'A', .elem_oid = 2205},
    {.oid = 2950, .name = "uuid", .kind = 'b', .category = 'U', .array_oid = 2951},
    {.oid = 2951, .name = "_uuid", .kind = 'b', .category = 'A', .elem_oid = 2950},
};

struct fake_column {
    const char *name;
    ph_oid source_type;
    ph_oid target_type; /* 0: the same */
    bool is_key;
    bool not_null;
    char identity;
    char generated; /* on the target: left out of the plan */
};

struct fake_apply {
    struct ph_catalog source;
    struct ph_catalog target;
    struct ph_type types[48];
    struct ph_column source_columns[FAKE_COLUMNS];
    struct ph_column target_columns[FAKE_COLUMNS];
    struct ph_stream_column stream_columns[FAKE_COLUMNS];
    struct ph_plan_column plan_columns[FAKE_COLUMNS];
    struct ph_index index;
    int16_t index_keys[FAKE_COLUMNS];
    struct ph_rel source_rel;
    struct ph_rel target_rel;
    struct ph_table_plan plan;
    struct ph_stream_rel rel;
    struct ph_apply_table_params params;
    struct ph_arena arena;
};

static inline void
fake_apply_types_init(struct fake_apply *fake)
{
    const uint32_t n = sizeof fake_apply_types / sizeof fake_apply_types[0];

    memcpy(fake->types, fake_apply_types, sizeof fake_apply_types);
    for (uint32_t i = 0; i < n; i++) {
        fake->types[i].schema = "pg_catalog";
        fake->types[i].has_binary = true;
    }
    fake->source.types = fake->target.types = fake->types;
    fake->source.n_types = fake->target.n_types = n;
    fake->source.rels = &fake->source_rel;
    fake->target.rels = &fake->target_rel;
    fake->source.n_rels = fake->target.n_rels = 1;
}

static inline void
fake_apply_column(struct fake_apply *fake, uint32_t i, const struct fake_column *column)
{
    fake->source_columns[i] = (struct ph_column){
        .name = column->name,
        .attnum = (int16_t)(i + 1),
        .type_oid = column->source_type,
        .typmod = -1,
    };
    fake->target_columns[i] = fake->source_columns[i];
    if (column->target_type != 0)
        fake->target_columns[i].type_oid = column->target_type;
    fake->target_columns[i].identity = column->identity;
    fake->target_columns[i].generated = column->generated;
    fake->target_columns[i].not_null = column->not_null || column->is_key;
    fake->stream_columns[i] = (struct ph_stream_column){
        .name = column->name,
        .type_oid = column->source_type,
        .in_key = column->is_key || fake->rel.replica_identity == 'f',
    };
    if (column->is_key)
        fake->index_keys[fake->index.n_keys++] = (int16_t)(i + 1);
    if (column->generated != '\0')
        return;
    fake->plan_columns[fake->plan.n_columns++] = (struct ph_plan_column){
        .source_name = column->name,
        .target_name = column->name,
        .source = &fake->source_columns[i],
        .target = &fake->target_columns[i],
    };
}

/* Columns up to one without a name. `fake` must not move afterwards. */
static inline void
fake_apply_init(struct fake_apply *fake, char replica_identity, const struct fake_column *columns)
{
    *fake = (struct fake_apply){.rel = {.oid = 1, .schema = "app", .name = "t"}};
    ph_arena_init(&fake->arena, 16 << 20);
    fake_apply_types_init(fake);
    fake->rel.replica_identity = replica_identity;
    fake->index = (struct ph_index){
        .is_unique = true,
        .is_primary = true,
        .is_valid = true,
        .is_immediate = true,
        .key_attnums = fake->index_keys,
    };
    uint32_t n = 0;
    for (; columns[n].name != NULL; n++)
        fake_apply_column(fake, n, &columns[n]);
    fake->source_rel = (struct ph_rel){
        .oid = 1, .schema = "app", .name = "t", .kind = PH_REL_TABLE, .root_oid = 1};
    fake->target_rel = fake->source_rel;
    fake->target_rel.columns = fake->target_columns;
    fake->target_rel.n_columns = n;
    fake->target_rel.indexes = &fake->index;
    fake->target_rel.n_indexes = fake->index.n_keys > 0;
    fake->plan.source = &fake->source_rel;
    fake->plan.target = &fake->target_rel;
    fake->plan.columns = fake->plan_columns;
    fake->rel.columns = fake->stream_columns;
    fake->rel.n_columns = n;
    fake->params = (struct ph_apply_table_params){
        .plan = &fake->plan,
        .rel = &fake->rel,
        .source = &fake->source,
        .target = &fake->target,
        .stream = PH_FORMAT_BINARY,
    };
}

static inline const struct ph_apply_table *
fake_apply_table(struct fake_apply *fake)
{
    const struct ph_apply_table *table = NULL;
    struct ph_error err = {.code = PH_OK};

    if (ph_apply_table_build(&fake->params, &fake->arena, &table, &err) != PH_OK)
        fail_msg("%s", err.message);
    return table;
}

static inline void
fake_apply_free(struct fake_apply *fake)
{
    ph_arena_reset(&fake->arena);
}

#endif
